"""The releases of the small upstream: what each version of Dagster looked like from outside.

Versions, requirements and oddities are those of the real releases of these numbers, as far as a
repackager notices them; the code is not. `write_tree` makes what git has at a tag.
"""

import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))

MODULES = "python_modules"
PATHS = {
    "dagster-pipes": MODULES + "/dagster-pipes",
    "dagster-shared": MODULES + "/libraries/dagster-shared",
    "dagster": MODULES + "/dagster",
    "dagster-graphql": MODULES + "/dagster-graphql",
    "dagster-webserver": MODULES + "/dagster-webserver",
}
COMMANDS = {
    "dagster": ["dagster = dagster.cli:main", "dagster-daemon = dagster.daemon.cli:main"],
    "dagster-graphql": ["dagster-graphql = dagster_graphql.cli:main"],
    "dagster-webserver": [
        "dagster-webserver = dagster_webserver.cli:main",
        "dagster-webserver-debug = dagster_webserver.debug:main",
    ],
}
SUMMARIES = {
    "dagster-pipes": "Toolkit for Dagster integrations with transform logic outside of Dagster",
    "dagster-shared": "Shared code between dagster and its tools",
    "dagster": "Dagster is an orchestration platform for the development of data assets.",
    "dagster-graphql": "The GraphQL frontend to python dagster.",
    "dagster-webserver": "Web UI for dagster.",
}

# In the order of their tags. `source`: what version.py says, if not the version. `annotated`: the
# kind of tag. `index`: packages that are on the index, if not all. `yanked`: taken back there.
RELEASES = [
    {"version": "1.9.11"},
    {"version": "1.9.12"},
    {"version": "1.10.6"},
    {"version": "1.10.21", "source": "1!0+dev"},
    {"version": "1.11.16"},
    {"version": "1.12.0", "yanked": ["dagster"]},
    {"version": "1.12.1"},
    {"version": "1.12.2", "annotated": True},
    {"version": "1.12.3", "index": ["dagster", "dagster-graphql", "dagster-pipes", "dagster-shared"]},
    {"version": "1.12.4rc1", "index": []},
]
OTHER_TAGS = ["nightly-2026-01-01"]


def number(version):
    """A version as a tuple that compares: only the three numbers count."""
    return tuple(int(part.partition("rc")[0]) for part in version.split("."))


def packages(version):
    """Names of the packages that a version has."""
    return [name for name in PATHS if name != "dagster-shared" or number(version) >= (1, 10, 6)]


def package_version(name, version):
    if name == "dagster-shared" and number(version) < (1, 10, 18):
        return "0.26.%d" % number(version)[2]
    return version


def pinned(name, version):
    return "%s==%s" % (name, package_version(name, version))


def requirements(name, version):
    """Requirements, and those of extras, as setup.py states them."""
    at = number(version)
    moved = ["PyYAML>=5.1", "packaging>=20.9", "pydantic>=2,<3.0.0", "typing_extensions>=4.11.0,<5"]
    if name == "dagster":
        click = ">=5.0,<9.0" if at >= (1, 11, 16) else ">=5.0,<8.2" if at >= (1, 10, 18) else ">=5.0"
        found = [
            "click" + click, "coloredlogs>=6.1,<=14.0", "Jinja2", "alembic>=1.2.1,!=1.6.3",
            "grpcio>=1.44.0", "grpcio-health-checking>=1.44.0", "protobuf>=3.20.0,<7",
            "python-dotenv", "pytz", "requests", "setuptools", "six",
            "tabulate", "tomli<3", "tqdm>=4.62.0,<5", "sqlalchemy>=1.0,<3", "toposort>=1.0",
            "watchdog>=0.8.3,<7", 'psutil>=1.0; platform_system=="Windows"',
            'pywin32!=226; platform_system=="Windows"', "docstring-parser",
            "universal_pathlib; python_version<'3.12'", "universal_pathlib>=0.2.0; python_version>='3.12'",
            "rich", "filelock", "structlog", "antlr4-python3-runtime<4.14",
            "tzdata" if at >= (1, 11, 16) else 'tzdata; platform_system=="Windows"',
            pinned("dagster-pipes", version),
        ]
        found += [pinned("dagster-shared", version)] if at >= (1, 10, 6) else []
        found += moved if at < (1, 10, 18) else []
        return found, {"test": ["pytest>=8", "mock==3.0.5"]}
    if name == "dagster-shared" and at >= (1, 10, 18):
        return moved + ["tomlkit"] + (["platformdirs"] if at >= (1, 11, 16) else []), {}
    if name == "dagster-graphql":
        own = ["graphene>=3,<4", "gql[requests]>=3,<5", "requests", "starlette"]
        return [pinned("dagster", version), *own], {}
    if name == "dagster-webserver":
        ours = [pinned("dagster", version), pinned("dagster-graphql", version)]
        extras = {"notebook": ["nbconvert"], "test": ["starlette[full]"]}
        return [*ours, "click>=7.0,<9.0", "starlette!=0.36.0", "uvicorn[standard]"], extras
    return [], {}


