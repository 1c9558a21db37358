"""A world that a release takes seconds in: what a rehearsal left, and programs that answer from what is known.

git is real. What is built was built once, by the rehearsal; flox and pip answer from scripts.
"""

import collections
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "target/debug/xtask-faults"
TOKEN = "flox_pat_faults"

# The tool's own calls are counted, in the order that they come in; what those call is let through.
WRAPPER = """#!/bin/sh
read -r parent </proc/$PPID/comm
case $parent in xtask-faults|exe) ;; *) exec @REAL@ "$@";; esac
exec 9>@WORLD@/counting
flock 9
read -r count <@WORLD@/count
count=$((count + 1))
echo $count >@WORLD@/count
echo "@NAME@ $*" >>@WORLD@/calls
exec 9>&-
read -r at way <@WORLD@/fault
[ "$count" = "$at" ] || exec @REAL@ "$@"
echo "@NAME@ $*" >@WORLD@/met
case $way in
before) kill -9 $PPID; exit 1;;
during) @REAL@ "$@" <&0 & sleep 0.02; kill -9 $PPID $! 2>/dev/null; exit 1;;
after) @REAL@ "$@"; kill -9 $PPID; exit 1;;
told) kill -TERM $PPID; exec @REAL@ "$@";;
interrupted) case @NAME@ in flox) kill -INT $PPID 0;; *) kill -INT 0;; esac; exec @REAL@ "$@";; # flox has its own group
fails) echo "error: a fault" >&2; exit 1;;
"fails after") @REAL@ "$@"; echo "error: a fault" >&2; exit 1;;
garbage) printf 'gar\\001bage\\nof words'; exit 0;;
hangs) exec sleep 47210;;
esac
"""

PIP = """#!/bin/sh
case $1 in -mpip) ;; *) exec @REAL@ "$@";; esac
key=$(printf '%s\\n' "$@" | md5sum | cut -d ' ' -f 1)
[ -e @WORLD@/pip/$key ] || { @REAL@ "$@" >@WORLD@/pip/$key.out 2>@WORLD@/pip/$key.err; echo $? >@WORLD@/pip/$key; }
cat @WORLD@/pip/$key.out
cat @WORLD@/pip/$key.err >&2
exit "$(cat @WORLD@/pip/$key)"
"""


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", **options).stdout.strip()


def rehearse(version):
    """A rehearsal that is kept: its directory."""
    # Python's own DEVNULL is open for reading as well, as what was closed is.
    with open(os.devnull, "wb") as nowhere:
        said = subprocess.run(
            [ROOT / "target/debug/xtask", "rehearse", version, "--keep"],
            cwd=ROOT, stdout=nowhere, stderr=subprocess.PIPE, encoding="utf-8")
    if said.returncode:
        sys.exit("the rehearsal failed:\n" + said.stderr[-2000:])
    return re.search(r"^ +Kept (.+)$", said.stderr, re.M).group(1)


