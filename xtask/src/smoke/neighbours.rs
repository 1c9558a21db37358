//! `dagster` finds what is installed beside it, however it is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::context::Context;
use super::environment::{PAIR, Together};
use super::interpreter::{Python, reported, whereabouts};
use super::probe::{Finding, Job};
use super::sandbox::Sandbox;

/// The probe that `dagster` finds what is installed beside it, however it is started.
pub fn job<'a>(context: &'a Context<'_>, pair: &'a Together) -> Job<'a> {
    Job::one(pair.part.label("neighbours"), move |name| {
        let mut findings = Vec::new();
        // What was found instead, and after which ways to start it.
        let mut wrong: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let expected = webserver_file(pair);
        let ways = ways(pair);
        for (number, (way, program, path)) in ways.iter().enumerate() {
            let sandbox = context.sandbox(&format!("{name} {number}"))?;
            match find_webserver(&sandbox, program, path.as_deref())? {
                Ok(python) => {
                    if let Some(found) = other_webserver(&expected, &python) {
                        wrong.entry(found).or_default().push(way);
                    }
                }
                Err(found) => findings.extend(found),
            }
        }
        findings.extend(wrong.into_iter().map(|(found, ways)| {
            let what = format!("`dagster_webserver` for `dagster` {}", ways.join(", "));
            Finding::new(what, format!("`{}`", expected.display()), found)
        }));
        Ok(if findings.is_empty() {
            let ways: Vec<&str> = ways.iter().map(|(way, ..)| *way).collect();
            Ok(format!("`dagster` finds `dagster_webserver`: {}", ways.join(", ")))
        } else {
            Err(findings)
        })
    })
}

/// How a user may start `dagster`: in words, the program, and a directory on PATH.
fn ways(pair: &Together) -> [(&'static str, PathBuf, Option<PathBuf>); 5] {
    let by_name = || PathBuf::from("dagster");
    [
        ("in the profile", pair.dir.join("profile/bin/dagster"), None),
        ("through a link to the profile", pair.part.command("dagster"), None),
        ("by its name", by_name(), Some(pair.part.root.join("bin"))),
        ("through a link to the command", pair.dir.join("home/bin/dagster"), None),
        ("by the name of such a link", by_name(), Some(pair.dir.join("home/bin"))),
    ]
}

fn webserver_file(pair: &Together) -> PathBuf {
    let webserver = pair.part.packages.iter().find(|package| package.name == PAIR[1]);
    resolved(&webserver.map(|package| pair.part.module_file(package)).unwrap_or_default())
}

/// What the command, or a child that it starts with `sys.executable`, finds instead of a file.
fn other_webserver(expected: &Path, python: &Python) -> Option<String> {
    [("", &python.modules), ("by its `sys.executable` ", &python.modules_of_child)]
        .into_iter()
        .find_map(|(who, modules)| match modules.get("dagster_webserver")? {
            Some(found) if resolved(found) == expected => None,
            Some(found) => Some(format!("{who}`{}`", found.display())),
            None => Some(format!("{who}no module of that name")),
        })
}

fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn find_webserver(
    sandbox: &Sandbox,
    program: &Path,
    path: Option<&Path>,
) -> Result<Result<Python, Vec<Finding>>> {
    let modules = ["dagster_webserver"];
    let Some(dir) = path else { return whereabouts(sandbox, program, &modules) };
    // The shell looks it up, as it does for users.
    let script = format!("exec {} --version", program.display());
    let mut spec = sandbox.spec(Path::new("/bin/sh"), &["-c", &script]);
    spec.env.push(("PATH".into(), format!("{}:/usr/bin:/bin", dir.display()).into()));
    reported(sandbox, spec, "`dagster --version`", &modules)
}
