#!/usr/bin/env python3
"""Real Nix builds both variants, from the small upstream, and finds what is broken on purpose.

Rehearses a release first; what follows happens in its clone, with its upstream and a store of its own:
both variants are built cold and warm, every build is repeated and compared (`--check`), and each fault
must be found with the words of its cause. Without Nix it says that it was skipped; exit status 0 then, or
1 when `CI` is set.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = "1.12.2"
COMPONENTS = [
    "dagster-src", "dagster-shared", "dagster-pipes", "dagster", "dagster-graphql", "dagster-webserver"]
SEPARATE = "nix/separate/"
COMBINED = "nix/combined/dagster-complete.nix"


class Store:
    """A private store, and nix-build over the double of nixpkgs."""

    def __init__(self, directory):
        self.environment = {
            **os.environ, "NIX_CONFIG": "substituters =\nbuild-users-group =\nsandbox = false",
            "NIX_REMOTE": "", "NIX_PATH": "", "NIX_STORE_DIR": directory + "/store",
            "NIX_STATE_DIR": directory + "/var", "NIX_LOG_DIR": directory + "/log",
            "XDG_CACHE_HOME": directory + "/cache",
        }
        # whichever Python the expressions name, this one is taken for it
        host = '{ version = "%d.%d"; path = "%s"; }' % (*sys.version_info[:2], sys.executable)
        pythons = " ".join('"3.%d" = %s;' % (minor, host) for minor in range(11, 15))
        self.pkgs = 'import "%s" { upstream = "%s"; python = "%s"; pythons = { %s }; %%s}' % (
            ROOT / "tests/nix/nixpkgs.nix", os.environ["GITHUB_SERVER_URL"], sys.executable, pythons)

    def run(self, *command):
        """Exit status, stdout and everything else it said."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
        return done.returncode, done.stdout, done.stderr

    def expression(self, clone, text="(import %(clone)s/nix { pkgs = %(pkgs)s; })", nixpkgs=""):
        return text % {"clone": clone, "pkgs": self.pkgs % nixpkgs}

    def build(self, clone, *arguments, **options):
        return self.run("nix-build", "--no-out-link", "--expr", self.expression(clone, **options), *arguments)


def timed(what, run):
    start = time.monotonic()
    status, stdout, said = run()
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit("%s: status %d\n%s" % (what, status, said[-3000:]))
    print("%-44s %6.2f s" % (what, seconds), flush=True)
    return stdout


def attributes(names):
    return [word for name in names for word in ("-A", name)]


def edit(path, pattern, to):
    text = path.read_text()
    changed = re.sub(pattern, to, text, flags=re.S)
    if changed == text:
        sys.exit("build: `%s` is not in %s any more: mend the seeded fault" % (pattern, path))
    path.write_text(changed)


def wrong_hash(clone):
    path = clone / SEPARATE / "dagster-src.nix"
    edit(path, r'hash = "sha256-.{4}', 'hash = "sha256-0000')


def new_commit_old_hash(clone):
    path = clone / SEPARATE / "dagster-src.nix"
    with urllib.request.urlopen(os.environ["GITHUB_API_URL"] + "/repos/dagster-io/dagster/tags") as answer:
        commit = next(tag["commit"]["sha"] for tag in json.load(answer) if tag["name"] != VERSION)
    edit(path, re.escape('"%s"' % VERSION), '"1.12.1"')
    edit(path, 'rev = "[0-9a-f]{40}"', 'rev = "%s"' % commit)


def missing(clone):
    for name in (SEPARATE + "dagster.nix", COMBINED):
        edit(clone / name, r"    pythonPackages\.toposort\n", "")


def misspelt(clone):
    edit(clone / COMBINED, r"pythonPackages\.toposort", "pythonPackages.topsort")


def not_of_the_wheel(clone):
    for name in (SEPARATE + "dagster-webserver.nix", COMBINED):
        edit(clone / name, r" *pythonPackages\.uvicorn\n", "")


def not_relaxed(clone):
    for name in (SEPARATE + "dagster.nix", COMBINED):
        edit(clone / name, r' *"protobuf"\n', "")