class Template:
    """A rehearsal of a version that was kept: an upstream to serve, what was built, and the commit that came of
    it, on the branch that the release of this version is on."""

    def __init__(self, version, branch, kept=None):
        self.version, self.branch = version, branch
        self.is_ours = kept is None
        self.dir = Path(kept or rehearse(version))
        self.origin = self.dir / "origin.git"
        links = (self.dir / "clone/flox").glob("result-*")
        paths = {link.name[len("result-"):]: os.readlink(link) for link in links if link.is_symlink()}
        nix = run("git", "-C", self.origin, "rev-parse", branch + ":nix")
        self.built = {"nix": nix, "paths": {name: path for name, path in paths.items() if not name.endswith(("-log", "-dist"))}}
        self.base = run("git", "-C", self.origin, "rev-parse", branch + "~1")
        self.server = subprocess.Popen(
            [sys.executable, ROOT / "tests/standins/upstream.py", "serve", "--until-eof", "--port", "0",
             "--work", self.dir, "--log", self.dir / "log"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        self.url = self.server.stdout.readline().strip()[len("listening on "):]

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        if self.is_ours:
            shutil.rmtree(self.dir)


class World:
    """A clone, its remote and a catalog, as they were before each point."""

    def __init__(self, directory, template):
        self.dir, self.template = directory, template
        self.clone, self.origin = directory / "clone", directory / "origin.git"
        run("git", "clone", "--quiet", "--bare", template.origin, self.origin)
        if template.branch != "main":
            run("git", "-C", self.origin, "update-ref", "-d", "refs/heads/" + template.branch)
        run("git", "-C", self.origin, "update-ref", "refs/heads/main", template.base)
        run("git", "clone", "--quiet", self.origin, self.clone)
        for key, value in [("user.name", "Faults"), ("user.email", "faults@example.invalid"),
                           ("commit.gpgsign", "false"), ("gc.auto", "0"), ("maintenance.auto", "false")]:
            run("git", "-C", self.clone, "config", key, value)
        for name in ("bin", "cache", "pip", "state", "tmp"):
            (directory / name).mkdir()
        (directory / "state/built.json").write_text(json.dumps(template.built))
        flox = directory / "bin/real-flox"
        flox.write_text("#!/bin/sh\nexec %s -S -E %s %s \"$@\"\n" % (
            sys.executable, ROOT / "tests/faults/flox.py", directory / "state"))
        pip = directory / "bin/real-python3"
        pip.write_text(PIP.replace("@REAL@", sys.executable).replace("@WORLD@", str(directory)))
        for name, real in [("flox", flox), ("python3", pip), ("git", shutil.which("git"))]:
            path = directory / "bin" / name
            path.write_text(WRAPPER.replace("@REAL@", str(real)).replace("@WORLD@", str(directory))
                            .replace("@NAME@", name))
        for path in (directory / "bin").iterdir():
            path.chmod(0o755)
        self.before = directory / "before"
        self.before.mkdir()
        for path in (self.clone, self.origin):
            shutil.copytree(path, self.before / path.name, symlinks=True)
        self.env = {
            "PATH": "%s:%s" % (directory / "bin", os.environ["PATH"]), "HOME": str(directory / "home"),
            "LANG": "C.UTF-8", "TMPDIR": str(directory / "tmp"), "XDG_CACHE_HOME": str(directory / "cache"),
            "GITHUB_API_URL": template.url, "GITHUB_SERVER_URL": template.url,
            "PIP_INDEX_URL": template.url + "/simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "1",
            "NO_PROXY": "127.0.0.1", "FLOX_FLOXHUB_TOKEN": TOKEN,
        }

    def reset(self):
        for path in (self.clone, self.origin):
            shutil.rmtree(path)
            shutil.copytree(self.before / path.name, path, symlinks=True)
        shutil.rmtree(self.dir / "state/catalog", ignore_errors=True)
        for left in (self.dir / "state").glob("index-*"):
            left.unlink()
        for entry in (self.dir / "tmp").iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def release(self, at=0, way="none", tracing=()):
        """A release with a fault at a call, from 1, or traced; its status and what it said."""
        (self.dir / "count").write_text("0\n")
        (self.dir / "calls").write_text("")
        (self.dir / "fault").write_text("%d %s\n" % (at, way))
        for name in ("met", "trace"):
            (self.dir / name).unlink(missing_ok=True)
        with open(self.dir / "said", "w+b") as said:
            tool = subprocess.Popen(
                [*tracing, TOOL, "release", self.template.version], cwd=self.clone, env=self.env,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
            try:
                if way == "hangs":
                    while tool.poll() is None and not self.met():
                        time.sleep(0.02)
                    time.sleep(0.1)
                    tool.send_signal(signal.SIGTERM)
                status = tool.wait(timeout=120)
            except subprocess.TimeoutExpired:
                tool.kill()
                tool.wait()
                status = "none within 120 s"
            said.seek(0)
            return status, said.read().decode("utf-8", "replace")

    def trace(self, *options):
        """How a release is traced: its own thread, and nothing that it starts."""
        return ["strace", "-qq", "-y", "-s", "200", "-o", self.dir / "trace", *options]

    def operations(self):
        """What the last release, which was traced, did to files of this world: the name of each operation, how
        many of that name came up to it, and its line. Of those that come again for the same file, or for files
        that a smoke test only needs while it runs, the first and the last."""
        found, count = {}, collections.Counter()
        for line in (self.dir / "trace").read_text(errors="replace").splitlines():
            name = line.partition("(")[0]
            count[name] += 1
            is_ours = str(self.dir) + "/" in line and not re.search("/said>|/dev/null| = -1 ", line)
            if not is_ours or name == "openat" and not re.search("O_WRONLY|O_RDWR|O_CREAT", line):
                continue
            text = line.replace(str(self.dir), "")
            same = name, re.sub(r"[0-9]+|/tmp/smoke-.*", "", ",".join(re.findall(r'(/[^">]+)', text)))
            ends = found.setdefault(same, [])
            ends[1:] = [(name, count[name], text)]
        return [operation for ends in found.values() for operation in ends]

    def calls(self):
        return (self.dir / "calls").read_text().splitlines()

    def met(self):
        """The call that the last fault met; nothing where none did."""
        path = self.dir / "met"
        return path.read_text().strip() if path.exists() else ""

    def git(self, *arguments, at=None):
        """What git says; of what is not there, why."""
        command = [shutil.which("git"), "-C", at or self.clone, *arguments]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        return ran.stdout.strip() if ran.returncode == 0 else "git: " + ran.stderr.strip()

    def left(self):
        """Processes that a release left: whatever has this world in its environment or its arguments."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(str(self.dir) + "/") in text:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        return found

    def quiet(self):
        """Waits for what ends by itself once the tool is gone."""
        until = time.monotonic() + 20
        while self.left() and time.monotonic() < until:
            time.sleep(0.05)
        return self.left()

    def published(self):
        """What of the remote and the catalog is not as after a release without a fault."""
        base, branch = self.template.base, self.template.branch
        commit = self.git("rev-parse", branch, at=self.origin)
        in_catalog = {}
        for path in (self.dir / "state/catalog").glob("*/*.json"):
            publications = json.loads(path.read_text())["publications"]
            in_catalog[path.stem] = [publication["rev"] for publication in publications]
        return differences({
            "remote's main": (commit if branch == "main" else base, self.git("rev-parse", "main", at=self.origin)),
            "commits": (
                "dagster " + self.template.version,
                self.git("log", "--format=%s", "%s..%s" % (base, branch), at=self.origin)),
            "tree of nix": (self.template.built["nix"], self.git("rev-parse", branch + ":nix", at=self.origin)),
            "catalog": ({name: [commit] for name in self.template.built["paths"]}, in_catalog),
        })

    def problems(self):
        """What of all that is here is not as after a release without a fault."""
        left = [str(path.relative_to(self.clone)) for path in self.clone.rglob("*")
                if path.name.endswith((".lock", ".new")) or path.name.startswith("xtask-")]
        left = [name for name in left if name.startswith(".git/") or name.endswith(".new")]
        return self.published() + differences({
            "branch": ("main", self.git("rev-parse", "--abbrev-ref", "HEAD")),
            "tree": ("", self.git("status", "--porcelain")),
            **{"local %s" % branch: (self.git("rev-parse", branch, at=self.origin), self.git("rev-parse", branch))
               for branch in {"main", self.template.branch}},
            "processes": ([], self.quiet()),
            "temporary files": ([], sorted(path.name for path in (self.dir / "tmp").iterdir())),
            "files": ([], left),
        })


def differences(pairs):
    """Of what is expected and there, by name: what differs, in words."""
    return ["%s: expected %r, found %r" % (what, expected, there)
            for what, (expected, there) in pairs.items() if expected != there]
