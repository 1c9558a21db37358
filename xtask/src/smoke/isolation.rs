//! Isolation: what upstream's code can reach from where the probes run it.
//!
//! A script (`python/isolation.py`) takes the place of the first module that a command of the tree
//! imports, and tries to get at the caller's home, the checkout, temporary files of others, this
//! program and those that started it, and out of the sandbox by sockets. That something succeeds
//! which this system refuses is a finding; what the system does not refuse is said in the probe's
//! line. Nothing is sent to another machine: what is connected to listens here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::context::Context;
use super::probe::{Checked, Finding, Job};
use super::sandbox::ended_badly;
use super::tree::Part;
use crate::tools::confine::{self, Area, Enforced};
use crate::tools::credentials;

const ISOLATION: &str = include_str!("python/isolation.py");

/// What the script wrote.
#[derive(Debug, Deserialize)]
struct Came {
    variables: Vec<String>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    area: Area,
    what: String,
    /// `refused`, `succeeded`, or why it could not be tried.
    outcome: String,
}

/// What there is to reach, and stays as long as this is kept.
struct Outside {
    canary: NamedTempFile,
    tcp: TcpListener,
    /// The name of an abstract socket.
    name: Option<String>,
    path: Option<PathBuf>,
    _sockets: Vec<UnixListener>,
}

/// The probe that upstream's code reaches nothing that it must not.
pub fn job<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    Job::one("isolation", move |name| check(context, part, name))
}

fn check(context: &Context<'_>, part: &Part, name: &str) -> Checked {
    let enforced = confine::enforced()?;
    let outside = Outside::make(&context.temporary)?;
    let sandbox = context.sandbox(name)?;
    let report = sandbox.path("report.json");
    sandbox.write("path/sitecustomize.py", ISOLATION)?;
    let task = task(context, &outside, &report)?;
    sandbox.write("path/task.json", &task.to_string())?;
    let mut spec = sandbox.spec(&part.command("dagster"), &["--version"]);
    spec.env.push(("PYTHONPATH".into(), sandbox.path("path").into_os_string()));
    let what = "`dagster --version`";
    let ended = match sandbox.run(what, &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    let Ok(text) = fs::read(&report) else {
        let expected = "it to run Python with our `sitecustomize` on its path";
        return Ok(Err(vec![Finding::new(what, expected, ended_badly(&ended))]));
    };
    let came = serde_json::from_slice(&text).context("failed to read what came of isolation")?;
    Ok(judge(&came, enforced))
}

/// What must be refused and is not; else how much was tried, and what this system lets through.
fn judge(came: &Came, enforced: &Enforced) -> Result<String, Vec<Finding>> {
    let is_credential = |name: &&String| credentials::is_credential(name.as_ref(), "x".as_ref());
    let credentials = came.variables.iter().filter(is_credential).map(|name| {
        let what = "environment of upstream's code";
        Finding::new(what, "no credential", format!("`{name}`"))
    });
    let reached = came
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "succeeded" && enforced.areas.contains(&attempt.area));
    let reached = reached.map(|attempt| {
        let by = enforced.by.join(", ");
        Finding::new(
            "upstream's code",
            format!("{by} to refuse it"),
            format!("it can {}", attempt.what),
        )
    });
    let findings: Vec<Finding> = credentials.chain(reached).collect();
    if !findings.is_empty() {
        return Err(findings);
    }
    let outcome = |wanted: &str| {
        let wanted = wanted.to_owned();
        came.attempts.iter().filter(move |attempt| attempt.outcome == wanted)
    };
    let by = if enforced.by.is_empty() { "nothing".to_owned() } else { enforced.by.join(", ") };
    let mut line = format!("{} attempts refused, by {by}", outcome("refused").count());
    let open: BTreeSet<Area> = outcome("succeeded").map(|attempt| attempt.area).collect();
    if !open.is_empty() {
        let open: Vec<&str> = open.into_iter().map(Area::words).collect();
        line += &format!("; this system does not refuse: {}", open.join(", "));
    }
    let is_tried = |attempt: &&Attempt| ["refused", "succeeded"].contains(&&*attempt.outcome);
    for Attempt { what, outcome, .. } in came.attempts.iter().filter(|attempt| !is_tried(attempt)) {
        line += &format!("; not tried: {what} ({outcome})");
    }
    Ok(line)
}

