//! `release`: every step in order. It has no checks of its own but those of order and place.

use std::path::PathBuf;

use anyhow::Result;
use semver::Version;

use super::branch::{Place, There, place};
use super::bump::DriftArg;
use super::committed::{self, Committed};
use super::preflight::{self, Need};
use super::publish::{self, Published};
use super::smoke::{self, Smoked};
use super::{attest, build, bump, catalog, departure, inspect, recover};
use crate::args::{OrgArg, VariantArg};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::facts::Facts;
use crate::model::nix_edit::Pinned;
use crate::model::plan::{Plan, subject};
use crate::model::source::Source;
use crate::model::version;
use crate::smoke::Options;
use crate::tools::edits::Edits;
use crate::tools::git::BranchAt;
use crate::tools::{flox, moves};
use crate::ui;

/// Release a version: bump, build, smoke, commit, push, publish
#[derive(clap::Args)]
pub struct Args {
    /// A version of Dagster, like 1.9.12
    version: String,
    /// Print the patch and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop before the commit is made: bump, build and smoke, then put the files back
    #[arg(long)]
    no_publish: bool,
    /// Stop after the push: bump, build, smoke, commit and push, which needs no FloxHub login
    #[arg(long, conflicts_with = "no_publish")]
    commit_only: bool,
    /// Write down what was built and passed, for `--attested` on another machine of this system
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    attest: Option<PathBuf>,
    /// Run nothing of upstream's: go by what FILE says was built and passed, and stop where the
    /// files or the build here are others. With --commit-only nothing is built, either
    #[arg(long, value_name = "FILE", conflicts_with_all = ["attest", "dry_run"])]
    attested: Option<PathBuf>,
    /// Where the version is committed already and its tag was moved since: commit and build what
    /// upstream has now. The catalog keeps what it has of the version
    #[arg(long)]
    accept_moved_tag: bool,
    #[command(flatten)]
    drift: DriftArg,
    #[command(flatten)]
    variant: VariantArg,
    #[command(flatten)]
    org: OrgArg,
    #[command(flatten)]
    smoke: Options,
}

/// How often a remote that moves is pushed to.
const PUSHES: usize = 3;

impl Args {
    /// `is_committed`: another machine, or an earlier run, made the commit and pushed it.
    fn need(&self, is_committed: bool) -> Need {
        Need {
            builds: !(self.commit_only && self.attested.is_some()),
            commits: !self.no_publish && !is_committed,
            publishes: !self.no_publish && !self.commit_only,
        }
    }
}

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let version = version::parse(&args.version)?;
    let org = args.org.resolve(checkout)?;
    if args.dry_run {
        return dry_run(args, checkout, &version);
    }
    let lock = recover::start(checkout, &format!("release {version}"))?;
    let git = checkout.git();
    let is_committed = git.has_commit_on_remote(&checkout.config.git.remote, &subject(&version))?;
    let need = args.need(is_committed);
    preflight::check(checkout, org, need)?;
    let branch = preflight::current_branch(checkout)?;
    git.fetch(&checkout.config.git.remote)?;
    let place = place(checkout, &branch, &version)?;
    let (at, is_away) = match &place {
        Place::Here => (branch.as_str(), false),
        Place::Maintenance { branch, .. } => (branch.as_str(), true),
    };
    let step = step_with_remote(checkout, at, is_away, &version)?;
    let committed = committed::of(checkout, &version)?;
    let facts = facts(args, checkout, &version, &committed, place == Place::Here)?;
    let source = Source::from(&facts);
    let given_up = committed::check(&committed, &version, &source, args.accept_moved_tag)?;

    let there = There::go(checkout, &branch, &place)?;
    let published = bring_in_step(checkout, there.branch(), step, &version)
        .and_then(|()| Checkout::open(&checkout.root))
        .and_then(|here| {
            check_order(&here, &there, &version)?;
            release_here(&here, args, need, facts, &given_up, there.branch(), org)
        });
    if published.is_err() {
        // A git that was killed is in the way of the next one.
        lock.remove_those_of_git()?;
    }
    let back = there.come_back();
    let published = match (published, &back) {
        (Err(error), Err(elsewhere)) => {
            ui::warning(format!("failed to switch back: {elsewhere:#}; `git switch {branch}`"));
            return Err(error);
        }
        (published, _) => published?,
    };
    let Some(published) = published else { return back };
    publish::report(checkout, &published);
    // The release is made: where the checkout stands is not part of it.
    if let Err(error) = back {
        ui::warning(format!("failed to switch back: {error:#}; `git switch {branch}`"));
    }
    Ok(())
}

