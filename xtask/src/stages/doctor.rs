//! `doctor`: is this machine able to release, and what is missing. Changes nothing.

use anyhow::{Context as _, Result};
use xshell::cmd;

use super::publish;
use crate::checkout::Checkout;
use crate::failure::{self, Failure};
use crate::tools::flox::Flox;
use crate::tools::github::GitHub;
use crate::tools::{command, credentials, pip};
use crate::ui;

/// flox before this clears the tokens that it does not know.
const OLDEST_FLOX: (u64, u64) = (1, 14);
/// pip before this has no `--report`.
const OLDEST_PIP: (u64, u64) = (22, 2);

/// Check that this machine can release
#[derive(clap::Args)]
pub struct Args {}

/// One thing that a release needs: what was found, or why it is not there.
struct Check {
    name: &'static str,
    result: Result<String>,
}

/// Something that a release does not fail for, and that somebody should look at.
struct Warning {
    name: &'static str,
    text: String,
}

pub fn run(_: &Args, checkout: &Checkout) -> Result<()> {
    let (checks, warnings) = (checks(checkout), warnings(checkout));
    let missing = checks.iter().filter(|check| check.result.is_err()).count();
    for Check { name, result } in &checks {
        match result {
            Ok(found) => ui::print(&format!("ok       {name}: {found}\n"))?,
            Err(error) => ui::print(&format!("missing  {name}: {}\n", told(error)))?,
        }
    }
    for Warning { name, text } in warnings {
        ui::print(&format!("warning  {name}: {text}\n"))?;
    }
    if missing == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{missing} of {} things that a release needs are missing",
        checks.len()
    ))
    .hint("`cargo xtask rehearse` needs only Rust, git and Python")
    .into())
}

/// Why something is missing, and below it what to do.
fn told(error: &anyhow::Error) -> String {
    let hints = failure::hints(error).map(|hint| format!("\nhint: {hint}"));
    let text = format!("{error:#}{}", hints.collect::<String>());
    credentials::hide(&text).replace('\n', "\n         ")
}

fn checks(checkout: &Checkout) -> Vec<Check> {
    let sh = &checkout.sh;
    let flox = Flox::new(&checkout.root);
    let git = checkout.git();
    let remote = &checkout.config.git.remote;
    let check = |name, result| Check { name, result };
    vec![
        check("Nix files", checkout.pinned_version().map(|version| format!("pinned at {version}"))),
        check("git", command::read(cmd!(sh, "git --version"))),
        check("git identity", command::read(cmd!(sh, "git var GIT_COMMITTER_IDENT")).map(identity)),
        check(
            "history",
            git.is_shallow().and_then(|shallow| {
                anyhow::ensure!(!shallow, "this is a shallow clone: `git fetch --unshallow`");
                Ok("whole".to_owned())
            }),
        ),
        check(
            "branch",
            git.upstream()
                .and_then(|upstream| upstream.context("the current branch has no upstream")),
        ),
        check("remote", git.remote_url(remote).and_then(remote_address)),
        check("Python", command::read(cmd!(sh, "python3 --version"))),
        check("pip", pip::version(sh).and_then(|version| at_least("pip", version, OLDEST_PIP))),
        check(
            "flox",
            flox.version().and_then(|version| {
                let version = version.context("command not found: `flox`")?;
                at_least("flox", version, OLDEST_FLOX)
            }),
        ),
        check(
            "FloxHub login",
            publish::check_login(checkout, &checkout.config.catalog.org)
                .map(|()| "logged in".to_owned()),
        ),
        check(
            "upstream",
            GitHub::of_upstream(&checkout.config).tags().map(|tags| {
                format!("{} tags on `{}`", tags.len(), checkout.config.upstream.repository)
            }),
        ),
    ]
}

/// What the Nix files are built with, against release.toml and against what nixpkgs builds. Files
/// that are not understood are a missing thing, not a warning.
fn warnings(checkout: &Checkout) -> Vec<Warning> {
    let Ok(pinned) = checkout.pinned() else { return Vec::new() };
    let (nixpkgs, version) = (&checkout.nixpkgs, &pinned.version.value);
    let mut found = Vec::new();
    match (checkout.config.python_at(version), &pinned.python) {
        (Err(error), _) => found.push(format!("{error:#}")),
        (Ok(policy), None) => found.push(format!(
            "the Nix files name none of a version; release.toml says {policy} for {version}"
        )),
        (Ok(policy), Some(python)) if python.value != policy => found.push(format!(
            "the Nix files name {} ({}); release.toml says {policy} for {version}, and `bump` \
             writes it",
            python.value,
            python.place()
        )),
        _ => {}
    }
    let named = pinned.python.as_ref().map(|python| python.value.as_str());
    if let Some(python) = named.filter(|python| !nixpkgs.builds(python)) {
        let known: Vec<&str> = nixpkgs.pythons.iter().map(String::as_str).collect();
        found.push(format!(
            "{version} is built with {python}, whose packages nixpkgs does not build: it has {} \
             (nixpkgs.toml, {})",
            known.join(" and "),
            nixpkgs.recorded
        ));
    }
    found.into_iter().map(|text| Warning { name: "Python", text }).collect()
}

/// The name and address of a `git var` identity, without its time.
fn identity(text: String) -> String {
    text.rsplit_once('>').map_or(text.clone(), |(identity, _)| format!("{identity}>"))
}

/// flox sends the remote's address to FloxHub as it is: it must not hold a password.
fn remote_address(url: Option<String>) -> Result<String> {
    let url = url.context("there is no such remote")?;
    anyhow::ensure!(
        credentials::hide(&url) == url,
        "the remote's address holds a password or a token, which `flox publish` would send on: \
         take it out"
    );
    Ok(url)
}

fn at_least(name: &str, version: String, (major, minor): (u64, u64)) -> Result<String> {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    anyhow::ensure!(
        found >= (major, minor),
        "expected {name} {major}.{minor} or newer, found {version}"
    );
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
        for url in ["https://me:secret@host/a/b", "https://secret@host/a/b"] {
            let error = format!("{:#}", remote_address(Some(url.to_owned())).unwrap_err());
            assert!(!error.contains("secret@"), "{error}");
        }
        for url in ["https://host/a/b", "git@host:a/b", "/srv/a.git", "ssh://git@host/a"] {
            assert!(remote_address(Some(url.to_owned())).is_ok(), "{url}");
        }
        assert!(remote_address(None).is_err());
    }
}
