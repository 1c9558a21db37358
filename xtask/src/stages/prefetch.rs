//! `prefetch`: prints the hash that `fetchFromGitHub` wants, computed here while the archive
//! streams.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::inspect;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::version;
use crate::ui;

/// Print the SRI hash of a version, an http(s) URL or a local .tar.gz
#[derive(clap::Args)]
pub struct Args {
    /// A version like 1.9.12, a URL, or the path of a .tar.gz
    source: String,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let source = args.source.as_str();
    let hash = if source.starts_with("https://") || source.starts_with("http://") {
        inspect::fetch(checkout, source)?.nar_hash()?
    } else if Path::new(source).is_file() {
        let file = File::open(source).with_context(|| format!("failed to open `{source}`"))?;
        let archive = inspect::open(checkout, file);
        archive.with_context(|| format!("failed to read the archive `{source}`"))?.nar_hash()?
    } else if source.contains(['/', '\\']) || source.ends_with(".gz") || source.ends_with(".tgz") {
        let hint = "give a version like `1.9.12`, a URL, or the path of a `.tar.gz`";
        return Err(Failure::usage(format!("no such file: `{source}`")).hint(hint).into());
    } else {
        let version = version::parse(source)?;
        inspect::facts(checkout, inspect::release(checkout, &version)?)?.source_hash
    };
    ui::print(&format!("{hash}\n"))?;
    Ok(())
}
