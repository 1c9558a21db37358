//! `bump`: rewrites the Nix files to a version, all of them or none.

use anyhow::Result;

use super::inspect;
use crate::checkout::Checkout;
use crate::model::facts::Facts;
use crate::model::plan::Plan;
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
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let version = version::parse(&args.version)?;
    if !args.dry_run {
        // What an interrupted run left is put back first: the plan is made of what is there then.
        Edits::recover(checkout)?;
    }
    // Files that cannot be read are refused before anything is downloaded.
    checkout.pinned()?;
    let plan = plan(checkout, inspect::facts(checkout, inspect::release(checkout, &version)?)?)?;
    if args.dry_run {
        explain(&plan);
        ui::patch(&plan.patch());
        return Ok(());
    }
    if plan.is_empty() {
        ui::step("Unchanged", format!("the Nix files say {version} already"));
        return Ok(());
    }
    explain(&plan);
    Edits::write(checkout, &plan)?.keep()?;
    ui::step("Bumped", format!("{} files to {version}", plan.changes.len()));
    Ok(())
}

/// Plans the edits of this checkout's files. Writes nothing.
pub fn plan(checkout: &Checkout, facts: Facts) -> Result<Plan> {
    Ok(Plan::new(&checkout.scope(), &checkout.nix_files()?, facts)?)
}

/// Tells a person what the plan does, in a few lines.
pub fn explain(plan: &Plan) {
    let Facts { release, source_hash } = &plan.facts;
    if plan.is_empty() {
        ui::step("Planned", format!("nothing: the files say {} already", release.version));
        return;
    }
    ui::step("Planned", format!("dagster {} -> {}", plan.from.version.value, release.version));
    ui::detail(format!("tag {} is commit {}", release.tag, release.commit));
    ui::detail(format!("source {source_hash}"));
    for wheel in &release.wheels {
        ui::detail(format!("wheel  {} ({} {})", wheel.hash, wheel.name, wheel.version));
    }
    for path in plan.paths() {
        ui::detail(format!("edits  {path}"));
    }
}
