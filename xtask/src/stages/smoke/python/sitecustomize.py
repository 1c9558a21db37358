"""Put on the path of one run of a tree's command: writes, at its end, which interpreter ran it and
what its path was. The tree's own `sitecustomize`, if it has one, runs as it would without this."""

import atexit
import importlib.machinery
import importlib.util
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPORT = os.environ.pop("XTASK_SMOKE_REPORT", None)


def is_other(path):
    return os.path.abspath(path or ".") != HERE


def report():
    program = os.path.dirname(os.path.abspath(sys.argv[0]))
    value = {
        "executable": sys.executable,
        "version": "%d.%d" % sys.version_info[:2],
        "path": [
            path
            for path in map(os.path.abspath, sys.path)
            if path not in (HERE, program, os.getcwd())
        ],
    }
    with open(REPORT, "w", encoding="utf-8") as file:
        json.dump(value, file)


if REPORT is not None:
    atexit.register(report)

# As if it had never been there, for this process and for those it starts.
sys.path[:] = filter(is_other, sys.path)
left = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(is_other, left))
if not os.environ["PYTHONPATH"]:
    del os.environ["PYTHONPATH"]

spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
if spec is not None:
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)
