//! The code location: loaded again after its file was changed.

use anyhow::{Result, bail};
use serde_json::json;

use super::super::api::{ask_for, words};
use super::super::definitions::Definitions;
use super::super::probe::Finding;
use super::super::server::Server;
use super::selector;

const RELOAD: &str = "mutation ($location: String!) { \
    reloadRepositoryLocation(repositoryLocationName: $location) { __typename \
    ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename \
    ... on PythonError { message } } } ... on Error { message } } }";
const JOBS: &str = "query ($selector: RepositorySelector!) { \
    repositoryOrError(repositorySelector: $selector) { __typename \
    ... on Repository { jobs { name } } ... on Error { message } } }";

/// Adds a job to the file of definitions, reloads the location, and finds the job in it.
pub fn reload(server: &Server) -> Result<()> {
    let added = "added_job";
    let file = Definitions::Users.write_with_job(&server.sandbox, added)?;
    let asked = ("reloadRepositoryLocation", "WorkspaceLocationEntry");
    let entry = ask_for(server, asked, RELOAD, &json!({ "location": file }))?;
    if entry["loadStatus"] != "LOADED" {
        let found = format!("`{}`", words(&entry));
        bail!(Finding::new(format!("`{file}`, reloaded"), "`LOADED`", found));
    }
    let variables = json!({ "selector": selector::of(json!({})) });
    let repository = ask_for(server, ("repositoryOrError", "Repository"), JOBS, &variables)?;
    let jobs = repository["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    if jobs.iter().any(|job| job["name"] == added) {
        return Ok(());
    }
    let found = format!("`{}`", words(&repository["jobs"]));
    bail!(Finding::new(format!("jobs of `{file}`, reloaded"), format!("`{added}`"), found))
}
