//! `smoke`: runs what was built, as its users will, and lets nothing through that does not work.
//!
//! A tree (see [`tree`]) is a variant's outputs or any directory with Dagster in it. Its probes are
//! independent and all of them run; each says what it expected and found, and any that fails fails
//! the tree. They see no variable of ours, no home of ours, and no network but loopback is needed.
//! Nothing is built here, and nothing in a tree is written to.

mod children;
mod closure;
mod daemon;
mod formats;
mod probes;
mod python;
mod report;
mod sandbox;
mod second;
mod server;
mod together;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use semver::Version;
use tempfile::TempDir;

use self::closure::{Closure, Last};
use self::report::{Job, Report};
use self::sandbox::Sandbox;
use self::together::Together;
use self::tree::Tree;
use super::build::{self, Built, BuiltOutput};
use super::publish;
use crate::checkout::Checkout;
use crate::cli::{Format, VariantArg};
use crate::failure::Failure;
use crate::interrupt;
use crate::model::closure::{from_message, trailer, trailer_start};
use crate::model::config::{self, Variant};
use crate::model::version;
use crate::tools::guard::Guard;
use crate::ui;

/// Validate what was built
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    variant: VariantArg,
    /// Validate this directory instead: a flox result, a Nix result or a virtual environment
    #[arg(long, value_name = "DIR", requires = "expect", conflicts_with = "choice")]
    root: Option<PathBuf>,
    /// The version of Dagster that DIR must have
    #[arg(long, value_name = "VERSION", requires = "root")]
    expect: Option<String>,
    /// Only this package of DIR; may be given more than once
    #[arg(long = "package", value_name = "NAME", requires = "root")]
    packages: Vec<String>,
    /// json: the report on stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    options: Options,
}

/// What every command that smokes takes.
#[derive(clap::Args, Clone, Default)]
pub struct Options {
    /// A probe that may be skipped; may be given more than once
    #[arg(long = "allow-skip", value_name = "PROBE")]
    may_skip: Vec<String>,
    /// Start no probe after one that failed
    #[arg(long)]
    fail_fast: bool,
    /// Write the smoke report as json, junit or markdown (added to the file); may be given more
    /// than once
    #[arg(long = "report", value_name = "KIND=FILE")]
    reports: Vec<formats::Target>,
}

/// One variant that passed its smoke test. Nothing else makes one.
pub struct Smoked {
    built: Built,
    closure: Option<Closure>,
}

impl Smoked {
    pub fn built(&self) -> &Built {
        &self.built
    }

    /// What the commit of a release remembers of this variant on this system, a line.
    pub fn trailer(&self) -> Result<Option<String>> {
        let Some(closure) = self.closure else { return Ok(None) };
        Ok(Some(trailer(self.built.variant, &publish::system()?, closure)))
    }
}

/// One run over one tree.
struct Smoke<'a> {
    tree: &'a Tree,
    scratch: PathBuf,
    budget: config::Smoke,
    end: Instant,
    /// The checkout that the tree was built from.
    checkout: Option<&'a Path>,
    last: Option<Last>,
    /// The parts merged, where there are several.
    together: Option<Together>,
    /// Two of them merged.
    pair: Option<Together>,
    /// What one of the probes measures.
    closure: Mutex<Option<Closure>>,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let mut runs = Vec::new();
    if let (Some(root), Some(expect)) = (&args.root, &args.expect) {
        let version = version::parse(expect)?;
        let tree = Tree::at(&checkout.config, root, &version, &args.packages)?;
        runs.push(check(&tree, checkout, None, &args.options)?);
    } else {
        let version = checkout.pinned_version()?;
        for &variant in args.variant.variants() {
            let outputs = outputs(checkout, variant, &version)?;
            let tree = Tree::of_outputs(&checkout.config, variant, &version, &outputs);
            runs.push(check(&tree, checkout, Some(variant), &args.options)?);
        }
    }
    let (reports, failures): (Vec<Report>, Vec<Option<Failure>>) = runs.into_iter().unzip();
    formats::write(&args.options.reports, &reports)?;
    if args.format == Format::Json {
        ui::print(&formats::json(&reports));
    }
    match failures.into_iter().flatten().next() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// Builds and validates variants, up to one that does not pass.
///
/// # Errors
/// Names the first probe that failed and lists the others; the logs are kept and their place named.
pub fn build_and_smoke(
    checkout: &Checkout,
    variants: &[Variant],
    options: &Options,
) -> Result<Vec<Smoked>> {
    let mut reports = Vec::new();
    let mut smoked = Vec::new();
    for &variant in variants {
        let built = build::build(checkout, variant)?;
        let tree = Tree::of_outputs(&checkout.config, variant, &built.version, &built.outputs);
        let (report, failure) = check(&tree, checkout, Some(variant), options)?;
        let closure = report.closure;
        reports.push(report);
        if let Some(failure) = failure {
            formats::write(&options.reports, &reports)?;
            return Err(failure.into());
        }
        smoked.push(Smoked { built, closure });
    }
    formats::write(&options.reports, &reports)?;
    Ok(smoked)
}

/// What an earlier build left.
fn outputs(checkout: &Checkout, variant: Variant, version: &Version) -> Result<Vec<BuiltOutput>> {
    checkout
        .config
        .attributes_of(variant, version)
        .map(|attribute| {
            let link = build::link(checkout, attribute);
            let path = link.canonicalize().map_err(|_| {
                Failure::failed(format!("expected a build at `{}`, found none", link.display()))
                    .hint(format!("`cargo xtask build --variant {variant}`"))
            })?;
            Ok(BuiltOutput { attribute: attribute.to_owned(), path })
        })
        .collect()
}

