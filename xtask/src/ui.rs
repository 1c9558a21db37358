//! What people read: lines on stderr. Data goes to stdout, from the command that has it.
//!
//! Data that cannot be written is an error: an empty file must not pass for an answer. A line for
//! people that cannot be written stops nothing, least of all a release half way.
//!
//! Colour only on a terminal, and not when `NO_COLOR` or `CI` is set.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::Mutex;

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result};

use crate::tools::credentials;

const STEP: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Decides about colour once, for stdout and stderr.
pub fn init() {
    let unwanted = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if unwanted("NO_COLOR") || unwanted("CI") {
        anstream::ColorChoice::Never.write_global();
    }
}

/// Is a person looking at stdout?
pub fn stdout_has_colour() -> bool {
    anstream::ColorChoice::global() != anstream::ColorChoice::Never
        && std::io::stdout().is_terminal()
}

type OnStep = Box<dyn Fn(&str) + Send>;

static ON_STEP: Mutex<Option<OnStep>> = Mutex::new(None);

/// Sets who is told of each step, besides the person; one at a time.
pub fn on_step(listener: impl Fn(&str) + Send + 'static) {
    if let Ok(mut on_step) = ON_STEP.lock() {
        *on_step = Some(Box::new(listener));
    }
}

/// Says what is being done: a verb, and to what.
pub fn step(verb: &str, what: impl Display) {
    if let Some(listener) = ON_STEP.lock().ok().as_deref().and_then(Option::as_ref) {
        // It is written to a file, which a kill leaves.
        listener(&credentials::hide(&format!("{verb} {what}")));
    }
    say(format_args!("{STEP}{verb:>10}{STEP:#} {what}\n"));
}

/// A line that belongs to the step above it.
pub fn detail(what: impl Display) {
    say(format_args!("           {what}\n"));
}

/// Something to know that stops nothing.
pub fn warning(what: impl Display) {
    say(format_args!("{WARNING}warning{WARNING:#}: {what}\n"));
}

/// The end of a command that failed.
pub fn error(error: &anyhow::Error) {
    let text = crate::failure::render(error);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let message = first.strip_prefix("error: ").unwrap_or(first);
    say(format_args!("{ERROR}error{ERROR:#}: {message}\n{rest}"));
}

/// Why a command line is not understood. It may have an address in it.
pub fn usage(error: &clap::Error) {
    say(format_args!("{}", error.render().ansi()));
}

fn say(text: std::fmt::Arguments<'_>) {
    let _ = anstream::stderr().write_all(credentials::hide(&text.to_string()).as_bytes());
}

/// Prints a patch to stdout, coloured on a terminal.
///
/// # Errors
/// As [`print`].
pub fn patch(text: &str) -> Result<()> {
    if !stdout_has_colour() {
        return print(text);
    }
    for line in text.split_inclusive('\n') {
        let style = match line.as_bytes() {
            [b'+', b'+', ..] | [b'-', b'-', ..] | [b'd', ..] => Style::new().bold(),
            [b'+', ..] => AnsiColor::Green.on_default(),
            [b'-', ..] => AnsiColor::Red.on_default(),
            [b'@', ..] => AnsiColor::Cyan.on_default(),
            _ => Style::new(),
        };
        print(&format!("{style}{}{style:#}\n", line.trim_end_matches('\n')))?;
    }
    Ok(())
}

/// Writes data to stdout, to its last byte.
///
/// # Errors
/// When it cannot be written. A reader that went away is no error: it has what it wanted.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("failed to write to stdout"),
    }
}

/// `1 commit`, `2 commits`.
pub fn count(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}
