//! What cleans up when this program cannot: a process that waits for its end, however it comes.
//!
//! A pipe joins the two. When it closes without a word, this program was killed; the guard then
//! ends what it had started and removes its temporary files. On Linux it finds the processes by
//! their marks ([`descendants`]); elsewhere it removes the files only.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

use super::credentials;
use super::descendants::{self, Run};
use crate::interrupt::{self, Known};

/// The hidden command that a guard runs.
const COMMAND: &str = "guard";
const DONE: &str = "done";

/// Clean up after a process that was killed
#[derive(clap::Args)]
pub struct Args {
    /// The run of this program whose processes to end
    #[arg(value_parser = |text: &str| Run::parse(text).ok_or("expected PID-NUMBER"))]
    run: Run,
    /// The directories to remove
    dirs: Vec<PathBuf>,
}

/// A guard that watches over this program. Dropping it sends it away.
pub struct Guard {
    child: Child,
    _spared: Known,
}

impl Guard {
    /// Starts a guard over all processes of this program and some directories.
    pub fn start(dirs: &[&Path]) -> Result<Self> {
        let child = Command::new(credentials::this_program()?)
            .args([COMMAND, &Run::this().to_string()])
            .args(dirs)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a terminal's signals are not for it
            .spawn()
            .context("failed to start the process that cleans up")?;
        let spared = interrupt::Child::Spared(Pid::from_child(&child)).known();
        Ok(Self { child, _spared: spared })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            let _ = pipe.write_all(DONE.as_bytes());
        }
        let _ = self.child.wait();
    }
}

/// What the guard does.
pub fn run(args: &Args) -> Result<()> {
    let mut word = String::new();
    std::io::stdin().read_to_string(&mut word).context("failed to wait")?;
    if word == DONE {
        return Ok(());
    }
    descendants::end_run(args.run);
    let removed: Vec<Result<()>> = args.dirs.iter().map(|dir| remove(dir)).collect();
    removed.into_iter().collect()
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", dir.display()))
        }
        _ => Ok(()),
    }
}
