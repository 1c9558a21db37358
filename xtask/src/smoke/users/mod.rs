//! What Dagster's users do in the web UI: each by the mutation that the UI sends, on a running
//! instance over `python/users.py`, and each followed to its end.
//!
//! All is asked for before the daemon starts, so that it has something to do when it looks for the
//! first time (it looks at backfills every 30 seconds only), and so that the rest goes on while one
//! thing is waited for.

mod acts;
mod asset;
mod backfill;
mod clients;
mod filled;
pub mod location;
mod mutations;
mod pages;
mod queries;
mod run;
mod selector;
mod tick;
mod ui;
mod wait;

use std::cell::{Cell, OnceCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::queries::Known;
use self::run::Launch;
use self::tick::Ticking;
use self::wait::Wait;
use super::context::Context;
use super::definitions::Definitions;
use super::documents::Documents;
use super::probe::{Finding, Probe, checked};
use super::report::NOT_ASKED_FOR;
use super::server::Server;
use super::tree::Part;
use crate::tools::browser;

/// A probe: its name, that of the one it needs, what it does.
type Step = (&'static str, Option<&'static str>, fn(&Users<'_>, &Wait<'_>) -> Result<String>);

const STEPS: [Step; 20] = [
    ("launch a run", None, launch_a_run),
    ("run events", Some("launch a run"), run_events),
    ("captured logs", Some("launch a run"), captured_logs),
    ("terminate a run", None, terminate_a_run),
    ("failing run", None, failing_run),
    ("materialize an asset", None, materialize_an_asset),
    ("materialize a partition", None, materialize_a_partition),
    ("sensor", None, sensor),
    ("schedule", None, schedule),
    ("backfill", None, see_backfill),
    ("automation", None, automation),
    ("run status sensor", Some("launch a run"), run_status_sensor),
    ("run retry", Some("failing run"), run_retry),
    ("ui queries", Some("failing run"), ui_queries),
    (BROWSER, Some("launch a run"), in_a_browser),
    (CLIENTS, Some("launch a run"), talk_to_clients),
    ("ui mutations", Some("failing run"), ui_mutations),
    // From here on things are taken away.
    ("wipe an asset", Some("materialize an asset"), wipe_an_asset),
    ("reload", None, reload),
    ("daemon health", None, daemon_health),
];

/// These end what would go on.
const ENDING: [&str; 5] = ["terminate a run", "sensor", "schedule", "backfill", "automation"];

const SCHEDULE: Ticking<'_> = Ticking::Schedule("every_minute");
const SENSOR: Ticking<'_> = Ticking::Sensor("once");
/// What evaluates the conditions of assets, which Dagster adds by itself.
const AUTOMATION: Ticking<'_> = Ticking::Sensor("default_automation_condition_sensor");
/// On from the start.
const RUN_STATUS: Ticking<'_> = Ticking::Sensor("heard");
pub const BROWSER: &str = "browser";
pub const CLIENTS: &str = "clients";
/// Partitions of asset `paint` that are backfilled.
const BACKFILLED: [&str; 2] = ["green", "blue"];
/// The partition of job `paint_job` that is.
const BACKFILLED_OF_JOB: &str = "black";

/// The id of what was asked for.
type Asked = Result<String, Finding>;

/// Users at work, and what goes on since they asked for it.
pub struct Users<'a> {
    context: &'a Context<'a>,
    part: &'a Part,
    browser: Option<PathBuf>,
    server: &'a Server,
    /// Ends the daemon and starts it again.
    restart_daemon: &'a dyn Fn() -> Result<()>,
    /// When it was started the last time, in seconds since 1970.
    daemon_since: Cell<f64>,
    schedule: Asked,
    sensor: Asked,
    backfill: Asked,
    backfill_of_job: Asked,
    processes: Asked,
    endless: Asked,
    full_shelf: OnceCell<Asked>,
    asset: Asked,
    partition: Asked,
}

pub fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(name, ..)| *name)
}

impl<'a> Users<'a> {
    /// Asks for everything that the daemon will see to.
    pub fn ask(
        context: &'a Context<'a>,
        part: &'a Part,
        server: &'a Server,
        restart_daemon: &'a dyn Fn() -> Result<()>,
    ) -> Self {
        let launch = |what: &Launch<'_>| asked("a run", run::launch(server, what));
        let backfill = |params: &Value| asked("a backfill", backfill::launch(server, params));
        let schedule = SCHEDULE.start(server).and_then(|id| tick::turn_back(server).map(|()| id));
        // Its own probe says what is wrong with it. The daemon's first round gives it the state of
        // each other sensor (`_copy_default_auto_materialize_sensor_states`), and fails if it is
        // turned on just then.
        let _ = AUTOMATION.start(server);
        Self {
            context,
            part,
            browser: browser::find(),
            server,
            restart_daemon,
            daemon_since: Cell::new(now()),
            schedule: asked("a schedule", schedule),
            sensor: asked("a sensor", SENSOR.start(server)),
            backfill: backfill(&backfill::of_asset("paint", &BACKFILLED)),
            backfill_of_job: backfill(&backfill::of_job("paint_job", &[BACKFILLED_OF_JOB])),
            processes: launch(&Launch::Job("processes")),
            endless: launch(&Launch::Job("endless")),
            full_shelf: OnceCell::new(),
            asset: launch(&Launch::Assets(&["answer", "twice"])),
            partition: launch(&Launch::Partition("paint", "red")),
        }
    }

