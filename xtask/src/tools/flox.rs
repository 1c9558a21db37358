//! `flox`: arguments, environment, and what its words mean (flox 1.14).
//!
//! flox ends with 0 or 1 only, and says on stderr what happened: after `✘ ERROR: `, or, for a login
//! that is no good, in warnings alone (`! `). Its stable phrases are matched, most specific first;
//! anything else is reported as it stands. tests/standins/transcripts holds what the real one says.
//!
//! It is run with piped streams, without `-q` (which hides errors), and in an environment that is
//! built up (`surroundings`): without `RUST_BACKTRACE` (which adds to its errors), and without any
//! `FLOX_*` variable but the ones set here, each of which flox reads as a configuration key. It
//! heeds SIGINT alone, and what it starts must get the signal as well, so it runs in a process
//! group of its own.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::command::{Collected, Output};
use super::credentials;
use super::descendants::{self, Mark};
use super::guard::Guard;
use super::surroundings::{self, Program};
use crate::failure::Failure;
use crate::interrupt;

/// Directory that holds `.flox`, from the top of the repository.
pub const DIR: &str = "flox";
/// The variable that flox reads a FloxHub token from.
const TOKEN: &str = "FLOX_FLOXHUB_TOKEN";
const ERROR: &str = "✘ ERROR: ";
const WARNING: &str = "! ";
/// Stands above the output of every command but `flox auth` when nobody is logged in, or when the
/// login has ended.
const REMINDER: &str = "! You are not logged in to FloxHub. Run 'flox auth login' to log in.";

const TICK: Duration = Duration::from_millis(20);
/// How flox and what it started are ended, and how long each signal has.
const ENDING: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(10)),
    (Signal::TERM, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(1)),
];
/// What only asks has this long: flox itself gives a silent server 60 s.
const QUESTION: Duration = Duration::from_secs(120);
/// flox waits up to 30 minutes for FloxHub to confirm, after it has built what is not there.
const PUBLISH: Duration = Duration::from_secs(90 * 60);

/// Once is enough for all builds.
static WITHHELD: Once = Once::new();

/// flox, run in one checkout.
pub struct Flox<'a> {
    root: &'a Path,
}

/// What `flox publish` came to, as far as it says.
#[derive(Debug)]
pub enum Outcome {
    Published,
    AlreadyPublished,
    /// It was cut off, or gave up waiting, or said neither: only the catalog can tell.
    Unknown(anyhow::Error),
}

/// One version in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub version: String,
    /// `None`: all four systems that flox knows, not those of `release.toml`.
    pub systems: Option<Vec<String>>,
}

