//! The command line: what may be typed, and the one place that prints errors.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::checkout::Checkout;
use crate::failure;
use crate::interrupt;
use crate::stages::{
    audit, build, bump, doctor, prefetch, publish, rehearse, release, smoke, status, sweep, watch,
};
use crate::tools::credentials::{self, Taken};
use crate::tools::guard;
use crate::tools::surroundings;
use crate::ui;

/// Release Dagster's Flox packages
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
#[command(after_help = "Exit status: 0 done or nothing to do, 1 failed and nothing published, \
    2 usage, 3 a person must decide, 4 published in part (run the same command again).")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Watch(watch::Args),
    Release(release::Args),
    Bump(bump::Args),
    Build(build::Args),
    Smoke(smoke::Args),
    Publish(publish::Args),
    Prefetch(prefetch::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    Audit(audit::Args),
    Rehearse(rehearse::Args),
    Sweep(sweep::Args),
    #[command(hide = true)]
    Guard(guard::Args),
}

/// Runs the program; the exit status is 0, or what the error asks for.
pub fn run() -> ExitCode {
    ui::init();
    match start().and_then(|command| command.map_or(Ok(()), dispatch)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::from(failure::exit_of(&error) as u8)
        }
    }
}

/// Reads the command line. No credential is in the environment afterwards, and nothing has run.
/// `None`: help was asked for and given.
fn start() -> Result<Option<Command>> {
    let cli = match Cli::try_parse_from(credentials::receive(std::env::args_os())?) {
        Ok(cli) => cli,
        Err(wrong) if wrong.use_stderr() => {
            ui::usage(&wrong);
            std::process::exit(wrong.exit_code());
        }
        Err(help) => return help_asked_for(&help).map(|()| None),
    };
    let taken = match &cli.command {
        // For what is run among stand-ins no credential is meant, and stdin may be a person's.
        Command::Rehearse(args) if args.is_to_enter() => Taken::Dropped,
        _ => Taken::Kept,
    };
    // Upstream's code is built or run below these.
    let is_upstream_near = matches!(
        &cli.command,
        Command::Release(_) | Command::Build(_) | Command::Smoke(_) | Command::Publish(_)
    );
    credentials::take_out(taken, |name| !is_upstream_near || surroundings::is_anyones(name))?;
    interrupt::init();
    Ok(Some(cli.command))
}

fn help_asked_for(help: &clap::Error) -> Result<()> {
    let text = help.render();
    ui::print(&match ui::stdout_has_colour() {
        true => text.ansi().to_string(),
        false => text.to_string(),
    })
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Watch(args) => watch::run(&args, &Checkout::find()?),
        Command::Release(args) => release::run(&args, &Checkout::find()?),
        Command::Bump(args) => bump::run(&args, &Checkout::find()?),
        Command::Build(args) => build::run(&args, &Checkout::find()?),
        Command::Smoke(args) => smoke::run(&args, &Checkout::find()?),
        Command::Publish(args) => publish::run(&args, &Checkout::find()?),
        Command::Prefetch(args) => prefetch::run(&args, &Checkout::find()?),
        Command::Status(args) => status::run(&args, &Checkout::find()?),
        Command::Doctor(args) => doctor::run(&args, &Checkout::find()?),
        Command::Audit(args) => audit::run(&args, &Checkout::find()?),
        Command::Rehearse(args) => rehearse::run(&args, &Checkout::find()?),
        Command::Sweep(args) => sweep::run(&args, &Checkout::find()?),
        Command::Guard(args) => guard::run(&args),
    }
}
