#!/usr/bin/env python3
"""The smoke test against real Dagster from PyPI: green on what works, red on each break, and nothing
left behind when it is killed.

    tests/smoke/check.py                        # short: one version under load, breaks of each kind, three kills
    tests/smoke/check.py green --runs 10        # all versions; prints wall times
    tests/smoke/check.py breaks --dependencies  # all, and each third-party distribution removed in turn
    tests/smoke/check.py breaks --only WORD     # those with a word in their name; may be given more than once
    tests/smoke/check.py kills --runs 50
    tests/smoke/check.py load --runs 10         # versions side by side, and busy loops: two for each core
    tests/smoke/check.py late                   # trees of which one thing is slow: all pass
    tests/smoke/check.py answers --runs 2       # writes down which fields of the API have something in all versions
    tests/smoke/check.py surroundings           # few files, odd locales, time zones and paths

Virtual environments are made once, by the user's own pip, below target/smoke-venvs. A break is made on
a copy. Exit status 1 if anything is not as expected; the last lines say what.
"""

import argparse
import contextlib
import functools
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import commands
import consistency
import isolation
import users
from consistency import edit, record, site

ROOT = Path(__file__).resolve().parents[2]
XTASK = ROOT / "target/debug/xtask"
VENVS = ROOT / "target/smoke-venvs"
FILLED = ROOT / "xtask/src/smoke/users/filled.txt"
VERSIONS = ["1.9.12", "1.10.21", "1.11.16", "1.12.1", "1.13.27"]
PACKAGES = ["dagster", "dagster-graphql", "dagster-webserver"]
OURS = {"dagster", "dagster-graphql", "dagster-webserver", "dagster-pipes", "dagster-shared"}
SECRETS = {
    "FLOX_FLOXHUB_TOKEN": "planted-floxhub-token", "GITHUB_TOKEN": "planted-github-token",
    "PIP_INDEX_URL": "https://user:planted-password@index.invalid/simple",
    "SSH_AUTH_SOCK": "/planted-agent",
}
MARKER = b"XTASK_PROCESS="


