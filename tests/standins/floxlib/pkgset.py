"""The package set that expressions are evaluated against: a double of the parts of nixpkgs they use.

Only attributes that nixpkgs has under the same name are here, so a misspelt one fails evaluation as
it would there. A function takes the arguments listed here and refuses others, instead of ignoring
what it does not know.
"""

import os
import re
import sys

from . import fetch, python
from .environment import tomllib
from .nixlang import (
    Interpreter, Lambda, NixError, Path, Thunk, call, compare_versions, curry, deep, done, equal,
    is_derivation, is_function, to_string,
)
from .store import Derivation, host_python

# Python packages of nixpkgs that Dagster asked for at some time, by attribute name.
with open(os.path.join(os.path.dirname(__file__), "python-names.txt"), encoding="utf-8") as names:
    PYTHON_NAMES = names.read().split()
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# What nixpkgs has, as it was recorded: attribute -> version.
with open(os.path.join(os.path.dirname(__file__), "../../../nixpkgs.toml"), "rb") as recorded:
    RECORDED = tomllib.load(recorded)["versions"]
# nixpkgs' attribute where it is not the normalised name of the distribution.
DISTRIBUTIONS = {}

SYSTEMS = {
    "linux": ["x86_64-linux", "aarch64-linux"],
    "darwin": ["x86_64-darwin", "aarch64-darwin"],
}
PACKAGE_ARGUMENTS = {
    "pname", "version", "name", "pyproject", "format", "src", "sourceRoot", "build-system",
    "dependencies", "pypaBuildFlags", "pythonRelaxDeps", "pythonImportsCheck", "dontWrapPythonPrograms",
    "makeWrapperArgs", "postFixup", "doCheck", "meta", "passthru", "disabled",
}


def versions():
    def part(index):
        return lambda text: text.force().split(".")[index]

    def leading(count):
        return lambda text: ".".join(text.force().split(".")[:count])

    return attrs(
        major=part(0), minor=part(1), patch=part(2), majorMinor=leading(2),
    )


def attrs(**values):
    """A set of plain values and functions of thunks."""
    return {name.replace("_", "-"): done(value) for name, value in values.items()}


def strings(items):
    return [to_string(item.force()) for item in items.force()]


def lib():
    def optional(empty, wrap):
        return curry(2, lambda yes, value: wrap(value) if yes.force() else empty)

    everything = {
        "optional": optional([], lambda value: [value]),
        "optionals": optional([], lambda value: value.force()),
        "optionalString": optional("", lambda value: value.force()),
        "optionalAttrs": optional({}, lambda value: value.force()),
        "versionAtLeast": curry(2, lambda a, b: compare_versions(a.force(), b.force()) >= 0),
        "versionOlder": curry(2, lambda a, b: compare_versions(a.force(), b.force()) < 0),
        "versions": versions(),
        "concatStringsSep": curry(2, lambda sep, items: sep.force().join(strings(items))),
        "concatMapStringsSep": curry(3, lambda sep, f, items: sep.force().join(
            to_string(call(f.force(), item)) for item in items.force())),
        "genAttrs": curry(2, lambda names, f: {
            name: Thunk(lambda name=name: call(f.force(), name)) for name in strings(names)}),
        "getExe": curry(1, get_exe),
        "getExe'": curry(2, lambda package, name: "%s/bin/%s" % (
            to_string(package.force()), name.force())),
        "escapeShellArgs": curry(1, lambda items: " ".join(
            "'%s'" % text.replace("'", "'\\''") for text in strings(items))),
        "fakeHash": "sha256-" + "A" * 43 + "=",
        "licenses": {"asl20": done({name: done(value) for name, value in {
            "spdxId": "Apache-2.0", "fullName": "Apache License 2.0", "shortName": "asl20",
            "url": "https://spdx.org/licenses/Apache-2.0.html", "free": True,
        }.items()})},
        "platforms": {name: done([done(system) for system in systems]) for name, systems in {
            **SYSTEMS, "unix": SYSTEMS["linux"] + SYSTEMS["darwin"],
            "all": SYSTEMS["linux"] + SYSTEMS["darwin"],
        }.items()},
    }
    return {name: done(value) for name, value in everything.items()}


