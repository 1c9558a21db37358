"""Can what our packages import be imported?

`packages`: the packages themselves, from where they must come, with the version that those say which have no
command to say it. `lazy`: every module of the looked-at
packages, and every import within a function of theirs, which nobody meets who only starts a command. What
such an import must find:

* modules of what the distribution requires, directly or not, and of Python's library;
* not what none of those provides, an optional extra; nor a module that runs into such an import;
* not where the code itself counts on it missing: in a `try` that catches ImportError, or where it asks
  for a system, for a version of Python, or for a type checker.

A module that raises something else and that nobody imports is a script, and is not asked. One that does
not compile is the check of syntax's.
"""

import ast
import importlib.util
import os
import re
import sys
import sysconfig

from xtask_installed.modules import modules, root
from xtask_installed.records import rows
from xtask_installed.requirements import installed, walk

# A line that may be an import within a function: files without one are not parsed.
INDENTED = re.compile(rb"^[ \t]+(?:import|from)[ \t]", re.M)
CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
ASKED = {"TYPE_CHECKING", "platform", "version_info"}


def said(error):
    return "`%s`" % " ".join(("%s: %s" % (type(error).__name__, error)).split())


def packages(task):
    problems = []
    for name, expected in task["modules"].items():
        what = "`import %s`" % name
        try:
            found = importlib.import_module(name).__file__
        except (Exception, SystemExit) as error:
            problems.append([what, "no error", said(error)])
            continue
        if found is None or os.path.realpath(found) != os.path.realpath(expected):
            problems.append([what, "`%s`" % expected, "`%s`" % found])
    return " ".join(task["modules"]), problems + list(versions(task))


def versions(task):
    """What packages without commands say of their version, which nobody else compares."""
    for name, module in task["own"].items():
        distribution = installed(task).get(name)
        if distribution and not any(entry.group == "console_scripts" for entry in distribution.entry_points):
            try:
                found = importlib.import_module(module + ".version").__version__
            except Exception:
                continue  # it has none, or is a finding
            if found != distribution.version:
                yield ["`%s.version.__version__`" % module, "`%s`" % distribution.version, "`%s`" % found]


class Imports(ast.NodeVisitor):
    """Collects what the functions of a module import, as (module, names, line)."""

    def __init__(self, package):
        self.package, self.found, self.depth = package, [], 0

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.all(node.body)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def all(self, nodes):
        for node in nodes:
            self.visit(node)

    def generic_visit(self, node):
        """Statements only: no expression holds an import."""
        if isinstance(node, (ast.stmt, ast.Module)) or type(node).__name__ == "match_case":
            for name in ("body", "orelse", "finalbody", "cases"):
                self.all(getattr(node, name, []))

    def visit_Try(self, node):
        if not any(map(is_caught, node.handlers)):
            self.all(node.body)
        for handler in node.handlers:
            self.all(handler.body)
        self.all(node.orelse + node.finalbody)

    def visit_If(self, node):
        if not any(map(asks, ast.walk(node.test))):
            self.all(node.body + node.orelse)

    def visit_Import(self, node):
        for alias in node.names:
            self.add(alias.name, (), node)

    def visit_ImportFrom(self, node):
        base = self.package.split(".")
        base = base[: len(base) + 1 - node.level] if node.level else []
        name = ".".join([*base, node.module] if node.module else base)
        self.add(name, tuple(alias.name for alias in node.names if alias.name != "*"), node)

    def add(self, name, names, node):
        if self.depth:
            self.found.append((name, names, node.lineno))


def last(node):
    """The last word of a name, as `platform` of `sys.platform`."""
    return getattr(node, "id", getattr(node, "attr", None))


def asks(node):
    is_os_name = last(node) == "name" and last(getattr(node, "value", None)) == "os"
    return is_os_name or last(node) in ASKED


def is_caught(handler):
    return handler.type is None or any(last(part) in CAUGHT for part in ast.walk(handler.type))


def within_functions(module, path):
    with open(path, "rb") as file:
        text = file.read()
    if not INDENTED.search(text):
        return []
    is_package = os.path.basename(path) == "__init__.py"
    visitor = Imports(module if is_package else module.rpartition(".")[0])
    visitor.visit(ast.parse(text, path))
    return visitor.found


