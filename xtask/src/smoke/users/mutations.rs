//! The mutations of the web UI, sent as it sends them: each with its own text, on what the
//! instance has (`acts.rs`). What it is to change is then looked at: one that does nothing
//! answers well, too.
//!
//! They are found by the field that they ask for, which users' own scripts rely on; the names of
//! the operations are the UI's own affair. What is sent elsewhere is not sent again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask, data_of, words};
use super::super::documents::Documents;
use super::super::probe::{Finding, checked};
use super::super::server::Server;
use super::acts::{ACTS, after, launch};
use super::queries::{few, text_of};
use super::run;
use super::wait::Wait;

/// What other probes of users send, with texts of their own.
const ELSEWHERE: [&str; 2] = ["terminateRuns", "reloadRepositoryLocation"];

/// What is there that can be changed.
pub struct Subjects<'a> {
    /// A run of job `processes` that succeeded, and one of job `full_shelf`, which failed.
    pub succeeded: &'a str,
    pub failed: &'a str,
    /// A backfill that is done.
    pub backfill: &'a str,
}

/// A run that was launched: what it is of, its id, and how it must end.
pub type Launched = (&'static str, String, &'static str);

/// The UI, and whom it talks to.
pub struct Ui<'a> {
    pub server: &'a Server,
    pub subjects: &'a Subjects<'a>,
    documents: &'a Documents,
    broken: &'a [&'a str],
    /// The fields that were asked for. The reason, if that could not be.
    asked: RefCell<BTreeMap<&'static str, Option<String>>>,
}

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
    let problems: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let what = "mutations of the web UI";
    bail!(Finding::new(what, "each to do what it says", few(&problems)))
}

impl Ui<'_> {
    /// Sends the mutation that asks for a field; the field's value, which must be of a type, or be
    /// `true` or `false`. `values` are of all variables that such a mutation may have. `None`: this
    /// UI has no such mutation, or it wants more.
    pub fn send(
        &self,
        field: &'static str,
        expected: &str,
        values: &Value,
    ) -> Result<Option<Value>> {
        // One of a name may be in several scripts, and select more in one than in another.
        let Some(mutation) = self.documents.operations.iter().find(|own| {
            own.kind == "mutation" && own.field == field && !self.broken.contains(&&*own.name)
        }) else {
            return Ok(None);
        };
        let needs_more = |reason: String| {
            self.asked.borrow_mut().insert(field, Some(reason));
            Ok(None)
        };
        let fragments = match self.documents.needed_by(mutation) {
            Ok(fragments) => fragments,
            Err(missing) => return needs_more(format!("fragment `{missing}`")),
        };
        let mut variables = json!({});
        for variable in &mutation.variables {
            match values.get(&variable.name) {
                Some(value) => variables[&variable.name] = value.clone(),
                None if variable.kind.ends_with('!') => return needs_more(variable.name.clone()),
                None => {}
            }
        }
        let request = json!({
            "operationName": mutation.name,
            "query": text_of(mutation, &fragments),
            "variables": variables,
        });
        self.asked.borrow_mut().insert(field, None);
        let what = format!("mutation `{}` of the web UI", mutation.name);
        let data = data_of(self.server.graphql(&request)?, &what)?;
        let value = data.as_object().and_then(|data| data.values().next()).cloned();
        let value = value.unwrap_or_default();
        let found = value.get("__typename").unwrap_or(&value);
        if words(found) == expected {
            return Ok(Some(value));
        }
        bail!(Finding::new(what, format!("`{expected}`"), format!("`{}`", words(&value))))
    }

    /// Checks a value on the instance, at a JSON pointer (RFC 6901) in what a query gives.
    pub fn see(
        &self,
        what: &str,
        (query, pointer): (&str, &str),
        variables: &Value,
        expected: &Value,
    ) -> Result<()> {
        let data = ask(self.server, what, query, variables)?;
        let found = data.pointer(pointer).unwrap_or(&Value::Null);
        if found == expected {
            return Ok(());
        }
        let say = |value: &Value| format!("`{}`", words(value));
        bail!(Finding::new(what, say(expected), say(found)))
    }

    /// What was sent, and what was not.
    fn words(&self) -> String {
        let asked = self.asked.borrow();
        let sent = asked.values().filter(|reason| reason.is_none()).count();
        let mut unsent = Vec::new();
        for own in self.documents.operations.iter().filter(|own| own.kind == "mutation") {
            let field = own.field.as_str();
            match asked.get(field) {
                Some(None) => {}
                Some(Some(reason)) => unsent.push(format!("`{}` (`{reason}`)", own.name)),
                None if ELSEWHERE.contains(&field) => {}
                None => unsent.push(format!("`{}`", own.name)),
            }
        }
        let unsent = match unsent.len() {
            0 => String::new(),
            count => format!(", {count} were not sent: {}", unsent.join(", ")),
        };
        format!("{sent} mutations do what they say{unsent}")
    }
}
