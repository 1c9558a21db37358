//! `status`: pinned, upstream, published, side by side.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use semver::Version;
use serde::Serialize;

use super::catalog::{self, Entry, Package};
use super::departure::{self, Departed};
use super::watch;
use crate::args::{Format, OrgArg, VariantArg};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::version;
use crate::tools::flox;
use crate::ui;

/// Show pinned, upstream and published, side by side
#[derive(clap::Args)]
pub struct Args {
    /// Ask the catalog for this version, not for the pinned one
    version: Option<String>,
    /// End with status 4 when the version is published in part, with 1 when nothing of it is
    #[arg(long)]
    check: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    variant: VariantArg,
    #[command(flatten)]
    org: OrgArg,
}

/// This is the JSON that `--format json` prints.
#[derive(Serialize)]
struct Status {
    pinned: Version,
    /// The newest version that upstream finished; `null` when upstream cannot be asked.
    upstream: Option<Version>,
    /// What upstream changed of versions that branches of releases are pinned at; `null` when
    /// upstream cannot be asked.
    departed: Option<Vec<Departed>>,
    /// The version of Dagster that the catalog was asked for.
    version: Version,
    system: String,
    /// Per package, whether it is in the catalog for this system; `null` when the catalog cannot
    /// be asked.
    published: BTreeMap<String, Option<bool>>,
    /// Per package, what it calls itself at that version of Dagster.
    versions: BTreeMap<String, String>,
    /// The same as `published`, for every system of `release.toml`.
    systems: BTreeMap<String, BTreeMap<String, Option<bool>>>,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let org = args.org.resolve(checkout)?;
    let pinned = checkout.pinned_version()?;
    let version = match &args.version {
        Some(text) => version::parse(text)?,
        None => pinned.clone(),
    };
    let (upstream, departed) = match look(checkout) {
        Ok((newest, departed)) => (Some(newest), Some(departed)),
        Err(error) => {
            ui::warning(format!("{error:#}"));
            (None, None)
        }
    };
    let variants = args.variant.variants();
    let packages = catalog::packages(&checkout.config, org, variants, &version);
    let flox = catalog::flox(checkout);
    let answers: Vec<Result<Entry>> = match &flox {
        Ok(flox) => packages.iter().map(|package| package.ask(flox)).collect(),
        Err(error) => packages.iter().map(|_| Err(anyhow::anyhow!("{error:#}"))).collect(),
    };
    let systems = &checkout.config.catalog.systems;
    let system = flox::system()?;
    let status = Status {
        departed,
        ..Status::new(pinned, upstream, version, system, systems, &packages, &answers)
    };
    match args.format {
        Format::Json => ui::print(&format!("{}\n", serde_json::to_string_pretty(&status)?))?,
        Format::Text => ui::print(&status.text())?,
    }
    if args.check {
        check(&status.version, answers, systems)?;
    } else {
        let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
        for error in errors.map(|error| format!("{error:#}")).collect::<BTreeSet<_>>() {
            ui::warning(format!("the catalog cannot be asked: {error}"));
        }
    }
    departure::decide(status.departed.as_deref().unwrap_or_default())
}

/// The newest version that upstream finished, and what it changed of those that are pinned.
fn look(checkout: &Checkout) -> Result<(Version, Vec<Departed>)> {
    Ok((watch::look(checkout)?.newest, departure::look(checkout)?))
}

/// Is all of a version in the catalog, for every system?
fn check(version: &Version, answers: Vec<Result<Entry>>, systems: &[String]) -> Result<()> {
    let entries: Vec<Entry> = answers.into_iter().collect::<Result<_>>()?;
    let gaps = catalog::gaps(&entries, systems);
    if gaps.is_empty() {
        return Ok(());
    }
    if gaps.iter().any(|gap| gap.is_all && gap.systems.len() == systems.len()) {
        return Err(Failure::failed(format!(
            "expected {version} in the catalog for {}, found nothing of it",
            systems.join(", ")
        ))
        .hint(format!("`cargo xtask release {version}`"))
        .into());
    }
    let missing: Vec<String> = gaps.iter().map(catalog::Gap::to_string).collect();
    Err(Failure::partial(format!(
        "{version} is published in part; missing: {}",
        missing.join("; ")
    ))
    .hint(format!(
        "`cargo xtask release {version}` on a machine of each of these systems, or the workflow \
         again: what is published is skipped"
    ))
    .into())
}

impl Status {
    fn new(
        pinned: Version,
        upstream: Option<Version>,
        version: Version,
        system: String,
        systems: &[String],
        packages: &[Package],
        answers: &[Result<Entry>],
    ) -> Self {
        let is_for = |system: &str| {
            let known = |answer: &Result<Entry>| Some(answer.as_ref().ok()?.is_for(system));
            packages.iter().zip(answers).map(|(it, answer)| (it.path(), known(answer))).collect()
        };
        Self {
            pinned,
            upstream,
            departed: None,
            version,
            published: is_for(&system),
            versions: packages.iter().map(|it| (it.path(), it.version.clone())).collect(),
            systems: systems.iter().map(|system| (system.clone(), is_for(system))).collect(),
            system,
        }
    }

    fn text(&self) -> String {
        let upstream = self.upstream.as_ref().map_or("unknown".to_owned(), Version::to_string);
        let mut text = format!(
            "{:<10} {}\n{:<10} {upstream}\n{:<10} {} for {}\n",
            "pinned", self.pinned, "upstream", "published", self.version, self.system
        );
        for departed in self.departed.iter().flatten() {
            text.push_str(&format!("{:<10} {departed}\n", "changed"));
        }
        for (package, is_published) in &self.published {
            let word = match is_published {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            };
            text.push_str(&format!("  {word:<8} {package}@{}", self.versions[package]));
            let missing: Vec<&str> = self
                .systems
                .iter()
                .filter(|(_, packages)| packages[package] == Some(false))
                .map(|(system, _)| system.as_str())
                .collect();
            if !missing.is_empty() {
                text.push_str(&format!(", missing for {}", missing.join(", ")));
            }
            text.push('\n');
        }
        text
    }
}
