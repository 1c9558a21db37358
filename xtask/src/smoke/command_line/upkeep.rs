//! Commands that people look after an instance with: its heartbeats, its schedules' history, its
//! caches, and runs of a code location that has another name now. In the home of `effects`.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::probe::Finding;
use super::effects::{EVENTS, RUNS, SCHEDULES, check_rows, elsewhere, sql};
use super::home::Home;
use super::said::{answered, args, check_has, served, with};

const SCHEDULE: &str = "every_minute";
/// The label of a repository that is no more.
const FORMER: &str = "__repository__@former";

pub fn schedules(home: &Home) -> Vec<Value> {
    let status = "SELECT status FROM instigators WHERE instigator_type = 'SCHEDULE'";
    let rows = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM instigators)";
    let of_one = |what: &str| served(home, &["schedule", what], &[SCHEDULE]);
    let all = served(home, &["schedule", "restart"], &["--restart-all-running"]);
    [
        of_one("start"),
        of_one("restart"),
        all,
        sql(SCHEDULES, &[status]),
        of_one("logs"),
        args(&["schedule", "debug"]),
        answered(args(&["schedule", "wipe"]), "DELETE"),
        sql(SCHEDULES, &[rows]),
    ]
    .map(|step| elsewhere(home, step))
    .to_vec()
}

pub fn check_schedules(_: &Home, said: &[String]) -> Result<String> {
    check_has("schedule restart", &said[1], &format!("Restarted schedule {SCHEDULE}"))?;
    check_has("schedule restart", &said[2], "Restarted all running schedules")?;
    check_rows("status after `restart`", &said[3], &json!([["RUNNING"]]))?;
    check_has("schedule logs", &said[4], "DagsterDaemonScheduler")?;
    check_has("schedule debug", &said[5], "Scheduler Configuration")?;
    check_rows("states after `dagster schedule wipe`", &said[7], &json!([[0]]))?;
    Ok("is restarted, and wiped".to_owned())
}

pub fn heartbeats(home: &Home) -> Vec<Value> {
    let count = sql(RUNS, &["SELECT count(*) FROM daemon_heartbeats"]);
    let daemon = |words: &[&str]| with(args(words), "dagster-daemon");
    [
        daemon(&["debug", "heartbeat"]),
        daemon(&["debug", "heartbeat-dump"]),
        count.clone(),
        daemon(&["wipe"]),
        count,
    ]
    .map(|step| elsewhere(home, step))
    .to_vec()
}

pub fn check_heartbeats(_: &Home, said: &[String]) -> Result<String> {
    let value = |key: &str| said[0].lines().find_map(|line| line.strip_prefix(key));
    let (written, read) = (value("Written timestamp: "), value("Read timestamp: "));
    let is_there = said[1].lines().any(|line| line == "SENSOR");
    for (command, said, expected, is_good) in [
        ("heartbeat", &said[0], "to read what it wrote", written.is_some() && written == read),
        ("heartbeat-dump", &said[1], "`SENSOR`", is_there),
    ] {
        if !is_good {
            let found = said.trim().lines().collect::<Vec<_>>().join(", ");
            bail!(Finding::new(format!("`dagster-daemon debug {command}`"), expected, found));
        }
    }
    check_rows("heartbeats after `dagster-daemon debug heartbeat`", &said[2], &json!([[1]]))?;
    check_rows("heartbeats after `dagster-daemon wipe`", &said[4], &json!([[0]]))?;
    Ok("one is written, read, and wiped".to_owned())
}

pub fn cache(home: &Home) -> Vec<Value> {
    let count = "SELECT count(*) FROM asset_keys WHERE cached_status_data IS NOT NULL";
    let fill = r#"UPDATE asset_keys SET cached_status_data = '{}' WHERE asset_key = '["paint"]'"#;
    let wipe = ["asset", "wipe-partitions-status-cache", "--all", "--noprompt"];
    [sql(EVENTS, &[fill, count]), args(&wipe), sql(EVENTS, &[count])]
        .map(|step| elsewhere(home, step))
        .to_vec()
}

pub fn check_cache(_: &Home, said: &[String]) -> Result<String> {
    check_rows("assets with a cache, one of which was given one", &said[0], &json!([[1]]))?;
    let what = "assets with a cache after `dagster asset wipe-partitions-status-cache`";
    check_rows(what, &said[2], &json!([[0]]))?;
    Ok("of an asset is wiped".to_owned())
}

pub fn moved(home: &Home) -> Vec<Value> {
    let of_nested = "key = '.dagster/repository' AND \
                     run_id IN (SELECT run_id FROM runs WHERE pipeline_name = 'nested')";
    let rename = format!("UPDATE run_tags SET value = '{FORMER}' WHERE {of_nested}");
    let count = format!("SELECT count(*), sum(value = '{FORMER}') FROM run_tags WHERE {of_nested}");
    let migrate =
        served(home, &["run", "migrate-repository"], &["--from", FORMER, "--job", "nested"]);
    [sql(RUNS, &[&rename, &count]), answered(migrate, "MIGRATE"), sql(RUNS, &[&count])]
        .map(|step| elsewhere(home, step))
        .to_vec()
}

pub fn check_moved(_: &Home, said: &[String]) -> Result<String> {
    check_rows("runs of `nested`, and those of a former place", &said[0], &json!([[1, 1]]))?;
    let what = "the same after `dagster run migrate-repository`";
    check_rows(what, &said[2], &json!([[1, 0]]))?;
    Ok("a run belongs to the repository of now".to_owned())
}