impl Listed {
    /// Is this version there for that system?
    pub fn is_for(&self, version: &str, system: &str) -> bool {
        self.version == version
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
        match self.run(&["--version"], Login::Hidden, Echo::No, Some(QUESTION)) {
            Ok(output) if output.success() => Ok(Some(output.stdout.trim().to_owned())),
            Ok(output) => Err(failure("flox --version", &output).into()),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks that somebody is logged in to FloxHub. `flox auth status` does not look at when a
    /// login ends; any other command does, so a package is looked up as well, whichever it is.
    pub fn check_login(&self, pkg_path: &str) -> Result<()> {
        let output = self.run(&["auth", "status"], Login::Visible, Echo::No, Some(QUESTION))?;
        if !output.success() {
            return Err(failure("flox auth status", &output).into());
        }
        let output = self.run(&["show", pkg_path], Login::Visible, Echo::No, Some(QUESTION))?;
        if has_reminder(&output) {
            return Err(Failure::failed("the FloxHub login has expired")
                .caused_by(anyhow::anyhow!(
                    "`flox auth status` exited with status 0, but `flox show` says: {}",
                    REMINDER.trim_start_matches(WARNING)
                ))
                .hint("run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token")
                .into());
        }
        listed(&output, pkg_path).map(drop).map_err(Into::into)
    }

    /// Builds attributes, in one run.
    pub fn build(&self, attributes: &[&str]) -> Result<()> {
        WITHHELD.call_once(warn_of_withheld);
        let args = [&["build", "-d", DIR], attributes].concat();
        let output = self.run(&args, Login::Hidden, Echo::Stderr, None)?;
        if output.success() {
            return Ok(());
        }
        Err(failure(&format!("flox {}", args.join(" ")), &output).into())
    }

    /// Publishes one attribute to an organization.
    ///
    /// # Errors
    /// When flox says that it failed, or does not run.
    pub fn publish(&self, attribute: &str, org: &str) -> Result<Outcome> {
        let args = ["publish", "-d", DIR, "-o", org, attribute];
        match self.run(&args, Login::Visible, Echo::Stderr, Some(PUBLISH)) {
            Ok(output) => outcome(&output).map_err(Into::into),
            // It ran, and was ended.
            Err(error) if error.is::<Failure>() => Ok(Outcome::Unknown(error)),
            Err(error) => Err(error),
        }
    }

    /// The versions of a package in the catalog; none when it was never published.
    pub fn show(&self, org: &str, package: &str) -> Result<Vec<Listed>> {
        let pkg_path = format!("{org}/{package}");
        let output = self.run(&["show", &pkg_path], Login::Visible, Echo::No, Some(QUESTION))?;
        listed(&output, &pkg_path).map_err(Into::into)
    }

    fn run(
        &self,
        args: &[&str],
        login: Login,
        echo: Echo,
        limit: Option<Duration>,
    ) -> Result<Output> {
        let mut command = Command::new("flox");
        command
            .args(args)
            .current_dir(self.root)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let is_asked = login == Login::Visible;
        let program = if is_asked { Program::FloxHub } else { Program::FloxBuild };
        surroundings::give(&mut command, program);
        command.envs(credentials::get(TOKEN).filter(|_| is_asked).map(|token| (TOKEN, token)));
        command.env("NO_COLOR", "1").env("FLOX_DISABLE_METRICS", "true").env("LC_ALL", "C.UTF-8");

        let text = format!("flox {}", args.join(" "));
        // What builds and publishes does not go on when this program is killed.
        let _guard = (echo == Echo::Stderr).then(|| Guard::start(&[])).transpose()?;
        let mark = Mark::next();
        command.env(descendants::VARIABLE, mark.value());
        interrupt::before_start();
        let child = descendants::marking(mark, || command.spawn());
        let mut child = child.with_context(|| format!("failed to run `{text}`"))?;
        let group = Pid::from_child(&child);
        let _killed = interrupt::Child::Group(group).known();
        let show = move |line: &[u8]| echo.show(line);
        let stdout = Collected::of(child.stdout.take(), show);
        let stderr = Collected::of(child.stderr.take(), show);
        let status = wait(&mut child, group, limit);
        mark.release();
        let [stdout, stderr] = [stdout, stderr].map(|collected| plain(collected.text().as_bytes()));
        let status = status.with_context(|| format!("failed to wait for `{text}`"))?;
        if interrupt::is_set() {
            return Err(Failure::failed(format!("interrupted: `{text}` was ended")).into());
        }
        let Some(status) = status else {
            return Err(Failure::failed(format!(
                "expected an end of `{text}` within {} s, found none: it was ended",
                limit.unwrap_or_default().as_secs()
            ))
            .hint(NETWORK)
            .into());
        };
        Ok(Output { status: status.code(), stdout, stderr })
    }
}

/// Waits for flox. When this program is asked to stop, or the limit is over (`None`), flox and what
/// it started get SIGINT, which is the signal that it heeds, and stronger ones if they go on.
fn wait(
    child: &mut Child,
    group: Pid,
    limit: Option<Duration>,
) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let is_over = || limit.is_some_and(|limit| start.elapsed() >= limit);
    while !interrupt::is_set() && !is_over() {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(TICK);
    }
    for (signal, grace) in ENDING {
        let _ = kill_process_group(group, signal);
        let until = Instant::now() + grace;
        while Instant::now() < until {
            // flox itself first: its group is there for as long as one of its children is.
            let status = child.try_wait()?;
            if status.is_some() && test_kill_process_group(group).is_err() {
                return Ok(status.filter(|_| interrupt::is_set()));
            }
            std::thread::sleep(TICK);
        }
    }
    child.wait().map(|status| Some(status).filter(|_| interrupt::is_set()))
}

/// Upstream's code is built without what somebody may rely on.
fn warn_of_withheld() {
    let names = surroundings::withheld_from_builds();
    if !names.is_empty() {
        crate::ui::warning(format!(
            "`flox build` runs upstream's code and goes without what has a credential in it, `{}`: \
             if it finds no way out, set a proxy that asks for no password",
            names.join("`, `")
        ));
    }
}

impl Echo {
    fn show(self, line: &[u8]) {
        let line = plain(line);
        // A build is run without the login: the reminder would be no news.
        if self == Self::Stderr && line.trim_end() != REMINDER {
            crate::ui::detail(line.trim_end());
        }
    }
}

/// Without colours.
fn plain(bytes: &[u8]) -> String {
    let plain = anstream::adapter::strip_bytes(bytes).into_vec();
    String::from_utf8_lossy(&plain).into_owned()
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
        return Ok(Outcome::Unknown(anyhow::anyhow!(
            "`flox publish` exited with status 0 and said neither that it published the package \
             nor that it was published before"
        )));
    }
    let failure = failure("flox publish", output);
    match output.status {
        Some(_) if !output.stderr.contains("Timed out waiting for publish") => Err(failure),
        _ => Ok(Outcome::Unknown(failure.into())),
    }
}

