//! Arguments that several commands take.

use anyhow::Result;
use clap::ValueEnum;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::{Variant, catalog_name_error, is_catalog_name};

/// `--variant`.
#[derive(clap::Args, Clone, Copy)]
pub struct VariantArg {
    /// Which of the two packagings
    #[arg(long = "variant", value_name = "VARIANT", value_enum, default_value = "all")]
    choice: VariantChoice,
}

#[derive(ValueEnum, Clone, Copy)]
enum VariantChoice {
    Separate,
    Combined,
    All,
}

impl VariantArg {
    /// The chosen variants, in the order they are built and published.
    pub fn variants(self) -> &'static [Variant] {
        match self.choice {
            VariantChoice::Separate => &[Variant::Separate],
            VariantChoice::Combined => &[Variant::Combined],
            VariantChoice::All => &[Variant::Separate, Variant::Combined],
        }
    }
}

/// `--org`.
#[derive(clap::Args, Clone)]
pub struct OrgArg {
    /// FloxHub organization to publish to, instead of the one in release.toml
    #[arg(long = "org", value_name = "ORG")]
    org: Option<String>,
}

impl OrgArg {
    /// The organization to publish to.
    pub fn resolve<'a>(&'a self, checkout: &'a Checkout) -> Result<&'a str> {
        let Some(org) = &self.org else { return Ok(&checkout.config.catalog.org) };
        if is_catalog_name(org) {
            Ok(org)
        } else {
            Err(Failure::usage(catalog_name_error(org)).into())
        }
    }
}

/// How a command prints its data.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}
