//! What the catalog is asked for, and a version that it has for some systems only.

use std::fs;
use std::process::Stdio;

use expect_test::expect;
use serde_json::Value;

use crate::scene::{ORG, Scene};

const PACKAGES: [&str; 7] = [
    "dagster-src",
    "dagster-pipes",
    "dagster-shared",
    "dagster",
    "dagster-graphql",
    "dagster-webserver",
    "dagster-complete",
];

/// dagster-shared was numbered on its own up to 1.10.17, and is in the catalog under that number.
#[test]
fn a_package_with_a_number_of_its_own() {
    let scene = Scene::new();
    let args = ["release", "1.10.6", "--accept-drift"];
    scene.run(&args).expect_status(0);
    let shown = scene.show("dagster-shared");
    assert!(shown.contains(&format!("{ORG}/dagster-shared@0.26.6 ")), "{shown}");
    assert!(scene.show("dagster-complete").contains("dagster-complete@1.10.6 "));
    let again = scene.run(&args);
    again.expect_status(0);
    assert!(again.stderr.contains("Finished 1.10.6 is released already: nothing to do"));

    scene.git(&["switch", "--quiet", "release/1.10"]);
    let status = scene.run(&["status"]);
    status.expect_status(0);
    let rows: Vec<&str> = status.stdout.lines().skip(3).collect();
    assert!(rows.len() == 7 && rows.iter().all(|row| row.starts_with("  yes ")), "{status:?}");
}

/// The number that release.toml gives a package, and the one that its expression gives it.
#[test]
fn a_package_that_calls_itself_otherwise() {
    let scene = Scene::new();
    for file in ["nix/combined/dagster-complete.nix", "nix/separate/dagster-shared.nix"] {
        let path = scene.clone_path(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"0.26.$"), "{text}");
        fs::write(&path, text.replace("\"0.26.$", "\"0.27.$")).unwrap();
    }
    scene.git(&["commit", "--quiet", "--all", "--message=Another number"]);
    scene.git(&["push", "--quiet"]);
    let before = scene.state();
    let ran =
        scene.run(&["release", "1.10.6", "--accept-drift", "--variant", "separate", "--fail-fast"]);
    ran.expect_status(1);
    let error = ran.stderr.lines().skip_while(|line| !line.starts_with("error: "));
    let error = error.collect::<Vec<_>>().join("\n");
    assert!(
        error.starts_with(
            "error: expected `dagster-shared` to be built as version `0.26.6`, found `"
        ) && error.contains("-dagster-shared-0.27.6`\nhint: "),
        "{error}"
    );
    assert_eq!(scene.state(), before);
    assert_eq!(scene.show("dagster-src"), "", "nothing was published");
}

/// Makes as if other systems had published what this one did.
fn publish_elsewhere(scene: &Scene, package: &str, systems: &[String]) {
    let path = scene.path(&format!("flox/catalog/{ORG}/{package}.json"));
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let publications = record["publications"].as_array_mut().unwrap();
    let here = publications.last().unwrap().clone();
    for system in systems {
        let mut there = here.clone();
        there["system"] = system.as_str().into();
        there["key"][2] = system.as_str().into();
        publications.push(there);
    }
    fs::write(path, record.to_string()).unwrap();
}

