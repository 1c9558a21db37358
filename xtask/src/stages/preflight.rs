//! What a release needs of this machine, this repository and FloxHub, asked before anything slow:
//! each thing by itself, so that all that is missing is told at once. `doctor` shows all of it, and
//! `release` refuses to start without what it will need. Changes nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::Access;
use xshell::cmd;

use super::build;
use crate::checkout::Checkout;
use crate::failure::{self, Failure};
use crate::model::plan;
use crate::tools::flox::{self, Flox};
use crate::tools::{command, credentials, pip};
use crate::ui;

/// flox before this clears the tokens that it does not know.
const OLDEST_FLOX: (u64, u64) = (1, 14);
/// pip before this has no `--report`.
const OLDEST_PIP: (u64, u64) = (22, 2);
/// What must be free on a disk: a download that is read out of order, and what is built.
const LEAST_BYTES: u64 = 1 << 30;

/// What of git's hooks runs in a commit and a push.
const HOOKS: [&str; 4] = ["pre-commit", MESSAGE_HOOKS[0], MESSAGE_HOOKS[1], "pre-push"];
/// Those that edit or refuse a commit's message, in git's order.
const MESSAGE_HOOKS: [&str; 2] = ["prepare-commit-msg", "commit-msg"];

/// What a release is going to do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    pub builds: bool,
    /// Makes a commit, and pushes it.
    pub commits: bool,
    pub publishes: bool,
}

impl Need {
    pub const ALL: Self = Self { builds: true, commits: true, publishes: true };
    pub const COMMIT: Self = Self { builds: false, commits: true, publishes: false };
    pub const PUBLISH: Self = Self { builds: true, commits: false, publishes: true };
}

/// One thing that a release needs: what was found, or why it is not there.
pub struct Check {
    pub name: &'static str,
    pub result: Result<String>,
}

/// Refuses to start a release that would fail for something that is known now.
///
/// # Errors
/// All that is missing, each with what to do.
pub fn check(checkout: &Checkout, org: &str, need: Need) -> Result<()> {
    let missing = checks(checkout, org, need)
        .into_iter()
        .filter_map(|Check { name, result }| result.err().map(|error| (name, error)));
    let mut missing: Vec<(&str, anyhow::Error)> = missing.collect();
    if missing.len() < 2 {
        return missing.pop().map_or(Ok(()), |(_, error)| Err(error));
    }
    let told: Vec<String> =
        missing.iter().map(|(name, error)| format!("{name}: {error:#}")).collect();
    let failure =
        Failure::failed(format!("{} stop this release", ui::count(missing.len(), "thing")))
            .caused_by(anyhow::anyhow!("{}", told.join("\n")));
    let hints = missing.iter().flat_map(|(_, error)| failure::hints(error));
    Err(hints.fold(failure, |failure, hint| failure.hint(hint)).into())
}

/// Everything that a release needs for what it does.
pub fn checks(checkout: &Checkout, org: &str, need: Need) -> Vec<Check> {
    let mut checks = of_machine(checkout, need);
    checks.extend(of_repository(checkout, need));
    if need.publishes {
        let login = login(checkout, org).map(|()| "logged in".to_owned());
        checks.push(Check { name: "FloxHub login", result: login });
    }
    checks
}

fn of_machine(checkout: &Checkout, need: Need) -> Vec<Check> {
    let sh = &checkout.sh;
    let check = |name, result| Check { name, result };
    let mut checks = vec![
        check("git", command::read(cmd!(sh, "git --version"))),
        check("Python", command::read(cmd!(sh, "python3 --version"))),
        check("pip", pip::version(sh).and_then(|version| at_least("pip", version, OLDEST_PIP))),
    ];
    if need.builds {
        checks.push(check("flox", flox_version(checkout)));
        checks.push(check("path", path_of(&checkout.root)));
    }
    checks.push(check("disk", free_space(checkout)));
    checks
}

