//! `flox`: arguments, environment, and what its words mean (flox 1.14).
//!
//! flox ends with 0 or 1 only, and says on stderr what happened. Its stable phrases are matched,
//! most specific first; anything else is reported as it stands after the last `✘ ERROR: `. It is
//! run with piped streams, without `-q` (which hides errors), and without any `FLOX_*` variable but
//! the ones set here: flox reads each of them as a configuration key.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use semver::Version;

use super::command::{CREDENTIALS, Output};
use crate::failure::Failure;
use crate::interrupt;

/// Directory that holds `.flox`, from the top of the repository.
pub const DIR: &str = "flox";
/// The variable that flox reads a FloxHub token from.
const TOKEN: &str = "FLOX_FLOXHUB_TOKEN";
const ERROR: &str = "✘ ERROR: ";

/// flox, run in one checkout.
pub struct Flox<'a> {
    root: &'a Path,
}

/// How `flox publish` ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Published,
    AlreadyPublished,
}

/// One version in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub version: String,
    /// `None`: all four systems.
    pub systems: Option<Vec<String>>,
}

impl Listed {
    /// Is this version there for that system?
    pub fn is_for(&self, version: &Version, system: &str) -> bool {
        self.version == version.to_string()
            && self.systems.as_ref().is_none_or(|systems| systems.iter().any(|s| s == system))
    }
}

/// Does flox see the FloxHub token? Upstream's code is built without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    Hidden,
    Visible,
}

/// Do flox's messages reach the terminal as they come?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    No,
    Stderr,
}

