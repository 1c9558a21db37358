//! `sweep`: would these versions build and work? Real Dagster from PyPI, built by real Nix, a row
//! each.
//!
//! For each version, a [`World`] of its own in which this very binary does a release up to where it
//! would be committed, and puts everything back. The rows say what came out; nothing is decided
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result};
use semver::Version;
use serde_json::Value;

use super::bump::DriftArg;
use super::rehearse::say_python;
use super::rehearse::world::{
    Options, Python, Upstream, World, has_nix, install_third_party, python_for,
};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::version;
use crate::ui;

/// Build and smoke real versions with the Nix of this machine, a row each
#[derive(clap::Args)]
pub struct Args {
    /// Versions of Dagster on PyPI
    #[arg(required = true, value_name = "VERSION")]
    versions: Vec<String>,
    #[command(flatten)]
    drift: DriftArg,
    /// Build as if nothing were relaxed: shows which bounds nixpkgs is beyond
    #[arg(long)]
    without_relaxing: bool,
}

/// How one version came out.
struct Row {
    version: Version,
    seconds: f64,
    /// Tree, seconds and number of probes of each variant that was smoked.
    smoked: Vec<(String, f64, usize)>,
    /// Why it did not get through.
    problem: Option<String>,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let versions: Vec<Version> =
        args.versions.iter().map(|text| version::parse(text)).collect::<Result<_, _>>()?;
    if !has_nix() {
        return Err(Failure::failed("expected Nix on this machine, found none")
            .hint("install it, for example with `apt-get install nix-bin`")
            .into());
    }
    if !checkout.git().dirty()?.is_empty() {
        ui::warning("this sweeps the last commit: uncommitted changes are not in it");
    }
    let mut problems = 0;
    let shared = tempfile::Builder::new().prefix("dagster-sweep-").tempdir()?;
    let mut third_party = ThirdParty { dir: shared.path(), made: BTreeMap::new() };
    for version in versions {
        interrupt::check()?;
        let row = sweep(&version, checkout, args, &mut third_party)?;
        problems += usize::from(row.problem.is_some());
        ui::print(&row.line())?;
    }
    match problems {
        0 => Ok(()),
        count => {
            Err(Failure::failed(format!("{} did not get through", ui::count(count, "version")))
                .into())
        }
    }
}

/// The packages that stand in for nixpkgs': one environment for each Python, whatever the version.
struct ThirdParty<'a> {
    dir: &'a Path,
    made: BTreeMap<String, PathBuf>,
}

impl ThirdParty<'_> {
    fn of(&mut self, checkout: &Checkout, version: &Version) -> Result<PathBuf> {
        let Python { interpreter, .. } = python_for(&checkout.config, version)?;
        if let Some(made) = self.made.get(&interpreter.version) {
            return Ok(made.clone());
        }
        let venv = self.dir.join(&interpreter.version);
        install_third_party(&checkout.root, &interpreter, &venv)?;
        self.made.insert(interpreter.version, venv.clone());
        Ok(venv)
    }
}

fn sweep(
    version: &Version,
    checkout: &Checkout,
    args: &Args,
    third_party: &mut ThirdParty<'_>,
) -> Result<Row> {
    ui::step("Sweeping", version);
    say_python(checkout, version, true)?;
    let third_party = Some(third_party.of(checkout, version)?);
    let dir = tempfile::Builder::new().prefix("dagster-sweep-").tempdir()?;
    let dir = dir.path();
    let upstream = Upstream::Real { version: version.clone(), third_party };
    World::prepare_upstream(dir, &checkout.root, &upstream)?;
    let without_relaxing = args.without_relaxing;
    let options = Options { nix: true, without_relaxing, ..Options::default() };
    let world = World::create(dir, &checkout.root, &options)?;
    let (report, log) = (dir.join("report.json"), dir.join("log"));
    let start = Instant::now();
    let status = world
        .command(std::env::current_exe()?)
        .args(["release", &version.to_string(), "--no-publish", "--report"])
        .arg(format!("json={}", report.display()))
        .args(args.drift.flag())
        .stderr(fs::File::create(&log)?)
        .stdout(Stdio::null())
        .status()
        .context("failed to run this program")?;
    let said = fs::read_to_string(&log).unwrap_or_default();
    Ok(Row {
        version: version.clone(),
        seconds: start.elapsed().as_secs_f64(),
        smoked: smoked(&report)?,
        problem: (!status.success()).then(|| problem(&said)),
    })
}

fn smoked(report: &Path) -> Result<Vec<(String, f64, usize)>> {
    let Ok(text) = fs::read(report) else { return Ok(Vec::new()) };
    let report: Value = serde_json::from_slice(&text).context("failed to read the smoke report")?;
    let of = |tree: &Value| {
        let count = tree["probes"].as_array().map_or(0, Vec::len);
        (
            tree["tree"].as_str().unwrap_or_default().to_owned(),
            tree["seconds"].as_f64().unwrap_or(0.0),
            count,
        )
    };
    Ok(report.as_array().into_iter().flatten().map(of).collect())
}

/// The requirements that were not met, or the error at the end, with what the first builder that
/// failed said last.
fn problem(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let unmet: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| {
            line.rsplit_once("  - ").map(|(_, unmet)| unmet).or(line.strip_prefix("- "))
        })
        .filter(|line| {
            line.contains(" not satisfied by version ") || line.ends_with(" not installed")
        })
        .collect();
    if !unmet.is_empty() {
        return unmet.into_iter().collect::<Vec<_>>().join(", ");
    }
    let builder = lines.iter().position(|line| line.starts_with("error: builder for "));
    let cause = builder.and_then(|at| lines[..at].iter().rev().find(|line| !line.is_empty()));
    let last = lines.iter().rev().find(|line| line.starts_with("error: ")).or(lines.last());
    match (last, cause) {
        (Some(last), Some(cause)) => format!("{last} ({cause})"),
        (Some(last), None) => (*last).to_owned(),
        _ => "it said nothing".to_owned(),
    }
}

impl Row {
    fn line(&self) -> String {
        let smoke = self.smoked.iter().fold(0.0, |sum, (_, seconds, _)| sum + seconds);
        let mut line = format!(
            "{:<10} {:<6} build {:5.1} s  smoke {smoke:5.1} s ",
            self.version.to_string(),
            if self.problem.is_some() { "FAILED" } else { "ok" },
            self.seconds - smoke,
        );
        for (tree, _, count) in &self.smoked {
            line += &format!(" {tree}: {count} probes");
        }
        if let Some(problem) = &self.problem {
            line += &format!(" {problem}");
        }
        line.trim_end().to_owned() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_the_cause() {
        let said = "Building\n  ModuleNotFoundError: No module named 'hatchling'\n\n\
                    error: builder for 'x.drv' failed\nmake: 1\n\
                    error: failed to build `separate` 1.13.27\nhint: x\n";
        assert_eq!(
            problem(said),
            "error: failed to build `separate` 1.13.27 \
             (ModuleNotFoundError: No module named 'hatchling')"
        );
        assert_eq!(problem("killed"), "killed");
    }
}