fn of_repository(checkout: &Checkout, need: Need) -> Vec<Check> {
    let sh = &checkout.sh;
    let git = checkout.git();
    let remote = &checkout.config.git.remote;
    let check = |name, result| Check { name, result };
    let mut checks = vec![check("checkout", in_order(checkout))];
    if need.commits {
        let committer = command::read(cmd!(sh, "git var GIT_COMMITTER_IDENT"));
        let author = command::read(cmd!(sh, "git var GIT_AUTHOR_IDENT"));
        checks.push(check("git identity", author.and(committer).map(identity)));
        checks.push(check("signature", signature(checkout)));
        checks.push(check("hooks", hooks(checkout)));
        checks.push(check("push", git.may_push(remote).map(|()| "allowed".to_owned())));
    }
    if need.commits || need.publishes {
        checks.push(check("remote", git.remote_url(remote).and_then(remote_address)));
        checks.push(check("branch", branch(checkout, need)));
    }
    if need.publishes {
        checks.push(check("history", whole_history(checkout)));
        checks.push(check("environment", all_in_git(checkout)));
    }
    checks
}

/// Does FloxHub know who is asking, today?
fn login(checkout: &Checkout, org: &str) -> Result<()> {
    let package = checkout.config.packages.first().map_or("dagster", |package| &package.name);
    Flox::new(&checkout.root).check_login(&format!("{org}/{package}"))
}

/// The upstream of the current branch, as `origin/main`. It is a branch of the remote that is
/// pushed to: `flox publish` asks that one, and panics over a local branch.
pub fn upstream(checkout: &Checkout) -> Result<Option<String>> {
    let Some(upstream) = checkout.git().upstream()? else { return Ok(None) };
    let remote = &checkout.config.git.remote;
    let short = upstream.strip_prefix("refs/remotes/").unwrap_or_default();
    if short.strip_prefix(remote.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return Ok(Some(short.to_owned()));
    }
    Err(Failure::failed(format!(
        "expected a branch of `{remote}` as the upstream of the current branch, found `{upstream}`"
    ))
    .hint(match checkout.git().branch()? {
        Some(branch) => format!("`git branch --set-upstream-to={remote}/{branch} {branch}`"),
        None => format!("`git switch {}`", checkout.config.git.branch),
    })
    .into())
}

fn branch(checkout: &Checkout, need: Need) -> Result<String> {
    match upstream(checkout)? {
        Some(upstream) => Ok(upstream),
        None if need.commits => Ok("no upstream yet: the push of a release sets it".to_owned()),
        None => anyhow::bail!("the current branch has no upstream"),
    }
}

/// A release is made on a branch, commits only its own edits, and not in the middle of another
/// change of git's: git would refuse the commit, after the build.
fn in_order(checkout: &Checkout) -> Result<String> {
    let git = checkout.git();
    if let Some(what) = git.unfinished()? {
        return Err(Failure::failed(format!("a {what} is unfinished in this checkout"))
            .hint(format!("end it: `git {what} --continue`, or `git {what} --abort`"))
            .into());
    }
    if !git.git_path("index")?.exists() {
        return Err(Failure::failed("git's index is gone from this checkout")
            .hint("`git reset` makes it anew, and touches no file")
            .into());
    }
    let hidden = git.not_looked_at(build::TESTED)?;
    if let Some(file) = hidden.first() {
        return Err(Failure::failed(format!(
            "git is told not to look at `{file}`: what is built could be something else than what \
             is committed"
        ))
        .hint(format!("`git update-index --no-assume-unchanged --no-skip-worktree {file}`"))
        .into());
    }
    let dirty = git.dirty()?;
    if !dirty.is_empty() {
        return Err(Failure::failed(format!(
            "expected a clean checkout, found changes in {}",
            dirty.join(", ")
        ))
        .hint("commit or stash it: a release commits only its own edits")
        .into());
    }
    Ok(format!("clean, on `{}`", current_branch(checkout)?))
}

/// The branch that is checked out; a release is made on one.
pub fn current_branch(checkout: &Checkout) -> Result<String> {
    checkout.git().branch()?.context("expected a branch, found a detached HEAD").map_err(|error| {
        Failure::failed("a release is made on a branch")
            .caused_by(error)
            .hint(format!("`git switch {}`", checkout.config.git.branch))
            .into()
    })
}

/// flox refuses to publish from a shallow clone, and Nix to read one.
pub fn whole_history(checkout: &Checkout) -> Result<String> {
    if checkout.git().is_shallow()? {
        return Err(Failure::failed("expected the whole history, found a shallow clone")
            .hint("`git fetch --unshallow`, or `fetch-depth: 0` in a workflow")
            .into());
    }
    Ok("whole".to_owned())
}

