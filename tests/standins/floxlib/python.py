"""Builders of Python packages and environments, as nixpkgs' Python infrastructure makes them.

Each is told of its Python (`python` of its arguments): `path` of the interpreter's output, its
`executable`, and `site`, where modules are below an output. An output names its dependencies in
`nix-support/propagated-build-inputs`. A console script is a shell wrapper around `.NAME-wrapped`, which
sees its own package's closure and nothing else, unless the package wraps none (`dontWrapPythonPrograms`).

A package is refused as nixpkgs' hooks refuse it: a wheel whose requirements its dependencies do not
meet (python-runtime-deps-check-hook), after `pythonRelaxDeps` was applied with that hook's own pattern
(python-relax-deps-hook); requirements of a build system that it does not meet (`pyproject-build
--no-isolation`).
"""

import base64
import configparser
import csv
import email.parser
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import zipfile

try:
    import tomllib
except ImportError:  # Python before 3.11
    from pip._vendor import tomli as tomllib

from pip._vendor.packaging.requirements import Requirement

from .nixlang import PLACEHOLDER
from .store import host_python

PROPAGATED = "nix-support/propagated-build-inputs"
# Files of the standard library that are the distribution's, not Python's.
NOT_OURS = {"site-packages", "dist-packages", "sitecustomize.py", "usercustomize.py", "EXTERNALLY-MANAGED"}
# What an interpreter says of where its parts are.
WHERE = "import json, os, sys, sysconfig; print(json.dumps([os.path.realpath(getattr(sys, '_base_executable', " \
    "sys.executable)), [sysconfig.get_path(name) for name in ('stdlib', 'platstdlib')]]))"


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def closure(paths):
    """Paths and, transitively, what they propagate; in order, each once."""
    ordered = []
    pending = list(paths)
    while pending:
        path = pending.pop(0)
        if path in ordered:
            continue
        ordered.append(path)
        try:
            with open(os.path.join(path, PROPAGATED), encoding="utf-8") as file:
                pending += file.read().split()
        except FileNotFoundError:
            pass
    return ordered


def propagate(builder, paths):
    write(os.path.join(builder.out, PROPAGATED), " ".join(paths) + "\n")


def sites(paths, python):
    found = [os.path.join(path, python["site"]) for path in closure(paths)]
    return [path for path in found if os.path.isdir(path)]


def interpreter_of(python):
    return os.path.join(python["path"], "bin", python["executable"])


