"""What Dagster's users write, executed in one process, by the names that Dagster publishes. Each function is
one subject; `each.py` runs them."""

import json
import os
import sys
import tempfile
import types
from datetime import datetime

import dagster as dg

sys.path.append(os.path.dirname(__file__))
import each  # noqa: E402


def daily_partitions():
    days = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-05")

    @dg.asset(partitions_def=days)
    def day(context):
        return context.partition_time_window.start.isoformat()[:10]

    result = dg.materialize([day], partition_key="2024-01-02")
    assert result.output_for_node("day") == "2024-01-02"
    assert len(days.get_partition_keys()) == 4, days.get_partition_keys()
    hours = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-02-00:00")
    assert len(hours.get_partition_keys()) == 24, hours.get_partition_keys()
    weeks = dg.WeeklyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
    assert weeks.get_partition_keys()[0] == "2024-01-07", weeks.get_partition_keys()
    months = dg.MonthlyPartitionsDefinition("2024-01-01", end_date="2024-04-01")
    assert len(months.get_partition_keys()) == 3, months.get_partition_keys()


def partition_mappings():
    days = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-05")

    @dg.asset(partitions_def=days)
    def day(context):
        return context.partition_key

    before = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True)

    @dg.asset(partitions_def=days, ins={"day": dg.AssetIn(partition_mapping=before)})
    def day_after(day):
        return "after " + str(day)

    @dg.asset(ins={"day": dg.AssetIn(partition_mapping=dg.AllPartitionMapping())})
    def all_days(day):
        return sorted(day.values())

    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral() as instance:
        kept = {"resources": {"io_manager": dg.FilesystemIOManager(base_dir=folder)}, "instance": instance}
        for key in days.get_partition_keys():
            assert dg.materialize([day], partition_key=key, **kept).success
        result = dg.materialize([day, day_after], selection=[day_after], partition_key="2024-01-03", **kept)
        assert result.output_for_node("day_after") == "after 2024-01-02"
        result = dg.materialize([day, all_days], selection=[all_days], **kept)
        assert result.output_for_node("all_days") == days.get_partition_keys()


def multi_partitions():
    parts = dg.MultiPartitionsDefinition({
        "color": dg.StaticPartitionsDefinition(["red", "blue"]),
        "day": dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-03"),
    })

    @dg.asset(partitions_def=parts)
    def both(context):
        return dict(context.partition_key.keys_by_dimension)

    key = dg.MultiPartitionKey({"color": "red", "day": "2024-01-02"})
    result = dg.materialize([both], partition_key=key)
    assert result.output_for_node("both") == {"color": "red", "day": "2024-01-02"}
    assert len(parts.get_partition_keys()) == 4, parts.get_partition_keys()


def dynamic_partitions():
    parts = dg.DynamicPartitionsDefinition(name="customers")

    @dg.asset(partitions_def=parts)
    def customer(context):
        return context.partition_key

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("customers", ["ann", "bob"])
        assert instance.get_dynamic_partitions("customers") == ["ann", "bob"]
        assert dg.materialize([customer], partition_key="bob", instance=instance).output_for_node("customer") == "bob"
        key = customer.key
        assert instance.get_materialized_partitions(key) == {"bob"}


def partitioned_config():
    @dg.daily_partitioned_config(start_date="2024-01-01")
    def config(start, _end):
        return {"ops": {"say": {"config": {"day": start.strftime("%Y-%m-%d")}}}}

    @dg.op(config_schema={"day": str})
    def say(context):
        return context.op_config["day"]

    @dg.job(config=config)
    def daily():
        say()

    assert daily.execute_in_process(partition_key="2024-01-02").output_for_node("say") == "2024-01-02"


def kinds_of_assets():
    @dg.multi_asset(specs=[dg.AssetSpec("left"), dg.AssetSpec("right", deps=["left"])], can_subset=True)
    def pair(context):
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(asset_key=key, metadata={"rows": 2})

    @dg.op
    def three():
        return 3

    @dg.op
    def doubled(number):
        return 2 * number

    @dg.graph_asset
    def six():
        return doubled(three())

    @dg.graph_multi_asset(outs={"one": dg.AssetOut(), "two": dg.AssetOut()})
    def ones():
        return {"one": three(), "two": doubled(three())}

    @dg.observable_source_asset
    def outside():
        return dg.DataVersion("7")

    @dg.asset(deps=[outside, dg.AssetDep("elsewhere")], code_version="1", owners=["team:gate"], tags={"a": "b"},
              kinds={"python"})
    def inside() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path("/x")})

    result = dg.materialize([pair, six, ones, inside])
    assert result.output_for_node("six.doubled") == 6
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert made == {"left", "right", "six", "one", "two", "inside"}, made
    defs = dg.Definitions(assets=[pair, outside, inside, dg.AssetSpec("elsewhere")])
    assert dg.Definitions.validate_loadable(defs) is None


