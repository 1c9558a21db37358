#!/usr/bin/env python3
"""A stand-in for `flox` (1.14.1) where flox cannot be had: rehearsals and tests.

It takes flox's arguments for `build`, `publish`, `show`, `auth status` and `--version`, obeys its
rules about git and the lock, and answers with its texts, streams and exit codes (0 and 1). It
evaluates the expressions and really builds them, from the source that it fetches and hashes itself
(floxlib/), or lets real Nix do so (`--nix`). FloxHub is a directory. It decides nothing about whether what it built works.

What the real flox said in 46 recorded cases stands in transcripts/; tests/e2e/transcripts.rs compares.
Signals are the real one's as well: SIGINT ends it with an error, SIGTERM at once, and in both cases
what it has started only ends if it gets the signal too.

The options before `--` are the stand-in's own; a launcher named `flox` passes them.
Faults come from `--fault` and from the file `faults` in the state directory, one a line:
build:PKG  timeout:PKG (published, never confirmed)  pending:PKG (neither)  killed:PKG (after it published)
offline  forbidden  publish:PKG (as record:PKG=502)  show:PKG (as show:PKG=offline)
and what FloxHub answers to a request, as show=500 (floxlib/hub.py)
"""

import argparse
import datetime
import os
import re
import shutil
import signal
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from floxlib import pkgset  # noqa: E402
from floxlib.catalog import Catalog  # noqa: E402
from floxlib.environment import Environment, system  # noqa: E402
from floxlib.git import GitFailed, Repository  # noqa: E402
from floxlib.hub import Hub, Refused  # noqa: E402
from floxlib.login import Login  # noqa: E402
from floxlib.messages import Failure, say  # noqa: E402
from floxlib.nar import Mismatch  # noqa: E402
from floxlib.nixlang import NixError, deep, is_derivation, with_deep_stack  # noqa: E402
from floxlib.realnix import NixFailed, RealNix  # noqa: E402
from floxlib.settings import Settings  # noqa: E402
from floxlib.store import BuildError, Store  # noqa: E402

VERSION = "1.14.1"
LIBEXEC = "/usr/libexec/flox"
UNSUPPORTED = "The environment is in an unsupported state for publishing: "
CREDENTIALS = "\nCheck your SSH agent (`ssh-add -l`) or credential configuration."
NAME = {"org": r"[a-zA-Z0-9_-]{3,63}", "package": r"[a-zA-Z0-9._-]{1,128}"}
# What flox does where the upstream of a branch has no remote in its name.
PANIC = """
thread 'main' (%d) panicked at cli/flox-rust-sdk/src/providers/git.rs:1078:78:
called `Option::unwrap()` on a `None` value
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"""


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
        for long, short in options.items():
            if word == "--" + long or short and word == "-" + short:
                if not words:
                    raise Failure("`%s` requires an argument" % word)
                value = words.pop(0)
            elif word.startswith("--%s=" % long):
                value = word.partition("=")[2]
            elif short and word.startswith("-" + short) and not word.startswith("--"):
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
        missing = self.missing(drv, [])
        if missing:
            count = "this derivation" if len(missing) == 1 else "these %d derivations" % len(missing)
            say("%s will be built:" % count)
            for needed in missing:
                say("  " + needed.drv_path)
        self.store.realise(drv)
        return self.store.logs(drv)

    def missing(self, drv, found):
        """Derivations that have to be built for one, what they need first."""
        if drv not in found and not self.store.is_valid(drv):
            for needed in drv.inputs():
                self.missing(needed, found)
            found.append(drv)
        return found


class WithNix:
    """Real Nix, which keeps its own logs."""

    def __init__(self, nix, source, relative):
        self.nix, self.source, self.relative = nix, source, relative

    def describe(self, name):
        return self.nix.describe(self.source, self.relative, name)

    def realise(self, described):
        self.nix.realise(described)