def provided(distribution):
    """The packages and modules of a distribution, by the first part of their names that is a package."""
    found = set()
    paths = set(rows(distribution) or {})
    for path in paths:
        folders = path.split("/")
        at = next((at for at in range(1, len(folders))
                   if "/".join([*folders[:at], "__init__.py"]) in paths), None)
        if at is not None:
            found.add(".".join(folders[:at]))
        elif path.endswith((".py", ".so")):
            found.add(".".join([*folders[:-1], folders[-1].split(".")[0]]))
    return found


def library():
    """The names of Python's own modules."""
    if hasattr(sys, "stdlib_module_names"):
        return set(sys.stdlib_module_names)
    # Before 3.10.
    files = os.listdir(sysconfig.get_path("stdlib"))
    return {name.split(".")[0] for name in files} | set(sys.builtin_module_names)


class Expected:
    """What a distribution may count on: Python's library, and what it requires."""

    def __init__(self, found, name):
        self.names = library()
        for reached in walk(found, [name])[0]:
            self.names |= provided(found[reached])

    def holds(self, module):
        parts = (module or "").split(".")
        return any(".".join(parts[:end]) in self.names for end in range(1, len(parts) + 1))


def attempt(name, names=()):
    """What is wrong with an import, done as the statement does it."""
    try:
        module = importlib.import_module(name)
        for member in names:
            if hasattr(module, member):
                continue
            whole = "%s.%s" % (name, member)
            if not hasattr(module, "__path__") or importlib.util.find_spec(whole) is None:
                raise ImportError("cannot import name `%s` from `%s`" % (member, name))
            importlib.import_module(whole)
    except (Exception, SystemExit) as error:
        return error
    return None


def import_all(names):
    """The modules that cannot be imported, with their errors. Some can only be when another has been."""
    failed = [name for name in sorted(names) if attempt(name)]
    errors = {name: attempt(name) for name in failed}
    return {name: error for name, error in errors.items() if error}


class Lazy:
    """The modules of one distribution, and what their functions import."""

    def __init__(self, found, name, top):
        self.expected = Expected(found, name)
        self.base = os.path.dirname(top)
        self.modules = modules(top)
        self.failed = import_all(self.modules)
        self.tried, self.optional, self.problems = {}, set(), {}

    def look(self):
        for module, error in self.failed.items():
            missing = isinstance(error, ImportError) and error.name or ""
            if not self.expected.holds(missing):
                self.optional |= {missing} if isinstance(error, ModuleNotFoundError) else set()
            elif isinstance(error, ModuleNotFoundError) or missing.startswith("dagster"):
                self.add(module, error, self.modules[module], None)
        for module, path in self.modules.items():
            if module not in self.failed:
                for name, names, line in within_functions(module, path):
                    self.try_import(name, names, path, line)

    def try_import(self, name, names, path, line):
        if not self.expected.holds(name):
            self.optional.add(name)
            return
        if (name, names) not in self.tried:
            self.tried[name, names] = attempt(name, names)
        error = self.tried[name, names]
        if error is None or isinstance(error, SyntaxError):
            return
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and not self.expected.holds(missing):
            self.optional.add(missing)
        else:
            self.add(name, error, path, line)

    def add(self, name, error, path, line):
        place = os.path.relpath(path, self.base)
        place = "%s:%d" % (place, line) if line else place
        self.problems.setdefault((name, said(error)), []).append(place)


def lazy(task):
    found = installed(task)
    count, imports, optional, problems = 0, 0, set(), []
    for name, module in task["own"].items():
        if name not in found:
            continue
        looked = Lazy(found, name, root(task, module))
        looked.look()
        count += len(looked.modules) - len(looked.failed)
        imports += len(looked.tried)
        optional |= {name.split(".")[0] for name in looked.optional}
        for (wanted, error), places in looked.problems.items():
            more = " and %d more" % (len(places) - 1) if len(places) > 1 else ""
            problems.append(["`import %s` (%s%s)" % (wanted, places[0], more), "no error", error])
    words = "%d modules, and %d imports in their functions" % (count, imports)
    if optional:
        words += "; not required and not asked: " + " ".join(sorted(optional))
    return words, problems
