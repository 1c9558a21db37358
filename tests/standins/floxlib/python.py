"""Builders of Python packages and environments, as nixpkgs' Python infrastructure makes them.

An output has its modules in `lib/python3.12/site-packages`, whatever the host's Python is, and
names its dependencies in `nix-support/propagated-build-inputs`. A console script is a shell wrapper
around `.NAME-wrapped`, which sees its own package's closure and nothing else; an environment
(`withPackages`) merges packages and makes its interpreter see all of them.
"""

import configparser
import email.parser
import json
import os
import re
import shlex
import shutil
import zipfile

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.specifiers import SpecifierSet

from .nixlang import PLACEHOLDER
from .store import host_python

SITE = "lib/python3.12/site-packages"
PROPAGATED = "nix-support/propagated-build-inputs"

# What nixpkgs' interpreter runs at start: the variables that its environments set.
SITECUSTOMIZE = """\
import os, site, sys
for path in filter(None, os.environ.pop("NIX_PYTHONPATH", "").split(":")):
    site.addsitedir(path)
executable = os.environ.pop("NIX_PYTHONEXECUTABLE", None)
if executable is not None:
    sys.executable = executable
prefix = os.environ.pop("NIX_PYTHONPREFIX", None)
if prefix is not None:
    sys.prefix = prefix
"""


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


def sites(paths):
    found = [os.path.join(path, SITE) for path in closure(paths)]
    return [path for path in found if os.path.isdir(path)]


def interpreter(builder, _):
    """The host's Python without the host's packages."""
    builder.run([host_python(), "-m", "venv", "--without-pip", "--symlinks", builder.out])
    (own,) = [
        os.path.join(folder, "site-packages")
        for folder, folders, _ in os.walk(os.path.join(builder.out, "lib"))
        if "site-packages" in folders
    ]
    write(os.path.join(own, "sitecustomize.py"), SITECUSTOMIZE)
    for name in os.listdir(os.path.join(builder.out, "bin")):
        if not name.startswith("python"):
            os.unlink(os.path.join(builder.out, "bin", name))
    versioned = os.path.join(builder.out, "bin/python3.12")
    if not os.path.lexists(versioned):
        os.symlink("python3", versioned)


def third_party(builder, arguments):
    """A package of nixpkgs that we cannot have here.

    From a virtual environment: the real files. Without one: its metadata only, so that whoever
    asks whether it is installed hears yes, and whoever imports it fails.
    """
    name, venv = arguments["name"], arguments["venv"]
    site = os.path.join(builder.out, SITE)
    os.makedirs(site)
    if venv is None:
        info = os.path.join(site, "%s-0.dist-info" % name.replace("-", "_"))
        write(os.path.join(info, "METADATA"), "Metadata-Version: 2.1\nName: %s\nVersion: 0\n" % name)
        return
    for path in venv["files"]:
        source = os.path.join(venv["site"], path)
        target = os.path.join(site, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target)
    compile_all(builder)
    propagate(builder, arguments["dependencies"])


def pip_wheel(builder, source, build_system, directory):
    """Builds one wheel from a source tree with the build backend that the expression names."""
    command = [host_python(), "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--no-input", "--no-cache-dir", "--no-clean"]
    command += ["--disable-pip-version-check", "--wheel-dir", directory, source]
    builder.run(command, PYTHONPATH=":".join(sites(build_system)), PIP_CONFIG_FILE="/dev/null")
    (name,) = os.listdir(directory)
    return os.path.join(directory, name)


def build_package(builder, arguments):
    """`buildPythonPackage`: a wheel, its installation, its wrappers, its import check."""
    wheels = os.path.join(builder.scratch, "dist")
    os.mkdir(wheels)
    source = arguments["src"]
    if arguments["format"] == "wheel":
        name = os.path.basename(source).split("-", 1)[1]
        wheel = os.path.join(wheels, name)
        shutil.copyfile(source, wheel)
    else:
        tree = os.path.join(builder.scratch, "source")
        copy_writable(source, tree)
        if arguments["sourceRoot"]:
            tree = os.path.join(builder.scratch, arguments["sourceRoot"])
        wheel = pip_wheel(builder, tree, arguments["build-system"], wheels)
    scripts, metadata = install_wheel(builder, wheel)
    if arguments["format"] == "pyproject":
        relax(metadata, arguments["pythonRelaxDeps"])
        check_requirements(builder, metadata, arguments)
    shutil.copytree(wheels, builder.path_of("dist"))
    propagate(builder, arguments["dependencies"])
    compile_all(builder)
    for name, target in sorted(scripts.items()):
        wrap(builder, name, target, arguments)
    check_imports(builder, arguments)


def compile_all(builder):
    """Bytecode that is good whatever the files' times are: without it every start compiles again.
    What is no Python (templates are such) has none."""
    compiler = "import compileall, py_compile, sys; compileall.compile_dir(sys.argv[1], quiet=2, " \
        "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    builder.run([host_python(), "-c", compiler, os.path.join(builder.out, SITE)])


def copy_writable(source, target):
    shutil.copytree(source, target, symlinks=True)
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | 0o200)