def venv(version):
    """A virtual environment with a version of Dagster, made when it is not there."""
    target = VENVS / version
    done = target / "done"
    if not done.exists():
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", target], check=True)
        wanted = ["%s==%s" % (name, version) for name in PACKAGES]
        subprocess.run(
            [target / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
            check=True,
        )
        done.touch()
    return target


@contextlib.contextmanager
def copy_of(version, name="venv"):
    """A copy to break, whose commands run its own Python."""
    original = venv(version).resolve()
    with tempfile.TemporaryDirectory(dir=VENVS) as work:
        target = Path(work) / name
        shutil.copytree(original, target, symlinks=True)
        for path in (target / "bin").iterdir():
            if path.is_symlink():
                continue
            first, _, rest = path.read_bytes().partition(b"\n")
            if first.startswith(b"#!") and b"/bin/python" in first:
                path.write_bytes(start_of_script(target / "bin/python") + b"\n" + rest)
        yield target


def start_of_script(python):
    """As pip has it: the kernel takes a line with a space apart, so a shell does it, in what is a string
    to Python."""
    quotes = "'" * 3
    if " " in str(python):
        return ("#!/bin/sh\n%sexec' \"%s\" \"$0\" \"$@\"\n' %s" % (quotes, python, quotes)).encode()
    return b"#!" + bytes(python)


def smoke(root, version, *arguments, **options):
    """Starts a run; `finish` gives its report."""
    handle, report = tempfile.mkstemp(suffix=".json", dir=VENVS)
    os.close(handle)
    process = subprocess.Popen(
        [XTASK, "smoke", "--root", root, "--expect", version, "--report", "json=" + report, *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace", **options,
    )
    process.report = Path(report)
    return process


def finish(process, look=lambda logs: None):
    """Status, probes (empty when it was killed) and what it said. What it kept is looked at, and removed."""
    _, said = process.communicate()
    text = process.report.read_text()
    process.report.unlink()
    kept = re.findall(r"what each command wrote is in `([^`]+)`", said)
    for logs in kept:
        look(Path(logs))
        shutil.rmtree(logs, ignore_errors=True)
    if not text:
        return process.returncode, [], said
    (report,) = json.loads(text)
    assert [report["logs"]] == (kept or [None]), "%s, %s" % (report["logs"], kept)
    return process.returncode, report["probes"], said


def findings(probes):
    return {
        probe["name"]: " ".join("%(what)s: %(expected)s, %(found)s" % finding for finding in probe["findings"])
        for probe in probes if probe["outcome"] == "failed"
    }


def needlessly_skipped(probes):
    """What is skipped elsewhere, for want of a browser, is not where all is installed."""
    return [probe["name"] for probe in probes if probe["outcome"] == "skipped"] if "CI" in os.environ else []


def shown(said):
    """What is not green, of what a run said."""
    return "\n".join(line for line in said.splitlines() if " ok " not in line)[-3000:]


def green(versions, runs):
    """Runs that must all pass; returns those that did not."""
    bad = []
    for version in versions:
        root = venv(version)
        times = []
        red = 0
        for _ in range(runs):
            start = time.monotonic()
            status, probes, said = finish(smoke(root, version))
            times.append(time.monotonic() - start)
            skipped = needlessly_skipped(probes)
            if status != 0 or skipped:
                red += 1
                bad.append("%s: status %s, skipped %s\n%s" % (version, status, skipped, shown(said)))
                print(bad[-1], flush=True)
        print("green %-8s %d of %d runs, %d probes, median %.1f s, worst %.1f s" % (
            version, runs - red, runs, len(probes), statistics.median(times), max(times)), flush=True)
    return bad


def late(version, names, jobs):
    """Trees that are good, though something in them is slow."""
    def one(name):
        with copy_of(version) as root:
            users.LATE[name](root)
            start = time.monotonic()
            status, _, said = finish(smoke(root, version))
            took = time.monotonic() - start
        print("%s late: %-34s %5.1f s" % ("RED  " if status else "green", name, took), flush=True)
        return ["late: %s: status %s\n%s" % (name, status, shown(said))] if status else []

    return at_once(jobs, one, names)


def at_once(jobs, one, names):
    """What is wrong with each of some names, so many looked at side by side."""
    with ThreadPoolExecutor(jobs) as pool:
        return sum(pool.map(one, names), [])


def with_words(names, words):
    """Names with one of some words in them; all, where there are none."""
    return [name for name in names if not words or any(word in name for word in words)]


# It ends with this program, however that ends.
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10000))"