def host_version():
    return "%d.%d" % sys.version_info[:2]


def get_exe(package):
    package = package.force()
    program = package["meta"].force()["mainProgram"].force()
    return "%s/bin/%s" % (to_string(package), program)


class Set:
    """nixpkgs as expressions see it, with the store that its derivations are realised in.

    `pythons`: for a version of Python, as "3.12", version and path of the host's interpreter that is it
    or stands in for it.
    """

    def __init__(self, store, upstream, venv, pythons):
        self.store, self.upstream = store, upstream
        self.venv = python.Venv(venv) if venv else None
        self.interpreter = Interpreter()
        self.packages = {
            "lib": done(lib()),
            "fetchFromGitHub": done(curry(1, self.fetch_from_github)),
            "fetchPypi": done(curry(1, self.fetch_pypi)),
            "runCommand": done(curry(3, self.run_command)),
            "symlinkJoin": done(curry(1, self.symlink_join)),
            "stdenvNoCC": done(attrs(mkDerivation=self.fixpoint(self.make_derivation))),
        }
        for named in PYTHONS:
            version, path = pythons.get(named) or (host_version(), host_python())
            one = PythonSet(self, named, version, path)
            name = "python" + named.replace(".", "")
            self.packages[name] = Thunk(one.interpreter)
            self.packages[name + "Packages"] = Thunk(lambda one=one: one.packages)

    def derivation(self, name, build, arguments, fixed=None, outputs=("out",), **attributes):
        """A derivation as a Nix set."""
        drv = Derivation(self.store, name, build, arguments, fixed, outputs)
        value = {
            "type": done("derivation"), "name": done(name), "outPath": done(drv.out),
            "drvPath": done(drv.drv_path), "outputs": done([done(o) for o in outputs]),
        }
        value.update((key, item if isinstance(item, Thunk) else done(item))
                     for key, item in attributes.items())
        for output in outputs:
            value[output] = done({"outPath": done(drv.paths[output]), "type": done("derivation")})
        return value

    @staticmethod
    def fixpoint(make):
        """Takes a set, or `finalAttrs: set` with the result's own attributes."""

        def take(argument):
            given = argument.force()
            if not is_function(given):
                return make(given)
            final = Thunk(lambda: given(final))
            return make(final.force())

        return take

    def refuse_unknown(self, function, given, known):
        unknown = sorted(set(given) - known)
        if unknown:
            raise NixError("the double of %s does not know `%s`" % (function, unknown[0]))

    @staticmethod
    def hash_of(function, given):
        found = [name for name in ("hash", "sha256") if name in given]
        if len(found) != 1:
            raise NixError("%s: expected one of `hash` and `sha256`" % function)
        text = given[found[0]].force()
        if text == "":
            text = "sha256-" + "A" * 43 + "="
            print("warning: found empty hash, assuming '%s'" % text, file=sys.stderr)
        if not re.fullmatch(r"sha256-[A-Za-z0-9+/]{43}=", text):
            raise NixError("hash '%s' does not include a type, nor is the type otherwise known" % text)
        return text

    def fetch_from_github(self, argument):
        given = argument.force()
        known = {"owner", "repo", "rev", "tag", "hash", "sha256", "name", "meta", "passthru"}
        self.refuse_unknown("fetchFromGitHub", given, known)
        if ("rev" in given) == ("tag" in given):
            raise NixError("fetchFromGitHub requires one of either `rev` or `tag` to be provided (not both).")
        owner, repo = given["owner"].force(), given["repo"].force()
        ref = "refs/tags/" + given["tag"].force() if "tag" in given else given["rev"].force()
        name = given["name"].force() if "name" in given else "source"
        url = "%s/%s/%s/archive/%s.tar.gz" % (self.upstream, owner, repo, ref)
        fixed = ("recursive", self.hash_of("fetchFromGitHub", given))
        extra = {"meta": given.get("meta", done({})), "owner": owner, "repo": repo, "rev": ref}
        extra.update(given["passthru"].force() if "passthru" in given else {})
        return self.derivation(name, fetch.fetch_tree, {"url": url}, fixed, **extra)

    def fetch_pypi(self, argument):
        given = argument.force()
        known = {"pname", "version", "format", "dist", "python", "abi", "platform", "hash", "sha256",
                 "extension"}
        self.refuse_unknown("fetchPypi", given, known)
        plain = {key: deep(value) for key, value in given.items()}
        pname, version = plain["pname"], plain["version"]
        if plain.get("format", "setuptools") == "wheel":
            tags = (plain.get("python", "py2.py3"), plain.get("abi", "none"), plain.get("platform", "any"))
            folder = plain.get("dist", tags[0])
            file = "%s-%s-%s.whl" % (pname, version, "-".join(tags))
        else:
            folder, file = "source", "%s-%s.%s" % (pname, version, plain.get("extension", "tar.gz"))
        url = "%s/packages/%s/%s/%s/%s" % (self.upstream, folder, pname[0], pname, file)
        fixed = ("flat", self.hash_of("fetchPypi", given))
        return self.derivation(file, fetch.fetch_file, {"url": url}, fixed)

    def paths(self, given, name):
        """Store paths of a list of packages; something else in the list is an error."""
        found = []
        for item in deep(given.get(name, done([]))):
            if not is_derivation(item):
                raise NixError("`%s` holds something that is not a package" % name)
            found.append(item["outPath"].force())
        return found

    @staticmethod
    def names(given):
        """name, pname and version: two of them give the third."""
        plain = {key: given[key].force() for key in ("name", "pname", "version") if key in given}
        if "name" not in plain:
            plain["name"] = "%s-%s" % (plain["pname"], plain["version"])
        return plain

    def script(self, given, names, script):
        environment = {}
        meta = given["meta"].force() if "meta" in given else {}
        if "mainProgram" in meta:
            environment["NIX_MAIN_PROGRAM"] = deep(meta["mainProgram"])
        for key in given.keys() - {"meta", "passthru", "name"}:
            value = deep(given[key])
            items = value if isinstance(value, list) else [value]
            if all(isinstance(item, (str, Path)) or is_derivation(item) for item in items):
                environment[key] = " ".join(to_string(item) for item in items)
        arguments = {"script": script, "environment": environment}
        extra = {**names, "meta": given.get("meta", done({}))}
        extra.update(given["passthru"].force() if "passthru" in given else {})
        extra.pop("name")
        return self.derivation(names["name"], run_script, arguments, **extra)

    def run_command(self, name, given, script):
        given = given.force()
        names = {**{key: given[key].force() for key in ("pname", "version") if key in given},
                 "name": name.force()}
        return self.script(given, names, to_string(script.force()))

    def make_derivation(self, given):
        known = {"name", "pname", "version", "dontUnpack", "dontBuild", "installPhase",
                 "buildCommand", "commands", "meta", "passthru"}
        self.refuse_unknown("stdenvNoCC.mkDerivation", given, known)
        command = given.get("buildCommand", given.get("installPhase"))
        rest = {key: given[key] for key in given if key not in ("buildCommand", "installPhase")}
        hooks = "runHook() { :; }\n"
        return self.script(rest, self.names(given), hooks + to_string(command.force()))

    def symlink_join(self, argument):
        given = argument.force()
        known = {"name", "pname", "version", "paths", "postBuild", "meta", "passthru"}
        self.refuse_unknown("symlinkJoin", given, known)
        lines = ["mkdir -p $out"]
        for path in self.paths(given, "paths"):
            lines.append("cp -rsf %s/. $out/ 2>/dev/null || (cd %s && find . -type d -exec mkdir -p "
                         "$out/{} \\; && find . ! -type d -exec ln -sf %s/{} $out/{} \\;)" % (path, path, path))
        lines.append(to_string(given["postBuild"].force()) if "postBuild" in given else "")
        rest = {key: given[key] for key in given if key in ("meta", "passthru")}
        return self.script(rest, self.names(given), "\n".join(lines))

    def call_package(self, name, function, scope):
        """`newScope { NAME = previous } file {}`, as Flox calls each file below `.flox/pkgs`."""
        if not is_function(function):
            return function
        wanted = function.arguments() if isinstance(function, Lambda) else {}
        given = {}
        for argument, has_default in wanted.items():
            if argument == name:
                given[argument] = self.packages.get(name) or Thunk(
                    lambda: Interpreter.throw(done("Circular dependency detected.")))
            elif argument in scope:
                given[argument] = scope[argument]
            elif not has_default:
                raise NixError(
                    "evaluation aborted with the following error message: 'lib.customisation."
                    "callPackageWith: Function called without required argument \"%s\" at %s:%d'"
                    % (argument, function.code.path, function.node.line)
                )
        return call(function, given)

    def overlay(self, files):
        """nixpkgs with the packages of files, name -> path, laid over it."""
        scope = dict(self.packages)
        for name, path in files.items():
            scope[name] = Thunk(lambda name=name, path=path: self.call_package(
                name, self.interpreter.import_file(path), scope))
        return scope


