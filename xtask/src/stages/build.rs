//! `build`: `flox build` of every package of a variant.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use semver::Version;

use super::{contradiction, recover};
use crate::args::VariantArg;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Variant;
use crate::tools::flox::{self, Flox};
use crate::ui;

/// What a build and its smoke test depend on, from the top of the repository.
pub const TESTED: &[&str] = &["nix", "flox", "release.toml", "nixpkgs.toml"];

/// Build with `flox build`
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    variant: VariantArg,
}

/// One variant as it was built from the tracked files of a checkout.
pub struct Built {
    pub variant: Variant,
    pub version: Version,
    /// The git tree of the tracked files that were built.
    pub tree: String,
    pub outputs: Vec<BuiltOutput>,
}

/// One attribute and where it was built to.
pub struct BuiltOutput {
    pub attribute: String,
    /// Inside the Nix store: the result link is resolved.
    pub path: PathBuf,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let _lock = recover::start(checkout, "build")?;
    for &variant in args.variant.variants() {
        for output in build(checkout, variant)?.outputs {
            ui::detail(format!("{} -> {}", output.attribute, output.path.display()));
        }
    }
    Ok(())
}

/// Builds a variant from the tracked files as they are.
pub fn build(checkout: &Checkout, variant: Variant) -> Result<Built> {
    let version = checkout.pinned_version()?;
    let attributes: Vec<&str> = checkout.config.attributes_of(variant, &version).collect();
    let tree = checkout.git().tree_of_tracked_files()?;
    ui::step("Building", format!("{variant} {version}: {}", attributes.join(" ")));
    // A link that an earlier build left must not pass for one of this build.
    for attribute in &attributes {
        let link = link(checkout, attribute);
        if link.is_symlink() {
            std::fs::remove_file(&link)
                .with_context(|| format!("failed to remove `{}`", link.display()))?;
        }
    }
    Flox::new(&checkout.root)
        .build(&attributes)
        .with_context(|| format!("failed to build `{variant}` {version}"))
        .map_err(|error| contradiction::explained(checkout, error))?;
    let after = checkout.git().tree_of_tracked_files()?;
    if after != tree {
        let dirty = checkout.git().dirty()?.join(", ");
        return Err(Failure::failed(format!("`flox build` changed tracked files: {dirty}"))
            .hint("commit what flox wrote (`git diff`), most likely a new `manifest.lock`")
            .into());
    }
    let outputs = attributes
        .into_iter()
        .map(|attribute| {
            let link = link(checkout, attribute);
            let path = link.canonicalize().with_context(|| {
                format!("expected `flox build` to leave `{}`, found nothing", link.display())
            })?;
            check_name(&path, attribute, &checkout.config.version_of(attribute, &version))?;
            Ok(BuiltOutput { attribute: attribute.to_owned(), path })
        })
        .collect::<Result<_>>()?;
    Ok(Built { variant, version, tree, outputs })
}

/// Refuses an output whose name says another version than the catalog will be asked for. Store
/// paths are named `HASH-[PYTHON-]NAME-VERSION`; one that is not named after its attribute says
/// nothing.
fn check_name(path: &Path, attribute: &str, expected: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let found = name.rsplit_once(&format!("-{attribute}-")).map(|(_, version)| version);
    if found.is_none_or(|found| found == expected) {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "expected `{attribute}` to be built as version `{expected}`, found `{}`",
        path.display()
    ))
    .hint(
        "the `version` of its expression and the `versions` of the package in release.toml differ",
    )
    .into())
}

/// Where flox links to what it built.
pub(super) fn link(checkout: &Checkout, attribute: &str) -> PathBuf {
    checkout.root.join(flox::DIR).join(format!("result-{attribute}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_output_says_its_version() {
        let check = |name: &str, attribute, version| {
            let path = Path::new("/nix/store").join(format!("{}-{name}", "0".repeat(32)));
            check_name(&path, attribute, version).is_ok()
        };
        for (name, attribute, version, expected) in [
            ("python3.12-dagster-shared-0.26.6", "dagster-shared", "0.26.6", true),
            ("python3.12-dagster-shared-1.10.6", "dagster-shared", "0.26.6", false),
            ("dagster-complete-1.10.6", "dagster-complete", "1.10.6", true),
            ("dagster-src-1.10.5", "dagster-src", "1.10.6", false),
            ("python3.12-dagster-1.12.10", "dagster", "1.12.1", false),
            ("source", "dagster-src", "1.10.6", true),
        ] {
            assert_eq!(check(name, attribute, version), expected, "{name}");
        }
    }
}
