//! Releases from beginning to end, and what a second run and a run cut short come to.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use expect_test::expect;

use crate::scene::{ORG, Scene};

const SEPARATE: [&str; 5] =
    ["dagster-src", "dagster-pipes", "dagster", "dagster-graphql", "dagster-webserver"];

#[test]
fn a_newer_version_on_main() {
    let scene = Scene::new();
    scene.run(&["release", "1.12.2"]).expect_status(0);
    for package in SEPARATE.into_iter().chain(["dagster-shared", "dagster-complete"]) {
        let shown = scene.show(package);
        assert!(shown.contains(&format!("{ORG}/{package}@1.12.2")), "{package}: {shown}");
    }
    assert_eq!(scene.git(&["log", "-1", "--format=%s"]), "dagster 1.12.2");
    assert_eq!(scene.git(&["rev-parse", "HEAD"]), scene.git(&["rev-parse", "origin/main"]));
    expect![[r#"
        4	4	nix/combined/dagster-complete.nix
        3	3	nix/separate/dagster-src.nix
        1	1	nix/separate/dagster-webserver.nix"#]]
    .assert_eq(&scene.git(&["show", "--numstat", "--format=", "HEAD"]));

    let trailers = scene.git(&["log", "-1", "--format=%(trailers:key=Closure,valueonly)"]);
    let of: Vec<&str> = trailers.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(of, ["separate", "combined"], "{trailers}");

    let before = scene.state();
    scene.run(&["release", "1.12.2"]).check(&expect![[r#"
        status: 0
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
                   source sha256-ccrWiOsl1EwgG3/a8jq0FzFgcNKDJ2l20RbRrlKRdws= (known from an earlier download)
          Finished 1.12.2 is released already: nothing to do
           Missing all 7 packages for [OTHER SYSTEMS]
                   the same command on a machine of each of these systems adds it
    "#]]);
    assert_eq!(scene.state(), before);
    scene.run(&["release", "1.12.1"]).expect_status(0);
    assert_eq!(scene.state(), before, "1.12.1 is a maintenance release");
}

#[test]
fn an_older_version_on_its_own_branch() {
    let scene = Scene::new();
    let before = scene.state();
    scene.run(&["release", "1.9.12"]).expect_status(0);
    assert_eq!(scene.state(), before, "main stays where it is");
    for package in SEPARATE.into_iter().chain(["dagster-complete"]) {
        let shown = scene.show(package);
        assert!(shown.contains(&format!("{ORG}/{package}@1.9.12")), "{package}: {shown}");
    }
    assert!(!scene.show("dagster-shared").contains("1.9.12"), "there is no dagster-shared yet");
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "origin/release/1.9"]), "dagster 1.9.12");

    scene.run(&["release", "1.9.12"]).check(&expect![[r#"
        status: 0
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.12
                   source sha256-yiXeqe1ijgLxCgQfjv0XLQHgnhuEkOMfsMT3RerWNXU= (known from an earlier download)
         Switching to `release/1.9`: a maintenance release, `main` stays as it is
          Finished 1.9.12 is released already: nothing to do
           Missing all 6 packages for [OTHER SYSTEMS]
                   the same command on a machine of each of these systems adds it
         Switching back to `main`
    "#]]);
    scene.run(&["release", "1.9.11"]).check(&expect![[r#"
        status: 3
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.11
           Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
                   source sha256-aWdcG0RjWCWjT1b3wzJGs9+uPCDCEifgBeohfp2w6bU=
         Switching to `release/1.9`: a maintenance release, `main` stays as it is
         Switching back to `main`
        error: `release/1.9` is at 1.9.12: releasing 1.9.11 would move it back
        hint: to do that nevertheless: `cargo xtask bump`, commit, push, `cargo xtask publish`
    "#]]);
    assert_eq!(scene.state(), before);
}

#[test]
fn source_that_is_not_what_its_tag_says() {
    let scene = Scene::new();
    let before = scene.state();
    let ran = scene.run(&["release", "1.10.21"]);
    ran.expect_status(3);
    assert!(ran.stderr.contains("calls itself `1!0+dev` in its source"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("Building"), "{}", ran.stderr);
    assert_eq!(scene.state(), before);
    // Whoever does not listen hears it again, from what was built.
    let ran = scene.run(&["release", "1.10.21", "--accept-drift"]);
    ran.expect_status(1);
    assert!(ran.stderr.contains("1!0+dev"), "{}", ran.stderr);
    assert_eq!(scene.state(), before);
    assert_eq!(scene.show("dagster"), "");
}

#[test]
fn a_build_that_fails_puts_everything_back() {
    let scene = Scene::new();
    scene.flox_faults(&["build:dagster-graphql"]);
    let before = scene.state();
    let ran = scene.run(&["release", "1.9.12"]);
    ran.expect_status(1);
    assert!(ran.stderr.contains("failed to build `separate` 1.9.12"), "{}", ran.stderr);
    assert_eq!(scene.state(), before);
    assert_eq!(scene.git(&["branch", "--list", "release/*"]), "", "the branch is gone again");
}

#[test]
fn published_in_part_and_then_the_rest() {
    let scene = Scene::new();
    scene.flox_faults(&["publish:dagster-graphql"]);
    let ran = scene.run(&["release", "1.12.2"]);
    ran.expect_status(4);
    assert!(scene.show("dagster").contains("dagster@1.12.2"));
    assert_eq!(scene.show("dagster-graphql"), "");

    scene.flox_faults(&[]);
    let commit = scene.git(&["rev-parse", "HEAD"]);
    scene.run(&["release", "1.12.2"]).expect_status(0);
    assert!(scene.show("dagster-graphql").contains("dagster-graphql@1.12.2"));
    assert!(scene.show("dagster-complete").contains("dagster-complete@1.12.2"));
    assert_eq!(scene.git(&["rev-parse", "HEAD"]), commit, "no second commit");
}

#[test]
fn a_dry_run_is_what_bump_writes() {
    let scene = Scene::new();
    let before = scene.state();
    let dry = scene.run(&["release", "1.9.12", "--dry-run"]);
    dry.check(&expect![[r#"
        status: 0
        ----- stdout
        diff --git a/nix/combined/dagster-complete.nix b/nix/combined/dagster-complete.nix
        --- a/nix/combined/dagster-complete.nix
        +++ b/nix/combined/dagster-complete.nix
        @@ -7,14 +7,14 @@
           lib,
           fetchFromGitHub,
           fetchPypi,
        -  python313,
        +  python312,
           stdenvNoCC,
         }:

         let
        -  version = "1.12.1";
        +  version = "1.9.12";

        -  python = python313;
        +  python = python312;
           pythonPackages = python.pkgs;

           # Upstream split dagster-shared off in 1.10.6.
        @@ -28,8 +28,8 @@
             name = "dagster-src-${version}";
             owner = "dagster-io";
             repo = "dagster";
        -    rev = "[COMMIT]";
        -    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
        +    rev = "[COMMIT]";
        +    hash = "sha256-yiXeqe1ijgLxCgQfjv0XLQHgnhuEkOMfsMT3RerWNXU=";
           };

           dagster-pipes = pythonPackages.buildPythonPackage {
        @@ -194,12 +194,13 @@
             # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
             pythonRelaxDeps = [
               "antlr4-python3-runtime"
        -      "click"
               "coloredlogs"
               "protobuf"
        +      "pydantic"
               "sqlalchemy"
               "tomli"
               "tqdm"
        +      "typing_extensions"
               "watchdog"
             ];

        @@ -281,7 +282,7 @@
               format = "wheel";
               dist = "py3";
               python = "py3";
        -      hash = "sha256-HYAtDr+zh2SssWhn30tQUadwFmOkcjC5RxX1a/75lfg=";
        +      hash = "sha256-p08FKiBeAtS9JkP0G/DYu9fAeCOZKlKor7cBu7htQmI=";
             };

             dependencies = dagster-webserver-dependencies;
        diff --git a/nix/separate/dagster-graphql.nix b/nix/separate/dagster-graphql.nix
        --- a/nix/separate/dagster-graphql.nix
        +++ b/nix/separate/dagster-graphql.nix
        @@ -1,12 +1,12 @@
         {
           lib,
        -  python313,
        +  python312,
           dagster-src,
           dagster,
         }:

         let
        -  pythonPackages = python313.pkgs;
        +  pythonPackages = python312.pkgs;

           dependencies = [
             dagster
        diff --git a/nix/separate/dagster-pipes.nix b/nix/separate/dagster-pipes.nix
        --- a/nix/separate/dagster-pipes.nix
        +++ b/nix/separate/dagster-pipes.nix
        @@ -1,11 +1,11 @@
         {
           lib,
        -  python313,
        +  python312,
           dagster-src,
         }:

         let
        -  pythonPackages = python313.pkgs;
        +  pythonPackages = python312.pkgs;
         in
         pythonPackages.buildPythonPackage {
           pname = "dagster-pipes";
        diff --git a/nix/separate/dagster-shared.nix b/nix/separate/dagster-shared.nix
        --- a/nix/separate/dagster-shared.nix
        +++ b/nix/separate/dagster-shared.nix
        @@ -1,13 +1,13 @@
         {
           lib,
        -  python313,
        +  python312,
           dagster-src,
         }:

         let
           inherit (dagster-src) version;

        -  pythonPackages = python313.pkgs;
        +  pythonPackages = python312.pkgs;
         in
         # Upstream split this package off in 1.10.6.
         if lib.versionOlder version "1.10.6" then
        diff --git a/nix/separate/dagster-src.nix b/nix/separate/dagster-src.nix
        --- a/nix/separate/dagster-src.nix
        +++ b/nix/separate/dagster-src.nix
        @@ -5,7 +5,7 @@
         }:

         let
        -  version = "1.12.1";
        +  version = "1.9.12";
         in
         (fetchFromGitHub {
           # Nix finds a fixed output by its name and hash, wherever it comes from. With the version in the
        @@ -13,8 +13,8 @@
           name = "dagster-src-${version}";
           owner = "dagster-io";
           repo = "dagster";
        -  rev = "[COMMIT]";
        -  hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
        +  rev = "[COMMIT]";
        +  hash = "sha256-yiXeqe1ijgLxCgQfjv0XLQHgnhuEkOMfsMT3RerWNXU=";
         })
         // {
           # What a catalog shows. A bare fetch has neither and would be published as version `unknown`.
        diff --git a/nix/separate/dagster-webserver.nix b/nix/separate/dagster-webserver.nix
        --- a/nix/separate/dagster-webserver.nix
        +++ b/nix/separate/dagster-webserver.nix
        @@ -1,14 +1,14 @@
         {
           lib,
           fetchPypi,
        -  python313,
        +  python312,
           dagster-src,
           dagster,
           dagster-graphql,
         }:

         let
        -  pythonPackages = python313.pkgs;
        +  pythonPackages = python312.pkgs;

           dependencies = [
             dagster
        @@ -38,7 +38,7 @@
             format = "wheel";
             dist = "py3";
             python = "py3";
        -    hash = "sha256-HYAtDr+zh2SssWhn30tQUadwFmOkcjC5RxX1a/75lfg=";
        +    hash = "sha256-p08FKiBeAtS9JkP0G/DYu9fAeCOZKlKor7cBu7htQmI=";
           };

           inherit dependencies;
        diff --git a/nix/separate/dagster.nix b/nix/separate/dagster.nix
        --- a/nix/separate/dagster.nix
        +++ b/nix/separate/dagster.nix
        @@ -1,6 +1,6 @@
         {
           lib,
        -  python313,
        +  python312,
           dagster-src,
           dagster-pipes,
           dagster-shared,
        @@ -9,7 +9,7 @@
         let
           inherit (dagster-src) version;

        -  python = python313;
        +  python = python312;
           pythonPackages = python.pkgs;

           dependencies = [
        @@ -123,12 +123,13 @@
           # Every upper bound of upstream's: nixpkgs moves on without asking. Kept by the tool.
           pythonRelaxDeps = [
             "antlr4-python3-runtime"
        -    "click"
             "coloredlogs"
             "protobuf"
        +    "pydantic"
             "sqlalchemy"
             "tomli"
             "tqdm"
        +    "typing_extensions"
             "watchdog"
           ];

        ----- stderr
        Inspecting dagster-io/dagster 1.9.12
           Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
                   source sha256-yiXeqe1ijgLxCgQfjv0XLQHgnhuEkOMfsMT3RerWNXU=
           Planned dagster 1.12.1 -> 1.9.12
                   tag 1.9.12 is commit [COMMIT]
                   source sha256-yiXeqe1ijgLxCgQfjv0XLQHgnhuEkOMfsMT3RerWNXU=
                   wheel  sha256-p08FKiBeAtS9JkP0G/DYu9fAeCOZKlKor7cBu7htQmI= (dagster-webserver 1.9.12)
                   python 3.13 -> 3.12
                   edits  nix/combined/dagster-complete.nix
                   edits  nix/separate/dagster-graphql.nix
                   edits  nix/separate/dagster-pipes.nix
                   edits  nix/separate/dagster-shared.nix
                   edits  nix/separate/dagster-src.nix
                   edits  nix/separate/dagster-webserver.nix
                   edits  nix/separate/dagster.nix
           Noticed dagster-pipes runs on Python `>=3.9,<3.13` now, before `>=3.9,<3.14`
                   upstream: python_modules/dagster-pipes/setup.py:21
           Noticed dagster does not require `tzdata`, which its expressions list
                   upstream: not in the metadata of dagster 1.9.12
                   here:     nix/combined/dagster-complete.nix:168
                   here:     nix/separate/dagster.nix:39
                   --accept-drift removes tzdata from dependencies
           Noticed dagster requires `click>=5.0` now, before `click>=5.0,<9.0`
                   upstream: python_modules/dagster/setup.py:23
           Noticed dagster runs on Python `>=3.9,<3.13` now, before `>=3.9,<3.14`
                   upstream: python_modules/dagster/setup.py:21
           Noticed dagster-graphql runs on Python `>=3.9,<3.13` now, before `>=3.9,<3.14`
                   upstream: python_modules/dagster-graphql/setup.py:21
           Noticed dagster-webserver runs on Python `>=3.9,<3.13` now, before `>=3.9,<3.14`
                   upstream: python_modules/dagster-webserver/setup.py:21
           Noticed dagster is built with Python 3.12, whose packages nixpkgs does not build: it has 3.13 and 3.14
                   upstream: nixpkgs.toml, 2026-11-24
           Noticed dagster relaxes `coloredlogs<=14.0` (nixpkgs has 15.0.1), `protobuf<7` (nixpkgs has 7.35.1), and 7 more: antlr4-python3-runtime, pydantic, sqlalchemy, tomli, tqdm, typing-extensions, watchdog
                   upstream: metadata of dagster 1.9.12
           Noticed dagster-graphql relaxes gql, graphene
                   upstream: metadata of dagster-graphql 1.9.12
           Noticed dagster-webserver relaxes click
                   upstream: metadata of dagster-webserver 1.9.12
                   older than 1.12.1: a maintenance release
                   commit `dagster 1.9.12` on `release/1.9`, then publish
                   separate: dagster-src dagster-pipes dagster dagster-graphql dagster-webserver
                   combined: dagster-complete
    "#]]);
    assert_eq!(scene.state(), before);
    assert_eq!(scene.run(&["bump", "1.9.12", "--dry-run"]).raw_stdout(), dry.raw_stdout());

    let patch = scene.path("patch");
    fs::write(&patch, dry.raw_stdout()).unwrap();
    scene.git(&["apply", "--check", patch.to_str().unwrap()]);
    scene.git(&["apply", patch.to_str().unwrap()]);
    let applied = scene.git(&["diff"]);
    scene.git(&["restore", "."]);
    scene.run(&["bump", "1.9.12"]).expect_status(0);
    assert_eq!(scene.git(&["diff"]), applied);

    scene.run(&["bump", "1.9.12"]).check(&expect![[r#"
        status: 0
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.12
                   source sha256-yiXeqe1ijgLxCgQfjv0XLQHgnhuEkOMfsMT3RerWNXU= (known from an earlier download)
           Planned nothing: the files say 1.9.12 already
           Noticed dagster does not require `tzdata`, which its expressions list
                   upstream: not in the metadata of dagster 1.9.12
                   here:     nix/combined/dagster-complete.nix:168
                   here:     nix/separate/dagster.nix:39
                   --accept-drift removes tzdata from dependencies
         Unchanged the Nix files say 1.9.12 already
    "#]]);
    assert_eq!(scene.git(&["diff"]), applied);
}

#[test]
fn a_closure_that_jumps() {
    let scene = Scene::new();
    let system = xtask::tools::flox::system().unwrap();
    let message = format!("dagster 1.12.1\n\nClosure: combined {system} 1 paths 1 bytes\n");
    scene.git(&["commit", "--quiet", "--allow-empty", "--message", &message]);
    scene.git(&["push", "--quiet"]);
    let before = scene.state();
    let report = scene.path("report.json");
    let target = format!("json={}", report.display());
    let args = ["release", "1.12.2", "--variant", "combined", "--report", &target];
    let ran = scene.run(&args);
    ran.expect_status(1);
    let finding = "error: smoke test of `combined` failed: closure: expected no more than 25% from \
                   the last release's 1 store paths, 0.0 MB, found ";
    assert!(ran.stderr.contains(finding), "{}", ran.block());
    assert_eq!(scene.state(), before);

    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!((&report[0]["tree"], &report[0]["passed"]), (&"combined".into(), &false.into()));
    let outcome = |name: &str| {
        let probes = report[0]["probes"].as_array().unwrap();
        probes.iter().find(|probe| probe["name"] == name).unwrap()["outcome"].clone()
    };
    assert_eq!(
        (outcome("closure"), outcome("dagster dev daemon")),
        ("failed".into(), "passed".into())
    );
}

#[test]
fn one_download_for_a_version() {
    let scene = Scene::new();
    let first = scene.run(&["prefetch", "1.12.2"]);
    first.expect_status(0);
    let second = scene.run(&["prefetch", "1.12.2"]);
    assert_eq!(second.raw_stdout(), first.raw_stdout());
    let downloads = scene.world.requests().matches(".tar.gz 200").count();
    assert_eq!(downloads, 1, "{}", scene.world.requests());

    // A cache that was tampered with is not believed.
    for entry in fs::read_dir(scene.path("cache/dagster-flox/sources")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let wrong = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        fs::write(&path, text.replacen(first.raw_stdout().trim(), wrong, 1)).unwrap();
    }
    assert_eq!(scene.run(&["prefetch", "1.12.2"]).raw_stdout(), first.raw_stdout());
    assert_eq!(scene.world.requests().matches(".tar.gz 200").count(), 2);
}

#[test]
fn what_is_new() {
    let scene = Scene::new();
    scene.run(&["watch", "--once"]).check(&expect![[r#"
        status: 0
        ----- stdout
        new: 1.12.2 (pinned: 1.12.1)
        unfinished: 1.12.3: not on PyPI: dagster-webserver==1.12.3
        passed over: 1.12.4rc1: a pre-release, which is not packaged
        ----- stderr
    "#]]);
    scene.run(&["watch", "--once", "--format", "json"]).check(&expect![[r#"
        status: 0
        ----- stdout
        {
          "pinned": "1.12.1",
          "newest": "1.12.2",
          "is_new": true,
          "unfinished": [
            {
              "version": "1.12.3",
              "why": "not on PyPI: dagster-webserver==1.12.3"
            }
          ],
          "passed_over": [
            {
              "tag": "1.12.4rc1",
              "why": "a pre-release, which is not packaged"
            }
          ],
          "departed": [],
          "missing": null,
          "release": "1.12.2"
        }
        ----- stderr
    "#]]);
    let output = scene.path("github-output");
    let ran = scene
        .xtask(&["watch", "--once", "--format", "github"])
        .env("GITHUB_OUTPUT", &output)
        .output()
        .unwrap();
    assert!(ran.status.success());
    expect![[r#"
        new=true
        version=1.12.2
        pinned=1.12.1
        release=1.12.2
    "#]]
    .assert_eq(&fs::read_to_string(output).unwrap());
    scene.run(&["status"]).check(&expect![[r#"
        status: 0
        ----- stdout
        pinned     1.12.1
        upstream   1.12.2
        published  1.12.1 for [SYSTEM]
          no       dagster-flox/dagster@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-complete@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-graphql@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-pipes@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-shared@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-src@1.12.1, missing for [EVERY SYSTEM]
          no       dagster-flox/dagster-webserver@1.12.1, missing for [EVERY SYSTEM]
        ----- stderr
    "#]]);
}

#[test]
fn an_interrupted_bump_is_put_back() {
    let scene = Scene::new();
    let file = "nix/separate/dagster-src.nix";
    let before = fs::read_to_string(scene.clone_path(file)).unwrap();
    let after = before.replace("1.12.1", "1.12.2");
    let journal = serde_json::json!([{"path": file, "before": before, "after": after}]);
    let written = scene.clone_path(".git/xtask-edits.json");

    fs::write(scene.clone_path(file), &after).unwrap();
    fs::write(&written, journal.to_string()).unwrap();
    let ran = scene.run(&["bump", "1.12.2"]);
    ran.expect_status(0);
    assert!(ran.stderr.contains("an earlier run was interrupted"), "{}", ran.stderr);
    assert!(!written.exists());

    scene.git(&["restore", "."]);
    fs::write(scene.clone_path(file), "{ }\n").unwrap();
    fs::write(&written, journal.to_string()).unwrap();
    scene.run(&["release", "1.12.2"]).check(&expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: an earlier run was interrupted, and `nix/separate/dagster-src.nix` was edited since
        hint: bring the file to the state you want, then remove `[WORLD]/clone/.git/xtask-edits.json`
    "#]]);
    assert_eq!(fs::read_to_string(scene.clone_path(file)).unwrap(), "{ }\n");
}

/// Kills a bump (SIGKILL) as soon as it has begun to write, each time a little later: every file is
/// whole, the old one or the new one, and the next run leaves all of them new.
#[test]
fn a_killed_bump_leaves_files_whole() {
    let scene = Scene::new();
    let files = [
        "nix/combined/dagster-complete.nix",
        "nix/separate/dagster-src.nix",
        "nix/separate/dagster-webserver.nix",
    ];
    let read = || files.map(|file| fs::read_to_string(scene.clone_path(file)).unwrap());
    let before = read();
    scene.run(&["bump", "1.12.2"]).expect_status(0);
    let after = read();
    let mut states = Vec::new();
    for delay in [0, 1, 2, 3, 5, 8, 13, 21] {
        scene.git(&["restore", "."]);
        let journal = scene.clone_path(".git/xtask-edits.json");
        assert!(!journal.exists());
        let mut bump = scene.xtask(&["bump", "1.12.2"]).stderr(Stdio::null()).spawn().unwrap();
        while !journal.exists() && bump.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(delay));
        bump.kill().unwrap();
        bump.wait().unwrap();
        let now = read();
        for (i, file) in files.iter().enumerate() {
            assert!(now[i] == before[i] || now[i] == after[i], "{file}: {}", now[i]);
        }
        states.push(now.iter().zip(&after).filter(|(now, after)| now == after).count());
        scene.run(&["bump", "1.12.2"]).expect_status(0);
        assert_eq!(read(), after);
        assert!(!journal.exists());
        let left = scene.git(&["status", "--porcelain"]);
        assert_eq!(left.lines().count(), files.len(), "something was left over: {left}");
    }
    println!("files written when killed: {states:?}");
}

/// SIGTERM while flox builds: nothing is left of the release.
#[test]
fn an_interrupted_release_puts_everything_back() {
    let scene = Scene::new();
    let before = scene.state();
    let mut release = scene.xtask(&["release", "1.9.12"]).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(release.stderr.take().unwrap());
    let mut said = String::new();
    for line in stderr.lines() {
        let line = line.unwrap();
        if line.trim_start().starts_with("Building separate") {
            let pid = release.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert_eq!(release.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("Caused by: interrupted"), "{said}");
    assert_eq!(scene.state(), before);
    assert_eq!(scene.git(&["branch", "--list", "release/*"]), "");
}
