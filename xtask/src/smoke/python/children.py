"""An asset that starts children: through `sys.executable`, plainly, and by Dagster Pipes. What came
of each is written to `children.json`, as JSON: name -> nothing, or what went wrong.

Read from `task.json`: `own`, the modules that `sys.executable` must import; `python`, which runs the
other children, nothing for `sys.executable`; `modules`, what those import."""

import json
import os
import subprocess
import sys

from dagster import (
    AssetExecutionContext,
    Definitions,
    MaterializeResult,
    PipesSubprocessClient,
    asset,
    define_asset_job,
)

HERE = os.path.dirname(os.path.abspath(__file__))
CHILD = os.path.join(HERE, "child.py")

with open(os.path.join(HERE, "task.json"), encoding="utf-8") as task:
    TASK = json.load(task)
PYTHON = TASK["python"] or sys.executable


def start(*command):
    """Nothing, or how a process ended that did not end well."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    words = ended.stderr.decode(errors="replace").strip().splitlines()
    return "status %d: %s" % (ended.returncode, "".join(words[-1:])) if ended.returncode else None


def file(name):
    return os.path.join(HERE, name)


@asset
def children(context: AssetExecutionContext) -> MaterializeResult:
    came_of = {
        "own": start(sys.executable, "-c", "import " + ", ".join(TASK["own"])),
        "plain": start(PYTHON, CHILD, file("plain.json"), *TASK["modules"]),
    }
    result = MaterializeResult()
    try:
        command = [PYTHON, CHILD, file("pipes.json"), *TASK["modules"]]
        result = PipesSubprocessClient().run(context=context, command=command).get_materialize_result()
        came_of["reported"] = result.metadata["python"].value
        came_of["pipes"] = None
    except Exception as error:
        came_of["pipes"] = "%s: %s" % (type(error).__name__, error)
    with open(file("children.json"), "w", encoding="utf-8") as report:
        json.dump(came_of, report)
    return result


defs = Definitions(assets=[children], jobs=[define_asset_job("children_job")])
