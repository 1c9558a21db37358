"""Breaks of what users do: each leaves a Dagster that starts, serves its pages and answers queries. Made
on a copy of a virtual environment; check.py runs them.

What is changed is recorded anew, as if upstream had released it like that.
"""

import ast
import re
import shutil

from consistency import edit, record, site

LUCK = "no such luck"
RAISE = 'raise Exception("%s")' % LUCK


def insert(name, function, statement=RAISE):
    """A break: a statement at the start of each function of a name (or `Class.name`) in a file."""

    def change(root):
        path = site(root) / name
        lines = path.read_text().split("\n")
        tree = ast.parse("\n".join(lines))
        scope, _, own = function.rpartition(".")
        scopes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == scope]
        found = [
            node for within in (scopes if scope else [tree]) for node in ast.walk(within)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == own
        ]
        assert found, "no `%s` in %s" % (function, path)
        for node in sorted(found, key=lambda node: -node.lineno):
            first = node.body[0]
            lines.insert(first.lineno - 1, " " * first.col_offset + statement)
        path.write_text("\n".join(lines))
        record(root, name)

    return change


def replace(name, pattern, to):
    """A break: something else in the place of what a pattern finds first in a file."""

    def change(root):
        edit(site(root) / name, pattern, to)
        record(root, name)

    return change


def no_templates(root):
    name = "dagster/_generate/templates"
    shutil.rmtree(site(root) / name)
    record(root, name)


def main_script(root):
    """The script that starts the web UI."""
    build = site(root) / "dagster_webserver/webapp/build"
    names = re.findall(r'src="[^"]*(/_next/static/chunks/main-[^"?]+\.js)', (build / "index.html").read_text())
    assert names, "no script in the page of the web UI"
    return build / names[-1][1:]


def throws(root):
    path = main_script(root)
    path.write_text('setTimeout(() => { throw new Error("%s"); });\n%s' % (LUCK, path.read_text()))
    record(root, str(path.relative_to(site(root))))


def empty(root):
    """On the page of a run only."""
    path = main_script(root)
    clears = 'setInterval(() => { if (/^.runs.[^/]/.test(location.pathname)) document.body.innerHTML = ""; }, 50);'
    path.write_text(clears + "\n" + path.read_text())
    record(root, str(path.relative_to(site(root))))


ROOTS = "dagster_graphql/schema/roots/query.py"
LAUNCHER = "dagster/_core/launcher/default_run_launcher.py"
LOGS = "dagster/_core/storage/local_compute_log_manager.py"
LOST = "yield CapturedLogContext(log_key); return"
BACKFILLS = "dagster_graphql/implementation/execution/backfill.py"
ERROR = "dagster_shared/error.py"
UNEXPLAINED = "return cls(str(tb), [], None, None)"

