#!/usr/bin/env python3
"""Makes the virtual environment whose packages stand in for nixpkgs' Python packages.

    thirdparty.py --python /usr/bin/python3.12 --venv DIR

They come from PyPI through the user's own pip, in the versions that nixpkgs.toml recorded of nixpkgs; what
is not recorded is the newest that goes with these. Whether what is recorded goes together is not asked: it
is what nixpkgs has. Build backends are among them.
"""

import argparse
import json
import os
import re
import subprocess
import sys

try:
    import tomllib
except ImportError:  # Python before 3.11
    from pip._vendor import tomli as tomllib

HERE = os.path.dirname(os.path.abspath(__file__))


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pip(python, *arguments, **options):
    command = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=True, **options)


def report(python, *arguments):
    """Metadata of what pip would install, by normalised name."""
    done = pip(python, "--dry-run", "--ignore-installed", "--report", "-", *arguments, stdout=subprocess.PIPE)
    found = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    return {normalised(item["name"]): item for item in found}


def versions(python, names, recorded, scratch):
    """The version of everything: what is recorded, what that needs, and the newest of the rest."""
    pins = {name: recorded[name] for name in names if name in recorded}
    asked = [name for name in names if name not in pins]
    for metadata in report(python, "--no-deps", *("%s==%s" % item for item in pins.items())).values():
        for text in metadata.get("requires_dist", []):
            if normalised(re.match(r"[A-Za-z0-9._-]+", text).group()) not in pins:
                asked.append(text)
    constraints = os.path.join(scratch, "constraints.txt")
    with open(constraints, "w", encoding="utf-8") as file:
        file.writelines("%s==%s\n" % item for item in pins.items())
    needed = {name: item["version"] for name, item in report(python, "-c", constraints, *asked).items()}
    return {**needed, **pins}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the interpreter that the environment is of")
    parser.add_argument("--venv", required=True, help="where to make it")
    options = parser.parse_args()
    with open(os.path.join(HERE, "../../nixpkgs.toml"), "rb") as file:
        recorded = tomllib.load(file)["versions"]
    with open(os.path.join(HERE, "floxlib/python-names.txt"), encoding="utf-8") as file:
        names = file.read().split()
    try:
        subprocess.run([options.python, "-m", "venv", options.venv], check=True)
        python = os.path.join(options.venv, "bin/python")
        pins = versions(python, names, recorded, options.venv)
        pip(python, "--no-deps", *("%s==%s" % item for item in sorted(pins.items())))
    except subprocess.CalledProcessError as error:
        sys.exit("thirdparty: `%s` ended with status %s" % (" ".join(map(str, error.cmd))[:300], error.returncode))


if __name__ == "__main__":
    main()