#[test]
fn a_version_that_other_systems_lack() {
    let scene = Scene::new();
    let combined = ["--variant", "combined"];
    let ran = scene.run(&[&["release", "1.12.2"], &combined[..]].concat());
    ran.expect_status(0);
    let end: Vec<&str> = ran.stderr.lines().rev().take(2).map(str::trim).collect();
    assert_eq!(
        end,
        [
            "the same command on a machine of each of these systems adds it",
            "Missing `dagster-flox/dagster-complete@1.12.2` for [OTHER SYSTEMS]",
        ]
    );

    // Only what this system published of the one variant is there.
    scene.run(&["status", "--check"]).check(&expect![[r#"
        status: 4
        ----- stdout
        pinned     1.12.2
        upstream   1.12.2
        published  1.12.2 for [SYSTEM]
          no       dagster-flox/dagster@1.12.2, missing for [EVERY SYSTEM]
          yes      dagster-flox/dagster-complete@1.12.2, missing for [OTHER SYSTEMS]
          no       dagster-flox/dagster-graphql@1.12.2, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-pipes@1.12.2, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-shared@1.12.2, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-src@1.12.2, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-webserver@1.12.2, missing for [EVERY SYSTEM]
        ----- stderr
        error: 1.12.2 is published in part; missing: all 7 packages for [OTHER SYSTEMS]; `dagster-flox/dagster-src@1.12.2`, `dagster-flox/dagster-pipes@1.12.2`, `dagster-flox/dagster-shared@1.12.2`, `dagster-flox/dagster@1.12.2`, `dagster-flox/dagster-graphql@1.12.2`, `dagster-flox/dagster-webserver@1.12.2` for [SYSTEM]
        hint: `cargo xtask release 1.12.2` on a machine of each of these systems, or the workflow again: what is published is skipped
    "#]]);
    scene.run(&["watch", "--once", "--catalog"]).check(&expect![[r#"
        status: 0
        ----- stdout
        up to date: 1.12.2
        unfinished: 1.12.3: not on PyPI: dagster-webserver==1.12.3
        passed over: 1.12.4rc1: a pre-release, which is not packaged
        missing: 1.12.2: all 7 packages for [OTHER SYSTEMS]
        missing: 1.12.2: `dagster-flox/dagster-src@1.12.2`, `dagster-flox/dagster-pipes@1.12.2`, `dagster-flox/dagster-shared@1.12.2`, `dagster-flox/dagster@1.12.2`, `dagster-flox/dagster-graphql@1.12.2`, `dagster-flox/dagster-webserver@1.12.2` for [SYSTEM]
        ----- stderr
    "#]]);
    let ran = scene.run(&["watch", "--once", "--catalog", "--format", "json"]);
    let watch: Value = serde_json::from_str(ran.raw_stdout()).unwrap();
    assert_eq!((&watch["is_new"], &watch["release"]), (&false.into(), &"1.12.2".into()));
    assert_eq!(
        watch["missing"][0]["systems"].as_array().unwrap().len(),
        Scene::systems().len() - 1
    );
    let due = |expected: &str| {
        let output = scene.path("github-output");
        let _ = fs::remove_file(&output);
        let mut command = scene.xtask(&["watch", "--once", "--catalog", "--format", "github"]);
        assert!(command.env("GITHUB_OUTPUT", &output).output().unwrap().status.success());
        let written = fs::read_to_string(output).unwrap();
        assert!(written.ends_with(&format!("\nrelease={expected}\n")), "{written}");
    };
    due("1.12.2");

    // What is missing is added by the same command: here the other variant, elsewhere all of it.
    scene.run(&["release", "1.12.2"]).expect_status(0);
    let own = xtask::tools::flox::system().unwrap();
    let others: Vec<String> = Scene::systems().into_iter().filter(|it| *it != own).collect();
    for package in PACKAGES {
        publish_elsewhere(&scene, package, &others[1..]);
    }
    let ran = scene.run(&["status", "--check"]);
    ran.expect_status(4);
    assert!(ran.stderr.contains("; missing: all 7 packages for [SYSTEM 2]\n"), "{}", ran.stderr);
    for package in &PACKAGES[1..] {
        publish_elsewhere(&scene, package, &others[..1]);
    }
    due("1.12.2");
    scene.run(&["status", "--check"]).check(&expect![[r#"
        status: 4
        ----- stdout
        pinned     1.12.2
        upstream   1.12.2
        published  1.12.2 for [SYSTEM]
          yes      dagster-flox/dagster@1.12.2
          yes      dagster-flox/dagster-complete@1.12.2
          yes      dagster-flox/dagster-graphql@1.12.2
          yes      dagster-flox/dagster-pipes@1.12.2
          yes      dagster-flox/dagster-shared@1.12.2
          yes      dagster-flox/dagster-src@1.12.2, missing for [SYSTEM 2]
          yes      dagster-flox/dagster-webserver@1.12.2
        ----- stderr
        error: 1.12.2 is published in part; missing: `dagster-flox/dagster-src@1.12.2` for [SYSTEM 2]
        hint: `cargo xtask release 1.12.2` on a machine of each of these systems, or the workflow again: what is published is skipped
    "#]]);
    publish_elsewhere(&scene, PACKAGES[0], &others[..1]);
    scene.run(&["status", "--check"]).check(&expect![[r#"
        status: 0
        ----- stdout
        pinned     1.12.2
        upstream   1.12.2
        published  1.12.2 for [SYSTEM]
          yes      dagster-flox/dagster@1.12.2
          yes      dagster-flox/dagster-complete@1.12.2
          yes      dagster-flox/dagster-graphql@1.12.2
          yes      dagster-flox/dagster-pipes@1.12.2
          yes      dagster-flox/dagster-shared@1.12.2
          yes      dagster-flox/dagster-src@1.12.2
          yes      dagster-flox/dagster-webserver@1.12.2
        ----- stderr
    "#]]);
    due("");
    let status: Value =
        serde_json::from_str(scene.run(&["status", "--format", "json"]).raw_stdout()).unwrap();
    assert_eq!(status["systems"].as_object().unwrap().len(), Scene::systems().len());
    assert_eq!(status["systems"][&others[0]]["dagster-flox/dagster"], true);
    assert_eq!(status["versions"]["dagster-flox/dagster"], "1.12.2");
}

#[test]
fn what_the_catalog_does_not_say_is_not_missing() {
    let scene = Scene::new();
    scene.run(&["status", "1.9.12", "--check", "--variant", "combined"]).check(&expect![[r#"
        status: 1
        ----- stdout
        pinned     1.12.1
        upstream   1.12.2
        published  1.9.12 for [SYSTEM]
          no       dagster-flox/dagster-complete@1.9.12, missing for [EVERY SYSTEM]
        ----- stderr
        error: expected 1.9.12 in the catalog for [EVERY SYSTEM], found nothing of it
        hint: `cargo xtask release 1.9.12`
    "#]]);
    scene.flox_faults(&["show:dagster"]);
    scene.run(&["status", "--check"]).check(&expect![[r#"
        status: 1
        ----- stdout
        pinned     1.12.1
        upstream   1.12.2
        published  1.12.1 for [SYSTEM]
          unknown  dagster-flox/dagster@1.12.1
          no       dagster-flox/dagster-complete@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-graphql@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-pipes@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-shared@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-src@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-webserver@1.12.1, missing for [EVERY SYSTEM]
        ----- stderr
        error: `flox show dagster-flox/dagster` exited with status 1
          Caused by: catalog error: Communication Error: error sending request for url (https://api.flox.dev/)
        hint: is the network there? FloxHub may be down: try again later
    "#]]);
    scene.run(&["watch", "--once", "--catalog"]).check(&expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: `flox show dagster-flox/dagster` exited with status 1
          Caused by: catalog error: Communication Error: error sending request for url (https://api.flox.dev/)
        hint: is the network there? FloxHub may be down: try again later
    "#]]);
}

/// As the workflow does it: commit and push without a FloxHub login, then publish.
#[test]
fn commit_first_and_publish_later() {
    let scene = Scene::new();
    let release = |options: &[&str]| {
        let args = [&["release", "1.12.2", "--variant", "combined"], options].concat();
        let mut command = scene.xtask(&args);
        command.env_remove("FLOX_FLOXHUB_TOKEN");
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    let (status, stderr) = release(&["--commit-only"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("Stopped 1.12.2 is committed and pushed; nothing was"), "{stderr}");
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "origin/main"]), "dagster 1.12.2");
    assert_eq!(scene.show("dagster-complete"), "");
    let commit = scene.git(&["rev-parse", "HEAD"]);

    // Committed is not released: it is built and tested again, as on another system's machine.
    let (status, stderr) = release(&["--no-publish"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.contains("Stopped 1.12.2 builds and passes; nothing was"), "{stderr}");

    assert_eq!(release(&[]).0, Some(1), "nobody is logged in");
    scene.run(&["release", "1.12.2", "--variant", "combined"]).expect_status(0);
    assert!(scene.show("dagster-complete").contains("dagster-complete@1.12.2"));
    assert_eq!(scene.git(&["rev-parse", "HEAD"]), commit);
}

/// Whatever flox says, or has no time to say: the catalog is asked, and an answer that is not there
/// yet is not an absence.
#[test]
fn what_was_not_confirmed() {
    let scene = Scene::new();
    let args = ["release", "1.12.2", "--variant", "combined"];
    scene.flox_faults(&["pending:dagster-complete"]);
    let ran = scene.run(&args);
    ran.expect_status(4);
    let (_, error) = ran.stderr.split_once("error: ").unwrap();
    expect![[r#"
        not confirmed: `dagster-flox/dagster-complete@1.12.2` may be in the catalog or not
          Caused by: `flox publish` exited with status 1
          Caused by: Failed while waiting for publish confirmation: Timed out waiting for publish completion
        hint: run the same command again: what is published is skipped
        hint: it may still arrive: see `cargo xtask status`
    "#]]
    .assert_eq(error);

    // It published, and was killed before it said so.
    scene.flox_faults(&["killed:dagster-complete"]);
    let ran = scene.run(&args);
    ran.expect_status(0);
    let warning = "warning: dagster-flox/dagster-complete@1.12.2 is in the catalog, although: \
        `flox publish` exited with a signal: it did not say why\n";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert!(ran.stderr.contains(" Published dagster-flox/dagster-complete@1.12.2 for [SYSTEM]"));
    let again = scene.run(&args);
    again.expect_status(0);
    assert!(again.stderr.contains("Finished 1.12.2 is released already: nothing to do"));
    let path = scene.path(&format!("flox/catalog/{ORG}/dagster-complete.json"));
    let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(record["publications"].as_array().unwrap().len(), 1);
}

#[test]
fn five_at_once() {
    let scene = Scene::new();
    let (branch, _, _) = scene.state();
    let args = ["release", "1.12.2", "--variant", "combined"];
    let runs: Vec<_> = (0..5)
        .map(|_| {
            let mut command = scene.xtask(&args);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut done = 0;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(0) {
            done += 1;
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{said}");
        let start = "error: another run of this tool is at work in this repository\n  \
            Caused by: `release 1.12.2` (process ";
        let end = "\nhint: wait until it has ended; this run has touched nothing\n";
        assert!(said.starts_with(start) && said.ends_with(end), "{said}");
    }
    assert_eq!(done, 1);
    let tip = scene.git(&["rev-parse", "origin/main"]);
    assert_eq!(scene.state(), (branch, tip, String::new()));
    assert!(scene.show("dagster-complete").contains("dagster-complete@1.12.2"));
    assert!(!scene.clone_path(".git/xtask-running.json").exists());

    // Whoever only looks is not kept waiting, and a run that was killed holds nothing.
    let lock = fs::File::create(scene.clone_path(".git/xtask-running.json")).unwrap();
    lock.lock().unwrap();
    scene.run(&["release", "1.12.2", "--dry-run"]).expect_status(0);
    for args in [&["build"][..], &["bump", "1.12.2"], &["publish"]] {
        let ran = scene.run(args);
        ran.expect_status(1);
        assert!(ran.stderr.starts_with("error: another run of this tool"), "{}", ran.stderr);
    }
    drop(lock);
    scene.run(&["build", "--variant", "combined"]).expect_status(0);
}
