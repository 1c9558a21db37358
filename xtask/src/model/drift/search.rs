//! A comparison under way: its input and what was found so far. Looking for differences is for
//! `packages` and `requirements`.

use super::finding::Finding;
use super::relaxed::Relaxed;
use crate::model::config::Config;
use crate::model::facts::{Distribution, Facts};
use crate::model::located::Located;
use crate::model::nix_edit::Expression;
use crate::model::nixpkgs::Recorded;
use crate::model::requirement::Target;

/// What is compared.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    pub config: &'a Config,
    pub nixpkgs: &'a Recorded,
    pub facts: &'a Facts,
    /// The distributions of the version that is pinned now, if they are known.
    pub before: Option<&'a [Distribution]>,
    /// The packages as they would be built.
    pub expressions: &'a [Expression],
    /// Each name of a Python in the files.
    pub pythons: &'a [Located<String>],
    pub relaxed: &'a [Relaxed],
}

/// What is compared, and what was found so far.
pub(super) struct Search<'a> {
    pub compared: Compared<'a>,
    pub config: &'a Config,
    pub facts: &'a Facts,
    /// The Python that the release is built with.
    pub python: &'a str,
    pub targets: Vec<Target>,
    pub found: Vec<Finding>,
    pub noticed: Vec<Finding>,
}

impl Search<'_> {
    pub fn add(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// The expressions that build a package.
    pub fn expressions_of<'s>(
        &'s self,
        package: &'s str,
    ) -> impl Iterator<Item = &'s Expression> + 's {
        self.compared.expressions.iter().filter(move |expression| expression.package == package)
    }

    /// The places of those expressions.
    pub fn places(&self, package: &str) -> Vec<String> {
        self.expressions_of(package)
            .map(|expression| format!("{}:{}", expression.path, expression.line))
            .collect()
    }
}
