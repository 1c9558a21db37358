//! What is handed in: files, and whose packages in them are edited. Parsing is for `syntax`.

use crate::model::requirement::normalised;

/// A file's path, as messages name it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixFile {
    pub path: String,
    pub text: String,
}

/// Whose fetches and versions are edited.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Owner of upstream's repository.
    pub owner: String,
    /// Name of upstream's repository.
    pub repo: String,
    /// Normalised names of all of upstream's packages.
    pub packages: Vec<String>,
}

impl Scope {
    /// As `owner/name`.
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }

    /// Is this the name of one of upstream's packages, or of something made of them?
    pub(super) fn owns(&self, name: &str) -> bool {
        let name = normalised(name);
        let repo = normalised(&self.repo);
        self.packages.contains(&name)
            || name.strip_prefix(&repo).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}
