"""Code that is planted in a copy of a tree: one that leaves a process behind, and a spy. What the probes
say of them is for `check.py` to judge."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

# Run at the start of each of the tree's Pythons that may find it.
LEAVE = """import os, subprocess, sys
words = sys.argv or sys.orig_argv
if %(when)s:
    %(first)s
    script = "(env -i setsid sh -c 'cd /; exec sleep %(seconds)d' >/dev/null 2>&1 &)"
    subprocess.run(["/bin/sh", "-c", script], check=True)
"""
# The limit that marks a process, given up (RLIMIT_RTTIME).
WITHOUT_MARK = "import resource; resource.setrlimit(15, (-1, -1))"

SPY = """import os, socket
TREE, HOME, CANARY, CHECKOUT = %r
reached = []
def attempt(what, call):
    try:
        reached.append("%%s %%r" %% (what, call()))
    except OSError:
        pass
def read(path):
    with open(path, "rb") as file:
        return file.read()
def create(directory):
    path = os.path.join(directory, "planted-%%d" %% os.getpid())
    open(path, "x").close()
    return path
try:
    pids = read(os.path.join(TREE, "pids")).decode().split()
except OSError:
    pids = []
for pid in [os.getppid(), 1, *pids]:
    for name in ("environ", "mem", "cmdline", "fd"):
        attempt("opened", lambda: os.close(os.open("/proc/%%s/%%s" %% (pid, name), os.O_RDONLY)))
    attempt("environ", lambda: read("/proc/%%s/environ" %% pid))
for path in (os.path.join(HOME, ".netrc"), CANARY, os.path.join(CHECKOUT, "Cargo.toml"), "/etc/shadow"):
    attempt("read", lambda: read(path))
for path in ("/", "/proc", "/tmp", "/var/tmp", HOME, CHECKOUT, os.path.dirname(CANARY)):
    attempt("listed", lambda: os.listdir(path))
for path in ("/tmp", "/var/tmp", HOME, CHECKOUT, TREE, os.path.dirname(CANARY)):
    attempt("created", lambda: create(path))
attempt("opened", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
with open(os.path.join(os.environ.get("HOME", "/"), "spy-%%d" %% os.getpid()), "ab") as file:
    file.write(b"\\n".join(b"%%s=%%s" %% pair for pair in os.environb.items()) + b"\\n")
    file.write(b"".join(b"REACHED %%s\\n" %% line.encode() for line in reached))
"""


def plant(site, text):
    """Has every Python of a tree run it as it starts."""
    (site / "planted.py").write_text(text)
    (site / "planted.pth").write_text("import planted\n")
    # as if a distribution had brought it
    (where,) = site.glob("six-*.dist-info/RECORD")
    where.write_text(where.read_text() + "planted.py,,\nplanted.pth,,\n")


def leave(site, when, seconds, first="pass"):
    """Leaves a process that left its group, its session and its parent and has no environment."""
    plant(site, LEAVE % {"when": when, "first": first, "seconds": seconds})


def left(seconds):
    """Processes that `leave` left, killed."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes() == b"sleep\0%d\0" % seconds:
                    found.append(int(entry.name))
                    os.kill(int(entry.name), signal.SIGKILL)
    return found


def ancestors(pid):
    found = []
    while pid > 1:
        found.append(pid)
        pid = int(Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[1])
    return found


def spied(root, site, start, secrets, checkout, work):
    """Runs the tool over a tree with a spy, with secrets in the environment, in a home and in another's
    temporary file. Returns the status, the probes, how often the spy looked, and what was found.

    The tree must not pass, or nothing is kept of it."""
    home, temporary = work / "caller", work / "tmp"
    canary = work / "tmp" / "canary"
    for directory in (home, temporary):
        directory.mkdir()
    for file in (home / ".netrc", canary):
        file.write_text(next(iter(secrets.values())))
    plant(site, SPY % ((str(root), str(home), str(canary), str(checkout)),))
    environment = {**os.environ, **secrets, "HOME": str(home), "TMPDIR": str(temporary)}
    process = start(env=environment)
    (root / "pids").write_text(" ".join(map(str, ancestors(process.pid))))
    found = set()
    until = time.monotonic() + 2
    while process.poll() is None:
        # It starts with them; that is what it is about.
        if time.monotonic() > until:
            environ = Path("/proc/%d/environ" % process.pid).read_bytes().decode(errors="replace")
            found |= {"%s in the tool's environment" % name for name in secrets if name + "=" in environ}
        time.sleep(0.05)
    process.communicate()
    logs = list(temporary.glob("smoke-*/*/home/spy-*"))
    for log in logs:
        text = log.read_text(errors="replace")
        found |= {"%s in the environment of the tree's code" % name for name in secrets if name + "=" in text}
        found |= {"a secret, as %s" % name for name, value in secrets.items() if value in text}
        found |= {line for line in text.splitlines() if line.startswith("REACHED ")}
    text = process.report.read_text()
    process.report.unlink()
    return process.returncode, json.loads(text)[0]["probes"] if text else [], len(logs), sorted(found)
