//! Versions of Dagster: strict semver, as upstream tags them (`1.9.12`).

use std::str::FromStr as _;

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

/// Why a tag that looks newer than a version is none that can be released; `None` for a version,
/// and for a tag that is not newer or not of a version at all, as `nightly-2026-01-01`.
pub fn why_passed_over(tag: &str, than: &Version) -> Option<&'static str> {
    if parse(tag).is_ok() {
        return None;
    }
    // `v1.13.0`, `dagster/1.13.1`, `dagster-1.13.1`
    let bare = tag.rsplit_once('/').map_or(tag, |(_, bare)| bare);
    let bare = bare.trim_start_matches(|c: char| c.is_ascii_alphabetic() || "-_@".contains(c));
    let version = pep440_rs::Version::from_str(bare).ok()?;
    let [major, minor, rest @ ..] = version.release() else { return None };
    let patch = rest.first().copied().unwrap_or(0);
    let numbers = (*major, *minor, patch);
    let is_newer = numbers > (than.major, than.minor, than.patch)
        || numbers == (than.major, than.minor, than.patch) && version.is_post();
    is_newer.then_some(if version.any_prerelease() {
        "a pre-release, which is not packaged"
    } else {
        "not written like upstream's versions (`1.9.12`)"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_tags_that_are_no_versions_are_passed_over() {
        let than = Version::new(1, 12, 1);
        let why = |tag| why_passed_over(tag, &than);
        for tag in ["v1.13.0", "dagster/1.13.1", "dagster-1.13.1", "1.14", "1.12.5.post1"] {
            assert_eq!(why(tag), Some("not written like upstream's versions (`1.9.12`)"), "{tag}");
        }
        assert!(why("1.12.1.post1").is_some());
        for tag in ["1.12.2rc1", "v1.13.0.dev3", "1.13.0-rc.1", "1.13.0a1"] {
            assert_eq!(why(tag), Some("a pre-release, which is not packaged"), "{tag}");
        }
        for tag in ["1.12.2", "1.12.0", "v1.12.1", "v1.11.0", "1.12.1rc1", "nightly-2026-01-01"] {
            assert_eq!(why(tag), None, "{tag}");
        }
        for tag in ["", "latest", "2026-01-01", "v2", "release/next", "1.13.x"] {
            assert_eq!(why(tag), None, "{tag}");
        }
    }

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
