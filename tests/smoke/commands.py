"""Breaks of what the commands leave and do, beside serving: each leaves a Dagster that starts, serves its
pages and answers queries. Made on a copy of a virtual environment; check.py runs them.

What is changed is recorded anew, as if upstream had released it like that.
"""

from consistency import edit, record, site
from users import LUCK, insert

MIGRATIONS = "dagster/_core/storage/alembic/versions/"
BACKFILL_ID = MIGRATIONS + "044_63d7a8ec641a_add_backfill_id_column_to_runs_table.py"
TAGS_INDEX = MIGRATIONS + "047_add_run_tags_run_id_idx.py"
DEFAULT_LIMIT = MIGRATIONS + "048_7e2f3204cf8e_add_column_concurrency_default_limit.py"
DATA = "dagster/_core/storage/runs/migration.py"


def pair_does_nothing(root):
    insert(TAGS_INDEX, "upgrade", "return")(root)
    insert(TAGS_INDEX, "downgrade", "return")(root)


def unrecorded_chunk(root):
    """A script that only webpack's runtime names, neither there nor recorded."""
    chunks = site(root) / "dagster_webserver/webapp/build/_next/static/chunks"
    for path in chunks.glob("blueprint-icons-16px-paths.*"):
        path.unlink()
        record(root, str(path.relative_to(site(root))))


def project_does_not_load(root):
    name = "dagster/_generate/templates/PROJECT_NAME_PLACEHOLDER/PROJECT_NAME_PLACEHOLDER/definitions.py.jinja"
    edit(site(root) / name, "load_assets_from_modules", "load_assets_of_modules")
    record(root, name)


