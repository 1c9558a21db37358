#!/usr/bin/env python3
"""Every `cargo xtask …` that a document or a workflow tells somebody to run exists, with its options.

Asks the program itself (`--help`), which must have been built: target/debug/xtask.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
XTASK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "xtask"

# `cargo xtask` and what follows it on the line, up to the end of the code or of the sentence.
CALL = re.compile(r"cargo xtask ([a-z-]+)([^`|#\n&;)]*)")
OPTION = re.compile(r"(?<!\S)(--[a-z-]+)")


def help_of(*command):
    """The help text of a command, or `None` if there is no such command."""
    asked = subprocess.run(
        [str(XTASK), *command, "--help"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
    )
    return asked.stdout if asked.returncode == 0 else None


def calls(text):
    for number, line in enumerate(text.splitlines(), 1):
        for found in CALL.finditer(line):
            yield number, found.group(1), OPTION.findall(found.group(2))


def check(text, helps):
    for number, command, options in calls(text):
        if command not in helps:
            helps[command] = help_of(command)
        if helps[command] is None:
            yield number, f"there is no `cargo xtask {command}`"
            continue
        for option in options:
            if not re.search(rf"(?<!\S){option}\b(?!-)", helps[command]):
                yield number, f"`cargo xtask {command}` has no `{option}`"


def main():
    overview = help_of()
    if not overview or "Commands:" not in overview:
        sys.exit(f"commands: expected `{XTASK} --help` to list commands; build it first")
    helps = {}
    wrong = list(check("`cargo xtask bump 1.9.12 --no-such`, then `cargo xtask conjure`", helps))
    if [rule for _, rule in wrong] != [
        "`cargo xtask bump` has no `--no-such`", "there is no `cargo xtask conjure`",
    ]:
        sys.exit(f"commands: the check does not find its own faults: {wrong}")

    files = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / ".github/workflows").glob("*.yml"))]
    count = problems = 0
    for file in files:
        text = file.read_text()
        count += sum(1 for _ in calls(text))
        for line, rule in check(text, helps):
            print(f"{file.relative_to(ROOT)}:{line}: {rule}")
            problems += 1
    # and the other way round: what the program offers is documented
    readme = (ROOT / "README.md").read_text()
    for command in re.findall(r"^  ([a-z]+)  ", overview.split("Commands:")[1], re.MULTILINE):
        if not re.search(rf"xtask {command}\b", readme):
            print(f"README.md: does not mention `cargo xtask {command}`")
            problems += 1
    print(f"commands: {count} calls in {len(files)} files, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