/// What a run of `flox show` came to; a package that was never published has no versions.
fn listed(output: &Output, pkg_path: &str) -> Result<Vec<Listed>, Failure> {
    if output.success() {
        return parse_show(&output.stdout, pkg_path);
    }
    if output.stderr.contains("no packages matched this pkg-path") {
        return Ok(Vec::new());
    }
    Err(failure(&format!("flox show {pkg_path}"), output))
}

fn has_reminder(output: &Output) -> bool {
    output.stderr.lines().any(|line| line == REMINDER)
}

/// A failed run of flox in our words: its own error, and what to do about it if that is known.
fn failure(command: &str, output: &Output) -> Failure {
    // Harmless beside another error: a build needs no login.
    let others: String =
        output.stderr.split_inclusive('\n').filter(|line| line.trim_end() != REMINDER).collect();
    let stderr = if others.trim().is_empty() { &output.stderr } else { &others };
    let failure = Failure::failed(format!("`{command}` exited with {}", output.status_text()))
        .caused_by(anyhow::anyhow!("{}", cause(stderr)));
    let hints = if is_build_failure(stderr) { &BUILD_HINTS[..] } else { &HINTS[..] };
    match hints.iter().find(|(phrase, _)| stderr.contains(phrase)) {
        Some((_, hint)) => failure.hint(*hint),
        None => failure,
    }
}

const LOG_IN: &str = "run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`";
const NEW_LOGIN: &str = "run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token";
const PUSH_BRANCH: &str = "push the branch: `git push --set-upstream origin HEAD`";
const ASK_REMOTE: &str = "the remote does not answer git: see what `git fetch` says";
const NETWORK: &str = "is the network there? FloxHub may be down: try again later";
const LATER: &str = "FloxHub has trouble: run the same command again later";

/// What to do about a phrase of flox 1.14.1, the most specific first.
const HINTS: [(&str, &str); 34] = [
    ("Could not parse config", "unset the `FLOX_…` variable that it means, or mend `flox.toml`"),
    ("is not expected in this context", "this tool is made for flox 1.14: see `flox --version`"),
    ("is not an absolute path", "flox cannot build below a path with a space: move the checkout"),
    ("providers/git.rs", "the branch follows a local one: `git push --set-upstream origin HEAD`"),
    ("panicked with message", "flox itself broke: run the same command again"),
    ("Did not find an environment", "it belongs to the checkout: `git restore flox`"),
    ("Target '", "each package has a file in `flox/.flox/pkgs`: `git status flox`"),
    (
        "not locked for your system",
        "list the system in `flox/.flox/env/manifest.toml`, and lock it",
    ),
    ("must be locked", "`git restore flox/.flox/env`, or `flox build -d flox` and commit the lock"),
    ("in detached HEAD state", "`git switch main`, or in a workflow check out the branch by name"),
    ("has no upstream remote configured", PUSH_BRANCH),
    ("is not present on remote", "push your commits: `git push`"),
    ("must be clean", "commit or stash what `git status` shows"),
    ("tracked by git", "`git add` what it names, or ignore it"),
    ("Could not access", ASK_REMOTE),
    ("Git failed with", ASK_REMOTE),
    ("Failed to check whether", ASK_REMOTE),
    ("token is invalid", "check `FLOX_FLOXHUB_TOKEN`; opaque tokens need flox 1.14.0 or newer"),
    ("token has expired", NEW_LOGIN),
    ("expired or has been revoked", NEW_LOGIN),
    ("may be expired or revoked", NEW_LOGIN),
    ("could not reach FloxHub", NETWORK),
    ("not logged in", LOG_IN),
    ("not currently logged in", LOG_IN),
    ("401 Unauthorized", NEW_LOGIN),
    ("403 Forbidden", "this login may not write to that organization: check `--org`"),
    ("404 Not Found: Catalog not found", "FloxHub has no such organization: check `--org`"),
    ("no packages matched", "it was never published: `cargo xtask publish`"),
    ("500 Internal Server Error", LATER),
    ("502 Bad Gateway", LATER),
    ("503 Service Unavailable", LATER),
    ("Timed out waiting for publish", "it may still arrive: see `cargo xtask status`"),
    ("error sending request", NETWORK),
    ("Failed to download Nix build tools", NETWORK),
];