/// What there is to know of a version. Where it is committed already, upstream must have that
/// still. `is_here`: the files that it is released with are those that are checked out.
fn facts(
    args: &Args,
    checkout: &Checkout,
    version: &Version,
    committed: &[Committed],
    is_here: bool,
) -> Result<Facts> {
    inspect::check_not_left_out(&checkout.config, version)?;
    if is_here {
        bump::check_editable(checkout, version)?;
    }
    let pinned: Vec<&Pinned> = committed.iter().map(|committed| &committed.pinned).collect();
    departure::check(checkout, version, &pinned, args.accept_moved_tag)?;
    inspect::facts(checkout, inspect::release(checkout, version)?)
}

/// Brings the branch that is checked out to where its remote is.
fn bring_in_step(checkout: &Checkout, branch: &str, step: Step, version: &Version) -> Result<()> {
    match step {
        Step::Even => Ok(()),
        Step::Own => catch_up(checkout, branch, version),
        Step::Behind => {
            let upstream = format!("{}/{branch}", checkout.config.git.remote);
            ui::detail(format!("`{branch}` was behind `{upstream}`"));
            checkout.git().fast_forward(&upstream)
        }
    }
}

/// The steps, on the branch that the release belongs to. `None`: there was nothing to publish.
fn release_here(
    checkout: &Checkout,
    args: &Args,
    need: Need,
    facts: Facts,
    given_up: &[&Committed],
    branch: &str,
    org: &str,
) -> Result<Option<Vec<Published>>> {
    let version = facts.release.version.clone();
    let plan = bump::plan(checkout, facts, args.drift)?;
    if plan.from.version.value == version && !args.accept_moved_tag {
        committed::check_here(checkout, &plan.from, &Source::from(&plan.facts))?;
    }
    let variants = args.variant.variants();
    if !plan.undecided().is_empty() {
        bump::explain(&plan);
        bump::check_decided(&plan)?;
    }
    if plan.is_empty() && is_pushed(checkout)? {
        if args.commit_only {
            ui::step("Finished", format!("{version} is committed and pushed already"));
            return Ok(None);
        }
        let entries = catalog::ask(checkout, org, variants, &version)?;
        let system = flox::system()?;
        if entries.iter().all(|entry| entry.is_for(&system)) {
            ui::step("Finished", format!("{version} is released already: nothing to do"));
            catalog::report_gaps(&entries, &checkout.config.catalog.systems);
            return Ok(None);
        }
    }
    bump::explain(&plan);
    let is_done = args.no_publish || plan.is_empty() && is_pushed(checkout)?;
    if !is_done && !need.commits {
        // The version is committed, but not all of it: one variant, for one.
        preflight::check(checkout, org, Need::COMMIT)?;
    }

    let edits = Edits::write(checkout, &plan)?;
    let smoked = match &args.attested {
        Some(file) => attest::go_by(checkout, &version, variants, file, !args.commit_only)?,
        None => smoke::build_and_smoke(checkout, variants, &args.smoke)?,
    };
    if let Some(file) = &args.attest {
        attest::write(checkout, &version, &smoked, file)?;
    }
    interrupt::check()?;
    if args.no_publish {
        ui::step(
            "Stopped",
            format!("{version} builds and passes; nothing was committed or published"),
        );
        return Ok(None);
    }
    check_built(checkout, &smoked)?;
    check_still_on(checkout, branch)?;
    if !plan.is_empty() {
        ui::step("Committing", format!("dagster {version} on `{branch}`"));
        commit(checkout, &plan, &smoked, given_up)?;
        check_still_on(checkout, branch)?;
    }
    edits.keep()?;
    // Who only publishes may not push, not even nothing.
    if !is_pushed(checkout)? {
        push(checkout, branch, &version)?;
    }
    if args.commit_only {
        ui::step("Stopped", format!("{version} is committed and pushed; nothing was published"));
        return Ok(None);
    }
    check_still_on(checkout, branch)?;
    let published = publish::publish(checkout, &smoked, org)?;
    if !given_up.is_empty() && published.iter().any(|published| !published.is_new) {
        ui::warning(format!(
            "the catalog keeps what it has of {version}, from the source that was given up"
        ));
    }
    Ok(Some(published))
}