def interpreter(builder, arguments):
    """The host's Python without the host's packages, and without what its distribution runs at start.

    It finds its standard library in its own `lib`, as one of nixpkgs does: also as the home of a virtual
    environment. What stands in for another version says so in `nix-support/stands-in-for`.
    """
    told = subprocess.run(
        [arguments["path"], "-I", "-c", WHERE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    executable, libraries = json.loads(told.stdout)
    name = arguments["executable"]
    bin_dir, lib = (os.path.join(builder.out, *parts) for parts in (["bin"], ["lib", name]))
    os.makedirs(bin_dir)
    # a copy: what is in a store links to nothing outside of it
    shutil.copy(executable, os.path.join(bin_dir, name))
    for alias in ("python3", "python"):
        os.symlink(name, os.path.join(bin_dir, alias))
    os.makedirs(os.path.join(lib, "site-packages"))
    for folder in libraries:
        for entry in sorted(set(os.listdir(folder)) - NOT_OURS):
            if not os.path.lexists(os.path.join(lib, entry)):
                os.symlink(os.path.join(folder, entry), os.path.join(lib, entry))
    write_home(builder.out, os.path.dirname(executable))
    if arguments["standsInFor"]:
        write(os.path.join(builder.out, "nix-support/stands-in-for"), arguments["standsInFor"] + "\n")


def write_home(directory, home):
    """Makes a directory a virtual environment of the interpreter whose `bin` is `home`."""
    write(os.path.join(directory, "pyvenv.cfg"), "home = %s\ninclude-system-site-packages = false\n" % home)


def third_party(builder, arguments):
    """A package of nixpkgs that we cannot have here.

    From a virtual environment: the real files. Without one: its metadata only, so that whoever
    asks whether it is installed hears yes, and whoever imports it fails.
    """
    name, venv, python = arguments["name"], arguments["venv"], arguments["python"]
    site = os.path.join(builder.out, python["site"])
    os.makedirs(site)
    if venv is None:
        version = arguments["version"]
        info = os.path.join(site, "%s-%s.dist-info" % (name.replace("-", "_"), version))
        text = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
        write(os.path.join(info, "METADATA"), text)
        return
    for path in venv["files"]:
        source = os.path.join(venv["site"], path)
        target = os.path.join(site, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target)
    compile_all(builder, python)
    propagate(builder, arguments["dependencies"])


def pip_wheel(builder, source, build_system, directory, python):
    """Builds one wheel from a source tree with the build backend that the expression names."""
    command = [host_python(), "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--no-input", "--no-cache-dir", "--no-clean"]
    # pip asks whether it could install what it builds, nixpkgs' builders do not
    command += ["--ignore-requires-python"]
    command += ["--disable-pip-version-check", "--wheel-dir", directory, source]
    builder.run(command, PYTHONPATH=":".join(sites(build_system, python)), PIP_CONFIG_FILE="/dev/null")
    (name,) = os.listdir(directory)
    return os.path.join(directory, name)


def build_package(builder, arguments):
    """`buildPythonPackage`: a wheel, its installation, its commands, its checks, in nixpkgs' order."""
    wheels = os.path.join(builder.scratch, "dist")
    os.mkdir(wheels)
    source, python = arguments["src"], arguments["python"]
    if arguments["format"] == "wheel":
        name = os.path.basename(source).split("-", 1)[1]
        wheel = os.path.join(wheels, name)
        shutil.copyfile(source, wheel)
    else:
        tree = os.path.join(builder.scratch, "source")
        copy_writable(source, tree)
        if arguments["sourceRoot"]:
            tree = os.path.join(builder.scratch, arguments["sourceRoot"])
        check_build_system(builder, tree, arguments)
        wheel = pip_wheel(builder, tree, arguments["build-system"], wheels, python)
    scripts, info = install_wheel(builder, wheel, python)
    relax(info, arguments["pythonRelaxDeps"])
    check_requirements(builder, info, os.path.basename(wheel), arguments)
    shutil.copytree(wheels, builder.path_of("dist"))
    propagate(builder, arguments["dependencies"])
    compile_all(builder, python)
    for name, target in sorted(scripts.items()):
        if arguments["dontWrapPythonPrograms"]:
            path = os.path.join(builder.out, "bin", name)
            write(path, console_script(python, target), 0o755)
        else:
            wrap(builder, name, target, arguments)
    if arguments["postFixup"]:
        builder.run(["bash", "-eo", "pipefail", "-c", arguments["postFixup"]])
    check_imports(builder, arguments)


def compile_all(builder, python):
    """Bytecode that is good whatever the files' times are: without it every start compiles again.
    What is no Python (templates are such) has none."""
    compiler = "import compileall, py_compile, sys; compileall.compile_dir(sys.argv[1], quiet=2, " \
        "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    builder.run([interpreter_of(python), "-c", compiler, os.path.join(builder.out, python["site"])])


def copy_writable(source, target):
    shutil.copytree(source, target, symlinks=True)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | 0o200)


def install_wheel(builder, wheel, python):
    """Unpacks a pure wheel; returns its console scripts as name -> `module:attribute`, and where its
    metadata is."""
    site = os.path.join(builder.out, python["site"])
    os.makedirs(site)
    with zipfile.ZipFile(wheel) as archive:
        if any(".data/" in name for name in archive.namelist()):
            builder.fail("error: `.data` in a wheel is not supported here")
        archive.extractall(site)
        (info,) = {n.split("/")[0] for n in archive.namelist() if n.split("/")[0].endswith(".dist-info")}
    info = os.path.join(site, info)
    found = metadata(info)["Name"]
    if normalised(found) != normalised(builder.drv.arguments["pname"]):
        builder.fail("error: expected %s, found %s" % (builder.drv.arguments["pname"], found))
    entry_points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    entry_points.optionxform = str
    entry_points.read(os.path.join(info, "entry_points.txt"), encoding="utf-8")
    scripts = {}
    if entry_points.has_section("console_scripts"):
        scripts = dict(entry_points.items("console_scripts"))
    return scripts, info


def metadata(info):
    with open(os.path.join(info, "METADATA"), encoding="utf-8") as file:
        return email.parser.HeaderParser().parse(file)


def relax(info, names):
    """`pythonRelaxDeps`, with the pattern of nixpkgs' hook: names are patterns that end anywhere."""
    if not names:
        return
    path = os.path.join(info, "METADATA")
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for name in names:
        pattern = re.compile(r"(Requires-Dist: %s\s*(\[[^]]+\])?)[^;]*(;.*)?" % name, re.IGNORECASE)
        lines = [pattern.sub(r"\1\3", line, count=1) for line in lines]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    record(info, path)


def record(info, path):
    """Enters a changed file of a distribution into its RECORD, as packing the wheel again does."""
    with open(path, "rb") as file:
        content = file.read()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    name = os.path.relpath(path, os.path.dirname(info))
    where = os.path.join(info, "RECORD")
    with open(where, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    rows = [[name, "sha256=" + digest, len(content)] if row[:1] == [name] else row for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write(where, text.getvalue())


def installed(paths, python):
    """Versions of the distributions in a closure, by normalised name."""
    found = {}
    for site in sites(paths, python):
        for name in os.listdir(site):
            if name.endswith(".dist-info"):
                told = metadata(os.path.join(site, name))
                found[normalised(told["Name"])] = told["Version"]
    return found


def unmet(requirement, versions):
    """Is a requirement that applies here not met? A version that nobody recorded says nothing."""
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return None
    name = normalised(requirement.name)
    version = versions.get(name)
    if version is None:
        return "%s not installed" % name
    if version != "0" and not requirement.specifier.contains(version, prereleases=True):
        return "%s%s not satisfied by version %s" % (name, requirement.specifier, version)
    return None


def check_requirements(builder, info, wheel, arguments):
    """nixpkgs' check of every wheel, built or fetched: what it requires is among the dependencies, in a
    version that it allows."""
    required = metadata(info).get_all("Requires-Dist") or []
    versions = installed([builder.out, *arguments["dependencies"]], arguments["python"])
    problems = list(filter(None, (unmet(Requirement(text), versions) for text in required)))
    if problems:
        builder.say("Checking runtime dependencies for %s" % wheel)
        builder.fail("\n".join("  - " + line for line in problems))


def check_build_system(builder, tree, arguments):
    """`pyproject-build --no-isolation`: what the build system requires is there, in a version that it
    allows, unless the check is switched off."""
    path = os.path.join(tree, "pyproject.toml")
    if "--skip-dependency-check" in arguments["pypaBuildFlags"] or not os.path.exists(path):
        return
    with open(path, "rb") as file:
        required = tomllib.load(file).get("build-system", {}).get("requires", [])
    versions = installed(arguments["build-system"], arguments["python"])
    if not versions and os.path.isdir(os.path.join(tree, "_backend")):
        return  # the small upstream brings its own
    missing = [text for text in required if unmet(Requirement(text), versions)]
    if missing:
        builder.fail("ERROR Missing dependencies:\n" + "\n".join("\t" + text for text in missing))


def console_script(python, target):
    """A console script as pypa's `installer` writes it."""
    module, _, attribute = target.partition(":")
    return "\n".join([
        "#!" + interpreter_of(python),
        "# -*- coding: utf-8 -*-",
        "import re",
        "import sys",
        "from %s import %s" % (module, attribute.split(".")[0]),
        'if __name__ == "__main__":',
        '    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])',
        "    sys.exit(%s())" % attribute,
        "",
    ])


def wrap(builder, name, target, arguments):
    module, _, attribute = target.partition(":")
    python = arguments["python"]
    own = sites([builder.out, *arguments["dependencies"]], python)
    wrapped = os.path.join(builder.out, "bin", ".%s-wrapped" % name)
    write(wrapped, "\n".join([
        "#!" + interpreter_of(python),
        "import sys;import site;import functools;sys.argv[0] = %r;"
        "functools.reduce(lambda known, path: site.addsitedir(path, known), %r, site._init_pathinfo());"
        % (os.path.join(builder.out, "bin", name), own),
        "from %s import %s" % (module, attribute.split(".")[0]),
        "if __name__ == '__main__':",
        "    sys.exit(%s())" % attribute,
        "",
    ]), 0o755)
    lines = ["#!/bin/sh -e", "export PYTHONNOUSERSITE='true'"]
    lines += wrapper_lines(builder, arguments["makeWrapperArgs"])
    lines += ["exec %s \"$@\"" % shlex.quote(wrapped), ""]
    write(os.path.join(builder.out, "bin", name), "\n".join(lines), 0o755)


def wrapper_lines(builder, words):
    """What `makeWrapper` writes for `--set NAME VALUE` and `--prefix NAME SEPARATOR VALUE`."""
    words = list(words)
    lines = []
    while words:
        option = words.pop(0)
        if option == "--set":
            name, value = words.pop(0), words.pop(0)
            lines.append("export %s=%s" % (name, shlex.quote(value)))
        elif option == "--prefix":
            name, separator, value = words.pop(0), words.pop(0), words.pop(0)
            value = value.replace(PLACEHOLDER % "out", builder.out)
            lines.append("%s=%s${%s:+%s}$%s" % (name, shlex.quote(value), name, "'%s'" % separator, name))
            lines.append("export " + name)
        else:
            builder.fail("error: makeWrapper argument %s is not supported here" % option)
    return lines


def check_imports(builder, arguments):
    modules, python = arguments["pythonImportsCheck"], arguments["python"]
    if modules:
        builder.say("Check whether the following modules can be imported: %s" % " ".join(modules))
        command = [interpreter_of(python), "-c"]
        command.append("import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]")
        paths = sites([builder.out, *arguments["dependencies"]], python)
        builder.run([*command, *modules], PYTHONPATH=":".join(paths), PYTHONDONTWRITEBYTECODE="1")


def environment(builder, arguments):
    """`python.withPackages`: one tree, and commands whose interpreter sees all of it."""
    python = arguments["python"]
    bin_dir = os.path.join(builder.out, "bin")
    os.makedirs(os.path.join(builder.out, python["site"]))
    os.mkdir(bin_dir)
    programs = {}
    for path in closure(arguments["packages"]):
        merge(builder, os.path.join(path, "lib"), os.path.join(builder.out, "lib"))
        folder = os.path.join(path, "bin")
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                if not name.startswith("."):
                    programs[name] = os.path.join(folder, name)
    write_home(builder.out, os.path.join(python["path"], "bin"))
    for name in (python["executable"], "python3", "python"):
        os.symlink(interpreter_of(python), os.path.join(bin_dir, name))
    own = os.path.join(bin_dir, python["executable"])
    for name, program in programs.items():
        words = [program]
        with open(program, "rb") as file:
            if b"python" in file.readline():
                words.insert(0, own)
        text = "#!/bin/sh -e\nexport PYTHONNOUSERSITE='true'\nexec %s \"$@\"\n" % shlex.join(words)
        write(os.path.join(bin_dir, name), text, 0o755)


def merge(builder, source, target):
    """Links what is in one directory into another; directories of several packages are merged."""
    if not os.path.isdir(source):
        return
    for name in sorted(os.listdir(source)):
        merge_entry(builder, os.path.join(source, name), os.path.join(target, name), False)


def merge_entry(builder, origin, link, ignore):
    if not os.path.lexists(link):
        os.symlink(origin, link)
    elif os.path.isdir(origin) and os.path.isdir(link):
        if os.path.islink(link):
            first = os.readlink(link)
            os.unlink(link)
            os.mkdir(link)
            merge(builder, first, link)
        merge(builder, origin, link)
    elif not ignore and not same(origin, link):
        builder.fail("error: two packages have %s" % origin)


def join(builder, arguments):
    """`buildEnv`, and with collisions ignored `symlinkJoin`: one directory of links. Nothing in it
    sees more than it saw where it came from."""
    os.mkdir(builder.out)
    for path in arguments["paths"]:
        for name in os.listdir(path):
            if name != "nix-support":
                merge_entry(builder, os.path.join(path, name), os.path.join(builder.out, name),
                            arguments["ignoreCollisions"])


def same(left, right):
    with open(left, "rb") as a, open(right, "rb") as b:
        return a.read() == b.read()


class Venv:
    """Where the third-party packages of a rehearsal with real upstream come from."""

    def __init__(self, directory):
        lib = os.path.join(directory, "lib")
        (self.site,) = [
            os.path.join(lib, name, "site-packages")
            for name in os.listdir(lib)
            if os.path.isdir(os.path.join(lib, name, "site-packages"))
        ]
        self.infos = {}
        for name in os.listdir(self.site):
            if name.endswith(".dist-info"):
                with open(os.path.join(self.site, name, "METADATA"), encoding="utf-8") as file:
                    metadata = email.parser.HeaderParser().parse(file)
                self.infos[normalised(metadata["Name"])] = (name, metadata)

    def files(self, name):
        info, _ = self.infos[name]
        with open(os.path.join(self.site, info, "RECORD"), encoding="utf-8") as file:
            paths = [line.rsplit(",", 2)[0].strip('"') for line in file.read().splitlines()]
        return sorted(
            path for path in paths
            if not path.startswith("..") and "__pycache__" not in path
            and os.path.isfile(os.path.join(self.site, path))
        )

    def version(self, name):
        return self.infos[name][1]["Version"]

    def requirements(self, name):
        """Names of the installed distributions that a distribution requires without an extra."""
        _, metadata = self.infos[name]
        found = []
        for line in metadata.get_all("Requires-Dist") or []:
            required = normalised(re.match(r"[A-Za-z0-9._-]+", line).group())
            if "extra ==" not in line and required in self.infos and required not in found:
                found.append(required)
        return found

    def index(self):
        """All of it as plain data, for real Nix: `site`, and `packages` as name -> version, files and
        dependencies."""
        packages = {
            name: {
                "version": self.version(name), "files": self.files(name),
                "dependencies": self.requirements(name),
            }
            for name in self.infos
        }
        return {"site": self.site, "packages": packages}
