//! Runs: launched, followed to their end, terminated; their events and what they wrote.

use std::ops::ControlFlow;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask, ask_for, innermost, one_line, words};
use super::super::probe::Finding;
use super::super::server::Server;
use super::selector;
use super::wait::Wait;

const LAUNCH: &str = "mutation ($params: ExecutionParams!) { \
    launchPipelineExecution(executionParams: $params) { __typename \
    ... on LaunchRunSuccess { run { id } } \
    ... on RunConfigValidationInvalid { errors { message } } ... on Error { message } } }";
const STATUS: &str = "query ($id: ID!) { runOrError(runId: $id) { __typename \
    ... on Run { status } ... on Error { message } } }";
const RETRIES: &str = "query ($id: String!) { \
    runsOrError(filter: { tags: [{ key: \"dagster/parent_run_id\", value: $id }] }) { __typename \
    ... on Runs { results { runId } } ... on Error { message } } }";
const EVENTS: &str = "query ($id: ID!) { logsForRun(runId: $id) { __typename \
    ... on EventConnection { events { __typename ... on MessageEvent { message } \
    ... on LogsCapturedEvent { fileKey } \
    ... on AssetCheckEvaluationEvent { evaluation { checkName success } } \
    ... on ErrorEvent { error { message causes { message } } } } } ... on Error { message } } }";
const CAPTURED: &str = "query ($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }";
const TERMINATE: &str = "mutation ($ids: [String!]!) { \
    terminateRuns(runIds: $ids, terminatePolicy: SAFE_TERMINATE) { __typename \
    ... on TerminateRunsResult { terminateRunResults { __typename \
    ... on Error { message } ... on TerminateRunFailure { message } } } \
    ... on Error { message } } }";

/// The statuses that are an end.
const ENDS: [&str; 3] = ["SUCCESS", "FAILURE", "CANCELED"];

/// What is launched: a job by its name, one that may be tried once more where it fails, some
/// assets, or a partition of an asset.
pub enum Launch<'a> {
    Job(&'a str),
    JobWithRetry(&'a str),
    Assets(&'a [&'a str]),
    Partition(&'a str, &'a str),
}

impl Launch<'_> {
    /// `ExecutionParams`, as the UI fills them in.
    fn params(&self) -> Value {
        let tag = |key: &str, value: &str| json!([{ "key": key, "value": value }]);
        let (selected, tags) = match self {
            Self::Job(name) => (json!({ "pipelineName": name }), json!([])),
            Self::JobWithRetry(name) => {
                (json!({ "pipelineName": name }), tag("dagster/max_retries", "1"))
            }
            Self::Assets(names) => (of_assets(names), json!([])),
            Self::Partition(name, key) => (of_assets(&[name]), tag("dagster/partition", key)),
        };
        json!({
            "selector": selector::of(selected),
            "runConfigData": "{}",
            "mode": "default",
            "executionMetadata": { "tags": tags },
        })
    }
}

/// The job that all assets are in, and some of them.
fn of_assets(names: &[&str]) -> Value {
    let keys: Vec<Value> = names.iter().map(|name| json!({ "path": [name] })).collect();
    json!({ "pipelineName": "__ASSET_JOB", "assetSelection": keys })
}

/// Launches a run; its id.
pub fn launch(server: &Server, launch: &Launch<'_>) -> Result<String> {
    let params = json!({ "params": launch.params() });
    let asked = ("launchPipelineExecution", "LaunchRunSuccess");
    Ok(words(&ask_for(server, asked, LAUNCH, &params)?["run"]["id"]))
}

/// Waits for a run to have a status. One that ends with another says why.
pub fn follow(wait: &Wait<'_>, what: &str, id: &str, expected: &str) -> Result<()> {
    let what = format!("run of {what}");
    let expected_word = format!("`{expected}`");
    wait.until(&what, &expected_word, || {
        let run = ask_for(wait.server, ("runOrError", "Run"), STATUS, &json!({ "id": id }))?;
        let status = words(&run["status"]);
        if status == expected {
            return Ok(ControlFlow::Break(()));
        }
        if ENDS.contains(&status.as_str()) {
            let found = format!("`{status}`{}", reason(&events(wait.server, id)?));
            bail!(Finding::new(&what, &expected_word, found));
        }
        Ok(ControlFlow::Continue(format!("`{status}`")))
    })
}

