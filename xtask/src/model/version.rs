//! Versions of Dagster: strict semver, as upstream tags them (`1.9.12`).

pub use semver::Version;

use crate::failure::Failure;

/// Reads a version as a person types it.
///
/// # Errors
/// A usage error that says what was expected: for a leading `v`, a range, a missing part, build
/// metadata, or a pre-release.
pub fn parse(text: &str) -> Result<Version, Failure> {
    let expected = |hint: &str| {
        Failure::usage(format!("expected a version like `1.9.12`, found `{text}`")).hint(hint)
    };
    if let Some(bare) = text.strip_prefix('v')
        && Version::parse(bare).is_ok()
    {
        return Err(expected(&format!("upstream's tags have no `v`: write `{bare}`")));
    }
    let version = Version::parse(text)
        .map_err(|error| expected("give all three numbers, and no range").caused_by(error))?;
    if !version.build.is_empty() {
        return Err(expected("build metadata (`+…`) is not part of a release"));
    }
    if !version.pre.is_empty() {
        return Err(expected("pre-releases are not packaged"));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let found = parse(text).ok().map(|version| version.to_string());
        assert_eq!(found.as_deref(), expected, "`{text}`");
    }

    #[test]
    fn strict_semver_only() {
        check("1.9.12", Some("1.9.12"));
        for text in ["", "v1.9.12", "1.9", "1", "^1.9.12", "1.9.x", "1.9.12rc1", "1.9.12-rc.1"] {
            check(text, None);
        }
        for text in ["1.9.12+dev", "1.09.12", " 1.9.12", "latest", "1!0+dev", "../1.9.12"] {
            check(text, None);
        }
    }
}
