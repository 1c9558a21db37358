//! Attestations: what one job built and smoked, another one commits and publishes without running
//! any of it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use semver::Version;

use super::build::{self, Built};
use super::smoke::Smoked;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::attestation::{Attestation, Output, Passed};
use crate::model::config::Variant;
use crate::tools::{flox, store};
use crate::ui;

/// Writes down what passed.
pub fn write(checkout: &Checkout, version: &Version, smoked: &[Smoked], file: &Path) -> Result<()> {
    let passed = smoked.iter().map(|smoked| {
        let built = smoked.built();
        Ok(Passed {
            variant: built.variant,
            sources: checkout.git().ids_in(&built.tree, build::TESTED)?,
            outputs: outputs(built)?,
            closure: smoked.closure(),
        })
    });
    let passed = passed.collect::<Result<_>>()?;
    let attestation = Attestation::new(version.clone(), flox::system()?, passed);
    fs::write(file, attestation.to_json())
        .with_context(|| format!("failed to write the attestation `{}`", file.display()))?;
    ui::step("Attested", format!("{version} in `{}`", file.display()));
    Ok(())
}

/// Variants that passed elsewhere, as this checkout has them now; built here where that is asked
/// for, and not run.
///
/// # Errors
/// Status 1 where the attestation speaks of something else: another version or system, other
/// sources, or a build that comes to something else here. Names what was expected and found.
pub fn go_by(
    checkout: &Checkout,
    version: &Version,
    variants: &[Variant],
    file: &Path,
    builds: bool,
) -> Result<Vec<Smoked>> {
    let refused = || format!("cannot go by the attestation `{}`", file.display());
    let text = fs::read_to_string(file).with_context(refused).map_err(|error| {
        let hint = "the job that builds for this system writes it once everything passed: its log \
                    says why it did not";
        Failure::failed("nothing says that this passed").caused_by(error).hint(hint)
    })?;
    let attestation = Attestation::from_json(&text).with_context(refused)?;
    let system = flox::system()?;
    let tree = checkout.git().tree_of_tracked_files()?;
    let sources = checkout.git().ids_in(&tree, build::TESTED)?;
    let mut smoked = Vec::new();
    for &variant in variants {
        let passed = attestation.of(variant, version, &system).with_context(refused)?;
        let other = passed.other_sources(&sources);
        if !other.is_empty() {
            return Err(Failure::failed(format!(
                "`{variant}` passed with another `{}` than there is here",
                other.join("`, `")
            ))
            .hint("the branch moved since: run the workflow again, so that this is tested")
            .into());
        }
        let built = match builds {
            true => build::build(checkout, variant)?,
            false => {
                Built { variant, version: version.clone(), tree: tree.clone(), outputs: vec![] }
            }
        };
        if builds {
            check_same(passed, &built)?;
        }
        ui::step("Attested", format!("`{variant}` {version} passed on {system}; not run here"));
        smoked.push(Smoked::elsewhere(built, passed.closure));
    }
    Ok(smoked)
}

fn check_same(passed: &Passed, built: &Built) -> Result<()> {
    let Some((expected, found)) = passed.other_output(&outputs(built)?) else { return Ok(()) };
    Err(Failure::failed(format!(
        "`{}` comes to something else here than what passed: expected {expected}, found {found}",
        built.variant
    ))
    .hint("run the workflow again; if it stays, the build is not reproducible")
    .into())
}

fn outputs(built: &Built) -> Result<Vec<Output>> {
    let outputs = built.outputs.iter().map(|output| {
        Ok(Output {
            attribute: output.attribute.clone(),
            path: output.path.display().to_string(),
            nar_hash: store::nar_hash(&output.path)?,
        })
    });
    outputs.collect()
}
