//! `dagster-webserver`: it says its versions and answers a query about the definitions.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::api::words;
use super::context::Context;
use super::probe::{Checked, Finding};
use super::server::{Server, Serving};

/// What `/server_info` says of which package.
const SERVER_INFO: [(&str, &str); 3] = [
    ("dagster_webserver_version", "dagster-webserver"),
    ("dagster_version", "dagster"),
    ("dagster_graphql_version", "dagster-graphql"),
];
const QUERY: &str = "{ version repositoriesOrError { __typename ... on RepositoryConnection { \
    nodes { name jobs { name } assetNodes { assetKey { path } } } } } }";

pub const WEBSERVER: Serving = Serving { command: "dagster-webserver", args: &[] };

/// Checks the versions in `/server_info`.
pub fn check_info(server: &Server, context: &Context<'_>) -> Checked {
    let answer = server.get("/server_info")?;
    let info: Value = serde_json::from_str(&answer.body)
        .with_context(|| format!("failed to read `{}`", answer.body))?;
    let version = context.version().to_string();
    let findings: Vec<Finding> = SERVER_INFO
        .into_iter()
        .filter(|(key, _)| info[*key] != json!(version))
        .map(|(key, package)| {
            let found = format!("`{}`", words(&info[key]));
            Finding::new(format!("`/server_info` on {package}"), format!("`{version}`"), found)
        })
        .collect();
    Ok(if findings.is_empty() { Ok(version) } else { Err(findings) })
}

/// Checks that a query about the definitions is answered.
pub fn check_graphql(server: &Server, context: &Context<'_>) -> Checked {
    let body = server.graphql(&json!({ "query": QUERY }))?;
    Ok(check_data(&body, &context.version().to_string()))
}

/// Checks the version, the job and the asset in an answer to [`QUERY`].
fn check_data(body: &Value, version: &str) -> Result<String, Vec<Finding>> {
    let data = &body["data"];
    let mut findings = Vec::new();
    if data["version"] != version {
        let found = format!("`{}`", words(&data["version"]));
        findings.push(Finding::new("GraphQL `version`", format!("`{version}`"), found));
    }
    let nodes = data["repositoriesOrError"]["nodes"].as_array().cloned().unwrap_or_default();
    let has = |of: &str, pointer: &str, name: &str| {
        nodes
            .iter()
            .flat_map(|node| node[of].as_array().into_iter().flatten())
            .any(|item| item.pointer(pointer).is_some_and(|value| value == name))
    };
    for (of, pointer, name) in
        [("jobs", "/name", "answer_job"), ("assetNodes", "/assetKey/path/0", "answer")]
    {
        if !has(of, pointer, name) {
            let found = format!("`{}`", words(body));
            findings.push(Finding::new(format!("GraphQL `{of}`"), format!("`{name}`"), found));
        }
    }
    if findings.is_empty() {
        Ok(format!("{version}, lists `answer` and `answer_job`"))
    } else {
        Err(findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_answers() {
        let body = json!({ "data": { "version": "1.9.12", "repositoriesOrError": { "nodes": [{
            "jobs": [{ "name": "__ASSET_JOB" }, { "name": "answer_job" }],
            "assetNodes": [{ "assetKey": { "path": ["answer"] } }],
        }] } } });
        assert!(check_data(&body, "1.9.12").is_ok());
        assert_eq!(check_data(&body, "1.9.13").unwrap_err().len(), 1);
        assert_eq!(check_data(&json!({ "errors": [] }), "1.9.12").unwrap_err().len(), 3);
    }
}