/// What the commit of the last release says of a variant's closure on this system.
fn last(checkout: &Checkout, variant: Variant) -> Result<Option<Last>> {
    let system = publish::system()?;
    let message = checkout.git().last_message_with(&trailer_start(variant, &system))?;
    let percent = checkout.config.smoke.closure_percent;
    Ok(message
        .and_then(|message| from_message(&message, variant, &system))
        .map(|closure| Last { closure, percent }))
}

/// Runs all probes of a tree. The failure is there when it did not pass; then the logs are kept.
fn check(
    tree: &Tree,
    checkout: &Checkout,
    variant: Option<Variant>,
    options: &Options,
) -> Result<(Report, Option<Failure>)> {
    let last = variant.map(|variant| last(checkout, variant)).transpose()?.flatten();
    let scratch = scratch()?;
    let _guard = Guard::start(scratch.path())?;
    check_within(tree, scratch, checkout.config.smoke, Some(&checkout.root), last, options)
}

fn scratch() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("smoke-")
        .tempdir()
        .context("failed to make a temporary directory")
}

fn check_within(
    tree: &Tree,
    scratch: TempDir,
    budget: config::Smoke,
    checkout: Option<&Path>,
    last: Option<Last>,
    options: &Options,
) -> Result<(Report, Option<Failure>)> {
    ui::step("Smoking", format!("`{}` {}, a {}", tree.name, tree.version, tree.kind));
    let start = Instant::now();
    // Processes get to see the resolved path: a link on the way is not theirs to compare.
    let dir = scratch.path().canonicalize().context("failed to resolve a temporary directory")?;
    let smoke = Smoke {
        tree,
        together: together::of(tree, &dir.join("together"))?,
        pair: together::pair(tree, &dir.join("pair"))?,
        scratch: dir,
        budget,
        end: start + Duration::from_secs(budget.seconds),
        checkout,
        last,
        closure: Mutex::new(None),
    };
    let probes = report::run_all(&smoke.jobs(), smoke.end, options.fail_fast);
    interrupt::check()?;
    anyhow::ensure!(!probes.is_empty(), "no probe fits `{}`", tree.name);
    let closure = smoke.closure.lock().ok().and_then(|closure| *closure);
    let report = Report {
        tree: tree.name.clone(),
        kind: tree.kind.to_string(),
        version: tree.version.clone(),
        took: start.elapsed(),
        probes,
        closure,
        may_skip: options.may_skip.clone(),
    };
    let failure = report.failure(&smoke.scratch);
    if failure.is_some() {
        let _ = scratch.keep();
    } else {
        let seconds = report.took.as_secs_f64();
        let count = report.probes.len();
        ui::step("Passed", format!("`{}`: {count} probes in {seconds:.1} s", tree.name));
    }
    Ok((report, failure))
}

impl Smoke<'_> {
    fn version(&self) -> &Version {
        &self.tree.version
    }

    fn sandbox(&self, probe: &str) -> Result<Sandbox> {
        Sandbox::create(&self.scratch, probe, Duration::from_secs(self.budget.command_seconds))
    }

    /// All probes; what says most about what is wrong comes first, and is the headline.
    fn jobs(&self) -> Vec<Job<'_>> {
        let mut jobs: Vec<Job<'_>> = Vec::new();
        for part in &self.tree.parts {
            if part.packages.is_empty() {
                jobs.push(Job::one(part.label("source"), |_| part.check_source()));
            } else {
                jobs.push(Job::one(part.label("commands"), |_| part.check_commands(self.tree)));
            }
        }
        for part in &self.tree.parts {
            if part.packages.iter().any(|package| !package.commands.is_empty()) {
                jobs.push(python::job(self, part));
            }
        }
        for part in &self.tree.parts {
            jobs.extend(probes::commands(self, part));
        }
        if let Some(Together { part, merged, .. }) = &self.together {
            jobs.push(Job::one(part.name.as_str(), |_| Ok(merged.clone())));
            jobs.push(Job::one(part.label("commands"), |_| part.check_commands(self.tree)));
        }
        if let Some(part) = self.tree.part_of("dagster") {
            jobs.extend(probes::dagster(self, part));
            jobs.push(daemon::job(self, part));
        }
        if let Some(part) = self.tree.part_of("dagster-graphql") {
            jobs.push(probes::graphql(self, part));
        }
        // As users have them: among the others.
        let merged = self.together.as_ref().map(|together| &together.part);
        if let Some(part) = self.tree.part_of("dagster") {
            jobs.push(children::job(self, merged.unwrap_or(part)));
        }
        if let Some(part) = self.tree.part_of("dagster-webserver") {
            let part = merged.unwrap_or(part);
            jobs.push(server::job(self, part));
            // `dagster` starts the other.
            if part.packages.iter().any(|package| package.name == "dagster") {
                jobs.push(server::dev_job(self, part.clone(), str::to_owned));
            }
        }
        if let Some(pair) = &self.pair {
            jobs.push(pair.job(self));
            let part = pair.through_links();
            jobs.push(server::dev_job(self, part, |name| pair.part.label(name)));
        }
        jobs.extend(closure::jobs(self));
        jobs
    }
}

#[cfg(test)]
mod tests;
