#!/usr/bin/env python3
"""A stand-in for `flox` (1.14.1) where flox cannot be had: rehearsals and tests.

It takes flox's arguments for `build`, `publish`, `show`, `auth status` and `--version`, obeys its
rules about git and the lock, and answers with its texts, streams and exit codes (0 and 1). It
evaluates the expressions and really builds them, from the source that it fetches and hashes itself
(floxlib/), or lets real Nix do so (`--nix`). FloxHub is a directory. It decides nothing about whether what it built works.

The options before `--` are the stand-in's own; a launcher named `flox` passes them.
Faults come from `--fault` and from the file `faults` in the state directory, one a line:
build:PKG  publish:PKG  show:PKG  forbidden  token-expired  token-revoked  offline  timeout:PKG
"""

import argparse
import datetime
import os
import re
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from floxlib import pkgset  # noqa: E402
from floxlib.catalog import Catalog  # noqa: E402
from floxlib.environment import Environment, Failure, system  # noqa: E402
from floxlib.git import Repository  # noqa: E402
from floxlib.nar import Mismatch  # noqa: E402
from floxlib.nixlang import NixError, deep, is_derivation, with_deep_stack  # noqa: E402
from floxlib.realnix import NixFailed, RealNix  # noqa: E402
from floxlib.store import BuildError, Store  # noqa: E402

