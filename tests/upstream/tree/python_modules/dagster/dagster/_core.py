"""Definitions and their execution, in process. Values of assets are pickled below
`$DAGSTER_HOME/storage`, as the real file system IO manager does."""

import importlib
import importlib.util
import inspect
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import uuid

import dagster_pipes

from dagster._utils import dagster_home

logger = logging.getLogger("dagster")
PROTOCOL_VERSION = dagster_pipes.PIPES_PROTOCOL_VERSION
ASSET_JOB = "__ASSET_JOB"


class DagsterError(Exception):
    pass


class AssetKey:
    def __init__(self, path):
        self.path = [path] if isinstance(path, str) else list(path)

    def to_user_string(self):
        return "/".join(self.path)

    def __eq__(self, other):
        return isinstance(other, AssetKey) and self.path == other.path

    def __hash__(self):
        return hash(tuple(self.path))


class Config:
    pass


class OpExecutionContext:
    def __init__(self, run_id):
        self.run_id = run_id
        self.log = logger


class AssetExecutionContext(OpExecutionContext):
    def __init__(self, run_id, asset_key):
        super().__init__(run_id)
        self.asset_key = asset_key


class TextMetadataValue:
    def __init__(self, value):
        self.value = value


class MaterializeResult:
    def __init__(self, value=None, metadata=None, **_):
        self.value = value
        self.metadata = metadata or {}


class Node:
    """An op or an asset: a function with a name. `context` is passed to those who ask for it."""

    def __init__(self, function, name=None, deps=(), key_prefix=()):
        self.function = function
        self.name = name or function.__name__
        self.key = AssetKey([*key_prefix, self.name])
        self.__doc__ = function.__doc__
        parameters = list(inspect.signature(function).parameters)
        self.wants_context = parameters[:1] == ["context"]
        self.inputs = parameters[1:] if self.wants_context else parameters
        self.deps = [item if isinstance(item, str) else item.name for item in deps]

    def __call__(self, *arguments):
        if self.wants_context and not (arguments and isinstance(arguments[0], OpExecutionContext)):
            arguments = (OpExecutionContext(str(uuid.uuid4())), *arguments)
        return self.function(*arguments)


class Asset(Node):
    pass


class Op(Node):
    pass


class Job:
    def __init__(self, name, body=None, selection=None):
        self.name = name
        self.body = body
        self.selection = selection


class AssetSelection:
    @staticmethod
    def all():
        return "*"

    @staticmethod
    def assets(*assets):
        return [item if isinstance(item, str) else item.name for item in assets]


def decorator(make):
    def decorate(function=None, **keywords):
        if function is None:
            return lambda inner: make(inner, **keywords)
        return make(function)

    return decorate


@decorator
def asset(function, name=None, deps=(), key_prefix=(), **_):
    prefix = [key_prefix] if isinstance(key_prefix, str) else key_prefix
    return Asset(function, name, deps, prefix)


@decorator
def op(function, name=None, **_):
    return Op(function, name)


@decorator
def job(function, name=None, **_):
    return Job(name or function.__name__, body=function)


def define_asset_job(name, selection="*", **_):
    return Job(name, selection=selection)


class Definitions:
    def __init__(self, assets=(), jobs=(), **_):
        self.assets = {}
        for item in assets or ():
            if item.name in self.assets:
                raise DagsterError("Asset key %r is defined multiple times" % item.name)
            self.assets[item.name] = item
        self.jobs = {item.name: item for item in jobs or ()}
        for item in self.assets.values():
            self.upstream_of(item)

    def upstream_of(self, item):
        names = [*item.inputs, *item.deps]
        for name in names:
            if name not in self.assets:
                raise DagsterError("Input asset %r of %r is not produced" % (name, item.name))
        return names

    def select(self, selection):
        if selection in ("*", None):
            return list(self.assets)
        parts = selection.split(",") if isinstance(selection, str) else selection
        names = [item if isinstance(item, str) else item.name for item in parts]
        names = [name.strip() for name in names]
        unknown = [name for name in names if name not in self.assets]
        if unknown:
            raise DagsterError("no AssetsDefinition objects supply these keys: %s" % unknown)
        return names


