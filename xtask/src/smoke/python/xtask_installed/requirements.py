"""Checks that what distributions require is there, without running any of them.

Every requirement of the given distributions, and of all that those require, must be installed: by
name, with its markers and the extras that are asked for. What else lies on the path is not theirs
to answer for. Version bounds are another check's.

Requirements and markers as in PEP 508, versions as in PEP 440; read here, because no library for them is
sure to be there.
"""

import functools
import importlib.metadata
import os
import platform
import re
import sys

TOKEN = re.compile(
    r"\s*(?:(?P<op>===|==|~=|!=|<=|>=|<|>|not\s+in\b|in\b)|(?P<word>and\b|or\b|[()])"
    r"|(?P<text>'[^']*'|\"[^\"]*\")|(?P<name>[a-z_][a-z0-9_.]*))"
)
REQUIREMENT = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*([^;]*)(?:;(.*))?$", re.S
)
VERSION = re.compile(
    r"\s*v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?"
    r"(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+.*)?\s*",
    re.I,
)
PHASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.lru_cache(maxsize=None)
def environment():
    info = sys.implementation.version
    version = "%d.%d.%d" % info[:3]
    if info.releaselevel != "final":
        version += info.releaselevel[0] + str(info.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def release(text):
    """Epoch and numbers of a version, and a key that puts versions of the same numbers in order; `None`
    for what is no version."""
    match = VERSION.fullmatch(text)
    if match is None:
        return None
    epoch, numbers, phase, number, bare, post, revision, dev, build = match.groups()
    is_after = bool(post or bare)
    if phase:
        phase = PHASES.get(phase.lower(), phase.lower())
    else:
        # A development version without a phase comes before all phases, a final one after them.
        phase = "" if dev and not is_after else "z"
    after = int(bare or revision or 0) + 1 if is_after else 0
    before = (0, int(build or 0)) if dev else (1, 0)
    key = (phase, int(number or 0), after, before)
    return int(epoch or 0), [int(part) for part in numbers.split(".")], key


def compare(left, op, right):
    """Is a version, or another text, as compared with another one?"""
    if op == "in":
        return left in right
    if op == "not in":
        return left not in right
    if op == "===":
        return left == right
    one = release(left)
    if op in ("==", "!=") and right.endswith(".*"):
        wanted = release(right[:-2])
        if wanted and one:
            size = len(wanted[1])
            start = (one[1] + [0] * size)[:size]
            return ((one[0], start) == wanted[:2]) == (op == "==")
    other = release(right)
    if one is None or other is None:
        if op == "~=":
            raise ValueError("no versions: %r ~= %r" % (left, right))
        return ordered(left, op, right)
    if op == "~=":
        start = ".".join(map(str, other[1][:-1]))
        return compare(left, ">=", right) and compare(left, "==", "%d!%s.*" % (other[0], start))
    size = max(len(one[1]), len(other[1]))
    one, other = ((a, b + [0] * (size - len(b)), c) for a, b, c in (one, other))
    if op in ("<", ">") and one[:2] == other[:2] and other[2][0] == "z" and not other[2][2]:
        # Neither a phase of a version nor what comes after it is beyond it.
        if (op == "<") == (one[2][0] != "z"):
            return False
    return ordered(one, op, other)


def ordered(one, op, other):
    return {
        "==": one == other, "!=": one != other, "<": one < other,
        "<=": one <= other, ">": one > other, ">=": one >= other,
    }[op]


class Marker:
    """`or` of `and` of comparisons and parentheses, evaluated as it is read."""

    def __init__(self, text, variables):
        self.text, self.variables = text, variables
        self.tokens = []
        at = 0
        text = text.strip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise ValueError("marker %r" % self.text)
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def value(self):
        found = self.either()
        if self.tokens:
            raise ValueError("marker %r" % self.text)
        return found

    def take(self, kind, word=None):
        if not self.tokens or self.tokens[0][0] != kind or word not in (None, self.tokens[0][1]):
            return None
        return self.tokens.pop(0)[1]

    def either(self):
        found = self.both()
        while self.take("word", "or"):
            found = self.both() or found
        return found

    def both(self):
        found = self.one()
        while self.take("word", "and"):
            found = self.one() and found
        return found

    def one(self):
        if self.take("word", "("):
            found = self.either()
            if not self.take("word", ")"):
                raise ValueError("marker %r" % self.text)
            return found
        left, is_extra = self.operand()
        op = self.take("op")
        right, also_extra = self.operand()
        if op is None:
            raise ValueError("marker %r" % self.text)
        if is_extra or also_extra:
            left, right = normalised(left), normalised(right)
        return compare(left, re.sub(r"\s+", " ", op), right)

    def operand(self):
        text = self.take("text")
        if text is not None:
            return text[1:-1], False
        name = self.take("name")
        # Old metadata has `os.name`; newer than PEP 508 are `extras` and `dependency_groups`.
        name = name and name.replace(".", "_")
        if name not in self.variables:
            raise ValueError("marker %r" % self.text)
        return self.variables[name], name == "extra"


def parse(line):
    """A requirement's name, extras, bounds (none of an URL) and marker."""
    match = REQUIREMENT.match(line)
    if match is None:
        raise ValueError("requirement %r" % line)
    name, extras, rest, marker = match.groups()
    if rest.startswith("@"):
        # An URL may hold a `;`: only one after a space starts the marker.
        rest, _, marker = "", *line.partition(" ;")[1:]
    extras = [normalised(extra) for extra in (extras or "").split(",") if extra.strip()]
    return normalised(name), extras, rest.strip().strip("()"), (marker or "").strip()


@functools.lru_cache(maxsize=None)
def distributions(path):
    found = {}
    for distribution in importlib.metadata.distributions(path=list(path)):
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normalised(name), distribution)
    return found


def installed(task):
    """By name: the first on the path hides the others, as it does for imports."""
    return distributions(tuple(task["path"]))


def applies(marker, extra=""):
    return not marker or Marker(marker, dict(environment(), extra=extra)).value()


def walk(found, names):
    """The names that distributions reach, and each (name, extra, requirement) not installed."""
    pending = [(name, "") for name in names if name in found]
    seen, missing = set(pending), []
    while pending:
        name, extra = pending.pop(0)
        for line in found[name].requires or []:
            needed, extras, _, marker = parse(line)
            if not applies(marker, extra):
                continue
            if needed not in found:
                missing.append((name, extra, line))
                continue
            for pair in [(needed, asked) for asked in ["", *extras]]:
                if pair not in seen:
                    seen.add(pair)
                    pending.append(pair)
    return {name for name, _ in seen}, missing


def check(task):
    found = installed(task)
    problems = []
    for name, expected in task["versions"].items():
        version = found[name].version if name in found else None
        if version != expected:
            words = "`%s`" % version if version else "no such distribution"
            problems.append(["version of `%s`" % name, "`%s`" % expected, words])
    reached, missing = walk(found, task["versions"])
    reported = set()
    for name, extra, line in missing:
        # What is required anyway is required with every extra, too.
        if (name, line) not in reported:
            reported.add((name, line))
            asked = "%s[%s]" % (name, extra) if extra else name
            problems.append(["requirements of `%s`" % asked, "`%s`" % line, "nothing of that name"])
    return "%d distributions have what they need" % len(reached), problems
