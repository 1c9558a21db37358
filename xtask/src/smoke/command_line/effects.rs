//! Commands that change an instance: what they leave in its databases is looked at, not only what
//! they say. They have a `$DAGSTER_HOME` of their own, to which the exported run is brought.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::super::api::words;
use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::home::Home;
use super::said::{EXPORT, args, check_has, served};

/// The other home.
const ELSEWHERE: &str = "elsewhere";
pub const RUNS: &str = "history/runs.db";
pub const EVENTS: &str = "history/runs/index.db";
pub const SCHEDULES: &str = "schedules/schedules.db";

const OF_ANSWER: &str = r#"SELECT count(*) > 0 FROM event_logs WHERE asset_key = '["answer"]'"#;
const OF_PAINT: &str = r#"SELECT "partition" FROM event_logs WHERE asset_key = '["paint"]'
    AND dagster_event_type = 'ASSET_MATERIALIZATION'"#;

/// Makes the other home. Its runs wait in a queue, as they would by themselves from 1.10 on.
pub fn prepare(home: &Home) -> Result<()> {
    let settings = "telemetry:\n  enabled: false\nrun_coordinator:\n  module: dagster\n  \
                    class: QueuedRunCoordinator\n";
    home.sandbox.write(&format!("{ELSEWHERE}/dagster.yaml"), settings)?;
    Ok(())
}

/// The same in the other home.
pub fn elsewhere(home: &Home, mut step: Value) -> Value {
    step["home"] = json!(home.sandbox.path(ELSEWHERE));
    step
}

/// A step that asks a database of a home: the rows of the last statement.
pub fn sql(database: &str, statements: &[&str]) -> Value {
    json!({ "sql": statements, "database": database })
}

/// The rows that were asked for.
fn rows(said: &str) -> Result<Value> {
    let line = said.lines().next().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("failed to read `{line}`"))
}

/// Checks the rows that were asked for.
pub fn check_rows(what: &str, said: &str, expected: &Value) -> Result<()> {
    let found = rows(said)?;
    if found == *expected {
        return Ok(());
    }
    bail!(Finding::new(what, format!("`{}`", words(expected)), format!("`{}`", words(&found))))
}

pub fn import(home: &Home) -> Vec<Value> {
    let events =
        sql(&format!("history/runs/{}.db", home.run), &["SELECT count(*) FROM event_logs"]);
    vec![
        elsewhere(home, args(&["debug", "import", EXPORT])),
        elsewhere(home, sql(RUNS, &["SELECT run_id, status FROM runs"])),
        events.clone(),
        elsewhere(home, events),
    ]
}

pub fn check_import(home: &Home, said: &[String]) -> Result<String> {
    let what = "runs after `dagster debug import`";
    check_rows(what, &said[1], &json!([[home.run, "SUCCESS"]]))?;
    let events = rows(&said[2])?;
    check_rows("events after `dagster debug import`", &said[3], &events)?;
    Ok(format!("the run and its {} events", words(&events[0][0])))
}

pub fn wipe(home: &Home) -> Vec<Value> {
    let events = elsewhere(home, sql(EVENTS, &[OF_ANSWER]));
    let wipe = args(&["asset", "wipe", "answer", "--noprompt"]);
    vec![events.clone(), elsewhere(home, wipe), events]
}

pub fn check_wipe(_: &Home, said: &[String]) -> Result<String> {
    check_rows("whether `answer` has events before `dagster asset wipe`", &said[0], &json!([[1]]))?;
    check_rows("whether `answer` has events after `dagster asset wipe`", &said[2], &json!([[0]]))?;
    Ok("no event of `answer` is left".to_owned())
}

pub fn materialize(home: &Home) -> Vec<Value> {
    let file = Definitions::Users.file();
    let words = ["asset", "materialize", "-f", file, "--select", "paint", "--partition", "red"];
    vec![elsewhere(home, args(&words)), elsewhere(home, sql(EVENTS, &[OF_PAINT]))]
}

pub fn check_materialize(home: &Home, said: &[String]) -> Result<String> {
    let what = "partitions of `paint` after `dagster asset materialize --partition red`";
    check_rows(what, &said[1], &json!([["red"]]))?;
    let file = "storage/paint/red";
    if !home.sandbox.path(ELSEWHERE).join(file).is_file() {
        bail!(Finding::new("`dagster asset materialize --partition red`", file, "no such file"));
    }
    Ok("`red` of `paint`".to_owned())
}

pub fn launch(home: &Home) -> Vec<Value> {
    let runs = sql(RUNS, &["SELECT status FROM runs WHERE pipeline_name = 'nested'"]);
    vec![
        elsewhere(home, served(home, &["job", "launch"], &["-j", "nested"])),
        elsewhere(home, runs),
    ]
}

pub fn check_launch(_: &Home, said: &[String]) -> Result<String> {
    let what = "runs of `nested` after `dagster job launch`";
    check_rows(what, &said[1], &json!([["QUEUED"]]))?;
    Ok("a run of `nested` is queued".to_owned())
}