def no_shared(clone):
    edit(clone / SEPARATE / "dagster.nix", r'lib\.versionAtLeast version "1\.10\.6"', "false")


# Each fault: how, what is built then, nix-build's exit status, and what it must say.
FAULTS = {
    "a wrong hash": (
        wrong_hash, ["dagster-src"], 102,
        r"hash mismatch in fixed-output derivation '[^']*-dagster-src-.*specified: sha256-0000.*got: +sha256-"),
    "another version and commit, the same hash": (
        new_commit_old_hash, ["dagster-src"], 102,
        r"hash mismatch in fixed-output derivation '[^']*-dagster-src-1\.12\.1"),
    "a dependency missing in both variants": (missing, ["dagster-complete"], 100, r"- toposort not installed"),
    "a dependency of a wheel missing in both variants": (
        not_of_the_wheel, ["dagster-webserver"], 100, r"- uvicorn not installed"),
    "a bound that nixpkgs is beyond": (
        not_relaxed, ["dagster"], 100, r"- protobuf<7,>=3\.20\.0 not satisfied by version 7\.\d+\.\d+"),
    "a dependency misspelt": (misspelt, ["dagster-complete"], 1, r"attribute 'topsort' missing"),
    "a package of ours missing": (no_shared, ["dagster"], 100, r"dagster-shared not installed"),
}

HATCHLING = """
(%(pkgs)s).python313Packages.buildPythonPackage {
  pname = "x";
  version = "1";
  pyproject = true;
  src = %(clone)s/hatchling;
  build-system = [ (%(pkgs)s).python313Packages.setuptools ];
}
"""
PLAIN_ENVIRONMENT = r'\1pkgs-buildEnv {\n    name = "plain";\n    paths = [\n      dagster-pipes\n      dagster\n      dagster-graphql\n      dagster-webserver\n      dagster-shared\n    ];\n  };\n'


def copy_of(clone, work):
    target = Path(tempfile.mkdtemp(dir=work))
    shutil.copytree(clone / "nix", target / "nix")
    return target


def found(name, status, said, expected_status, pattern):
    if status == expected_status and re.search(pattern, said, re.S):
        print("found  %s (status %d): %s" % (name, status, re.search(pattern, said, re.S)[0].splitlines()[0][:150]))
        return 0
    print("NOT FOUND %s: expected status %d and `%s`, found status %d\n%s" % (
        name, expected_status, pattern, status, said[-1500:]))
    return 1