# As in check.py: how, the probe that must find it, and a word of the cause that it must say.
BREAKS = {
    "no run can be launched": (insert(LAUNCHER, "DefaultRunLauncher.launch_run"), "launch a run", LUCK),
    "runs stay in their queue": (
        insert("dagster/_daemon/run_coordinator/queued_run_coordinator_daemon.py",
               "QueuedRunCoordinatorDaemon.run_iteration"), "launch a run", ["QUEUED", LUCK]),
    "every mutation raises": (
        insert("dagster_graphql/schema/roots/mutation.py", "mutate"), "terminate a run", LUCK),
    "events of runs cannot be read": (
        insert("dagster_graphql/implementation/fetch_runs.py", "get_logs_for_run"), "run events", LUCK),
    "what steps print is lost": (insert(LOGS, "LocalComputeLogManager.capture_logs", LOST), "captured logs", "stdout"),
    "terminating does nothing": (
        insert(LAUNCHER, "DefaultRunLauncher.terminate", "return True"), "terminate a run", "`CANCELED`"),
    "errors without their causes": (
        insert(ERROR, "SerializableErrorInfo.from_traceback", UNEXPLAINED), "failing run", "the shelf is full"),
    "no process executes a step": (
        insert("dagster/_core/executor/multiprocess.py", "MultiprocessExecutor.execute"), "launch a run", LUCK),
    "no step is executed in the run's process": (
        insert("dagster/_core/executor/in_process.py", "InProcessExecutor.execute"), "materialize an asset", LUCK),
    "sensors raise": (
        insert("dagster/_daemon/sensor.py", "execute_sensor_iteration"), "sensor", LUCK),
    "schedules raise": (
        insert("dagster/_scheduler/scheduler.py", "launch_scheduled_runs"), "schedule", LUCK),
    "backfills raise": (
        insert("dagster/_daemon/backfill.py", "execute_backfill_iteration"), "backfill", LUCK),
    "wiping leaves all there": (
        insert("dagster/_core/storage/event_log/sql_event_log.py", "SqlEventLogStorage.wipe_asset", "return"),
        "wipe an asset", "none, one of run"),
    "code is not loaded anew": (
        insert("dagster/_core/workspace/context.py", "WorkspaceProcessContext.reload_code_location", "return"),
        "reload", "added_job"),
    "a workspace is not loaded anew": (
        insert("dagster/_core/workspace/context.py", "WorkspaceProcessContext.reload_workspace", "return"),
        "dagster dev reload", "added_job"),
    "instance info raises": (insert("dagster/_cli/instance.py", "info_command"), "instance info", LUCK),
    "an older database is not migrated": (
        insert("dagster/_core/storage/runs/sqlite/sqlite_run_storage.py", "SqliteRunStorage.upgrade", "return"),
        "instance migrate", "no such column: backfill_id"),
    "migrations raise": (
        insert("dagster/_core/storage/runs/sqlite/sqlite_run_storage.py", "SqliteRunStorage.upgrade"),
        "instance migrate", LUCK),
    "no templates of projects": (no_templates, "project scaffold", "my-project/pyproject.toml"),
    "no run without a home": (insert("dagster/_cli/utils.py", "_get_temporary_instance"), "temporary instance", LUCK),
    "run list raises": (insert("dagster/_cli/run.py", "run_list_command"), "run list", LUCK),
    "debug export raises": (insert("dagster/_cli/debug.py", "export_command"), "debug export", LUCK),
    "schedule list raises": (insert("dagster/_cli/schedule.py", "execute_list_command"), "schedule list", LUCK),
    "sensor list raises": (insert("dagster/_cli/sensor.py", "execute_list_command"), "sensor list", LUCK),
    "the debug webserver raises": (
        insert("dagster_webserver/debug.py", "webserver_debug_command"), "debug webserver", LUCK),
    "a query of the web UI raises": (
        insert("dagster_graphql/schema/pipelines/pipeline.py", "GrapheneIPipelineSnapshotMixin.resolve_description"),
        "ui queries", LUCK),
    "a query of the web UI is never answered": (
        insert(ROOTS, "GrapheneQuery.resolve_runsFeedOrError", "import time; time.sleep(1000)"), "ui queries",
        ["`RunsFeedRootQuery`", "an answer within"]),
    "the API tells of no schedules": (
        insert("dagster_graphql/schema/external.py", "GrapheneRepository.resolve_schedules", "return []"), "ui queries",
        "nothing of `Repository.schedules`"),
    "the API tells of no resources": (
        insert("dagster_graphql/schema/external.py", "GrapheneRepository.resolve_allTopLevelResourceDetails", "return []"),
        "ui queries", "`Repository.allTopLevelResourceDetails`"),
    "conditions of assets raise": (
        insert("dagster/_daemon/asset_daemon.py", "AssetDaemon._run_iteration_impl"), "automation", LUCK),
    "sensors of runs raise": (
        insert("dagster/_core/definitions/run_status_sensor_definition.py", "_wrapped_fn"), "run status sensor", LUCK),
    "failed runs are not tried again": (
        insert("dagster/_daemon/auto_run_reexecution/auto_run_reexecution.py", "retry_run"), "run retry",
        "executed once more"),
    "a daemon raises that nobody waits for": (
        insert("dagster/_daemon/monitoring/run_monitoring.py", "execute_run_monitoring_iteration"), "daemon health",
        ["MONITORING", LUCK]),
    "a mutation of the web UI raises": (insert(BACKFILLS, "resume_partition_backfill"), "ui mutations", LUCK),
    "resuming a backfill does nothing": (
        replace(BACKFILLS, r"instance\.update_backfill\(backfill\.with_status\(BulkActionStatus\.REQUESTED\)\)", "instance"), "ui mutations", "backfill that goes on: expected `REQUESTED`"),
    "a sensor that is turned off goes on": (
        insert("dagster/_core/instance/methods/scheduling_methods.py", "stop_sensor",
               "return self.get_instigator_state(instigator_origin_id, selector_id)"), "ui mutations",
        "status of `counting`: expected `STOPPED`"),
    "a run that is deleted stays": (
        insert("dagster/_core/instance/instance.py", "DagsterInstance.delete_run", "return"), "ui mutations",
        "run that was deleted"),
    "a run is never executed again": (
        insert("dagster/_core/instance/runs/run_domain.py", "create_reexecuted_run"), "ui mutations", LUCK),
    "hooks are not run": (
        insert("dagster/_core/execution/plan/execute_plan.py", "_trigger_hook", "return; yield"), "ui mutations",
        "`HookCompletedEvent`"),
    "the Python client raises": (
        insert("dagster_graphql/client/client.py", "DagsterGraphQLClient.submit_job_execution"), "clients",
        ["python client", LUCK]),
    "no WebSocket is answered": (
        insert("dagster_webserver/graphql.py", "GraphQLServer.graphql_ws_endpoint"), "clients", "subscriptions"),
    "logs cannot be downloaded": (
        insert("dagster_webserver/webserver.py", "DagsterWebserver.download_captured_logs_endpoint"), "clients",
        "downloads"),
    "partitions are mapped to nothing": (
        insert("dagster/_core/definitions/partitions/mapping/time_window.py",
               "TimeWindowPartitionMapping.get_upstream_mapped_partitions_result_for_partitions"), "python api",
        ["partition mappings", LUCK]),
    "sensors cannot be evaluated": (
        insert("dagster/_core/definitions/sensor_definition.py", "SensorDefinition.evaluate_tick"), "python api",
        ["schedules and sensors", LUCK]),
    "a script of the web UI that raises": (throws, "browser", LUCK),
    "a page of the web UI that stays empty": (empty, "browser", "`processes`"),
}

