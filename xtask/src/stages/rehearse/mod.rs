//! `rehearse`: a whole release on this machine, touching nothing outside it.
//!
//! Runs this very binary, once for each step that a maintainer would type, in a [`World`] of
//! stand-ins. It only looks at what comes out; that something passed is never decided here.

pub mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use semver::Version;
use tempfile::TempDir;

use self::world::{Options, Python, Upstream, World, has_nix, python_for};
use super::bump::DriftArg;
use super::inspect;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Variant;
use crate::model::requirement::includes_python;
use crate::model::version;
use crate::ui;

/// Rehearse a whole release on this machine, touching nothing outside it
#[derive(clap::Args)]
pub struct Args {
    /// A version of Dagster; the small upstream has 1.9.12, 1.12.2 and a few more
    #[arg(default_value = "1.9.12")]
    version: String,
    /// Build upstream from the real Dagster distributions on PyPI
    #[arg(long)]
    real: bool,
    #[command(flatten)]
    drift: DriftArg,
    /// Keep the clone and the catalog, and say how to go on in there
    #[arg(long)]
    keep: bool,
    /// Run a command in a rehearsal that was kept
    #[arg(long, value_name = "DIR", hide = true, requires = "command")]
    enter: Option<PathBuf>,
    #[arg(last = true, hide = true)]
    command: Vec<String>,
}

impl Args {
    /// Is a command of the caller's run in a rehearsal that was kept?
    pub fn is_to_enter(&self) -> bool {
        self.enter.is_some()
    }
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    if let Some(dir) = &args.enter {
        return enter(dir, checkout, &args.command);
    }
    let version = version::parse(&args.version)?;
    if !checkout.git().dirty()?.is_empty() {
        ui::warning("this rehearses the last commit: uncommitted changes are not in it");
    }
    let dir = tempfile::Builder::new().prefix("dagster-rehearsal-").tempdir()?;
    let result = rehearse(dir.path(), checkout, &version, args);
    if args.keep {
        keep(dir, checkout)?;
    }
    result
}

fn rehearse(dir: &Path, checkout: &Checkout, version: &Version, args: &Args) -> Result<()> {
    let real = args.real;
    let upstream = if real {
        Upstream::Real { version: version.clone(), third_party: None }
    } else {
        Upstream::Small
    };
    ui::step("Rehearsing", format!("a release of {version} in {}", dir.display()));
    say_python(checkout, version, real)?;
    ui::step("Preparing", if real { "upstream, from PyPI" } else { "the small upstream" });
    World::prepare_upstream(dir, &checkout.root, &upstream)?;
    let orgs = vec![checkout.config.catalog.org.clone()];
    let options = Options { orgs, nix: has_nix(), ..Options::default() };
    ui::detail(match options.nix {
        true => "the stand-in for flox builds with the Nix of this machine",
        false => "no Nix on this machine: the stand-in for flox evaluates and builds by itself",
    });
    let world = World::create(dir, &checkout.root, &options)?;

    let version_text = version.to_string();
    let mut release = vec!["release", &version_text];
    release.extend(args.drift.flag());
    let patch = said(&mut xtask(&world, &[release.as_slice(), &["--dry-run"]].concat())?)?;
    apply_check(&world, &patch)?;
    ui::print(&patch)?;
    said(&mut xtask(&world, &release)?)?;
    said(&mut xtask(&world, &release)?)?;
    check_catalog(&world, checkout, version)?;
    ui::step("Rehearsed", format!("{version}: both variants are in the stand-in catalog"));
    Ok(())
}

