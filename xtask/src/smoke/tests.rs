//! Trees made of shell scripts: what each break is called.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use super::probe::Outcome;
use super::*;
use crate::failure;
use crate::model::config::Config;

/// A tree whose commands are shell scripts; `NAME` and `VERSION` are theirs.
struct Fake {
    config: Config,
    dir: tempfile::TempDir,
    scratch: tempfile::TempDir,
}

const GOOD: &str =
    "if test \"$1\" = --help; then echo Usage: NAME; else echo NAME, version VERSION; fi";
const DEVELOPMENT: &str =
    "if test \"$1\" = --help; then echo Usage:; else echo 'dagster, version 1!0+dev'; fi";

impl Fake {
    fn new(version: &str) -> Self {
        let config = Config::parse(include_str!("../../../release.toml")).unwrap();
        let [dir, scratch] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let fake = Self { config, dir, scratch };
        fs::create_dir(fake.dir.path().join("bin")).unwrap();
        for package in &fake.config.packages {
            for command in &package.commands {
                fake.script(command, &GOOD.replace("NAME", command).replace("VERSION", version));
            }
        }
        fake
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.dir.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn tree(&self, expect: &str) -> Tree {
        Tree::at(&self.config, self.dir.path(), &expect.parse().unwrap(), &[]).unwrap()
    }

    /// What the probes of the commands find, without the path of the tree.
    fn findings(&self, tree: &Tree, command_seconds: u64) -> Vec<String> {
        let scratch = &self.scratch;
        let limits = limits(command_seconds);
        let context = Context {
            tree,
            access: access::of(tree, scratch.path()),
            scratch: scratch.path().to_owned(),
            temporary: scratch.path().join("t"),
            limits: &limits,
            budget: Budget::start(&limits, scratch.path()),
            checkout: None,
            last: None,
            together: None,
            pair: None,
            only: &[],
            closure: Mutex::new(None),
            documents: Mutex::new(None),
        };
        let part = &tree.parts[0];
        let mut jobs = vec![Job::one("commands", |_| part.check_commands(tree))];
        jobs.extend(commands::jobs(&context, part));
        let root = self.dir.path().display().to_string();
        runner::run_all(&jobs, &context.budget, false)
            .into_iter()
            .filter_map(|probe| match probe.outcome {
                Outcome::Failed(findings) => Some(findings),
                _ => None,
            })
            .flatten()
            .map(|finding| finding.to_string().replace(&root, "[ROOT]"))
            .collect()
    }
}

fn limits(command_seconds: u64) -> config::Smoke {
    config::Smoke { command_seconds, seconds: 600, closure_percent: 25, ..config::Smoke::default() }
}

#[test]
fn what_an_imitation_leaves_out_is_allowed_by_name() {
    for name in users::names().chain(command_line::names()) {
        assert!(ONLY_OF_DAGSTER.contains(&name), "{name}");
    }
}

#[test]
fn a_good_tree_has_no_finding() {
    let fake = Fake::new("1.9.12");
    assert_eq!(fake.findings(&fake.tree("1.9.12"), 60), [""; 0]);
}

#[test]
fn a_development_version_is_named() {
    let fake = Fake::new("1.9.12");
    fake.script("dagster", DEVELOPMENT);
    assert_eq!(
        fake.findings(&fake.tree("1.9.12"), 60),
        ["`dagster --version`: expected `1.9.12`, found `1!0+dev`"]
    );
}

#[test]
fn commands_are_the_expected_ones() {
    let fake = Fake::new("1.9.12");
    fake.script("uvicorn", "");
    let bin = fake.dir.path().join("bin");
    fs::remove_file(bin.join("dagster-webserver-debug")).unwrap();
    symlink("/nowhere/debug", bin.join("dagster-webserver-debug")).unwrap();
    fs::remove_file(bin.join("dagster-daemon")).unwrap();
    let found = fake.findings(&fake.tree("1.9.12"), 60);
    expect_test::expect![[r#"
        `[ROOT]/bin`: expected `dagster-daemon`, found no such command
        `[ROOT]/bin/dagster-webserver-debug`: expected a command, found a link to `/nowhere/debug`, which is not there
        `[ROOT]/bin`: expected no foreign command, found `uvicorn`
        dagster-daemon --version: expected it to run, found failed to run `[ROOT]/bin/dagster-daemon`: No such file or directory (os error 2)
        dagster-daemon --help: expected it to run, found failed to run `[ROOT]/bin/dagster-daemon`: No such file or directory (os error 2)
        dagster-webserver-debug --help: expected it to run, found failed to run `[ROOT]/bin/dagster-webserver-debug`: No such file or directory (os error 2)
    "#]]
    .assert_eq(&(found.join("\n") + "\n"));
}

#[test]
fn others_may_have_commands_in_a_virtual_environment() {
    let fake = Fake::new("1.9.12");
    fs::write(fake.dir.path().join("pyvenv.cfg"), "").unwrap();
    fake.script("uvicorn", "");
    fake.script("dagit", "");
    let tree = fake.tree("1.9.12");
    assert_eq!(tree.kind, tree::Kind::Venv);
    assert_eq!(fake.findings(&tree, 60), [""; 0]);
    fake.script("dagster-old", "");
    assert_eq!(
        fake.findings(&tree, 60),
        ["`[ROOT]/bin`: expected no foreign command, found `dagster-old`"]
    );
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started() {
    let fake = Fake::new("1.9.12");
    fake.script("dagster", "sleep 1000 & echo $! >>~/pids; echo $$ >>~/pids; sleep 1000");
    let start = Instant::now();
    let found = fake.findings(&fake.tree("1.9.12"), 2);
    assert_eq!(found.len(), 2);
    for (found, flag) in found.iter().zip(["--version", "--help"]) {
        // On a busy machine that goes on, and it takes longer.
        let expected = format!("`dagster {flag}`: expected an end within 2 s");
        assert!(found.starts_with(&expected), "{found}");
        for words in [
            ", found none after ",
            " core",
            "times slower",
            " s of CPU",
            "`sleep 1000`",
            "it wrote nothing",
        ] {
            assert!(found.contains(words), "{found}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(60));
    let pids: String = ["dagster---version", "dagster---help"]
        .map(|probe| fs::read_to_string(fake.scratch.path().join(probe).join("home/pids")).unwrap())
        .concat();
    assert_eq!(pids.lines().count(), 4);
    for pid in pids.lines() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err(), "{pid:?} runs");
    }
}

#[test]
fn a_failure_keeps_the_logs_and_names_them() {
    let fake = Fake::new("1.9.12");
    fake.script("dagster", DEVELOPMENT);
    let tree = fake.tree("1.9.12");
    let (report, failure) =
        smoke(&tree, Places::make().unwrap(), &limits(60), None, None, &Options::default())
            .unwrap();
    assert!(!report.has_passed());
    let error = failure.unwrap().into();
    let text = failure::render(&error);
    // A shell script is no Python, which comes first.
    let headline =
        format!("error: smoke test of `{}` failed: `dagster-webserver --version`", tree.name);
    assert!(text.starts_with(&headline), "{text}");
    let finding = "- `dagster --version`: expected `1.9.12`, found `1!0+dev`\n";
    assert!(text.contains(finding), "{text}");
    // A shell script reports no interpreter, loads nothing and serves nothing.
    for probe in ["sitecustomize", "value of asset", "dagster-webserver"] {
        assert!(text.contains(probe), "{text}");
    }
    let logs = text.rsplit_once(" is in `").and_then(|(_, rest)| rest.split_once('`')).unwrap().0;
    let log = Path::new(logs).join("dagster---version/log/dagster---version.out");
    assert_eq!(fs::read_to_string(log).unwrap(), "dagster, version 1!0+dev\n");
    fs::remove_dir_all(logs).unwrap();
}

#[test]
fn usage_is_checked() {
    let fake = Fake::new("1.9.12");
    let version = "1.9.12".parse().unwrap();
    let names = ["dagster-shared".to_owned()];
    let error = Tree::at(&fake.config, fake.dir.path(), &version, &names).unwrap_err();
    assert_eq!(error.to_string(), "1.9.12 has no package `dagster-shared`");
    let nowhere = Path::new("/nowhere");
    assert!(Tree::at(&fake.config, nowhere, &version, &[]).is_err());
}

#[test]
fn where_nothing_is_installed_that_is_all_there_is_to_say() {
    let fake = Fake::new("1.9.12");
    let bin = fake.dir.path().join("bin");
    fs::remove_dir_all(&bin).unwrap();
    fs::create_dir(&bin).unwrap();
    let tree = fake.tree("1.9.12");
    let options = Options { logs: Some(fake.dir.path().join("logs")), ..Options::default() };
    let (report, failure) =
        smoke(&tree, Places::make().unwrap(), &limits(60), None, None, &options).unwrap();
    assert_eq!(report.probes.len(), 1);
    let text = failure::render(&failure.unwrap().into());
    let root = fake.dir.path().display().to_string();
    expect_test::expect![[r#"
        error: smoke test of `[ROOT]` failed: tree: expected dagster 1.9.12, found dagster is not installed here (no `dagster` distribution below `[ROOT]`)
        hint: what each command wrote is in `[ROOT]/logs/[TREE]`
    "#]]
    .assert_eq(
        &text
            .replace(&report.logs.unwrap().file_name().unwrap().display().to_string(), "[TREE]")
            .replace(&root, "[ROOT]"),
    );
}