def install_wheel(builder, wheel):
    """Unpacks a pure wheel; returns its console scripts as name -> `module:attribute`, and where its
    metadata is."""
    site = os.path.join(builder.out, SITE)
    os.makedirs(site)
    with zipfile.ZipFile(wheel) as archive:
        if any(".data/" in name for name in archive.namelist()):
            builder.fail("error: `.data` in a wheel is not supported here")
        archive.extractall(site)
        (info,) = {n.split("/")[0] for n in archive.namelist() if n.split("/")[0].endswith(".dist-info")}
    metadata = os.path.join(site, info)
    with open(os.path.join(metadata, "METADATA"), encoding="utf-8") as file:
        found = email.parser.HeaderParser().parse(file)["Name"]
    if normalised(found) != normalised(builder.drv.arguments["pname"]):
        builder.fail("error: expected %s, found %s" % (builder.drv.arguments["pname"], found))
    entry_points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    entry_points.optionxform = str
    entry_points.read(os.path.join(metadata, "entry_points.txt"), encoding="utf-8")
    scripts = {}
    if entry_points.has_section("console_scripts"):
        scripts = dict(entry_points.items("console_scripts"))
    return scripts, os.path.join(metadata, "METADATA")


def relax(metadata, names):
    """`pythonRelaxDeps`: requirements of these names lose their bounds."""
    with open(metadata, encoding="utf-8") as file:
        lines = file.read().split("\n")
    relaxed = {normalised(name) for name in names}
    for index, line in enumerate(lines):
        if line.startswith("Requires-Dist: "):
            requirement = Requirement(line.partition(": ")[2])
            if normalised(requirement.name) in relaxed:
                requirement.specifier = SpecifierSet()
                lines[index] = "Requires-Dist: %s" % requirement
        elif not line:
            break
    with open(metadata, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def check_requirements(builder, metadata, arguments):
    """nixpkgs' check of `pyproject` packages: what the wheel requires is among the dependencies, in a
    version that it allows. A third-party package without code has no version that says anything."""
    with open(metadata, encoding="utf-8") as file:
        required = email.parser.HeaderParser().parse(file).get_all("Requires-Dist") or []
    installed = {}
    for site in sites([builder.out, *arguments["dependencies"]]):
        for name in os.listdir(site):
            if name.endswith(".dist-info"):
                with open(os.path.join(site, name, "METADATA"), encoding="utf-8") as file:
                    found = email.parser.HeaderParser().parse(file)
                installed[normalised(found["Name"])] = found["Version"]
    missing = []
    for requirement in map(Requirement, required):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = installed.get(normalised(requirement.name))
        if version is None:
            missing.append("%s not installed" % requirement.name)
        elif version != "0" and not requirement.specifier.contains(version, prereleases=True):
            missing.append("%s%s not satisfied by version %s" % (
                requirement.name, requirement.specifier, version))
    if missing:
        builder.say("Checking runtime dependencies for %s" % os.path.basename(os.path.dirname(metadata)))
        builder.fail("\n".join("  - " + line for line in missing))


def wrap(builder, name, target, arguments):
    module, _, attribute = target.partition(":")
    python = arguments["python"]
    own = sites([builder.out, *arguments["dependencies"]])
    wrapped = os.path.join(builder.out, "bin", ".%s-wrapped" % name)
    write(wrapped, "\n".join([
        "#!%s/bin/python3.12" % python,
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
    modules = arguments["pythonImportsCheck"]
    if modules:
        builder.say("Check whether the following modules can be imported: %s" % " ".join(modules))
        command = [os.path.join(arguments["python"], "bin/python3.12"), "-c"]
        command.append("import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]")
        paths = sites([builder.out, *arguments["dependencies"]])
        builder.run([*command, *modules], PYTHONPATH=":".join(paths), PYTHONDONTWRITEBYTECODE="1")


def environment(builder, arguments):
    """`python.withPackages`: one tree, and commands whose interpreter sees all of it."""
    site = os.path.join(builder.out, SITE)
    os.makedirs(site)
    packages = closure(arguments["packages"])
    for path in packages:
        merge(builder, os.path.join(path, SITE), site)
    bin_dir = os.path.join(builder.out, "bin")
    os.mkdir(bin_dir)
    python = os.path.join(arguments["python"], "bin/python3.12")
    settings = "export NIX_PYTHONPREFIX=%s\nexport NIX_PYTHONEXECUTABLE=%s\nexport NIX_PYTHONPATH=%s\n" % (
        shlex.quote(builder.out),
        shlex.quote(os.path.join(bin_dir, "python3.12")),
        shlex.quote(site),
    )
    programs = {name: python for name in ("python", "python3", "python3.12")}
    for path in packages:
        folder = os.path.join(path, "bin")
        if os.path.isdir(folder):
            for name in os.listdir(folder):
                if not name.startswith("."):
                    programs[name] = os.path.join(folder, name)
    for name, program in programs.items():
        text = "#!/bin/sh -e\n%sexport PYTHONNOUSERSITE='true'\nexec %s \"$@\"\n"
        write(os.path.join(bin_dir, name), text % (settings, shlex.quote(program)), 0o755)


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
        """All of it as plain data, for real Nix: `site`, and `packages` as name -> files and
        dependencies."""
        packages = {
            name: {"files": self.files(name), "dependencies": self.requirements(name)}
            for name in self.infos
        }
        return {"site": self.site, "packages": packages}