/// The same where Nix failed, whose log may hold any words of a package's own.
const BUILD_HINTS: [(&str, &str); 2] = [
    (
        "hash mismatch in fixed-output derivation",
        "`specified` is the hash in the expression, `got` that of what Nix fetched",
    ),
    ("is a shallow Git repository", "fetch the whole history: `git fetch --unshallow`"),
];

fn is_build_failure(stderr: &str) -> bool {
    stderr.rsplit(ERROR).next().is_some_and(|last| last.starts_with("Build failed"))
}

/// The cause in flox's stderr: its errors; for a failed build, whose last error says only that, the
/// lines above it; without an error, the warnings.
fn cause(stderr: &str) -> String {
    if is_build_failure(stderr) {
        let (above, _) = stderr.rsplit_once(ERROR).unwrap_or_default();
        return format!("Build failed\n{}", tail(above, 20)).trim_end().to_owned();
    }
    // A token that cannot be read is an error of its own, above the one that ends the command.
    let words = stderr.find(ERROR).map_or_else(|| tail(stderr, 20), |at| stderr[at..].to_owned());
    let plain =
        |line| [ERROR, WARNING].iter().fold(line, |line: &str, mark| line.trim_start_matches(mark));
    let lines: Vec<&str> = words.trim().lines().map(plain).collect();
    if lines.is_empty() { "it did not say why".to_owned() } else { lines.join("\n") }
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Reads the versions out of `flox show`: lines `    ORG/PKG@VERSION (SYSTEMS only)`. What cannot
/// be read is an error: it must not pass for a package that is there, nor for one that is not.
fn parse_show(stdout: &str, pkg_path: &str) -> Result<Vec<Listed>, Failure> {
    let prefix = format!("    {pkg_path}@");
    let read = |line: &str| {
        let rest = line.strip_prefix(&prefix)?;
        let (version, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let systems = match rest.trim() {
            "" => None,
            rest => {
                let list = rest.strip_prefix('(')?.strip_suffix(" only)")?;
                Some(list.split(',').map(|system| system.trim().to_owned()).collect())
            }
        };
        Some(Listed { version: version.to_owned(), systems })
    };
    let unknown = |found: &str| {
        Failure::failed(format!(
            "expected `{pkg_path}@VERSION (SYSTEMS only)` from `flox show`, found `{found}`"
        ))
        .hint(
            "what the catalog has cannot be told from this: see that the version of flox is known",
        )
    };
    let (about, list) =
        stdout.split_once("\nOther versions:\n").ok_or_else(|| unknown(stdout.trim()))?;
    let latest = about.lines().find_map(|line| {
        let name = line.strip_prefix("Latest:")?.trim();
        name.strip_prefix(pkg_path)?.strip_prefix('@')
    });
    let latest = latest.ok_or_else(|| unknown(about.trim()))?;
    let listed: Vec<Listed> = list
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| read(line).ok_or_else(|| unknown(line.trim())))
        .collect::<Result<_, _>>()?;
    if !listed.iter().any(|entry| entry.version == latest) {
        return Err(unknown(&format!("{latest} as the latest, and not in the list")));
    }
    Ok(listed)
}

/// The Nix system that this machine builds for.
pub fn system() -> Result<String> {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        "linux" => "linux",
        os => anyhow::bail!("expected Linux or macOS, found `{os}`"),
    };
    Ok(format!("{}-{os}", std::env::consts::ARCH))
}

#[cfg(test)]
mod tests;