def python_range(version):
    return ">=3.9,<3.14" if number(version) >= (1, 11, 16) else ">=3.9,<3.13"


def module(name):
    return name.replace("-", "_")


SETUP = '''\
from pathlib import Path

from setuptools import find_packages, setup


def get_version() -> str:
    version = {{}}
    with open(Path(__file__).parent / "{module}/version.py", encoding="utf8") as fp:
        exec(fp.read(), version)
    return version["__version__"]


setup(
    name="{name}",
    version=get_version(),
    author="Dagster Labs",
    description={summary!r},
    license="Apache-2.0",
    packages=find_packages(exclude=["{module}_tests*"]),
    include_package_data=True,
    python_requires={python!r},
    install_requires={requirements},
    extras_require={extras},
    entry_points={entry_points},
)
'''
PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
backend-path = ["_backend"]
"""


def pretty(items):
    return "[\n%s    ]" % "".join("        %r,\n" % item for item in items) if items else "[]"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_tree(release, target):
    """Writes the repository at a release's tag into an empty directory."""
    version = release["version"]
    copy(os.path.join(HERE, "tree"), target)
    if number(version) >= (1, 10, 6):
        copy(os.path.join(HERE, "shared"), target)
    write(os.path.join(target, "README.md"), "# Dagster\n\nRelease %s.\n" % version)
    write(os.path.join(target, "docs/docs-beta/.gitkeep"), "")
    for name in packages(version):
        folder = os.path.join(target, PATHS[name])
        own = release.get("source") or package_version(name, version)
        wanted, extras = requirements(name, version)
        text = SETUP.format(
            name=name, module=module(name), summary=SUMMARIES[name], python=python_range(version),
            requirements=pretty(wanted), extras=extras,
            entry_points={"console_scripts": COMMANDS[name]} if name in COMMANDS else {},
        )
        write(os.path.join(folder, "setup.py"), text)
        write(os.path.join(folder, "pyproject.toml"), PYPROJECT)
        write(os.path.join(folder, "README.md"), "# %s\n" % name)
        write(os.path.join(folder, module(name), "version.py"), '__version__ = "%s"\n' % own)
        copy(os.path.join(HERE, "backend"), os.path.join(folder, "_backend"))
    os.symlink("../README.md", os.path.join(target, "docs/README.md"))
    script = os.path.join(target, "scripts/build.sh")
    write(script, "#!/bin/sh\nexec python3 -m pip wheel python_modules/dagster\n")
    os.chmod(script, 0o755)


def write_ui(tree):
    """Puts the built web UI where the distributions have it and git does not."""
    folder = os.path.join(tree, PATHS["dagster-webserver"], "dagster_webserver/webapp/build")
    copy(os.path.join(HERE, "ui"), folder)


def copy(source, target):
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name != "__pycache__"]
        into = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(into, exist_ok=True)
        for name in files:
            shutil.copyfile(os.path.join(folder, name), os.path.join(into, name))