VERSION = "1.14.1"
UNSUPPORTED = "The environment is in an unsupported state for publishing: "
NAME = {"org": r"[a-zA-Z0-9_-]{3,63}", "package": r"[a-zA-Z0-9._-]{1,128}"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def unexpected(word):
    return Failure("`%s` is not expected in this context" % word)


def parse(words, options):
    """Options with a value and positional words, in any order, as flox's grammar takes them."""
    found, rest = {}, []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += words
            break
        for short, long in options.items():
            if word in ("-" + short, "--" + long):
                if not words:
                    raise Failure("`%s` requires an argument" % word)
                value = words.pop(0)
            elif word.startswith("--%s=" % long):
                value = word.partition("=")[2]
            elif word.startswith("-" + short) and not word.startswith("--"):
                value = word[2:].lstrip("=")
            else:
                continue
            if long in found:
                raise Failure("argument `%s` cannot be used multiple times in this context" % word)
            found[long] = value
            break
        else:
            if word.startswith("-"):
                raise unexpected(word)
            rest.append(word)
    return found, rest


class Own:
    """The stand-in's own evaluator and store."""

    def __init__(self, store, scope):
        self.store, self.scope = store, scope

    def describe(self, name):
        value = self.scope[name].force()
        if not is_derivation(value):
            raise NixError("expression does not evaluate to a derivation")
        meta = {key: deep(item) for key, item in (value["meta"].force() if "meta" in value else {}).items()}
        licence = meta.get("license")
        if isinstance(licence, dict):
            licence = licence.get("spdxId") or licence.get("fullName")
        outputs = deep(value["outputs"])
        return {
            **{key: deep(value[key]) for key in ("name", "pname", "version", "drvPath") if key in value},
            "meta": {"description": meta.get("description"), "license": licence}, "outputs": outputs,
            "paths": {output: value[output].force()["outPath"].force() for output in outputs},
        }

    def realise(self, described):
        drv = self.store.known[described["paths"]["out"]]
        self.store.realise(drv)
        return self.store.logs(drv)


class WithNix:
    """Real Nix, which keeps its own logs."""

    def __init__(self, nix, source, relative):
        self.nix, self.source, self.relative = nix, source, relative

    def describe(self, name):
        return self.nix.describe(self.source, self.relative, name)

    def realise(self, described):
        self.nix.realise(described)


class Stand:
    def __init__(self, options):
        self.built = {}
        self.state = os.path.abspath(options.state)
        os.makedirs(self.state, exist_ok=True)
        self.upstream, self.venv, self.orgs = options.upstream, options.third_party, options.org
        self.with_nix = options.nix
        self.faults = set(options.fault)
        path = os.path.join(self.state, "faults")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.faults.update(file.read().split())
        self.catalog = Catalog(self.state)
        # flox hands Nix a clean environment; nothing that is built here sees the token
        self.token = os.environ.pop("FLOX_FLOXHUB_TOKEN", None)

    def run(self, words):
        if words[:1] in (["--version"], ["-V"]):
            print(VERSION)
            return
        while words and words[0] in ("-v", "-vv"):
            words = words[1:]
        command, rest = (words[0], words[1:]) if words else (None, [])
        if command == "auth" and rest == ["status"]:
            return self.auth_status()
        known = {"build": self.build, "publish": self.publish, "show": self.show}
        if command not in known:
            raise unexpected(" ".join(words[:2]))
        if self.token is None:
            say("! You are not logged in to FloxHub. Run 'flox auth login' to log in.")
        known[command](rest)

    def auth_status(self):
        if self.token is None:
            raise Failure("You are not currently logged in to FloxHub.")
        if "token-revoked" in self.faults:
            raise Failure("Your FloxHub token is expired or has been revoked.")
        if "offline" in self.faults:
            raise Failure("Found a FloxHub token but could not reach FloxHub to verify it.")
        say("✔ You are logged in as rehearsal on https://hub.flox.dev/")

    def require_login(self):
        advice = "\n\nTo log in:\n * run 'flox auth login'\n * or set 'FLOX_FLOXHUB_TOKEN'"
        if self.token is None:
            raise Failure("You are not logged in to FloxHub." + advice)
        if not re.match(r"flox_(pat|sat)_", self.token):
            say("✘ ERROR: Your FloxHub token is invalid: unknown format")
            raise Failure("You are not logged in to FloxHub." + advice)
        if "token-expired" in self.faults:
            raise Failure("Your FloxHub token has expired." + advice)

    # build

    def build(self, words):
        options, packages = parse(words, {"d": "dir", "s": "stability"})
        if packages[:1] == ["clean"]:
            return self.clean(Environment(options.get("dir", ".")), packages[1:])
        environment = Environment(options.get("dir", "."))
        environment.lock()
        if "offline" in self.faults:
            raise Failure("Failed to download Nix build tools from 'https://hub.flox.dev/'")
        targets = self.targets(environment, packages)
        links = self.build_targets(environment, targets)
        shown = [self.relative(link) for link in links]
        text = "output: " if len(shown) == 1 else "outputs:\n"
        say("⚡︎ Built %s%s" % (text, ", ".join(shown)))

    @staticmethod
    def relative(link):
        inside = os.path.dirname(link) == os.getcwd()
        return "./" + os.path.basename(link) if inside else link

    @staticmethod
    def clean(environment, packages):
        names = packages or list(environment.packages())
        for name in names:
            for link in os.listdir(environment.directory):
                if link == "result-" + name or re.fullmatch("result-%s-(dist|log)" % re.escape(name), link):
                    os.unlink(os.path.join(environment.directory, link))
        say("✔ Cleaned build targets: " + ", ".join(names))

    @staticmethod
    def targets(environment, wanted):
        files = environment.packages()
        if not files:
            raise Failure("No packages found to build.\n\nAdd expressions to '.flox/pkgs'.")
        for name in wanted:
            if name not in files:
                raise Failure("Target '%s' not found." % name)
        repository = Repository(environment.directory)
        if repository.root is None:
            raise Failure("Building nix expression build(s) requires git version control.")
        names = wanted or list(files)
        for name in names:
            if not repository.is_tracked(files[name]):
                raise Failure(
                    "The Nix expression for '%s' does not appear to be tracked by git." % name)
        return names

    def build_targets(self, environment, names):
        """Builds targets in order; the first that fails ends the run, as make does."""
        repository = Repository(environment.directory)
        relative = os.path.relpath(environment.directory, repository.root)
        if repository.is_shallow() and not repository.is_dirty():
            self.nix_failed(
                "'git+file://%s' is a shallow Git repository, but shallow repositories are only "
                "allowed when shallow = true" % repository.root, names[0])
        links = []
        with tempfile.TemporaryDirectory(prefix="flox-source-") as source:
            repository.export_tracked(source)
            engine = self.engine(source, relative)
            for name in names:
                print("Building %s in Nix expression mode" % name, flush=True)
                self.built[name] = self.realise(engine, name, source)
                links += self.link(environment, name, *self.built[name])
                print("Completed build of %s in Nix expression mode" % name, flush=True)
        return links

    def engine(self, source, relative):
        if self.with_nix:
            return WithNix(RealNix(self.state, self.upstream, self.venv, sys.stderr), source, relative)
        packages = Environment(os.path.join(source, relative)).packages()
        store = Store(self.state, sys.stderr)
        return Own(store, pkgset.Set(store, self.upstream, self.venv).overlay(packages))

    def realise(self, engine, name, source):
        """A package: what there is to say of it, and its log."""
        try:
            described = engine.describe(name)
            if "build:" + name in self.faults:
                raise BuildError(described["drvPath"], 1, "a fault was asked for")
            return described, engine.realise(described)
        except (NixError, BuildError, Mismatch) as error:
            self.nix_failed(str(error).replace(source, "«source»"), name)
        except NixFailed:
            self.make_failed(name)

    @staticmethod
    def nix_failed(text, name):
        say("error: " + text)
        Stand.make_failed(name)

    @staticmethod
    def make_failed(name):
        say("make: *** [/nix/store/flox-build.mk:1: %s_nix_expression_build] Error 1" % name)
        raise Failure("Build failed")

    @staticmethod
    def link(environment, name, described, log):
        links = []
        for output in described["outputs"]:
            links.append(environment.result_link(name, output))
            replace_link(described["paths"][output], links[-1])
        if log:
            replace_link(log, environment.result_link(name, "log"))
        return links

    # publish

    def publish(self, words):
        options, packages = parse(words, {"d": "dir", "o": "org", "s": "stability"})
        if len(packages) > 1:
            raise unexpected(packages[1])
        self.require_login()
        org = options.get("org", "UNKNOWN")
        environment = Environment(options.get("dir", "."))
        if not environment.is_locked():
            raise Failure(UNSUPPORTED + "Environment must be locked.")
        environment.lock()
        names = packages or list(environment.packages())
        if len(names) != 1:
            raise Failure("Must specify an artifact to publish")
        (name,) = self.targets(environment, names)
        url, rev = self.check_git(environment)
        if org not in self.orgs or "forbidden" in self.faults:
            raise Failure("403 Forbidden: You are not permitted to write to this catalog.")
        self.build_targets(environment, [name])
        metadata = self.metadata(self.built[name][0], name)
        key = [url, rev, system(), "stable"]
        earlier = self.catalog.find(org, name, key)
        if earlier:
            say("✔ Package already published.\n\nOriginally published: %s\nSource revision: %s" % (
                earlier["date"], rev))
            return
        if "publish:" + name in self.faults:
            raise Failure("Failed to publish package: 502 Bad Gateway")
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        self.catalog.add(org, name, {
            "key": key, "date": date, "rev": rev, "url": url, "system": system(), **metadata})
        if "timeout:" + name in self.faults:
            raise Failure("Failed while waiting for publish confirmation: "
                          "Timed out waiting for publish completion")
        say("✔ Package published successfully.\n\nUse 'flox install %s/%s' to install it." % (org, name))

    @staticmethod
    def check_git(environment):
        """The conditions of publishing, in flox's order; returns the remote's URL and the commit."""
        repository = Repository(environment.directory)
        untracked = repository.untracked(environment.dot_flox)
        if untracked:
            raise Failure(UNSUPPORTED + "The following environment files are not tracked by git:\n"
                          + "\n".join("- " + path for path in untracked))
        if repository.is_dirty():
            raise Failure(UNSUPPORTED + "Build repository must be clean, but has dirty tracked files.")
        branch, upstream = repository.branch(), repository.upstream()
        if branch is None:
            raise Failure(UNSUPPORTED + "Repository is in detached HEAD state and has no upstream "
                          "remote configured.")
        if upstream is None:
            raise Failure(UNSUPPORTED + "Current branch '%s' has no upstream remote configured.\n"
                          "Set one with 'git branch --set-upstream-to=REMOTE/B'" % branch)
        remote = upstream.split("/", 1)[0]
        try:
            is_there = repository.is_on_remote(remote)
        except Exception as error:  # whatever git says
            raise Failure(UNSUPPORTED + "Could not access the remote repository: %s" % error) from None
        if not is_there:
            raise Failure(UNSUPPORTED + "Local revision is not present on remote '%s'.\n"
                          "Push your commits with 'git push'" % upstream)
        return repository.remote_url(remote), repository.head()

    @staticmethod
    def metadata(described, name):
        return {
            "attribute": name, "pname": described.get("pname", described["name"]),
            "version": described.get("version", "unknown"),
            "description": described["meta"]["description"], "license": described["meta"]["license"],
            "outputs": described["outputs"], "installed": ["out"], "paths": described["paths"],
        }

    # show

    def show(self, words):
        _, names = parse(words, {})
        if len(names) != 1 or not re.fullmatch("%(org)s/%(package)s" % NAME, names[0]):
            raise Failure("invalid package path")
        org, package = names[0].split("/")
        if "offline" in self.faults or "show:" + package in self.faults:
            raise Failure("catalog error: communication error: error sending request")
        text = self.catalog.show(org, package)
        if text is None:
            raise Failure("no packages matched this pkg-path: '%s'" % names[0])
        sys.stdout.write(text)


def replace_link(target, link):
    temporary = link + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, link)


def main():
    parser = argparse.ArgumentParser(description="A stand-in for flox.", add_help=False)
    parser.add_argument("--state", required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--org", action="append", default=[])
    parser.add_argument("--third-party")
    parser.add_argument("--nix", action="store_true")
    parser.add_argument("--fault", action="append", default=[])
    words = sys.argv[1:]
    options = parser.parse_args(words[: words.index("--")])
    words = words[words.index("--") + 1 :]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        stand = Stand(options)
        with open(os.path.join(stand.state, "calls.log"), "a", encoding="utf-8") as log:
            log.write("flox %s\n" % " ".join(words))
        with_deep_stack(lambda: stand.run(words))
    except Failure as failure:
        say("✘ ERROR: %s" % failure)
        return 1
    except KeyboardInterrupt:
        say("✘ ERROR: user interrupted process")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