def loading_assets():
    module = types.ModuleType("some_assets")
    exec("import dagster\n@dagster.asset\ndef one(): return 1\n@dagster.asset\ndef two(one): return one + 1",
         module.__dict__)
    assets = dg.load_assets_from_modules([module], group_name="some", key_prefix="a")
    result = dg.materialize(assets)
    assert result.asset_value(dg.AssetKey(["a", "two"])) == 2
    selected = dg.AssetSelection.groups("some") - dg.AssetSelection.assets(dg.AssetKey(["a", "one"]))
    found = selected.resolve(assets)
    assert found == {dg.AssetKey(["a", "two"])}, found
    job = dg.define_asset_job("some_job", selection=dg.AssetSelection.all())
    defs = dg.Definitions(assets=assets, jobs=[job])
    job = getattr(defs, "resolve_job_def", getattr(defs, "get_job_def", None))("some_job")
    assert job.execute_in_process().success


def resources_and_configuration():
    class Inner(dg.ConfigurableResource):
        word: str

    class Outer(dg.ConfigurableResource):
        inner: Inner
        token: str

        def setup_for_execution(self, context):
            self._word = self.inner.word + self.token

        def say(self):
            return self._word

    class Amount(dg.Config):
        number: int = 1

    @dg.asset
    def said(config: Amount, outer: Outer):
        return outer.say() * config.number

    os.environ["LIBRARY_TOKEN"] = "!"
    resources = {"outer": Outer(inner=Inner(word="a"), token=dg.EnvVar("LIBRARY_TOKEN"))}
    run_config = dg.RunConfig(ops={"said": Amount(number=3)})
    assert dg.materialize([said], resources=resources, run_config=run_config).output_for_node("said") == "a!a!a!"

    @dg.op(config_schema={
        "mode": dg.Field(dg.Enum("Mode", [dg.EnumValue("fast"), dg.EnumValue("slow")]), default_value="slow"),
        "names": dg.Array(str),
        "of": dg.Shape({"env": dg.StringSource}),
        "more": dg.Permissive(),
    })
    def configured(context):
        return context.op_config

    @dg.job
    def with_schema():
        configured()

    given = {"names": ["x"], "of": {"env": {"env": "LIBRARY_TOKEN"}}, "more": {"y": 1}}
    result = with_schema.execute_in_process({"ops": {"configured": {"config": given}}})
    found = result.output_for_node("configured")
    assert (found["mode"], found["of"], found["more"]) == ("slow", {"env": "!"}, {"y": 1}), found
    try:
        dg.validate_run_config(with_schema, {"ops": {"configured": {"config": {"names": 1}}}})
    except dg.DagsterInvalidConfigError:
        pass
    else:
        raise AssertionError("wrong configuration is taken")


def io_managers():
    kept = {}

    class Shelf(dg.ConfigurableIOManager):
        def handle_output(self, context, obj):
            kept[tuple(context.asset_key.path)] = obj

        def load_input(self, context):
            return kept[tuple(context.asset_key.path)]

    @dg.asset(io_manager_key="shelf")
    def one():
        return 1

    @dg.asset
    def two(one):
        return one + 1

    with tempfile.TemporaryDirectory() as folder:
        resources = {"shelf": Shelf(), "io_manager": dg.FilesystemIOManager(base_dir=folder)}
        assert dg.materialize([one, two], resources=resources).asset_value("two") == 2
        assert kept == {("one",): 1} and os.path.exists(os.path.join(folder, "two"))
        assert dg.Definitions(assets=[one, two], resources=resources).load_asset_value("two") == 2