fn flox_version(checkout: &Checkout) -> Result<String> {
    let Some(version) = Flox::new(&checkout.root).version()? else {
        return Err(Failure::failed("command not found: `flox`")
            .hint("install flox, or look at a release without it: `--dry-run`")
            .into());
    };
    at_least("flox", version, OLDEST_FLOX)
}

/// flox 1.14 cannot build where a path has a space.
fn path_of(root: &Path) -> Result<String> {
    let path = root.display().to_string();
    if path.contains(char::is_whitespace) {
        return Err(Failure::failed(format!("expected a path without spaces, found `{path}`"))
            .hint("flox cannot build below a path with a space: move the checkout")
            .into());
    }
    Ok(path)
}

fn free_space(checkout: &Checkout) -> Result<String> {
    let mut least: Option<(u64, PathBuf)> = None;
    for place in [checkout.root.clone(), std::env::temp_dir(), PathBuf::from("/nix/store")] {
        let Ok(found) = rustix::fs::statvfs(&place) else { continue };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if least.as_ref().is_none_or(|(least, _)| free < *least) {
            least = Some((free, place));
        }
    }
    let (free, place) = least.context("expected to learn how much of the disk is free")?;
    let place = place.display();
    if free < LEAST_BYTES {
        return Err(Failure::failed(format!(
            "expected {} MiB free at `{place}`, found {}",
            LEAST_BYTES >> 20,
            free >> 20
        ))
        .hint("make room: `nix-collect-garbage`, `cargo clean`")
        .into());
    }
    Ok(format!("{} GiB free at `{place}`", free >> 30))
}

/// Where commits are signed, one is: a commit of nothing, on no branch.
fn signature(checkout: &Checkout) -> Result<String> {
    if !checkout.git().signs_commits()? {
        return Ok("not asked for".to_owned());
    }
    let signed = checkout.git().sign_a_trial();
    signed.map(|()| "works".to_owned()).map_err(|error| {
        Failure::failed("`commit.gpgSign` is set, and a commit cannot be signed")
            .caused_by(error)
            .hint("see that `git commit -S` works here")
            .into()
    })
}

/// Hooks can stop a commit or a push, at the end of everything: by a program that is not there, or
/// because they want another message. What they say of the files is known when there is a commit.
fn hooks(checkout: &Checkout) -> Result<String> {
    let git = checkout.git();
    let there = git.hooks(&HOOKS)?;
    for (name, path) in &there {
        let Some(program) = missing_interpreter(path) else { continue };
        return Err(Failure::failed(format!(
            "git's hook `{name}` is run by `{program}`: not found"
        ))
        .hint(format!("install it, or take `{}` away", path.display()))
        .into());
    }
    let names: Vec<&str> = there.iter().map(|(name, _)| *name).collect();
    let of_message: Vec<&str> =
        MESSAGE_HOOKS.into_iter().filter(|name| names.contains(name)).collect();
    if !of_message.is_empty() {
        try_message(checkout, &of_message)?;
    }
    Ok(if names.is_empty() { "none".to_owned() } else { names.join(", ") })
}

/// Has hooks look at the message of a release, one after the other.
fn try_message(checkout: &Checkout, hooks: &[&str]) -> Result<()> {
    let git = checkout.git();
    let subject = plan::subject(&checkout.pinned_version()?);
    let mut message = format!("{subject}\n");
    for name in hooks {
        message = git.message_by_hook(name, &message).map_err(|error| {
            Failure::failed(format!(
                "git's hook `{name}` refuses the message of a release, `{subject}`"
            ))
            .caused_by(error)
            .hint("let the hook take it")
        })?;
        let found = first_paragraph(&message);
        if found != subject {
            return Err(Failure::failed(format!(
                "git's hook `{name}` makes `{found}` of `{subject}`, by which the commit of a \
                 release is found again"
            ))
            .hint("let the hook leave that line alone")
            .into());
        }
    }
    Ok(())
}

