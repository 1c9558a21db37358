//! PyPI, always asked through the user's own `python3 -m pip`, written `-mpip`: pyenv's hook, which
//! looks for `-m pip install`, would write its shims anew after each question, one run at a time.
//!
//! So a maintainer's mirror, proxy and certificates just work, and no index address stands here.
//! Only wheels are asked for: pip would have to run a source distribution's own code to describe
//! it. The report's format is pip's `--report` version 1.

use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use xshell::{Shell, cmd};

use super::command::{self, Output};
use crate::failure::Failure;
use crate::model::requirement::normalised;
use crate::model::sri::Sri;

/// One wheel on the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel {
    /// Normalised name of the package.
    pub name: String,
    pub version: String,
    /// The file's name.
    pub file: String,
    /// SHA-256 of the file.
    pub hash: Sri,
    pub yanked: bool,
    /// `Requires-Dist` of its metadata.
    pub requirements: Vec<String>,
    /// `Requires-Python` of its metadata.
    pub python: Option<String>,
}

/// What the index has of a list of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    All(Vec<Wheel>),
    /// `name==version` of those that are not there.
    Missing(Vec<String>),
}

#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    metadata: Metadata,
    download_info: DownloadInfo,
    #[serde(default)]
    is_yanked: bool,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
    #[serde(default)]
    requires_dist: Vec<String>,
    requires_python: Option<String>,
}

#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    archive_info: ArchiveInfo,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    hashes: Option<Hashes>,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

/// Looks up exact versions, given as (name, version).
///
/// # Errors
/// When pip is too old, or the index cannot be reached or answers nonsense. A package that is not
/// there is no error.
pub fn find(sh: &Shell, wanted: &[(&str, String)]) -> Result<Found> {
    let requirements: Vec<String> =
        wanted.iter().map(|(name, version)| format!("{name}=={version}")).collect();
    let output = report(sh, Detail::Quiet, &requirements)?;
    if output.success() {
        return read_report(&output, wanted).map(Found::All);
    }
    // pip stops at the first package that it cannot find: ask for each, to name them all.
    let (mut missing, mut unknown) = (Vec::new(), None);
    let mut is_known = false;
    for (requirement, (name, _)) in requirements.iter().zip(wanted) {
        let output = report(sh, Detail::Debug, std::slice::from_ref(requirement))?;
        match answer(&output, name) {
            Answer::There => is_known = true,
            Answer::OtherVersions => {
                is_known = true;
                missing.push(requirement.clone());
            }
            Answer::NoSuchProject => {
                missing.push(requirement.clone());
                unknown = Some(output);
            }
            Answer::None => return Err(failure(&output, requirement)),
        }
    }
    match unknown {
        // An index that knows none of our packages is something else that answers in its place.
        Some(output) if !is_known => Err(failure(&output, &requirements.join(" "))),
        _ if missing.is_empty() => Err(failure(&output, &requirements.join(" "))),
        _ => Ok(Found::Missing(missing)),
    }
}

