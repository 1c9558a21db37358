//! The mutations of the web UI, sent as it sends them: each with its own text, on what the
//! instance has (`acts.rs`). What it is to change is then looked at: one that does nothing
//! answers well, too.
//!
//! They are found by the field that they ask for, which users' own scripts rely on; the names of
//! the operations are the UI's own affair. What is sent elsewhere is not sent again.

use std::cell::RefCell;

use anyhow::{Result, bail};

use super::super::documents::Documents;
use super::super::probe::checked;
use super::super::server::Server;
use super::acts::{ACTS, after, launch};
use super::queries::together;
use super::run;
use super::ui::{Subjects, Ui};
use super::wait::Wait;

/// Sends every mutation; those that upstream ships broken aside. Says how many.
pub fn check(
    server: &Server,
    documents: &Documents,
    subjects: &Subjects<'_>,
    broken: &[&str],
) -> Result<String> {
    let ui = Ui { server, subjects, documents, broken, asked: RefCell::default() };
    let mut findings = Vec::new();
    let mut note = |result: Result<()>| -> Result<()> {
        findings.extend(checked(result.map(|()| String::new()))?.err().into_iter().flatten());
        Ok(())
    };
    let mut launched = Vec::new();
    for launch in launch(&ui) {
        note(launch.map(|run| launched.extend(run)))?;
    }
    for act in ACTS {
        note(act(&ui))?;
    }
    let wait = Wait::start(server);
    for (what, id, status) in &launched {
        note(run::follow(&wait, what, id, status))?;
    }
    note(after(&ui, &launched))?;
    if findings.is_empty() {
        return Ok(ui.words());
    }
    bail!(together("mutations of the web UI", "each to do what it says", &findings))
}