def plain_environment(store, clone, work):
    """A plain `buildEnv` instead of one Python environment builds; `dagster dev` does not start in it."""
    root = copy_of(clone, work)
    path = root / COMBINED
    edit(path, r"(  env = )python\.withPackages \(.*?\n  \);\n", PLAIN_ENVIRONMENT.replace("pkgs-buildEnv", "buildEnv"))
    edit(path, r"  stdenvNoCC,\n\}:", "  stdenvNoCC,\n  buildEnv,\n}:")
    status, stdout, said = store.build(root, "-A", "dagster-complete")
    if status != 0:
        print("NOT FOUND a plain buildEnv: it does not build\n" + said[-1500:])
        return 1
    # from the checkout: its release.toml, and no rehearsal's environment
    smoke = subprocess.run(
        [ROOT / "target/debug/xtask", "smoke", "--root", stdout.strip(), "--expect", VERSION],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
    for kept in re.findall(r"what each command wrote is in `([^`]+)`", smoke.stderr):
        shutil.rmtree(kept, ignore_errors=True)
    return found(
        "a plain buildEnv", smoke.returncode, smoke.stderr, 1, r"FAILED[^\n]*requirements: [^\n]*nothing of that name")


def hatchling(store, clone, work):
    """The build backend of the source is another than that of the expression."""
    root = copy_of(clone, work)
    (root / "hatchling").mkdir()
    (root / "hatchling/pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "x"\nversion = "1"\n')
    status, _, said = store.build(root, text=HATCHLING)
    return found("setuptools for a hatchling version", status, said, 100, r"[^\n]*hatchling[^\n]*")


def structured_attributes(store, clone, work):
    """With `__structuredAttrs` a list is an array, of which `$commands` is the first element."""
    bad = 0
    broken = copy_of(clone, work)
    edit(broken / COMBINED, r"in \$\{toString commands\}; do", "in $commands; do")
    for root, count in ((clone, 5), (broken, 1)):
        status, stdout, said = store.build(root, "-A", "dagster-complete", nixpkgs="structuredAttrs = true; ")
        commands = sorted(os.listdir(stdout.strip() + "/bin")) if status == 0 else said[-1500:]
        if len(commands) != count:
            bad += 1
            print("NOT AS EXPECTED structured attributes: expected %d commands, found %s" % (count, commands))
    if not bad:
        print("found  one command of five with structured attributes and `$commands`; all five with the expressions")
    return bad


def prefix_of_a_name(store, clone, work):
    """nixpkgs' hook relaxes by a pattern that ends anywhere: `grpcio` takes `grpcio-health-checking` along."""
    root = copy_of(clone, work)
    edit(root / SEPARATE / "dagster.nix", r'"protobuf"\n', '"protobuf"\n    "grpcio"\n')
    status, stdout, said = store.build(root, "-A", "dagster")
    if status != 0:
        print("NOT AS EXPECTED grpcio relaxed: it does not build\n" + said[-1500:])
        return 1
    (info,) = Path(stdout.strip().splitlines()[0]).glob("lib/*/site-packages/dagster-*.dist-info/METADATA")
    lines = re.findall(r"^Requires-Dist: grpcio.*", info.read_text(), re.M)
    if lines != ["Requires-Dist: grpcio"] * 2:
        print("NOT AS EXPECTED grpcio relaxed: %s" % lines)
        return 1
    print("found  `grpcio` relaxed takes `grpcio-health-checking` along: %s" % lines)
    return 0


def inside(clone):
    bad = 0
    with tempfile.TemporaryDirectory(prefix="nix-check-") as work:
        work = os.path.realpath(work)
        store = Store(work)
        names = COMPONENTS + ["dagster-complete"]
        everything = attributes(names)
        expression = store.expression(clone)
        timed("evaluation of every package", lambda: store.run(
            "nix-instantiate", "--expr", expression, *everything))
        timed("combined variant, cold", lambda: store.build(clone, "-A", "dagster-complete"))
        timed("separate variant after it", lambda: store.build(clone, *attributes(COMPONENTS)))
        timed("both, warm", lambda: store.build(clone, *everything))
        timed("every build once more, compared", lambda: store.build(clone, "--check", *everything))
        for name, (change, built, status, pattern) in FAULTS.items():
            root = copy_of(clone, work)
            change(root)
            bad += found(name, *(store.build(root, *attributes(built))[::2]), status, pattern)
        bad += hatchling(store, clone, work)
        bad += plain_environment(store, clone, work)
        bad += structured_attributes(store, clone, work)
        bad += prefix_of_a_name(store, clone, work)
    print("builds: %d problems" % bad)
    return 1 if bad else 0


def main():
    if sys.argv[1:] == ["--inside"]:
        return inside(Path.cwd())
    if shutil.which("nix-build") is None:
        print("skipped: `nix-build` is not here")
        return 1 if os.environ.get("CI") else 0
    rehearsal = subprocess.run(
        ["cargo", "xtask", "rehearse", VERSION, "--keep"], cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    kept = re.search(r"^ +Kept (/\S+)$", rehearsal.stderr, re.M)
    if rehearsal.returncode != 0 or kept is None:
        print(rehearsal.stderr[-5000:])
        return 1
    print("rehearsed %s: %s" % (VERSION, re.search(r"the stand-in for flox builds[^\n]*", rehearsal.stderr)[0]))
    try:
        return subprocess.run([kept[1] + "/enter", sys.executable, Path(__file__).resolve(), "--inside"]).returncode
    finally:
        shutil.rmtree(kept[1])


if __name__ == "__main__":
    sys.exit(main())