def ops_and_graphs():
    @dg.op(out=dg.DynamicOut())
    def pieces():
        for number in range(3):
            yield dg.DynamicOutput(number, mapping_key=str(number))

    @dg.op
    def square(number: int) -> int:
        return number * number

    @dg.op(ins={"after": dg.In(dg.Nothing)})
    def add(numbers):
        return sum(numbers)

    @dg.op(out=dg.Out(dg.Nothing))
    def nothing():
        pass

    @dg.op(out={"yes": dg.Out(is_required=False), "no": dg.Out(is_required=False)})
    def branch():
        yield dg.Output("y", "yes", metadata={"n": 1})

    @dg.op
    def taken(value):
        return value

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1, backoff=dg.Backoff.EXPONENTIAL, delay=0.01))
    def stubborn(context):
        if context.retry_number == 0:
            raise dg.RetryRequested(max_retries=1)
        return "well"

    heard = []

    @dg.success_hook
    def success(context):
        heard.append(context.op.name)

    @dg.job(hooks={success}, tags={"a": "b"})
    def everything():
        add(pieces().map(square).collect(), after=nothing())
        yes, no = branch()
        taken.alias("on_yes")(yes)
        taken.alias("on_no")(no)
        stubborn()

    result = everything.execute_in_process()
    assert result.output_for_node("add") == 5 and result.output_for_node("stubborn") == "well"
    steps = {event.step_key for event in result.get_step_success_events()}
    assert "on_yes" in steps and "on_no" not in steps, steps
    assert {"square", "on_yes", "stubborn"} <= set(heard), heard

    @dg.op
    def wrong() -> int:
        return "x"

    try:
        dg.GraphDefinition("bad", node_defs=[wrong]).to_job().execute_in_process()
    except dg.DagsterTypeCheckDidNotPass:
        pass
    else:
        raise AssertionError("an output of another type is taken")
    assert square(3) == 9 and dg.build_op_context(op_config=None) is not None


def checks_of_assets():
    @dg.asset
    def one():
        return 1

    @dg.asset_check(asset=one, blocking=True)
    def is_two(one):
        return dg.AssetCheckResult(passed=one == 2, severity=dg.AssetCheckSeverity.ERROR, metadata={"found": one})

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("is_one", asset="one"), dg.AssetCheckSpec("is_there", asset="one")])
    def several():
        yield dg.AssetCheckResult(passed=True, asset_key="one", check_name="is_one")
        yield dg.AssetCheckResult(passed=True, asset_key="one", check_name="is_there")

    @dg.asset
    def after(one):
        return one

    defs = dg.Definitions(assets=[one, after], asset_checks=[is_two, several])
    job = getattr(defs, "resolve_implicit_global_asset_job_def", getattr(defs, "get_implicit_global_asset_job_def", None))()
    result = job.execute_in_process(raise_on_error=False)
    found = {event.check_name: event.passed for event in result.get_asset_check_evaluations()}
    assert found == {"is_two": False, "is_one": True, "is_there": True}, found
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert made == {"one"} and not result.success, made


def schedules_and_sensors():
    @dg.op
    def nothing():
        pass

    @dg.job
    def some():
        nothing()

    @dg.asset
    def one():
        return 1

    @dg.schedule(job=some, cron_schedule="0 1 * * *", execution_timezone="America/New_York")
    def nightly(context):
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat(), tags={"a": "b"})

    @dg.sensor(job=some)
    def counting(context):
        context.update_cursor(str(int(context.cursor or 0) + 1))
        return dg.SensorResult(run_requests=[dg.RunRequest("1"), dg.RunRequest("2")])

    @dg.sensor(job=some)
    def quiet():
        return dg.SkipReason("nothing new")

    @dg.asset_sensor(asset_key=dg.AssetKey("one"), job=some)
    def on_one(context, event):
        return dg.RunRequest(run_key=event.run_id)

    heard = []

    @dg.run_status_sensor(run_status=dg.DagsterRunStatus.SUCCESS)
    def on_success(context):
        heard.append(context.dagster_run.job_name)

    @dg.run_failure_sensor
    def on_failure(context):
        heard.append(context.failure_event.message)

    days = dg.DailyPartitionsDefinition("2024-01-01")

    @dg.asset(partitions_def=days)
    def day():
        pass

    by_partition = dg.build_schedule_from_partitioned_job(dg.define_asset_job("days", [day], partitions_def=days))
    defs = dg.Definitions(
        assets=[one, day], jobs=[some], schedules=[nightly, by_partition],
        sensors=[counting, quiet, on_one, on_success, on_failure])
    repository = defs.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=datetime(2024, 1, 2, 1))
        tick = nightly.evaluate_tick(context)
        assert [asked.tags["a"] for asked in tick.run_requests] == ["b"]
        context = dg.build_sensor_context(instance, cursor="4", repository_def=repository)
        tick = counting.evaluate_tick(context)
        assert (len(tick.run_requests), tick.cursor) == (2, "5")
        assert "nothing new" in str(quiet.evaluate_tick(context).skip_message)
        assert dg.materialize([one], instance=instance).success
        tick = on_one.evaluate_tick(dg.build_sensor_context(instance, repository_def=repository))
        assert len(tick.run_requests) == 1, tick
        result = some.execute_in_process(instance=instance)
        success = getattr(result, "get_run_success_event", getattr(result, "get_job_success_event", None))
        event = success()
        on_success(dg.build_run_status_sensor_context("on_success", event, instance, result.dagster_run))
        assert heard == ["some"], heard


