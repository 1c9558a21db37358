"""Writes a wheel from a package directory: what the two backend doubles beside this file share.

A double, not a build system: it packs every file under the project's top-level packages, knows
pure Python only, and honours no MANIFEST.in, VCS file list or include/exclude table. Wheels are
reproducible: sorted entries, one fixed timestamp, RECORD last (PEP 427, PEP 376).
"""

import base64
import hashlib
import io
import os
import re
import zipfile

TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def wheel_name(name):
    """The name as file names carry it: runs of `-`, `_`, `.` become one underscore."""
    return re.sub(r"[-_.]+", "_", name).lower()


def metadata_files(project):
    """The files of `<name>-<version>.dist-info`, without RECORD, as name -> bytes."""
    lines = ["Metadata-Version: 2.1", "Name: " + project["name"], "Version: " + project["version"]]
    lines += ["Summary: " + project["summary"], "License: " + project["license"]]
    if project.get("requires_python"):
        lines.append("Requires-Python: " + project["requires_python"])
    lines += ["Requires-Dist: " + requirement for requirement in project["requirements"]]
    for extra, requirements in sorted(project["extras"].items()):
        lines.append("Provides-Extra: " + extra)
        lines += ["Requires-Dist: " + with_extra(item, extra) for item in requirements]
    text = "\n".join(lines) + "\n\n" + project.get("description", "")
    files = {
        "METADATA": text,
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tiny_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "top_level.txt": "".join(item + "\n" for item in project["packages"]),
    }
    if project["entry_points"]:
        groups = [
            "[%s]\n%s\n" % (group, "".join(item + "\n" for item in items))
            for group, items in sorted(project["entry_points"].items())
        ]
        files["entry_points.txt"] = "\n".join(groups)
    if os.path.exists("LICENSE"):
        with open("LICENSE", encoding="utf-8") as file:
            files["licenses/LICENSE"] = file.read()
    return {name: text.encode("utf-8") for name, text in files.items()}


def with_extra(requirement, extra):
    bare, _, marker = requirement.partition(";")
    condition = 'extra == "%s"' % extra
    if marker.strip():
        condition = "(%s) and %s" % (marker.strip(), condition)
    return "%s; %s" % (bare.strip(), condition)


def dist_info(project):
    return "%s-%s.dist-info" % (wheel_name(project["name"]), project["version"])


def write_metadata(project, directory):
    """Writes `directory/<dist-info>` and returns its name (prepare_metadata_for_build_wheel)."""
    for name, data in metadata_files(project).items():
        path = os.path.join(directory, dist_info(project), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return dist_info(project)


def write_wheel(project, directory):
    """Packs the current directory's packages into `directory` and returns the wheel's name."""
    name = "%s-%s-py3-none-any.whl" % (wheel_name(project["name"]), project["version"])
    entries = []
    for package in project["packages"]:
        for folder, folders, files in os.walk(package):
            folders[:] = sorted(item for item in folders if item != "__pycache__")
            for item in sorted(files):
                if not item.endswith((".pyc", ".pyo")):
                    path = os.path.join(folder, item)
                    with open(path, "rb") as file:
                        data = file.read()
                    entries.append((path.replace(os.sep, "/"), data, os.access(path, os.X_OK)))
    info = dist_info(project)
    for item, data in sorted(metadata_files(project).items()):
        entries.append((info + "/" + item, data, False))
    record = io.StringIO()
    with zipfile.ZipFile(os.path.join(directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data, executable in entries:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.write("%s,sha256=%s,%d\n" % (path, digest, len(data)))
            put(wheel, path, data, executable)
        record.write(info + "/RECORD,,\n")
        put(wheel, info + "/RECORD", record.getvalue().encode("utf-8"), False)
    return name


def put(wheel, path, data, executable):
    entry = zipfile.ZipInfo(path, TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    wheel.writestr(entry, data)