/// What the script is to try, without what processes may reach anyway.
fn task(context: &Context<'_>, outside: &Outside, report: &Path) -> Result<Value> {
    let is_open = |path: &Path| context.access.read.iter().any(|open| path.starts_with(open));
    let closed = |paths: Vec<(&'static str, PathBuf)>| -> BTreeMap<&str, PathBuf> {
        let mut seen = BTreeSet::new();
        paths
            .into_iter()
            .filter_map(|(what, path)| Some((what, path.canonicalize().ok()?)))
            .filter(|(_, path)| !is_open(path) && seen.insert(path.clone()))
            .collect()
    };
    let mut directories = vec![
        ("the directory of temporary files", std::env::temp_dir()),
        ("a directory of temporary files", "/tmp".into()),
        ("another directory of temporary files", "/var/tmp".into()),
    ];
    directories.extend(std::env::var_os("HOME").map(|home| ("the caller's home", home.into())));
    directories.extend(context.checkout.map(|checkout| ("the checkout", checkout.to_owned())));
    let mut reads = vec![("a temporary file of others", outside.canary.path().to_owned())];
    let files = directories.iter().filter_map(|(what, dir)| match *what {
        "the caller's home" => Some(("a file in the caller's home", a_file_in(dir)?)),
        "the checkout" => Some(("a file in the checkout", a_file_in(dir)?)),
        _ => None,
    });
    reads.extend(files);
    let trees = context.tree.parts.iter().map(|part| part.root.canonicalize());
    let trees = trees.collect::<Result<BTreeSet<PathBuf>, _>>().context("failed to resolve")?;
    let mut creates: BTreeMap<String, PathBuf> = closed(directories.clone())
        .into_iter()
        .map(|(what, path)| (what.to_owned(), path))
        .collect();
    for (number, tree) in trees.into_iter().enumerate() {
        creates.insert(format!("tree {}", number + 1), tree);
    }
    Ok(json!({
        "report": report,
        "lists": closed(directories),
        "reads": closed(reads),
        "creates": creates,
        "canary": outside.canary.path(),
        "pid": std::process::id(),
        "processes": processes(),
        "port": outside.tcp.local_addr()?.port(),
        "abstract": outside.name,
        "socket": outside.path,
    }))
}

/// A file in a directory that can be read by us.
fn a_file_in(dir: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && fs::File::open(path).is_ok())
        .collect();
    files.sort();
    files.into_iter().next()
}

/// This program and those that it was started by, up to the first.
fn processes() -> BTreeMap<String, u32> {
    let mut pid = std::process::id();
    let mut found = BTreeMap::from([("the tool".to_owned(), pid)]);
    while let Some(parent) = parent_of(pid).filter(|parent| *parent != 0) {
        found.insert(format!("ancestor {}", found.len()), parent);
        pid = parent;
    }
    found
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

impl Outside {
    fn make(temporary: &Path) -> Result<Self> {
        let canary = tempfile::Builder::new()
            .prefix("xtask-canary-")
            .tempfile()
            .context("failed to make a temporary file")?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen")?;
        let mut sockets = Vec::new();
        let name = format!("xtask-{}", std::process::id());
        let name = abstract_socket(&name).map(|socket| {
            sockets.push(socket);
            name
        });
        // Where the path is too long for a socket, that is not tried.
        let path = temporary.join("outside");
        let path = UnixListener::bind(&path).ok().map(|socket| {
            sockets.push(socket);
            path
        });
        Ok(Self { canary, tcp, name, path, _sockets: sockets })
    }
}

#[cfg(target_os = "linux")]
fn abstract_socket(name: &str) -> Option<UnixListener> {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).ok()?;
    UnixListener::bind_addr(&address).ok()
}

#[cfg(not(target_os = "linux"))]
fn abstract_socket(_: &str) -> Option<UnixListener> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(attempts: &[(Area, &str, &str)]) -> Came {
        let attempt = |&(area, what, outcome): &(Area, &str, &str)| Attempt {
            area,
            what: what.to_owned(),
            outcome: outcome.to_owned(),
        };
        Came {
            variables: vec!["HOME".to_owned()],
            attempts: attempts.iter().map(attempt).collect(),
        }
    }

    #[test]
    fn what_is_enforced_and_succeeds_is_a_finding() {
        let enforced = Enforced { by: vec!["Landlock 4".to_owned()], areas: [Area::Files].into() };
        let nothing = Enforced { by: Vec::new(), areas: BTreeSet::new() };
        let read = |outcome| (Area::Files, "read `/x`", outcome);
        let signal = (Area::Signals, "signal the tool", "succeeded");
        assert_eq!(
            judge(&came(&[read("refused"), signal]), &enforced).unwrap(),
            "1 attempts refused, by Landlock 4; this system does not refuse: signals to other \
             processes"
        );
        let findings = judge(&came(&[read("succeeded"), signal]), &enforced).unwrap_err();
        assert_eq!(
            findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["upstream's code: expected Landlock 4 to refuse it, found it can read `/x`"]
        );
        assert_eq!(
            judge(&came(&[read("succeeded"), (Area::Tcp, "connect", "ENOSYS")]), &nothing).unwrap(),
            "0 attempts refused, by nothing; this system does not refuse: files of others; not \
             tried: connect (ENOSYS)"
        );
    }

    #[test]
    fn a_credential_in_the_environment_is_a_finding() {
        let nothing = Enforced { by: Vec::new(), areas: BTreeSet::new() };
        let mut came = came(&[]);
        came.variables.push("GITHUB_TOKEN".to_owned());
        let findings = judge(&came, &nothing).unwrap_err();
        assert_eq!(
            findings[0].to_string(),
            "environment of upstream's code: expected no credential, found `GITHUB_TOKEN`"
        );
    }
}
