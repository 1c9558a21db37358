"""Are the distributions of ours whole, and is there one of each name?

What a distribution consists of stands in its RECORD (packaging.python.org, "Recording installed
projects"): path, hash and size of each file. Not compared are

* files without a hash there: RECORD itself, and bytecode, which differs from place to place;
* files outside of the directory of packages, which are commands: Nix moves them and puts others in their
  place, and a copy of a virtual environment has other first lines. The probes of commands run them.

Of other distributions every recorded file must be there, but for what nixpkgs takes away: tests, and what
describes the distribution.
"""

import base64
import csv
import hashlib
import importlib.metadata
import os
import re

from xtask_installed.requirements import installed, normalised

# As `__editable__.NAME-1.0.pth`, `__editable___NAME_1_0_finder.py`.
LINK = re.compile(r"(.+)\.egg-link|__editable__[._](.+?)[-_]\d.*")
# Directories that packagers take out of other distributions.
TAKEN_OUT = {"__pycache__", "test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks"}
# Of those that make virtual environments, and of distributions that have no RECORD.
OWNERLESS = re.compile(r"_virtualenv\.pth|.+-nspkg\.pth|easy-install\.pth")
# So many of the files with the same fault are named.
NAMED = 3


def rows(distribution):
    """What is recorded within the directory of packages, path -> (hash, size); `None`: nothing is."""
    text = distribution.read_text("RECORD")
    if text is None:
        return None
    found = {}
    for row in csv.reader(text.splitlines()):
        if row and not os.path.isabs(row[0]) and not row[0].startswith(".."):
            found[row[0]] = (row + ["", ""])[1:3]
    return found


def digest(content, algorithm):
    value = hashlib.new(algorithm, content).digest()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def is_different(path, recorded, size):
    """`None` where it is as recorded."""
    algorithm, _, value = recorded.partition("=")
    with open(path, "rb") as file:
        content = file.read()
    if size and len(content) != int(size):
        return "%d bytes instead of %s" % (len(content), size)
    return None if digest(content, algorithm) == value else "another content"


def extra(base, recorded):
    """Files in the modules of a distribution that it did not bring."""
    tops = {path.split("/")[0] for path in recorded if "/" in path}
    for top in sorted(top for top in tops if not top.endswith(".dist-info")):
        for folder, folders, files in os.walk(os.path.join(base, top), followlinks=True):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), base).replace(os.sep, "/")
                if path not in recorded:
                    yield path


def summary(paths):
    named = ", ".join("`%s`%s" % pair for pair in paths[:NAMED])
    return named if len(paths) <= NAMED else "%s, %d more" % (named, len(paths) - NAMED)


def compare(name, distribution):
    """The number of files that were compared, and what is wrong with them."""
    what = "files of `%s`" % name
    recorded = rows(distribution)
    if recorded is None:
        return 0, [[what, "a RECORD of them", "none"]]
    base = str(distribution.locate_file(""))
    count, missing, different = 0, [], []
    for path, (value, size) in recorded.items():
        place = os.path.join(base, path)
        if "__pycache__" in path.split("/"):
            continue
        count += 1
        if not os.path.isfile(place):
            missing.append((path, ""))
        elif value:
            found = is_different(place, value, size)
            if found:
                different.append((path, " with " + found))
    more = [(path, "") for path in extra(base, recorded)]
    problems = []
    for expected, words, paths in [
        ("all that are recorded", "no %s", missing),
        ("them as recorded", "%s", different),
        ("no other than are recorded", "%s", more),
    ]:
        if paths:
            problems.append([what, expected, words % summary(paths)])
    return count, problems


def gone(distribution):
    """Recorded files that are not there, and how many are recorded; nothing is opened."""
    base = str(distribution.locate_file(""))
    names = [
        name for name in rows(distribution) or {}
        if not TAKEN_OUT.intersection(name.split("/")) and not name.split("/")[0].endswith(".dist-info")
    ]
    return [name for name in names if not os.path.exists(os.path.join(base, name))], len(names)


def files(task):
    found = installed(task)
    count, problems = 0, []
    for name in task["own"]:
        if name not in found:
            problems.append(["files of `%s`" % name, "such a distribution", "none"])
            continue
        compared, wrong = compare(name, found[name])
        count += compared
        problems += wrong
    others = 0
    for name in sorted(set(found) - set(task["versions"])):
        missing, recorded = gone(found[name])
        others += recorded
        if missing:
            words = "no " + summary([(path, "") for path in missing])
            problems.append(["files of `%s`" % name, "all that are recorded", words])
    words = "%d, as recorded by %s; %d of others" % (count, " ".join(task["own"]), others)
    return words, problems


def places(path):
    """Where the metadata of each distribution lies, by normalised name. The same place may be on the
    path by several ways."""
    found = {}
    for distribution in importlib.metadata.distributions(path=path):
        name = distribution.metadata["Name"]
        # No other attribute says where it was found.
        place = os.path.realpath(str(distribution._path))
        if name:
            found.setdefault(normalised(name), {}).setdefault(place, distribution.version)
    return found


def linked(path, names):
    """Distributions of ours that stand elsewhere, in development: `NAME.egg-link`, or what setuptools
    writes for an editable one."""
    for folder in path:
        for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            match = LINK.fullmatch(file)
            if match and normalised(match[1] or match[2]) in names:
                yield os.path.join(folder, file)


def stray(path):
    """Files that every start of Python reads, beside distributions none of which recorded them. Alone they
    are how the expressions and others put packages on the path."""
    for folder in path:
        names = [name for name in sorted(os.listdir(folder)) if name.endswith(".pth")] if os.path.isdir(folder) else []
        found = list(importlib.metadata.distributions(path=[folder])) if names else []
        recorded = {name for distribution in found for name in rows(distribution) or {}}
        for name in names if found else []:
            if name not in recorded and not LINK.fullmatch(name) and not OWNERLESS.fullmatch(name):
                yield os.path.join(folder, name)


def copies(path, module):
    """Where a module is found, in order, each place once."""
    names = [os.path.join(module, "__init__.py"), module + ".py"]
    candidates = [os.path.join(folder, name) for folder in path for name in names]
    found = [os.path.realpath(place) for place in candidates if os.path.isfile(place)]
    return list(dict.fromkeys(found))


def distributions(task):
    found = places(task["path"])
    problems = []
    for name, versions in sorted(found.items()):
        if len(versions) > 1:
            each = ("%s in `%s`" % (version, place) for place, version in sorted(versions.items()))
            words = ", ".join(each)
            problems.append(["distribution `%s`" % name, "one", "%d: %s" % (len(versions), words)])
    for place in linked(task["path"], task["versions"]):
        problems.append(["`%s`" % place, "no distribution in development", "one"])
    for place in stray(task["path"]):
        problems.append(["`%s`" % place, "a file of a distribution", "one that none recorded"])
    for module in task["modules"]:
        where = copies(task["path"], module)
        if len(where) > 1:
            words = ", ".join("`%s`" % place for place in where)
            problems.append(["module `%s`" % module, "one", "%d: %s" % (len(where), words)])
    return "%d, one of each name" % len(found), problems
