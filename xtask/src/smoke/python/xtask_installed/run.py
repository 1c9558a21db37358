"""Looks at what is installed in this interpreter: one check after the other in one start of it.

Input, a JSON file:

    path        `sys.path` of a command of the tree
    versions    of every distribution of ours that the command can see, name -> version
    modules     their modules, name -> the file that it must come from
    own         the distributions, among these, that are looked at closely, name -> module
    upstream    what upstream's source requires, name -> requirements, where metadata may say less; null
                where it does and there is no source
    checks      names of the checks
    answers     the file that the answers go to

Output, in that file: for each check, when it has ended, a line of JSON with its `name`, `seconds`, what
it `found` in a few words, and `problems` as [what, expected, found].

The files beside this one are the checks. What the tree has comes into play in this order: nothing of it
is run before the check of imports.
"""

import gc
import json
import os
import sys
import time
import traceback
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))


def checks():
    """By name, in their order. Imported before the path is the tree's."""
    sys.path.insert(0, os.path.dirname(HERE))
    from xtask_installed import bounds, compiled, imports, migrations, records, requirements, syntax

    return {
        "requirements": requirements.check,
        "distributions": records.distributions,
        "files": records.files,
        "bounds": bounds.check,
        "compiled modules": compiled.check,
        "syntax": syntax.check,
        "imports": imports.packages,
        "migrations": migrations.check,
        "lazy imports": imports.lazy,
    }


def answer(name, check, task):
    start = time.monotonic()
    try:
        found, problems = check(task)
    except Exception as error:
        traceback.print_exc()
        words = "`%s: %s`" % (type(error).__name__, error)
        found, problems = None, [[name, "it to run", " ".join(words.split())]]
    seconds = time.monotonic() - start
    return {"name": name, "seconds": seconds, "found": found, "problems": problems}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        task = json.load(file)
    known = checks()
    sys.path[:] = task["path"]
    # All of this ends soon: collecting costs more than what it frees.
    gc.disable()
    warnings.simplefilter("ignore")
    with open(task["answers"], "w", encoding="utf-8") as file:
        for name in task["checks"]:
            print(json.dumps(answer(name, known[name], task)), file=file, flush=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # What was imported may want to do more at the end.
    os._exit(0)


if __name__ == "__main__":
    main()
