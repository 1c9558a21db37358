//! `bump`: rewrites the Nix files to a version, all of them or none.

use std::collections::BTreeSet;

use anyhow::Result;
use semver::Version;

use super::{inspect, recover};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Pin;
use crate::model::drift::{Answer, Finding, Severity};
use crate::model::facts::{Facts, PypiPin};
use crate::model::nix_edit::{self, Pins};
use crate::model::plan::{Plan, Policy};
use crate::model::sri::Sri;
use crate::model::version;
use crate::tools::edits::Edits;
use crate::ui;

/// Rewrite the Nix files only
#[derive(clap::Args)]
pub struct Args {
    /// A version of Dagster, like 1.9.12
    version: String,
    /// Print the patch and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    drift: DriftArg,
}

/// `--accept-drift`.
#[derive(clap::Args, Clone, Copy)]
pub struct DriftArg {
    /// Make the edits that answer what changed upstream, and go on
    #[arg(long)]
    accept_drift: bool,
}

impl DriftArg {
    /// The flag, for a command line that asks for the same.
    pub fn flag(self) -> Option<&'static str> {
        self.accept_drift.then_some("--accept-drift")
    }
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let version = version::parse(&args.version)?;
    let doing = format!("bump {version}");
    // What an interrupted run left is put back first: the plan is made of what is there then.
    let _lock = (!args.dry_run).then(|| recover::start(checkout, &doing)).transpose()?;
    inspect::check_not_left_out(&checkout.config, &version)?;
    check_editable(checkout, &version)?;
    let facts = inspect::facts(checkout, inspect::release(checkout, &version)?)?;
    let plan = plan(checkout, facts, args.drift)?;
    explain(&plan);
    if args.dry_run {
        ui::patch(&plan.patch())?;
        return check_decided(&plan);
    }
    check_decided(&plan)?;
    if plan.is_empty() {
        ui::step("Unchanged", format!("the Nix files say {version} already"));
        return Ok(());
    }
    let count = plan.changes().len();
    Edits::write(checkout, &plan)?.keep()?;
    ui::step("Bumped", format!("{} to {version}", ui::count(count, "file")));
    Ok(())
}

/// Refuses files that cannot be read, or could not be edited to a version whatever its hashes are,
/// before anything is downloaded.
pub fn check_editable(checkout: &Checkout, version: &Version) -> Result<()> {
    if checkout.pinned_version()? == *version {
        return Ok(());
    }
    let config = &checkout.config;
    let any = Sri::from_digest([1; 32]);
    let fetched = config.packages_of(version).filter(|package| package.fetch.is_some());
    let pins = Pins {
        version: version.clone(),
        tag: version.to_string(),
        commit: "1".repeat(40),
        by_commit: config.upstream.pin == Pin::Commit,
        source_hash: any,
        pypi: fetched
            .map(|package| PypiPin {
                name: package.name.clone(),
                version: package.version_at(version),
                file: None,
                hash: any,
            })
            .collect(),
        python: config.python_at(version)?.to_owned(),
    };
    nix_edit::repin(&checkout.nix_files()?, &checkout.scope(), &pins)?;
    Ok(())
}

/// Plans the edits of this checkout's files. Writes nothing.
pub fn plan(checkout: &Checkout, facts: Facts, drift: DriftArg) -> Result<Plan> {
    let pinned = checkout.pinned_version()?;
    let before = if pinned == facts.release.version {
        None
    } else {
        inspect::distributions(checkout, &pinned)?
    };
    let policy = Policy { config: &checkout.config, nixpkgs: &checkout.nixpkgs };
    let (scope, files) = (checkout.scope(), checkout.nix_files()?);
    Plan::new(policy, &scope, &files, facts, before.as_deref(), drift.accept_drift)
}

/// Refuses a plan with findings that nobody accepted.
///
/// # Errors
/// Status 3.
pub fn check_decided(plan: &Plan) -> Result<()> {
    let undecided = plan.undecided();
    if undecided.is_empty() {
        return Ok(());
    }
    let version = &plan.facts.release.version;
    let packages: BTreeSet<&str> =
        undecided.iter().map(|finding| finding.package.as_str()).collect();
    Err(Failure::decision(format!(
        "{version} is not what the expressions were written for: {} in {}",
        ui::count(undecided.len(), "finding"),
        packages.into_iter().collect::<Vec<_>>().join(", ")
    ))
    .hint("read the findings; `--accept-drift` makes the edits and goes on, `--dry-run` shows them")
    .into())
}

/// Tells a person what the plan does, in a few lines.
pub fn explain(plan: &Plan) {
    let Facts { release, source_hash, .. } = &plan.facts;
    if plan.is_empty() {
        ui::step("Planned", format!("nothing: the files say {} already", release.version));
    } else {
        ui::step("Planned", format!("dagster {} -> {}", plan.from.version.value, release.version));
        ui::detail(format!("tag {} is commit {}", release.tag, release.commit));
        ui::detail(format!("source {source_hash}"));
        for wheel in &release.wheels {
            ui::detail(format!("wheel  {} ({} {})", wheel.hash, wheel.name, wheel.version));
        }
        if let Some((before, after)) = plan.new_python() {
            ui::detail(format!("python {before} -> {after}"));
        }
        for path in plan.paths() {
            ui::detail(format!("edits  {path}"));
        }
    }
    // Of a release that is there already, they were told when it came.
    let notices = plan.notices.iter().chain(&plan.relaxed).filter(|_| !plan.is_empty());
    for finding in plan.findings.iter().chain(notices) {
        explain_finding(finding, plan.accepts_drift);
    }
}

fn explain_finding(finding: &Finding, is_accepted: bool) {
    let verb = match (finding.severity, is_accepted) {
        (Severity::Hard, true) => "Accepted",
        (Severity::Hard, false) => "Drift",
        (Severity::Soft, _) => "Noticed",
    };
    ui::step(verb, format!("{} {}", finding.package, finding.what));
    ui::detail(format!("upstream: {}", finding.upstream));
    for place in &finding.expressions {
        ui::detail(format!("here:     {place}"));
    }
    match &finding.answer {
        Answer::Edits(words, _) if is_accepted => ui::detail(format!("edit:     {words}")),
        Answer::Edits(words, _) => ui::detail(format!("--accept-drift {words}")),
        Answer::Person(words) => ui::detail(format!("to do:    {words}")),
        Answer::Nothing => {}
    }
}
