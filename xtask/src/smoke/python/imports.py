"""Imports modules on a given path. Input, a JSON file: `path`, and `modules` as name -> the file it
must come from. Output, the last line, JSON: `count`, and `problems` as [what, expected, found]."""

import importlib
import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    task = json.load(file)
sys.path[:] = task["path"]

problems = []
for name, expected in task["modules"].items():
    what = "`import %s`" % name
    try:
        found = importlib.import_module(name).__file__
    except BaseException as error:
        problems.append([what, "no error", "`%s: %s`" % (type(error).__name__, error)])
        continue
    if found is None or os.path.realpath(found) != os.path.realpath(expected):
        problems.append([what, "`%s`" % expected, "`%s`" % found])
print("\n" + json.dumps({"count": len(task["modules"]), "problems": problems}))
