"""Runs `dagster` once for each step of `steps.json`, one after the other, in forks of one interpreter that
has imported it: starting that is most of what such a command costs.

A step: `log`, where its stdout and stderr go (`LOG.out` and `LOG.err`), `args`, the command's, and `unset`, a
variable that it does not get. One with `older`, a revision of Alembic's, makes the databases of `$DAGSTER_HOME`
those that a Dagster of that time had made; one with `revisions` says which revision each of them has, as they
say themselves: what `dagster instance migrate` prints is that of the events' for all. `done.json` gets a list of what came of each, after each: `status` and `seconds`."""

import contextlib
import json
import os
import sqlite3
import sys
import time
import traceback
from importlib.metadata import distribution
from urllib.parse import quote

(main,) = [
    entry.load()
    for entry in distribution("dagster").entry_points
    if (entry.group, entry.name) == ("console_scripts", "dagster")
]

# What migrates data, after the structure, and left a mark when it was done. Later than any `older`.
DATA_MIGRATIONS = ("run_backfill_id", "backfill_job_name_and_tags", "backfill_end_timestamp")


def older(revision):
    import sqlalchemy
    from dagster import DagsterInstance
    from dagster._core.storage.event_log.sqlite import sqlite_event_log as events
    from dagster._core.storage.runs.sqlite import sqlite_run_storage as runs
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage as schedules
    from dagster._core.storage.sql import get_alembic_config, run_alembic_downgrade

    with DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        for module, connect in [
            (runs, instance.run_storage.connect),
            (events, storage.index_connection),
            (schedules, instance.schedule_storage.connect),
        ]:
            with connect() as connection:
                run_alembic_downgrade(get_alembic_config(module.__file__), connection, revision)
        for run in instance.get_runs():
            with storage.run_connection(run.run_id) as connection:
                run_alembic_downgrade(get_alembic_config(events.__file__), connection, revision)
        with instance.run_storage.connect() as connection:
            forget = sqlalchemy.text("DELETE FROM secondary_indexes WHERE name = :name")
            for name in DATA_MIGRATIONS:
                connection.execute(forget, {"name": name})


def revisions(home):
    found = {}
    for folder, _, files in os.walk(home):
        for name in files:
            if name.endswith(".db"):
                path = os.path.join(folder, name)
                with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % quote(path), uri=True)) as database:
                    try:
                        rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
                    except sqlite3.OperationalError as error:
                        rows = [(str(error),)]
                found[os.path.relpath(path, home)] = " ".join(row[0] for row in rows)
    return found


def run(step):
    for stream, suffix in [(1, ".out"), (2, ".err")]:
        file = os.open(step["log"] + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, stream)
    try:
        os.environ.pop(step.get("unset", ""), None)
        if "older" in step:
            older(step["older"])
        elif "revisions" in step:
            print(json.dumps(revisions(os.environ["DAGSTER_HOME"])))
        else:
            sys.argv = ["dagster", *step["args"]]
            sys.exit(main())
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


with open("steps.json", encoding="utf-8") as file:
    steps = json.load(file)
done = []
for step in steps:
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = run(step)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    done.append({"status": status, "seconds": time.monotonic() - start})
    with open("done.part", "w", encoding="utf-8") as file:
        json.dump(done, file)
    os.replace("done.part", "done.json")