    /// The run of a job that fails. What failed before a daemon looked for the first time is not
    /// tried once more.
    fn full_shelf(&self) -> Result<&str> {
        let launch = || run::launch(self.server, &Launch::JobWithRetry("full_shelf"));
        id(self.full_shelf.get_or_init(|| asked("a run", launch())))
    }

    /// What the web UI's scripts ask for.
    fn documents(&self) -> Result<Arc<Documents>> {
        self.context.documents(&self.part.web_ui().context("there is no web UI")?)
    }

    /// Waits for everything that was asked for, and does what is left to do. The daemon runs.
    pub fn probes(&self) -> Vec<Probe> {
        // It goes on while others are waited for; its own probe says what is wrong with it.
        let _ = self.full_shelf();
        let wait = Wait::start(self.server);
        let mut probes: Vec<Probe> = Vec::new();
        let is_asked_for = |name: &str| self.context.is_asked_for(name);
        for (name, needs, step) in STEPS {
            let mut after = STEPS.iter().filter(|(_, needs, _)| *needs == Some(name));
            let is_needed = after.any(|(name, ..)| is_asked_for(name)) || ENDING.contains(&name);
            if !is_asked_for(name) && !is_needed {
                probes.push(Probe::skipped(name, NOT_ASKED_FOR));
                continue;
            }
            let has_passed = |needs: &&str| {
                probes.iter().any(|probe| probe.name == *needs && probe.has_passed())
            };
            probes.push(match needs.filter(|needs| !has_passed(needs)) {
                Some(needs) => Probe::skipped(name, format!("it needs `{needs}`")),
                None if name == BROWSER && self.browser.is_none() => {
                    Probe::skipped(name, "no Chromium or Chrome is on PATH")
                }
                None => Probe::run(name, || checked(step(self, &wait))),
            });
        }
        probes
    }
}

fn asked(what: &str, result: Result<String>) -> Asked {
    result.map_err(|error| match error.downcast::<Finding>() {
        Ok(finding) => finding,
        Err(error) => Finding::new(format!("asking for {what}"), "an answer", format!("{error:#}")),
    })
}

