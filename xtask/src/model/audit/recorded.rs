//! What an audit writes into `nixpkgs.toml`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::answers::{Answers, State};
use super::source::Source;
use super::subject::Subject;
use crate::model::nixpkgs::Recorded;

/// What a nixpkgs has, of what the expressions use and of what was recorded before. Of the systems,
/// the first that it has packages for speaks for all.
///
/// # Errors
/// Where it has packages for none of them, or a version that cannot be written.
pub fn recorded(
    subject: &Subject<'_>,
    source: &Source,
    answers: &Answers,
    day: String,
) -> Result<Recorded> {
    let mut systems = subject.config.catalog.systems.iter();
    let answer = systems
        .find_map(|system| answers.get(system).filter(|on| !on.packages.is_empty()))
        .context("expected a system that nixpkgs has packages for, found none")?;
    let revision = match (&answer.revision, &answer.release) {
        (Some(revision), _) => revision.clone(),
        (None, Some(release)) => format!("{release}, {source}"),
        (None, None) => source.to_string(),
    };
    let built = answer.pythons.iter().filter(|(_, it)| it.state == State::There && it.is_built);
    let pythons = built
        .filter_map(|(name, _)| Some(format!("3.{}", name.strip_prefix("python3")?)))
        .collect();
    let versions: BTreeMap<String, String> = answer
        .packages
        .iter()
        .filter_map(|(name, package)| Some((name.clone(), package.version.clone()?)))
        .collect();
    let recorded = Recorded { recorded: day, revision, pythons, versions };
    // What is written can be read.
    Recorded::parse(&recorded.render())
}

/// The day of a time in seconds since 1970, as `2026-11-24`, in UTC.
pub fn day(seconds: u64) -> String {
    // Days of the Gregorian calendar in years that begin in March, as Howard Hinnant counts them:
    // an era has 400 years.
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
