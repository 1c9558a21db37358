//! Backfills: launched, and seen through by the daemon.

use std::ops::ControlFlow;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::api::{ask_for, one_line, words};
use super::super::probe::Finding;
use super::super::server::Server;
use super::run;
use super::selector;
use super::wait::Wait;

const LAUNCH: &str = "mutation ($params: LaunchBackfillParams!) { \
    launchPartitionBackfill(backfillParams: $params) { __typename \
    ... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }";
const STATUS: &str = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { \
    __typename ... on PartitionBackfill { status error { message } runs { id } } \
    ... on Error { message } } }";

/// `LaunchBackfillParams` for some partitions of an asset.
pub fn of_asset(asset: &str, partitions: &[&str]) -> Value {
    json!({
        "assetSelection": [{ "path": [asset] }],
        "partitionNames": partitions,
        "fromFailure": false,
        "tags": [],
    })
}

/// The same for some partitions of a job.
pub fn of_job(job: &str, partitions: &[&str]) -> Value {
    json!({
        "selector": {
            "partitionSetName": format!("{job}_partition_set"),
            "repositorySelector": selector::of(json!({})),
        },
        "partitionNames": partitions,
        "fromFailure": false,
        "tags": [],
    })
}

/// Launches a backfill; its id.
pub fn launch(server: &Server, params: &Value) -> Result<String> {
    let asked = ("launchPartitionBackfill", "LaunchBackfillSuccess");
    Ok(words(&ask_for(server, asked, LAUNCH, &json!({ "params": params }))?["backfillId"]))
}

/// Waits until a backfill has so many runs and each of them is a success.
pub fn follow_runs(wait: &Wait<'_>, id: &str, count: usize) -> Result<()> {
    let what = format!("runs of backfill `{id}`");
    let runs = wait.until(&what, &count.to_string(), || {
        let backfill = status(wait.server, id)?;
        let runs = backfill["runs"].as_array().cloned().unwrap_or_default();
        if runs.len() >= count {
            return Ok(ControlFlow::Break(runs));
        }
        check_going_on(&backfill, &what)?;
        Ok(ControlFlow::Continue(runs.len().to_string()))
    })?;
    runs.iter().try_for_each(|run| run::follow(wait, "a backfill", &words(&run["id"]), "SUCCESS"))
}

/// Waits for a backfill's success.
pub fn follow(wait: &Wait<'_>, id: &str) -> Result<()> {
    let what = format!("backfill `{id}`");
    wait.until(&what, "`COMPLETED_SUCCESS`", || {
        let backfill = status(wait.server, id)?;
        if backfill["status"] == "COMPLETED_SUCCESS" {
            return Ok(ControlFlow::Break(()));
        }
        check_going_on(&backfill, &what)?;
        Ok(ControlFlow::Continue(format!("`{}`", words(&backfill["status"]))))
    })
}

fn status(server: &Server, id: &str) -> Result<Value> {
    let asked = ("partitionBackfillOrError", "PartitionBackfill");
    ask_for(server, asked, STATUS, &json!({ "id": id }))
}

/// A backfill that neither goes on nor was completed well has failed, and says why.
fn check_going_on(backfill: &Value, what: &str) -> Result<(), Finding> {
    if ["REQUESTED", "COMPLETED_SUCCESS"].iter().any(|status| backfill["status"] == *status) {
        return Ok(());
    }
    let why = backfill["error"]["message"].as_str().map(one_line);
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let found = format!("`{}`{why}", words(&backfill["status"]));
    Err(Finding::new(what, "`COMPLETED_SUCCESS`", found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backfill_says_why_it_failed() {
        let check = |status: &str| {
            let backfill = json!({ "status": status, "error": { "message": "no\nmemory" } });
            check_going_on(&backfill, "x").map_err(|finding| finding.to_string())
        };
        assert_eq!(check("REQUESTED"), Ok(()));
        let failed = "x: expected `COMPLETED_SUCCESS`, found `FAILED`: no memory";
        assert_eq!(check("FAILED"), Err(failed.to_owned()));
    }
}
