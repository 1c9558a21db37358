//! The report as JUnit XML, within what Jenkins' schema lets in (`junit-10.xsd` of its xUnit
//! plugin, and the older `jenkins-junit.xsd`). The rules, which `junit/tests.rs` checks:
//!
//! ```text
//! testsuites  name time tests failures errors; testsuite…
//! testsuite   name tests failures errors skipped time; properties, testcase…
//! property    name value
//! testcase    name classname time; one of: skipped, error, failure
//! error, failure   message type, and text;   skipped   text only (the older schema)
//! ```
//!
//! A time is in seconds, with a point. What XML 1.0 cannot hold is left out.

use std::fmt::Write as _;
use std::time::Duration;

use super::probe::{Outcome, Probe};
use super::report::{INTERRUPTED, Report, lines};

/// What a case is besides its name.
enum Case {
    Passed,
    Skipped(String),
    /// The element: an error for what says nothing about the tree.
    Bad(&'static str, String),
}

/// A suite for each tree, a case for each probe. A skipped probe that had to run is a failure.
pub fn junit(reports: &[Report]) -> String {
    let mut suites = String::new();
    let (mut all, mut took) = ([0; 4], Duration::ZERO);
    for report in reports {
        let (suite, counts) = suite(report);
        suites.push_str(&suite);
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        took += report.took;
    }
    let [tests, failures, errors, _] = all;
    let time = seconds(took);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"smoke\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" time=\"{time}\">\n{suites}</testsuites>\n"
    )
}

/// A suite, and how many cases it has: all, failures, errors, skipped.
fn suite(report: &Report) -> (String, [usize; 4]) {
    let mut cases = String::new();
    let mut counts = [report.probes.len(), 0, 0, 0];
    let class = attribute(&report.tree);
    for probe in &report.probes {
        let name = attribute(&probe.name);
        let time = seconds(probe.took);
        let _ =
            write!(cases, "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{time}\"");
        let _ = match case(report, probe) {
            Case::Passed => writeln!(cases, "/>"),
            Case::Skipped(why) => {
                counts[3] += 1;
                writeln!(cases, "><skipped>{}</skipped></testcase>", escaped(&why))
            }
            Case::Bad(kind, text) => {
                counts[if kind == "failure" { 1 } else { 2 }] += 1;
                let message = attribute(text.lines().next().unwrap_or_default());
                let text = escaped(&text);
                writeln!(cases, "><{kind} message=\"{message}\">{text}</{kind}></testcase>")
            }
        };
    }
    let [tests, failures, errors, skipped] = counts;
    let name = attribute(&format!("{} {}", report.tree, report.version));
    let time = seconds(report.took);
    let mut suite = format!(
        "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time}\">\n"
    );
    if let Some(logs) = &report.logs {
        let logs = attribute(&logs.display().to_string());
        let _ = writeln!(
            suite,
            "    <properties><property name=\"logs\" value=\"{logs}\"/></properties>"
        );
    }
    let _ = writeln!(suite, "{cases}  </testsuite>");
    (suite, counts)
}

fn case(report: &Report, probe: &Probe) -> Case {
    match &probe.outcome {
        Outcome::Passed(_) => Case::Passed,
        Outcome::Skipped(why) if report.had_to_run(probe) => {
            Case::Bad("failure", format!("skipped: {why}"))
        }
        Outcome::Skipped(why) => Case::Skipped(why.clone()),
        Outcome::Failed(findings) => Case::Bad("failure", lines(findings)),
        Outcome::Interrupted => Case::Bad("error", format!("interrupted: {INTERRUPTED}")),
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// Text for an element: what it was coloured with, and what XML cannot hold, is left out.
fn escaped(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            '\n' | '\t' => escaped.push(char),
            char if char < ' ' => {}
            char => escaped.push(char),
        }
    }
    escaped
}

/// Text for an attribute between double quotes, on one line.
fn attribute(text: &str) -> String {
    escaped(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests;
