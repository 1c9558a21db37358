//! What others do to the remote, and to the branches here, while a release is at work or between two.

use std::fs;

use crate::programs::replace;
use crate::recovery::{FILE, RELEASE, goes_on};
use crate::scene::Scene;

/// Makes somebody else push while the release is about to: an edit of a file.
fn push_meanwhile(scene: &Scene, file: &str) {
    let script = format!(
        "case \"$1 $3\" in 'push --dry-run') ;; push*) if [ ! -e '{other}' ]; then \
         @REAL@ clone --quiet '{origin}' '{other}' && echo '# theirs' >>'{other}/{file}' && \
         @REAL@ -C '{other}' -c user.name=Other -c user.email=other@example.invalid \
         commit --quiet --all --message=Meanwhile && @REAL@ -C '{other}' push --quiet; fi;; esac\n\
         exec @REAL@ \"$@\"",
        other = scene.path("other").display(),
        origin = scene.path("origin.git").display(),
    );
    replace(scene, "git", &script);
}

#[test]
fn a_remote_that_moved_elsewhere() {
    let scene = Scene::new();
    push_meanwhile(&scene, "README.md");
    let ran = scene.run(&RELEASE);
    ran.expect_status(0);
    assert!(ran.stderr.contains("  Rebasing onto `origin/main`, which moved"), "{}", ran.block());
    assert_eq!(
        scene.git(&["log", "-2", "--format=%s", "origin/main"]),
        "dagster 1.12.2\nMeanwhile"
    );
    goes_on(&scene, &RELEASE, "main");
}

