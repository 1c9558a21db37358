//! The reports of a run for machines: JSON, JUnit XML (`junit.rs`), and
//! Markdown for a job summary.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::junit::junit;
use super::probe::{Outcome, Probe};
use super::report::{INTERRUPTED, Report, lines};

/// A report and where it goes: `KIND=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    kind: Kind,
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Junit,
    Markdown,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected `json=FILE`, `junit=FILE` or `markdown=FILE`, found `{text}`");
        let (kind, file) = text.split_once('=').ok_or_else(expected)?;
        let kind = match kind {
            "json" => Kind::Json,
            "junit" => Kind::Junit,
            "markdown" => Kind::Markdown,
            _ => return Err(expected()),
        };
        if file.is_empty() {
            return Err(expected());
        }
        Ok(Self { kind, file: file.into() })
    }
}

/// Writes reports. Markdown is added to what is in the file, as GitHub's job summary wants it.
pub fn write(targets: &[Target], reports: &[Report]) -> Result<()> {
    for Target { kind, file } in targets {
        let failed = || format!("failed to write `{}`", file.display());
        match kind {
            Kind::Json => fs::write(file, json(reports)).with_context(failed)?,
            Kind::Junit => fs::write(file, junit(reports)).with_context(failed)?,
            Kind::Markdown => OpenOptions::new()
                .create(true)
                .append(true)
                .open(file)
                .and_then(|mut file| file.write_all(markdown(reports).as_bytes()))
                .with_context(failed)?,
        }
    }
    Ok(())
}

/// A list with an entry for each tree: `tree`, `kind`, `version`, `passed`, `outcome` (`passed`,
/// `failed` or `interrupted`), `seconds`, `closure` (`paths`, `bytes`, or null), `logs` (a
/// directory, or null where none were kept) and `probes`. A probe has `name`, `outcome` (`skipped`,
/// too), `seconds`, and `found`, `findings` (each `what`, `expected`, `found`) or `why`.
pub fn json(reports: &[Report]) -> String {
    let value: Vec<Value> = reports
        .iter()
        .map(|report| {
            json!({
                "tree": report.tree,
                "kind": report.kind,
                "version": report.version.to_string(),
                "passed": report.has_passed(),
                "outcome": report.outcome(),
                "seconds": report.took.as_secs_f64(),
                "closure": report.closure.as_ref().map(|closure| json!({
                    "paths": closure.paths, "bytes": closure.bytes,
                })),
                "logs": report.logs.as_ref().map(|logs| logs.display().to_string()),
                "probes": report.probes.iter().map(json_of).collect::<Vec<_>>(),
            })
        })
        .collect();
    format!("{:#}\n", Value::from(value))
}

fn json_of(probe: &Probe) -> Value {
    let mut value = json!({ "name": probe.name, "seconds": probe.took.as_secs_f64() });
    let (outcome, key, detail) = match &probe.outcome {
        Outcome::Passed(found) => ("passed", "found", json!(found)),
        Outcome::Skipped(why) => ("skipped", "why", json!(why)),
        Outcome::Interrupted => ("interrupted", "why", json!(INTERRUPTED)),
        Outcome::Failed(findings) => {
            let findings: Vec<Value> = findings
                .iter()
                .map(|finding| {
                    json!({
                        "what": finding.what, "expected": finding.expected, "found": finding.found,
                    })
                })
                .collect();
            ("failed", "findings", findings.into())
        }
    };
    value["outcome"] = outcome.into();
    value[key] = detail;
    value
}

