//! `sandbox-exec`. No check of this repository runs on macOS, so this is written and not tested;
//! the isolation probe tells on the first machine that has it.
//!
//! The profile refuses what people have, rather than everything but a list: directories of users,
//! temporary files, processes, the network. In a profile the last rule that matches counts.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;

use anyhow::Result;

use super::access::{Access, Area, Enforced};

const SANDBOX_EXEC: &str = "/usr/bin/sandbox-exec";

const REFUSED: &str = r#"(version 1)
(allow default)
(deny file-read-data (subpath "/Users") (subpath "/private/tmp") (subpath "/private/var/tmp")
    (subpath "/private/var/folders") (subpath "/Volumes"))
(deny file-write*)
(deny process-info*)
(deny signal)
(deny network*)
(allow process-info* (target same-sandbox))
(allow signal (target same-sandbox))
(allow network* (local ip "localhost:*") (remote ip "localhost:*"))
(allow file-write* (literal "/dev/null") (literal "/dev/zero"))
"#;

/// A command for [`spawn`].
pub fn command(program: &Path, access: &Access) -> Command {
    if !is_there() {
        return Command::new(program);
    }
    let mut command = Command::new(SANDBOX_EXEC);
    command.arg("-p").arg(profile(access)).arg(program);
    command
}

/// Starts a command that reaches no more than it may.
pub fn spawn(command: &mut Command, _: &Access) -> Result<Child> {
    Ok(command.spawn()?)
}

/// What this system enforces.
pub fn enforced() -> Result<&'static Enforced> {
    static ENFORCED: OnceLock<Enforced> = OnceLock::new();
    Ok(ENFORCED.get_or_init(|| match is_there() {
        true => Enforced {
            by: vec!["sandbox-exec".to_owned()],
            areas: Area::ALL.into_iter().filter(|area| *area != Area::Tcp).collect(),
        },
        false => Enforced { by: Vec::new(), areas: Default::default() },
    }))
}

fn is_there() -> bool {
    Path::new(SANDBOX_EXEC).exists()
}

fn profile(access: &Access) -> String {
    let read = access.read.iter().map(|path| format!("(allow file-read* {})\n", below(path)));
    let write = access.write.iter().map(|path| {
        let below = below(path);
        format!(
            "(allow file-read* file-write* {below})\n\
             (allow network* (local unix-socket {below}) (remote unix-socket {below}))\n"
        )
    });
    std::iter::once(REFUSED.to_owned()).chain(read).chain(write).collect()
}

/// What is below a path, links resolved, as a profile has it.
fn below(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = path.display().to_string().replace('\\', r"\\").replace('"', "\\\"");
    format!("(subpath \"{path}\")")
}
