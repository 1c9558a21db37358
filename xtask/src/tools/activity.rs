//! What processes are doing, in words for somebody who wonders why they do not end: their state,
//! the CPU time that they used, and what they run.
//!
//! Linux says it in `/proc`; elsewhere `ps` is asked. Nothing here is an error: what cannot be
//! learned is left out.

use std::fmt::Write as _;
use std::path::Path;

use rustix::process::Pid;

/// More processes than this are counted, not named.
const NAMED: usize = 4;
const LONGEST_COMMAND: usize = 80;

/// A process that runs.
#[derive(Debug, Default, PartialEq)]
struct Activity {
    command: String,
    /// As `ps` has it: R runs or would, D waits for a disk, S waits for something else.
    state: char,
    /// Where in the kernel it waits; empty where that is not told.
    channel: String,
    cpu_seconds: f64,
    /// How long it could have run and had no core; Linux only.
    waited_seconds: Option<f64>,
}

/// A sentence on each process, the first of them without its command: that is known.
pub fn words(pids: &[Pid]) -> String {
    let mut text = String::new();
    let found: Vec<Activity> = pids.iter().filter_map(|pid| look(*pid)).collect();
    for (number, activity) in found.iter().enumerate().take(NAMED) {
        if number > 0 {
            let _ = write!(text, "; `{}` ", shortened(&activity.command));
        }
        text.push_str(&activity.words());
    }
    if found.len() > NAMED {
        let _ = write!(text, "; {} more processes", found.len() - NAMED);
    }
    text
}

impl Activity {
    fn words(&self) -> String {
        let mut text = match self.state {
            'R' => "running".to_owned(),
            'D' => "waiting for the disk".to_owned(),
            'T' | 't' => "stopped".to_owned(),
            'Z' => "ended, not yet waited for".to_owned(),
            _ => "asleep".to_owned(),
        };
        if !self.channel.is_empty() {
            let _ = write!(text, " in `{}`", self.channel);
        }
        let _ = write!(text, ", {:.1} s of CPU", self.cpu_seconds);
        if let Some(waited) = self.waited_seconds.filter(|seconds| *seconds >= 1.0) {
            let _ = write!(text, ", {waited:.1} s without a core");
        }
        text
    }
}

fn shortened(command: &str) -> String {
    match command.char_indices().nth(LONGEST_COMMAND) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

#[cfg(target_os = "linux")]
fn look(pid: Pid) -> Option<Activity> {
    let dir = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap_or_default();
    let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
    let mut activity = from_stat(&text("stat"))?;
    let words = text("cmdline").replace('\0', " ");
    if !words.trim().is_empty() {
        activity.command = words.trim().to_owned();
    }
    // `0` where it runs, and where the kernel does not tell.
    activity.channel = Some(text("wchan")).filter(|channel| channel != "0").unwrap_or_default();
    let waited = text("schedstat");
    let nanos = waited.split(' ').nth(1).and_then(|nanos| nanos.parse::<f64>().ok());
    activity.waited_seconds = nanos.map(|nanos| nanos / 1e9);
    Some(activity)
}

/// `pid (name) state …`, the 14th and 15th being the ticks of CPU; the name may hold anything.
#[cfg(any(target_os = "linux", test))]
fn from_stat(stat: &str) -> Option<Activity> {
    let (start, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Activity {
        command: start.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        // In hundredths of a second for every program, whatever the kernel's own tick is.
        cpu_seconds: (ticks(11)? + ticks(12)?) / 100.0,
        ..Activity::default()
    })
}

#[cfg(not(target_os = "linux"))]
fn look(pid: Pid) -> Option<Activity> {
    let output = std::process::Command::new("/bin/ps")
        .args(["-o", "state=,time=,wchan=,command=", "-p"])
        .arg(pid.as_raw_nonzero().to_string())
        .env_clear()
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    from_ps(&String::from_utf8_lossy(&output.stdout))
}

/// A line of `ps -o state=,time=,wchan=,command=`.
#[cfg(any(not(target_os = "linux"), test))]
fn from_ps(line: &str) -> Option<Activity> {
    let mut rest = line.trim();
    let mut word = || {
        let (word, after) = rest.split_once(char::is_whitespace)?;
        rest = after.trim_start();
        Some(word)
    };
    let (state, time, channel) = (word()?, word()?, word()?);
    // `[[hours:]minutes:]seconds`
    let cpu_seconds =
        time.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))?;
    Some(Activity {
        command: rest.to_owned(),
        // macOS has U where others have D, and I for what sleeps long.
        state: state.chars().next().map(|state| if state == 'U' { 'D' } else { state })?,
        channel: if channel == "-" { String::new() } else { channel.to_owned() },
        cpu_seconds,
        waited_seconds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ps() {
        let activity = from_ps("S      0:01.25 -      /bin/sh -c sleep 1000\n").unwrap();
        assert_eq!(activity.words(), "asleep, 1.2 s of CPU");
        assert_eq!(activity.command, "/bin/sh -c sleep 1000");
        assert_eq!(from_ps("Us 1:00:02 biowait x").unwrap().cpu_seconds, 3602.0);
        assert_eq!(from_ps(""), None);
    }

    #[test]
    fn names_may_hold_anything() {
        let line = "7 (a) b (c) D 1 5 5 0 -1 4194304 1 2 3 4 150 50 6 7";
        let activity = from_stat(line).unwrap();
        assert_eq!(activity.words(), "waiting for the disk, 2.0 s of CPU");
        let words = Activity { waited_seconds: Some(12.34), state: 'R', ..activity }.words();
        assert_eq!(words, "running, 2.0 s of CPU, 12.3 s without a core");
    }

    #[test]
    fn this_process_runs() {
        let own = rustix::process::getpid();
        let words = words(&[own, own]);
        // The second is named, since it could be any.
        assert!(words.contains(" s of CPU") && words.contains("; `"), "{words}");
    }
}
