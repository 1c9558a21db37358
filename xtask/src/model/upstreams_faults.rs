//! What is wrong in upstream's own releases and let through all the same: reviewed by people, for a
//! range of versions, with a reason. Part of `release.toml`.

use anyhow::{Context as _, Result};
use semver::Version;
use serde::Deserialize;

/// Characters of a text that says enough.
const SHORTEST_TEXT: usize = 12;

/// An operation of the web UI that upstream's own schema refuses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenOperation {
    /// Its GraphQL name.
    pub operation: String,
    /// First version of Dagster.
    since: Version,
    /// Last version of Dagster.
    until: Version,
    reason: String,
}

/// What pages of the web UI say in a browser that went wrong, and does not matter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageError {
    /// A part of it.
    pub text: String,
    /// First version of Dagster.
    since: Version,
    /// Last version of Dagster.
    until: Version,
    reason: String,
}

/// A field of the API that has something in other versions, and nothing in these.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptyField {
    /// As `Type.field`.
    pub field: String,
    /// First version of Dagster.
    since: Version,
    /// Last version of Dagster.
    until: Version,
    reason: String,
}

/// Code that the web UI loads from another host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignCode {
    /// As it stands in the UI's files.
    pub url: String,
    reason: String,
}

impl ForeignCode {
    /// Says what is wrong with a list.
    pub fn check(list: &[Self]) -> Result<()> {
        for (index, entry) in list.iter().enumerate() {
            let url = &entry.url;
            anyhow::ensure!(
                url.starts_with("https://"),
                "expected a `url` that starts with `https://`, found `{url}`"
            );
            anyhow::ensure!(
                list[..index].iter().all(|other| other.url != *url),
                "expected `{url}` once, found it twice"
            );
            anyhow::ensure!(!entry.reason.trim().is_empty(), "expected a `reason` for `{url}`");
        }
        Ok(())
    }
}

impl PageError {
    pub fn covers(&self, version: &Version) -> bool {
        (&self.since..=&self.until).contains(&version)
    }

    /// Says what is wrong with a list.
    pub fn check(list: &[Self]) -> Result<()> {
        for entry in list {
            // A word or two would hide others.
            anyhow::ensure!(
                entry.text.trim().len() >= SHORTEST_TEXT,
                "expected a `text` of {SHORTEST_TEXT} characters at least, found `{}`",
                entry.text
            );
            check_range(&entry.since, &entry.until, &entry.reason)
                .with_context(|| format!("in that of `{}`", entry.text))?;
        }
        Ok(())
    }
}

impl EmptyField {
    pub fn covers(&self, version: &Version) -> bool {
        (&self.since..=&self.until).contains(&version)
    }

    /// Says what is wrong with a list.
    pub fn check(list: &[Self]) -> Result<()> {
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        for entry in list {
            let field = &entry.field;
            anyhow::ensure!(
                field.split_once('.').is_some_and(|(kind, name)| is_name(kind) && is_name(name)),
                "expected a `field` like `Type.field`, found `{field}`"
            );
            check_range(&entry.since, &entry.until, &entry.reason)
                .with_context(|| format!("in that of `{field}`"))?;
        }
        Ok(())
    }
}

fn check_range(since: &Version, until: &Version, reason: &str) -> Result<()> {
    anyhow::ensure!(since <= until, "expected `since` before `until`, found {since} and {until}");
    anyhow::ensure!(!reason.trim().is_empty(), "expected a `reason`, found none");
    Ok(())
}

impl BrokenOperation {
    pub fn covers(&self, version: &Version) -> bool {
        (&self.since..=&self.until).contains(&version)
    }

    /// Says what is wrong with a list.
    pub fn check(list: &[Self]) -> Result<()> {
        for (index, entry) in list.iter().enumerate() {
            let name = &entry.operation;
            entry.check_one().with_context(|| format!("in that of `{name}`"))?;
            let overlaps = |other: &&Self| {
                other.operation == *name && other.since <= entry.until && entry.since <= other.until
            };
            if let Some(other) = list[..index].iter().find(overlaps) {
                anyhow::bail!(
                    "expected `{name}` once for each version, found {} to {} and {} to {}",
                    other.since,
                    other.until,
                    entry.since,
                    entry.until
                );
            }
        }
        Ok(())
    }

