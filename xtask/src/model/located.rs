//! A value, and where it is written.

use std::fmt;

/// A value and the place it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub path: String,
    /// From 1.
    pub line: usize,
}

impl<T> Located<T> {
    /// `path:line`, as messages name a place.
    pub fn place(&self) -> Place<'_> {
        Place { path: &self.path, line: self.line }
    }

    /// Another value at the same place.
    pub fn with<U>(&self, value: U) -> Located<U> {
        Located { value, path: self.path.clone(), line: self.line }
    }
}

/// A line of a file.
pub struct Place<'a> {
    path: &'a str,
    line: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}