# As in check.py: how, the probe that must find it, and a word of the cause that it must say.
BREAKS = {
    "code servers are left running": (
        insert("dagster/_core/workspace/context.py", "WorkspaceProcessContext.__exit__",
               'if __import__("sys").argv[0].endswith("/dagster-webserver"): return'),
        "webserver end", [" -m dagster api grpc", "killed"]),
    "a scaffolded project that does not load": (project_does_not_load, "project scaffold", "load_assets_of_modules"),
    "modules of a workspace do not load": (
        insert("dagster/_core/workspace/load.py", "_location_origin_from_module_config"), "workspace", LUCK),
    "code servers cannot be reached": (
        insert("dagster/_core/remote_origin.py", "GrpcServerCodeLocationOrigin.create_location"), "schedule list", LUCK),
    "job list is empty": (insert("dagster/_cli/job.py", "execute_list_command", "return"), "job list", "Job: answer_job"),
    "asset list is empty": (insert("dagster/_cli/asset.py", "asset_list_command", "return"), "asset list", "`answer`"),
    "debug import does nothing": (
        insert("dagster/_cli/debug.py", "import_command", "return"), "debug import", "SUCCESS"),
    "asset wipe does nothing": (
        insert("dagster/_cli/asset.py", "asset_wipe_command", "return"), "asset wipe", "after `dagster asset wipe`"),
    "another partition is materialized": (
        insert("dagster/_cli/asset.py", "execute_materialize_command", "partition = partition and 'green'"),
        "asset materialize --partition", "green"),
    "job launch does nothing": (
        insert("dagster/_cli/job.py", "execute_launch_command", "return"), "job launch", "QUEUED"),
    "job backfill does nothing": (
        insert("dagster/_cli/job.py", "execute_backfill_command", "return"), "job backfill", "QUEUED"),
    "no configuration is scaffolded": (
        insert("dagster/_cli/job.py", "execute_scaffold_command", "return"), "job print", "job scaffold_config"),
    "sensors cannot be previewed": (
        insert("dagster/_cli/sensor.py", "execute_preview_command"), "sensor preview", LUCK),
    "cursors are not set": (
        insert("dagster/_cli/sensor.py", "execute_cursor_command", "return"), "sensor cursor", "[[0]]"),
    "limits are not set": (
        insert("dagster/_cli/instance.py", "set_concurrency", "return"), "instance concurrency", "0 / 2 slots"),
    "run wipe does nothing": (
        insert("dagster/_cli/run.py", "run_wipe_command", "return"), "run wipe", "after `dagster run wipe`"),
    "schedule start does nothing": (
        insert("dagster/_cli/schedule.py", "execute_start_command", "return"), "schedule start", "RUNNING"),
    "sensor stop does nothing": (
        insert("dagster/_cli/sensor.py", "execute_stop_command", "return"), "sensor start", "status after `stop`"),
    "schedule restart does nothing": (
        insert("dagster/_cli/schedule.py", "execute_restart_command", "return"), "schedule restart",
        "Restarted schedule every_minute"),
    "schedules are not wiped": (
        insert("dagster/_core/storage/schedules/sql_schedule_storage.py", "SqlScheduleStorage.wipe", "return"),
        "schedule restart", "after `dagster schedule wipe`"),
    "schedule debug raises": (insert("dagster/_cli/schedule.py", "execute_debug_command"), "schedule restart", LUCK),
    "heartbeats are not wiped": (
        insert("dagster/_core/storage/runs/sql_run_storage.py", "SqlRunStorage.wipe_daemon_heartbeats", "return"),
        "daemon heartbeats", "after `dagster-daemon wipe`"),
    "heartbeats cannot be listed": (
        insert("dagster/_daemon/cli/__init__.py", "debug_heartbeat_dump_command"), "daemon heartbeats", LUCK),
    "caches are not wiped": (
        insert("dagster/_core/storage/event_log/sql_event_log.py", "SqlEventLogStorage.wipe_asset_cached_status",
               "return"), "asset wipe-partitions-status-cache", "[[0]]"),
    "runs stay with a former repository": (
        insert("dagster/_core/storage/runs/sql_run_storage.py", "SqlRunStorage.replace_job_origin", "return"),
        "run migrate-repository", "[[1,0]]"),
    "a code location is not scaffolded": (
        insert("dagster/_cli/project.py", "scaffold_code_location_command", "return"), "project scaffold",
        "my-location/my_location/definitions.py"),
    "run delete does nothing": (
        insert("dagster/_cli/run.py", "run_delete_command", "return"), "run delete", "after `dagster run delete`"),
    "instance reindex does nothing": (
        insert(DATA, "migrate_run_start_end", "return"), "instance reindex", "runs without times"),
    "a lazily loaded script of the web UI not even recorded": (
        unrecorded_chunk, "ui files", ["blueprint-icons-16px-paths.", "which `/_next/static/chunks/webpack-"]),
    "a migration that does nothing, in either direction": (
        pair_does_nothing, "instance migrate",
        "`idx_run_tags_run_id`, which 6b7fb194ff9c adds"),
    "a downgrade that does nothing": (
        insert(DEFAULT_LIMIT, "downgrade", "return"), "instance migrate",
        "no `concurrency_limits.using_default_limit`: undoing 7e2f3204cf8e takes it away"),
    "a migration that does nothing": (
        insert(DEFAULT_LIMIT, "upgrade", "return"), "instance migrate",
        "`concurrency_limits.using_default_limit`, which 7e2f3204cf8e adds"),
    "a migration of data that does nothing": (
        insert(DATA, "migrate_run_backfill_id", "return"), "instance migrate", "`run_backfill_id`"),
    "a migration that loses rows": (
        insert(BACKFILL_ID, "upgrade", "if sa.inspect(op.get_bind()).has_table('event_logs'): "
               "op.execute('DELETE FROM event_logs')"), "instance migrate", "rows in `event_logs`"),
}

# For the short form of check.py.
SHORT = {"code servers are left running", "a downgrade that does nothing", "a scaffolded project that does not load"}

# With these nothing else may be red but what needs what is broken.
ALONE = {
    **{name: {probe} for name, (_, probe, _) in BREAKS.items()},
    "a migration that does nothing": {"instance migrate", "migrations"},
    "code servers cannot be reached": {"schedule list", "sensor list", "job launch", "schedule start", "sensor start",
                                       "schedule preview", "sensor preview", "sensor cursor", "job backfill"},
    # it is that run whose events are wiped, and that is deleted
    "debug import does nothing": {"debug import", "asset wipe", "run delete"},
}
