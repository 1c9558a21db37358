"""Checks what installed distributions declare, without running any of them.

Every requirement of the given distributions, and of all that those require, must be installed: by
name, with its markers and the extras that are asked for. What else lies on the path is not theirs
to answer for. Version bounds are not looked at: whoever packages relaxes them.

Input, a JSON file: `path`, and `versions` as name -> version. Output, the last line, JSON: `count`,
and `problems` as [what, expected, found].

Requirements and markers as in PEP 508; read here, because no library for it is sure to be there.
"""

import importlib.metadata
import json
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
    r"\s*v?(\d+(?:\.\d+)*)((?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|dev)[-_.]?\d*)*)(?:\+.*)?\s*"
)


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


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
    """The numbers of a version, and whether it is final; `None` for what is no version."""
    match = VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    return numbers, not match[2]


def compare(left, op, right):
    if op == "in":
        return left in right
    if op == "not in":
        return left not in right
    if op == "===":
        return left == right
    if op in ("==", "!=") and right.endswith(".*"):
        wanted, found = release(right[:-2]), release(left)
        if wanted and found:
            return (found[0][: len(wanted[0])] == wanted[0]) == (op == "==")
    one, other = release(left), release(right)
    if one is None or other is None:
        one, other = left, right
        if op == "~=":
            raise ValueError("no versions: %r ~= %r" % (left, right))
    else:
        if op == "~=":
            start = other[0][:-1]
            return compare(left, ">=", right) and one[0][: len(start)] == start
        size = max(len(one[0]), len(other[0]))
        one = (one[0] + [0] * (size - len(one[0])), one[1])
        other = (other[0] + [0] * (size - len(other[0])), other[1])
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
    """A requirement's name, extras and marker."""
    match = REQUIREMENT.match(line)
    if match is None:
        raise ValueError("requirement %r" % line)
    name, extras, rest, marker = match.groups()
    if rest.startswith("@"):
        # An URL may hold a `;`: only one after a space starts the marker.
        _, _, marker = line.partition(" ;")
    extras = [normalised(extra) for extra in (extras or "").split(",") if extra.strip()]
    return normalised(name), extras, (marker or "").strip()


def distributions(path):
    """What is installed: the first on the path hides the others, as it does for imports."""
    found = {}
    for distribution in importlib.metadata.distributions(path=path):
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normalised(name), distribution)
    return found


def walk(installed, names):
    """The names that distributions reach, and each (name, extra, requirement) not installed."""
    base = environment()
    pending = [(name, "") for name in names if name in installed]
    seen, missing = set(pending), []
    while pending:
        name, extra = pending.pop(0)
        for line in installed[name].requires or []:
            needed, extras, marker = parse(line)
            if marker and not Marker(marker, dict(base, extra=extra)).value():
                continue
            if needed not in installed:
                missing.append((name, extra, line))
                continue
            for pair in [(needed, asked) for asked in ["", *extras]]:
                if pair not in seen:
                    seen.add(pair)
                    pending.append(pair)
    return {name for name, _ in seen}, missing


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        task = json.load(file)
    installed = distributions(task["path"])
    problems = []
    for name, expected in task["versions"].items():
        found = installed[name].version if name in installed else None
        if found != expected:
            words = "`%s`" % found if found else "no such distribution"
            problems.append(["version of `%s`" % name, "`%s`" % expected, words])
    reached, missing = walk(installed, task["versions"])
    reported = set()
    for name, extra, line in missing:
        # What is required anyway is required with every extra, too.
        if (name, line) not in reported:
            reported.add((name, line))
            asked = "%s[%s]" % (name, extra) if extra else name
            problems.append(["requirements of `%s`" % asked, "`%s`" % line, "nothing of that name"])
    print("\n" + json.dumps({"count": len(reached), "problems": problems}))


if __name__ == "__main__":
    main()
