#!/usr/bin/env python3
"""Real Nix reads and evaluates the expressions, at the pinned version and at others.

Over a double of nixpkgs (nixpkgs.nix beside this file): every file parses; every package evaluates
strictly, with the metadata that a catalog needs; the components of both variants are the same
derivations; `flox/.flox/pkgs` and `nix/` agree; each file names its Python once, the one that release.toml
has for the version; and the check finds faults that are put in on purpose. Nothing is built: build.py does that. With `lint`, it checks their form instead. Without the tools
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

try:
    import tomllib
except ImportError:  # Python before 3.11
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ["dagster-src", "dagster-pipes", "dagster", "dagster-graphql", "dagster-webserver"]
SYSTEMS = json.loads(re.search(r"^systems = (\[.*\])$", (ROOT / "release.toml").read_text(), re.MULTILINE).group(1))
PROGRAMS = {
    "dagster": "dagster", "dagster-graphql": "dagster-graphql",
    "dagster-webserver": "dagster-webserver", "dagster-complete": "dagster",
}
# What each file calls its Python, and all that may stand in code of a version of Python.
PYTHON = re.compile(r"(?<![\w-])python3[0-9]*(?:Packages)?\b|python3\.[0-9]+|\bpython@")
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
    files = sorted(path for place in ("nix", "flox") for path in (root / place).rglob("*.nix"))
    nix(work, "--parse", *map(str, files))
    for path in files:
        check_python(path.relative_to(root), path.read_text(), version)
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
        expect(name + ".meta.platforms: ours that are missing", sorted(set(SYSTEMS) - set(meta["platforms"])), [])
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


def policy(version):
    """The Python that release.toml has for a version, as `3.12`."""
    number = lambda text: tuple(int(part) for part in text.split("."))  # noqa: E731
    with open(ROOT / "release.toml", "rb") as file:
        entries = tomllib.load(file)["python"]
    (found,) = [
        entry["version"] for entry in entries
        if number(entry.get("since", "0")) <= number(version) <= number(entry.get("until", "999"))]
    return found


def check_python(path, text, version):
    """An argument and one use of it, and no other mention of a Python."""
    code = "\n".join(line.partition("#")[0] for line in text.splitlines() if "#!" not in line)
    found = PYTHON.findall(code)
    if found:
        wanted = "python" + policy(version).replace(".", "")
        expect("Python of %s, an argument and its use" % path, found, [wanted, wanted])


def copy(work):
    """A copy of the expressions that can be changed."""
    target = Path(tempfile.mkdtemp(dir=work))
    for name in ("nix", "flox", "tests/nix", "tests/standins"):
        shutil.copytree(ROOT / name, target / name, symlinks=True)
    shutil.copy(ROOT / "nixpkgs.toml", target)
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
        text = path.read_text().replace('version = "%s"' % pinned(), 'version = "%s"' % version)
        path.write_text(re.sub(r"\bpython3[0-9]+\b", "python" + policy(version).replace(".", ""), text))


def named():
    """The Python of the pinned version as attributes name it, `313`."""
    return policy(pinned()).replace(".", "")


def other_hash(path):
    text = path.read_text()
    path.write_text(re.sub(r'(hash = "sha256-)(.)', lambda m: m[1] + ("A" if m[2] != "A" else "B"), text))


# Each fault, and what the check must say of it.
FAULTS = {
    "a misspelt dependency": ("attribute 'sqlalchmy' missing", lambda root: replace(
        root / "nix/separate/dagster.nix", "pythonPackages.sqlalchemy", "pythonPackages.sqlalchmy")),
    "a missing dependency": ("derivation of dagster in the combined variant", lambda root: replace(
        root / "nix/combined/dagster-complete.nix", "    pythonPackages.sqlalchemy\n", "")),
    **{"no mainProgram on %s in one variant" % name: (
        "derivation of %s in the combined variant" % name,
        lambda root, name=name: replace(
            root / "nix/combined/dagster-complete.nix", '      mainProgram = "%s";\n' % name, ""))
        for name in ("dagster", "dagster-graphql", "dagster-webserver")},
    "a Python written out": ("an argument and its use", lambda root: replace(
        root / "nix/combined/dagster-complete.nix", "$out/lib/${python.libPrefix}\n    ln", "$out/lib/python3.13\n    ln")),
    "a Python that is another's": ("an argument and its use", lambda root: [
        path.write_text(path.read_text().replace("python" + named(), "python311"))
        for path in (root / "nix").rglob("*.nix")]),
    "another hash in one variant": (
        "derivation of dagster-webserver in the combined variant",
        lambda root: other_hash(root / "nix/separate/dagster-webserver.nix")),
    "no version on the source": ("attribute 'version' missing", lambda root: replace(
        root / "nix/separate/dagster-src.nix", "  inherit version;\n", "")),
    "no pname and version on the combined variant": ("attribute 'pname' missing", lambda root: replace(
        root / "nix/combined/dagster-complete.nix", '  pname = "dagster-complete";\n  inherit version commands;\n',
        '  name = "dagster-complete";\n  inherit commands;\n')),
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


# What the double refuses as nixpkgs does: an expression over it, and what must be said of that.
REFUSALS = {
    'import NIXPKGS { system = "x86_64-darwin"; }': "Nixpkgs 26.11 has dropped support for x86_64-darwin.",
    """let inherit (import NIXPKGS { }) python312Packages python313Packages; in
       python313Packages.buildPythonPackage {
         pname = "x"; version = "1"; pyproject = true; src = "/"; dependencies = [ python312Packages.click ];
       }""": "Python version mismatch in 'x-1'",
    """(import NIXPKGS { }).python313Packages.buildPythonPackage {
         pname = "x"; version = "1"; src = "/"; }""": "expected `pyproject = true` or a `format`",
    """(import NIXPKGS { }).python313Packages.buildPythonPackage {
         pname = "x"; version = "1"; pyproject = true; src = "/"; dependancies = [ ]; }""": "`dependancies`",
    """(import NIXPKGS { }).fetchFromGitHub { owner = "o"; repo = "r"; rev = "1"; tag = "1"; hash = ""; }""":
        "either `rev` or `tag`",
    "(import NIXPKGS { }).callPackage ({ python310 }: python310) { }": 'required argument "python310"',
}


def check_refusals(work):
    missed = 0
    for expression, said in REFUSALS.items():
        double = expression.replace("NIXPKGS", str(ROOT / "tests/nix/nixpkgs.nix"))
        found = "no refusal"
        try:
            nix(work, "--eval", "--read-write-mode", "--expr", "builtins.seq ((%s).drvPath or 0) 0" % double)
        except Fault as fault:
            found = str(fault)
        if said not in found:
            missed += 1
            print("%s: expected `%s`, found: %s" % (expression, said, found))
    return missed


def lint():
    """Formatting and unused arguments and bindings, where the tools for that are."""
    bad = 0
    places = ["nix", "flox/.flox/pkgs", "tests/nix", "xtask/src/tools/nix"]
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
        missed = check_refusals(work)
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
    print("expressions: 5 versions evaluated, %d seeded faults and %d refusals, %d of them not found" % (
        len(FAULTS), len(REFUSALS), missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
