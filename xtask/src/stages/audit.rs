//! `audit`: would a release fail over a nixpkgs, and on what? Builds nothing.
//!
//! `--write` records what that nixpkgs has in `nixpkgs.toml`; nothing else is ever written.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::inspect;
use crate::args::Format;
use crate::checkout::Checkout;
use crate::model::audit::{self, Answers, Question, Reasons, Source, Subject};
use crate::model::{nix_edit, nixpkgs, version};
use crate::tools::github;
use crate::tools::lock::Lock;
use crate::tools::nix::Nix;
use crate::ui;

/// Check the expressions against a nixpkgs: names, versions, systems, Python
#[derive(clap::Args)]
pub struct Args {
    /// The version of Dagster whose bounds are looked at, instead of the pinned one
    version: Option<String>,
    /// A directory, `channel:NAME` or an archive's address, instead of the nixpkgs that flox takes
    #[arg(long, value_name = "PATH-or-URL")]
    nixpkgs: Option<String>,
    /// Write what nixpkgs has to nixpkgs.toml
    #[arg(long)]
    write: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// flox's environment as it was locked.
const LOCK: &str = "flox/.flox/env/manifest.lock";

/// The Pythons that may have a package set, as minor versions of 3.
const MINORS: std::ops::RangeInclusive<u8> = 11..=15;

pub fn run(args: &Args, checkout: &Checkout) -> Result<()> {
    let source = source(args, checkout)?;
    let pinned = checkout.pinned_version()?;
    let version = args.version.as_deref().map_or(Ok(pinned), version::parse)?;
    let nix = Nix::new()?;
    let facts = inspect::facts(checkout, inspect::release(checkout, &version)?)?;
    let files = checkout.nix_files()?;
    let named = nix_edit::pythons(&files)?.into_iter().map(|python| python.value).collect();
    let subject = Subject {
        config: &checkout.config,
        facts: &facts,
        expressions: &nix_edit::expressions(&files, &checkout.scope())?,
        named: &named,
    };
    let question = question(&subject, checkout, source)?;
    ui::step("Evaluating", &question.source);
    let answers = nix.ask(&question)?;
    let reasons = reasons(&nix, &question, &answers)?;
    let audit = audit::judge(&subject, &question.source, &answers, &reasons)?;
    match args.format {
        Format::Json => ui::print(&format!("{}\n", serde_json::to_string_pretty(&audit)?))?,
        Format::Text => ui::print(&audit.text())?,
    }
    if args.write {
        write(checkout, &subject, &question.source, &answers)?;
    }
    Ok(audit.check()?)
}

/// What was asked for, else what flox would take.
fn source(args: &Args, checkout: &Checkout) -> Result<Source> {
    if let Some(text) = &args.nixpkgs {
        return Source::parse(text, &std::env::current_dir()?);
    }
    if checkout.sh.path_exists(LOCK) {
        let lock = checkout.sh.read_file(LOCK)?;
        let locked = audit::locked(&lock).with_context(|| format!("in `{LOCK}`"))?;
        if let Some(locked) = locked {
            return Ok(locked);
        }
    }
    Ok(Source::Url(github::archive_of_branch("flox/nixpkgs", "stable")))
}

fn question(subject: &Subject<'_>, checkout: &Checkout, source: Source) -> Result<Question> {
    let policy = checkout.config.pythons().map(audit::attribute_of);
    let known = MINORS.map(|minor| format!("python3{minor}"));
    let named = subject.named.iter().map(|python| audit::attribute_of(python));
    let recorded = checkout.nixpkgs.versions.keys().cloned();
    Ok(Question {
        source,
        systems: checkout.config.catalog.systems.clone(),
        python: subject.python()?,
        pythons: known.chain(policy).chain(named).collect(),
        names: subject.names().into_iter().chain(recorded).collect::<BTreeSet<_>>(),
    })
}

/// Asks once more for what was refused, one by one: an evaluation that goes on has no words for it.
fn reasons(nix: &Nix, question: &Question, answers: &Answers) -> Result<Reasons> {
    let mut reasons = Reasons::new();
    for why in audit::refused(answers) {
        // Looked at were also Pythons that the release has no use for.
        if why.python.as_ref().is_some_and(|python| *python != question.python) {
            continue;
        }
        let python = why.python.clone().or(why.name.is_some().then(|| question.python.clone()));
        let asked = audit::Why { python, ..why.clone() };
        if let Some(words) = nix.why(question, &asked)? {
            reasons.insert(why, words);
        }
    }
    Ok(reasons)
}

fn write(
    checkout: &Checkout,
    subject: &Subject<'_>,
    source: &Source,
    answers: &Answers,
) -> Result<()> {
    let _lock = Lock::take(checkout, "audit --write")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let recorded = audit::recorded(subject, source, answers, audit::day(now))?;
    let path = checkout.root.join(nixpkgs::FILE);
    let failed = || format!("failed to write `{}`", nixpkgs::FILE);
    let mut file = tempfile::NamedTempFile::new_in(&checkout.root).with_context(failed)?;
    file.write_all(recorded.render().as_bytes()).with_context(failed)?;
    if let Ok(metadata) = path.metadata() {
        file.as_file().set_permissions(metadata.permissions()).with_context(failed)?;
    }
    file.persist(&path).with_context(failed)?;
    let count = ui::count(recorded.versions.len(), "version");
    ui::step("Recorded", format!("{count} in {}", nixpkgs::FILE));
    Ok(())
}
