//! Schedules and sensors: turned on, seen to tick, and turned off.
//!
//! A schedule ticks at the full minute. Nobody has to wait for that: like a daemon that comes back
//! after a while, the one here finds a tick that is due, since the time at which the schedule was
//! turned on is moved back by a minute before the daemon starts (by a sensor of the definitions,
//! evaluated by hand).

use std::cell::RefCell;
use std::ops::ControlFlow;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask_for, innermost, words};
use super::super::probe::Finding;
use super::super::server::Server;
use super::run::follow;
use super::selector;
use super::wait::Wait;

const START_SCHEDULE: &str = "mutation ($selector: ScheduleSelector!) { \
    startSchedule(scheduleSelector: $selector) { __typename \
    ... on ScheduleStateResult { scheduleState { id status } } ... on Error { message } } }";
const START_SENSOR: &str = "mutation ($selector: SensorSelector!) { \
    startSensor(sensorSelector: $selector) { __typename \
    ... on Sensor { sensorState { id status } } ... on Error { message } } }";
const EVALUATE: &str = "mutation ($selector: SensorSelector!) { \
    sensorDryRun(selectorData: $selector, cursor: null) { __typename \
    ... on DryRunInstigationTick { evaluationResult { skipReason error { message } } } \
    ... on Error { message } } }";
const TICKS: &str = "query ($selector: InstigationSelector!) { \
    instigationStateOrError(instigationSelector: $selector) { __typename \
    ... on InstigationState { status ticks(limit: 500) { \
    status runIds originRunIds error { message causes { message } } } } \
    ... on Error { message } } }";
const STOP_SCHEDULE: &str = "mutation ($id: String!) { stopRunningSchedule(id: $id) { __typename \
    ... on ScheduleStateResult { scheduleState { id status } } ... on Error { message } } }";
const STOP_SENSOR: &str = "mutation ($id: String!) { stopSensor(id: $id) { __typename \
    ... on StopSensorMutationResult { instigationState { id status } } \
    ... on Error { message } } }";

/// What ticks, by its name.
#[derive(Clone, Copy)]
pub enum Ticking<'a> {
    Schedule(&'a str),
    Sensor(&'a str),
}

impl Ticking<'_> {
    fn words(self) -> String {
        match self {
            Self::Schedule(name) => format!("schedule `{name}`"),
            Self::Sensor(name) => format!("sensor `{name}`"),
        }
    }

    /// Turns it on; the id of its state.
    pub fn start(self, server: &Server) -> Result<String> {
        let (asked, at, mutation, selected) = match self {
            Self::Schedule(name) => (
                ("startSchedule", "ScheduleStateResult"),
                "scheduleState",
                START_SCHEDULE,
                json!({ "scheduleName": name }),
            ),
            Self::Sensor(name) => (
                ("startSensor", "Sensor"),
                "sensorState",
                START_SENSOR,
                json!({ "sensorName": name }),
            ),
        };
        let variables = json!({ "selector": selector::of(selected) });
        let state = ask_for(server, asked, mutation, &variables)?;
        self.id_in(&state[at], "RUNNING")
    }

    /// Turns it off.
    fn stop(self, server: &Server, id: &str) -> Result<()> {
        let (asked, at, mutation) = match self {
            Self::Schedule(_) => {
                (("stopRunningSchedule", "ScheduleStateResult"), "scheduleState", STOP_SCHEDULE)
            }
            Self::Sensor(_) => {
                (("stopSensor", "StopSensorMutationResult"), "instigationState", STOP_SENSOR)
            }
        };
        let state = ask_for(server, asked, mutation, &json!({ "id": id }))?;
        self.id_in(&state[at], "STOPPED").map(|_| ())
    }

    fn id_in(self, state: &Value, status: &str) -> Result<String> {
        if state["status"] == status {
            return Ok(words(&state["id"]));
        }
        bail!(Finding::new(self.words(), format!("`{status}`"), format!("`{}`", words(state))))
    }

    /// Waits for a tick and the success of the run that it asked for, and turns it off.
    pub fn check(self, wait: &Wait<'_>, id: &str) -> Result<()> {
        let run = self.run_of_tick(wait)?;
        self.stop(wait.server, id)?;
        follow(wait, &self.words(), &run, "SUCCESS")
    }

    /// The same for the sensor that evaluates the conditions of assets. It is turned on again where
    /// it was turned off: when the daemon evaluates them for the first time on an instance, it
    /// gives the state of any other sensor to this one
    /// (`_copy_default_auto_materialize_sensor_states`, which means sensors of another name).
    pub fn check_again(self, wait: &Wait<'_>) -> Result<()> {
        let id = RefCell::new(self.start(wait.server)?);
        let run = self.wait_for_tick(wait, "runIds", &|state| {
            if state["status"] != "RUNNING" {
                id.replace(self.start(wait.server)?);
            }
            Ok(())
        })?;
        self.stop(wait.server, &id.into_inner())?;
        follow(wait, &self.words(), &run, "SUCCESS")
    }

    /// Waits for a tick that asked for a run; the run's id.
    fn run_of_tick(self, wait: &Wait<'_>) -> Result<String> {
        self.wait_for_tick(wait, "runIds", &|_| Ok(()))
    }

    /// Waits for a tick that tells of a run that ended; the run's id.
    pub fn origin(self, wait: &Wait<'_>) -> Result<String> {
        self.wait_for_tick(wait, "originRunIds", &|_| Ok(()))
    }

    /// Waits for a tick with a run; the run's id. `at`: the field with the ids. `meanwhile` is
    /// given the state each time.
    fn wait_for_tick(
        self,
        wait: &Wait<'_>,
        at: &str,
        meanwhile: &dyn Fn(&Value) -> Result<()>,
    ) -> Result<String> {
        let (Self::Schedule(name) | Self::Sensor(name)) = self;
        let variables = json!({ "selector": selector::of(json!({ "name": name })) });
        let what = format!("tick of {}", self.words());
        wait.until(&what, "`SUCCESS`", || {
            let asked = ("instigationStateOrError", "InstigationState");
            let state = ask_for(wait.server, asked, TICKS, &variables)?;
            meanwhile(&state)?;
            let ticks = state["ticks"].as_array().map_or(&[][..], Vec::as_slice);
            Ok(look_at(&what, ticks, at)?)
        })
    }
}

