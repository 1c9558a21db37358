"""Put on the path of one run of a tree's command: writes which interpreter runs it and what its path
is. The tree's own `sitecustomize`, if it has one, runs as it would without this.

With `XTASK_SMOKE_RUN`, a file of Python: when the command first imports something of Dagster, that file is
run in its place, and nothing is written.

Written at the command's end. With `XTASK_SMOKE_MODULES`, names with a comma between them: when the
command first imports something of Dagster; where those modules lie is told, too, as the command finds
them (`modules`) and as a child through `sys.executable` does (`modules_of_child`), and the command
goes no further."""

import atexit
import importlib.machinery
import importlib.util
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPORT = os.environ.pop("XTASK_SMOKE_REPORT", None)
MODULES = [name for name in os.environ.pop("XTASK_SMOKE_MODULES", "").split(",") if name]
RUN = os.environ.pop("XTASK_SMOKE_RUN", None)
IN_CHILD = """import importlib.util, json, sys
found = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}
print(json.dumps({name: spec and spec.origin for name, spec in found.items()}))
"""

IN_ITS_PLACE = """import json, runpy, sys
sys.path[:], file = json.loads(sys.argv[1])
sys.argv[:] = [file]
runpy.run_path(file)
"""


def is_other(path):
    return os.path.abspath(path or ".") != HERE


def value():
    program = os.path.dirname(os.path.abspath(sys.argv[0]))
    return {
        "executable": sys.executable,
        "version": "%d.%d.%d" % sys.version_info[:3],
        "base_prefix": sys.base_prefix,
        "path": [
            path
            for path in map(os.path.abspath, sys.path)
            if path not in (HERE, program, os.getcwd())
        ],
    }


def report(**more):
    with open(REPORT, "w", encoding="utf-8") as file:
        json.dump(dict(value(), **more), file)


class AtDagster:
    """Is asked where each module is; at the first one of Dagster it tells what there is to tell."""

    def find_spec(self, name, *_):
        if name.startswith("dagster"):
            sys.meta_path.remove(self)
            if RUN is not None:
                # In a process of its own: here every other thread that imports from the package would
                # wait for this import, to which nobody comes back.
                task = json.dumps([sys.path, RUN])
                os.execv(sys.executable, [sys.executable, "-c", IN_ITS_PLACE, task])
            import subprocess

            found = {name: importlib.util.find_spec(name) for name in MODULES}
            child = subprocess.run(
                [sys.executable, "-c", IN_CHILD, *MODULES], stdout=subprocess.PIPE, check=True
            )
            report(
                modules={name: spec and spec.origin for name, spec in found.items()},
                modules_of_child=json.loads(child.stdout.decode()),
            )
            os._exit(0)


if MODULES or RUN is not None:
    sys.meta_path.insert(0, AtDagster())
elif REPORT is not None:
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
