//! The web UI, as far as it changes things: its mutations, found by the field that they ask for.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask, data_of, words};
use super::super::documents::Documents;
use super::super::probe::Finding;
use super::super::server::Server;
use super::queries::text_of;

/// What other probes send, with texts of their own.
const ELSEWHERE: [&str; 3] = ["terminateRuns", "reloadRepositoryLocation", "reloadWorkspace"];

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
    pub documents: &'a Documents,
    /// Operations that upstream ships broken.
    pub broken: &'a [&'a str],
    /// The fields that were asked for. The reason, if that could not be.
    pub asked: RefCell<BTreeMap<&'static str, Option<String>>>,
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
        pointer: (&str, &str),
        variables: &Value,
        expected: &Value,
    ) -> Result<()> {
        let found = self.look(what, pointer, variables)?;
        if found == *expected {
            return Ok(());
        }
        let say = |value: &Value| format!("`{}`", words(value));
        bail!(Finding::new(what, say(expected), say(&found)))
    }

    /// What a query finds at a place of its answer, null where there is nothing.
    pub fn look(
        &self,
        what: &str,
        (query, pointer): (&str, &str),
        variables: &Value,
    ) -> Result<Value> {
        let data = ask(self.server, what, query, variables)?;
        Ok(data.pointer(pointer).cloned().unwrap_or(Value::Null))
    }

    /// What was sent, and what was not.
    pub fn words(&self) -> String {
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
            count => format!(", {count} not sent: {}", unsent.join(", ")),
        };
        format!("{sent} mutations do what they say{unsent}")
    }
}
