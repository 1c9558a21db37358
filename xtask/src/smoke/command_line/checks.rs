//! What the commands of each probe are, and what they must have said and left.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::home::Home;

/// The file that a run is exported to.
pub const EXPORT: &str = "run.gz";
const PROJECT: &str = "my-project";
/// The revision of Alembic's before runs had a column for their backfill: that of Dagster 1.8.
const OLDER: &str = "284a732df317";
/// How a file of gzip begins (RFC 1952).
const GZIP: &[u8] = b"\x1f\x8b";

/// Runs, events, schedules.
const STORAGES: usize = 3;

#[derive(Clone, Copy)]
enum Revision {
    Older,
    Latest,
}

/// A probe: its name, what it runs, and how it looks at what came of that.
pub type Step = (&'static str, fn(&Home) -> Vec<Value>, fn(&Home, &[String]) -> Result<String>);

pub const STEPS: [Step; 8] = [
    ("instance info", |_| vec![args(&["instance", "info"])], check_info),
    ("run list", |_| vec![args(&["run", "list"])], check_runs),
    ("debug export", |home| vec![args(&["debug", "export", &home.run, EXPORT])], check_export),
    (
        "project scaffold",
        |_| vec![args(&["project", "scaffold", "--name", PROJECT])],
        check_project,
    ),
    ("temporary instance", |_| vec![materialize_without_home()], check_temporary),
    ("schedule list", |_| vec![list("schedule")], check_schedules),
    ("sensor list", |_| vec![list("sensor")], check_sensors),
    (
        "instance migrate",
        |_| {
            vec![
                json!({ "older": OLDER }),
                revisions(),
                args(&["instance", "migrate"]),
                revisions(),
                args(&["run", "list"]),
            ]
        },
        check_migrated,
    ),
];

fn args(words: &[&str]) -> Value {
    json!({ "args": words })
}

fn revisions() -> Value {
    json!({ "revisions": true })
}

fn list(what: &str) -> Value {
    args(&[what, "list", "-f", Definitions::Users.file()])
}

fn materialize_without_home() -> Value {
    let file = Definitions::Users.file();
    let args = ["asset", "materialize", "-f", file, "--select", "answer"];
    json!({ "args": args, "unset": "DAGSTER_HOME" })
}

/// Checks that a command said something.
fn check_said(what: &str, said: &str, expected: &str) -> Result<()> {
    if said.lines().any(|line| line.trim() == expected) {
        return Ok(());
    }
    bail!(Finding::new(
        format!("`dagster {what}`"),
        format!("`{expected}`"),
        format!("`{}`", said.trim())
    ))
}

fn check_info(home: &Home, said: &[String]) -> Result<String> {
    let dir = home.sandbox.path("dagster");
    check_said("instance info", &said[0], &format!("$DAGSTER_HOME: {}", dir.display()))?;
    check_schema("instance info", &said[0], Revision::Latest)?;
    Ok("its home, and a schema that is the latest".to_owned())
}

fn check_runs(home: &Home, said: &[String]) -> Result<String> {
    check_said("run list", &said[0], &format!("Run: {}", home.run))?;
    check_said("run list", &said[0], "Job: answer_job")?;
    Ok("the run of `answer_job`".to_owned())
}

fn check_export(home: &Home, _: &[String]) -> Result<String> {
    let file = home.sandbox.path(EXPORT);
    match fs::read(&file) {
        Ok(bytes) if bytes.starts_with(GZIP) => Ok(format!("{} bytes", bytes.len())),
        Ok(_) => bail!(Finding::new(format!("`{EXPORT}`"), "a file of gzip", "another")),
        Err(error) => bail!(Finding::new(format!("`{EXPORT}`"), "a file", error.to_string())),
    }
}

fn check_project(home: &Home, _: &[String]) -> Result<String> {
    for file in ["pyproject.toml", "my_project/definitions.py", "my_project_tests/__init__.py"] {
        let file = format!("{PROJECT}/{file}");
        if !home.sandbox.path(&file).is_file() {
            bail!(Finding::new("`dagster project scaffold`", format!("`{file}`"), "no such file"));
        }
    }
    Ok(format!("`{PROJECT}`"))
}

fn check_temporary(_: &Home, said: &[String]) -> Result<String> {
    if said[0].contains("RUN_SUCCESS") {
        return Ok("a run without `$DAGSTER_HOME`".to_owned());
    }
    let found = said[0].lines().last().unwrap_or_default();
    let what = "`dagster asset materialize` without `$DAGSTER_HOME`";
    bail!(Finding::new(what, "`RUN_SUCCESS`", format!("`{found}`")))
}

fn check_schedules(_: &Home, said: &[String]) -> Result<String> {
    check_said("schedule list", &said[0], "Schedule: every_minute [STOPPED]")?;
    Ok("`every_minute`".to_owned())
}

fn check_sensors(_: &Home, said: &[String]) -> Result<String> {
    check_said("sensor list", &said[0], "Sensor: once [STOPPED]")?;
    Ok("`once`".to_owned())
}

fn check_migrated(home: &Home, said: &[String]) -> Result<String> {
    let [_, older, migrated, newer, runs] = said else {
        bail!("expected 5 outputs, found {}", said.len())
    };
    let Some((before, after)) = migrated.split_once("Running migration:") else {
        let found = format!("`{}`", migrated.trim());
        bail!(Finding::new("`dagster instance migrate`", "`Running migration:`", found));
    };
    check_schema("instance migrate", before, Revision::Older)?;
    check_schema("instance migrate", after, Revision::Latest)?;
    let latest = after.lines().find_map(|line| line.trim().strip_prefix("latest: "));
    let count = check_databases("before", older, OLDER)?;
    check_databases("after", newer, latest.unwrap_or_default())?;
    check_said("run list", runs, &format!("Run: {}", home.run))?;
    Ok(format!("{count} databases from {OLDER}, and the run is still listed"))
}

/// Checks what the databases say themselves of their revisions; says how many there are.
fn check_databases(when: &str, said: &str, expected: &str) -> Result<usize> {
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let found: BTreeMap<String, String> = serde_json::from_str(line)?;
    let what = format!("databases {when} `dagster instance migrate`");
    if found.len() < STORAGES {
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        bail!(Finding::new(what, format!("at least {STORAGES}"), format!("`{}`", names.join(" "))));
    }
    let other = found.iter().filter(|(_, revision)| *revision != expected);
    let other: Vec<String> = other.map(|(file, revision)| format!("{file}: {revision}")).collect();
    if !other.is_empty() {
        bail!(Finding::new(what, format!("`{expected}`"), format!("`{}`", other.join(", "))));
    }
    Ok(found.len())
}

/// Checks the revision of each storage.
fn check_schema(what: &str, said: &str, expected: Revision) -> Result<()> {
    let values = |key: &str| -> Vec<&str> {
        said.lines().filter_map(|line| line.trim().strip_prefix(key)).collect()
    };
    let (current, latest) = (values("current: "), values("latest: "));
    let is_good = current.len() == STORAGES
        && match expected {
            Revision::Older => current.iter().all(|revision| *revision == OLDER),
            Revision::Latest => current == latest,
        };
    if is_good {
        return Ok(());
    }
    let expected = match expected {
        Revision::Older => format!("`{OLDER}` for each storage"),
        Revision::Latest => format!("`{}`", latest.join(" ")),
    };
    let found = format!("`{}`", current.join(" "));
    bail!(Finding::new(format!("schema in `dagster {what}`"), expected, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_is_migrated() {
        let check = |said: &str| {
            let said = format!("{said}\na warning\n");
            check_databases("after", &said, "b").map_err(|finding| finding.to_string())
        };
        assert_eq!(check(r#"{"i.db": "b", "r.db": "b", "s.db": "b"}"#).unwrap(), 3);
        let found = check(r#"{"i.db": "b", "r.db": "a", "s.db": ""}"#).unwrap_err();
        let what = "databases after `dagster instance migrate`";
        assert_eq!(found, format!("{what}: expected `b`, found `r.db: a, s.db: `"));
        let found = check(r#"{"i.db": "b"}"#).unwrap_err();
        assert_eq!(found, format!("{what}: expected at least 3, found `i.db`"));
    }

    #[test]
    fn each_storage_has_its_revision() {
        let say = |current: [&str; 3]| {
            let lines = current.map(|revision| format!("  current: {revision}\n  latest: b\n"));
            lines.join("\n")
        };
        let check = |said: &str, expected| {
            check_schema("x", said, expected).map_err(|finding| finding.to_string())
        };
        assert_eq!(check(&say(["b", "b", "b"]), Revision::Latest), Ok(()));
        assert_eq!(check(&say([OLDER, OLDER, OLDER]), Revision::Older), Ok(()));
        let wrong = |expected: &str, found: &str| {
            Err(format!("schema in `dagster x`: expected {expected}, found `{found}`"))
        };
        assert_eq!(check(&say(["b", "a", "b"]), Revision::Latest), wrong("`b b b`", "b a b"));
        assert_eq!(check("", Revision::Latest), wrong("``", ""));
        let expected = format!("`{OLDER}` for each storage");
        assert_eq!(check(&say(["b", "b", "b"]), Revision::Older), wrong(&expected, "b b b"));
    }
}
