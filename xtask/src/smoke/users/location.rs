//! A code location: loaded again after its file was changed, alone or with the whole workspace.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask_for, words};
use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::super::server::Server;
use super::selector;

const LOCATION: &str = "mutation ($location: String!) { \
    reloadRepositoryLocation(repositoryLocationName: $location) { __typename \
    ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename \
    ... on PythonError { message } } } ... on Error { message } } }";
const WORKSPACE: &str = "mutation { reloadWorkspace { __typename \
    ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename \
    ... on PythonError { message } } } } ... on Error { message } } }";
const JOBS: &str = "query ($selector: RepositorySelector!) { \
    repositoryOrError(repositorySelector: $selector) { __typename \
    ... on Repository { jobs { name } } ... on Error { message } } }";

const ADDED: &str = "added_job";

/// Adds a job to the file of definitions, reloads the location, and finds the job in it.
pub fn reload(server: &Server, definitions: Definitions) -> Result<()> {
    let file = definitions.write_with_job(&server.sandbox, ADDED)?;
    let asked = ("reloadRepositoryLocation", "WorkspaceLocationEntry");
    let entry = ask_for(server, asked, LOCATION, &json!({ "location": file }))?;
    check(server, definitions, &entry)
}

/// The same by the workspace, which is loaded anew as a whole.
pub fn reload_workspace(server: &Server, definitions: Definitions) -> Result<()> {
    let file = definitions.write_with_job(&server.sandbox, ADDED)?;
    let workspace = ask_for(server, ("reloadWorkspace", "Workspace"), WORKSPACE, &json!({}))?;
    let entries = workspace["locationEntries"].as_array().map_or(&[][..], Vec::as_slice);
    match entries {
        [entry] if entry["name"] == file => check(server, definitions, entry),
        _ => {
            let found = format!("`{}`", words(&workspace["locationEntries"]));
            bail!(Finding::new("the workspace, reloaded", format!("`{file}` in it"), found))
        }
    }
}

/// A location that was loaded again, with the job.
fn check(server: &Server, definitions: Definitions, entry: &Value) -> Result<()> {
    let file = definitions.file();
    if entry["loadStatus"] != "LOADED" {
        let found = format!("`{}`", words(entry));
        bail!(Finding::new(format!("`{file}`, reloaded"), "`LOADED`", found));
    }
    let variables = json!({ "selector": selector::within(definitions, json!({})) });
    let repository = ask_for(server, ("repositoryOrError", "Repository"), JOBS, &variables)?;
    let jobs = repository["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    if jobs.iter().any(|job| job["name"] == ADDED) {
        return Ok(());
    }
    let found = format!("`{}`", words(&repository["jobs"]));
    bail!(Finding::new(format!("jobs of `{file}`, reloaded"), format!("`{ADDED}`"), found))
}