pub fn backfill(home: &Home) -> Vec<Value> {
    let words = ["-j", "paint_job", "--partitions", "red", "--noprompt"];
    let runs =
        sql(RUNS, &["SELECT \"partition\", status FROM runs WHERE pipeline_name = 'paint_job'"]);
    vec![elsewhere(home, served(home, &["job", "backfill"], &words)), elsewhere(home, runs)]
}

pub fn check_backfill(_: &Home, said: &[String]) -> Result<String> {
    let what = "runs of `paint_job` after `dagster job backfill`";
    check_rows(what, &said[1], &json!([["red", "QUEUED"]]))?;
    Ok("a run of `paint_job` is queued".to_owned())
}

pub fn cursor(home: &Home) -> Vec<Value> {
    let query = r#"SELECT count(*) FROM instigators WHERE instigator_body LIKE '%"cursor": "5"%'"#;
    vec![
        elsewhere(home, served(home, &["sensor", "cursor"], &["once", "--set", "5"])),
        elsewhere(home, sql(SCHEDULES, &[query])),
    ]
}

pub fn check_cursor(_: &Home, said: &[String]) -> Result<String> {
    check_rows("sensors at `5` after `dagster sensor cursor --set 5`", &said[1], &json!([[1]]))?;
    Ok("is set".to_owned())
}

pub fn limit(home: &Home) -> Vec<Value> {
    let tell =
        |words: &[&str]| elsewhere(home, args(&[&["instance", "concurrency"], words].concat()));
    vec![tell(&["set", "pool", "2"]), tell(&["get", "--all"])]
}

pub fn check_limit(_: &Home, said: &[String]) -> Result<String> {
    check_has("instance concurrency get", &said[1], "\"pool\": 0 / 2 slots")?;
    Ok("of a pool is set".to_owned())
}

pub fn wipe_runs(home: &Home) -> Vec<Value> {
    let runs = elsewhere(home, sql(RUNS, &["SELECT count(*) > 0 FROM runs"]));
    vec![runs.clone(), elsewhere(home, args(&["run", "wipe", "--force"])), runs]
}

pub fn check_wiped_runs(_: &Home, said: &[String]) -> Result<String> {
    check_rows("whether there are runs before `dagster run wipe`", &said[0], &json!([[1]]))?;
    check_rows("whether there are runs after `dagster run wipe`", &said[2], &json!([[0]]))?;
    Ok("no run is left".to_owned())
}

pub fn schedule(home: &Home) -> Vec<Value> {
    instigator(home, "schedule", "every_minute")
}

pub fn sensor(home: &Home) -> Vec<Value> {
    instigator(home, "sensor", "once")
}

fn instigator(home: &Home, kind: &str, name: &str) -> Vec<Value> {
    let of_kind = format!("instigator_type = '{}'", kind.to_uppercase());
    let query = format!("SELECT status FROM instigators WHERE {of_kind}");
    let status = elsewhere(home, sql(SCHEDULES, &[&query]));
    let tell = |what: &str| elsewhere(home, served(home, &[kind, what], &[name]));
    vec![tell("start"), status.clone(), tell("stop"), status]
}

pub fn check_instigator(_: &Home, said: &[String]) -> Result<String> {
    check_rows("status after `start`", &said[1], &json!([["RUNNING"]]))?;
    check_rows("status after `stop`", &said[3], &json!([["STOPPED"]]))?;
    Ok("runs, and is stopped again".to_owned())
}

pub fn delete(home: &Home) -> Vec<Value> {
    let of_run = |table| format!("SELECT count(*) FROM {table} WHERE run_id = '{}'", home.run);
    vec![
        elsewhere(home, args(&["run", "delete", "--force", &home.run])),
        elsewhere(home, sql(RUNS, &[&of_run("runs")])),
        elsewhere(home, sql(EVENTS, &[&of_run("event_logs")])),
    ]
}

pub fn check_delete(_: &Home, said: &[String]) -> Result<String> {
    for (of, said) in [("runs", &said[1]), ("events", &said[2])] {
        check_rows(&format!("{of} after `dagster run delete`"), said, &json!([[0]]))?;
    }
    Ok("neither the run nor an event of it is left".to_owned())
}

/// A run that has no times is one of a Dagster that did not write them.
pub fn reindex(_: &Home) -> Vec<Value> {
    let forget = [
        "UPDATE runs SET start_time = NULL, end_time = NULL",
        "DELETE FROM secondary_indexes WHERE name LIKE 'run_start_end%'",
    ];
    let without = "SELECT count(*) FROM runs WHERE start_time IS NULL OR end_time IS NULL";
    vec![sql(RUNS, &forget), args(&["instance", "reindex"]), sql(RUNS, &[without])]
}

pub fn check_reindex(_: &Home, said: &[String]) -> Result<String> {
    check_rows("runs without times after `dagster instance reindex`", &said[2], &json!([[0]]))?;
    Ok("a run has its times again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared() {
        let check = |said| check_rows("rows", said, &json!([[1, "a"]])).map_err(|e| e.to_string());
        assert_eq!(check("[[1, \"a\"]]\na warning\n"), Ok(()));
        let found = check("[]").unwrap_err();
        assert_eq!(found, "rows: expected `[[1,\"a\"]]`, found `[]`");
        assert!(check("").unwrap_err().starts_with("failed to read ``"));
    }
}
