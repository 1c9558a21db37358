"""The `dagster` command."""

import logging
import os
import sys

from dagster._click import Command
from dagster._core import (
    DagsterError,
    execute_job,
    execute_step,
    load_definitions,
    materialize_selection,
)
from dagster._grpc import CodeServer, serve, target_of
from dagster._workspace import read_workspace
from dagster.version import __version__

TARGET = {
    "python_file": ["-f=", "--python-file="],
    "module_name": ["-m=", "--module-name="],
}


def log_to_stderr():
    logging.basicConfig(
        level=logging.DEBUG, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    )


def guarded(action):
    """Runs `action` and turns what a user did wrong into one line and exit code 1."""
    try:
        return action()
    except DagsterError as error:
        print("Error: %s" % error, file=sys.stderr)
        return 1


def validate(python_file, module_name, workspace, **_):
    log_to_stderr()
    logger = logging.getLogger("dagster")
    locations = [{"python_file": python_file, "module_name": module_name}]
    try:
        if workspace:
            locations = [item for file in workspace for item in read_workspace(file)]
    except DagsterError as error:
        print("Error: %s" % error, file=sys.stderr)
        return 1
    failed = False
    for location in locations:
        path = location["python_file"]
        name = os.path.basename(path) if path else location["module_name"]
        try:
            with CodeServer(**location):
                logger.info("Validation successful for code location %s.", name)
        except Exception:
            logger.exception("Validation failed for code location %s", name)
            failed = True
    if failed:
        return 1
    logger.info("All code locations passed validation.")
    return 0


def asset_materialize(python_file, module_name, select, **_):
    log_to_stderr()
    if not select:
        raise SystemExit("Error: Missing option '--select'.")

    def action():
        return 0 if materialize_selection(load_definitions(python_file, module_name), select) else 1

    return guarded(action)


def asset_list(python_file, module_name, **_):
    def action():
        for item in load_definitions(python_file, module_name).assets.values():
            print(item.key.to_user_string())
        return 0

    return guarded(action)


def job_execute(python_file, module_name, job, **_):
    log_to_stderr()

    def action():
        definitions = load_definitions(python_file, module_name)
        name = job or (list(definitions.jobs) if len(definitions.jobs) == 1 else [None])[0]
        if name is None:
            raise DagsterError("Must provide --job as there is more than one job")
        return 0 if execute_job(definitions, name, target_of(python_file, module_name)) else 1

    return guarded(action)


def job_list(python_file, module_name, **_):
    def action():
        for name in load_definitions(python_file, module_name).jobs:
            print("Job: " + name)
        return 0

    return guarded(action)


def api_grpc(socket, python_file, module_name):
    return serve(socket, python_file, module_name)


def api_execute_step(python_file, module_name, job, step, run_id, storage):
    log_to_stderr()
    execute_step(load_definitions(python_file, module_name), step, job, run_id, storage)
    return 0


def dev(**keywords):
    from dagster._cli.dev import run

    return run(**keywords)


DEV_OPTIONS = {
    "host": ["-h=", "--host="],
    "port": ["-p=", "--port="],
    "log_level": ["--log-level="],
    "log_format": ["--log-format="],
    "live_data_poll_rate": ["--live-data-poll-rate="],
    "code_server_log_level": ["--code-server-log-level="],
}

group = Command(
    version=__version__,
    help="CLI tools for working with Dagster.",
    commands={
        "api": Command(
            help="[INTERNAL] These commands are intended to support internal use cases.",
            commands={
                "grpc": Command(
                    api_grpc, dict(TARGET, socket=["-s=", "--socket="]), help="Serve the code location."
                ),
                "execute_step": Command(
                    api_execute_step,
                    dict(
                        TARGET, job=["--job="], step=["--step="], run_id=["--run-id="],
                        storage=["--storage="],
                    ),
                    help="Execute one step of a run.",
                ),
            },
        ),
        "asset": Command(
            help="Commands for working with Dagster assets.",
            commands={
                "list": Command(asset_list, TARGET, help="List assets"),
                "materialize": Command(
                    asset_materialize,
                    dict(TARGET, select=["--select="]),
                    help="Execute a run to materialize a selection of assets",
                ),
            },
        ),
        "definitions": Command(
            help="Commands for working with Dagster definitions.",
            commands={
                "validate": Command(
                    validate,
                    dict(
                        TARGET, workspace=["-w=", "--workspace="], log_level=["--log-level="],
                        log_format=["--log-format="],
                    ),
                    help="Validate if Dagster definitions are loadable.",
                    repeated=["workspace"],
                ),
            },
        ),
        "dev": Command(
            dev, dict(TARGET, **DEV_OPTIONS), help="Start a local deployment of Dagster."
        ),
        "job": Command(
            help="Commands for working with Dagster jobs.",
            commands={
                "execute": Command(
                    job_execute, dict(TARGET, job=["-j=", "--job="]), help="Execute a job."
                ),
                "list": Command(job_list, TARGET, help="List the jobs in a repository."),
            },
        ),
    },
)


def main():
    group.main()
