#!/usr/bin/env python3
"""Captures how real releases of Dagster describe themselves, into tests/upstream/history.

    tests/upstream/history.py [VERSION…]      all that are there already, without arguments

For each version one JSON file: the metadata of the wheels as pip reports it, and of the source
distributions the files that describe a package, at their paths in upstream's repository. Needs the
user's own pip and its index. pip runs the source distributions' own code to name them: this is for
a person at a scratch machine, no check runs it.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import releases  # noqa: E402

HISTORY = os.path.join(HERE, "history")
PIP = [sys.executable, "-m", "pip"]
QUIET = ["--quiet", "--no-deps", "--no-input", "--disable-pip-version-check", "--ignore-requires-python"]


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(wanted):
    report = subprocess.run(
        [*PIP, "install", *QUIET, "--dry-run", "--ignore-installed", "--only-binary", ":all:",
         "--report", "-", *wanted],
        check=True, stdout=subprocess.PIPE,
    ).stdout
    found = [item["metadata"] for item in json.loads(report)["install"]]
    return sorted(
        ({"name": normalised(item["name"]), "version": item["version"],
          "requires_dist": item.get("requires_dist", []),
          "requires_python": item.get("requires_python")} for item in found),
        key=lambda item: item["name"],
    )


def files(wanted):
    texts = {}
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([*PIP, "download", *QUIET, "--no-binary", ":all:", "--dest", scratch, *wanted], check=True)
        for file in sorted(os.listdir(scratch)):
            name = normalised(re.match(r"(.+)-[^-]+\.tar\.gz$", file).group(1))
            described = ["setup.py", "pyproject.toml", releases.module(name) + "/version.py"]
            with tarfile.open(os.path.join(scratch, file)) as archive:
                for member in archive:
                    path = member.name.partition("/")[2]
                    if member.isreg() and path in described:
                        text = archive.extractfile(member).read().decode()
                        texts[releases.PATHS[name] + "/" + path] = text
    return texts


def capture(version):
    wanted = [releases.pinned(name, version) for name in releases.packages(version)]
    found = {"version": version, "distributions": distributions(wanted), "files": files(wanted)}
    with open(os.path.join(HISTORY, version + ".json"), "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1, sort_keys=True)
        file.write("\n")
    print(version)


def main():
    there = (file[: -len(".json")] for file in os.listdir(HISTORY))
    for version in sys.argv[1:] or sorted(there, key=releases.number):
        capture(version)


main()
