//! What people do with the web UI beside launching a run: each by its mutation, and then what came
//! of it. Everything is left as it was found, but for runs.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::words;
use super::super::probe::Finding;
use super::ui::{Launched, Ui};
use super::{asset, backfill, run, selector};

/// Things that are done one after the other.
type Act = fn(&Ui<'_>) -> Result<()>;

pub const ACTS: [Act; 8] = [
    concurrency_limit,
    backfills,
    schedule,
    sensor,
    reported_event,
    reported_check,
    dynamic_partition,
    settings,
];

const STATE: &str = "query ($selector: InstigationSelector!) { \
    instigationStateOrError(instigationSelector: $selector) { \
    ... on InstigationState { status typeSpecificData { ... on SensorData { lastCursor } } } \
    ... on Error { message } } }";
const STATUS: &str = "/instigationStateOrError/status";
const CURSOR: &str = "/instigationStateOrError/typeSpecificData/lastCursor";

const RUN: &str = "query ($id: ID!) { runOrError(runId: $id) { __typename \
    ... on Run { status parentRunId rootRunId stepKeysToExecute } } }";
const BACKFILL: &str = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { \
    ... on PartitionBackfill { status } ... on Error { message } } }";
const LIMIT: &str = "query ($key: String!) { instance { \
    concurrencyLimits { concurrencyKey } concurrencyLimit(concurrencyKey: $key) { slotCount } } }";
const PARTITIONS: &str = "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { \
    ... on AssetNode { partitionKeys } ... on AssetNotFoundError { message } } }";
const SETTINGS: &str = "query { shouldShowNux instance { autoMaterializePaused } }";
const REPORTED: &str = "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { \
    ... on AssetNode { assetMaterializations(limit: 1) { description } } \
    ... on AssetNotFoundError { message } } }";

/// The configuration of job `everything`, and what its run then says.
const CONFIG: &str = "ops: {configured: {config: {text: spoken}}}";
const SAID: &str = "the text is spoken";

/// Launches runs in every way; those that were launched, for they take their time.
pub fn launch(ui: &Ui<'_>) -> Vec<Result<Vec<Launched>>> {
    vec![configured(ui), several(ui), again(ui), from_failure(ui), one_step(ui)]
}

/// Sees what was launched, once it has ended, and takes a run away.
pub fn after(ui: &Ui<'_>, launched: &[Launched]) -> Result<()> {
    let of = |job: &str| launched.iter().find(|(what, ..)| *what == job).map(|(_, id, _)| id);
    if let Some(id) = of(CONFIGURED) {
        said(ui, id)?;
    }
    let Some(id) = of(SEVERAL) else { return Ok(()) };
    let values = json!({ "runId": id });
    if ui.send("deletePipelineRun", "DeletePipelineRunSuccess", &values)?.is_some() {
        let pointer = (RUN, "/runOrError/__typename");
        ui.see("run that was deleted", pointer, &json!({ "id": id }), &json!("RunNotFoundError"))?;
    }
    Ok(())
}

const CONFIGURED: &str = "`everything`, with a configuration";
const SEVERAL: &str = "`nested`, one of several";

/// `ExecutionParams` of a job, as the UI fills them in.
fn params(job: &str) -> Value {
    json!({
        "selector": selector::of(json!({ "pipelineName": job })),
        "runConfigData": "{}",
        "mode": "default",
        "executionMetadata": { "tags": [{ "key": "sent by", "value": "the gate" }] },
    })
}

fn configured(ui: &Ui<'_>) -> Result<Vec<Launched>> {
    let mut params = params("everything");
    params["runConfigData"] = json!(CONFIG);
    let values = json!({ "executionParams": params });
    let run = ui.send("launchPipelineExecution", "LaunchRunSuccess", &values)?;
    Ok(run.map(|run| (CONFIGURED, words(&run["run"]["id"]), "SUCCESS")).into_iter().collect())
}

/// Checks what a run says, whose op failed first, and what a hook of it does.
fn said(ui: &Ui<'_>, id: &str) -> Result<()> {
    let events = run::events(ui.server, id)?;
    let expected =
        ["ExecutionStepUpForRetryEvent", "ExecutionStepSuccessEvent", "HookCompletedEvent"];
    run::check_events(CONFIGURED, &events, &expected, "HookErroredEvent")?;
    if events.iter().any(|event| event["message"] == SAID) {
        return Ok(());
    }
    bail!(Finding::new(format!("events of {CONFIGURED}"), format!("`{SAID}`"), "nothing of it"))
}

