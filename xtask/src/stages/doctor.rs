//! `doctor`: is this machine able to release, and what is missing. Changes nothing.

use anyhow::Result;

use super::preflight::{self, Check, Need};
use crate::checkout::Checkout;
use crate::failure::{self, Failure};
use crate::tools::credentials;
use crate::tools::github::GitHub;
use crate::ui;

/// Check that this machine can release
#[derive(clap::Args)]
pub struct Args {}

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
            Ok(found) => {
                ui::print(&format!("ok       {name}: {}\n", credentials::hide(found)))?;
            }
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
    let check = |name, result| Check { name, result };
    let pinned = checkout.pinned_version().map(|version| format!("pinned at {version}"));
    let tags = GitHub::of_upstream(&checkout.config)
        .tags()
        .map(|tags| format!("{} tags on `{}`", tags.len(), checkout.config.upstream.repository));
    let mut checks = vec![check("Nix files", pinned)];
    checks.extend(preflight::checks(checkout, &checkout.config.catalog.org, Need::ALL));
    checks.push(check("upstream", tags));
    checks
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