impl<'a> Flox<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// The version of flox; `None` when it is not installed.
    pub fn version(&self) -> Result<Option<String>> {
        match self.run(&["--version"], Login::Hidden, Echo::No) {
            Ok(output) if output.success() => Ok(Some(output.stdout.trim().to_owned())),
            Ok(output) => Err(failure("flox --version", &output).into()),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks that somebody is logged in to FloxHub.
    pub fn check_login(&self) -> Result<()> {
        let output = self.run(&["auth", "status"], Login::Visible, Echo::No)?;
        if output.success() {
            return Ok(());
        }
        Err(failure("flox auth status", &output).into())
    }

    /// Builds attributes, in one run.
    pub fn build(&self, attributes: &[&str]) -> Result<()> {
        let args = [&["build", "-d", DIR], attributes].concat();
        let output = self.run(&args, Login::Hidden, Echo::Stderr)?;
        if output.success() {
            return Ok(());
        }
        Err(failure(&format!("flox {}", args.join(" ")), &output).into())
    }

    /// Publishes one attribute to an organization.
    pub fn publish(&self, attribute: &str, org: &str) -> Result<Outcome> {
        let args = ["publish", "-d", DIR, "-o", org, attribute];
        let output = self.run(&args, Login::Visible, Echo::Stderr)?;
        outcome(&output).map_err(Into::into)
    }

    /// The versions of a package in the catalog; none when it was never published.
    pub fn show(&self, org: &str, package: &str) -> Result<Vec<Listed>> {
        let pkg_path = format!("{org}/{package}");
        let output = self.run(&["show", &pkg_path], Login::Visible, Echo::No)?;
        if output.success() {
            return Ok(parse_show(&output.stdout, &pkg_path));
        }
        if output.stderr.contains("no packages matched this pkg-path") {
            return Ok(Vec::new());
        }
        Err(failure(&format!("flox show {pkg_path}"), &output).into())
    }

    fn run(&self, args: &[&str], login: Login, echo: Echo) -> Result<Output> {
        let mut command = Command::new("flox");
        command
            .args(args)
            .current_dir(self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let secret = |name: &str| CREDENTIALS.contains(&name) && name != TOKEN;
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if secret(&text) || text == "RUST_LOG" || (text.starts_with("FLOX_") && text != TOKEN) {
                command.env_remove(&name);
            }
        }
        if login == Login::Hidden {
            command.env_remove(TOKEN);
        }
        command.env("NO_COLOR", "1").env("FLOX_DISABLE_METRICS", "true").env("LC_ALL", "C.UTF-8");

        let text = format!("flox {}", args.join(" "));
        let mut child = command.spawn().with_context(|| format!("failed to run `{text}`"))?;
        let stdout = child.stdout.take().context("expected a pipe")?;
        let stderr = child.stderr.take().context("expected a pipe")?;
        let (status, stdout, stderr) = std::thread::scope(|scope| {
            let stdout = scope.spawn(|| lines(stdout, echo));
            let stderr = scope.spawn(|| lines(stderr, echo));
            let status = wait(&mut child);
            (status, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
        });
        let status = status.with_context(|| format!("failed to wait for `{text}`"))?;
        interrupt::check()?;
        Ok(Output { status: status.code(), stdout, stderr })
    }
}

/// Waits for flox; hands an interrupt on to it.
fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt::is_set() && !std::mem::replace(&mut told, true) {
            let pid = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines(stream: impl Read, echo: Echo) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let plain = anstream::adapter::strip_bytes(&line).into_vec();
        let plain = String::from_utf8_lossy(&plain);
        if echo == Echo::Stderr {
            crate::ui::detail(plain.trim_end());
        }
        text.push_str(&plain);
        line.clear();
    }
    text
}

fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// What a run of `flox publish` came to.
fn outcome(output: &Output) -> Result<Outcome, Failure> {
    if output.success() {
        if output.stderr.contains("Package published successfully.") {
            return Ok(Outcome::Published);
        }
        if output.stderr.contains("Package already published.") {
            return Ok(Outcome::AlreadyPublished);
        }
        return Err(Failure::failed(
            "`flox publish` exited with status 0 and said neither that it published the package \
             nor that it was published before",
        )
        .hint("look at the catalog: `cargo xtask status`"));
    }
    Err(failure("flox publish", output))
}

/// A failed run of flox in our words: its own last error, and what to do about it if that is known.
fn failure(command: &str, output: &Output) -> Failure {
    // Warnings are no causes: `! You are not logged in` stands above every build without a token.
    let stderr: String =
        output.stderr.split_inclusive('\n').filter(|line| !line.starts_with("! ")).collect();
    let failure = Failure::failed(format!("`{command}` exited with {}", output.status_text()))
        .caused_by(anyhow::anyhow!("{}", cause(&stderr)));
    // Most specific first; texts of flox 1.14.1.
    let hints = [
        ("403 Forbidden", "this login may not write to that organization: check `--org`"),
        ("token has expired", "make a new FloxHub token, or run `flox auth login`"),
        ("token is expired", "make a new FloxHub token, or run `flox auth login`"),
        ("token is invalid", "check `FLOX_FLOXHUB_TOKEN`; opaque tokens need flox 1.14.0 or newer"),
        ("not logged in", "run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`"),
        ("not currently logged in", "run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`"),
        ("could not reach FloxHub", "is the network there?"),
        (
            "hash mismatch in fixed-output derivation",
            "run `cargo xtask bump` for this version again",
        ),
        ("shallow", "fetch the whole history: `git fetch --unshallow`"),
        (
            "has no upstream remote configured",
            "push the branch: `git push --set-upstream origin HEAD`",
        ),
        ("is not present on remote", "push your commits: `git push`"),
        ("must be clean", "commit or stash what `git status` shows"),
        ("not tracked by git", "`git add` what it names, or ignore it"),
        ("must be locked", "run `flox lock -d flox` and commit `flox/.flox/env/manifest.lock`"),
        (
            "Timed out waiting for publish completion",
            "it may still arrive: see `cargo xtask status`",
        ),
    ];
    match hints.into_iter().find(|(phrase, _)| stderr.contains(phrase)) {
        Some((_, hint)) => failure.hint(hint),
        None => failure,
    }
}

/// The cause in flox's stderr: what follows the last `✘ ERROR: `, and for a failed build, whose
/// last error says only that, the lines above it.
fn cause(stderr: &str) -> String {
    let Some(at) = stderr.rfind(ERROR) else {
        return tail(stderr, 20);
    };
    let last = stderr[at + ERROR.len()..].trim();
    if last.starts_with("Build failed") {
        return format!("{last}\n{}", tail(&stderr[..at], 20)).trim_end().to_owned();
    }
    last.to_owned()
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Reads the versions out of `flox show`: lines `    ORG/PKG@VERSION (SYSTEMS only)`.
fn parse_show(stdout: &str, pkg_path: &str) -> Vec<Listed> {
    let prefix = format!("    {pkg_path}@");
    stdout
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(|rest| {
            let (version, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let systems = rest
                .trim()
                .strip_prefix('(')
                .and_then(|rest| rest.strip_suffix(" only)"))
                .map(|list| list.split(',').map(|system| system.trim().to_owned()).collect());
            Listed { version: version.to_owned(), systems }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(status: i32, stderr: &str) -> Output {
        Output { status: Some(status), stdout: String::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn publish_needs_the_words_and_the_status() {
        let published =
            "✔ Package published successfully.\n\nUse 'flox install a/b' to install it.\n";
        let already = "✔ Package already published.\n\nOriginally published: 2026-01-01\n";
        assert_eq!(outcome(&output(0, published)).unwrap(), Outcome::Published);
        assert_eq!(outcome(&output(0, already)).unwrap(), Outcome::AlreadyPublished);
        assert!(outcome(&output(0, "")).is_err());
        assert!(outcome(&output(1, published)).is_err());
    }

    #[test]
    fn the_cause_stands_above_build_failed() {
        let stderr = "error: hash mismatch in fixed-output derivation 'x'\nmake: *** Error 1\n\
                      ✘ ERROR: Build failed\n";
        let cause = cause(stderr);
        assert!(cause.starts_with("Build failed\n") && cause.contains("hash mismatch"), "{cause}");
        assert_eq!(
            super::cause("✘ ERROR: You are not logged in to FloxHub.\n\n * x"),
            "You are not logged in to FloxHub.\n\n * x"
        );
    }

    #[test]
    fn a_warning_gives_no_hint() {
        let warning = "! You are not logged in to FloxHub. Run 'flox auth login' to log in.\n";
        let render = |text: &str| crate::failure::render(&failure("flox", &output(1, text)).into());
        let failed = format!("{warning}error: builder failed\n✘ ERROR: Build failed\n");
        assert!(!render(&failed).contains("hint"), "{}", render(&failed));
        let login = format!("{warning}✘ ERROR: You are not logged in to FloxHub.\n");
        assert!(render(&login).contains("hint: run `flox auth login`"), "{}", render(&login));
    }

    #[test]
    fn show_lists_versions_and_systems() {
        let stdout = "acme/dagster - Data\nCatalog: acme\nLatest:  acme/dagster@1.12.1\n\
                      Systems: x86_64-linux\n\nOther versions:\n    acme/dagster@1.12.1\n    \
                      acme/dagster@1.12.0  (aarch64-linux, x86_64-linux only)\n";
        let listed = parse_show(stdout, "acme/dagster");
        assert_eq!(listed.len(), 2);
        let at = |version: &str| version.parse().unwrap();
        assert!(listed[0].is_for(&at("1.12.1"), "x86_64-darwin"));
        assert!(listed[1].is_for(&at("1.12.0"), "x86_64-linux"));
        assert!(!listed[1].is_for(&at("1.12.0"), "aarch64-darwin"));
    }
}