fn several(ui: &Ui<'_>) -> Result<Vec<Launched>> {
    let values = json!({ "executionParamsList": [params("nested"), params("nested")] });
    let kind = "LaunchMultipleRunsResult";
    let Some(answer) = ui.send("launchMultipleRuns", kind, &values)? else {
        return Ok(Vec::new());
    };
    let results = answer["launchMultipleRunsResult"].as_array().map_or(&[][..], Vec::as_slice);
    let is_good = |result: &Value| result["__typename"] == "LaunchRunSuccess";
    if results.len() != 2 || !results.iter().all(is_good) {
        let found = format!("`{}`", words(&answer));
        bail!(Finding::new("runs that were launched together", "2", found));
    }
    Ok(results.iter().map(|run| (SEVERAL, words(&run["run"]["id"]), "SUCCESS")).collect())
}

/// Executes the run that succeeded once more.
fn again(ui: &Ui<'_>) -> Result<Vec<Launched>> {
    let parent = ui.subjects.succeeded;
    let params = json!({ "parentRunId": parent, "strategy": "ALL_STEPS" });
    let values = json!({ "reexecutionParams": params });
    reexecute(ui, "`processes`, executed again", &values, parent, "SUCCESS")
}

/// Executes what failed once more, which then fails again.
fn from_failure(ui: &Ui<'_>) -> Result<Vec<Launched>> {
    let parent = ui.subjects.failed;
    let params = json!({ "parentRunId": parent, "strategy": "FROM_FAILURE" });
    let values = json!({ "reexecutionParams": params });
    reexecute(ui, "`full_shelf`, executed from its failure", &values, parent, "FAILURE")
}

/// Executes a step of the run that succeeded once more.
fn one_step(ui: &Ui<'_>) -> Result<Vec<Launched>> {
    let parent = ui.subjects.succeeded;
    let mut params = params("processes");
    params["stepKeys"] = json!(["speak"]);
    params["executionMetadata"] = json!({
        "rootRunId": parent,
        "parentRunId": parent,
        "tags": [{ "key": "dagster/step_selection", "value": "speak" }],
    });
    let values = json!({ "executionParams": params });
    let launched = reexecute(ui, "`speak` of `processes`", &values, parent, "SUCCESS")?;
    if let [(_, id, _)] = &launched[..] {
        let pointer = (RUN, "/runOrError/stepKeysToExecute");
        ui.see("steps of a run of one step", pointer, &json!({ "id": id }), &json!(["speak"]))?;
    }
    Ok(launched)
}

fn reexecute(
    ui: &Ui<'_>,
    what: &'static str,
    values: &Value,
    parent: &str,
    status: &'static str,
) -> Result<Vec<Launched>> {
    let field = "launchPipelineReexecution";
    let Some(run) = ui.send(field, "LaunchRunSuccess", values)? else {
        return Ok(Vec::new());
    };
    let id = words(&run["run"]["id"]);
    let pointer = (RUN, "/runOrError/parentRunId");
    ui.see(&format!("parent of {what}"), pointer, &json!({ "id": id }), &json!(parent))?;
    Ok(vec![(what, id, status)])
}

fn concurrency_limit(ui: &Ui<'_>) -> Result<()> {
    let key = json!({ "key": "a pool" });
    let mut values = json!({ "concurrencyKey": "a pool", "limit": 2, "runId": ui.subjects.failed });
    for limit in [2, 3] {
        values["limit"] = json!(limit);
        if ui.send("setConcurrencyLimit", "true", &values)?.is_some() {
            let pointer = (LIMIT, "/instance/concurrencyLimit/slotCount");
            ui.see("limit of a pool that was set", pointer, &key, &json!(limit))?;
        }
    }
    ui.send("freeConcurrencySlots", "true", &values)?;
    if ui.send("deleteConcurrencyLimit", "true", &values)?.is_some() {
        let pointer = (LIMIT, "/instance/concurrencyLimits");
        ui.see("limits of pools, all deleted", pointer, &key, &json!([]))?;
    }
    Ok(())
}

