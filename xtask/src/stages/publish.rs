//! `publish`: `flox publish` of what was built and smoked from the commit that is published.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::catalog::{self, Entry, Package};
use super::preflight::{self, Need};
use super::smoke::{self, Smoked};
use super::{build, committed, departure, recover};
use crate::args::{OrgArg, VariantArg};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::source::Source;
use crate::smoke::Options;
use crate::tools::flox::{self, Flox, Outcome};
use crate::ui;

/// How long a new version may take to show up in the catalog.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

/// Smoke, then publish with `flox publish`
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    variant: VariantArg,
    #[command(flatten)]
    org: OrgArg,
    #[command(flatten)]
    smoke: Options,
}

/// One package that users can install now.
pub struct Published {
    /// What the catalog has of it by now.
    pub entry: Entry,
    pub system: String,
    /// Was it this run that published it?
    pub is_new: bool,
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let org = args.org.resolve(checkout)?;
    let _lock = recover::start(checkout, "publish")?;
    preflight::check(checkout, org, Need::PUBLISH)?;
    check_git(checkout)?;
    let pinned = checkout.pinned()?;
    let version = &pinned.version.value;
    committed::check(&committed::of(checkout, version)?, version, &Source::from(&pinned), false)?;
    departure::check(checkout, version, &[&pinned], false)?;
    let smoked = smoke::build_and_smoke(checkout, args.variant.variants(), &args.smoke)?;
    report(checkout, &publish(checkout, &smoked, org)?);
    Ok(())
}

/// Publishes variants that passed their smoke tests. What the catalog has already is skipped.
///
/// # Errors
/// Status 1 when nothing was published, 4 when some packages were and some were not.
pub fn publish(checkout: &Checkout, smoked: &[Smoked], org: &str) -> Result<Vec<Published>> {
    check_git(checkout)?;
    let tree = checkout.git().tree_of("HEAD")?;
    let flox = Flox::new(&checkout.root);
    let system = flox::system()?;
    let mut done = Vec::new();
    for smoked in smoked {
        let built = smoked.built();
        let changed = checkout.git().differences_in(&built.tree, &tree, build::TESTED)?;
        if !changed.is_empty() {
            return Err(Failure::failed(format!(
                "`{}` was built and smoked from another `{}` than the commit to publish has",
                built.variant,
                changed.join("`, `")
            ))
            .hint("run the command again: it builds and smokes first")
            .into());
        }
        for output in &built.outputs {
            let package = Package::new(&checkout.config, org, &output.attribute, &built.version);
            match publish_one(&flox, &package, &system) {
                Ok(published) => done.push(published),
                Err(error) => return Err(stopped(&done, &package, error)),
            }
        }
    }
    Ok(done)
}

/// Why a package is not among those that were published.
enum Stop {
    /// Nothing was tried.
    NotTried(anyhow::Error),
    /// It failed, and the catalog has nothing of it.
    Failed(anyhow::Error),
    /// It may be there, or come yet.
    NotConfirmed(anyhow::Error),
}

fn publish_one(flox: &Flox<'_>, package: &Package, system: &str) -> Result<Published, Stop> {
    let published = |entry, is_new| Published { entry, system: system.to_owned(), is_new };
    let entry = package.ask(flox).map_err(Stop::NotTried)?;
    if entry.is_for(system) {
        ui::step("Skipped", format!("{package}: in the catalog already for {system}"));
        return Ok(published(entry, false));
    }
    ui::step("Publishing", format!("{package} for {system}"));
    let (error, is_over) = match flox.publish(&package.attribute, &package.org) {
        Ok(outcome @ (Outcome::Published | Outcome::AlreadyPublished)) => {
            let entry = confirm(flox, package, system).map_err(Stop::NotConfirmed)?;
            return Ok(published(entry, matches!(outcome, Outcome::Published)));
        }
        Ok(Outcome::Unknown(error)) => (error, false),
        Err(error) => (error, true),
    };
    match package.ask(flox) {
        Ok(entry) if entry.is_for(system) => {
            ui::warning(format!("{package} is in the catalog, although: {error:#}"));
            Ok(published(entry, true))
        }
        Ok(_) if is_over => Err(Stop::Failed(error)),
        _ => Err(Stop::NotConfirmed(error)),
    }
}

