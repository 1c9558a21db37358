//! Nix as an evaluator of a nixpkgs: `nix-instantiate --eval`, the only program of Nix that is run.
//!
//! Nothing is built and nothing is written but below a directory of its own: a private store, which
//! holds what Nix fetches, and no configuration of the user's. The environment is built up, so no
//! credential is in it. What is asked goes in as one JSON text, never as Nix code; `nix/audit.nix`
//! answers it, over whatever function of `system` it is given.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tempfile::TempDir;
use xshell::{Shell, cmd};

use super::command::{self, Output};
use crate::failure::Failure;
use crate::interrupt;
use crate::model::audit::{Answers, Question, Source, Why};

const PROGRAM: &str = "nix-instantiate";

/// Nothing is fetched from a cache or built, and the host's own settings of these do not matter.
const CONFIGURATION: &str = "\
substituters =
build-users-group =
sandbox = false
access-tokens =
allow-import-from-derivation = false
";

/// What Nix needs of the user's environment: how programs, certificates and proxies are found.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "TMPDIR",
    "NIX_SSL_CERT_FILE",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// A Nix with a store of its own, gone with the value.
pub struct Nix {
    sh: Shell,
    dir: PathBuf,
    expression: PathBuf,
    temporary: TempDir,
}

impl Drop for Nix {
    /// What Nix puts into a store cannot be removed before it is made writable.
    fn drop(&mut self) {
        make_writable(self.temporary.path());
    }
}

fn make_writable(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// A question with the one thing whose words are wanted, or none.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(flatten)]
    question: &'a Question,
    why: Option<&'a Why>,
}

impl Nix {
    /// # Errors
    /// Status 1 where Nix is not installed or does not run.
    pub fn new() -> Result<Self> {
        let sh = Shell::new()?;
        let version = command::read(cmd!(sh, "{PROGRAM} --version"));
        version.map_err(|error| {
            Failure::failed(format!("expected Nix on this machine: `{PROGRAM}` does not run"))
                .caused_by(error)
                .hint("install it, for example with `apt-get install nix-bin`")
        })?;
        let temporary = tempfile::Builder::new().prefix("dagster-nix-").tempdir()?;
        // Nix refuses a store below a symbolic link.
        let dir = temporary.path().canonicalize()?;
        let expression = dir.join("audit.nix");
        sh.write_file(&expression, include_str!("nix/audit.nix"))?;
        Ok(Self { sh, dir, expression, temporary })
    }

    /// What a nixpkgs says, in one evaluation.
    ///
    /// # Errors
    /// Status 1, with Nix's words, when it cannot be fetched, read or evaluated.
    pub fn ask(&self, question: &Question) -> Result<Answers> {
        if let Source::Path(path) = &question.source {
            anyhow::ensure!(path.exists(), no_nixpkgs(&question.source));
        }
        let output = self.evaluate(&Asked { question, why: None })?;
        interrupt::check()?;
        if !output.success() {
            let error = Failure::failed(format!("failed to evaluate `{}`", question.source));
            return Err(error
                .caused_by(anyhow::anyhow!("{}", shown(&output.stderr)))
                .hint("`--nixpkgs` takes another: a path, `channel:NAME` or an archive's address")
                .into());
        }
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("failed to read what `{PROGRAM}` answered"))
    }

    /// The words of one thing that nixpkgs refuses; `None` if it does not after all.
    ///
    /// # Errors
    /// When Nix does not run.
    pub fn why(&self, question: &Question, why: &Why) -> Result<Option<String>> {
        let output = self.evaluate(&Asked { question, why: Some(why) })?;
        interrupt::check()?;
        let words = (!output.success()).then(|| cause(&output.stderr)).flatten();
        Ok(words.map(|words| without_store(&words, &self.dir.join("store").display().to_string())))
    }

    fn evaluate(&self, asked: &Asked<'_>) -> Result<Output> {
        let (sh, expression) = (&self.sh, &self.expression);
        let question = serde_json::to_string(asked)?;
        let inside = |name: &str| self.dir.join(name);
        let mut command =
            cmd!(sh, "{PROGRAM} --eval --strict --json {expression} --argstr question {question}")
                .env_clear()
                .env("HOME", inside("home"))
                .env("XDG_CACHE_HOME", inside("cache"))
                .env("NIX_STORE_DIR", inside("store"))
                .env("NIX_STATE_DIR", inside("var"))
                .env("NIX_LOG_DIR", inside("log"))
                .env("NIX_CONFIG", CONFIGURATION)
                .env("NIX_USER_CONF_FILES", "")
                .env("NIX_REMOTE", "")
                .env("NIX_PATH", "");
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command = command.env(name, value);
            }
        }
        command::output(command)
    }
}

fn no_nixpkgs(source: &Source) -> Failure {
    Failure::failed(format!("expected a nixpkgs at `{source}`, found nothing"))
        .hint("`--nixpkgs` takes a path, `channel:NAME` or an archive's address")
}

/// The last error in what Nix said: newer ones put a trace before it, older ones behind it.
fn cause(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let at = lines.iter().rposition(|line| {
        line.strip_prefix("error:").is_some_and(|words| !words.trim().is_empty())
    })?;
    let first = lines[at].trim_start_matches("error:").trim();
    let rest = lines[at + 1..].iter().take_while(|line| {
        !line.is_empty() && !line.starts_with("at ") && !line.starts_with("(use ")
    });
    let words: Vec<&str> = std::iter::once(first).chain(rest.copied()).collect();
    Some(words.join(" "))
}

/// Paths in a store that is gone soon are of no use: `pkgs/x.nix` for `STORE/…-source/pkgs/x.nix`.
fn without_store(words: &str, store: &str) -> String {
    let store = format!("{store}/");
    let mut parts = words.split(&store);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.split_once('/').map_or(part, |(_, inside)| inside);
    }
    text
}

/// The end of what Nix said, where the cause is, without what it says of its trace.
fn shown(said: &str) -> String {
    cause(said).unwrap_or_else(|| {
        let lines: Vec<&str> = said.trim().lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_last_error() {
        let old = "error: attribute 'a' missing\n\n       at /x.nix:1:1:\n\n            1| a\n";
        let new = "warning: x\nerror:\n       … while calling the 'throw' builtin\n         at \
                   /x.nix:1:1:\n\n       error: one\n       two\n       at /y.nix:1:1\n";
        for (said, expected) in [
            ("error: nixpkgs dropped it.\n\n       at /x.nix:1:1:\n", Some("nixpkgs dropped it.")),
            (old, Some("attribute 'a' missing")), // of 2.8
            (new, Some("one two")),               // of 2.26
            ("killed", None),
        ] {
            assert_eq!(cause(said).as_deref(), expected, "{said}");
        }
        assert_eq!(shown("killed"), "killed");
    }

    #[test]
    fn a_path_in_the_store_is_that_in_its_tree() {
        let words = "refused: /t/store/abc-source/pkgs/x.nix:1, /t/other/y";
        assert_eq!(without_store(words, "/t/store"), "refused: pkgs/x.nix:1, /t/other/y");
    }
}
