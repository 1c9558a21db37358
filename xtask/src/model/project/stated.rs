//! What `pyproject.toml` and `setup.py` can both state. Reading either is for `pyproject` and
//! `setup_py`.

use std::collections::BTreeMap;

use crate::model::located::Located;

/// Stands in a text in the place of a part that the file computes.
pub const COMPUTED: char = '\u{fffc}';

/// How a package is built (PEP 517, PEP 518).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// As `setuptools.build_meta`.
    pub backend: Located<String>,
    pub requirements: Vec<Located<String>>,
}

/// What the two forms have in common.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stated {
    pub requirements: Option<Vec<Located<String>>>,
    pub optional: Option<BTreeMap<String, Vec<Located<String>>>>,
    pub commands: Option<Vec<Located<String>>>,
    pub python: Option<Located<String>>,
    pub version: Option<Located<String>>,
}

/// The line, from 1, that an offset is on.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}