#[test]
fn a_remote_that_moved_where_it_was_tested() {
    let scene = Scene::new();
    let before = scene.state();
    push_meanwhile(&scene, FILE);
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    let (_, error) = ran.stderr.split_once("error: ").unwrap();
    expect_test::expect![[r#"
        `origin/main` moved meanwhile, with other versions of `nix/combined/dagster-complete.nix`: 1.12.2 was not tested with them, and its commit was taken back; this run published nothing
        hint: `git pull --ff-only` if `main` is checked out, then `cargo xtask release 1.12.2` again
    "#]]
    .assert_eq(error);
    assert_eq!(scene.state(), before);
    // The hint works.
    scene.git(&["pull", "--quiet", "--ff-only"]);
    goes_on(&scene, &RELEASE, "main");
}

/// Its commit was made and not pushed, and the remote moved until the next run.
#[test]
fn an_own_commit_and_a_remote_that_moved() {
    let scene = Scene::new();
    replace(
        &scene,
        "git",
        "case \"$1 $3\" in 'push --dry-run') ;; push*) exit 1;; esac\nexec @REAL@ \"$@\"",
    );
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    assert!(ran.stderr.contains("is committed on `main` and not pushed"), "{}", ran.block());
    fs::remove_file(scene.path("bin/git")).unwrap();
    let other = scene.path("other");
    let script = format!(
        "git clone -q '{origin}' '{other}' && cd '{other}' && echo x >>README.md && \
         git -c user.name=O -c user.email=o@example.invalid commit -qam Meanwhile && git push -q",
        origin = scene.path("origin.git").display(),
        other = other.display(),
    );
    assert!(scene.world.command("sh").args(["-c", &script]).status().unwrap().success());
    goes_on(&scene, &RELEASE, "main");
}

/// What a version is was decided when it was committed: a tag that moved since is a person's.
#[test]
fn another_source_under_a_version_that_is_committed() {
    let scene = Scene::new();
    scene.run(&[&RELEASE[..], &["--commit-only"]].concat()).expect_status(0);
    let path = scene.clone_path("nix/separate/dagster-src.nix");
    let text = fs::read_to_string(&path).unwrap();
    let other = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
    let at = text.find("sha256-").unwrap();
    for file in ["nix/separate/dagster-src.nix", FILE] {
        let path = scene.clone_path(file);
        let changed = fs::read_to_string(&path).unwrap().replace(&text[at..at + 51], other);
        fs::write(&path, changed).unwrap();
    }
    scene.git(&["commit", "--quiet", "--all", "--message=As if the tag had moved since"]);
    scene.git(&["push", "--quiet"]);
    let before = scene.state();
    let ran = scene.run(&RELEASE);
    ran.expect_status(3);
    assert!(
        ran.stderr.contains("error: 1.12.2 is committed already, and its source is sha256-AAAA")
    );
    assert_eq!(scene.state(), before);
    assert_eq!(scene.show("dagster-complete"), "");
}

/// Another clone of the remote, in which a script is run; pushed by the script.
fn elsewhere(scene: &Scene, script: &str) {
    let script = format!(
        "rm -rf '{other}' && git clone -q '{origin}' '{other}' && cd '{other}' && git config user.name Other \
         && git config user.email other@example.invalid && {script}",
        origin = scene.path("origin.git").display(),
        other = scene.path("other").display(),
    );
    assert!(scene.world.command("sh").args(["-ec", &script]).status().unwrap().success());
}

/// A git that does something before its first push, in another clone.
fn before_the_push(scene: &Scene, script: &str) {
    let other = scene.path("other");
    let script = format!(
        "case \"$1 $3\" in 'push --dry-run') ;; push*) if [ ! -e '{other}' ]; then (\
         @REAL@ clone -q '{origin}' '{other}' && cd '{other}' && @REAL@ config user.name Other && \
         @REAL@ config user.email other@example.invalid && {script}) >&2 || exit 9; fi;; esac\nexec @REAL@ \"$@\"",
        origin = scene.path("origin.git").display(),
        other = other.display(),
    );
    replace(scene, "git", &script);
}

/// It is on another branch by now, or taken back in git; in the catalog it may be all the same.
#[test]
fn another_source_under_a_version_that_was_committed_once() {
    let scene = Scene::new();
    scene.run(&[&RELEASE[..], &["--commit-only"]].concat()).expect_status(0);
    let text = fs::read_to_string(scene.clone_path(FILE)).unwrap();
    let at = text.find("sha256-").unwrap();
    let other = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
    for file in ["nix/separate/dagster-src.nix", FILE] {
        let path = scene.clone_path(file);
        let changed = fs::read_to_string(&path).unwrap().replace(&text[at..at + 51], other);
        fs::write(&path, changed).unwrap();
    }
    scene.git(&["commit", "--quiet", "--all", "--amend", "--no-edit"]);
    scene.git(&["revert", "--no-edit", "HEAD"]);
    scene.git(&["push", "--quiet", "--force"]);
    let before = scene.state();
    for args in [&RELEASE[..], &["release", "1.12.2", "--dry-run"]] {
        let ran = scene.run(args);
        ran.expect_status(3);
        let error = format!(
            "error: 1.12.2 is committed already, and its source is {other} there and sha256-"
        );
        assert!(ran.stderr.contains(&error), "{}", ran.block());
    }
    // Likewise where the commit is on a branch that only the remote has.
    scene.git(&["push", "--quiet", "origin", "HEAD^:refs/heads/once"]);
    scene.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    scene.git(&["push", "--quiet", "--force"]);
    scene.run(&RELEASE).expect_status(3);
    assert_eq!(scene.state().0, before.0);
    assert_eq!(scene.show("dagster-complete"), "");
}

const MAINTENANCE: [&str; 5] = ["release", "1.9.12", "--variant", "combined", "--accept-drift"];

/// Another machine released from the same line since; or somebody deleted the branch there.
#[test]
fn a_maintenance_branch_that_is_behind_or_gone() {
    let scene = Scene::new();
    scene.run(&MAINTENANCE).expect_status(0);
    elsewhere(
        &scene,
        "git switch -q release/1.9 && echo x >>README.md && git commit -qam More && git push -q",
    );
    goes_on(&scene, &MAINTENANCE, "release/1.9");
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "release/1.9"]), "More");

    elsewhere(&scene, "git push -q origin :release/1.9");
    goes_on(&scene, &MAINTENANCE, "release/1.9");
    assert_eq!(scene.git(&["ls-remote", "origin", "release/1.9"]).lines().count(), 1);
}

/// Somebody took a commit off the remote's branch: the release does not put it back, and does not
/// take it away here.
#[test]
fn a_remote_that_was_rewritten() {
    for script in [
        "git reset -q --hard HEAD^ && git push -q -f",
        "git reset -q --hard HEAD^ && echo x >>README.md && git commit -qam C && git push -q -f",
        "git reset -q --hard HEAD^ && echo '# x' >>nix/combined/dagster-complete.nix && \
         git commit -qam C && git push -q -f",
    ] {
        let scene = Scene::new();
        fs::write(scene.clone_path("B"), "B\n").unwrap();
        scene.git(&["add", "B"]);
        scene.git(&["commit", "--quiet", "--message=B"]);
        scene.git(&["push", "--quiet"]);
        let before = scene.state();
        before_the_push(&scene, script);
        let ran = scene.run(&RELEASE);
        ran.expect_status(1);
        let error = "error: `origin/main` was rewritten meanwhile: it lacks 1 commit of `main`; the \
                     commit of 1.12.2 was taken back, and this run published nothing\n";
        assert!(ran.stderr.contains(error), "{script}\n{}", ran.block());
        assert_eq!(scene.state(), before, "{script}");
        assert!(!scene.git(&["log", "--format=%s", "origin/main"]).lines().any(|line| line == "B"));
        if script.contains("README") {
            // The hint works.
            scene.git(&["reset", "--quiet", "--keep", "origin/main"]);
            goes_on(&scene, &RELEASE, "main");
        }
    }
}

