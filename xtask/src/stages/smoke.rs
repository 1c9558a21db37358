//! `smoke`: what is smoked, in what order, and what comes of it. The gate itself is [`gate`].

use std::path::PathBuf;

use anyhow::Result;
use semver::Version;

use super::build::{self, Built, BuiltOutput};
use crate::args::{Format, VariantArg};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::closure::{Closure, from_message, trailer, trailer_start};
use crate::model::config::Variant;
use crate::model::version;
use crate::smoke::places::Places;
use crate::smoke::report::Report;
use crate::smoke::tree::Tree;
use crate::smoke::{self as gate, Last, Options, formats};
use crate::tools::flox;
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

/// One variant that passed its smoke test, here or where an attestation says so. Nothing else makes
/// one.
pub struct Smoked {
    built: Built,
    closure: Option<Closure>,
}

impl Smoked {
    pub fn built(&self) -> &Built {
        &self.built
    }

    /// What an attestation that was checked speaks for.
    pub(super) fn elsewhere(built: Built, closure: Option<Closure>) -> Self {
        Self { built, closure }
    }

    pub fn closure(&self) -> Option<Closure> {
        self.closure
    }

    /// What the commit of a release remembers of this variant on this system, a line.
    pub fn trailer(&self) -> Result<Option<String>> {
        let Some(closure) = self.closure else { return Ok(None) };
        Ok(Some(trailer(self.built.variant, &flox::system()?, closure)))
    }
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
            let tree = tree_of(checkout, variant, &version, &outputs);
            runs.push(check(&tree, checkout, Some(variant), &args.options)?);
            if interrupt::is_set() {
                break;
            }
        }
    }
    let (reports, failures): (Vec<Report>, Vec<Option<Failure>>) = runs.into_iter().unzip();
    formats::write(&args.options.reports, &reports)?;
    if args.format == Format::Json {
        ui::print(&formats::json(&reports))?;
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
        let tree = tree_of(checkout, variant, &built.version, &built.outputs);
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

fn tree_of(
    checkout: &Checkout,
    variant: Variant,
    version: &Version,
    outputs: &[BuiltOutput],
) -> Tree {
    let outputs: Vec<_> =
        outputs.iter().map(|output| (&*output.attribute, &*output.path)).collect();
    Tree::of_outputs(&checkout.config, variant, version, &outputs)
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
    let system = flox::system()?;
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
    let places = Places::make()?;
    let _guard = Guard::start(&places.all())?;
    gate::smoke(tree, places, &checkout.config.smoke, Some(&checkout.root), last, options)
}