/// Waits until a run that failed is executed once more by the daemon; the other run's id.
pub fn retry(wait: &Wait<'_>, what: &str, id: &str) -> Result<String> {
    wait.until(&format!("{what}, executed once more"), "a run", || {
        let found = ask_for(wait.server, ("runsOrError", "Runs"), RETRIES, &json!({ "id": id }))?;
        let others = found["results"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(match others.first() {
            Some(run) => ControlFlow::Break(words(&run["runId"])),
            None => ControlFlow::Continue("none".to_owned()),
        })
    })
}

/// The events of a run.
pub fn events(server: &Server, id: &str) -> Result<Vec<Value>> {
    let found = ask_for(server, ("logsForRun", "EventConnection"), EVENTS, &json!({ "id": id }))?;
    Ok(found["events"].as_array().cloned().unwrap_or_default())
}

/// Checks that the events of a run have all of some types among them, in their order, and none of
/// another.
pub fn check_events(
    what: &str,
    events: &[Value],
    expected: &[&str],
    unexpected: &str,
) -> Result<(), Finding> {
    let names: Vec<&str> = events.iter().filter_map(|event| event["__typename"].as_str()).collect();
    let mut rest = names.iter();
    let wrong = match expected.iter().find(|name| !rest.any(|found| found == *name)) {
        Some(missing) => format!("`{missing}`"),
        None if names.contains(&unexpected) => format!("no `{unexpected}`"),
        None => return Ok(()),
    };
    Err(Finding::new(format!("events of {what}"), wrong, names.join(" ")))
}

/// The key of what a step of a run wrote.
pub fn log_key(id: &str, events: &[Value]) -> Result<Vec<String>, Finding> {
    match events.iter().find_map(|event| event["fileKey"].as_str()) {
        Some(key) => Ok([id, "compute_logs", key].map(str::to_owned).to_vec()),
        None => {
            Err(Finding::new("captured logs", "`LogsCapturedEvent`", "no event with their key"))
        }
    }
}

/// What a step of a run wrote: stdout and stderr.
pub fn captured(server: &Server, id: &str, events: &[Value]) -> Result<[String; 2]> {
    let key = log_key(id, events)?;
    let logs = ask(server, "GraphQL `capturedLogs`", CAPTURED, &json!({ "key": key }))?;
    Ok(["stdout", "stderr"].map(|of| logs["capturedLogs"][of].as_str().unwrap_or_default().into()))
}

/// Terminates a run once a step of it says something, and waits for its end. What is terminated
/// before a step runs may hear nothing of it, and is being canceled for ever: that is Dagster's.
pub fn terminate(wait: &Wait<'_>, what: &str, id: &str, said: &str) -> Result<()> {
    follow(wait, what, id, "STARTED")?;
    wait.until(&format!("step of {what}"), &format!("`{said}`"), || {
        let events = events(wait.server, id)?;
        let has_said = events.iter().any(|event| event["message"] == said);
        Ok(if has_said {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(format!("{} events", events.len()))
        })
    })?;
    let asked = ("terminateRuns", "TerminateRunsResult");
    let results = ask_for(wait.server, asked, TERMINATE, &json!({ "ids": [id] }))?;
    let result = &results["terminateRunResults"][0];
    if result["__typename"] != "TerminateRunSuccess" {
        let found = format!("`{}`", words(result));
        bail!(Finding::new("GraphQL `terminateRuns`", "`TerminateRunSuccess`", found));
    }
    follow(&Wait::start(wait.server), what, id, "CANCELED")
}

/// The error of a step, by its innermost cause.
pub fn error(events: &[Value]) -> Option<String> {
    let error = events.iter().rev().find_map(|event| event.get("error").filter(is_error))?;
    Some(innermost(error))
}

fn is_error(error: &&Value) -> bool {
    error.is_object()
}

/// Why a run failed, to be added to a sentence.
fn reason(events: &[Value]) -> String {
    let message = || Some(one_line(&words(&events.last()?["message"])));
    error(events).or_else(message).map_or(String::new(), |reason| format!(": {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Value {
        json!({ "__typename": name, "message": format!("{name}.") })
    }

    #[test]
    fn events_come_in_their_order() {
        let events = ["A", "B", "C"].map(event);
        let check = |expected: &[&str], unexpected: &str| {
            check_events("x", &events, expected, unexpected).map_err(|finding| finding.to_string())
        };
        assert_eq!(check(&["A", "C"], "D"), Ok(()));
        let wrong = |name: &str| Err(format!("events of x: expected {name}, found A B C"));
        assert_eq!(check(&["C", "A"], "D"), wrong("`A`"));
        assert_eq!(check(&["A"], "B"), wrong("no `B`"));
    }

    #[test]
    fn the_innermost_cause_is_the_error() {
        let mut events = ["A", "B"].map(event);
        assert_eq!(reason(&events), ": B.");
        events[0]["error"] = json!({ "message": "outer", "causes": [{ "message": "in\nner\n" }] });
        assert_eq!(reason(&events), ": in ner");
        events[0]["error"]["causes"] = json!([]);
        assert_eq!(error(&events), Some("outer".to_owned()));
    }
}
