#!/usr/bin/env python3
"""`cargo xtask audit` over the double of nixpkgs: green, red at each fault, and 1 for no nixpkgs at all.

Upstream is the small one (tests/standins/upstream.py), the checkout a copy of this one, and each case
changes the copy or the package set. What is compared is the exit status, the rows that are not `ok`, and
the words of the error. Without Nix it says that it was skipped; exit status 0 then, or 1 when `CI` is set.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
XTASK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "xtask"
UPSTREAM = ROOT / "tests/standins/upstream.py"
SYSTEMS = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"]
COMBINED = "nix/combined/dagster-complete.nix"
PACKAGE_SET = '{ system }@asked: import %s/tests/nix/nixpkgs.nix (asked // { %s })\n'
# An index as tests/standins/floxlib/thirdparty.py writes it.
THIRD_PARTY = {"site": "/", "packages": {
    "uvloop": {"version": "1", "files": [], "dependencies": ["watchgod"]},
    "watchgod": {"version": "1", "files": [], "dependencies": []},
}}


@contextlib.contextmanager
def upstream(work):
    """The small upstream, served: its address."""
    subprocess.run([sys.executable, UPSTREAM, "prepare", "--work", work], check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen(
        [sys.executable, UPSTREAM, "serve", "--until-eof", "--work", work, "--log", work + "/log"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    with server:
        yield server.stdout.readline().strip().partition("listening on ")[2]
        server.stdin.close()


class Copy:
    """A copy of this checkout, with a package set and an upstream."""

    def __init__(self, work, url, nixpkgs=""):
        self.root = Path(tempfile.mkdtemp(dir=work))
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file() and name.startswith((
                    "nix/", "flox/", "tests/nix/", "tests/standins/", "release.toml", "nixpkgs.toml")):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        subprocess.run(["git", "init", "--quiet", self.root], check=True)
        systems(self, *SYSTEMS)
        self.nixpkgs = self.root / "nixpkgs.nix"
        (self.root / "third-party.json").write_text(json.dumps(THIRD_PARTY))
        self.nixpkgs.write_text(PACKAGE_SET % (self.root, nixpkgs))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "GITHUB_"))},
            "GITHUB_API_URL": url, "GITHUB_SERVER_URL": url, "PIP_INDEX_URL": url + "/simple",
            "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "XDG_CACHE_HOME": work + "/cache", "NO_COLOR": "1",
        }

    def audit(self, *arguments):
        """Exit status, stdout and stderr."""
        done = subprocess.run(
            [XTASK, "audit", *arguments], cwd=self.root, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        return done.returncode, done.stdout, done.stderr


def edit(path, pattern, to):
    text = path.read_text()
    changed = re.sub(pattern, to, text, flags=re.M)
    if changed == text:
        sys.exit("audit: `%s` is not in %s any more: mend the case" % (pattern, path))
    path.write_text(changed)


def in_both(copy, pattern, to, package="dagster"):
    for name in (COMBINED, "nix/separate/%s.nix" % package):
        edit(copy.root / name, pattern, to)


def systems(copy, *names):
    file = copy.root / "release.toml"
    text, count = re.subn(r"^systems = .*$", "systems = " + json.dumps(names), file.read_text(), flags=re.M)
    if count != 1:
        sys.exit("audit: expected one line `systems = …` in release.toml, found %d" % count)
    file.write_text(text)


def misspelt(copy):
    in_both(copy, r"pythonPackages\.toposort$", "pythonPackages.topsort")


def no_such_python(copy):
    edit(copy.root / "release.toml", r'^version = "3\.13"$', 'version = "3.15"')


def another_python(copy):
    for path in (copy.root / "nix").rglob("*.nix"):
        path.write_text(re.sub(r"\bpython3[0-9]+\b", "python312", path.read_text()))


def unbuilt_python(copy):
    edit(copy.root / "release.toml", r'^version = "3\.13"$', 'version = "3.12"')
    another_python(copy)


def not_relaxed(copy):
    in_both(copy, r'^ *"protobuf"\n', "")


def not_relaxed_in_one(copy):
    edit(copy.root / COMBINED, r'^ *"protobuf"\n', "")


def relaxed_prefix(copy):
    in_both(copy, r'^( *)"protobuf"\n', r'\1"protobuf"\n\1"grpcio"\n')


def relaxed_both(copy):
    in_both(copy, r'^( *)"protobuf"\n', r'\1"protobuf"\n\1"grpcio"\n\1"grpcio-health-checking"\n')


def recorded(copy, name, version):
    edit(copy.root / "nixpkgs.toml", r"^%s = .*$" % name, '%s = "%s"' % (name, version))


# Each case: what nixpkgs is given, what is changed, the exit status, and what is in the table or the error.
CASES = {
    "as it is": ("", None, 0, r"^relaxed +protobuf +7\.35\.1 +dagster: .*<7"),
    "a package within its bounds": ("", None, 0, r"^ok +toposort +1\.10 +dagster: >=1\.0$"),
    "a package that does not say its version": ("", None, 0, r"^warning +uvicorn +its version cannot be evaluated$"),
    "a system that nixpkgs dropped": (
        "", lambda copy: systems(copy, "x86_64-darwin", "x86_64-linux"), 3,
        r"^failed +x86_64-darwin +Nixpkgs 26\.11 has dropped support for x86_64-darwin\.$"),
    "no system that nixpkgs has": (
        "", lambda copy: systems(copy, "x86_64-darwin"), 3, r"`x86_64-darwin`: Nixpkgs 26\.11 has dropped"),
    "a dependency that nixpkgs does not have": (
        "", misspelt, 3, r"^error: a release of 1\.12\.1 would fail .*`topsort`: there is none in this nixpkgs$"),
    "a package that is broken on one system": (
        'broken = if asked.system == "aarch64-darwin" then [ "uvloop" ] else [ ];', None, 3,
        r"^failed +uvloop +marked broken on aarch64-darwin$"),
    "a package that is not for one system": (
        'unsupported = if asked.system == "aarch64-linux" then [ "uvloop" ] else [ ];', None, 3,
        r"^failed +uvloop +not supported on aarch64-linux$"),
    "a package that needs one that is broken": (
        'broken = [ "watchgod" ]; thirdParty = ./third-party.json;', None, 3,
        r"^failed +uvloop +1 +Refusing to evaluate package 'python3\.13-watchgod-1' because it is marked as broken$"),
    "a bound that is not relaxed": (
        "", not_relaxed, 3, r"^failed +protobuf +7\.35\.1 +dagster: .*<7, not relaxed\n +nix/combined/\S+:\d+\n +nix/separate/dagster\.nix:\d+$"),
    "a bound that is relaxed in one variant only": (
        "", not_relaxed_in_one, 3, r"^failed +protobuf .*, not relaxed\n +nix/combined/\S+\nrelaxed +protobuf"),
    "a lower bound": (
        "", lambda copy: recorded(copy, "toposort", "0.9"), 3, r"^failed +toposort +0\.9 +dagster: >=1\.0, not relaxed"),
    "the beginning of a name, relaxed alone": (
        "", relaxed_prefix, 3,
        r"^failed +grpcio-health-checking +1\.83\.1 +dagster: pythonRelaxDeps has `grpcio`, which renames this"),
    "both relaxed": ("", relaxed_both, 0, r"^ok +grpcio-health-checking"),
    "a Python that nixpkgs does not have": (
        "", no_such_python, 3, r"^error: .*`python315`: there is none in this nixpkgs"),
    "another Python in the expressions": (
        "", another_python, 0, r"^warning +python312 +the expressions name it; release\.toml has 3\.13 for 1\.12\.1"),
    "a Python whose packages nixpkgs does not build": (
        "", unbuilt_python, 0, r"^warning +python312 +3\.12 +its packages are not built there$"),
    "a nixpkgs that does not evaluate": (
        "nonsense = true;", None, 1, r"^  Caused by: .*unexpected argument 'nonsense'"),
}


def case(work, url, name):
    nixpkgs, change, expected, pattern = CASES[name]
    copy = Copy(work, url, nixpkgs)
    if change is not None:
        change(copy)
    status, stdout, stderr = copy.audit("--nixpkgs", copy.nixpkgs)
    return told(name, expected, pattern, status, stdout + stderr)


def told(name, expected, pattern, status, said):
    if status == expected and re.search(pattern, said, re.M):
        return 0
    print("%s: expected status %d and `%s`, found status %d\n%s" % (name, expected, pattern, status, said))
    return 1


def others(work, url):
    """What needs more than one run, or another nixpkgs than a file."""
    copy = Copy(work, url)
    bad = 0
    status, stdout, _ = copy.audit("--nixpkgs", copy.nixpkgs, "--format", "json")
    report = json.loads(stdout)
    bad += told("JSON", 0, r"^package click \['8\.3\.1'\] \['dagster', 'dagster-webserver'\] ok$", status, "\n".join(
        "%s %s %s %s %s" % (row["kind"], row["name"], row["versions"], row["packages"], row["outcome"])
        for row in report["rows"]))

    status, _, stderr = copy.audit("--nixpkgs", "nowhere")
    bad += told("no nixpkgs", 1, r"^error: expected a nixpkgs at `.*/nowhere`, found nothing$", status, stderr)
    (copy.root / "other.nix").write_text("{ }")
    status, _, stderr = copy.audit("--nixpkgs", "other.nix")
    bad += told("no package set", 1, r"expected a function of `system`, as nixpkgs is", status, stderr)
    status, _, stderr = copy.audit("--nixpkgs", "github:a/b")
    bad += told("no address of an archive", 2, r"^error: expected a path", status, stderr)
    # of the small upstream, which has no such branch
    status, _, stderr = copy.audit()
    bad += told("the default", 1, r"^error: failed to evaluate `%s/flox/nixpkgs/archive/refs/heads/stable" % url, status, stderr)

    archive = copy.root / "nixpkgs.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        text = copy.root / "default.nix"
        text.write_text(copy.nixpkgs.read_text())
        packed.add(text, "nixpkgs/default.nix")
    status, stdout, stderr = copy.audit("--nixpkgs", "file://%s" % archive)
    bad += told("an archive", 0, r"^ok +click +8\.3\.1", status, stdout + stderr)

    file = copy.root / "nixpkgs.toml"
    before = file.read_text()
    file.write_text(re.sub(r'^click = .*$', 'click = "1"', before, flags=re.M))
    edit(copy.nixpkgs, r"%s/tests" % copy.root, str(ROOT) + "/tests")
    status, _, stderr = copy.audit("--nixpkgs", copy.nixpkgs, "--write")
    after = file.read_text()
    bad += told("written", 0, r"Recorded \d+ versions in nixpkgs\.toml", status, stderr)
    bad += told("what is written", 0, r'^pythons = \["3\.13", "3\.14"\]$', status, after)
    lost = set(re.findall(r"^\S+ = .*$", before, re.M)) - set(re.findall(r"^\S+ = .*$", after, re.M))
    dates = {line for line in lost if line.startswith(("recorded", "revision"))}
    if lost != dates or after.partition("recorded = ")[0] != before.partition("recorded = ")[0]:
        bad += 1
        print("written: not as it was: %s" % (lost - dates))
    return bad


def main():
    if shutil.which("nix-instantiate") is None:
        print("skipped: `nix-instantiate` is not here")
        return 1 if os.environ.get("CI") else 0
    subprocess.run(["cargo", "build", "--quiet", "--package", "xtask", "--locked"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="audit-check-") as work:
        work = os.path.realpath(work)
        with upstream(work) as url:
            bad = sum(case(work, url, name) for name in CASES) + others(work, url)
    print("audit: %d cases and 9 runs more, %d of them not as expected" % (len(CASES), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
