//! What upstream's source requires, where it is part of a tree: packaging may have taken bounds
//! away from what is installed. Whether they hold is asked in the interpreter.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::tree::Tree;
use crate::model::config::Package;
use crate::model::project::{self, COMPUTED, FILES, LARGEST};

/// The requirements of packages, by their names, without those that the source computes. `None`: no
/// part of the tree is a source.
///
/// # Errors
/// For a file of the source that cannot be read as what it is.
pub fn requirements<'p>(
    tree: &Tree,
    packages: &[&'p Package],
) -> Result<Option<BTreeMap<&'p str, Vec<String>>>> {
    let Some(source) = tree.parts.iter().find(|part| part.packages.is_empty()) else {
        return Ok(None);
    };
    let mut found = BTreeMap::new();
    for package in packages {
        let texts: BTreeMap<String, String> = FILES
            .iter()
            .map(|file| format!("{}/{file}", package.path))
            .filter_map(|path| Some((path.clone(), small(&source.root.join(path))?)))
            .collect();
        let text = |path: &str| texts.get(path).map(String::as_str);
        let project = project::read(&package.path, &package.module, false, text)?;
        if let Some(requirements) = project.and_then(|project| project.requirements) {
            let lines = requirements.into_iter().map(|line| line.value);
            found.insert(&*package.name, lines.filter(|line| !line.contains(COMPUTED)).collect());
        }
    }
    Ok(Some(found))
}

/// The text of a file that is no larger than such files are.
fn small(path: &Path) -> Option<String> {
    let is_small = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= LARGEST);
    is_small.then(|| fs::read_to_string(path).ok()).flatten()
}
