//! `smoke`: runs what was built, as its users will, and lets nothing through that does not work.
//!
//! A tree (see [`tree`]) is a variant's outputs or any directory with Dagster in it. Its probes are
//! independent and all of them run; each says what it expected and found, and any that fails fails
//! the tree. They see no variable of ours, no home of ours, and no network but loopback is needed.
//! Nothing is built here, and nothing in a tree is written to.

mod probes;
mod python;
mod report;
mod sandbox;
mod server;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use semver::Version;

use self::report::Job;
use self::sandbox::Sandbox;
use self::tree::Tree;
use super::build::{self, Built, BuiltOutput};
use crate::checkout::Checkout;
use crate::cli::VariantArg;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::config::Variant;
use crate::model::version;
use crate::ui;

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(60);

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
}

/// One variant that passed its smoke test. Nothing else makes one.
pub struct Smoked {
    built: Built,
}

impl Smoked {
    pub fn built(&self) -> &Built {
        &self.built
    }
}

/// One run over one tree.
struct Smoke<'a> {
    tree: &'a Tree,
    scratch: PathBuf,
    deadline: Duration,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    if let (Some(root), Some(expect)) = (&args.root, &args.expect) {
        let version = version::parse(expect)?;
        let tree = Tree::at(&checkout.config, root, &version, &args.packages)?;
        return check(&tree);
    }
    let version = checkout.pinned_version()?;
    for &variant in args.variant.variants() {
        let outputs = outputs(checkout, variant, &version)?;
        check(&Tree::of_outputs(&checkout.config, variant, &version, &outputs))?;
    }
    Ok(())
}

/// Validates a variant that was just built.
///
/// # Errors
/// Names the first probe that failed and lists the others; the logs are kept and their place named.
pub fn smoke(checkout: &Checkout, built: Built) -> Result<Smoked> {
    let config = &checkout.config;
    check(&Tree::of_outputs(config, built.variant, &built.version, &built.outputs))?;
    Ok(Smoked { built })
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

fn check(tree: &Tree) -> Result<()> {
    check_within(tree, DEADLINE)
}

fn check_within(tree: &Tree, deadline: Duration) -> Result<()> {
    ui::step("Smoking", format!("`{}` {}, a {}", tree.name, tree.version, tree.kind));
    let scratch = tempfile::Builder::new()
        .prefix("smoke-")
        .tempdir()
        .context("failed to make a temporary directory")?;
    // Processes get to see the resolved path: a link on the way is not theirs to compare.
    let dir = scratch.path().canonicalize().context("failed to resolve a temporary directory")?;
    let smoke = Smoke { tree, scratch: dir, deadline };
    let probes = report::run_all(&smoke.jobs());
    interrupt::check()?;
    if let Some(failure) = report::failure(&tree.name, &probes, &smoke.scratch) {
        let _ = scratch.keep();
        return Err(failure.into());
    }
    anyhow::ensure!(!probes.is_empty(), "no probe fits `{}`", tree.name);
    ui::step("Passed", format!("`{}`: {} probes", tree.name, probes.len()));
    Ok(())
}

impl Smoke<'_> {
    fn version(&self) -> &Version {
        &self.tree.version
    }

    fn sandbox(&self, probe: &str) -> Result<Sandbox> {
        Sandbox::create(&self.scratch, probe, self.deadline)
    }

    /// All probes; what says most about what is wrong comes first, and is the headline.
    fn jobs(&self) -> Vec<Job<'_>> {
        let mut jobs: Vec<Job<'_>> = Vec::new();
        for part in &self.tree.parts {
            if part.packages.is_empty() {
                jobs.push(Box::new(|| vec![part.check_source()]));
            } else {
                jobs.extend(probes::commands(self, part));
            }
        }
        for part in &self.tree.parts {
            if part.packages.iter().any(|package| !package.commands.is_empty()) {
                jobs.push(Box::new(|| python::probes(self, part)));
            }
        }
        if let Some(part) = self.tree.part_of("dagster") {
            jobs.extend(probes::dagster(self, part));
        }
        if let Some(part) = self.tree.part_of("dagster-webserver") {
            jobs.push(Box::new(|| server::probes(self, part)));
        }
        jobs
    }
}

#[cfg(test)]
mod tests;
