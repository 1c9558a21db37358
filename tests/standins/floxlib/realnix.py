"""Real Nix in place of the stand-in's own evaluator and store, where it is installed.

The store is private to a rehearsal, and the package set is the double in tests/nix. What Nix says goes to
the log as it is.
"""

import json
import os
import shutil
import subprocess
import sys

from .python import Venv
from .store import host_python

NIX_FILES = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../nix"))


class NixFailed(Exception):
    """Nix has said why."""


class RealNix:
    def __init__(self, state, upstream, venv, pythons, relaxing, log):
        self.state, self.upstream, self.log = os.path.realpath(state), upstream, log
        self.pythons, self.relaxing = pythons, relaxing
        self.third_party = None
        if venv:
            self.third_party = os.path.join(self.state, "third-party.json")
            if not os.path.exists(self.third_party):
                with open(self.third_party, "w", encoding="utf-8") as file:
                    json.dump(Venv(venv).index(), file)

    @staticmethod
    def is_here():
        return all(shutil.which(name) for name in ("nix-instantiate", "nix-store"))

    def run(self, *command):
        """stdout; everything else Nix says goes to the log."""
        inside = lambda name: os.path.join(self.state, "nix", name)  # noqa: E731
        environment = {
            "PATH": os.environ["PATH"], "HOME": inside("home"), "XDG_CACHE_HOME": inside("cache"),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"), "NIX_REMOTE": "", "NIX_PATH": "",
            # nothing from outside, and the host's tools as builders
            "NIX_CONFIG": "substituters =\nbuild-users-group =\nsandbox = false",
            "NIX_STORE_DIR": inside("store"), "NIX_STATE_DIR": inside("var"), "NIX_LOG_DIR": inside("log"),
        }
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
        with process:
            for line in process.stderr:
                # the store's path where a user's is known
                self.log.write(line)
                self.log.flush()
            text = process.stdout.read()
        if process.returncode != 0:
            raise NixFailed(text)
        return text

    def describe(self, root, environment, name):
        """What tests/nix/flox.nix says of one package; its derivation is in the store then."""
        third_party = "null" if self.third_party is None else json.dumps(self.third_party)
        pythons = " ".join(
            "%s = { version = %s; path = %s; };" % tuple(map(json.dumps, (named, *found)))
            for named, found in sorted(self.pythons.items()))
        pkgs = "import %s { upstream = %s; python = %s; pythons = { %s }; thirdParty = %s; relaxing = %s; }" % (
            json.dumps(os.path.join(NIX_FILES, "nixpkgs.nix")), json.dumps(self.upstream),
            json.dumps(host_python()), pythons, third_party, json.dumps(self.relaxing))
        expression = "(import %s { root = %s; environment = %s; pkgs = %s; }).described.${%s}" % (
            json.dumps(os.path.join(NIX_FILES, "flox.nix")), root, json.dumps(environment), pkgs, json.dumps(name))
        return json.loads(self.run(
            "nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "--expr", expression))

    def realise(self, described):
        self.run("nix-store", "--realise", described["drvPath"])
