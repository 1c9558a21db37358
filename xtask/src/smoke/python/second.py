"""Run by a Python that is not the tree's: makes a virtual environment of it with packages of its own
that have the names of some of the tree's. Arguments: the directory, and where the tree has
`dagster_pipes`. Output, the last line, JSON: `python`, `version`, and `compiled`, whether one of the
packages holds compiled code.

Dagster Pipes is pure Python and asks for nothing, so the tree's can be copied. The compiled package
is an extension module of this Python's own standard library under a foreign name: like any of a
package index it fits this version only, and neither a compiler nor a network is needed."""

import importlib.util
import json
import os
import shutil
import sys
import venv

EXTENSIONS = ["_json", "_queue", "_opcode", "_bisect", "_csv", "_zoneinfo", "_uuid", "_ctypes"]


def extension():
    for name in EXTENSIONS:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin and os.path.isfile(spec.origin):
            return name, spec.origin
    return None, None


def main():
    target, pipes = sys.argv[1:]
    venv.EnvBuilder(symlinks=True).create(target)
    site = os.path.join(target, "lib/python%d.%d/site-packages" % sys.version_info[:2])
    shutil.copytree(
        pipes, os.path.join(site, "dagster_pipes"), ignore=shutil.ignore_patterns("__pycache__")
    )
    package = os.path.join(site, "pydantic_core")
    os.mkdir(package)
    name, file = extension()
    if name:
        shutil.copy(file, package)
    with open(os.path.join(package, "__init__.py"), "w", encoding="utf-8") as init:
        init.write("from pydantic_core import %s\n" % name if name else "")
    found = {
        "python": os.path.join(target, "bin/python3"),
        "version": "%d.%d.%d" % sys.version_info[:3],
        "compiled": bool(name),
    }
    print("\n" + json.dumps(found))


main()
