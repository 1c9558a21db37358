//! `status`: pinned, upstream, published, side by side.

use std::collections::BTreeMap;

use anyhow::Result;
use semver::Version;
use serde::Serialize;

use super::{publish, watch};
use crate::checkout::Checkout;
use crate::cli::{Format, OrgArg};
use crate::model::config::Variant;
use crate::tools::flox::Flox;
use crate::ui;

/// Show pinned, upstream and published, side by side
#[derive(clap::Args)]
pub struct Args {
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    org: OrgArg,
}

/// This is the JSON that `--format json` prints.
#[derive(Serialize)]
struct Status {
    pinned: Version,
    /// The newest version that upstream finished; `null` when upstream cannot be asked.
    upstream: Option<Version>,
    system: String,
    /// Per package, whether the pinned version is in the catalog for this system; `null` when the
    /// catalog cannot be asked.
    published: BTreeMap<String, Option<bool>>,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let org = args.org.resolve(checkout)?;
    let pinned = checkout.pinned_version()?;
    let upstream = match watch::look(checkout) {
        Ok(upstream) => Some(upstream.newest),
        Err(error) => {
            ui::warning(format!("{error:#}"));
            None
        }
    };
    let system = publish::system()?;
    let flox = Flox::new(&checkout.root);
    let has_flox = flox.version()?.is_some();
    if !has_flox {
        ui::warning("command not found: `flox`; the catalog was not asked");
    }
    let mut published = BTreeMap::new();
    for variant in [Variant::Separate, Variant::Combined] {
        for attribute in checkout.config.attributes_of(variant, &pinned) {
            let package = format!("{org}/{attribute}");
            let is_published = has_flox
                .then(|| publish::is_published(&flox, org, attribute, &pinned, &system))
                .transpose()
                .unwrap_or_else(|error| {
                    ui::warning(format!("{error:#}"));
                    None
                });
            published.insert(package, is_published);
        }
    }
    let status = Status { pinned, upstream, system, published };
    match args.format {
        Format::Json => ui::print(&format!("{}\n", serde_json::to_string_pretty(&status)?)),
        Format::Text => ui::print(&status.text()),
    }
    Ok(())
}

impl Status {
    fn text(&self) -> String {
        let upstream = self.upstream.as_ref().map_or("unknown".to_owned(), Version::to_string);
        let mut text = format!(
            "{:<10} {}\n{:<10} {upstream}\n{:<10} {} for {}\n",
            "pinned", self.pinned, "upstream", "published", self.pinned, self.system
        );
        for (package, is_published) in &self.published {
            let word = match is_published {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            };
            text.push_str(&format!("  {word:<8} {package}\n"));
        }
        text
    }
}
