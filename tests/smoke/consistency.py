"""Breaks of what is installed: each leaves a tree that starts and serves, or nearly. Made on a copy of a
virtual environment; check.py runs them.

A changed file of Dagster's is recorded anew, where the break is to be another one than that.
"""

import base64
import csv
import hashlib
import io
import re
import shutil


def site(root):
    (found,) = (root / "lib").glob("python3*/site-packages")
    return found


def edit(path, pattern, to):
    text = path.read_text()
    changed = re.sub(pattern, to, text, count=1)
    assert changed != text, "`%s` is not in %s" % (pattern, path)
    path.write_text(changed)


def record(root, name):
    """Enters a file, or all below a directory, into the RECORD of its distribution as it is, and takes out
    what is gone: as if upstream had released it like that."""
    (where,) = site(root).glob(name.split("/")[0] + "-*.dist-info/RECORD")
    with where.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row[0] != name and not row[0].startswith(name + "/")]
    place = site(root) / name
    for path in [place, *sorted(place.rglob("*"))]:
        if path.is_file():
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append([str(path.relative_to(site(root))), "sha256=" + digest, str(len(content))])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    where.write_text(text.getvalue(), encoding="utf-8")


def changed(root):
    path = site(root) / "dagster/_core/storage/runs/sql_run_storage.py"
    path.write_text(path.read_text() + "\n# of somebody else\n")


def more(root):
    (site(root) / "dagster/_core/storage/planted.py").write_text("")


def second_distribution(root):
    (info,) = site(root).glob("six-*.dist-info")
    other = site(root) / "six-0.1.dist-info"
    shutil.copytree(info, other)
    edit(other / "METADATA", r"\nVersion: .*", "\nVersion: 0.1")


def second_module(root):
    other = root / "other/dagster_pipes"
    shutil.copytree(site(root) / "dagster_pipes", other)
    (site(root) / "other.pth").write_text("%s\n" % other.parent)


def newer(root):
    """tqdm 5, which dagster does not allow."""
    (info,) = site(root).glob("tqdm-*.dist-info")
    edit(info / "METADATA", r"\nVersion: .*", "\nVersion: 5.0.0")


def other_machine(root):
    """What does not load is done without it there: websockets has the same in Python."""
    (path,) = site(root).glob("websockets/speedups.cpython-*.so")
    content = bytearray(path.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")
    path.write_bytes(content)


def other_python(root):
    (path,) = site(root).glob("websockets/speedups.cpython-*.so")
    path.rename(path.with_name(re.sub(r"cpython-\d+", "cpython-38", path.name)))


def no_syntax(root):
    name = "dagster/_utils/test/mysql_instance.py"
    path = site(root) / name
    path.write_text(path.read_text() + "\ndef (:\n")
    record(root, name)


def lazily_missing(root):
    """A module that one command imports in a function: no wheel has it any more."""
    name = "dagster/_core/storage/migration/bigint_migration.py"
    (site(root) / name).unlink()
    record(root, name)


MIGRATIONS = "dagster/_core/storage/alembic/versions/"


def two_heads(root):
    folder = site(root) / MIGRATIONS
    (last,) = folder.glob("048_*.py")
    other = folder / "049_another.py"
    other.write_text(re.sub(r'(?m)^revision = ".*"', 'revision = "0123456789ab"', last.read_text()))
    record(root, MIGRATIONS + other.name)


def upgrade_raises(root):
    name = MIGRATIONS + "041_add_asset_check_executions_table.py"
    edit(site(root) / name, r"(def upgrade\(\).*:\n)", r'\1    raise Exception("no such luck")\n')
    record(root, name)


def older_python(root):
    (info,) = site(root).glob("dagster_pipes-*.dist-info")
    edit(info / "METADATA", r"\nRequires-Python: .*", "\nRequires-Python: >=3.6,<3.8")


def other_version(root):
    """Of a package without a command that says it."""
    name = "dagster_pipes/version.py"
    edit(site(root) / name, r'"1\.12\.1"', '"1!0+dev"')
    record(root, name)


# As in check.py: how, the probe that must find it, and a word of the cause that it must say.
BREAKS = {
    "a file of Dagster's changed": (changed, "files", "sql_run_storage.py"),
    "a file of Dagster's removed": (
        lambda root: (site(root) / "dagster/_utils/test/mysql_instance.py").unlink(), "files",
        "no `dagster/_utils/test/mysql_instance.py`"),
    "a file in Dagster that it did not bring": (more, "files", "planted.py"),
    "a file of another distribution removed": (
        lambda root: (site(root) / "tqdm/contrib/telegram.py").unlink(), "files", "no `tqdm/contrib/telegram.py`"),
    "a file that every Python reads, of nobody": (
        lambda root: (site(root) / "stray.pth").write_text("\n"), "distributions", "stray.pth"),
    "a Python that is not allowed": (older_python, "bounds", "Python, which `dagster-pipes` requires: a version >=3.6"),
    "1!0+dev in a package without commands": (other_version, "imports", "`dagster_pipes.version.__version__`"),
    "a second distribution of a name": (second_distribution, "distributions", "six-0.1.dist-info"),
    "a second copy of a module": (second_module, "distributions", "other/dagster_pipes"),
    "a bound that does not hold": (newer, "bounds", "`tqdm`, which `dagster` requires: a version <5, 5.0.0"),
    "a module of another machine": (other_machine, "compiled modules", "one for aarch64"),
    "a module of another Python": (other_python, "compiled modules", "one for `cpython-38"),
    "a syntax error deep in Dagster": (no_syntax, "syntax", "mysql_instance.py"),
    "a lazily imported module gone": (
        lazily_missing, "lazy imports", "bigint_migration` (dagster/_cli/instance.py:"),
    "two last migrations": (two_heads, "migrations", "0123456789ab"),
    "a migration that raises": (upgrade_raises, "migrations", "in `041_add_asset_check_executions_table.py`"),
}

# With these nothing else may be red. Dagster itself does not start over two last migrations.
ALONE = {
    **{name: {probe} for name, (_, probe, _) in BREAKS.items() if name != "two last migrations"},
    # what is recorded is the other name, or the other text
    "a module of another Python": {"compiled modules", "files"},
    "a Python that is not allowed": {"bounds", "files"},
}