class Stand:
    def __init__(self, options, scratch):
        self.scratch = scratch
        self.built = {}
        self.step = "eval"
        self.state = os.path.abspath(options.state)
        os.makedirs(self.state, exist_ok=True)
        self.upstream, self.venv, self.orgs = options.upstream, options.third_party, options.org
        self.with_nix, self.relaxing = options.nix, not options.no_relaxing
        self.pythons = dict(map(python_option, options.python))
        self.faults = set(options.fault)
        path = os.path.join(self.state, "faults")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.faults.update(file.read().split())
        self.hub = Hub(self.faults)
        self.catalog = Catalog(self.state)
        # flox hands Nix a clean environment; nothing that is built here sees the token
        self.login = Login(os.environ.pop("FLOX_FLOXHUB_TOKEN", None), self.hub)

    def run(self, words):
        """The exit status of a command that ends without an error."""
        if words[:1] in (["--version"], ["-V"]):
            print(VERSION)
            return 0
        settings = Settings(self.state)
        settings.notice()
        command = self.command(words)
        settings.check()
        self.login.greet(is_auth_command=command == self.login.status)
        return command() or 0

    def command(self, words):
        """What arguments ask for. They are read before anything else is looked at."""
        while words and words[0] in ("-v", "-vv"):
            words = words[1:]
        name, rest = (words[0], words[1:]) if words else (None, [])
        directory = {"dir": "d", "stability": None}
        if name == "auth" and rest == ["status"]:
            return self.login.status
        if name == "build":
            options, packages = parse(rest, directory)
            where = options.get("dir", ".")
            if packages[:1] == ["clean"]:
                return lambda: self.clean(Environment(where), packages[1:])
            return lambda: self.build(Environment(where), packages)
        if name == "publish":
            options, packages = parse(rest, {**directory, "org": "o"})
            if len(packages) > 1:
                raise unexpected(packages[1])
            return lambda: self.publish(Environment(options.get("dir", ".")), packages, options.get("org"))
        if name == "show":
            _, paths = parse(rest, {})
            if len(paths) > 1:
                raise unexpected(paths[1])
            if not paths:
                raise Failure("expected `PKG-PATH`, pass `--help` for usage information")
            return lambda: self.show(paths[0])
        raise unexpected(words[0] if words else "")

    # build

    def build(self, environment, packages):
        if not environment.is_locked() and self.login.is_missing():
            say("! Locking environments will require authentication in an upcoming release. "
                "See https://flox.dev/docs/install-flox/ for more info.")
        environment.lock()
        self.prefetch()
        targets = self.targets(environment, packages)
        links = self.build_targets(environment, targets)
        shown = [self.relative(link) for link in links]
        text = "output: " if len(shown) == 1 else "outputs:\n"
        say("⚡︎ Built %s%s" % (text, ", ".join(shown)))

    def prefetch(self):
        if "offline" in self.faults:
            raise Failure("Failed to download Nix build tools from 'https://github.com/flox/nixpkgs'\n"
                          "error: unable to download: Could not resolve hostname\n")

    @staticmethod
    def relative(link):
        inside = os.path.dirname(link) == os.getcwd()
        return "./" + os.path.basename(link) if inside else link

    def clean(self, environment, packages):
        names = self.known(environment, packages)
        for name in names:
            for link in os.listdir(environment.directory):
                if link == "result-" + name or re.fullmatch("result-%s-(dist|log)" % re.escape(name), link):
                    os.unlink(os.path.join(environment.directory, link))
        say("✔ Cleaned build targets: " + ", ".join(names))

    @staticmethod
    def known(environment, wanted):
        """The packages that are meant; no name means all. flox has them in no order, here by name."""
        environment.check_path()
        files = environment.packages()
        if not files:
            raise Failure(
                "No packages found to build.\n\nAdd a build by modifying the '[build]' section of the "
                "manifest with 'flox edit'\nor add expression files in 'path:%s'.\n" % environment.dot_flox)
        for name in wanted:
            if name not in files:
                raise Failure("Target '%s' not found." % name)
        return wanted or list(files)

    @classmethod
    def targets(cls, environment, wanted):
        """The packages to build, whose expressions git has to know."""
        names, files = cls.known(environment, wanted), environment.packages()
        only = ("Only git tracked files (including the expressions themselves) will be available "
                "during nix expression builds.\n\n")
        repository = Repository(environment.directory)
        if repository.root is None:
            raise Failure(
                "Building nix expression build(s) requires git version control.\n" + only
                + "Expression build(s):\n" + "".join("  - %s\n" % name for name in names))
        for name in names:
            if not repository.is_tracked(files[name]):
                raise Failure(
                    "The Nix expression for '%s' does not appear to be tracked by git.\n" % name + only
                    + "Nix expression: '%s' defined in '%s'\n" % (name, files[name]))
        return names

    def build_targets(self, environment, names):
        """Builds targets in order; the first that fails ends the run, as make does."""
        repository = Repository(environment.directory)
        relative = os.path.relpath(environment.directory, repository.root)
        links = []
        source = os.path.join(self.scratch, "source")
        os.mkdir(source)
        repository.export_tracked(source)
        engine = self.engine(source, relative)
        for name in names:
            try:
                described, log = self.build_one(engine, name)
            except (NixError, BuildError, Mismatch) as error:
                say("error: " + str(error).replace(source, "«source»"))
                self.make_failed(name)
            except NixFailed:
                self.make_failed(name)
            self.built[name] = described
            links += self.link(environment, name, described, log)
            print("Completed build of %s in Nix expression mode\n" % described["name"], flush=True)
        return links

    def engine(self, source, relative):
        if self.with_nix:
            return WithNix(
                RealNix(self.state, self.upstream, self.venv, self.pythons, self.relaxing, sys.stderr),
                source, relative)
        packages = Environment(os.path.join(source, relative)).packages()
        store = Store(self.state, sys.stderr)
        nixpkgs = pkgset.Set(store, self.upstream, self.venv, self.pythons)
        return Own(store, nixpkgs.overlay(packages))

    def build_one(self, engine, name):
        """A package: what there is to say of it, and its log."""
        self.step = "eval"
        described = engine.describe(name)
        print("Building %s in Nix expression mode" % described["name"], flush=True)
        self.step = "build"
        if "build:" + name in self.faults:
            raise BuildError(described["drvPath"], 1, "a fault was asked for")
        return described, engine.realise(described)

    def make_failed(self, name):
        say("make: *** [%s/package-builder/flox-build.mk:927: %s/%s/%s.json] Error 1" % (
            LIBEXEC, self.scratch, name, self.step))
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

    def publish(self, environment, packages, org):
        handle = self.login.require()
        org = org or handle
        if not environment.is_locked():
            raise Failure(UNSUPPORTED + "Environment must be locked.")
        self.prefetch()
        names = self.known(environment, packages)
        if len(names) != 1:
            raise Failure("Must specify an artifact to publish")
        (name,) = self.targets(environment, names)
        url, rev = self.check_git(environment)
        try:
            if org not in self.orgs:
                raise Refused("404")
            self.hub.ask("create", name)
        except Refused as refused:
            raise Failure(str(refused)) from None
        environment.lock()
        self.build_targets(environment, [name])
        self.record(org, name, url, rev)

    def record(self, org, name, url, rev):
        """Tells the catalog of what was built, unless it knows."""
        key = [url, rev, system(), "stable"]
        try:
            self.hub.ask("check", name)
            earlier = self.catalog.find(org, name, key)
        except Refused as refused:
            earlier = None
            say("! Unable to check if already published — continuing with publish.")
            say("%s  WARN flox::commands::publish: Dedup pre-check failed, proceeding with publish error=%s" % (
                datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3], refused))
        if earlier:
            say("✔ Package already published.\n\nOriginally published: %s\nSource revision: %s\n" % (
                earlier["date"], earlier["rev"]))
            return
        try:
            self.hub.ask("record", name)
        except Refused as refused:
            raise Failure("Failed to publish package: %s" % refused) from None
        not_confirmed = Failure("Failed while waiting for publish confirmation: "
                                "Timed out waiting for publish completion")
        if "pending:" + name in self.faults:
            raise not_confirmed
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
        self.catalog.add(org, name, {
            "key": key, "date": date, "rev": rev, "url": url, "system": system(),
            **self.metadata(self.built[name], name)})
        if "killed:" + name in self.faults:
            os.kill(os.getpid(), signal.SIGKILL)
        if "timeout:" + name in self.faults:
            raise not_confirmed
        say("✔ Package published successfully.\n\nUse 'flox install %s/%s' to install it.\n" % (org, name))

    @classmethod
    def check_git(cls, environment):
        """The conditions of publishing, in flox's order; returns the remote's URL and the commit."""
        repository = Repository(environment.directory)
        untracked = repository.untracked(environment.dot_flox)
        if untracked:
            raise Failure(UNSUPPORTED + "The following environment files are not tracked by git:\n"
                          + "\n".join("- " + path for path in untracked))
        if repository.is_dirty():
            raise Failure(UNSUPPORTED + "Build repository must be clean, but has dirty tracked files.")
        remote, branch = cls.upstream(repository)
        try:
            url = repository.remote_url(remote)
            repository.ask_remote(remote, branch)
        except GitFailed as failed:
            text = str(failed)
            if failed.is_access_denied:
                text = "Could not access the remote repository: %s%s" % (failed, CREDENTIALS)
            raise Failure(UNSUPPORTED + text) from None
        try:
            is_there = repository.is_on_remote(remote)
        except GitFailed as failed:
            text = "Failed to check whether local revision exists on remote '%s/%s': %s" % (
                remote, branch, failed)
            if failed.is_access_denied:
                text = "Could not access remote '%s' while verifying the local revision: %s%s" % (
                    remote, failed, CREDENTIALS)
            raise Failure(UNSUPPORTED + text) from None
        if not is_there:
            raise Failure(UNSUPPORTED + "Local revision is not present on remote '%s/%s'.\n"
                          "Push your commits with 'git push'" % (remote, branch))
        return url, repository.head()

    @staticmethod
    def upstream(repository):
        """The remote and the branch that the current branch follows."""
        upstream, branch = repository.upstream(), repository.branch()
        if upstream is None and branch is None:
            raise Failure(UNSUPPORTED + "Repository is in detached HEAD state and has no upstream "
                          "remote configured.\n"
                          "Check out a branch before publishing: git checkout -b <branch-name>")
        if upstream is None:
            remotes = repository.remotes()
            remote = remotes[0] if len(remotes) == 1 else "<remote>"
            raise Failure(UNSUPPORTED + "Current branch '%s' has no upstream remote configured.\n"
                          "Set one with 'git branch --set-upstream-to=%s/%s'" % (branch, remote, branch))
        remote, slash, branch = upstream.partition("/")
        if not slash:
            say(PANIC % os.getpid())
            raise Failure('task 9 panicked with message "called `Option::unwrap()` on a `None` value"')
        return remote, branch

    @staticmethod
    def metadata(described, name):
        return {
            "attribute": name, "pname": described.get("pname", described["name"]),
            "version": described.get("version", "unknown"),
            "description": described["meta"]["description"], "license": described["meta"]["license"],
            "outputs": described["outputs"], "installed": ["out"], "paths": described["paths"],
        }

    # show

    def show(self, pkg_path):
        org, _, package = pkg_path.partition("/")
        try:
            self.hub.ask("show", package)
        except Refused as refused:
            raise Failure("catalog error: %s" % refused) from None
        is_name = re.fullmatch("%(org)s/%(package)s" % NAME, pkg_path)
        text = self.catalog.show(org, package) if is_name else None
        if text is None:
            raise Failure("no packages matched this pkg-path: '%s'" % pkg_path)
        sys.stdout.write(text)


def python_option(text):
    """The version that is asked for, and version and path of the interpreter to take for it."""
    named, _, found = text.partition("=")
    version, _, path = found.partition(":")
    return named, (version, path)


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
    parser.add_argument("--no-relaxing", action="store_true")
    parser.add_argument("--python", action="append", default=[], metavar="3.12=3.11:/usr/bin/python3")
    parser.add_argument("--fault", action="append", default=[])
    words = sys.argv[1:]
    options = parser.parse_args(words[: words.index("--")])
    words = words[words.index("--") + 1 :]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # what is made on the way lies in one place, and is gone with the process
    scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="flox-process-")
    try:
        return run(options, words, scratch)
    except KeyboardInterrupt:
        say("✘ ERROR: user interrupted process")
        # what was started got the signal with the whole group; nobody waits longer for it
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(1)
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run(options, words, scratch):
    try:
        stand = Stand(options, scratch)
        with open(os.path.join(stand.state, "calls.log"), "a", encoding="utf-8") as log:
            log.write("flox %s\n" % " ".join(words))
        return with_deep_stack(lambda: stand.run(words))
    except Failure as failure:
        say("✘ ERROR: %s" % failure)
        return 1


if __name__ == "__main__":
    sys.exit(main())