/// Refuses to go on where somebody has checked out another branch meanwhile: what is committed or
/// published next would be of that one.
fn check_still_on(checkout: &Checkout, branch: &str) -> Result<()> {
    let found = checkout.git().branch()?;
    if found.as_deref() == Some(branch) {
        return Ok(());
    }
    let found = found.map_or("no branch".to_owned(), |found| format!("`{found}`"));
    Err(Failure::failed(format!("expected `{branch}` to be checked out still, found {found}"))
        .hint(format!(
            "nothing was done to what is checked out now: `git switch {branch}`, and run the \
             command again"
        ))
        .into())
}

/// Refuses to go on when the tracked files are not those that were built and smoked.
fn check_built(checkout: &Checkout, smoked: &[Smoked]) -> Result<()> {
    let tree = checkout.git().tree_of_tracked_files()?;
    let Some(other) = smoked.iter().map(Smoked::built).find(|built| built.tree != tree) else {
        return Ok(());
    };
    let changed = checkout.git().differences(&other.tree, &tree)?;
    Err(Failure::failed(format!(
        "`{}` changed since `{}` was built and smoked; nothing was committed",
        changed.join("`, `"),
        other.variant
    ))
    .hint("whose edit is it? it was left as it is: commit or drop it, then run the command again")
    .into())
}

/// Commits what was built and smoked, and nothing else.
fn commit(
    checkout: &Checkout,
    plan: &Plan,
    smoked: &[Smoked],
    given_up: &[&Committed],
) -> Result<()> {
    let git = checkout.git();
    let (words, moved) = committed::message_of(given_up);
    let mut message = plan.commit_message() + &words;
    let trailers = smoked.iter().filter_map(|smoked| smoked.trailer().transpose());
    let trailers = trailers.collect::<Result<String>>()? + &moved;
    if !trailers.is_empty() {
        message += &format!("\n{trailers}");
    }
    let paths = plan.paths();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let before = git.commit_of("HEAD")?;
    if let Err(error) = git.commit(&message, &paths) {
        if git.commit_of("HEAD")? == before {
            return Err(error);
        }
        // A hook that runs after the commit, for one.
        ui::warning(format!("the commit is made, although: {error:#}"));
    }
    let tree = git.tree_of("HEAD")?;
    let other = smoked.iter().map(Smoked::built).find(|built| built.tree != tree);
    let (expected, found) = (subject(&plan.facts.release.version), git.subject("HEAD")?);
    let (failure, what) = if let Some(other) = other {
        let changed = git.differences(&other.tree, &tree)?.join("`, `");
        let changed =
            format!("changed `{changed}` in the commit: that is not what was built and smoked");
        (changed, "the Nix files")
    } else if found != expected {
        (format!("made `{found}` of the subject `{expected}`"), "the subject")
    } else {
        return Ok(());
    };
    let failure = Failure::failed(format!("a hook of git's {failure}"));
    Err(match moves::move_to(&git, &before) {
        Ok(()) => {
            failure.hint(format!("the commit was taken back; make the hook leave {what} alone"))
        }
        Err(error) => failure.caused_by(error).hint(format!(
            "the commit is there and was not pushed: `git reset {before}` takes it back"
        )),
    }
    .into())
}

