#!/usr/bin/env python3
"""A release is killed, cut off and lied to wherever it touches the world; the same command then goes on.

    tests/faults/check.py                  # short: each kind of call and of operation, in one way
    tests/faults/check.py all              # every call of a program, and every operation on files, in every way;
                                           # of those that come again in the same words the first and the last
    tests/faults/check.py all --only push  # those with a word in them
    tests/faults/check.py all --on-main    # a release on the branch that is checked out
    tests/faults/check.py again            # each call and operation of the run that goes on after a first fault,
                                           # in one way, for first faults that leave different things
    tests/faults/check.py list             # what is called and done, and nothing else

Each point is one release of 1.9.12 of both variants (on a maintenance branch, so that the checkout is away from
its own; with --on-main it is of 1.12.2) with one fault, and the same command again. In the end everything must
be as after a release without a fault: one commit, pushed; each package in the catalog once, from that commit;
the branch as before and the tree clean; no lock, file or process left. git is real, and what is built was built
once by a rehearsal. flox and pip answer from scripts, and the smoke test has one probe, so that a point takes
seconds. Operations on files are met with strace; without it they are left out, which is said.

Exit status 1 if a point is not as expected; the last lines say which.
"""

import argparse
import concurrent.futures
import contextlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from world import ROOT, TOKEN, Template, World

# What happens at a call: before it, while it runs and after it this program is killed (-9), while it runs
# with what it called; this program alone is told to end, or all in its terminal are interrupted; the call
# fails and has done nothing, or everything; it answers nonsense with status 0; it never ends, and this program
# is told to.
WAYS = ["before", "during", "after", "told", "interrupted", "fails", "fails after", "garbage", "hangs"]

# What happens at an operation on files: this program is killed before it, or it fails, as on a full disk.
OPERATION_WAYS = ["killed", "full"]
ERRORS = {"unlink": "EIO", "unlinkat": "EIO", "rmdir": "EIO", "flock": "ENOLCK", "fsync": "EIO"}
OPERATIONS = [
    "openat", "write", "pwrite64", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat",
    "symlink", "symlinkat", "link", "linkat", "fsync", "fdatasync", "ftruncate", "chmod", "fchmod", "flock"]


class Call:
    """A call of a program, by its number from 1, and what happens there."""

    def __init__(self, number, text, way):
        self.number, self.text, self.way = number, text, way

    def meet(self, world):
        """A release with this fault; what is wrong about how it ended, and what it said."""
        status, said = world.release(self.number, self.way)
        # Where several are called at once the number may be that of a neighbour.
        self.text = world.met() or self.text
        wrong = [] if world.met() else ["the call did not come"]
        if self.way in ("told", "interrupted", "hangs") and status != 0 and "interrupted" not in said:
            wrong.append("it did not say that it was interrupted")
        return status, said, wrong


class Operation:
    """An operation on files, the nth of its name, and what happens there."""

    def __init__(self, name, nth, text, way):
        self.name, self.nth, self.text, self.way = name, nth, text, way

    def meet(self, world):
        fault = "signal=KILL" if self.way == "killed" else "error=" + ERRORS.get(self.name, "ENOSPC")
        inject = "%s:%s:when=%d" % (self.name, fault, self.nth)
        status, said = world.release(tracing=world.trace("-e", "trace=" + self.name, "-e", "inject=" + inject))
        last = (world.dir / "trace").read_text(errors="replace").splitlines()
        if self.way == "killed":
            wrong = [] if status == -signal.SIGKILL else ["it was not killed"]
        else:
            met = [line for line in last if "(INJECTED)" in line]
            wrong = [] if met else ["the operation did not come"]
            self.text = met[0].replace(str(world.dir), "") if met else self.text
        return status, said, wrong


def attempt(world, faults):
    """A release with a fault, as many times as there are faults, and the same command again; what is not as
    expected, as a text."""
    world.reset()
    problems, runs = [], []
    for fault in faults:
        status, said, wrong = fault.meet(world)
        runs.append(("%s: `%s`" % (fault.way, fault.text[:140]), status, said))
        problems += wrong
        left = world.quiet()
        if left:
            problems.append("processes after the fault: %s" % left)
    status, said = world.release()
    runs.append(("again", status, said))
    if status != 0:
        problems.append("status %s" % status)
    if any(TOKEN in said for _, _, said in runs):
        problems.append("the token is in what it said")
    problems += world.problems()
    if not problems:
        return []
    told = ["%s (status %s): %s" % (what, status, said.strip()[-900:].replace("\n", "\n    "))
            for what, status, said in runs]
    return ["%s\n  %s" % ("\n  ".join(problems), "\n  ".join(told))]


def kind(point):
    """What a call or an operation has in common with others of its kind."""
    if isinstance(point, Operation):
        return point.name
    words = point.text.split()
    return " ".join(words[:1] + [word for word in words[1:3] if "/" not in word])