/// Says which Python the stand-in builds with, where it is not the one of the expressions.
///
/// # Errors
/// For the real Dagster, on a Python that upstream does not allow.
pub fn say_python(checkout: &Checkout, version: &Version, real: bool) -> Result<()> {
    let python = python_for(&checkout.config, version)?;
    if !python.is_stand_in() {
        return Ok(());
    }
    let Python { named, interpreter } = &python;
    ui::detail(format!(
        "Python {} at `{}` stands in for Python {named}, which {version} is built with; install \
         `python{named}` to rehearse with that",
        interpreter.version,
        interpreter.path.display()
    ));
    let refused = match real {
        true => range_without(checkout, version, &interpreter.version)?,
        false => None,
    };
    match refused {
        None => Ok(()),
        Some(range) => Err(Failure::failed(format!(
            "expected a Python that {version} allows (`{range}`), found {}",
            interpreter.version
        ))
        .hint(format!(
            "install Python {named}: `python{named}` on PATH, or `pyenv install {named}`"
        ))
        .into()),
    }
}

/// A `Requires-Python` of a version on PyPI that excludes a Python.
fn range_without(checkout: &Checkout, version: &Version, python: &str) -> Result<Option<String>> {
    for distribution in inspect::distributions(checkout, version)?.unwrap_or_default() {
        if let Some(range) = distribution.python
            && !includes_python(&range, python)?
        {
            return Ok(Some(range));
        }
    }
    Ok(None)
}

/// `git apply --check` of a dry run's patch.
fn apply_check(world: &World, patch: &str) -> Result<()> {
    let path = world.dir().join("dry-run.patch");
    std::fs::write(&path, patch)?;
    ui::step("Checking", "that `git apply` takes the patch");
    said(world.command("git").args(["apply", "--check"]).arg(&path)).map(drop)
}

/// Asks the stand-in catalog for every package, as a user would.
fn check_catalog(world: &World, checkout: &Checkout, version: &Version) -> Result<()> {
    let org = &checkout.config.catalog.org;
    for variant in [Variant::Separate, Variant::Combined] {
        for attribute in checkout.config.attributes_of(variant, version) {
            let package = format!("{org}/{attribute}");
            let shown = said(world.command(world.dir().join("bin/flox")).args(["show", &package]))?;
            let listed = format!("{package}@{}", checkout.config.version_of(attribute, version));
            if !shown.lines().any(|line| line.split_whitespace().next() == Some(&listed)) {
                return Err(Failure::failed(format!(
                    "expected `{listed}` in the stand-in catalog"
                ))
                .caused_by(anyhow::anyhow!("`flox show` said: {}", shown.trim()))
                .into());
            }
            ui::step("Found", format!("{listed} in the stand-in catalog ({variant})"));
        }
    }
    Ok(())
}

/// This binary, as `cargo xtask` would run it in the clone.
fn xtask(world: &World, args: &[&str]) -> Result<Command> {
    ui::step("Running", format!("cargo xtask {}", args.join(" ")));
    let mut command = world.command(std::env::current_exe()?);
    command.args(args);
    Ok(command)
}

/// Runs a command that must succeed: its messages go to the terminal, its stdout is returned.
fn said(command: &mut Command) -> Result<String> {
    let text = format!("{command:?}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to run `{text}`"))?;
    if !output.status.success() {
        return Err(Failure::failed(format!("the rehearsal stopped: {}", output.status))
            .hint("its messages are above; `--keep` leaves everything to look at")
            .into());
    }
    String::from_utf8(output.stdout).context("expected UTF-8")
}

fn keep(dir: TempDir, checkout: &Checkout) -> Result<()> {
    let dir = dir.keep();
    if !dir.join("clone").is_dir() {
        return Ok(());
    }
    let world = World::enter(&dir, &checkout.root)?;
    let enter = world.write_enter()?;
    ui::step("Kept", dir.display());
    ui::detail(format!("go on in there: {} cargo xtask status", enter.display()));
    ui::detail(format!("when done: rm -r {}", dir.display()));
    Ok(())
}

/// Runs a command in a world that was kept; it has the terminal, and its status is ours.
fn enter(dir: &Path, checkout: &Checkout, command: &[String]) -> Result<()> {
    let world = World::enter(dir, &checkout.root)?;
    let (program, args) = command.split_first().context("expected a command")?;
    let status = world
        .command(program)
        .args(args)
        .stdin(Stdio::inherit())
        .status()
        .with_context(|| format!("failed to run `{program}`"))?;
    drop(world);
    std::process::exit(status.code().unwrap_or(1));
}