fn push(checkout: &Checkout, branch: &str, version: &Version) -> Result<()> {
    let remote = &checkout.config.git.remote;
    let git = checkout.git();
    let upstream = format!("{remote}/{branch}");
    ui::step("Pushing", format!("`{branch}` to `{remote}`"));
    let there = || -> Result<Option<String>> {
        git.is_on_remote(branch, remote)?.then(|| git.commit_of(&upstream)).transpose()
    };
    for _ in 0..PUSHES {
        git.fetch(remote).map_err(|error| not_pushed(branch, version, error))?;
        let before = there()?;
        if before.is_some() {
            catch_up(checkout, branch, version)?;
        }
        let pushed = git.push(remote, branch, before.as_deref());
        let Err(error) = pushed else { return Ok(()) };
        if git.fetch(remote).is_err() {
            return Err(Failure::failed(format!(
                "{version} is committed on `{branch}`, and whether it is pushed could not be asked"
            ))
            .caused_by(error)
            .hint(again(version))
            .into());
        }
        let now = there()?;
        if now.is_some() && git.count_not_in("HEAD", &upstream)? == 0 {
            ui::warning(format!("`{branch}` is pushed, although: {error:#}"));
            return git.set_upstream(remote, branch);
        }
        if now == before {
            return Err(not_pushed(branch, version, error));
        }
    }
    let moved = anyhow::anyhow!("`{remote}` moved {PUSHES} times while it was pushed");
    Err(not_pushed(branch, version, moved))
}

fn not_pushed(branch: &str, version: &Version, error: anyhow::Error) -> anyhow::Error {
    Failure::failed(format!(
        "{version} is committed on `{branch}` and not pushed; this run published nothing"
    ))
    .caused_by(error)
    .hint(again(version))
    .into()
}

fn again(version: &Version) -> String {
    format!("mend that, then run `cargo xtask release {version}` again: it goes on from here")
}

/// Puts the release's own commit on top of what the remote got meanwhile, when that is nothing that
/// was built and smoked; else takes the commit back. No other commit is touched.
fn catch_up(checkout: &Checkout, branch: &str, version: &Version) -> Result<()> {
    let git = checkout.git();
    let upstream = format!("{}/{branch}", checkout.config.git.remote);
    let ahead = git.count_not_in("HEAD", &upstream)?;
    if ahead == 0 || git.subject("HEAD")? != subject(version) {
        return Ok(());
    }
    if ahead > 1 {
        // They were on the remote when this run began.
        moves::move_to(&git, "HEAD^")?;
        return Err(Failure::failed(format!(
            "`{upstream}` was rewritten meanwhile: it lacks {} of `{branch}`; the commit of \
             {version} was taken back, and this run published nothing",
            ui::count(ahead - 1, "commit")
        ))
        .hint(format!(
            "look at `git log {upstream}..{branch}`: push what is missing there, or leave it with \
             `git switch {branch}` and `git reset --keep {upstream}`; then run the command again"
        ))
        .into());
    }
    if git.count_not_in(&upstream, "HEAD")? == 0 {
        return Ok(());
    }
    let base = git.merge_base("HEAD", &upstream)?;
    let changed = git.differences_in(&base, &upstream, build::TESTED)?;
    if changed.is_empty() {
        ui::step("Rebasing", format!("onto `{upstream}`, which moved and has what was tested"));
        let anew = git.made_anew_on(&upstream)?;
        return moves::move_to(&git, &anew);
    }
    moves::move_to(&git, &base)?;
    Err(Failure::failed(format!(
        "`{upstream}` moved meanwhile, with other versions of `{}`: {version} was not tested with \
         them, and its commit was taken back; this run published nothing",
        changed.join("`, `")
    ))
    .hint(format!(
        "`git pull --ff-only` if `{branch}` is checked out, then `cargo xtask release {version}` \
         again"
    ))
    .into())
}

