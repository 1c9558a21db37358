#!/usr/bin/env python3
"""Rules about the files of this repository that no compiler checks.

Looks at what git tracks. Prints `file:line: rule` for everything found; exit status 1 if there is any.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Written in halves, so that this file passes its own rules.
REGISTRIES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "crates" + ".io",
    "npm" + "js.org",
    "golang" + ".org",
]
HOMES = re.compile(r"(?<![\w.$}/])/" + r"(?:root|home/\w+|Users/\w+)/")
LOCK_FILES = {"Cargo.lock"}

LONGEST_RUST_LINE = 100
UNFINISHED = re.compile(r"\b(todo|unimplemented|dbg)!\s*[(\[{]")
IGNORE = re.compile(r"#\[ignore\s*\]")
USES = re.compile(r"^\s*(?:-\s+)?uses:\s*(\S+)(.*)$")
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
VERSION_COMMENT = re.compile(r"^\s+# v\d+\.\d+\.\d+$")
PERSONAL_MARKS = re.compile(r"\b(?:FIXME|XXX)\b")


def everywhere(path, lines):
    """Rules for every text file."""
    if path not in LOCK_FILES:
        for number, line in enumerate(lines, 1):
            for host in REGISTRIES:
                if host in line:
                    yield number, f"names the package registry `{host}`: ask cargo or pip instead"
            if HOMES.search(line):
                yield number, "holds an absolute path of somebody's home directory"
    for number, line in enumerate(lines, 1):
        if re.match(r"(<{7}|>{7}) ", line):
            yield number, "holds a conflict marker"
        if re.search(r"[ \t]$", line):
            yield number, "ends in white space"


def rust(path, lines):
    if not lines or not lines[0].startswith("//!"):
        yield 1, "expected the file to open with `//!`, saying what it is for"
    for number, line in enumerate(lines, 1):
        # what the tool printed is quoted as it is
        quotes = path.startswith("tests/e2e/") or path.endswith("/tests.rs")
        quotes = quotes or line.lstrip().startswith("error: ")
        if len(line) > LONGEST_RUST_LINE and not quotes:
            yield number, f"expected at most {LONGEST_RUST_LINE} columns, found {len(line)}"
        code = line.split("//")[0]
        if found := UNFINISHED.search(code):
            yield number, f"holds `{found.group(1)}!`"
        if IGNORE.search(code):
            yield number, 'expected a reason: `#[ignore = "…"]`'
        if PERSONAL_MARKS.search(line):
            yield number, "expected an issue instead of a mark in the code"


def workflow(path, lines):
    for number, line in enumerate(lines, 1):
        if not (found := USES.match(line)):
            continue
        action, comment = found.groups()
        if action.startswith("./"):
            continue
        if not PINNED.match(action):
            yield number, f"expected `{action}` to be pinned by its commit (40 hex digits)"
        elif not VERSION_COMMENT.match(comment):
            yield number, f"expected the version of `{action.split('@')[0]}` as ` # vX.Y.Z`"
    if not any(re.match(r"permissions: \{\}$", line) for line in lines):
        yield 1, "expected `permissions: {}` on top and grants per job"


def rules_for(path):
    yield everywhere
    if path.endswith(".rs"):
        yield rust
    if path.startswith(".github/workflows/"):
        yield workflow


def check(path, text):
    """Everything that is wrong with one file, as `(line, rule)`."""
    lines = text.splitlines()
    return [problem for rule in rules_for(path) for problem in rule(path, lines)]


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE,
    )
    return sorted(name for name in listed.stdout.decode().split("\0") if name)


# Each rule must find its own fault: a rule that finds nothing ever is no rule.
SEEDED = [
    ("a.md", "see https://" + REGISTRIES[0] + "/simple", "package registry"),
    ("a.md", "cd /" + "root/work", "home directory"),
    ("a.md", "<" * 7 + " ours", "conflict marker"),
    ("a.md", "text ", "ends in white space"),
    ("a.rs", "fn main() {}", "open with"),
    ("a.rs", "//! A.\n" + "x" * 101, "at most 100 columns"),
    ("a.rs", "//! A.\nfn f() { todo" + "!() }", "holds `todo!`"),
    ("a.rs", "//! A.\n#[ignore" + "]", "expected a reason"),
    (".github/workflows/a.yml", "permissions: {}\nuses: a/b@v4", "pinned by its commit"),
    (".github/workflows/a.yml", "permissions: {}\nuses: a/b@" + "0" * 40, "# vX.Y.Z"),
    (".github/workflows/a.yml", "on: push", "`permissions: {}` on top"),
]


def main():
    for path, text, expected in SEEDED:
        found = [rule for _, rule in check(path, text)]
        if len(found) != 1 or expected not in found[0]:
            sys.exit(f"tidy: the rule `{expected}` does not find its fault: {found}")
    count = problems = 0
    for path in tracked():
        file = ROOT / path
        if file.is_symlink() or not file.is_file():
            continue
        data = file.read_bytes()
        if b"\0" in data:
            continue
        count += 1
        for line, rule in check(path, data.decode("utf-8", "replace")):
            print(f"{path}:{line}: {rule}")
            problems += 1
    print(f"tidy: {count} files, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