    fn check_one(&self) -> Result<()> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        anyhow::ensure!(
            !self.operation.is_empty() && self.operation.bytes().all(is_part),
            "expected the name of a GraphQL operation"
        );
        check_range(&self.since, &self.until, &self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        list: Vec<BrokenOperation>,
    }

    fn check(entries: &[(&str, &str, &str, &str)]) -> String {
        let text: String = entries
            .iter()
            .map(|(operation, since, until, reason)| {
                format!(
                    "[[list]]\noperation = \"{operation}\"\nsince = \"{since}\"\n\
                     until = \"{until}\"\nreason = \"{reason}\"\n"
                )
            })
            .collect();
        let file: File = toml::from_str(&text).unwrap();
        match BrokenOperation::check(&file.list) {
            Ok(()) => {
                let covers = |version: &str| file.list[0].covers(&version.parse().unwrap());
                ["1.12.0", "1.12.1", "1.12.9", "1.13.0"].map(|v| covers(v).to_string()).join(" ")
            }
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn foreign_code_has_a_reason() {
        let entry =
            |url: &str, reason: &str| ForeignCode { url: url.into(), reason: reason.into() };
        let good = entry("https://x.invalid/a.js", "x");
        assert!(ForeignCode::check(&[good.clone(), entry("https://x.invalid/b.js", "y")]).is_ok());
        for list in [vec![good.clone(), good], vec![entry("https://x", "")], vec![entry("x", "x")]]
        {
            assert!(ForeignCode::check(&list).is_err(), "{list:?}");
        }
    }

    #[test]
    fn errors_of_pages_are_told_apart() {
        let entry = |text: &str, reason: &str| PageError {
            text: text.into(),
            since: Version::new(1, 10, 0),
            until: Version::new(1, 10, 21),
            reason: reason.into(),
        };
        let good = entry("mismatched input", "x");
        assert!(good.covers(&Version::new(1, 10, 21)) && !good.covers(&Version::new(1, 11, 0)));
        assert!(PageError::check(&[good]).is_ok());
        for bad in [entry("console", "x"), entry("mismatched input", " ")] {
            assert!(PageError::check(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lists_are_reviewed() {
        let good = ("A", "1.12.1", "1.12.9", "dagster-io/dagster#1");
        assert_eq!(check(&[good]), "false true true false");
        assert_eq!(check(&[good, ("B", "1.12.1", "1.12.1", "x")]), "false true true false");
        assert_eq!(
            check(&[good, ("A", "1.12.9", "1.13.0", "x")]),
            "expected `A` once for each version, found 1.12.1 to 1.12.9 and 1.12.9 to 1.13.0"
        );
        for (entry, expected) in [
            (("A", "1.12.2", "1.12.1", "x"), "`since` before `until`, found 1.12.2 and 1.12.1"),
            (("A", "1.12.1", "1.12.1", " "), "expected a `reason`, found none"),
            (("A b", "1.12.1", "1.12.1", "x"), "in that of `A b`: expected the name of a GraphQL"),
        ] {
            let found = check(&[entry]);
            assert!(found.contains(expected), "{found}");
        }
    }
    #[test]
    fn empty_fields_are_fields_of_types() {
        let entry = |field: &str| {
            let version = Version::new(1, 12, 1);
            let (since, reason) = (version.clone(), "not told since".to_owned());
            EmptyField { field: field.to_owned(), since, until: version, reason }
        };
        assert!(EmptyField::check(&[entry("Repository.schedules")]).is_ok());
        for bad in ["schedules", ".schedules", "Repository.", "Repository.a.b", "Repository.a b"] {
            assert!(EmptyField::check(&[entry(bad)]).is_err(), "{bad}");
        }
        assert!(entry("A.b").covers(&Version::new(1, 12, 1)));
        assert!(!entry("A.b").covers(&Version::new(1, 12, 2)));
    }
}
