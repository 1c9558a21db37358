//! `watch`: what upstream has that we have not.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use semver::Version;
use serde::Serialize;

use super::catalog::{self, Gap};
use super::departure::{self, Departed};
use super::inspect;
use crate::args::OrgArg;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Variant;
use crate::model::facts::OnIndex;
use crate::model::version;
use crate::tools::github::GitHub;
use crate::ui;

/// How many tags newer than ours are looked at, newest first, for one that is whole.
const LOOKED_AT: usize = 10;

/// Show what upstream has that we have not
#[derive(clap::Args)]
pub struct Args {
    /// Look once and end
    #[arg(long, required = true)]
    once: bool,
    /// Ask the catalog too: a pinned version that some system lacks is due for a release again
    #[arg(long)]
    catalog: bool,
    #[command(flatten)]
    org: OrgArg,
    /// How to print it; `github` also writes GITHUB_OUTPUT
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(ValueEnum, Clone, Copy)]
enum Format {
    Text,
    Json,
    Github,
}

/// Upstream beside us. This is the JSON that `--format json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Upstream {
    /// The version that the Nix files are pinned at.
    pub pinned: Version,
    /// The newest version that upstream finished, if it is newer than ours; else ours.
    pub newest: Version,
    /// Is `newest` newer than `pinned`?
    pub is_new: bool,
    /// Newer versions that are tagged and cannot be released.
    pub unfinished: Vec<Unfinished>,
    /// Newer tags that are not looked at.
    pub passed_over: Vec<PassedOver>,
    /// What upstream changed of versions that branches of releases are pinned at.
    pub departed: Vec<Departed>,
    /// What systems of `release.toml` lack of the pinned version; `null` when the catalog was not
    /// asked.
    pub missing: Option<Vec<Gap>>,
    /// The version that a release is due for: `newest` if it is new, else `pinned` if some of it
    /// is missing in the catalog.
    pub release: Option<Version>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Unfinished {
    pub version: Version,
    pub why: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct PassedOver {
    pub tag: String,
    pub why: String,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    debug_assert!(args.once);
    let mut upstream = look(checkout)?;
    upstream.departed = departure::look(checkout)?;
    if args.catalog {
        let org = args.org.resolve(checkout)?;
        let variants = [Variant::Separate, Variant::Combined];
        let entries = catalog::ask(checkout, org, &variants, &upstream.pinned)?;
        upstream = upstream.with_missing(catalog::gaps(&entries, &checkout.config.catalog.systems));
    }
    match args.format {
        Format::Text => ui::print(&upstream.text())?,
        Format::Json => ui::print(&format!("{}\n", serde_json::to_string_pretty(&upstream)?))?,
        Format::Github => upstream.write_github_output()?,
    }
    departure::decide(&upstream.departed)
}

/// Compares upstream's tags and PyPI with what is pinned.
pub fn look(checkout: &Checkout) -> Result<Upstream> {
    let pinned = checkout.pinned_version()?;
    let tags = GitHub::of_upstream(&checkout.config).tags()?;
    let (newer, passed_over) = newer(checkout, &tags, &pinned);
    let mut upstream = Upstream {
        newest: pinned.clone(),
        pinned,
        is_new: false,
        unfinished: Vec::new(),
        passed_over,
        departed: Vec::new(),
        missing: None,
        release: None,
    };
    for version in newer.into_iter().take(LOOKED_AT) {
        let why = match inspect::on_index(checkout, &version)? {
            OnIndex::Whole(_) => {
                upstream.release = Some(version.clone());
                upstream.newest = version;
                upstream.is_new = true;
                break;
            }
            OnIndex::Missing(missing) => format!("not on PyPI: {}", missing.join(", ")),
            OnIndex::Yanked(yanked) => format!("yanked on PyPI: {}", yanked.join(", ")),
        };
        upstream.unfinished.push(Unfinished { version, why });
    }
    Ok(upstream)
}

/// Versions that are newer than ours, the newest first, and the newer tags that are not looked at.
fn newer(
    checkout: &Checkout,
    tags: &[String],
    pinned: &Version,
) -> (Vec<Version>, Vec<PassedOver>) {
    let (mut newer, mut passed_over) = (Vec::new(), Vec::new());
    let mut pass_over = |tag: &String, why: &str| {
        passed_over.push(PassedOver { tag: tag.clone(), why: why.to_owned() });
    };
    for tag in tags {
        let Ok(version) = version::parse(tag) else {
            if let Some(why) = version::why_passed_over(tag, pinned) {
                pass_over(tag, why);
            }
            continue;
        };
        if version <= *pinned {
            continue;
        }
        match checkout.config.reason_to_leave_out(&version) {
            Some(reason) => pass_over(tag, &format!("left out: {reason}")),
            None => newer.push(version),
        }
    }
    newer.sort_by(|a, b| b.cmp(a));
    (newer, passed_over)
}

impl Upstream {
    /// Adds what the catalog lacks of the pinned version.
    fn with_missing(mut self, gaps: Vec<Gap>) -> Self {
        if self.release.is_none() && !gaps.is_empty() {
            self.release = Some(self.pinned.clone());
        }
        self.missing = Some(gaps);
        self
    }

    /// A few lines for people.
    pub fn text(&self) -> String {
        let Self { pinned, newest, is_new, unfinished, passed_over, departed, missing, .. } = self;
        let mut text = if *is_new {
            format!("new: {newest} (pinned: {pinned})\n")
        } else {
            format!("up to date: {pinned}\n")
        };
        for Unfinished { version, why } in unfinished {
            text.push_str(&format!("unfinished: {version}: {why}\n"));
        }
        for PassedOver { tag, why } in passed_over {
            text.push_str(&format!("passed over: {}: {why}\n", tag.escape_debug()));
        }
        for departed in departed {
            text.push_str(&format!("changed: {departed}\n"));
        }
        for gap in missing.iter().flatten() {
            text.push_str(&format!("missing: {pinned}: {gap}\n"));
        }
        text
    }

    /// Prints `key=value` lines and appends them to the file that Actions names in `GITHUB_OUTPUT`.
    fn write_github_output(&self) -> Result<()> {
        let Self { pinned, newest, is_new, release, .. } = self;
        for line in self.text().lines() {
            ui::detail(line);
        }
        let release = release.as_ref().map(Version::to_string).unwrap_or_default();
        let lines = format!("new={is_new}\nversion={newest}\npinned={pinned}\nrelease={release}\n");
        ui::print(&lines)?;
        let Some(path) = std::env::var_os("GITHUB_OUTPUT") else {
            return Err(Failure::usage(
                "`--format github` needs `GITHUB_OUTPUT`, which is not set",
            )
            .hint("outside Actions use `--format json`")
            .into());
        };
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .with_context(|| format!("failed to write `{}`", path.display()))
    }
}