/// Waits until the catalog lists what flox says it published.
fn confirm(flox: &Flox<'_>, package: &Package, system: &str) -> Result<Entry> {
    let deadline = Instant::now() + VISIBLE_WITHIN;
    loop {
        let entry = package.ask(flox);
        match entry {
            Ok(entry) if entry.is_for(system) => return Ok(entry),
            Ok(_) if Instant::now() >= deadline => anyhow::bail!(
                "flox says that it is published, and after {} s `flox show` does not list it",
                VISIBLE_WITHIN.as_secs()
            ),
            Err(error) if Instant::now() >= deadline || interrupt::is_set() => return Err(error),
            _ => {}
        }
        interrupt::check()?;
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// The error of a run that stopped at one package; what is in the catalog by then decides the
/// status.
fn stopped(done: &[Published], package: &Package, stop: Stop) -> anyhow::Error {
    let names: Vec<String> = done.iter().map(|done| format!("`{}`", done.entry.package)).collect();
    let done = match names.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is in the catalog")),
        _ => Some(format!("{} are in the catalog", names.join(", "))),
    };
    let hint = "run the same command again: what is published is skipped";
    let (failure, error) = match (stop, done) {
        (Stop::NotConfirmed(error), None) => {
            let text = format!("not confirmed: `{package}` may be in the catalog or not");
            (Failure::partial(text), error)
        }
        (Stop::NotConfirmed(error), Some(done)) => {
            let text = format!("published in part: {done}, `{package}` is not confirmed");
            (Failure::partial(text), error)
        }
        (Stop::NotTried(error) | Stop::Failed(error), Some(done)) => {
            (Failure::partial(format!("published in part: {done}, `{package}` is not")), error)
        }
        (Stop::Failed(error), None) => {
            let text = format!("failed to publish `{package}`; nothing was published");
            (Failure::failed(text), error)
        }
        (Stop::NotTried(error), None) => {
            let text = format!("failed to publish `{package}`; this run published nothing");
            (Failure::failed(text), error)
        }
    };
    failure.caused_by(error).hint(hint).into()
}

/// Tells people what they can install now, and what is missing for other systems.
pub fn report(checkout: &Checkout, published: &[Published]) {
    for Published { entry: Entry { package, .. }, system, is_new } in published {
        let verb = if *is_new { "Published" } else { "Present" };
        ui::step(verb, format!("{package} for {system}: flox install {package}"));
    }
    let entries: Vec<Entry> = published.iter().map(|published| published.entry.clone()).collect();
    catalog::report_gaps(&entries, &checkout.config.catalog.systems);
}

/// Checks what `flox publish` asks of git, with the same questions.
fn check_git(checkout: &Checkout) -> Result<()> {
    let git = checkout.git();
    let dirty = git.dirty()?;
    if !dirty.is_empty() {
        return Err(Failure::failed(format!(
            "expected a clean checkout, found changes in {}",
            dirty.join(", ")
        ))
        .hint("commit or stash it")
        .into());
    }
    preflight::all_in_git(checkout)?;
    let Some(branch) = git.branch()? else {
        return Err(Failure::failed("expected a branch, found a detached HEAD")
            .hint("`git switch main`, or in a workflow check out the branch by name")
            .into());
    };
    let Some(upstream) = preflight::upstream(checkout)? else {
        return Err(Failure::failed(format!("branch `{branch}` has no upstream"))
            .hint(format!("`git push --set-upstream {} {branch}`", checkout.config.git.remote))
            .into());
    };
    preflight::whole_history(checkout)?;
    git.fetch(&checkout.config.git.remote)?;
    let unpushed = git.count_not_in("HEAD", &upstream)?;
    if unpushed > 0 {
        return Err(Failure::failed(format!(
            "`{branch}` has {} that `{upstream}` lacks",
            ui::count(unpushed, "commit")
        ))
        .hint("`git push`")
        .into());
    }
    Ok(())
}