/// Prints what `release` would write into this checkout, and says what else it would do.
fn dry_run(args: &Args, checkout: &Checkout, version: &Version) -> Result<()> {
    let committed = committed::of(checkout, version)?;
    let facts = facts(args, checkout, version, &committed, true)?;
    let plan = bump::plan(checkout, facts, args.drift)?;
    bump::explain(&plan);
    let branch = match preflight::current_branch(checkout)
        .and_then(|branch| place(checkout, &branch, version))
    {
        Ok(Place::Maintenance { branch, .. }) => {
            ui::detail(format!("older than {}: a maintenance release", plan.from.version.value));
            branch
        }
        Ok(Place::Here) => preflight::current_branch(checkout)?,
        Err(error) => {
            ui::warning(format!("a release would be refused here: {error:#}"));
            checkout.config.git.branch.clone()
        }
    };
    ui::detail(format!("commit `dagster {version}` on `{branch}`, then publish"));
    for &variant in args.variant.variants() {
        let names: Vec<&str> = checkout.config.attributes_of(variant, version).collect();
        ui::detail(format!("{variant}: {}", names.join(" ")));
    }
    ui::patch(&plan.patch())?;
    let source = Source::from(&plan.facts);
    committed::check(&committed, version, &source, args.accept_moved_tag)?;
    bump::check_decided(&plan)
}

/// Refuses to move a branch to an older version than it has. A branch that this run made has none.
fn check_order(checkout: &Checkout, there: &There<'_>, version: &Version) -> Result<()> {
    if there.is_new() {
        return Ok(());
    }
    let branch = there.branch();
    let pinned = checkout.pinned_version()?;
    let is_new_line =
        checkout.config.maintenance_branch(&pinned) != checkout.config.maintenance_branch(version);
    if *version < pinned && !(is_new_line && branch == checkout.config.maintenance_branch(version))
    {
        return Err(Failure::decision(format!(
            "`{branch}` is at {pinned}: releasing {version} would move it back"
        ))
        .hint("to do that nevertheless: `cargo xtask bump`, commit, push, `cargo xtask publish`")
        .into());
    }
    Ok(())
}

/// How a branch stands to the remote's of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Even,
    /// It has the one commit of a release that was cut short before the push.
    Own,
    /// Only behind, and a release may bring it up: it is not checked out for anything else.
    Behind,
}

/// Refuses when a branch and its remote have gone apart, which can be known before anything is
/// downloaded. A maintenance branch that is only behind, as after a release on another machine, is
/// no such thing.
fn step_with_remote(
    checkout: &Checkout,
    branch: &str,
    is_away: bool,
    version: &Version,
) -> Result<Step> {
    let git = checkout.git();
    let remote = &checkout.config.git.remote;
    if git.find_branch(branch, remote)? != BranchAt::Local || !git.is_on_remote(branch, remote)? {
        return Ok(Step::Even);
    }
    let upstream = format!("{remote}/{branch}");
    let behind = git.count_not_in(&upstream, branch)?;
    let ahead = git.count_not_in(branch, &upstream)?;
    let on_it = if is_away { format!("`git switch {branch}`, there ") } else { String::new() };
    let failure = match (ahead, behind) {
        (0, 0) => return Ok(Step::Even),
        (1, _) if git.subject(branch)? == subject(version) => return Ok(Step::Own),
        (0, _) if is_away => return Ok(Step::Behind),
        (0, _) => {
            let lacks = ui::count(behind, "commit");
            Failure::failed(format!("`{branch}` lacks {lacks} of `{upstream}`"))
                .hint("`git pull --ff-only`")
        }
        (_, _) => {
            let has = ui::count(ahead, "commit");
            Failure::failed(format!("`{branch}` has {has} that `{upstream}` lacks")).hint(format!(
                "{on_it}{}: a release pushes its own commit only",
                if behind == 0 { "`git push`" } else { "`git pull --rebase`, then `git push`" }
            ))
        }
    };
    Err(failure.into())
}

/// Has the branch an upstream that has its last commit?
fn is_pushed(checkout: &Checkout) -> Result<bool> {
    let git = checkout.git();
    let Some(upstream) = preflight::upstream(checkout)? else { return Ok(false) };
    Ok(git.count_not_in("HEAD", &upstream)? == 0)
}
