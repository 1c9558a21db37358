//! The queries of the web UI, sent as it sends them: every one in its scripts whose variables can
//! be filled with what the instance has, for each job, run, schedule and so on. Valid is not
//! enough, a resolver may raise, or never come back.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask, data_of, words};
use super::super::documents::{Definition, Documents, Variable};
use super::super::probe::Finding;
use super::super::server::Server;
use super::filled::Filled;
use super::selector;

const FACTS: &str = "query ($run: ID!, $schedule: InstigationSelector!, \
    $sensor: InstigationSelector!) { \
    repositoriesOrError { ... on RepositoryConnection { nodes { id } } } \
    runOrError(runId: $run) { ... on Run { pipelineSnapshotId } } \
    assetConditionEvaluationRecordsOrError(assetKey: { path: [\"wanted\"] }, limit: 1) { \
    ... on AssetConditionEvaluationRecords { records { \
    evaluationId evaluation { rootUniqueId } } } } \
    sensor: instigationStateOrError(instigationSelector: $sensor) { \
    ... on InstigationState { id } } \
    instigationStateOrError(instigationSelector: $schedule) { ... on InstigationState { \
    id ticks(limit: 1) { tickId timestamp } } } }";

/// What the definitions of `python/users.py` have.
const JOBS: [&str; 7] =
    ["nested", "processes", "endless", "full_shelf", "everything", "answer_job", "__ASSET_JOB"];
/// How many of each thing the UI asks for at once.
const LIMIT: u32 = 25;
/// Why a run of them fails.
pub const EXPECTED_ERROR: &str = "the shelf is full";
/// Problems that are told one by one.
const SHOWN: usize = 8;
/// Queries that are named for one of them.
const NAMED: usize = 3;

/// What is on the instance that can be asked about.
pub struct Known {
    /// Runs that succeeded, failed, and so on.
    pub runs: Vec<String>,
    pub backfill: String,
    /// Of what a step of a run wrote.
    pub log_key: Vec<String>,
}

/// What its server says of it.
struct Facts {
    repository: Value,
    snapshot: Value,
    /// Of the condition of asset `wanted`.
    evaluation: Value,
    evaluation_node: Value,
    state: Value,
    sensor_state: Value,
    tick: Value,
    tick_timestamp: Value,
}

