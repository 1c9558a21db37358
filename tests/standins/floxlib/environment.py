"""A Flox environment on disk: `.flox` with its manifest, its lock and its package expressions."""

import json
import os
import platform
import re

from .messages import Failure

try:
    import tomllib
except ImportError:  # Python before 3.11
    from pip._vendor import tomli as tomllib

NOT_ABSOLUTE = """\
error:
       … while calling the 'parseFlakeRef' builtin
         at «string»:1:1:
            1| builtins.parseFlakeRef "path:%s"
             | ^

       error: flake reference 'path:%s' is not an absolute path
"""


def system():
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
    return "%s-%s" % (machine, platform.system().lower())


class Environment:
    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.dot_flox = os.path.join(self.directory, ".flox")
        if not os.path.isfile(os.path.join(self.dot_flox, "env.json")):
            raise Failure("Did not find an environment in '%s'" % directory)
        self.manifest = os.path.join(self.dot_flox, "env/manifest.toml")
        self.lockfile = os.path.join(self.dot_flox, "env/manifest.lock")

    def is_locked(self):
        return os.path.isfile(self.lockfile)

    def lock(self):
        """Locks the environment when its lock is missing or is not of this manifest."""
        with open(self.manifest, "rb") as file:
            manifest = tomllib.load(file)
        if manifest.get("install"):
            raise Failure("the stand-in has no catalog to lock packages from")
        lock = {"lockfile-version": 1, "manifest": manifest, "packages": []}
        try:
            with open(self.lockfile, encoding="utf-8") as file:
                current = json.load(file)
        except (OSError, ValueError):
            current = {}
        if current.get("manifest") != manifest:
            with open(self.lockfile, "w", encoding="utf-8") as file:
                file.write(json.dumps(lock, indent=2) + "\n")
        systems = manifest.get("options", {}).get("systems")
        if systems is not None and system() not in systems:
            raise Failure("This environment is not locked for your system (%s)." % system())

    def check_path(self):
        """Nix finds the expressions by a reference that is no URL where the path has white space."""
        if re.search(r"\s", self.dot_flox):
            raise Failure(NOT_ABSOLUTE % (self.dot_flox, self.dot_flox))

    def packages(self):
        """Expressions below `.flox/pkgs`, attribute path -> file. Symbolic links are not seen."""
        found = {}
        self.collect(os.path.join(self.dot_flox, "pkgs"), "", found)
        return found

    def collect(self, folder, prefix, found):
        if not os.path.isdir(folder):
            return
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            if os.path.isdir(path):
                if os.path.isfile(os.path.join(path, "default.nix")):
                    found[prefix + name] = os.path.join(path, "default.nix")
                else:
                    self.collect(path, prefix + name + ".", found)
            elif name.endswith(".nix") and not name.endswith("flake.nix"):
                found[prefix + name[:-4]] = path

    def result_link(self, package, output):
        suffix = "" if output == "out" else "-" + output
        return os.path.join(self.directory, "result-%s%s" % (package, suffix))
