//! A `$DAGSTER_HOME` with a run in it, and what commands on it said.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::super::api::words;
use super::super::probe::Finding;
use super::super::sandbox::{Sandbox, ended_badly};
use crate::tools::process::{Ended, stderr_of, stdout_of};

/// The length of a run's id.
const UUID: usize = 36;

/// A home with a run in it.
pub struct Home {
    pub sandbox: Sandbox,
    /// The run's id.
    pub run: String,
}

/// What came of one command.
#[derive(Deserialize)]
pub struct Done {
    status: i32,
    pub seconds: f64,
}

impl Home {
    /// That of a sandbox in which a job was executed.
    pub fn after_run(sandbox: Sandbox) -> Result<Self> {
        let dir = sandbox.path("dagster/history/runs");
        let run = fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .find(|name| name.len() == UUID);
        match run {
            Some(run) => Ok(Self { sandbox, run }),
            None => bail!(Finding::new(format!("`{}`", dir.display()), "a run's events", "none")),
        }
    }

    /// Where a command of a probe writes.
    pub fn log(&self, name: &str, at: usize) -> PathBuf {
        self.sandbox.path("log").join(format!("{}-{at}", name.replace(' ', "-")))
    }

    /// What the commands of a probe said; each must have ended well, and have made its files: what
    /// comes after it may fail for want of them. `otherwise`: what the one did that has not ended.
    pub fn said(
        &self,
        name: &str,
        commands: &[Value],
        done: &[Done],
        otherwise: &str,
    ) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for (at, command) in commands.iter().enumerate() {
            let what = match command["args"].as_array() {
                Some(args) => {
                    let program = command["command"].as_str().unwrap_or("dagster");
                    let args = args.iter().take(2).map(words).collect::<Vec<_>>().join(" ");
                    format!("`{program} {args}`")
                }
                None if command["older"].is_string() => "undoing migrations".to_owned(),
                None => "asking the databases".to_owned(),
            };
            let Some(done) = done.get(at) else {
                bail!(Finding::new(what, "an end", otherwise));
            };
            let log = self.log(name, at);
            let read = |path: PathBuf| {
                let failed = || format!("failed to read `{}`", path.display());
                fs::read(&path)
                    .map(|text| String::from_utf8_lossy(&text).into_owned())
                    .with_context(failed)
            };
            let ended = Ended {
                status: ExitStatus::from_raw(done.status << 8),
                stdout: read(stdout_of(&log))?,
                stderr: read(stderr_of(&log))?,
            };
            if !ended.status.success() {
                bail!(Finding::new(what, "status 0", ended_badly(&ended)));
            }
            let mut made = command["makes"].as_array().into_iter().flatten().map(words);
            if let Some(file) = made.find(|file| !self.sandbox.path(file).is_file()) {
                bail!(Finding::new(what, format!("`{file}`"), "no such file"));
            }
            said.push(format!("{}\n{}", ended.stdout, ended.stderr));
        }
        Ok(said)
    }
}