DAEMONS = "dagster/_daemon/daemon.py"
ONCE_LATE = "import time; time.sleep(10)"
ALWAYS_LATE = "import time; time.sleep(3)"

# What is slow in trees that are good all the same: whatever is second then is first.
LATE = {
    "the asset daemon": insert("dagster/_daemon/asset_daemon.py", "AssetDaemon.core_loop", ONCE_LATE),
    "the asset daemon, between a look and what it writes": insert(
        "dagster/_daemon/asset_daemon.py", "AssetDaemon._copy_default_auto_materialize_sensor_states", ONCE_LATE),
    "the sensor daemon": insert(DAEMONS, "SensorDaemon.core_loop", ONCE_LATE),
    "the scheduler": insert(DAEMONS, "SchedulerDaemon.core_loop", ONCE_LATE),
    "the backfill daemon": insert(DAEMONS, "BackfillDaemon.core_loop", ONCE_LATE),
    "the queue, monitoring and retries": insert(DAEMONS, "IntervalDaemon.core_loop", ONCE_LATE),
    "code servers": insert("dagster/_cli/api.py", "grpc_command", ALWAYS_LATE),
    "runs": insert("dagster/_cli/api.py", "_execute_run_command_body", ALWAYS_LATE),
    "steps": insert(
        "dagster/_core/executor/multiprocess.py", "MultiprocessExecutorChildProcessCommand.execute", ALWAYS_LATE),
    "the API": insert(
        "dagster_webserver/graphql.py", "GraphQLServer.execute_graphql_request",
        "import asyncio; await asyncio.sleep(0.5)"),
}

# For the short form of check.py.
SHORT = {
    "no run can be launched", "what steps print is lost", "migrations raise", "a query of the web UI raises",
    "a script of the web UI that raises",
}

LAUNCHED = {
    "launch a run", "terminate a run", "failing run", "materialize an asset", "materialize a partition", "sensor",
    "schedule", "backfill", "automation", "daemon health",
}

# With these nothing may be red but what needs what is broken.
ALONE = {
    **{name: {probe} for name, (_, probe, _) in BREAKS.items()},
    "no run can be launched": LAUNCHED,
    "runs stay in their queue": LAUNCHED,
    "every mutation raises": LAUNCHED | {"reload", "dagster dev reload"},
    # what the daemon meets, the web UI shows
    "sensors raise": {"sensor", "run status sensor", "ui queries", "daemon health"},
    "schedules raise": {"schedule", "ui queries", "daemon health"},
    "backfills raise": {"backfill", "ui queries", "ui mutations", "daemon health"},
    "conditions of assets raise": {"automation", "ui queries", "daemon health"},
    "failed runs are not tried again": {"run retry", "ui queries", "daemon health"},
    "wiping leaves all there": {"wipe an asset", "ui mutations"},
    "what steps print is lost": {"captured logs", "ui queries", "clients"},
    # a retry is one, too
    "a run is never executed again": {"ui mutations", "run retry", "ui queries"},
    "a daemon raises that nobody waits for": {"daemon health", "ui queries"},
    "sensors of runs raise": {"run status sensor", "ui queries", "python api", "daemon health"},
    # the run that has no end is not seen to start, so nobody ends it, and the daemon leaves it
    "events of runs cannot be read": {
        "run events", "captured logs", "failing run", "materialize an asset", "terminate a run", "backfill", "clients"},
    # the daemon launched it
    "terminating does nothing": {"terminate a run", "backfill"},
    "no process executes a step": {
        "launch a run", "asset materialize", "job execute", "sys.executable", "ui queries", "ui mutations"},
    "no step is executed in the run's process": LAUNCHED - {"launch a run", "daemon health"} | {
        "temporary instance", "python api", "asset materialize --partition", "clients"},
    # the console of the browser tells it
    "no WebSocket is answered": {"clients", "browser"},
    "sensors cannot be evaluated": {
        "python api", "sensor", "schedule", "sensor preview", "run status sensor", "ui queries", "ui mutations",
        "daemon health"},
    "hooks are not run": {"ui mutations", "python api"},
    # each sensor that is tried is turned off again
    "a sensor that is turned off goes on": {
        "ui mutations", "sensor start", "sensor", "automation"},
    "run list raises": {"run list", "instance migrate"},
    "a query of the web UI raises": {"ui queries", "browser"},
    "a query of the web UI is never answered": {"ui queries", "browser", "webserver end"},
}