/// The run of a tick, unless there is none yet. A sensor that has nothing more to ask
/// for skips later ones, of which there are many where this is asked late.
fn look_at(what: &str, ticks: &[Value], at: &str) -> Result<ControlFlow<String, String>, Finding> {
    let has = |tick: &&Value, status: &str| tick["status"] == status;
    let mut good = ticks.iter().rev().filter(|tick| has(tick, "SUCCESS"));
    if let Some(run) = good.find_map(|tick| tick[at].get(0)) {
        return Ok(ControlFlow::Break(words(run)));
    }
    if let Some(tick) = ticks.iter().find(|tick| has(tick, "FAILURE")) {
        let found = format!("`FAILURE`: {}", innermost(&tick["error"]));
        return Err(Finding::new(what, "`SUCCESS`", found));
    }
    let seen = ticks.first().map(|tick| format!("`{}`", words(&tick["status"])));
    Ok(ControlFlow::Continue(seen.unwrap_or_else(|| "none".to_owned())))
}

/// Has every schedule started a minute earlier than it was.
pub fn turn_back(server: &Server) -> Result<()> {
    let variables = json!({ "selector": selector::of(json!({ "sensorName": "turn_back" })) });
    let asked = ("sensorDryRun", "DryRunInstigationTick");
    let tick = ask_for(server, asked, EVALUATE, &variables)?;
    let result = &tick["evaluationResult"];
    if result["skipReason"] == "turned back" {
        return Ok(());
    }
    let found = format!("`{}`", words(result));
    bail!(Finding::new("evaluation of sensor `turn_back`", "`turned back`", found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tick_that_asked_for_a_run_counts() {
        let look = |ticks: Value| {
            let ticks = ticks.as_array().unwrap().clone();
            look_at("x", &ticks, "runIds").map_err(|finding| finding.to_string())
        };
        let tick = |status: &str, runs: &[&str]| json!({ "status": status, "runIds": runs });
        let going_on = |seen: &str| Ok(ControlFlow::Continue(seen.to_owned()));
        assert_eq!(look(json!([])), going_on("none"));
        assert_eq!(look(json!([tick("STARTED", &[])])), going_on("`STARTED`"));
        let ticks = json!([tick("SKIPPED", &[]), tick("SUCCESS", &["2"]), tick("SUCCESS", &["1"])]);
        assert_eq!(look(ticks), Ok(ControlFlow::Break("1".to_owned())));
        let failed = json!([{ "status": "FAILURE", "runIds": [], "error": { "message": "a\nb" } }]);
        assert_eq!(look(failed), Err("x: expected `SUCCESS`, found `FAILURE`: a b".to_owned()));
    }
}
