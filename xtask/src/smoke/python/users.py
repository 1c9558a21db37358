"""What the instance of the users' probes loads: something of everything that Dagster's users have."""

import sys
import time

from dagster import (
    Array,
    AssetCheckResult,
    AutomationCondition,
    ConfigurableResource,
    DagsterRunStatus,
    DefaultSensorStatus,
    Definitions,
    DynamicPartitionsDefinition,
    Enum,
    EnumValue,
    EnvVar,
    Field,
    IOManager,
    Map,
    Noneable,
    RetryPolicy,
    RunRequest,
    ScheduleDefinition,
    SkipReason,
    StaticPartitionsDefinition,
    StringSource,
    asset,
    asset_check,
    define_asset_job,
    graph,
    in_process_executor,
    io_manager,
    job,
    multiprocess_executor,
    op,
    run_status_sensor,
    schedule,
    sensor,
    success_hook,
)


class Full(IOManager):
    def handle_output(self, context, obj):
        raise OSError("the shelf is full")

    def load_input(self, context):
        raise OSError("the shelf is empty")


@io_manager(description="Keeps nothing.")
def full():
    return Full()


class Note(ConfigurableResource):
    """Something written down."""

    text: str = "42"
    by: str = "nobody"


@asset(group_name="numbers", description="The answer.")
def answer():
    return 42


@asset(group_name="numbers", description="Twice the answer.")
def twice(answer):
    return 2 * answer


@asset_check(asset=answer, description="The answer is even.")
def even(answer):
    return AssetCheckResult(passed=answer % 2 == 0, metadata={"answer": answer})


@asset(
    group_name="colors",
    description="One for each color.",
    partitions_def=StaticPartitionsDefinition(["red", "green", "blue", "black"]),
)
def paint(context):
    return context.partition_key


@asset(group_name="colors", partitions_def=DynamicPartitionsDefinition(name="hues"))
def tint(context):
    return context.partition_key


@asset(
    group_name="numbers",
    automation_condition=AutomationCondition.missing() & ~AutomationCondition.in_progress(),
    partitions_def=StaticPartitionsDefinition(["red"]),
)
def wanted():
    return 0


@asset(group_name="numbers", description="Is made elsewhere.")
def reported():
    pass


@op(description="Says something on both streams.")
def speak():
    print("this is stdout")
    print("this is stderr", file=sys.stderr)
    return 1


@op
def add_one(number):
    return number + 1


@graph(description="Adds one, twice.")
def add_two(number):
    return add_one(add_one(number))


@graph(description="Adds two, twice.")
def add_four(number):
    return add_two(add_two(number))


@job(description="A graph in a graph, in one process.")
def nested():
    add_four(speak())


@job(description="Each step in a process of its own.", executor_def=multiprocess_executor)
def processes():
    speak()


@op
def sleep(context):
    context.log.info("asleep")
    time.sleep(3600)


@job(description="Goes on until somebody terminates it.")
def endless():
    sleep()


@job(description="Fails: what it keeps its values in does not keep them.", resource_defs={"io_manager": full})
def full_shelf():
    speak()


@op(
    config_schema={
        "text": str,
        "many": Field(Array(int), is_required=False),
        "of": Field(Map(str, int), is_required=False),
        "speed": Field(Enum("Speed", [EnumValue("slow"), EnumValue("fast")]), default_value="slow"),
        "maybe": Field(Noneable(StringSource), is_required=False),
    },
    retry_policy=RetryPolicy(max_retries=1),
    description="Fails at first.",
)
def configured(context):
    if context.retry_number == 0:
        raise RuntimeError("not yet")
    context.log.info("the text is " + context.op_config["text"])


@success_hook
def cheer(context):
    context.log.info("well done")


@job(description="What else an op may have.", hooks={cheer})
def everything():
    configured()


@schedule(job=nested, cron_schedule="0 0 1 1 *", execution_timezone="Europe/Vienna")
def new_year(context):
    return RunRequest(run_key=None, tags={"asked by": context.scheduled_execution_time.isoformat()})


@sensor(job=nested, description="Counts how often it was evaluated.")
def counting(context):
    count = int(context.cursor or 0) + 1
    context.update_cursor(str(count))
    return RunRequest(run_key=str(count), tags={"asked by": "a count of %d" % count})


every_minute = ScheduleDefinition(name="every_minute", job=nested, cron_schedule="* * * * *")


@sensor(job=nested, minimum_interval_seconds=30)
def once(context):
    yield RunRequest(run_key="once")


@run_status_sensor(
    run_status=DagsterRunStatus.SUCCESS, default_status=DefaultSensorStatus.RUNNING, minimum_interval_seconds=5)
def heard(context):
    context.log.info("heard of " + context.dagster_run.run_id)


@sensor(job=nested, description="Evaluated by hand only: has schedules started a minute earlier than they were.")
def turn_back(context):
    from dagster._core.scheduler.instigation import InstigatorType, ScheduleInstigatorData

    for state in context.instance.all_instigator_state():
        if state.instigator_type == InstigatorType.SCHEDULE:
            data = state.instigator_data
            data = ScheduleInstigatorData(data.cron_schedule, data.start_timestamp - 60)
            context.instance.update_instigator_state(state.with_data(data))
    return SkipReason("turned back")


defs = Definitions(
    assets=[answer, twice, paint, tint, wanted, reported],
    asset_checks=[even],
    jobs=[nested, processes, endless, full_shelf, everything, define_asset_job("answer_job", "answer"), define_asset_job("paint_job", "paint")],
    schedules=[every_minute, new_year],
    sensors=[once, turn_back, counting, heard],
    executor=in_process_executor,
    resources={"note": Note(by=EnvVar("NOTE"))},
)