/// One of a job, which is canceled before it does anything, goes on, and is canceled; and one more
/// of what is done already.
fn backfills(ui: &Ui<'_>) -> Result<()> {
    let kind = "LaunchBackfillSuccess";
    let job = json!({ "backfillParams": backfill::of_job("paint_job", &["red", "blue"]) });
    if let Some(launched) = ui.send("launchPartitionBackfill", kind, &job)? {
        let id = &launched["backfillId"];
        cancel(ui, id)?;
        let resume = ("resumePartitionBackfill", "ResumeBackfillSuccess");
        let goes_on = backfill_is("backfill that goes on", id, &["REQUESTED"]);
        tell(ui, resume, &json!({ "backfillId": id }), &goes_on)?;
        cancel(ui, id)?;
    }
    let params = json!({ "parentRunId": ui.subjects.backfill, "strategy": "ALL_STEPS" });
    let values = json!({ "reexecutionParams": params });
    if let Some(launched) = ui.send("reexecutePartitionBackfill", kind, &values)? {
        cancel(ui, &launched["backfillId"])?;
    }
    Ok(())
}

fn cancel(ui: &Ui<'_>, id: &Value) -> Result<()> {
    let cancel = ("cancelPartitionBackfill", "CancelBackfillSuccess");
    let is_canceled = backfill_is("backfill that was canceled", id, &["CANCELING", "CANCELED"]);
    tell(ui, cancel, &json!({ "backfillId": id }), &is_canceled)?;
    Ok(())
}

fn backfill_is(what: &str, id: &Value, expected: &'static [&'static str]) -> State {
    let pointer = (BACKFILL, "/partitionBackfillOrError/status");
    State { what: what.to_owned(), pointer, variables: json!({ "id": id }), expected }
}

fn schedule(ui: &Ui<'_>) -> Result<()> {
    let name = "new_year";
    let selected = selector::of(json!({ "scheduleName": name }));
    let mut values = json!({ "scheduleSelector": selected, "selectorData": selected });
    let kind = "ScheduleStateResult";
    let told = [("startSchedule", kind), ("stopRunningSchedule", kind), ("resetSchedule", kind)];
    switched(ui, name, told, "scheduleState", &mut values)?;
    values["timestamp"] = json!(NEW_YEAR);
    evaluated(ui, "scheduleDryRun", &values)
}

/// That of 2025, UTC, in seconds.
const NEW_YEAR: f64 = 1_735_689_600.0;

fn sensor(ui: &Ui<'_>) -> Result<()> {
    let name = "counting";
    let selected = selector::of(json!({ "sensorName": name }));
    let mut values =
        json!({ "sensorSelector": selected, "selectorData": selected, "cursor": "41" });
    let told = [
        ("startSensor", "Sensor"),
        ("stopSensor", "StopSensorMutationResult"),
        ("resetSensor", "Sensor"),
    ];
    switched(ui, name, told, "sensorState", &mut values)?;
    let is_set = instigator_is("cursor of a sensor".to_owned(), name, CURSOR, &["41"]);
    tell(ui, ("setSensorCursor", "Sensor"), &values, &is_set)?;
    evaluated(ui, "sensorDryRun", &values)
}

