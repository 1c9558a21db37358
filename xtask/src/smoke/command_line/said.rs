//! What commands are, what they say of an instance, and how that is looked at.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::home::Home;

/// The file that a run is exported to.
pub const EXPORT: &str = "run.gz";
/// The name of the socket that the code server listens on.
const SOCKET: &str = "code";
/// The revision of Alembic's before runs had a column for their backfill: that of Dagster 1.8.
pub const OLDER: &str = "284a732df317";
/// Runs, events, schedules.
pub const STORAGES: usize = 3;

/// Which revision a storage is expected to have.
#[derive(Clone, Copy)]
pub enum Revision {
    Older,
    Latest,
}

/// A command, by its words.
pub fn args(words: &[&str]) -> Value {
    json!({ "args": words })
}

/// What is typed into a command.
pub fn answered(mut step: Value, text: &str) -> Value {
    step["input"] = json!(text);
    step
}

/// A command, and files that are to be there once it has ended.
pub fn making(mut step: Value, files: &[String]) -> Value {
    step["makes"] = json!(files);
    step
}

/// The words for another command of the same package.
pub fn with(mut step: Value, command: &str) -> Value {
    step["command"] = json!(command);
    step
}

/// A server of the users' definitions, which goes on until all commands are done.
pub fn code_server(home: &Home) -> Value {
    let socket = home.sandbox.socket(SOCKET);
    let file = Definitions::Users.file();
    let words =
        ["api", "grpc", "--socket", &socket.to_string_lossy(), "-f", file].map(str::to_owned);
    json!({ "args": words, "socket": socket })
}

/// A command on what that server has: `before` and `after` are its words.
pub fn served(home: &Home, before: &[&str], after: &[&str]) -> Value {
    let socket = home.sandbox.socket(SOCKET);
    let socket = ["--grpc-socket", &socket.to_string_lossy()].map(str::to_owned);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let all = [words(before), socket.to_vec(), words(after)].concat();
    json!({ "args": all })
}

/// Checks that a command said a line.
pub fn check_said(what: &str, said: &str, expected: &str) -> Result<()> {
    if said.lines().any(|line| line.trim() == expected) {
        return Ok(());
    }
    bail!(Finding::new(
        format!("`dagster {what}`"),
        format!("`{expected}`"),
        format!("`{}`", said.trim())
    ))
}

/// Checks that there is something in what a command said.
pub fn check_has(what: &str, said: &str, expected: &str) -> Result<()> {
    if said.contains(expected) {
        return Ok(());
    }
    let found = said.trim().lines().last().unwrap_or_default();
    let what = format!("`dagster {what}`");
    bail!(Finding::new(what, format!("`{expected}`"), format!("`{found}` at its end")))
}

/// Checks the revision of each storage.
pub fn check_schema(what: &str, said: &str, expected: Revision) -> Result<()> {
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
