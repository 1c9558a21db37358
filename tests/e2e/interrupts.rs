//! What is asked to stop: it ends at the first signal, whatever it waits for, says so, and leaves
//! nothing running.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Output, Stdio};
use std::thread;

use crate::programs::{TICK, replace, runs, signal, sleeps, wait_for};
use crate::scene::Scene;

fn start(scene: &Scene, args: &[&str]) -> Child {
    scene.xtask(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn an_api_that_never_answers() {
    let scene = Scene::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = scene.xtask(&["watch", "--once"]);
    let command = command.env("GITHUB_API_URL", url).stderr(Stdio::piped());
    for name in ["INT", "TERM"] {
        let child = command.spawn().unwrap();
        let (mut connection, _) = listener.accept().unwrap();
        let _ = connection.read(&mut [0; 64]);
        signal(&child, name);
        let (status, said) = end(child);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("Caused by: interrupted\n"), "{said}");
    }
}

#[test]
fn an_archive_that_stops_coming() {
    let scene = Scene::with_upstream_faults(&["archive-hangs"]);
    let mut child = start(&scene, &["release", "1.12.2", "--dry-run"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Hashing")));
    thread::sleep(TICK);
    signal(&child, "INT");
    let said: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said:?}");
    assert!(said.iter().any(|line| line.contains("Caused by: interrupted")), "{said:?}");
}

#[test]
fn a_program_that_hangs() {
    let scene = Scene::new();
    replace(
        &scene,
        "git",
        &format!("case $1 in fetch) {};; *) exec @REAL@ \"$@\";; esac", sleeps(&scene, 48110)),
    );
    let before = scene.state();
    let child = start(&scene, &["release", "1.12.2"]);
    wait_for(&scene);
    signal(&child, "TERM");
    let (status, said) = end(child);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("interrupted: `git fetch --quiet --prune origin` was ended\n"), "{said}");
    assert!(!runs(48110));
    assert_eq!(scene.state(), before);
}

/// git leaves its lock when it is told to end between making it and knowing of it.
#[test]
fn a_git_that_leaves_its_lock() {
    let scene = Scene::new();
    let lock = scene.clone_path(".git/refs/heads/release/1.9.lock");
    let of_a_person = scene.clone_path(".git/refs/heads/theirs.lock");
    let script = format!(
        "case \"$*\" in 'switch '*' --create '*) mkdir -p \"$(dirname {lock})\"; echo >{lock}; {sleep};; \
         *) exec @REAL@ \"$@\";; esac",
        lock = lock.display(),
        sleep = sleeps(&scene, 48115)
    );
    replace(&scene, "git", &script);
    let before = scene.state();
    let child = start(&scene, &["release", "1.9.12", "--accept-drift"]);
    wait_for(&scene);
    assert!(lock.exists());
    signal(&child, "TERM");
    let (status, said) = end(child);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("interrupted: `git switch "), "{said}");
    assert!(!lock.exists() && !runs(48115), "{said}");
    assert_eq!(scene.state(), before);

    // One that was there before is not this run's.
    fs::write(&of_a_person, "").unwrap();
    let output = scene.run(&["release", "1.9.12", "--accept-drift"]);
    output.expect_status(1);
    assert!(output.stderr.contains("git's own lock"), "{}", output.block());
    assert!(of_a_person.exists());
}

/// flox heeds SIGINT alone, and what it started may heed nothing.
#[test]
fn a_flox_that_does_not_end() {
    let scene = Scene::new();
    let script = format!("trap '' INT TERM\n{}", sleeps(&scene, 48120));
    replace(&scene, "flox", &format!("case $1 in build) {script};; *) exec @REAL@ \"$@\";; esac"));
    let before = scene.state();
    let child = start(&scene, &["release", "1.12.2", "--variant", "combined"]);
    wait_for(&scene);
    signal(&child, "INT");
    let (status, said) = end(child);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("Caused by: interrupted: `flox build -d flox "), "{said}");
    assert!(!runs(48120));
    assert_eq!(scene.state(), before);

    // A second signal does not wait.
    fs::remove_file(scene.path("there")).unwrap();
    let child = start(&scene, &["build", "--variant", "combined"]);
    wait_for(&scene);
    signal(&child, "INT");
    thread::sleep(TICK);
    signal(&child, "TERM");
    assert_eq!(end(child).0, Some(128 + 15));
    while runs(48120) {
        thread::sleep(TICK);
    }
}

/// The second signal ends what heeds none, with all that it started.
#[test]
fn programs_that_do_not_end() {
    for (program, condition, seconds) in
        [("git", "case $1 in fetch)", 48130), ("python3", "case \"$*\" in *dry-run*)", 48131)]
    {
        let scene = Scene::new();
        let script = format!("trap '' INT TERM; {}; wait", sleeps(&scene, seconds));
        replace(&scene, program, &format!("{condition} {script};; *) exec @REAL@ \"$@\";; esac"));
        let before = scene.state();
        let child = start(&scene, &["release", "1.12.2"]);
        wait_for(&scene);
        signal(&child, "TERM");
        thread::sleep(TICK * 4);
        signal(&child, "TERM");
        let (status, said) = end(child);
        assert_eq!(status, Some(128 + 15), "{said}");
        assert!(!runs(seconds), "{program}");
        assert_eq!(scene.state(), before);
    }
}

/// A terminal that closes says so more than once: what was begun is put back all the same.
#[test]
fn a_terminal_that_closes() {
    let scene = Scene::new();
    let script = format!("trap '' INT TERM HUP\n{}", sleeps(&scene, 48140));
    replace(&scene, "flox", &format!("case $1 in build) {script};; *) exec @REAL@ \"$@\";; esac"));
    let before = scene.state();
    let mut command = scene.xtask_with_hangup(&["release", "1.9.12", "--accept-drift"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&scene);
    for _ in 0..3 {
        signal(&child, "HUP");
        thread::sleep(TICK);
    }
    let (status, said) = end(child);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("Caused by: interrupted: `flox build -d flox "), "{said}");
    assert!(!runs(48140));
    assert_eq!(scene.state(), before);
}

/// `nohup`: a terminal that closes is no reason to stop.
#[test]
fn a_terminal_that_closes_and_does_not_matter() {
    let scene = Scene::new();
    let script = format!("case \"$*\" in *dry-run*) {};; esac", sleeps(&scene, 2));
    replace(&scene, "python3", &format!("{script}\nexec @REAL@ \"$@\""));
    let mut command = scene.xtask_without_hangup(&["release", "1.12.2", "--dry-run"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&scene);
    signal(&child, "HUP");
    let (status, said) = end(child);
    assert_eq!(status, Some(0), "{said}");
}