/// Turns a schedule or a sensor on and off, and on and back to what its code says: off. `state`:
/// where the answer has its state, whose id is added to the values.
fn switched(
    ui: &Ui<'_>,
    name: &str,
    [start, stop, reset]: [(&'static str, &str); 3],
    state: &str,
    values: &mut Value,
) -> Result<()> {
    let status = |expected| instigator_is(format!("status of `{name}`"), name, STATUS, expected);
    let (is_on, is_off) = (status(&["RUNNING"]), status(&["STOPPED"]));
    let Some(started) = tell(ui, start, values, &is_on)? else { return Ok(()) };
    values["id"] = started[state]["id"].clone();
    tell(ui, stop, values, &is_off)?;
    tell(ui, start, values, &is_on)?;
    tell(ui, reset, values, &is_off)?;
    Ok(())
}

/// How often something is told before it counts as not done.
const TIMES: usize = 3;

/// What a mutation leads to: what a query then finds, one of several texts.
struct State {
    what: String,
    pointer: (&'static str, &'static str),
    variables: Value,
    expected: &'static [&'static str],
}

/// Sends a mutation and sees what came of it. What the daemon writes at the end of a tick or a
/// round is what it read before, the status included, whatever was told in between
/// (`SensorLaunchContext._write`; seen once in 60 runs): another state is told once more. An error
/// is one at once.
fn tell(
    ui: &Ui<'_>,
    (field, kind): (&'static str, &str),
    values: &Value,
    state: &State,
) -> Result<Option<Value>> {
    let mut found = String::new();
    for _ in 0..TIMES {
        let Some(value) = ui.send(field, kind, values)? else { return Ok(None) };
        found = words(&ui.look(&state.what, state.pointer, &state.variables)?);
        if state.expected.contains(&found.as_str()) {
            return Ok(Some(value));
        }
    }
    let expected = format!("`{}`", state.expected.join("` or `"));
    bail!(Finding::new(state.what.clone(), expected, format!("`{found}`")))
}

/// A schedule's or a sensor's state.
fn instigator_is(
    what: String,
    name: &str,
    pointer: &'static str,
    expected: &'static [&'static str],
) -> State {
    let variables = json!({ "selector": selector::of(json!({ "name": name })) });
    State { what, pointer: (STATE, pointer), variables, expected }
}

/// Has a schedule or a sensor evaluated; it asks for a run with a tag.
fn evaluated(ui: &Ui<'_>, field: &'static str, values: &Value) -> Result<()> {
    let Some(tick) = ui.send(field, "DryRunInstigationTick", values)? else {
        return Ok(());
    };
    let asked = &tick["evaluationResult"]["runRequests"];
    if asked.as_array().is_some_and(|asked| asked.len() == 1) && words(asked).contains("asked by") {
        return Ok(());
    }
    let found = format!("`{}`", words(&tick["evaluationResult"]));
    bail!(Finding::new(format!("evaluation by `{field}`"), "one run with a tag", found))
}

fn reported_event(ui: &Ui<'_>) -> Result<()> {
    let key = json!({ "path": ["reported"] });
    let values = json!({ "eventParams": {
        "assetKey": key,
        "eventType": "ASSET_MATERIALIZATION",
        "description": "made elsewhere",
    } });
    let kind = "ReportRunlessAssetEventsSuccess";
    if ui.send("reportRunlessAssetEvents", kind, &values)?.is_none() {
        return Ok(());
    }
    let pointer = (REPORTED, "/assetNodeOrError/assetMaterializations/0/description");
    ui.see("event that was reported", pointer, &json!({ "key": key }), &json!("made elsewhere"))?;
    let values = json!({ "assetPartitionRanges": [{ "assetKey": key }] });
    if ui.send("wipeAssets", "AssetWipeSuccess", &values)?.is_none() {
        return Ok(());
    }
    asset::check_materialized(ui.server, "reported", None, None)
}

fn reported_check(ui: &Ui<'_>) -> Result<()> {
    let values = json!({ "eventParams": {
        "assetKey": { "path": ["answer"] },
        "checkName": "even",
        "passed": true,
    } });
    let kind = "ReportAssetCheckEvaluationsSuccess";
    ui.send("reportAssetCheckEvaluations", kind, &values).map(drop)
}

fn dynamic_partition(ui: &Ui<'_>) -> Result<()> {
    let values = json!({
        "partitionsDefName": "hues",
        "partitionKey": "teal",
        "partitionKeys": ["teal"],
        "repositorySelector": selector::of(json!({})),
    });
    let see = |what: &str, keys: Value| {
        let key = json!({ "key": { "path": ["tint"] } });
        ui.see(what, (PARTITIONS, "/assetNodeOrError/partitionKeys"), &key, &keys)
    };
    if ui.send("addDynamicPartition", "AddDynamicPartitionSuccess", &values)?.is_none() {
        return Ok(());
    }
    see("dynamic partitions, one added", json!(["teal"]))?;
    let kind = "DeleteDynamicPartitionsSuccess";
    if ui.send("deleteDynamicPartitions", kind, &values)?.is_some() {
        see("dynamic partitions, the one deleted", json!([]))?;
    }
    Ok(())
}

fn settings(ui: &Ui<'_>) -> Result<()> {
    let see = |what: &str, pointer: &str, value: bool| {
        ui.see(what, (SETTINGS, pointer), &json!({}), &json!(value))
    };
    for paused in [true, false] {
        // It answers with the setting.
        let (expected, values) = (paused.to_string(), json!({ "paused": paused }));
        if ui.send("setAutoMaterializePaused", &expected, &values)?.is_some() {
            see("pause of automation", "/instance/autoMaterializePaused", paused)?;
        }
    }
    if ui.send("setNuxSeen", "true", &json!({}))?.is_some() {
        see("`shouldShowNux`, once it was seen", "/shouldShowNux", false)?;
    }
    let values = json!({
        "action": "looked at", "metadata": "{}", "clientTime": "0", "clientId": "the gate",
    });
    ui.send("logTelemetry", "LogTelemetrySuccess", &values).map(drop)
}
