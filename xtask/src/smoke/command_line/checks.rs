//! What the commands of each probe are, and what they must have said and left.

use std::fs;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::home::Home;
use super::migrated;
use super::said::{OLDER, Revision, check_said, check_schema};

/// The file that a run is exported to.
pub const EXPORT: &str = "run.gz";
const PROJECT: &str = "my-project";
/// How a file of gzip begins (RFC 1952).
const GZIP: &[u8] = b"\x1f\x8b";

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
                databases(),
                json!({ "older": OLDER }),
                databases(),
                args(&["instance", "migrate"]),
                databases(),
                args(&["run", "list"]),
            ]
        },
        migrated::check,
    ),
];

fn args(words: &[&str]) -> Value {
    json!({ "args": words })
}

fn databases() -> Value {
    json!({ "databases": true })
}

fn list(what: &str) -> Value {
    args(&[what, "list", "-f", Definitions::Users.file()])
}

fn materialize_without_home() -> Value {
    let file = Definitions::Users.file();
    let args = ["asset", "materialize", "-f", file, "--select", "answer"];
    json!({ "args": args, "unset": "DAGSTER_HOME" })
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