class Run:
    """One execution: values by name, kept in `$DAGSTER_HOME/storage` or in a directory that goes.

    With `target`, the options that name the definitions, each step is a process of its own, which
    has the `run_id` and the `storage` of the run that it belongs to.
    """

    def __init__(self, definitions, target=None, run_id=None, storage=None):
        self.definitions = definitions
        self.target = target
        self.run_id = run_id or str(uuid.uuid4())
        if storage is None:
            home = dagster_home() or tempfile.mkdtemp(prefix="tmp")
            storage = os.path.join(home, "storage")
        self.storage = storage
        self.done = {}

    def log(self, level, job_name, event, text):
        logger.log(level, "%s - %s - %d - %s - %s", job_name, self.run_id, os.getpid(), event, text)

    def materialize(self, name, selected, job_name):
        if name in self.done:
            return
        item = self.definitions.assets[name]
        for upstream in self.definitions.upstream_of(item):
            if upstream in selected:
                self.materialize(upstream, selected, job_name)
        if self.target is not None:
            self.start_step(name, job_name)
            self.done[name] = self.load(name)
            return
        context = [AssetExecutionContext(self.run_id, item.key)] if item.wants_context else []
        value = item(*context, *(self.load(upstream) for upstream in item.inputs))
        self.done[name] = value.value if isinstance(value, MaterializeResult) else value
        path = os.path.join(self.storage, *item.key.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            pickle.dump(self.done[name], file, protocol=4)
        self.log(logging.DEBUG, job_name, "ASSET_MATERIALIZATION", "Materialized value " + name)

    def start_step(self, name, job_name):
        command = [sys.executable, "-m", "dagster", "api", "execute_step", *self.target]
        command += ["--job", job_name, "--step", name, "--run-id", self.run_id]
        ended = subprocess.run([*command, "--storage", self.storage], stdin=subprocess.DEVNULL)
        if ended.returncode != 0:
            raise DagsterError("step %r ended with status %d" % (name, ended.returncode))

    def load(self, name):
        if name not in self.done:
            path = os.path.join(self.storage, *self.definitions.assets[name].key.path)
            with open(path, "rb") as file:
                self.done[name] = pickle.load(file)
        return self.done[name]

    def execute(self, what, job_name):
        """`what` is a list of asset names or a job's body. Returns whether the run succeeded."""
        self.log(logging.DEBUG, job_name, "RUN_START", 'Started execution of run for "%s".' % job_name)
        try:
            if callable(what):
                what()
            else:
                for name in what:
                    self.materialize(name, what, job_name)
        except Exception:
            logger.exception("%s - %s - STEP_FAILURE", job_name, self.run_id)
            self.log(logging.ERROR, job_name, "RUN_FAILURE", "Execution of run failed.")
            return False
        text = 'Finished execution of run for "%s".' % job_name
        self.log(logging.DEBUG, job_name, "RUN_SUCCESS", text)
        return True


def execute_job(definitions, name, target):
    if name not in definitions.jobs:
        raise DagsterError("Pipeline/Job %r not found" % name)
    found = definitions.jobs[name]
    what = found.body or definitions.select(found.selection)
    return Run(definitions, target).execute(what, name)


def execute_step(definitions, name, job_name, run_id, storage):
    """Materializes one asset for a run of another process; its inputs lie in the storage."""
    run = Run(definitions, run_id=run_id, storage=storage)
    run.materialize(name, [name], job_name)


def materialize_selection(definitions, selection):
    return Run(definitions).execute(definitions.select(selection), ASSET_JOB)


def materialize(assets, **_):
    definitions = Definitions(assets=assets)
    return materialize_selection(definitions, "*")


def load_definitions(python_file=None, module_name=None):
    """Imports what the user wrote and returns its one `Definitions`, or its loose assets and jobs."""
    if python_file:
        if not os.path.exists(python_file):
            raise DagsterError("No such file: " + python_file)
        sys.path.insert(0, os.path.dirname(os.path.abspath(python_file)))
        stem = os.path.splitext(os.path.basename(python_file))[0]
        spec = importlib.util.spec_from_file_location(stem, python_file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    elif module_name:
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(module_name)
    else:
        return Definitions()
    values = list(vars(module).values())
    found = [item for item in values if isinstance(item, Definitions)]
    if len(found) > 1:
        raise DagsterError("Cannot have more than one Definitions object defined at module scope")
    return found[0] if found else Definitions(
        assets=[item for item in values if isinstance(item, Asset)],
        jobs=[item for item in values if isinstance(item, Job)],
    )
