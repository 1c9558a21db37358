"""Runs `dagster` once for each step of `steps.json`, one after the other, in forks of one interpreter that
has imported it: starting that is most of what such a command costs.

A step: `log`, where its stdout and stderr go (`LOG.out` and `LOG.err`), `args`, the command's, `command`, if that
is another one, `input`, what is typed into it, `unset`, a variable that it does not get, `home`, its `$DAGSTER_HOME`
if that is another one, and `cwd`, the directory that it runs in, if that is. One with `socket` goes on, as a server, until all others are done: it is done itself when it
listens there. One with `sql`, statements, prints the rows of the last of them, in a `database` of its home. One
with `older`, a revision of Alembic's, makes the databases of `$DAGSTER_HOME` those that a Dagster of that time had made, with a backfill of then, and says which revisions were undone; one
with `databases` says what each of them has, as they say themselves: what `dagster instance migrate` prints is
the revision of the events' for all. `done.json` gets a list of what came of each, after each: `status` and
`seconds`."""

import contextlib
import importlib
import json
import os
import signal
import socket
import sqlite3
import sys
import time
import traceback
from importlib.metadata import distribution
from urllib.parse import quote



def command(name):
    (main,) = [
        entry.load()
        for entry in distribution("dagster").entry_points
        if (entry.group, entry.name) == ("console_scripts", name)
    ]
    return main


command("dagster")

# What almost every command imports. One that cannot says so itself.
for name in ("event_log.sqlite.sqlite_event_log", "runs.sqlite.sqlite_run_storage", "schedules.sqlite.sqlite_schedule_storage"):
    with contextlib.suppress(Exception):
        importlib.import_module("dagster._core.storage." + name)

# The runs' database, in `$DAGSTER_HOME`.
RUNS = "history/runs.db"
# What migrates data, after the structure, and left a mark when it was done. Later than any `older`.
DATA_MIGRATIONS = ("run_backfill_id", "backfill_job_name_and_tags", "backfill_end_timestamp")


# A backfill as Dagster 1.8 wrote it down.
BACKFILL = "older"
BODY = {
    "__class__": "PartitionBackfill", "asset_backfill_data": None, "asset_selection": None, "backfill_id": BACKFILL,
    "backfill_timestamp": 1.7e9, "description": None, "error": None, "failure_count": 0, "from_failure": False,
    "last_submitted_partition_name": None, "partition_names": ["a"], "partition_set_origin": {
        "__class__": "ExternalPartitionSetOrigin", "external_repository_origin": {
            "__class__": "ExternalRepositoryOrigin", "repository_location_origin": {
                "__class__": "ManagedGrpcPythonEnvRepositoryLocationOrigin", "loadable_target_origin": {
                    "__class__": "LoadableTargetOrigin", "attribute": None, "executable_path": None,
                    "module_name": None, "package_name": None, "python_file": "x.py", "working_directory": None},
                "location_name": "x.py"},
            "repository_name": "__repository__"},
        "partition_set_name": "older_job_partition_set"},
    "reexecution_steps": None, "reserved_run_ids": [], "serialized_asset_backfill_data": None,
    "status": {"__enum__": "BulkActionStatus.COMPLETED"}, "submitting_run_requests": [], "tags": {"age": "8"},
    "title": None,
}


def older(revision):
    from alembic.script import ScriptDirectory
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
    database = sqlite3.connect(os.path.join(os.environ["DAGSTER_HOME"], RUNS))
    with contextlib.closing(database), database:
        for name in DATA_MIGRATIONS:
            database.execute("DELETE FROM secondary_indexes WHERE name = ?", [name])
        database.execute(
            "INSERT INTO run_tags (run_id, key, value) SELECT run_id, 'dagster/backfill', ? FROM runs", [BACKFILL])
        database.execute(
            "INSERT INTO bulk_actions (key, status, timestamp, body, action_type) "
            "VALUES (?, 'COMPLETED', '2023-11-14 22:13:20', ?, 'PARTITION_BACKFILL')", [BACKFILL, json.dumps(BODY)])
    script = ScriptDirectory.from_config(get_alembic_config(runs.__file__))
    # Newest first.
    return [undone.revision for undone in script.iterate_revisions("head", revision)]