@contextlib.contextmanager
def busy(count):
    """Processes that take whatever they get of the machine."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


ODD = "a long däshed ñame, "
SURROUNDINGS = {
    "256 open files": {"preexec_fn": few_files},
    "an unknown locale": {"env": {"LANG": "tlh_KL.UTF-99", "LC_ALL": "xx", "LC_CTYPE": "C"}},
    "an old locale": {"env": {"LANG": "tr_TR.ISO-8859-9", "LC_ALL": "POSIX", "LANGUAGE": "tr"}},
    "the earliest time zone": {"env": {"TZ": "Pacific/Kiritimati"}},
    "an unknown time zone": {"env": {"TZ": ":/no/where"}},
    "a TMPDIR too long for databases": {"temporary": 420},
    "a long TMPDIR": {"temporary": 250},
    "variables of interpreters": {"env": {
        "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": "/nowhere", "DAGSTER_HOME": "/nowhere"}},
}
EVERYTHING = {
    "preexec_fn": few_files,
    "temporary": 250,
    "env": {name: value for how in SURROUNDINGS.values() for name, value in how.get("env", {}).items()},
}


def long_directory(parent, length):
    """A directory whose path has so many bytes, wherever this is."""
    path = os.fsencode(parent)
    while len(path) < length:
        name = os.fsencode(ODD * 9)[: min(length - len(path) - 1, 200)]
        name = name.decode(errors="ignore").encode().ljust(len(name), b"x")  # not half a letter
        path = os.path.join(path, name if length - len(path) - 1 - len(name) != 1 else name[:-2])
    os.makedirs(path)
    return os.fsdecode(path)


def surroundings(version, runs):
    """A good tree is green wherever it lies and whatever this program was given. Returns the runs that
    were not."""
    bad = []
    with copy_of(version, ODD + "vénv") as root:
        for name, how in runs.items():
            with tempfile.TemporaryDirectory(dir=VENVS) as work:
                env = {**os.environ, **how.get("env", {})}
                if "temporary" in how:
                    env["TMPDIR"] = long_directory(work, how["temporary"])
                options = {key: value for key, value in how.items() if key not in ("env", "temporary")}
                start = time.monotonic()
                status, probes, said = finish(smoke(root, version, env=env, **options))
            skipped = needlessly_skipped(probes)
            print("%s %s: %d probes in %.1f s" % (
                "RED  " if status or skipped else "green", name, len(probes), time.monotonic() - start), flush=True)
            if status != 0 or skipped:
                bad.append("%s: status %s, skipped %s\n%s" % (name, status, skipped, shown(said)))
                print(bad[-1], flush=True)
    return bad


def script(root, name, text):
    path = root / "bin" / name
    path.unlink()
    path.write_text(text)
    path.chmod(0o755)


def wrap_webserver(root, server):
    """A webserver that answers `--version` and `--help` as ever, and does something else to serve."""
    real = root / "bin/real-webserver"
    (root / "bin/dagster-webserver").rename(real)
    (root / "bin/dagster-webserver").touch()
    script(root, "dagster-webserver", "#!/bin/sh\ncase $1 in --*) exec %s \"$@\";; esac\n%s\n" % (real, server % real))


UI = "dagster_webserver/webapp/build"


def no_ui(root):
    shutil.rmtree(site(root) / UI)
    record(root, UI)


def development_version(root):
    edit(site(root) / "dagster/version.py", r'"1\.12\.1"', '"1!0+dev"')
    record(root, "dagster/version.py")


def one_asset(root):
    ui = site(root) / UI
    page = (ui / "index.html").read_text()
    name = re.search(r'src="[^"]*(/_next/static/[^"?]+\.js)', page).group(1)
    (ui / name[1:]).unlink()
    record(root, UI)


def lazy(root):
    """The largest script of the web UI that the page itself does not name."""
    ui = site(root) / "dagster_webserver/webapp/build"
    page = (ui / "index.html").read_text()
    scripts = [path for path in (ui / "_next/static/chunks").glob("*.js") if path.name not in page]
    return max(scripts, key=lambda path: path.stat().st_size)


def cut_short(root):
    path = lazy(root)
    os.truncate(path, path.stat().st_size // 2)


def foreign_page(root):
    path = site(root) / "dagster_webserver/webapp/build/index.html"
    tag = '<script nonce="NONCE-PLACEHOLDER" src="https://elsewhere.invalid/code"></script>'
    edit(path, "</head>", tag + "</head>")
    record(root, str(path.relative_to(site(root))))


def foreign_script(root):
    path = lazy(root)
    path.write_text(path.read_text() + '\n;import("https://elsewhere.invalid/code");')
    record(root, str(path.relative_to(site(root))))


def unreadable_operation(root):
    chunks = site(root) / UI / "_next/static/chunks"
    path = next(path for path in sorted(chunks.rglob("*.js")) if "mutation FreeConcurrencySlots(" in path.read_text())
    edit(path, re.escape("mutation FreeConcurrencySlots("), "mutation FreeConcurrencySlots((")
    record(root, str(path.relative_to(site(root))))


def plain_scripts(root):
    path = site(root) / "dagster_webserver/webserver.py"
    edit(path, re.escape('add_type("application/javascript", ".js")'), 'add_type("text/plain", ".js")')


def dangling(root):
    (root / "bin/dagster-daemon").unlink()
    (root / "bin/dagster-daemon").symlink_to("/nowhere/dagster-daemon")


def older_graphql(root):
    version = (1, 12, 0)
    subprocess.run(
        [root / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "dagster-graphql==%d.%d.%d" % version],
        check=True,
    )


def other_ui(root, version):
    """The web UI of another release, as where it comes from elsewhere than the API."""
    ui = site(root) / "dagster_webserver/webapp"
    shutil.rmtree(ui)
    shutil.copytree(site(venv(version)) / "dagster_webserver/webapp", ui)


def remove(root, *names):
    """Removes distributions, the way pip would."""
    subprocess.run(
        [root / "bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "--disable-pip-version-check", *names],
        check=True,
    )


NEVER_ANSWERS = """#!%s/bin/python
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("-p") + 1])))
time.sleep(1000)
"""


def never_answers(root):
    (root / "bin/mute").write_text(NEVER_ANSWERS % root)
    (root / "bin/mute").chmod(0o755)
    wrap_webserver(root, "exec %s/bin/mute \"$@\" # %%s" % root)


def hide(root, name):
    """Moves a command out of sight, with its name: it says that in what it prints."""
    hidden = root / "hidden" / name
    hidden.parent.mkdir()
    (root / "bin" / name).rename(hidden)
    (root / "bin" / name).touch()
    return hidden


def exports(root, name, value):
    """As `makeWrapper --prefix` does: what was set before comes after."""
    hidden = hide(root, "dagster")
    line = "export %s='%s'${%s:+:}$%s" % (name, value, name, name)
    script(root, "dagster", "#!/bin/sh\n%s\nexec %s \"$@\"\n" % (line, hidden))


def apart(root):
    """The web server where only its own command looks, as where each package has its own closure."""
    (root / "apart").mkdir()
    (site(root) / "dagster_webserver").rename(root / "apart/dagster_webserver")
    edit(root / "bin/dagster-webserver", "import sys\n", "import sys\nsys.path.append(%r)\n" % str(root / "apart"))


# What is broken: how, the probe that must find it, and what it must say of the cause: a word or more.
BREAKS = {
    "1!0+dev in version.py": (development_version, "dagster --version", "1!0+dev"),
    "no web UI": (no_ui, "web page", "`/`"),
    "one asset of the web UI removed": (one_asset, "web page", "/_next/static/"),
    "a dangling command": (dangling, "commands", "/nowhere/dagster-daemon"),
    "a command removed": (
        lambda root: (root / "bin/dagster-graphql").unlink(), "commands", "`dagster-graphql`"),
    "a foreign command": (
        lambda root: shutil.copy(root / "bin/dagster", root / "bin/dagster-old"), "commands", "dagster-old"),
    "dagster-graphql 1.12.0": (older_graphql, "requirements", "1.12.0"),
    "no dagster-shared": (lambda root: remove(root, "dagster-shared"), "requirements", "dagster-shared"),
    "no toposort": (lambda root: remove(root, "toposort"), "requirements", "toposort"),
    "a webserver that hangs": (
        lambda root: wrap_webserver(root, "exec sleep 1000 # %s"), "webserver", "an answer within"),
    "a command that hangs": (
        lambda root: script(root, "dagster-webserver-debug", "#!/bin/sh\necho begins\nexec sleep 1000\n"),
        "dagster-webserver-debug --help",
        ["an end within 60 s", "load ", "times slower than", "asleep", "s of CPU", "wrote last: begins"]),
    "a webserver that binds and never answers": (never_answers, "webserver", "an answer within"),
    "a webserver that ignores SIGTERM": (
        lambda root: wrap_webserver(root, "trap '' TERM\n%s \"$@\" &\nwhile :; do sleep 1; done"),
        "webserver end", "SIGTERM"),
    "a command that exports PYTHONPATH": (
        lambda root: exports(root, "PYTHONPATH", site(root)), "subprocess", "`import pydantic_core`"),
    "a command that exports PYTHONNOUSERSITE": (
        lambda root: exports(root, "PYTHONNOUSERSITE", "true"), "pipes", "PYTHONNOUSERSITE"),
    "dagster_webserver seen by its own command only": (apart, "sys.executable", "ModuleNotFoundError"),
    "a process that outlives a command": (
        lambda root: isolation.leave(site(root), "'materialize' in words", 47110),
        "asset materialize", "`sleep 47110`"),
    "a process that outlives the web server": (
        lambda root: isolation.leave(site(root), "words[0].endswith('/dagster-webserver') and '-p' in words", 47120),
        "webserver end", "`sleep 47120`"),
    "a process that outlives a command, without a mark": (
        lambda root: isolation.leave(site(root), "'materialize' in words", 47130, isolation.WITHOUT_MARK),
        "survivors", "`sleep 47130`"),
    "nothing installed": (
        lambda root: remove(root, *OURS), "installed", "dagster is not installed here (no `dagster` distribution below"),
    "the web UI of 1.13.27": (
        lambda root: other_ui(root, "1.13.27"), "ui operations", "Cannot query field"),
    **consistency.BREAKS,
    "a lazily loaded script of the web UI removed": (lambda root: lazy(root).unlink(), "ui files", ".js"),
    "a lazily loaded script of the web UI cut short": (cut_short, "ui files", "bytes that RECORD lists"),
    "an operation of the web UI that cannot be read": (
        unreadable_operation, "ui operations", ["GraphQL that can be checked", "FreeConcurrencySlots"]),
    "scripts of the web UI served as plain text": (plain_scripts, "ui files", "`text/plain"),
    "a page that takes code from another host": (foreign_page, "web page", "elsewhere.invalid"),
    "a script that takes code from another host": (foreign_script, "ui files", "elsewhere.invalid"),
    **users.BREAKS,
    **commands.BREAKS,
}

# Releases whose web UI asks the API of another release for what it has not: what it asks for.
UI_OF_OTHERS = {
    ("1.13.28", "1.13.12"): "'requestedRunsForJobs' on type 'InstigationTick'",
    ("1.12.1", "1.11.16"): "'hasWipePermission' on type 'AssetNode'",
}

# Breaks that only these probes may find: with all others such a tree works.
ONLY = {
    "a process that outlives a command": {"asset materialize"},
    "a process that outlives the web server": {"webserver end"},
    "a process that outlives a command, without a mark": {"survivors"},
    "a command that exports PYTHONPATH": {"subprocess", "pipes", "code location"},
    "a command that exports PYTHONNOUSERSITE": {"subprocess", "pipes", "code location"},
    "a command that hangs": {"dagster-webserver-debug --help", "debug webserver"},
    "nothing installed": {"installed"},
    "a page that takes code from another host": {"web page", "ui files", "browser"},
    "a script that takes code from another host": {"ui files", "browser"},
    "scripts of the web UI served as plain text": {"web page", "ui files", "files", "browser"},
    **consistency.ALONE,
    **users.ALONE,
    **commands.ALONE,
}

# What to run for a probe that looks at others.
LOOKED_AT = {"survivors": "asset materialize", "webserver end": "webserver"}

# One break or two of each kind, and none that waits for more than a minute.
SHORT = {
    "1!0+dev in version.py", "one asset of the web UI removed", "no toposort", "a command that hangs",
    "a command that exports PYTHONPATH", "a process that outlives a command, without a mark",
    "nothing installed", "a file of Dagster's changed", "a bound that does not hold",
    "a module of another machine", "two last migrations", "a page that takes code from another host",
    *users.SHORT, *commands.SHORT,
}


def one_break(version, name, change, probe, word, *arguments):
    with copy_of(version) as root:
        change(root)
        start = time.monotonic()
        status, probes, said = finish(smoke(root, version, *arguments))
        found = findings(probes)
        others = set(found) - ONLY.get(name, set(found))
        words = [word] if isinstance(word, str) else word
        if status == 1 and all(word in found.get(probe, "") for word in words) and not others:
            beside = sorted(set(found) - {probe})
            print("red   %-42s %5.1f s  %s%s: %s" % (
                name, time.monotonic() - start, probe, " (beside: %s)" % ", ".join(beside) if beside else "",
                found[probe][:200].replace("\n", " ")), flush=True)
            return []
        problem = "NOT FOUND %s: status %s, expected `%s` of probe `%s`, found %s\n%s" % (
            name, status, word, probe, found, shown(said))
        print(problem, flush=True)
        return [problem]


def breaks(version, names, jobs, is_short):
    """Trees that must all be red, some of them at once. In short, only the probe that must find it runs."""
    def one(name):
        probe = BREAKS[name][1]
        return one_break(version, name, *BREAKS[name], *(["--only", LOOKED_AT.get(probe, probe)] if is_short else []))

    return at_once(jobs, one, names)


def marked(tool):
    """Processes that a run of the tool started, as pid -> command line."""
    found = {}
    variable = MARKER + b"%d-" % tool.pid
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if variable in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def killed_probe(version):
    process = smoke(venv(version), version, "--only", "asset materialize")
    victim = None
    while victim is None and process.poll() is None:
        victim = next((pid for pid, line in marked(process).items() if "asset materialize" in line), None)
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(victim, signal.SIGKILL)
    status, probes, _ = finish(process)
    found = findings(probes).get("asset materialize", "")
    good = status == 1 and "signal 9" in found
    line = "%s a probe killed half way: status %s, %s" % ("red  " if good else "NOT FOUND", status, found)
    print(line, flush=True)
    return [] if good else [line]


def spied(version):
    """A package that looks for credentials and for whatever else it must not reach finds nothing."""
    with copy_of(version) as root:
        # what is kept of a tree that passes is nothing
        shutil.copy(root / "bin/dagster", root / "bin/dagster-old")
        start = functools.partial(smoke, root, version)
        with tempfile.TemporaryDirectory(dir=VENVS) as work:
            status, probes, count, found = isolation.spied(root, site(root), start, SECRETS, ROOT, Path(work))
        good = status == 1 and set(findings(probes)) == {"commands"} and count > 10 and not found
        line = "%s a spy: looked in %d processes, found %s" % (
            "green" if good else "NOT GOOD", count, "; ".join(found) or "nothing")
        print(line, flush=True)
        return [] if good else ["%s\nstatus %s, %s" % (line, status, findings(probes))]


def dependencies(version):
    """Removes each distribution that is not Dagster's in turn."""
    listed = subprocess.run(
        [venv(version) / "bin/python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        check=True, stdout=subprocess.PIPE).stdout
    names = sorted({entry["name"] for entry in json.loads(listed)} - OURS)
    unnoticed = []
    for name in names:
        with copy_of(version) as root:
            remove(root, name)
            status, probes, _ = finish(smoke(root, version, "--fail-fast"))
            spelt = "[-_.]+".join(re.split("[-_.]+", name))
            by = [probe for probe, found in findings(probes).items() if re.search(spelt, found, re.I)]
            if status == 0:
                unnoticed.append(name)
            print("%s without %-28s %s" % ("red  " if status else "NOT FOUND", name, ", ".join(by) or "-"), flush=True)
    print("dependencies: %d of %d noticed; not noticed: %s" % (
        len(names) - len(unnoticed), len(names), ", ".join(unnoticed) or "none"))
    # pip is what made the environment; nothing requires it
    return ["without %s: not noticed" % name for name in unnoticed if name != "pip"]


def listening():
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return {line.split()[1] for line in lines if line.split()[3] == "0A"}
    return set()


def short_directories(tool):
    """Where the probes' temporary files are."""
    return list(Path("/tmp").glob("xtask-%d-*" % tool.pid))


def kills(version, runs, seed):
    """Kills runs at random: the tool by each signal, or one of its processes. Counts what is left, and
    the probes that were cut off and called failed."""
    chance = random.Random(seed)
    root = venv(version)
    left = {"processes": 0, "ports": 0, "directories": 0, "failed": 0}
    ended = {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as scratch:
            ports = listening()
            process = smoke(root, version, env={**os.environ, "TMPDIR": scratch})
            time.sleep(chance.uniform(0.2, 15))
            how = chance.choice(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "a process"])
            if how == "a process":
                pids = sorted(marked(process))
                if pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(chance.choice(pids), signal.SIGKILL)
            else:
                process.send_signal(getattr(signal, how))
            status, probes, _ = finish(process)
            ended[how, status] = ended.get((how, status), 0) + 1
            if how in ("SIGINT", "SIGTERM"):
                left["failed"] += len(findings(probes)) + (status != 1)
            # what cleans up after a kill is a process, too
            until = time.monotonic() + 15
            while time.monotonic() < until and (
                    marked(process) or os.listdir(scratch) or short_directories(process) or listening() - ports):
                time.sleep(0.1)
            left["processes"] += len(marked(process))
            left["ports"] += len(listening() - ports)
            left["directories"] += len(os.listdir(scratch)) + len(short_directories(process))
    print("kills: %d runs (seed %d); %s" % (
        runs, seed, ", ".join("%s -> %s: %d" % (*key, count) for key, count in sorted(ended.items(), key=str))))
    print("kills: left %(processes)d processes, %(ports)d ports, %(directories)d temporary directories; "
          "%(failed)d probes that were cut off failed" % left)
    return ["after kills: %d %s" % (count, what) for what, count in left.items() if count]


def answers(versions, runs):
    """Writes down the fields that have something in every run of each version that asks for them, of which
    there are three at least, the last one included."""
    found, bad = {}, []
    for version in versions:
        for _ in range(runs):
            answers = {}

            def look(logs, answers=answers):
                for file in logs.glob("*/log/filled.json"):
                    answers.update(json.loads(file.read_text()))

            _, probes, said = finish(smoke(venv(version), version, "--only", "ui queries"), look)
            if not answers:
                bad.append("%s: no answers\n%s" % (version, said))
            for kind, fields in answers.items():
                for name, is_filled in fields.items():
                    found.setdefault((kind, name), {}).setdefault(version, []).append(is_filled)
        print("answers %-8s %d fields" % (version, sum(version in of for of in found.values())), flush=True)
    recorded = {}
    for (kind, name), of in sorted(found.items()):
        if not (kind + name).startswith("__") and name != "__typename" and all(map(all, of.values())) and len(of) >= 3 and versions[-1] in of:
            recorded.setdefault(kind, []).append(name)
    FILLED.write_text("".join("%s: %s\n" % (kind, " ".join(names)) for kind, names in recorded.items()))
    print("answers: %d fields of %d types" % (sum(map(len, recorded.values())), len(recorded)))
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    everything = ["short", "green", "breaks", "kills", "load", "late", "surroundings", "answers"]
    parser.add_argument("what", nargs="?", choices=everything, default="short")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--versions", nargs="+", default=VERSIONS)
    parser.add_argument("--dependencies", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="WORD")
    parser.add_argument("--jobs", type=int, default=1, help="how many broken trees at once")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--package", "xtask", "--locked"], cwd=ROOT, check=True)
    VENVS.mkdir(parents=True, exist_ok=True)
    version = "1.12.1"
    bad = []
    short = options.what == "short"
    asked = options.only
    if options.what == "green":
        bad += green(options.versions, options.runs)
    if options.what == "load":
        with busy(2 * (os.cpu_count() or 1)):
            versions = options.versions
            bad += at_once(len(versions), lambda version: green([version], options.runs), versions)
    if short:
        # one run for all that a good tree must bear; beside busy loops it is tried by `load`
        bad += surroundings(version, {"everything at once": EVERYTHING})
    if options.what == "late":
        bad += late(version, with_words(users.LATE, asked), options.jobs)
    if options.what == "answers":
        bad += answers(options.versions, options.runs)
    if options.what == "surroundings":
        bad += surroundings(version, {"everything at once": EVERYTHING, **SURROUNDINGS})
    if options.what in ("short", "breaks"):
        names = SHORT if short else BREAKS
        names = with_words([name for name in BREAKS if name in names], asked)
        bad += breaks(version, names, options.jobs, short)
        if not asked:
            for (ui, api), word in UI_OF_OTHERS.items() if not short else []:
                name = "the web UI of %s over %s" % (ui, api)
                bad += one_break(api, name, lambda root, ui=ui: other_ui(root, ui), "ui operations", word)
            bad += killed_probe(version)
            bad += spied(version)
    if options.dependencies:
        bad += dependencies(version)
    if options.what in ("short", "kills"):
        bad += kills(version, 3 if options.what == "short" else options.runs, options.seed)
    if bad:
        print("\nnot as expected:\n%s" % "\n".join(bad))
    print("smoke: %d problems" % len(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
