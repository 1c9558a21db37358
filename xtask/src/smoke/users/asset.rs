//! Assets: what was materialized of them, and wiping that.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask_for, words};
use super::super::probe::Finding;
use super::super::server::Server;

const MATERIALIZED: &str = "query ($key: AssetKeyInput!, $partitions: [String!]) { \
    assetNodeOrError(assetKey: $key) { __typename \
    ... on AssetNode { assetMaterializations(partitions: $partitions, limit: 1) { runId } } \
    ... on AssetNotFoundError { message } } }";
const WIPE: &str = "mutation ($ranges: [PartitionsByAssetSelector!]!) { \
    wipeAssets(assetPartitionRanges: $ranges) { __typename \
    ... on AssetWipeSuccess { assetPartitionRanges { assetKey { path } } } \
    ... on Error { message } } }";

/// Checks that the last materialization of an asset, or of a partition of it, is of a run; `None`:
/// that there is none.
pub fn check_materialized(
    server: &Server,
    asset: &str,
    partition: Option<&str>,
    run: Option<&str>,
) -> Result<()> {
    let variables =
        json!({ "key": { "path": [asset] }, "partitions": partition.map(|key| vec![key]) });
    let node = ask_for(server, ("assetNodeOrError", "AssetNode"), MATERIALIZED, &variables)?;
    let found = node["assetMaterializations"].get(0).map(|last| words(&last["runId"]));
    if found.as_deref() == run {
        return Ok(());
    }
    let say =
        |run: Option<&str>| run.map_or("none".to_owned(), |run| format!("one of run `{run}`"));
    let partition = partition.map(|key| format!(" in `{key}`")).unwrap_or_default();
    let what = format!("materialization of `{asset}`{partition}");
    bail!(Finding::new(what, say(run), say(found.as_deref())))
}

/// Checks that a check of an asset passed in a run, by the run's events.
pub fn check_evaluated(check: &str, events: &[Value]) -> Result<()> {
    let is_of = |event: &&Value| event["evaluation"]["checkName"] == check;
    let found = events.iter().rev().find(is_of).map(|event| &event["evaluation"]);
    if found.is_some_and(|found| found["success"] == true) {
        return Ok(());
    }
    let found = found.map_or("none".to_owned(), |found| format!("`{}`", words(found)));
    bail!(Finding::new(format!("evaluation of asset check `{check}`"), "a success", found))
}

/// Wipes an asset; then nothing of it is materialized.
pub fn wipe(server: &Server, asset: &str) -> Result<()> {
    let variables = json!({ "ranges": [{ "assetKey": { "path": [asset] } }] });
    ask_for(server, ("wipeAssets", "AssetWipeSuccess"), WIPE, &variables)?;
    check_materialized(server, asset, None, None)
}