/// A table for each tree.
pub fn markdown(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let word = report.outcome();
        let _ = writeln!(
            text,
            "### Smoke test of {} {}: {word}\n\n\
             | | probe | seconds | found |\n| --- | --- | ---: | --- |",
            cell(&report.tree),
            report.version
        );
        for probe in &report.probes {
            let (word, found) = match &probe.outcome {
                Outcome::Passed(found) => ("ok", found.clone()),
                Outcome::Skipped(why) => ("skipped", why.clone()),
                Outcome::Failed(findings) => ("**FAILED**", lines(findings)),
                Outcome::Interrupted => ("interrupted", INTERRUPTED.to_owned()),
            };
            let seconds = probe.took.as_secs_f64();
            let _ = writeln!(
                text,
                "| {word} | {} | {seconds:.1} | {} |",
                cell(&probe.name),
                cell(&found)
            );
        }
        let _ = writeln!(text, "\n{} s\n", report.took.as_secs());
        if let Some(logs) = &report.logs {
            let logs = cell(&logs.display().to_string());
            let _ = writeln!(text, "What each command wrote is in `{logs}`.\n");
        }
    }
    text
}

/// Text of others inside a table: it must not end the cell, nor be read as HTML.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for char in text.trim().chars() {
        match char {
            '|' => cell.push_str("\\|"),
            '<' => cell.push_str("&lt;"),
            '&' => cell.push_str("&amp;"),
            '\n' => cell.push_str("<br>"),
            char if char.is_control() => cell.push(' '),
            char => cell.push(char),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::probe::Finding;
    use super::*;

    fn reports() -> Vec<Report> {
        let probe = |name: &str, outcome| Probe {
            name: name.to_owned(),
            took: Duration::from_millis(1250),
            outcome,
        };
        vec![Report {
            tree: "combined".to_owned(),
            kind: "flox result".to_owned(),
            version: semver::Version::new(1, 9, 12),
            took: Duration::from_secs(11),
            probes: vec![
                probe("imports", Outcome::Passed("dagster".to_owned())),
                probe(
                    "dagster --version",
                    Outcome::Failed(vec![Finding::new("a|b", "<1>", "x\u{1b}[1m\n& y")]),
                ),
                probe("closure", Outcome::Skipped("no store".to_owned())),
                probe("web page", Outcome::Skipped("it needs `webserver`".to_owned())),
                probe("graphql", Outcome::Interrupted),
            ],
            closure: None,
            may_skip: vec!["closure".to_owned()],
            is_interrupted: false,
            logs: Some("/tmp/smoke-x".into()),
        }]
    }

    #[test]
    fn markdown_holds_whatever_was_found() {
        expect_test::expect![[r"
            ### Smoke test of combined 1.9.12: failed

            | | probe | seconds | found |
            | --- | --- | ---: | --- |
            | ok | imports | 1.2 | dagster |
            | **FAILED** | dagster --version | 1.2 | a\|b: expected &lt;1>, found x [1m<br>&amp; y |
            | skipped | closure | 1.2 | no store |
            | skipped | web page | 1.2 | it needs `webserver` |
            | interrupted | graphql | 1.2 | this program was told to end |

            11 s

            What each command wrote is in `/tmp/smoke-x`.

        "]]
        .assert_eq(&markdown(&reports()));
    }

    #[test]
    fn json_is_as_documented() {
        let value: Value = serde_json::from_str(&json(&reports())).unwrap();
        assert_eq!(value[0]["passed"], false);
        assert_eq!(value[0]["probes"][1]["findings"][0]["expected"], "<1>");
        assert_eq!(value[0]["probes"][2]["outcome"], "skipped");
        assert_eq!(value[0]["probes"][4]["outcome"], "interrupted");
        assert_eq!(value[0]["logs"], "/tmp/smoke-x");
        assert_eq!(value[0]["closure"], Value::Null);
    }

    #[test]
    fn targets() {
        let target: Target = "junit=a=b.xml".parse().unwrap();
        assert_eq!(target, Target { kind: Kind::Junit, file: "a=b.xml".into() });
        assert!("a.xml".parse::<Target>().is_err());
        assert!("html=a".parse::<Target>().is_err());
        assert!("json=".parse::<Target>().is_err());
    }
}
