//! What people read: lines on stderr. Data goes to stdout, from the command that has it.
//!
//! Colour only on a terminal, and not when `NO_COLOR` or `CI` is set.

use std::fmt::Display;
use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};

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

/// Says what is being done: a verb, and to what.
pub fn step(verb: &str, what: impl Display) {
    anstream::eprintln!("{STEP}{verb:>10}{STEP:#} {what}");
}

/// A line that belongs to the step above it.
pub fn detail(what: impl Display) {
    anstream::eprintln!("           {what}");
}

/// Something to know that stops nothing.
pub fn warning(what: impl Display) {
    anstream::eprintln!("{WARNING}warning{WARNING:#}: {what}");
}

/// The end of a command that failed.
pub fn error(error: &anyhow::Error) {
    let text = crate::failure::render(error);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let message = first.strip_prefix("error: ").unwrap_or(first);
    anstream::eprint!("{ERROR}error{ERROR:#}: {message}\n{rest}");
}

/// Prints a patch to stdout, coloured on a terminal.
pub fn patch(text: &str) {
    if !stdout_has_colour() {
        print(text);
        return;
    }
    for line in text.split_inclusive('\n') {
        let style = match line.as_bytes() {
            [b'+', b'+', ..] | [b'-', b'-', ..] | [b'd', ..] => Style::new().bold(),
            [b'+', ..] => AnsiColor::Green.on_default(),
            [b'-', ..] => AnsiColor::Red.on_default(),
            [b'@', ..] => AnsiColor::Cyan.on_default(),
            _ => Style::new(),
        };
        print(&format!("{style}{}{style:#}\n", line.trim_end_matches('\n')));
    }
}

/// Writes data to stdout; a reader that went away is not an error.
pub fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// `1 commit`, `2 commits`.
pub fn count(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}
