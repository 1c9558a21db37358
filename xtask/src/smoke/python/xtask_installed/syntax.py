"""Does this Python compile every file of ours? Nothing is run or written."""

import os

from xtask_installed.modules import files, root


def fault(path):
    with open(path, "rb") as file:
        text = file.read()
    try:
        compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return "line %s: %s" % (error.lineno, error.msg)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def check(task):
    count, problems = 0, []
    for module in task["own"].values():
        place = root(task, module)
        for path in files(place):
            count += 1
            found = fault(path)
            if found:
                name = os.path.relpath(path, os.path.dirname(place))
                problems.append(["`%s`" % name, "what Python compiles", found])
    return "%d files compile" % count, problems