class PythonSet:
    """One Python and its packages. The interpreter that the host has in its place keeps its own name in
    paths: nothing says that it is what it is not."""

    def __init__(self, nixpkgs, named, version, path):
        self.nixpkgs, self.named, self.version, self.path = nixpkgs, named, version, path
        self.lib_prefix = "python" + version
        self.site = "lib/%s/site-packages" % self.lib_prefix
        self.packages = {name: Thunk(lambda n=name: self.third_party(n)) for name in PYTHON_NAMES}
        self.packages.update({
            "python": Thunk(self.interpreter),
            "fetchPypi": nixpkgs.packages["fetchPypi"],
            "buildPythonPackage": done(nixpkgs.fixpoint(self.build_python_package)),
            "buildPythonApplication": done(nixpkgs.fixpoint(self.build_python_package)),
            "makePythonPath": done(curry(1, self.make_python_path)),
            "pythonOlder": done(
                curry(1, lambda version: compare_versions(self.version, version.force()) < 0)),
        })
        self._bare = None

    @property
    def bare(self):
        if self._bare is None:
            arguments = {
                "path": self.path, "executable": self.lib_prefix,
                "standsInFor": None if self.version == self.named else self.named,
            }
            name = "python3-" + self.version
            self._bare = self.nixpkgs.derivation(
                name, python.interpreter, arguments, version=self.version, pname="python3")
        return self._bare

    @property
    def ours(self):
        """What each builder of a package is told of its Python."""
        return {"path": self.bare["outPath"].force(), "executable": self.lib_prefix, "site": self.site}

    def interpreter(self):
        return {
            **self.bare,
            "pkgs": done(self.packages),
            "executable": done(self.lib_prefix),
            "interpreter": done("%s/bin/%s" % (self.bare["outPath"].force(), self.lib_prefix)),
            "sitePackages": done(self.site),
            "libPrefix": done(self.lib_prefix),
            "pythonVersion": done(self.version),
            "withPackages": done(curry(1, self.with_packages)),
        }

    def derivation(self, name, build, arguments, **attributes):
        return self.nixpkgs.derivation(
            name, build, {**arguments, "python": self.ours}, pythonModule=self.bare, **attributes)

    def third_party(self, name):
        distribution = DISTRIBUTIONS.get(name, name)
        version = RECORDED.get(name, "0")
        arguments = {"name": distribution, "venv": None, "dependencies": []}
        venv = self.nixpkgs.venv
        if venv:
            if distribution not in venv.infos:
                # nixpkgs has it, this virtual environment does not: Dagster of today needs it not
                arguments["venv"] = {"site": venv.site, "files": []}
            else:
                version = venv.version(distribution)
                arguments["venv"] = {"site": venv.site, "files": venv.files(distribution)}
                needed = venv.requirements(distribution)
                arguments["dependencies"] = [self.path_of(item) for item in needed]
        arguments["version"] = version
        return self.derivation(
            "%s-%s-%s" % (self.lib_prefix, name, version), python.third_party, arguments,
            pname=name, version=version,
        )

    def path_of(self, distribution):
        if distribution not in self.packages:
            self.packages[distribution] = Thunk(lambda: self.third_party(distribution))
        return self.packages[distribution].force()["outPath"].force()

    def make_python_path(self, argument):
        """The site-packages of packages and of all they depend on, joined by colons."""
        pending = self.nixpkgs.paths({"packages": argument}, "packages")
        found = []
        while pending:
            path = pending.pop(0)
            if path not in found:
                found.append(path)
                pending += self.nixpkgs.store.known[path].arguments["dependencies"]
        return ":".join(os.path.join(path, self.site) for path in found)

    def of_this_python(self, given, name, plain):
        """Store paths of a list of packages, none of them another Python's."""
        for item in given.get(name, done([])).force():
            item = item.force()
            if isinstance(item, dict) and "pythonModule" in item and not equal(
                    item["pythonModule"].force(), self.bare):
                raise NixError(
                    "Python version mismatch in '%s':\n\nThe Python derivation '%s' depends on a Python "
                    "derivation\nnamed '%s', but the two derivations use different versions\nof Python" % (
                        plain["pname"], plain["pname"], item["name"].force()))
        return self.nixpkgs.paths(given, name)

    def build_python_package(self, given):
        self.nixpkgs.refuse_unknown("buildPythonPackage", given, PACKAGE_ARGUMENTS)
        plain = {key: deep(given[key]) for key in given.keys() - {"meta", "passthru", "src"}}
        if plain.get("disabled"):
            raise NixError("%s-%s not supported for interpreter %s" % (
                plain["pname"], plain["version"], self.lib_prefix))
        form = plain.get("format", "pyproject" if plain.get("pyproject") else None)
        if form not in ("pyproject", "wheel", "setuptools"):
            raise NixError("buildPythonPackage: expected `pyproject = true` or a `format`")
        meta = given["meta"].force() if "meta" in given else {}
        arguments = {
            "pname": plain["pname"], "version": plain["version"], "format": form,
            "src": to_string(given["src"].force()), "sourceRoot": plain.get("sourceRoot"),
            "build-system": self.of_this_python(given, "build-system", plain),
            "dependencies": self.of_this_python(given, "dependencies", plain),
            "pypaBuildFlags": plain.get("pypaBuildFlags", []),
            "pythonImportsCheck": plain.get("pythonImportsCheck", []),
            "pythonRelaxDeps": plain.get("pythonRelaxDeps", []),
            "dontWrapPythonPrograms": plain.get("dontWrapPythonPrograms", False),
            "makeWrapperArgs": plain.get("makeWrapperArgs", []),
            "postFixup": plain.get("postFixup", ""),
            "mainProgram": deep(meta["mainProgram"]) if "mainProgram" in meta else None,
        }
        name = "%s-%s-%s" % (self.lib_prefix, plain["pname"], plain["version"])
        extra = {"pname": plain["pname"], "version": plain["version"],
                 "meta": given.get("meta", done({})), "src": given["src"]}
        extra.update(given["passthru"].force() if "passthru" in given else {})
        return self.derivation(
            name, python.build_package, arguments, outputs=("out", "dist"), **extra
        )

    def with_packages(self, argument):
        chosen = call(argument.force(), done(self.packages))
        arguments = {"packages": self.nixpkgs.paths({"packages": done(chosen)}, "packages")}
        extra = {"sitePackages": self.site}
        name = "python3-%s-env" % self.version
        return self.derivation(name, python.environment, arguments, **extra)


def run_script(builder, arguments):
    path = os.path.join(builder.scratch, "builder.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write(arguments["script"])
    builder.run(["bash", "-eo", "pipefail", path], **arguments["environment"])
    if not os.path.lexists(builder.out):
        builder.fail("error: builder failed to produce output path for output 'out'")