def every(calls, operations):
    """Each call and operation in every way, of those in the same words the first and the last."""
    first = {text: number for number, text in reversed(list(enumerate(calls, 1)))}
    last = {text: number for number, text in enumerate(calls, 1)}
    ends = {*first.values(), *last.values()}
    points = [Call(number, text, way) for number, text in enumerate(calls, 1) for way in WAYS if number in ends]
    return points + [Operation(*operation, way) for operation in operations for way in OPERATION_WAYS]


def one_of_each_kind(points):
    """Of each kind the last, in one way, all of them in turn."""
    kinds = {kind(point): point.text for point, in points}
    picked = []
    for place, (name, text) in enumerate(kinds.items()):
        ways = {point.way: (point,) for point, in points if point.text == text and kind(point) == name}
        picked.append(list(ways.values())[place % len(ways)])
    return picked


@contextlib.contextmanager
def worlds(count, template):
    """That many worlds, each after a release without a fault: what pip and the archive say is known from then on."""
    with tempfile.TemporaryDirectory(prefix="faults-") as directory:
        made = []
        for number in range(count):
            place = Path(directory) / str(number)
            place.mkdir()
            world = World(place, template)
            status, said = world.release()
            problems = world.problems() if status == 0 else []
            if status != 0 or problems:
                sys.exit("a release without a fault: status %s, %s\n%s" % (status, problems, said[-3000:]))
            made.append(world)
        yield made


def survey(world, *faults):
    """The calls and the operations of a release, after others with these faults."""
    def start():
        world.reset()
        for fault in faults:
            fault.meet(world)
            world.quiet()

    start()
    world.release()
    calls = world.calls()
    if not shutil.which("strace"):
        return calls, []
    start()
    world.release(tracing=world.trace("-e", "trace=" + ",".join("?" + name for name in OPERATIONS)))
    return calls, world.operations()


# Words of calls that a first fault is met at, and the way: what it leaves is different each time.
FIRST = [
    ("git switch", "during"), ("flox build", "before"), ("flox build", "after"), ("git commit", "before"),
    ("git commit", "after"), ("git push", "after"), ("flox publish", "after"), ("flox publish", "fails after"),
]


def in_recovery(world, calls):
    """Pairs of faults: one that leaves something, and one in the run that goes on, at each of its calls and
    operations, in one way, all of them in turn."""
    pairs = []
    for words, way in FIRST:
        number, text = next((number, text) for number, text in enumerate(calls, 1) if text.startswith(words))
        first = Call(number, text, way)
        by_text = {}
        for point in every(*survey(world, first)):
            by_text.setdefault((type(point), point.text), []).append(point)
        pairs += [(first, ways[place % len(ways)]) for place, ways in enumerate(by_text.values())]
    return pairs


def chosen(world, calls, operations, options):
    """The points that are asked for: each of them the faults of runs that follow each other."""
    if options.what == "again":
        points = in_recovery(world, calls)
    else:
        points = [(point,) for point in every(calls, operations)]
    points = [faults for faults in points
              if options.only in faults[-1].text and options.way in ("", faults[-1].way)]
    return one_of_each_kind(points) if options.what == "short" else points


def meet_all(points, made):
    """Tries the points, as many at once as there are worlds. Returns what was not as expected."""
    free = queue.SimpleQueue()
    for world in made:
        free.put(world)

    def one(point):
        world = free.get()
        try:
            return attempt(world, point)
        finally:
            free.put(world)

    bad = []
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(made)) as pool:
        for count, found in enumerate(pool.map(one, points), 1):
            if count % 100 == 0:
                print("%d of %d points after %.0f s" % (count, len(points), time.monotonic() - start), flush=True)
            for problem in found:
                bad.append(problem)
                print("NOT AS EXPECTED " + problem, flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", nargs="?", choices=["short", "all", "again", "list"], default="short")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--way", default="", choices=["", *WAYS, *OPERATION_WAYS])
    parser.add_argument("--on-main", action="store_true", help="a release on the branch that is checked out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rehearsal", metavar="DIR", help="one that was kept, instead of a new one")
    options = parser.parse_args()
    build = ["cargo", "build", "--quiet", "--package", "xtask", "--locked"]
    subprocess.run(build, cwd=ROOT, check=True)
    subprocess.run([*build, "--features", "one-probe", "--bin", "xtask-faults"], cwd=ROOT, check=True)
    start = time.monotonic()
    template = Template(*(("1.12.2", "main") if options.on_main else ("1.9.12", "release/1.9")), options.rehearsal)
    try:
        with worlds(options.jobs, template) as made:
            calls, operations = survey(made[0])
            known = "%d calls, %s operations on files" % (len(calls), len(operations) or "without strace no")
            print("%s; prepared in %.0f s" % (known, time.monotonic() - start), flush=True)
            if options.what == "list":
                print("\n".join(calls + [text for _, _, text in operations]))
                return 0
            points = chosen(made[0], calls, operations, options)
            bad = meet_all(points, made)
    finally:
        template.close()
    print("faults: %s, %d points, %d not as expected, in %.0f s" % (
        known, len(points), len(bad), time.monotonic() - start))
    return 1 if bad or not points else 0


if __name__ == "__main__":
    sys.exit(main())
