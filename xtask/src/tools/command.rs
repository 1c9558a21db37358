//! Outside programs run to their end, with their words kept for the error.

use anyhow::{Context as _, Result};
use xshell::Cmd;

use super::credentials;
use crate::failure::Failure;

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// `None`: ended by a signal.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    /// The status in words, as `status 1`.
    pub fn status_text(&self) -> String {
        self.status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"))
    }
}

/// Runs a command to its end whatever its status, without a credential in its environment but
/// those that an address holds.
pub fn output(cmd: Cmd<'_>) -> Result<Output> {
    let text = cmd.to_string();
    let cmd = credentials::settings().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    let output = cmd
        .quiet()
        .ignore_status()
        .env("LC_ALL", "C.UTF-8")
        .output()
        .with_context(|| format!("failed to run `{text}`"))?;
    Ok(Output {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a command that must succeed and returns its stdout without the trailing newline.
pub fn read(cmd: Cmd<'_>) -> Result<String> {
    let text = cmd.to_string();
    let output = output(cmd)?;
    if !output.success() {
        let error = Failure::failed(format!("`{text}` exited with {}", output.status_text()));
        let words = output.stderr.trim();
        return Err(match words {
            "" => error.into(),
            words => error.caused_by(anyhow::anyhow!("{words}")).into(),
        });
    }
    Ok(output.stdout.trim_end().to_owned())
}