def automation_conditions():
    @dg.asset(automation_condition=dg.AutomationCondition.on_cron("@daily"))
    def cron():
        return 1

    @dg.asset
    def base():
        return 1

    @dg.asset(automation_condition=dg.AutomationCondition.eager())
    def eager(base):
        return base

    defs = dg.Definitions(assets=[base, eager, cron])
    with dg.DagsterInstance.ephemeral() as instance:
        first = dg.evaluate_automation_conditions(defs, instance)
        assert first.total_requested == 0, first.total_requested
        assert dg.materialize([base], instance=instance).success
        second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)
        assert second.get_num_requested(dg.AssetKey("eager")) == 1, second.total_requested


def instance_and_events():
    @dg.asset
    def noted(context):
        context.add_output_metadata({
            "text": "x", "number": 1, "url": dg.MetadataValue.url("http://localhost/"),
            "json": {"a": [1]}, "md": dg.MetadataValue.md("**x**"),
            "table": dg.MetadataValue.table([dg.TableRecord({"a": 1})]),
            "schema": dg.TableSchema([dg.TableColumn("a", "int")]),
        })
        context.log_event(dg.AssetObservation("noted", metadata={"seen": True}))
        context.log.warning("careful")
        return 1

    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        result = dg.materialize([noted], instance=instance)
        event = instance.get_latest_materialization_event(dg.AssetKey("noted"))
        metadata = event.asset_materialization.metadata
        assert metadata["number"].value == 1 and metadata["json"].data == {"a": [1]}, metadata
        assert metadata["table"].records == [dg.TableRecord({"a": 1})], metadata["table"]
        instance.report_runless_asset_event(dg.AssetMaterialization("other", metadata={"by": "hand"}))
        assert set(instance.all_asset_keys()) == {dg.AssetKey("noted"), dg.AssetKey("other")}
        records = instance.fetch_materializations(dg.AssetKey("noted"), limit=1).records
        assert records[0].run_id == result.run_id
        assert len(instance.fetch_observations(dg.AssetKey("noted"), limit=5).records) == 1
        (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        assert any("careful" in entry.user_message for entry in instance.all_logs(run.run_id))
        instance.delete_run(run.run_id)
        assert not instance.has_run(run.run_id)


def failures_and_logs():
    heard = []

    @dg.logger
    def own(_context):
        import logging

        class Keep(logging.Handler):
            def emit(self, record):
                heard.append(record.getMessage())

        logger = logging.Logger("own")
        logger.addHandler(Keep())
        return logger

    @dg.op
    def fail(context):
        context.log.info("before")
        raise dg.Failure("on purpose", metadata={"why": "to see"})

    @dg.job(logger_defs={"own": own})
    def failing():
        fail()

    result = failing.execute_in_process({"loggers": {"own": {}}}, raise_on_error=False)
    failure = result.failure_data_for_node("fail")
    assert not result.success and failure.user_failure_data.description == "on purpose", failure
    assert failure.user_failure_data.metadata["why"].value == "to see"
    assert any("before" in message for message in heard), heard


def configuration_files():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("ops: {say: {config: {text: x}}}\n")
        more = "ops: {say: {config: {other: 1}}}"
        assert dg.config_from_files([path]) == {"ops": {"say": {"config": {"text": "x"}}}}
        assert dg.config_from_yaml_strings([more])["ops"]["say"]["config"] == {"other": 1}
    assert json.dumps(dg.file_relative_path(__file__, "x")).endswith('x"')


each.run([
    daily_partitions, partition_mappings, multi_partitions, dynamic_partitions, partitioned_config,
    kinds_of_assets, loading_assets, resources_and_configuration, io_managers, ops_and_graphs, checks_of_assets,
    schedules_and_sensors, automation_conditions, instance_and_events, failures_and_logs, configuration_files,
])
