#!/usr/bin/env python3
"""A flox that answers in milliseconds, for the matrix of faults: what it builds was built before.

    flox.py STATE ARGUMENTS OF FLOX…

STATE/built.json has the tree of `nix/` that was built, and the store path of each package; any other tree is
refused as a build that fails. The catalog, and what git must be like to publish, are the stand-in's.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../standins"))

from floxlib.catalog import Catalog  # noqa: E402

SYSTEM = "x86_64-linux" if os.uname().machine == "x86_64" else "aarch64-linux"
ERROR = "\u2718 ERROR: "


def fail(text):
    sys.stderr.write(ERROR + text + "\n")
    return 1


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()


def known(state):
    with open(os.path.join(state, "built.json"), encoding="utf-8") as file:
        return json.load(file)


def build(state, attributes):
    built = known(state)
    index = os.path.join(state, "index-%d" % os.getpid())  # a git that is killed leaves its lock beside it
    env = {**os.environ, "GIT_INDEX_FILE": index}
    for command in (["git", "read-tree", "HEAD"], ["git", "add", "--update", "."]):
        subprocess.run(command, check=True, env=env)
    tree = subprocess.run(["git", "write-tree"], check=True, env=env, stdout=subprocess.PIPE, encoding="utf-8").stdout
    os.remove(index)
    if git("rev-parse", tree.strip() + ":nix") != built["nix"]:
        return fail("Build failed")
    link_all(built, attributes)
    return 0


def link_all(built, attributes):
    for attribute in attributes:
        link = "flox/result-" + attribute
        if os.path.islink(link):
            os.remove(link)
        os.symlink(built["paths"][attribute], link)


def publish(state, org, attribute):
    if git("status", "--porcelain", "--untracked-files=no"):
        return fail("Build repository must be clean, but has dirty tracked files.")
    upstream = git("rev-parse", "--abbrev-ref", "@{upstream}")
    remote, _, branch = upstream.partition("/")
    head = git("rev-parse", "HEAD")
    if head not in git("ls-remote", remote, "refs/heads/" + branch):
        return fail("Local revision is not present on remote '%s'." % upstream)
    built = known(state)
    if git("rev-parse", "HEAD:nix") != built["nix"]:
        return fail("Build failed")
    link_all(built, [attribute])
    catalog = Catalog(state)
    key = [git("remote", "get-url", remote), head, SYSTEM, "stable"]
    if catalog.find(org, attribute, key):
        sys.stderr.write("\u2714 Package already published.\n")
        return 0
    name = os.path.basename(os.readlink("flox/result-" + attribute))
    catalog.add(org, attribute, {
        "key": key, "rev": head, "system": SYSTEM, "version": name.rsplit("-", 1)[1], "description": "",
        "license": "", "outputs": ["out"], "installed": ["out"], "date": ""})
    sys.stderr.write("\u2714 Package published successfully.\n")
    return 0


def main():
    state, command, *arguments = sys.argv[1:]
    # what flox gives to what it starts is not in question
    os.environ.pop("FLOX_FLOXHUB_TOKEN", None)
    if command == "--version":
        print("1.14.1")
        return 0
    if command == "auth":
        sys.stderr.write("You are logged in as somebody\n")
        return 0
    if command == "build":
        return build(state, arguments[2:])
    if command == "publish":
        return publish(state, arguments[3], arguments[4])
    if command == "show":
        shown = Catalog(state).show(*arguments[0].split("/"))
        if shown is None:
            return fail("no packages matched this pkg-path: '%s'" % arguments[0])
        print(shown, end="")
        return 0
    return fail("unexpected argument '%s'" % command)


if __name__ == "__main__":
    sys.exit(main())