/// The subject of a commit with this message, as git tells it: all lines up to an empty one.
fn first_paragraph(message: &str) -> String {
    let lines = message.lines().map(str::trim).skip_while(|line| line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The program that a script names in its first line, if it is not there.
fn missing_interpreter(script: &Path) -> Option<String> {
    let text = std::fs::read(script).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    // A carriage return at the end of the line is a part of the name, to the kernel.
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let program = Path::new(words.next()?);
    let can_run = |path: &Path| rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if !can_run(program) {
        return Some(program.display().to_string().escape_debug().to_string());
    }
    let is_env = program.file_name().is_some_and(|name| name == "env");
    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
    let program = program.filter(|_| is_env)?;
    let path = std::env::var_os("PATH")?;
    let is_there = std::env::split_paths(&path).any(|dir| can_run(&dir.join(program)));
    (!is_there).then(|| program.escape_debug().to_string())
}

/// What flox refuses to publish over.
pub fn all_in_git(checkout: &Checkout) -> Result<String> {
    let untracked = checkout.git().untracked(&format!("{}/.flox", flox::DIR))?;
    if !untracked.is_empty() {
        return Err(Failure::failed(format!(
            "expected every file of the Flox environment in git, found {} untracked",
            untracked.join(", ")
        ))
        .hint("`git add` it, or ignore it")
        .into());
    }
    Ok("all in git".to_owned())
}

/// The name and address of a `git var` identity, without its time.
fn identity(text: String) -> String {
    text.rsplit_once('>').map_or(text.clone(), |(identity, _)| format!("{identity}>"))
}

/// flox sends the remote's address to FloxHub as it is: it must not hold a password.
fn remote_address(url: Option<String>) -> Result<String> {
    let url = url.context("there is no such remote")?;
    if credentials::hide_in_address(&url) != url {
        return Err(Failure::failed(
            "the remote's address holds a password or a token, which `flox publish` would send on",
        )
        .hint("take it out: `git remote set-url`, and a credential helper or ssh instead")
        .into());
    }
    Ok(url)
}

fn at_least(name: &str, version: String, (major, minor): (u64, u64)) -> Result<String> {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < (major, minor) {
        let failure =
            Failure::failed(format!("expected {name} {major}.{minor} or newer, found {version}"));
        return Err(failure.hint(format!("install a newer {name}")).into());
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(at_least("pip", "22.2".to_owned(), OLDEST_PIP).is_ok());
        assert!(at_least("pip", "9.0.3".to_owned(), OLDEST_PIP).is_err());
        assert!(at_least("flox", "1.14.1".to_owned(), OLDEST_FLOX).is_ok());
        assert!(at_least("flox", "1.9.9".to_owned(), OLDEST_FLOX).is_err());
    }

    #[test]
    fn a_password_in_the_remote_is_found_and_not_shown() {
        for url in [
            "https://me:secret@host/a/b",
            "https://secret@host/a/b",
            "http://me:secret/x@host/a",
            "http://me:secret#x@host/a",
            "http://me:secret?x@host/a",
            "http://me:secret x@host/a",
            "http:/me:secret@host/a",
            "me:secret@host/a",
            "me:secret x@host/a",
            "https://host/a?access_token=secret",
        ] {
            let error = format!("{:#}", remote_address(Some(url.to_owned())).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
        for url in [
            "https://host/a/b",
            "git@host:a/b",
            "host:a/b",
            "/srv/a@b/c.git",
            "/srv/the source/a.git",
            "../a:b@c",
            "file:///srv/a@b.git",
            "ssh://git@host/a",
            "ssh://git@host:22/a",
        ] {
            assert!(remote_address(Some(url.to_owned())).is_ok(), "{url}");
        }
        assert!(remote_address(None).is_err());
    }

    #[test]
    fn the_interpreter_of_a_script_is_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("hook");
        for (line, missing) in [
            ("#!/bin/sh", None),
            ("#! /bin/sh -e", None),
            ("#!/usr/bin/env sh", None),
            ("#!/usr/bin/env -S A=b sh -e", None),
            ("echo", None),
            ("", None),
            ("#!/no/such/sh -e", Some("/no/such/sh")),
            ("#!/bin/sh\r", Some("/bin/sh\\r")),
            ("#!/usr/bin/env sh\r", Some("sh\\r")),
            ("#!/etc/passwd", Some("/etc/passwd")),
            ("#!/usr/bin/env no-such-sh", Some("no-such-sh")),
            ("#!/usr/bin/env -S no-such-sh -e", Some("no-such-sh")),
        ] {
            std::fs::write(&script, format!("{line}\nexit 1\n")).unwrap();
            assert_eq!(missing_interpreter(&script).as_deref(), missing, "{line}");
        }
    }

    #[test]
    fn flox_needs_a_path_without_spaces() {
        assert!(path_of(Path::new("/srv/dagster-flox")).is_ok());
        assert!(path_of(Path::new("/srv/my work/dagster-flox")).is_err());
    }
}