def filled(database):
    """What the migrations of data must have made of the rows that `older` left: the name of each, what it fills,
    with what, and what is there."""

    def ask(query, *values):
        try:
            return [row[0] for row in database.execute(query, values)]
        except sqlite3.OperationalError as error:
            return [str(error)]

    def end(body):
        try:
            return json.loads(body).get("backfill_end_timestamp")
        except ValueError:
            return body

    bodies = ask("SELECT body FROM bulk_actions WHERE key = ?", BACKFILL)
    found = [
        ("run_backfill_id", "runs.backfill_id", [BACKFILL], ask("SELECT DISTINCT backfill_id FROM runs")),
        ("backfill_job_name_and_tags", "bulk_actions.job_name", ["older_job"],
         ask("SELECT job_name FROM bulk_actions WHERE key = ?", BACKFILL)),
        ("backfill_job_name_and_tags", "backfill_tags", ["age=8"],
         ask("SELECT key || '=' || value FROM backfill_tags WHERE backfill_id = ?", BACKFILL)),
        ("backfill_end_timestamp", "the end of the backfill", ask("SELECT max(end_time) FROM runs"), list(map(end, bodies))),
    ]
    return [[name, what, json.dumps(wanted), json.dumps(there)] for name, what, wanted, there in found]


def described(database):
    """The revision, the tables with their columns, the indexes, and how many rows each table has."""
    names = dict(database.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'index')"))
    tables = [name for name, kind in names.items() if kind == "table"]
    found = {"has": list(names), "rows": {}, "revision": "no `alembic_version`"}
    for name in tables:
        found["has"] += ["%s.%s" % (name, row[1]) for row in database.execute("PRAGMA table_info(%s)" % name)]
        found["rows"][name] = database.execute("SELECT count(*) FROM " + name).fetchone()[0]
    if "alembic_version" in tables:
        found["revision"] = " ".join(row[0] for row in database.execute("SELECT version_num FROM alembic_version"))
    return found


def databases(home):
    found = {}
    for folder, _, files in os.walk(home):
        for name in files:
            if name.endswith(".db"):
                path = os.path.join(folder, name)
                own = os.path.relpath(path, home)
                with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % quote(path), uri=True)) as database:
                    found[own] = dict(described(database), filled=filled(database) if own == RUNS else [])
    return found


def asked(path, statements):
    try:
        database = sqlite3.connect("file:%s?mode=rw" % quote(path), uri=True)
        with contextlib.closing(database), database:
            for statement in statements:
                rows = database.execute(statement).fetchall()
        return rows
    except sqlite3.OperationalError as error:
        return str(error)


def run(step):
    for stream, suffix in [(1, ".out"), (2, ".err")]:
        file = os.open(step["log"] + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, stream)
    if "input" in step:
        there, here = os.pipe()
        os.write(here, (step["input"] + "\n").encode())
        os.close(here)
        os.dup2(there, 0)
    try:
        os.environ.pop(step.get("unset", ""), None)
        os.environ.update({"DAGSTER_HOME": step["home"]} if "home" in step else {})
        os.chdir(step.get("cwd", "."))
        if "older" in step:
            print(json.dumps(older(step["older"])))
        elif "sql" in step:
            print(json.dumps(asked(os.path.join(os.environ["DAGSTER_HOME"], step["database"]), step["sql"])))
        elif "databases" in step:
            print(json.dumps(databases(os.environ["DAGSTER_HOME"])))
        else:
            name = step.get("command", "dagster")
            sys.argv = [name, *step["args"]]
            sys.exit(command(name)())
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def ended(child, wait=True):
    """The status of a child as a shell has it; none where it still runs and nobody waits."""
    pid, status = os.waitpid(child, 0 if wait else os.WNOHANG)
    if pid == 0:
        return None
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def listens(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


with open("steps.json", encoding="utf-8") as file:
    steps = json.load(file)
done = []
servers = []
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
    if "socket" in step:
        while (status := ended(child, wait=False)) is None and not listens(step["socket"]):
            time.sleep(0.05)
        if status is None:
            servers.append(child)
        status = 0 if status is None else status or 1
    else:
        status = ended(child)
    done.append({"status": status, "seconds": time.monotonic() - start})
    with open("done.part", "w", encoding="utf-8") as file:
        json.dump(done, file)
    os.replace("done.part", "done.json")
for child in servers:
    os.kill(child, signal.SIGTERM)
for child in servers:
    ended(child)