/// Killed while it moved its commit: back, or onto what the remote got meanwhile.
#[test]
fn a_move_that_was_cut_short() {
    let scene = Scene::new();
    let start = scene.state().1;
    scene.run(&[&RELEASE[..], &["--commit-only"]].concat()).expect_status(0);
    let released = scene.state().1;
    scene.git(&["push", "--quiet", "--force", "origin", &format!("{start}:main")]);
    let journal = scene.clone_path(".git/xtask-moving.json");
    let moving = format!(r#"{{"branch":"main","from":"{released}","to":"{start}"}}"#);
    // Before the branch was moved, after that, and with some of the files.
    for steps in [&[][..], &["reset"], &["reset", "restore"], &["reset", "gone"]] {
        scene.git(&["reset", "--quiet", "--hard", &released]);
        fs::write(&journal, &moving).unwrap();
        for step in steps {
            match *step {
                "reset" => drop(scene.git(&["reset", "--quiet", "--mixed", &start])),
                "restore" => drop(scene.git(&["restore", FILE])),
                _ => fs::remove_file(scene.clone_path(FILE)).unwrap(),
            }
        }
        // A version that there is not: what was left is put right first.
        let ran = scene.run(&["release", "1.12.99"]);
        ran.expect_status(1);
        assert!(ran.stderr.contains("warning: an earlier run was interrupted while it moved"));
        assert_eq!(scene.state(), ("main".to_owned(), start.clone(), String::new()), "{steps:?}");
        assert!(!journal.exists());
    }
    // A person's edit stays; and of another branch nothing is known.
    scene.git(&["reset", "--quiet", "--hard", &released]);
    fs::write(&journal, &moving).unwrap();
    fs::write(scene.clone_path(FILE), "mine\n").unwrap();
    scene.run(&["release", "1.12.99"]).expect_status(1);
    assert_eq!(fs::read_to_string(scene.clone_path(FILE)).unwrap(), "mine\n");
    assert_eq!(scene.state().1, start);
    scene.git(&["reset", "--quiet", "--hard", &start]);
    scene.git(&["switch", "--quiet", "--create", "topic", &released]);
    fs::write(&journal, &moving).unwrap();
    scene.run(&["release", "1.12.99"]).expect_status(1);
    assert_eq!(scene.state(), ("topic".to_owned(), released, String::new()));
}

/// What is checked out when the build ends is somebody's own affair.
#[test]
fn another_branch_that_was_checked_out_meanwhile() {
    let scene = Scene::new();
    let before = scene.state();
    let clone = scene.clone_path("");
    let switch = format!("git -C '{}' switch -q --create topic", clone.display());
    replace(&scene, "flox", &format!("case $1 in build) {switch};; esac\nexec @REAL@ \"$@\""));
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    let error = "error: expected `main` to be checked out still, found `topic`\n";
    assert!(ran.stderr.contains(error), "{}", ran.block());
    assert_eq!(scene.state(), ("topic".to_owned(), before.1.clone(), before.2));
    assert_eq!(scene.git(&["rev-parse", "origin/main"]), before.1);
    fs::rename(scene.path("bin/real-flox"), scene.path("bin/flox")).unwrap();
    scene.git(&["switch", "--quiet", "main"]);
    goes_on(&scene, &RELEASE, "main");
}

#[test]
fn a_push_that_works_and_fails() {
    let scene = Scene::new();
    let script = "case \"$1 $3\" in 'push --dry-run') ;; push*) @REAL@ push -q origin main; exit 1;; esac\n\
                  exec @REAL@ \"$@\"";
    replace(&scene, "git", script);
    scene.git(&["config", "--unset", "branch.main.merge"]);
    let ran = scene.run(&RELEASE);
    ran.expect_status(0);
    assert!(ran.stderr.contains("warning: `main` is pushed, although: failed to push"));
    goes_on(&scene, &RELEASE, "main");
}
