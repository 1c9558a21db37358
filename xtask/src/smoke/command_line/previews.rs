//! Commands that say what would be: what is in a job, how it may be configured, what a schedule or
//! a sensor would do.

use anyhow::Result;
use serde_json::Value;

use super::super::definitions::Definitions;
use super::home::Home;
use super::said::{args, check_has, code_server, served};

pub fn of_job(_: &Home) -> Vec<Value> {
    let file = Definitions::Users.file();
    vec![
        args(&["job", "print", "-f", file, "-j", "nested"]),
        args(&["job", "scaffold_config", "-f", file, "-j", "everything"]),
    ]
}

pub fn check_job(_: &Home, said: &[String]) -> Result<String> {
    check_has("job print", &said[0], "Op: speak")?;
    check_has("job scaffold_config", &said[1], "speed: fast|slow")?;
    Ok("ops and a configuration".to_owned())
}

pub fn of_schedule(home: &Home) -> Vec<Value> {
    vec![served(home, &["schedule", "preview"], &[])]
}

pub fn check_schedule(_: &Home, said: &[String]) -> Result<String> {
    check_has("schedule preview", &said[0], "+ every_minute (add)")?;
    Ok("`every_minute` would be added".to_owned())
}

pub fn of_sensor(home: &Home) -> Vec<Value> {
    vec![served(home, &["sensor", "preview"], &["once"])]
}

pub fn check_sensor(_: &Home, said: &[String]) -> Result<String> {
    check_has("sensor preview", &said[0], "run requests for 1 run(s)")?;
    Ok("`once` would ask for a run".to_owned())
}

/// The server, and then whether it answers, as probes of a cluster ask.
pub fn of_server(home: &Home) -> Vec<Value> {
    let server = code_server(home);
    let socket = server["socket"].as_str().unwrap_or_default();
    vec![server.clone(), args(&["api", "grpc-health-check", "--socket", socket])]
}

pub fn check_server(_: &Home, said: &[String]) -> Result<String> {
    check_has("api grpc-health-check", &said[1], "gRPC connection successful")?;
    Ok("answers on a socket".to_owned())
}
