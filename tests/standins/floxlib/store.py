"""A store of build outputs: derivations, their paths, and how each kind is realised.

The rules that releases depend on are Nix's: a fixed-output path follows from name and hash alone (a
new URL over an old hash is not fetched again), any other path from everything that goes into it; a
builder gets an environment of its own, without a variable of the caller's. Not Nix's: no sandbox,
no references scan at run time, and store paths of a private directory.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from . import nar

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


class BuildError(Exception):
    """A builder that failed; `log` holds its last lines."""

    def __init__(self, drv, status, log):
        lines = log.rstrip().splitlines()[-10:]
        text = "builder for '%s' failed with exit code %s" % (drv, status)
        if lines:
            text += ";\n       last %d log lines:\n" % len(lines)
            text += "\n".join("       > " + line for line in lines)
        super().__init__(text)


class Derivation:
    """What is to be built. `arguments` is plain data; paths of other derivations stand in it."""

    def __init__(self, store, name, build, arguments, fixed=None, outputs=("out",)):
        self.store, self.name, self.build, self.arguments = store, name, build, arguments
        self.fixed, self.outputs = fixed, outputs
        if fixed:
            key = ["fixed", name, fixed]
        else:
            key = [build.__name__, name, arguments]
        self.key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).digest()
        self.drv_path = store.path(self.key, name + ".drv")
        self.paths = {
            output: store.path(self.key, name if output == "out" else name + "-" + output, output)
            for output in outputs
        }
        store.known[self.paths["out"]] = self

    @property
    def out(self):
        return self.paths["out"]

    def inputs(self):
        """Derivations whose paths stand in the arguments."""
        text = json.dumps(self.arguments)
        return [drv for path, drv in self.store.known.items() if path in text and drv is not self]


class Store:
    def __init__(self, directory, log):
        self.directory = os.path.join(os.path.abspath(directory), "store")
        self.known = {}
        self.log = log
        os.makedirs(os.path.join(self.directory, ".valid"), exist_ok=True)

    def path(self, key, name, output="out"):
        digest = hashlib.sha256(key + output.encode()).digest()
        number = int.from_bytes(digest[:20], "big")
        text = "".join(ALPHABET[(number >> (5 * index)) & 31] for index in range(32))
        return os.path.join(self.directory, text + "-" + name)

    def is_valid(self, drv):
        return os.path.exists(os.path.join(self.directory, ".valid", os.path.basename(drv.out)))

    def logs(self, drv):
        return os.path.join(self.directory, ".valid", os.path.basename(drv.out))

    def realise(self, drv):
        """Builds what a derivation needs, then itself, unless it is there."""
        with self.lock():
            self._realise(drv, set())

    def _realise(self, drv, seen):
        if drv.drv_path in seen or self.is_valid(drv):
            return
        seen.add(drv.drv_path)
        for needed in drv.inputs():
            self._realise(needed, seen)
        for path in drv.paths.values():
            remove(path)
        with tempfile.TemporaryDirectory(prefix="flox-build-") as scratch:
            builder = Builder(drv, scratch)
            print("building '%s'..." % drv.drv_path, file=self.log, flush=True)
            try:
                drv.build(builder, drv.arguments)
                self.check_fixed(drv)
            except BaseException:
                for path in drv.paths.values():
                    remove(path)
                raise
            finally:
                for line in builder.text.splitlines():
                    print("%s> %s" % (name_without_version(drv.name), line), file=self.log, flush=True)
        with open(self.logs(drv), "w", encoding="utf-8") as file:
            file.write(builder.text)

    @staticmethod
    def check_fixed(drv):
        if not drv.fixed:
            return
        mode, specified = drv.fixed
        got = nar.of_path(drv.out) if mode == "recursive" else nar.of_file(drv.out)
        if got != specified:
            raise nar.Mismatch(drv.drv_path, specified, got)

    @contextlib.contextmanager
    def lock(self):
        with open(os.path.join(self.directory, ".lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Builder:
    """One build: a scratch directory, and commands run in an environment of their own."""

    def __init__(self, drv, scratch):
        self.drv, self.scratch, self.text = drv, scratch, ""
        self.out = drv.out

    def path_of(self, output):
        return self.drv.paths[output]

    def say(self, text):
        if text.strip():
            self.text += text.rstrip("\n") + "\n"

    def run(self, command, **environment):
        clean = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/homeless-shelter",
            "TMPDIR": self.scratch,
            "NIX_BUILD_TOP": self.scratch,
            "LC_ALL": "C.UTF-8",
            "SOURCE_DATE_EPOCH": "315532800",
            "PYTHONHASHSEED": "0",
            "out": self.out,
        }
        clean.update(environment)
        done = subprocess.run(
            command, cwd=self.scratch, env=clean, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        self.say(done.stdout.decode("utf-8", "replace"))
        if done.returncode != 0:
            raise BuildError(self.drv.drv_path, done.returncode, self.text)

    def fail(self, message):
        self.say(message)
        raise BuildError(self.drv.drv_path, 1, self.text)


def name_without_version(name):
    """As Nix splits names: the version begins after the first dash that no letter follows."""
    return re.split(r"-(?![A-Za-z])", name, maxsplit=1)[0]


def remove(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def host_python():
    # not resolved: a virtual environment's has the pip that is used here
    return os.path.abspath(sys.executable)
