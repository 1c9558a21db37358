//! `watch`: what upstream has that we have not.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use semver::Version;
use serde::Serialize;

use super::inspect::{self, OnIndex};
use crate::checkout::Checkout;
use crate::failure::Failure;
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
}

#[derive(Debug, Clone, Serialize)]
pub struct Unfinished {
    pub version: Version,
    pub why: String,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    debug_assert!(args.once);
    let upstream = look(checkout)?;
    match args.format {
        Format::Text => ui::print(&upstream.text()),
        Format::Json => ui::print(&format!("{}\n", serde_json::to_string_pretty(&upstream)?)),
        Format::Github => upstream.write_github_output()?,
    }
    Ok(())
}

/// Compares upstream's tags and PyPI with what is pinned.
pub fn look(checkout: &Checkout) -> Result<Upstream> {
    let pinned = checkout.pinned_version()?;
    let tags = GitHub::of_upstream(&checkout.config).tags()?;
    let mut newer: Vec<Version> = tags
        .iter()
        .filter_map(|tag| version::parse(tag).ok())
        .filter(|version| *version > pinned)
        .collect();
    newer.sort_by(|a, b| b.cmp(a));
    let mut unfinished = Vec::new();
    for version in newer.into_iter().take(LOOKED_AT) {
        let why = match inspect::on_index(checkout, &version)? {
            OnIndex::Whole(_) => {
                return Ok(Upstream { pinned, newest: version, is_new: true, unfinished });
            }
            OnIndex::Missing(missing) => format!("not on PyPI: {}", missing.join(", ")),
            OnIndex::Yanked(yanked) => format!("yanked on PyPI: {}", yanked.join(", ")),
        };
        unfinished.push(Unfinished { version, why });
    }
    Ok(Upstream { newest: pinned.clone(), pinned, is_new: false, unfinished })
}

impl Upstream {
    /// A few lines for people.
    pub fn text(&self) -> String {
        let Self { pinned, newest, is_new, unfinished } = self;
        let mut text = if *is_new {
            format!("new: {newest} (pinned: {pinned})\n")
        } else {
            format!("up to date: {pinned}\n")
        };
        for Unfinished { version, why } in unfinished {
            text.push_str(&format!("unfinished: {version}: {why}\n"));
        }
        text
    }

    /// Prints `key=value` lines and appends them to the file that Actions names in `GITHUB_OUTPUT`.
    fn write_github_output(&self) -> Result<()> {
        let Self { pinned, newest, is_new, .. } = self;
        let lines = format!("new={is_new}\nversion={newest}\npinned={pinned}\n");
        ui::print(&lines);
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