/// Sends every query; those that upstream ships broken aside. Says how many. `may_be_empty`: fields
/// that upstream tells nothing of, as `Type.field`.
pub fn check(
    server: &Server,
    documents: &Documents,
    known: &Known,
    broken: &[&str],
    may_be_empty: &[&str],
) -> Result<String> {
    let facts = Facts::ask(server, known)?;
    let mut problems: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let (mut sent, mut unsent) = (0, Vec::new());
    let mut filled = Filled::default();
    let queries = documents.operations.iter().filter(|own| own.kind == "query");
    for query in queries.filter(|own| !broken.contains(&own.name.as_str())) {
        let Ok(fragments) = documents.needed_by(query) else { continue };
        let text = text_of(query, &fragments);
        let cases = match cases(query, known, &facts) {
            Ok(cases) => cases,
            Err(variable) => {
                unsent.push(format!("`{}` (`{variable}`)", query.name));
                continue;
            }
        };
        sent += 1;
        for variables in cases {
            let request = json!({
                "operationName": query.name, "query": text, "variables": variables,
            });
            let what = || format!("query `{}` of the web UI with {variables}", query.name);
            let mut answer = server.graphql(&request).with_context(what)?;
            forget_expected(&mut answer);
            let problem = match data_of(answer, &query.name) {
                Err(finding) => format!("expected {}, found {}", finding.expected, finding.found),
                Ok(data) => {
                    filled.note(&data);
                    match not_found(&data) {
                        Some(kind) => format!("expected what {variables} is about, found `{kind}`"),
                        None => continue,
                    }
                }
            };
            let names = problems.entry(problem).or_default();
            if !names.contains(&query.name.as_str()) {
                names.push(&query.name);
            }
        }
    }
    server.sandbox.write("log/filled.json", &json!(filled).to_string())?;
    let empty = filled.empty();
    let empty = empty.iter().filter(|field| !may_be_empty.contains(&field.as_str()));
    let empty: Vec<String> = empty.map(|field| format!("`{field}`")).collect();
    if problems.is_empty() && !empty.is_empty() {
        let what = "answers to queries of the web UI";
        let expected = "something of each field that has something in other versions";
        bail!(Finding::new(what, expected, format!("nothing of {}", few(&empty))));
    }
    if problems.is_empty() {
        let unsent = match unsent.len() {
            0 => String::new(),
            count => format!(", {count} not, for want of a value: {}", unsent.join(", ")),
        };
        return Ok(format!("{sent} queries are answered{unsent}"));
    }
    let problems: Vec<String> = problems
        .iter()
        .map(|(problem, names)| {
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let names = names.iter().take(NAMED).map(|name| format!("`{name}`"));
            format!("{}{more}: {problem}", names.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let what = format!("{sent} queries of the web UI");
    bail!(Finding::new(what, "an answer without an error to each", few(&problems)))
}

/// Many findings as the one of a step.
pub fn together(what: &str, expected: &str, findings: &[Finding]) -> Finding {
    let problems: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Finding::new(what, expected, few(&problems))
}

/// The first problems, and how many more there are.
fn few(problems: &[String]) -> String {
    let shown = problems.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    match problems.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; {more} more"),
    }
}

impl Facts {
    fn ask(server: &Server, known: &Known) -> Result<Self> {
        let run = known.runs.first().context("no run is known")?;
        let schedule = selector::of(json!({ "name": "every_minute" }));
        let sensor = selector::of(json!({ "name": "once" }));
        let variables = json!({ "run": run, "schedule": schedule, "sensor": sensor });
        Ok(Self::of(&ask(server, "what is on the instance", FACTS, &variables)?))
    }

    /// Null where the answer has no such thing, as for the tick of a schedule that never ran.
    fn of(data: &Value) -> Self {
        let state = &data["instigationStateOrError"];
        let tick = &state["ticks"][0];
        let evaluation = &data["assetConditionEvaluationRecordsOrError"]["records"][0];
        Self {
            evaluation: evaluation["evaluationId"].clone(),
            evaluation_node: evaluation["evaluation"]["rootUniqueId"].clone(),
            state: state["id"].clone(),
            sensor_state: data["sensor"]["id"].clone(),
            tick: tick["tickId"].clone(),
            tick_timestamp: tick["timestamp"].as_f64().map_or(Value::Null, |at| json!(at as i64)),
            repository: data["repositoriesOrError"]["nodes"][0]["id"].clone(),
            snapshot: data["runOrError"]["pipelineSnapshotId"].clone(),
        }
    }
}

/// The text of an operation with its fragments, which asks for the type of everything.
pub fn text_of(query: &Definition, fragments: &[&Definition]) -> String {
    let texts = std::iter::once(query).chain(fragments.iter().copied());
    texts.map(Definition::with_types).collect::<Vec<_>>().join("\n")
}

/// The variables of a query, once for each thing that it can be asked about. `Err`: one that must
/// be given and has no known value.
fn cases(query: &Definition, known: &Known, facts: &Facts) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for variable in &query.variables {
        match known.values(query, variable, facts) {
            Some(some) => values.push((&variable.name, some)),
            None if variable.kind.ends_with('!') => return Err(variable.name.clone()),
            None => {}
        }
    }
    let count = values.iter().map(|(_, some)| some.len()).max().unwrap_or(1);
    let case = |at: usize| {
        let pairs =
            values.iter().map(|(name, some)| ((*name).clone(), some[at % some.len()].clone()));
        Value::Object(pairs.collect())
    };
    Ok((0..count).map(case).collect())
}

impl Known {
    /// Values of a variable, by what the UI puts into one of its type and name. At least one, all
    /// of which exist.
    fn values(&self, query: &Definition, variable: &Variable, facts: &Facts) -> Option<Vec<Value>> {
        let base = variable.kind.trim_matches(['[', ']', '!']);
        let of = selector::of;
        let values = match base {
            "PipelineSelector" | "JobOrPipelineSelector" if is_of_partition(query) => {
                vec![of(json!({ "pipelineName": "paint_job" }))]
            }
            "PipelineSelector" | "JobOrPipelineSelector" => {
                JOBS.map(|job| of(json!({ "pipelineName": job }))).to_vec()
            }
            "RepositorySelector" => vec![of(json!({}))],
            "GraphSelector" => vec![of(json!({ "graphName": "nested" }))],
            "ScheduleSelector" => vec![of(json!({ "scheduleName": "every_minute" }))],
            "SensorSelector" => vec![of(json!({ "sensorName": "once" }))],
            "InstigationSelector" => {
                let is_about = |what: &str| query.name.contains(what);
                let names = [("every_minute", "Sensor"), ("once", "Schedule")].into_iter();
                let names = names.filter(|(_, other)| !is_about(other) && !has_tick(query));
                let names: Vec<&str> = names.map(|(name, _)| name).collect();
                let names = if names.is_empty() { vec!["every_minute"] } else { names };
                names.into_iter().map(|name| of(json!({ "name": name }))).collect()
            }
            "ResourceSelector" => vec![of(json!({ "resourceName": "note" }))],
            "AssetGroupSelector" => vec![of(json!({ "groupName": "numbers" }))],
            "AssetKeyInput" => {
                let has = |name: &str| query.variables.iter().any(|own| own.name == name);
                let keys: &[&str] = match () {
                    () if has("checkName") => &["answer"],
                    () if has("evaluationId") || has("asOfEvaluationId") => &["wanted"],
                    () if is_of_partition(query) => &["paint"],
                    () => &["answer", "paint"],
                };
                keys.iter().map(|key| json!({ "path": [key] })).collect()
            }
            "AssetCheckHandleInput" => {
                vec![json!({ "assetKey": { "path": ["answer"] }, "name": "even" })]
            }
            "RunsFilter" => vec![json!({}), json!({ "statuses": ["FAILURE"] })],
            "RunsFeedView" => ["ROOTS", "RUNS", "BACKFILLS"].map(Value::from).to_vec(),
            "AssetEventHistoryEventTypeSelector" => vec![json!("MATERIALIZATION")],
            _ => self.named(query, &variable.name, facts)?,
        };
        // A list that is one by itself is of one thing.
        let is_list = variable.kind.starts_with('[') && !values[0].is_array();
        Some(if is_list { values.into_iter().map(|one| json!([one])).collect() } else { values })
    }

    /// Values of a variable whose type says nothing of them.
    fn named(&self, query: &Definition, name: &str, facts: &Facts) -> Option<Vec<Value>> {
        let location = || selector::of(json!({}))["repositoryLocationName"].clone();
        let one = match name {
            "runId" => return Some(self.runs.iter().cloned().map(Value::from).collect()),
            "backfillId" => json!(self.backfill),
            "logKey" => json!(self.log_key),
            "repositoryID" => facts.repository.clone(),
            "snapshotId"
                if !query.variables.iter().any(|other| other.kind == "PipelineSelector") =>
            {
                facts.snapshot.clone()
            }
            "evaluationId" | "asOfEvaluationId" => facts.evaluation.clone(),
            "nodeUniqueId" => facts.evaluation_node.clone(),
            "tickId" => facts.tick.clone(),
            "tickTimestamp" => facts.tick_timestamp.clone(),
            "id" if query.name == "ScheduleStateQuery" => facts.state.clone(),
            "id" if query.name == "SensorStateQuery" => facts.sensor_state.clone(),
            "limit" => json!(LIMIT),
            "checkName" => json!("even"),
            "pipelineName" | "jobName" if is_of_partition(query) => json!("paint_job"),
            "pipelineName" | "jobName" => json!("nested"),
            "repositoryName" => selector::of(json!({}))["repositoryName"].clone(),
            "repositoryLocationName" | "locationName" => location(),
            "name" if query.name.contains("Location") => location(),
            "name" | "handleID" => json!("speak"),
            "rootHandleID" => json!(""),
            "partition" | "partitionKey" | "partitionName" => json!("red"),
            "partitions" | "partitionNames" => json!(["red"]),
            "partitionSetName" => json!("paint_job_partition_set"),
            "runConfigData" => json!("{}"),
            "mode" => json!("default"),
            "dagsterTypeName" => json!("Int"),
            "tagKeys" => json!(["dagster/partition"]),
            "timestamp" => json!("0"),
            "concurrencyKey" | "pool" => json!("pool"),
            _ => return None,
        };
        (!one.is_null()).then(|| vec![one])
    }
}

fn has_tick(query: &Definition) -> bool {
    query.variables.iter().any(|variable| variable.name == "tickId")
}

/// Is it about a partition of an asset?
fn is_of_partition(query: &Definition) -> bool {
    query.name.contains("Partition")
        || query.variables.iter().any(|variable| variable.name.contains("artition"))
}

/// Takes away the errors of the run that must fail.
fn forget_expected(value: &mut Value) {
    match value {
        Value::Object(fields)
            if fields.get("__typename").is_some_and(|name| name == "PythonError")
                && json!(fields).to_string().contains(EXPECTED_ERROR) =>
        {
            *value = Value::Null;
        }
        Value::Object(fields) => fields.values_mut().for_each(forget_expected),
        Value::Array(items) => items.iter_mut().for_each(forget_expected),
        _ => {}
    }
}

/// The first type in an answer that says that there is no such thing.
fn not_found(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => match fields.get("__typename").and_then(Value::as_str) {
            Some(name) if name.ends_with("NotFoundError") => Some(words(&json!(name))),
            _ => fields.values().find_map(not_found),
        },
        Value::Array(items) => items.iter().find_map(not_found),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_instance_has_not_is_null() {
        for data in [
            json!(null),
            json!("no such luck"),
            json!({ "instigationStateOrError": { "id": "x", "ticks": [] } }),
            json!({ "repositoriesOrError": { "nodes": [] }, "instigationStateOrError": [] }),
            json!({ "repositoriesOrError": [], "instigationStateOrError": { "ticks": ["x"] } }),
        ] {
            let facts = Facts::of(&data);
            let values = [facts.repository, facts.snapshot, facts.tick, facts.tick_timestamp];
            assert!(values.iter().all(Value::is_null), "{data}");
        }
        let facts = Facts::of(&json!({
            "instigationStateOrError":
                { "id": "state", "ticks": [{ "tickId": "7", "timestamp": 1.7 }] },
            "repositoriesOrError": { "nodes": [{ "id": "repository" }] },
            "runOrError": { "pipelineSnapshotId": "snapshot" },
        }));
        let found =
            [facts.state, facts.tick, facts.tick_timestamp, facts.repository, facts.snapshot];
        let expected = ["state", "7", "1", "repository", "snapshot"];
        let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(found.each_ref().map(words), expected);
    }
}
