"""Runs one of this package's builders as the builder of a derivation of real Nix.

Nix starts it with the builder's name, an environment with the outputs' paths, and a file that holds the
arguments as JSON (`passAsFile`).
"""

import json
import os
import subprocess
import sys
import types

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from floxlib import fetch, python  # noqa: E402

BUILDERS = {
    "fetch_file": fetch.fetch_file, "fetch_tree": fetch.fetch_tree,
    "interpreter": python.interpreter, "third_party": python.third_party,
    "build_package": python.build_package, "environment": python.environment, "join": python.join,
}


class NixBuilder:
    """What `store.Builder` is to the stand-in's own builds."""

    def __init__(self, arguments):
        self.drv = types.SimpleNamespace(arguments=arguments)
        self.scratch = os.environ["NIX_BUILD_TOP"]
        self.out = os.environ["out"]

    @staticmethod
    def path_of(output):
        return os.environ[output]

    @staticmethod
    def say(text):
        print(text, flush=True)

    def run(self, command, **environment):
        clean = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/homeless-shelter",
            "TMPDIR": self.scratch, "NIX_BUILD_TOP": self.scratch, "LC_ALL": "C.UTF-8",
            "SOURCE_DATE_EPOCH": "315532800", "PYTHONHASHSEED": "0", "out": self.out,
        }
        done = subprocess.run(
            command, cwd=self.scratch, env={**clean, **environment}, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            sys.exit(1)

    @staticmethod
    def fail(message):
        sys.exit(message)


def main():
    # Nix does not say the whole path in argv[0]; the derivation knows it
    sys.executable = os.environ["builder"]
    with open(os.environ["argumentsPath"], encoding="utf-8") as file:
        arguments = json.load(file)
    os.umask(0o022)
    BUILDERS[sys.argv[1]](NixBuilder(arguments), arguments)


main()
