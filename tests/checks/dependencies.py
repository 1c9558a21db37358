#!/usr/bin/env python3
"""The part of `deny.toml` that needs no network: licences, bans, sources, and the oldest Rust.

It stands in for `cargo deny check licenses bans sources` on machines without cargo-deny. Versions,
duplicates and advisories are cargo-deny's alone.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python before 3.11: pip brings one along
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_REGISTRY = re.compile(r"^registry\+https://github\.com/rust-lang/[a-z.]+-index$")
TOKEN = re.compile(r"\s*(\(|\)|/|[A-Za-z0-9.+-]+)")


def tokens(expression):
    position = 0
    while position < len(expression.rstrip()):
        found = TOKEN.match(expression, position)
        if not found:
            raise ValueError(f"expected an SPDX expression, found `{expression}`")
        position = found.end()
        yield "OR" if found.group(1) == "/" else found.group(1)


def is_allowed(expression, allowed, used):
    """Evaluates an SPDX expression; `used` collects the licences that made it true.

    expression = term *("OR" term) ; term = factor *("AND" factor)
    factor = "(" expression ")" / licence ["WITH" exception]
    """
    rest = list(tokens(expression))

    def either():
        result = both()
        while rest and rest[0] == "OR":
            rest.pop(0)
            result = both() or result
        return result

    def both():
        result = factor()
        while rest and rest[0] == "AND":
            rest.pop(0)
            result = factor() and result
        return result

    def factor():
        token = rest.pop(0)
        if token == "(":
            result = either()
            rest.pop(0)
            return result
        if rest and rest[0] == "WITH":
            rest.pop(0)
            token = f"{token} WITH {rest.pop(0)}"
        if token in allowed:
            used.add(token)
        return token in allowed

    result = either()
    if rest:
        raise ValueError(f"expected an SPDX expression, found `{expression}`")
    return result


def check(config, packages):
    allowed, used = set(config["licenses"]["allow"]), set()
    exceptions = {entry["crate"]: set(entry["allow"]) for entry in config["licenses"].get("exceptions", [])}
    banned = {entry["crate"] for entry in config["bans"]["deny"]}
    ours = [tuple_of(p["rust_version"]) for p in packages if not p["source"] and p["rust_version"]]
    for package in packages:
        name, licence = package["name"], package["license"]
        if not licence:
            yield f"`{name}` states no licence"
        elif not is_allowed(licence, allowed | exceptions.pop(name, set()), used):
            yield f"`{name}` is under `{licence}`, which deny.toml does not allow"
        if name in banned:
            yield f"`{name}` is banned by deny.toml"
        if not package["source"]:
            continue
        if not DEFAULT_REGISTRY.match(package["source"]):
            yield f"`{name}` comes from `{package['source']}`, not from cargo's default registry"
        oldest = package["rust_version"]
        if oldest and any(tuple_of(oldest) > version for version in ours):
            yield f"`{name}` {package['version']} needs Rust {oldest}, our rust-version is older"
    for name in sorted(exceptions):
        yield f"deny.toml makes an exception for `{name}`, which is no dependency"
    for licence in sorted(allowed - used):
        yield f"deny.toml allows `{licence}`, which no dependency needs"


def tuple_of(version):
    return tuple(int(number) for number in version.split(".")[:2])


def package(**changed):
    source = "registry+https://github.com/rust-lang/crates" + ".io-index"
    return {"name": "a", "version": "1.0.0", "license": "MIT", "source": source,
            "rust_version": None, **changed}


SEEDED = [
    (package(license="GPL-3.0-only"), "does not allow"),
    (package(license="MIT AND (Zlib OR GPL-3.0-only)"), "does not allow"),
    (package(license=None), "states no licence"),
    (package(name="openssl"), "is banned"),
    (package(source="git+https://example.org/a"), "not from cargo's default registry"),
    (package(rust_version="1.99"), "our rust-version is older"),
]


def self_test():
    """Each rule must find its own fault, and the plain case none."""
    config = {"licenses": {"allow": ["MIT"]}, "bans": {"deny": [{"crate": "openssl"}]}}
    us = package(name="us", source=None, rust_version="1.88")
    for fine in ["MIT", "MIT OR GPL-3.0-only", "GPL-3.0-only/MIT", "(GPL-2.0 OR MIT) AND MIT"]:
        found = list(check(config, [us, package(license=fine)]))
        if found:
            sys.exit(f"dependencies: expected `{fine}` to be allowed: {found}")
    excepted = {"crate": "a", "allow": ["MPL-2.0"]}
    lenient = {**config, "licenses": {"allow": ["MIT"], "exceptions": [excepted]}}
    if list(check(lenient, [package(name="b"), package(license="MPL-2.0")])):
        sys.exit("dependencies: an exception is not taken for one")
    if len(list(check(lenient, [package(name="b", license="MPL-2.0")]))) != 3:
        sys.exit("dependencies: an exception is taken for another crate's, or for nobody's")
    for seeded, expected in SEEDED:
        found = list(check(config, [us, seeded]))
        if len(found) != 1 or expected not in found[0]:
            sys.exit(f"dependencies: the rule `{expected}` does not find its fault: {found}")


def main():
    self_test()
    config = tomllib.loads((ROOT / "deny.toml").read_text())
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    for target in config["graph"]["targets"]:
        command += ["--filter-platform", target]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    metadata = json.loads(answer.stdout)
    built = {node["id"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["id"] in built]
    problems = list(check(config, packages))
    for problem in problems:
        print(problem)
    print(f"dependencies: {len(packages)} packages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
