//! The one error type that the command line knows: what failed, how it ends the process, what to
//! do.
//!
//! Code anywhere returns `anyhow::Result`; where the exit code is not the plain 1, or a next step
//! is known, the error is a [`Failure`]. `report` prints a chain once, in the form
//!
//! ```text
//! error: failed to list tags of `dagster-io/dagster`
//!   Caused by: GitHub answered 403: rate limit exceeded until 14:20 UTC
//! hint: set `GITHUB_TOKEN`
//! ```

use std::fmt;

/// How a command ends when it does not end well. The number is the process's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The step failed and nothing was published.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A person must decide: drift, a moved tag, an unfinished upstream release.
    Decision = 3,
    /// Published in part: the same command again goes on.
    Partial = 4,
}

/// An error with an exit status and hints.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hints: Vec<String>,
    source: Option<anyhow::Error>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new(), source: None }
    }

    /// Exit status 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Exit status 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Exit status 3.
    pub fn decision(message: impl Into<String>) -> Self {
        Self::new(Exit::Decision, message)
    }

    /// Exit status 4.
    pub fn partial(message: impl Into<String>) -> Self {
        Self::new(Exit::Partial, message)
    }

    /// Adds a command or a fact that the reader can act on.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Sets what this failure comes from.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}

/// The exit status an error asks for: that of the outermost [`Failure`] in its chain, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    failures(error).next().map_or(Exit::Failed, |failure| failure.exit)
}

/// Prints an error chain to people: the message, its causes, the hints.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        text.push_str(&format!("  Caused by: {}\n", cause.trim_end().replace('\n', "\n    ")));
    }
    for hint in hints(error) {
        text.push_str(&format!("hint: {}\n", hint.replace('\n', "\n  ")));
    }
    text
}

/// The hints of an error chain, the outermost first.
pub fn hints(error: &anyhow::Error) -> impl Iterator<Item = &str> {
    failures(error).flat_map(|failure| &failure.hints).map(String::as_str)
}

fn failures(error: &anyhow::Error) -> impl Iterator<Item = &Failure> {
    error.chain().filter_map(|cause| cause.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_chain_is_printed_once_with_all_hints() {
        let inner = Failure::decision("tag `1.9.12` moved").hint("look at it");
        let error = Err::<(), _>(inner).context("failed to inspect `1.9.12`").unwrap_err();
        assert_eq!(exit_of(&error), Exit::Decision);
        assert_eq!(
            render(&error),
            "error: failed to inspect `1.9.12`\n  Caused by: tag `1.9.12` moved\nhint: look at it\n"
        );
        let outer = Failure::partial("published 1 of 2").caused_by(error).hint("again");
        assert_eq!(exit_of(&anyhow::Error::new(outer)), Exit::Partial);
    }

    #[test]
    fn a_plain_error_is_status_1() {
        assert_eq!(exit_of(&anyhow::anyhow!("no")), Exit::Failed);
    }
}