/// The version of pip, as `23.2.1`.
pub fn version(sh: &Shell) -> Result<String> {
    let text = command::read(cmd!(sh, "python3 -mpip --version"))?;
    Ok(text.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
}

/// How much pip says.
#[derive(Clone, Copy)]
enum Detail {
    Quiet,
    /// Only here does pip tell of an index that it could not ask.
    Debug,
}

fn report(sh: &Shell, detail: Detail, requirements: &[String]) -> Result<Output> {
    let detail = match detail {
        Detail::Quiet => "--quiet",
        Detail::Debug => "-vv",
    };
    command::output(
        cmd!(
            sh,
            "python3 -mpip install --dry-run --ignore-installed --no-deps
             --ignore-requires-python --only-binary :all: {detail} --no-input
             --disable-pip-version-check --report - {requirements...}"
        )
        .env_remove("PIP_NO_BINARY")
        .env_remove("PIP_REQUIRE_VIRTUALENV"),
    )
}

fn read_report(output: &Output, wanted: &[(&str, String)]) -> Result<Vec<Wheel>> {
    let report: Report =
        serde_json::from_str(&output.stdout).context("failed to read the report of `pip`")?;
    let wheels = report
        .install
        .into_iter()
        .map(|item| {
            let Metadata { name, version, requires_dist, requires_python } = item.metadata;
            let DownloadInfo { url, archive_info } = item.download_info;
            let file = file_name(&url)
                .with_context(|| format!("expected the file of `{name}` in the report of `pip`"))?;
            let sha256 = archive_info.hashes.and_then(|hashes| hashes.sha256);
            let sha256 = sha256
                .with_context(|| format!("expected a sha256 of `{name}` in the report of `pip`"))?;
            // pip before 23.3 only warns, with the file's address, which ends in the name.
            let warned = output.stderr.contains("is a yanked version")
                && output
                    .stderr
                    .to_lowercase()
                    .contains(&format!("{}-{version}", name.replace('-', "_")));
            let name = normalised(&name);
            let hash = Sri::from_hex(&sha256)?;
            Ok(Wheel {
                name,
                version,
                file,
                hash,
                yanked: item.is_yanked || warned,
                requirements: requires_dist,
                python: requires_python,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let is_it = |wheel: &Wheel, (name, version): &(&str, String)| {
        wheel.name == normalised(name) && is_same(&wheel.version, version)
    };
    for wanted in wanted {
        let count = wheels.iter().filter(|wheel| is_it(wheel, wanted)).count();
        let (name, version) = wanted;
        anyhow::ensure!(
            count == 1,
            "expected `{name}=={version}` once in the report of `pip`, found it {count} times"
        );
    }
    let other = wheels.iter().find(|wheel| !wanted.iter().any(|wanted| is_it(wheel, wanted)));
    if let Some(Wheel { name, version, .. }) = other {
        anyhow::bail!("expected nothing else in the report of `pip`, found `{name}=={version}`");
    }
    Ok(wheels)
}

/// The name at the end of a file's address, without what follows it.
fn file_name(url: &str) -> Option<String> {
    let path = url.split(['#', '?']).next()?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    // A `+` of a local version may be written otherwise.
    Some(name.replace("%2B", "+").replace("%2b", "+"))
}

/// Is it the same version, however it is written?
fn is_same(version: &str, other: &str) -> bool {
    let parse = |version: &str| pep440_rs::Version::from_str(version).ok();
    version == other || parse(version).is_some_and(|version| parse(other) == Some(version))
}

/// What pip learned of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    There,
    /// The index has the project, and not this version.
    OtherVersions,
    /// The index answered that it does not know the project (404).
    NoSuchProject,
    /// Nothing that could be called an answer of an index: none was reached or asked, or what
    /// answered has no page of the project. pip ends with the same words.
    None,
}

fn answer(output: &Output, name: &str) -> Answer {
    if output.success() {
        return Answer::There;
    }
    let is_absent = output.stderr.contains("No matching distribution found for");
    if !is_absent || unreachable(output).is_some() || ignores_indexes(output) {
        return Answer::None;
    }
    // The versions may be those of a directory (`find-links`).
    let lists_versions = has_link_of_index(output, name)
        && output.stderr.lines().any(|line| {
            let versions = line.split_once("(from versions: ").map(|(_, versions)| versions);
            versions
                .is_some_and(|versions| !versions.starts_with("none") && !versions.starts_with(')'))
        });
    let said = |line: &str| line.contains("Could not fetch URL") && line.contains("404 Client Err");
    match lists_versions {
        true => Answer::OtherVersions,
        false if lines(output).any(said) => Answer::NoSuchProject,
        false => Answer::None,
    }
}

fn lines(output: &Output) -> impl Iterator<Item = &str> {
    output.stdout.lines().chain(output.stderr.lines())
}

/// Is pip told to ask no index (`no-index`)?
fn ignores_indexes(output: &Output) -> bool {
    lines(output).any(|line| line.trim_start().starts_with("Ignoring indexes: "))
}

/// Did an index list a file of the project? Its page of a project is called like it (PEP 503).
fn has_link_of_index(output: &Output, name: &str) -> bool {
    let pages = lines(output)
        .filter(|line| line.contains("Found link "))
        .filter_map(|line| line.rsplit_once("(from ")?.1.split([')', ' ']).next());
    let mut called = pages.filter_map(|page| page.trim_end_matches('/').rsplit('/').next());
    called.any(|called| normalised(called) == normalised(name))
}

/// The page that pip says it could not fetch. A project that an index does not know is no such
/// page, though pip uses the same words with status 404.
fn unreachable(output: &Output) -> Option<&str> {
    lines(output).find(|line| {
        ["Retrying (", "HTTP error", "Could not fetch URL", "Max retries"]
            .into_iter()
            .any(|words| line.contains(words))
            && !line.contains("404 Client Error")
    })
}

/// What pip said, without the details that it was asked for.
fn last_words(output: &Output) -> &str {
    output.stderr.find("ERROR: ").map_or(&output.stderr, |at| &output.stderr[at..])
}

fn failure(output: &Output, requirement: &str) -> anyhow::Error {
    let error = Failure::failed(format!("failed to ask pip's index for `{requirement}`"));
    if ignores_indexes(output) {
        return error
            .caused_by(anyhow::anyhow!("pip is configured to ask no index (`no-index`)"))
            .hint("unset `PIP_NO_INDEX`, or see `python3 -m pip config list`")
            .into();
    }
    let error = error
        .caused_by(anyhow::anyhow!("{}", unreachable(output).unwrap_or(last_words(output)).trim()));
    let too_old = output.stderr.contains("no such option");
    let absent = output.stderr.contains("No module named pip");
    error
        .hint(match (too_old, absent) {
            (true, _) => "pip 22.2 or newer is needed: `python3 -m pip install --upgrade pip`",
            (_, true) => "install pip for `python3`",
            _ => "see that `python3 -m pip download --no-deps dagster` works",
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stderr: &str) -> Output {
        Output { status: Some(1), stdout: String::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn absence_is_what_an_index_says_of_the_package() {
        let absent = |versions: &str| {
            format!(
                "ERROR: Could not find a version that satisfies the requirement a==2 (from \
                 versions: {versions})\nERROR: No matching distribution found for a==2\n"
            )
        };
        let page = |why: &str| {
            let absent = absent("none");
            format!("Could not fetch URL http://x/simple/a/: {why} - skipping\n{absent}")
        };
        // As pip 23.2.1 says it.
        let listed = format!(
            "  Found link http://x/simple/a/a-1-py3-none-any.whl (from http://x/simple/a/) \
             (requires-python:>=3.9), version: 1\n{}",
            absent("1")
        );
        let local =
            format!("Found link file:///d/a-1-py3-none-any.whl, version: 1\n{}", absent("1"));
        let portal = "Skipping link: not a file: http://x/login (from http://x/simple/a/)\n";
        let retried =
            format!("WARNING: Retrying (Retry(total=4)) after connection broken\n{listed}");
        for (stderr, expected) in [
            (listed.clone(), Answer::OtherVersions),
            // What is in a directory was asked of no index.
            (absent("1"), Answer::None),
            (local.clone(), Answer::None),
            (format!("{portal}{local}"), Answer::None),
            (format!("Ignoring indexes: http://x/simple\n{listed}"), Answer::None),
            (format!("{}{local}", page("404 Client Error: x")), Answer::NoSuchProject),
            (page("404 Client Error: Not Found for url: http://x"), Answer::NoSuchProject),
            // A captive portal, an empty page, no index at all.
            (absent("none"), Answer::None),
            (page("403 Client Error: Forbidden for url: http://x"), Answer::None),
            (page("too many 500 error responses"), Answer::None),
            (retried, Answer::None),
            ("ERROR: something else".to_owned(), Answer::None),
        ] {
            assert_eq!(answer(&output(&stderr), "a"), expected, "{stderr}");
        }
    }

    #[test]
    fn a_report_gives_hashes_and_yanks() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let stdout = format!(
            r#"{{"install": [{{"metadata": {{"name": "dagster_webserver", "version": "1.12.16"}},
                "download_info": {{
                "url": "https://x/y/dagster_webserver-1.12.16-py3-none-any.whl#sha256=x",
                "archive_info": {{"hashes": {{"sha256": "{hex}"}}}}}}}}]}}"#
        );
        let wanted = [("dagster-webserver", "1.12.16".to_owned())];
        let mut output = Output { status: Some(0), stdout, stderr: String::new() };
        let wheels = read_report(&output, &wanted).unwrap();
        assert_eq!((wheels[0].name.as_str(), wheels[0].yanked), ("dagster-webserver", false));
        assert_eq!(wheels[0].file, "dagster_webserver-1.12.16-py3-none-any.whl");
        output.stderr = "WARNING: The candidate selected for download or install is a yanked \
                         version: 'dagster-webserver' candidate (version 1.12.16 at \
                         x/dagster_webserver-1.12.16-py3-none-any.whl)"
            .to_owned();
        assert!(read_report(&output, &wanted).unwrap()[0].yanked);
        let other = |name, version: &str| (name, version.to_owned());
        for wanted in [
            &[][..],
            &[other("dagster-webserver", "1.12.15")],
            &[other("dagster", "1.12.16")],
            &[wanted[0].clone(), wanted[0].clone(), other("dagster", "1.12.16")],
        ] {
            assert!(read_report(&output, wanted).is_err(), "{wanted:?}");
        }
        assert!(read_report(&output, &[other("Dagster_Webserver", "1.12.16.0")]).is_ok());
    }
}
