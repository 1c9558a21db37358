#!/usr/bin/env python3
"""Real Nix reads and evaluates the expressions, at the pinned version and at others.

Over a double of nixpkgs (nixpkgs.nix beside this file): every file parses; every package evaluates
strictly, with the metadata that a catalog needs; the components of both variants are the same
derivations; `flox/.flox/pkgs` and `nix/` agree; and the check finds faults that are put in on
purpose. Nothing is built: build.py does that. With `lint`, it checks their form instead. Without the tools
it says that it was skipped; exit status 0 then, or 1 when `CI` is set.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ["dagster-src", "dagster-pipes", "dagster", "dagster-graphql", "dagster-webserver"]
SYSTEMS = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"]
PROGRAMS = {
    "dagster": "dagster", "dagster-graphql": "dagster-graphql",
    "dagster-webserver": "dagster-webserver", "dagster-complete": "dagster",
}
MOVED = {"packaging", "pydantic", "pyyaml", "typing-extensions"}


class Fault(Exception):
    """What is wrong with the expressions."""


def nix(work, *arguments):
    environment = {
        **os.environ, "NIX_CONFIG": "substituters =\nbuild-users-group =\nsandbox = false",
        "NIX_REMOTE": "", "NIX_STORE_DIR": work + "/store", "NIX_STATE_DIR": work + "/state",
        "NIX_LOG_DIR": work + "/log", "XDG_CACHE_HOME": work + "/cache", "NIX_PATH": "",
    }
    done = subprocess.run(
        ["nix-instantiate", *arguments], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )
    if done.returncode != 0:
        raise Fault(done.stderr.strip())
    return done.stdout


def expect(what, found, expected):
    if found != expected:
        raise Fault("%s: expected %s, found %s" % (what, expected, found))


def check(work, root, version):
    """Evaluates the expressions below a directory; they must be those of a version."""
    files = sorted(str(path) for place in ("nix", "flox") for path in (root / place).rglob("*.nix"))
    nix(work, "--parse", *files)
    evaluate = str(root / "tests/nix/evaluate.nix")
    answer = json.loads(nix(
        work, "--eval", "--strict", "--json", "--read-write-mode", evaluate, "--arg", "root", str(root)))
    number = tuple(int(part) for part in version.split("."))
    components = COMPONENTS + (["dagster-shared"] if number >= (1, 10, 6) else [])
    packages = answer["nix"]
    expect("packages", sorted(packages), sorted([*components, "dagster-complete"]))
    for name, package in packages.items():
        of_shared = name == "dagster-shared" and number < (1, 10, 18)
        expect(name + ".pname", package["pname"], name)
        expect(name + ".version", package["version"], "0.26.%d" % number[2] if of_shared else version)
        meta = package["meta"]
        expect(name + ".meta.license", meta["license"], "Apache-2.0")
        expect(name + ".meta.platforms", sorted(meta["platforms"]), SYSTEMS)
        expect(name + ".meta.mainProgram", meta["mainProgram"], PROGRAMS.get(name))
        expect(name + ".meta.changelog", meta["changelog"].rsplit("/", 1)[1], version)
        if not re.fullmatch(r"[A-Z][^\n]*[^.\s]", meta["description"]):
            raise Fault("%s.meta.description: `%s`" % (name, meta["description"]))
    for name in components:
        expect("derivation of %s in the combined variant" % name, answer["combined"][name], packages[name]["drvPath"])
    for name in packages:
        expect("derivation of %s through Flox" % name, answer["flox"][name], packages[name]["drvPath"])
    doors = {name + ".nix" for name in COMPONENTS + ["dagster-shared", "dagster-complete"]}
    expect("files of flox/.flox/pkgs", answer["doors"], {name: "regular" for name in sorted(doors)})
    wanted = set(packages["dagster"]["dependencies"])
    expect("dagster-shared as a dependency", "dagster-shared" in wanted, number >= (1, 10, 6))
    expect("what moved to dagster-shared", wanted & MOVED, MOVED if number < (1, 10, 18) else set())


def copy(work):
    """A copy of the expressions that can be changed."""
    target = Path(tempfile.mkdtemp(dir=work))
    for name in ("nix", "flox", "tests/nix", "tests/standins"):
        shutil.copytree(ROOT / name, target / name, symlinks=True)
    return target


def replace(path, old, new):
    text = path.read_text()
    if old not in text:
        sys.exit("check: `%s` is not in %s any more: mend the seeded fault" % (old, path.name))
    path.write_text(text.replace(old, new, 1))


def pinned():
    return re.search(r'version = "([^"]+)"', (ROOT / "nix/separate/dagster-src.nix").read_text()).group(1)


def set_version(root, version):
    for path in sorted((root / "nix").rglob("*.nix")):
        path.write_text(path.read_text().replace('version = "%s"' % pinned(), 'version = "%s"' % version))


def other_hash(path):
    text = path.read_text()
    path.write_text(re.sub(r'(hash = "sha256-)(.)', lambda m: m[1] + ("A" if m[2] != "A" else "B"), text))


# Each fault, and what the check must say of it.
FAULTS = {
    "a misspelt dependency": ("attribute 'sqlalchmy' missing", lambda root: replace(
        root / "nix/separate/dagster.nix", "python312Packages.sqlalchemy", "python312Packages.sqlalchmy")),
    "a missing dependency": ("derivation of dagster in the combined variant", lambda root: replace(
        root / "nix/combined/dagster-complete.nix", "    python312Packages.sqlalchemy\n", "")),
    "another hash in one variant": (
        "derivation of dagster-webserver in the combined variant",
        lambda root: other_hash(root / "nix/separate/dagster-webserver.nix")),
    "no version on the source": ("attribute 'version' missing", lambda root: replace(
        root / "nix/separate/dagster-src.nix", "  inherit version;\n", "")),
    "no pname and version on the combined variant": ("attribute 'pname' missing", lambda root: replace(
        root / "nix/combined/dagster-complete.nix", '  pname = "dagster-complete";\n  inherit version;\n',
        '  name = "dagster-complete";\n')),
    "a stray file among the doors": ("'helper.nix': 'regular'", lambda root: (
        root / "flox/.flox/pkgs/helper.nix").write_text("{ }: { }\n")),
    "a symbolic link among the doors": ("attribute 'dagster' missing", lambda root: (
        (root / "flox/.flox/pkgs/dagster.nix").unlink(),
        (root / "flox/.flox/pkgs/dagster.nix").symlink_to("../../../nix/separate/dagster.nix"))),
    "a door to another package": ("through Flox", lambda root: replace(
        root / "flox/.flox/pkgs/dagster-pipes.nix", "dagster-pipes", "dagster-shared")),
    "a syntax error": ("syntax error, unexpected '='", lambda root: replace(
        root / "nix/default.nix", "inherit (pkgs) lib;", "inherit (pkgs) lib")),
}


def lint():
    """Formatting and unused arguments and bindings, where the tools for that are."""
    bad = 0
    places = ["nix", "flox/.flox/pkgs", "tests/nix"]
    files = sorted(str(path) for place in places for path in (ROOT / place).rglob("*.nix"))
    for command in (["nixfmt", "--check", *files], ["deadnix", "--fail", *files]):
        if shutil.which(command[0]) is None:
            print("skipped: `%s` is not here" % command[0])
            bad += bool(os.environ.get("CI"))
        else:
            bad += subprocess.run(command, cwd=ROOT).returncode != 0
    return bad


def main():
    if sys.argv[1:] == ["lint"]:
        return 1 if lint() else 0
    if shutil.which("nix-instantiate") is None:
        print("skipped: `nix-instantiate` is not here")
        return 1 if os.environ.get("CI") else 0
    with tempfile.TemporaryDirectory() as work:
        work = os.path.realpath(work)
        try:
            check(work, ROOT, pinned())
            for version in ("1.9.12", "1.10.6", "1.10.21", "1.12.14"):
                root = copy(work)
                set_version(root, version)
                check(work, root, version)
        except Fault as fault:
            print(fault)
            return 1
        missed = 0
        for name, (cause, seed) in FAULTS.items():
            root = copy(work)
            seed(root)
            found = "nothing"
            try:
                check(work, root, pinned())
            except Fault as fault:
                found = str(fault)
            if cause not in found:
                missed += 1
                print("%s: expected `%s`, found: %s" % (name, cause, found))
    print("expressions: 5 versions evaluated, %d of %d seeded faults found" % (
        len(FAULTS) - missed, len(FAULTS)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
