//! Who talks to the web server beside a browser: Dagster's own Python client, scripts over HTTP,
//! and what listens to a run over a WebSocket as the UI does (`python/clients.py`).

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::documents::{Definition, Documents};
use super::super::each::{self, Script};
use super::super::server::Server;
use super::queries::{text_of, together};

const SCRIPT: Script = Script { name: "clients.py", text: include_str!("../python/clients.py") };

/// The variable of a subscription that tells what was, too.
const CURSOR: &str = "cursor";

/// What the script is given. `run` succeeded, and a step of it wrote the logs of a key.
pub fn task(
    server: &Server,
    documents: &Documents,
    broken: &[&str],
    run: &str,
    log_key: &[String],
) -> Value {
    let variables = json!({ "runId": run, "logKey": log_key, CURSOR: null });
    let own = documents.operations.iter().filter(|own| own.kind == "subscription");
    let own = own.filter(|own| !broken.contains(&&*own.name));
    let subscriptions: Vec<Value> =
        own.filter_map(|own| subscription(documents, own, &variables)).collect();
    json!({ "url": server.url, "run": run, "log_key": log_key, "subscriptions": subscriptions })
}

/// A subscription with its variables. `None`: it tells only what happens from then on, or one of
/// its fragments is in no script, which is found elsewhere.
fn subscription(documents: &Documents, own: &Definition, values: &Value) -> Option<Value> {
    let fragments = documents.needed_by(own).ok()?;
    let mut variables = json!({});
    for variable in &own.variables {
        variables[&variable.name] = values.get(&variable.name)?.clone();
    }
    own.variables.iter().any(|own| own.name == CURSOR).then(|| {
        let query = text_of(own, &fragments);
        json!({ "name": own.name, "field": own.field, "query": query, "variables": variables })
    })
}

/// Runs the script beside the server, in the place of a command of its tree.
pub fn run(server: &Server, command: &Path, task: &Value) -> Result<String> {
    server.sandbox.write("clients.json", &task.to_string())?;
    match each::run(&server.sandbox, command, &SCRIPT, "clients")? {
        Ok(subjects) => Ok(subjects),
        Err(findings) => {
            bail!(together("clients of the web server", "each to be served", &findings))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_have_their_variables() {
        let dir = tempfile::tempdir().unwrap();
        let script = "\
            `subscription A($runId: ID!, $cursor: String) { a(b: $runId, d: $cursor) { c } }`; \
            `subscription B { b { c } }`; `subscription C($runId: ID!) { c(a: $runId) }`; \
            `subscription D($other: ID!, $cursor: String) { c(a: $other) }`";
        std::fs::write(dir.path().join("a.js"), script).unwrap();
        let documents = Documents::read(dir.path()).unwrap();
        let values = json!({ "runId": "1", CURSOR: null });
        let found: Vec<Value> = documents
            .operations
            .iter()
            .filter_map(|own| subscription(&documents, own, &values))
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["field"], &found[0]["variables"]), (&json!("a"), &values));
    }
}
