"""Are the versions that are there within the bounds that our distributions declare?

The metadata that is installed is kept by whoever installs it: pip refuses, and so does nixpkgs' check of
a wheel, so a bound there that does not hold is a fault. nixpkgs' hook takes bounds away before
(`pythonRelaxDeps`). Where upstream's source is part of the tree, it says what they were: what is outside of
those only is named, and is no fault; elsewhere the answer says that it was not known. Bounds of other
distributions are their packagers' business. The Python must be one that ours allow, too.
"""

import os
import platform
import re
import sys

from xtask_installed.requirements import applies, compare, installed, parse

BOUND = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*(\S+)\s*")


def broken(version, bounds):
    """Is a version outside of a list of bounds?"""
    for text in filter(None, (part.strip() for part in bounds.split(","))):
        match = BOUND.fullmatch(text)
        if match is None:
            raise ValueError("bound %r" % text)
        if not compare(version, match[1], match[2]):
            return True
    return False


def outside(found, lines):
    """The requirements that do not hold, name -> (version, bounds), and how many were compared."""
    wrong, count = {}, 0
    for line in lines:
        name, _, bounds, marker = parse(line)
        if bounds and name in found and applies(marker):
            count += 1
            if broken(found[name].version, bounds):
                wrong[name] = found[name].version, bounds
    return wrong, count


def python():
    """The version of this Python, or of that which it says to stand in for (`smoke/interpreter.rs`)."""
    try:
        with open(os.path.join(sys.base_prefix, "nix-support/stands-in-for"), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return platform.python_version()


def check(task):
    found = installed(task)
    total, problems, relaxed = 0, [], {}
    for name in task["own"]:
        if name not in found:
            continue
        wrong, count = outside(found, found[name].requires or [])
        total += count
        bounds = found[name].metadata["Requires-Python"]
        if bounds and broken(python(), bounds):
            problems.append(["Python, which `%s` requires" % name, "a version %s" % bounds, python()])
        for needed, (version, bounds) in wrong.items():
            what = "`%s`, which `%s` requires" % (needed, name)
            problems.append([what, "a version %s" % bounds, version])
        beyond, _ = outside(found, (task["upstream"] or {}).get(name, []))
        for needed, pair in beyond.items():
            if needed not in wrong:
                relaxed[needed] = pair
    words = "%d hold" % total
    if task["upstream"] is None:
        words += ", of those that packaging left"
    if relaxed:
        each = ("%s %s %s" % (name, *pair) for name, pair in sorted(relaxed.items()))
        words += "; outside upstream's bounds, relaxed: " + ", ".join(each)
    return words, problems
