//! What an audit is of: a release, and the attributes of nixpkgs that its expressions use.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::model::config::Config;
use crate::model::facts::Facts;
use crate::model::nix_edit::{Expression, ListName};

/// What is audited: a release, and the expressions that would build it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub expressions: &'a [Expression],
    /// The Pythons that the expressions name, as `3.13`.
    pub named: &'a BTreeSet<String>,
}

impl Subject<'_> {
    /// The attribute of the Python that the release is built with, as `python313`.
    ///
    /// # Errors
    /// A usage error where `release.toml` has none for the version.
    pub fn python(&self) -> Result<String> {
        Ok(attribute_of(self.config.python_at(&self.facts.release.version)?))
    }

    /// The attributes of nixpkgs' Python packages that the expressions use.
    pub fn names(&self) -> BTreeSet<String> {
        let lists = [ListName::Dependencies, ListName::BuildSystem];
        let all = self.expressions.iter().flat_map(|it| lists.map(|list| self.listed(it, list)));
        all.flat_map(BTreeMap::into_keys).collect()
    }

    /// The attributes in a list of one package, each with its place, without upstream's own
    /// packages. A wheel is not built.
    pub(super) fn listed(
        &self,
        expression: &Expression,
        list: ListName,
    ) -> BTreeMap<String, String> {
        if expression.is_wheel && list == ListName::BuildSystem {
            return BTreeMap::new();
        }
        let listing = expression.list(list);
        let names = listing.into_iter().flat_map(|listing| &listing.items).map(|item| {
            // `uvicorn[standard]`: what the extra pulls in is nixpkgs' to say
            let name = item.name.value.split('[').next().unwrap_or_default();
            (name.to_owned(), item.name.place().to_string())
        });
        names.filter(|(name, _)| !self.is_own(name)).collect()
    }

    fn is_own(&self, name: &str) -> bool {
        self.config.packages.iter().any(|package| package.name == name)
    }
}

/// `python313` of `3.13`.
pub fn attribute_of(python: &str) -> String {
    format!("python{}", python.replace('.', ""))
}
