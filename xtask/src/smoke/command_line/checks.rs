//! What the commands of each probe are, and what they must have said and left.

use std::fs;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::home::Home;
use super::said::{
    EXPORT, OLDER, Revision, args, check_has, check_said, check_schema, making, served,
};
use super::{effects, migrated, previews, upkeep};

const PROJECT: &str = "my-project";
const LOCATION: &str = "my-location";
const WORKSPACE: &str = "workspace.yaml";
/// The names of its code locations.
const LOCATIONS: [&str; 3] = ["of_a_file", "of_a_module", "of_a_package"];
/// How a file of gzip begins (RFC 1952).
const GZIP: &[u8] = b"\x1f\x8b";

/// A probe: its name, what it runs, and how it looks at what came of that.
pub type Step = (&'static str, fn(&Home) -> Vec<Value>, fn(&Home, &[String]) -> Result<String>);

pub const STEPS: [Step; 31] = [
    ("instance info", |_| vec![args(&["instance", "info"])], check_info),
    ("run list", |_| vec![args(&["run", "list"])], check_runs),
    ("debug export", |home| vec![args(&["debug", "export", &home.run, EXPORT])], check_export),
    ("project scaffold", scaffold, check_project),
    ("workspace", |_| vec![args(&["definitions", "validate", "-w", WORKSPACE])], check_workspace),
    ("temporary instance", |_| vec![materialize_without_home()], check_temporary),
    ("job list", |_| vec![args(&["job", "list", "-m", "users"])], check_jobs),
    (
        "asset list",
        |_| vec![args(&["asset", "list", "-f", Definitions::Users.file()])],
        check_assets,
    ),
    ("job print", previews::of_job, previews::check_job),
    ("code server", previews::of_server, previews::check_server),
    ("schedule preview", previews::of_schedule, previews::check_schedule),
    ("sensor preview", previews::of_sensor, previews::check_sensor),
    ("schedule list", |home| vec![served(home, &["schedule", "list"], &[])], check_schedules),
    ("sensor list", |home| vec![served(home, &["sensor", "list"], &[])], check_sensors),
    ("debug import", effects::import, effects::check_import),
    ("asset wipe", effects::wipe, effects::check_wipe),
    ("asset materialize --partition", effects::materialize, effects::check_materialize),
    ("asset wipe-partitions-status-cache", upkeep::cache, upkeep::check_cache),
    ("job launch", effects::launch, effects::check_launch),
    ("run migrate-repository", upkeep::moved, upkeep::check_moved),
    ("job backfill", effects::backfill, effects::check_backfill),
    ("schedule start", effects::schedule, effects::check_instigator),
    ("sensor start", effects::sensor, effects::check_instigator),
    ("sensor cursor", effects::cursor, effects::check_cursor),
    ("schedule restart", upkeep::schedules, upkeep::check_schedules),
    ("daemon heartbeats", upkeep::heartbeats, upkeep::check_heartbeats),
    ("instance concurrency", effects::limit, effects::check_limit),
    ("run delete", effects::delete, effects::check_delete),
    ("run wipe", effects::wipe_runs, effects::check_wiped_runs),
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
    ("instance reindex", effects::reindex, effects::check_reindex),
];

/// Writes what the commands load, beside the users' definitions.
pub fn prepare(home: &Home) -> Result<()> {
    let file = Definitions::Users.file();
    let workspace = json!({ "load_from": [
        { "python_file": { "relative_path": file, "location_name": LOCATIONS[0] } },
        { "python_module": { "module_name": "users", "location_name": LOCATIONS[1] } },
        { "python_package": { "package_name": "users", "location_name": LOCATIONS[2] } },
    ] });
    // JSON is YAML.
    home.sandbox.write(WORKSPACE, &workspace.to_string())?;
    effects::prepare(home)
}

fn databases() -> Value {
    json!({ "databases": true })
}

fn scaffold(home: &Home) -> Vec<Value> {
    let mut validate = args(&["definitions", "validate"]);
    validate["cwd"] = json!(home.sandbox.path(PROJECT));
    let files = ["pyproject.toml", "my_project/definitions.py", "my_project_tests/__init__.py"];
    let files = files.map(|file| format!("{PROJECT}/{file}"));
    let of_location = format!("{LOCATION}/my_location/definitions.py");
    vec![
        making(args(&["project", "scaffold", "--name", PROJECT]), &files),
        validate,
        making(args(&["project", "scaffold-code-location", "--name", LOCATION]), &[of_location]),
        args(&["project", "list-examples"]),
    ]
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

fn check_project(_: &Home, said: &[String]) -> Result<String> {
    check_valid("definitions validate", &said[1], "my_project")?;
    check_has("project list-examples", &said[3], "* quickstart_")?;
    Ok(format!("`{PROJECT}`, which loads"))
}

fn check_workspace(_: &Home, said: &[String]) -> Result<String> {
    for location in LOCATIONS {
        check_valid("definitions validate -w", &said[0], location)?;
    }
    Ok("loads a file, a module and a package".to_owned())
}

/// Checks that a code location was found valid, in a log.
fn check_valid(what: &str, said: &str, location: &str) -> Result<()> {
    let expected = format!("Validation successful for code location {location}.");
    if said.contains(&expected) {
        return Ok(());
    }
    let found = format!("`{}`", said.trim());
    bail!(Finding::new(format!("`dagster {what}`"), format!("`{expected}`"), found))
}

fn check_jobs(_: &Home, said: &[String]) -> Result<String> {
    let jobs = ["answer_job", "endless", "full_shelf", "nested", "paint_job", "processes"];
    for job in jobs {
        check_said("job list", &said[0], &format!("Job: {job}"))?;
    }
    Ok(format!("{} jobs of a module", jobs.len()))
}

fn check_assets(_: &Home, said: &[String]) -> Result<String> {
    let assets = ["answer", "paint", "twice"];
    for asset in assets {
        check_said("asset list", &said[0], asset)?;
    }
    Ok(format!("{} assets", assets.len()))
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