fn id(asked: &Asked) -> Result<&str> {
    asked.as_deref().map_err(|finding| finding.clone().into())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

fn launch_a_run(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    run::follow(wait, "`processes`", id(&users.processes)?, "SUCCESS")?;
    Ok("job `processes` succeeds".to_owned())
}

fn run_events(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let events = run::events(wait.server, id(&users.processes)?)?;
    let expected = [
        "RunStartEvent",
        "StepWorkerStartedEvent",
        "ExecutionStepStartEvent",
        "HandledOutputEvent",
        "ExecutionStepSuccessEvent",
        "RunSuccessEvent",
    ];
    run::check_events("`processes`", &events, &expected, "ExecutionStepFailureEvent")?;
    Ok(format!("{} events, the step's in a process of its own", events.len()))
}

fn captured_logs(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let run = id(&users.processes)?;
    let events = run::events(wait.server, run)?;
    let captured = run::captured(wait.server, run, &events)?;
    for (stream, text) in ["stdout", "stderr"].into_iter().zip(captured) {
        let expected = format!("this is {stream}");
        if !text.lines().any(|line| line == expected) {
            let what = format!("captured {stream} of `processes`");
            let found = text.lines().last().unwrap_or_default();
            bail!(Finding::new(what, format!("`{expected}`"), format!("`{found}` at its end")));
        }
    }
    Ok("stdout and stderr".to_owned())
}

fn terminate_a_run(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    run::terminate(wait, "`endless`", id(&users.endless)?, "asleep")?;
    Ok("job `endless` is canceled".to_owned())
}

fn failing_run(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let run = users.full_shelf()?;
    run::follow(wait, "`full_shelf`", run, "FAILURE")?;
    let error = run::error(&run::events(wait.server, run)?).unwrap_or_default();
    let expected = queries::EXPECTED_ERROR;
    if !error.contains(expected) {
        let what = "error of a run whose IO manager raises";
        bail!(Finding::new(what, format!("`{expected}`"), format!("`{error}`")));
    }
    Ok(format!("`{error}`"))
}

fn materialize_an_asset(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let run = id(&users.asset)?;
    run::follow(wait, "asset `answer`", run, "SUCCESS")?;
    let events = run::events(wait.server, run)?;
    let expected = ["RunStartEvent", "MaterializationEvent", "RunSuccessEvent"];
    run::check_events("asset `answer`", &events, &expected, "StepWorkerStartedEvent")?;
    asset::check_evaluated("even", &events)?;
    for asset in ["answer", "twice"] {
        asset::check_materialized(wait.server, asset, None, Some(run))?;
    }
    Ok("`answer`, checked, and `twice` of it, in one process".to_owned())
}

fn materialize_a_partition(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let run = id(&users.partition)?;
    run::follow(wait, "asset `paint`", run, "SUCCESS")?;
    asset::check_materialized(wait.server, "paint", Some("red"), Some(run))?;
    Ok("`red` of `paint`".to_owned())
}

fn sensor(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    SENSOR.check(wait, id(&users.sensor)?)?;
    Ok("a tick and its run succeed".to_owned())
}

fn schedule(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    SCHEDULE.check(wait, id(&users.schedule)?)?;
    Ok("a tick and its run succeed".to_owned())
}

/// The daemon looks at a backfill when it starts, and every 30 seconds. As services are, it is
/// started again, and goes on with what it began.
fn see_backfill(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let backfill = id(&users.backfill)?;
    let of_job = id(&users.backfill_of_job)?;
    backfill::follow_runs(wait, backfill, BACKFILLED.len())?;
    backfill::follow_runs(wait, of_job, 1)?;
    (users.restart_daemon)()?;
    users.daemon_since.set(now());
    let wait = Wait::start(wait.server);
    backfill::follow(&wait, backfill)?;
    backfill::follow(&wait, of_job)?;
    let count = BACKFILLED.len();
    Ok(format!("{count} partitions and one of a job, by a daemon that was restarted"))
}

/// An asset whose condition says that it is wanted is materialized. That may begin only now.
fn automation(_: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    AUTOMATION.check_again(&Wait::start(wait.server))?;
    Ok("asset `wanted` is materialized".to_owned())
}

fn run_status_sensor(_: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    RUN_STATUS.origin(wait)?;
    Ok("a tick hears of a run".to_owned())
}

fn run_retry(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let what = "`full_shelf`, executed once more";
    let again = run::retry(wait, "`full_shelf`", users.full_shelf()?)?;
    run::follow(wait, what, &again, "FAILURE")?;
    Ok("job `full_shelf` is executed once more".to_owned())
}

/// With something of everything on the instance.
fn ui_queries(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let documents = users.documents()?;
    let runs = [id(&users.processes), users.full_shelf(), id(&users.asset), id(&users.partition)];
    let runs = runs.into_iter().map(|id| id.map(str::to_owned)).collect::<Result<Vec<_>>>()?;
    let log_key = run::log_key(&runs[0], &run::events(wait.server, &runs[0])?)?;
    let known = Known { runs, backfill: id(&users.backfill)?.to_owned(), log_key };
    let (broken, empty) = (users.context.broken_operations(), users.context.empty_fields());
    queries::check(users.server, &documents, &known, &broken, &empty)
}

fn talk_to_clients(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let run = id(&users.processes)?;
    let documents = users.documents()?;
    let key = run::log_key(run, &run::events(wait.server, run)?)?;
    let broken = users.context.broken_operations();
    let task = clients::task(wait.server, &documents, &broken, run, &key);
    clients::run(wait.server, &users.part.command("dagster-webserver"), &task)
}

fn ui_mutations(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    launch_a_run(users, wait)?;
    let subjects = ui::Subjects {
        succeeded: id(&users.processes)?,
        failed: users.full_shelf()?,
        backfill: id(&users.backfill)?,
    };
    let broken = users.context.broken_operations();
    mutations::check(users.server, &*users.documents()?, &subjects, &broken)
}

fn in_a_browser(users: &Users<'_>, _: &Wait<'_>) -> Result<String> {
    let browser = users.browser.as_ref().context("there is no browser")?;
    let errors = users.context.limits.page_errors.iter();
    let known = errors.filter(|error| error.covers(users.context.version()));
    let known: Vec<&str> = known.map(|error| &*error.text).collect();
    pages::check(users.server, browser, id(&users.processes)?, &known)
}

fn wipe_an_asset(users: &Users<'_>, _: &Wait<'_>) -> Result<String> {
    asset::wipe(users.server, "answer")?;
    Ok("nothing is left of `answer`".to_owned())
}

fn reload(users: &Users<'_>, _: &Wait<'_>) -> Result<String> {
    location::reload(users.server, Definitions::Users)?;
    Ok("a job that was added is there".to_owned())
}

/// When all is done, no daemon has anything to complain about.
fn daemon_health(users: &Users<'_>, wait: &Wait<'_>) -> Result<String> {
    let count = wait::check_daemons(&Wait::start(wait.server), users.daemon_since.get())?;
    Ok(format!("{count} daemons, without an error"))
}
