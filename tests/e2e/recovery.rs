//! What a run that was killed leaves, and what somebody edits while one is at work: the same command
//! goes on, and nothing of a person's is lost.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use crate::programs::{TICK, replace, runs, sleeps, wait_for};
use crate::scene::Scene;

pub const RELEASE: [&str; 4] = ["release", "1.12.2", "--variant", "combined"];
pub const FILE: &str = "nix/combined/dagster-complete.nix";

/// Released as if nothing had been: pushed, published, on its branch, and nothing left.
#[track_caller]
pub fn goes_on(scene: &Scene, args: &[&str], branch: &str) {
    let ran = scene.run(args);
    ran.expect_status(0);
    let (at, _, dirty) = scene.state();
    assert_eq!((at.as_str(), dirty.as_str()), ("main", ""), "{}", ran.block());
    assert_eq!(
        scene.git(&["rev-parse", branch]),
        scene.git(&["rev-parse", &format!("origin/{branch}")])
    );
    let version = args[1];
    assert!(scene.show("dagster-complete").contains(&format!("dagster-complete@{version} ")));
    let left: Vec<String> = fs::read_dir(scene.clone_path(".git"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("xtask") || name.ends_with(".lock"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn an_edit_between_build_and_commit() {
    let scene = Scene::new();
    let before = scene.state();
    let path = scene.clone_path(FILE);
    // The tree is hashed before the build, after it, and before the commit.
    let script = format!(
        "case $1 in add) echo >>'{count}'; if [ $(wc -l <'{count}') = 3 ]; then \
         echo '# mine' >>'{path}'; fi;; esac\nexec @REAL@ \"$@\"",
        count = scene.path("count").display(),
        path = path.display(),
    );
    replace(&scene, "git", &script);
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    let error = "error: `nix/combined/dagster-complete.nix` changed since `combined` was built and \
        smoked; nothing was committed\n";
    assert!(ran.stderr.contains(error), "{}", ran.block());
    assert!(
        ran.stderr.contains("warning: left as it is, since somebody edited it meanwhile: `nix/")
    );
    // Their edit is there, nothing else is, and nothing went out.
    let (branch, commit, dirty) = scene.state();
    assert_eq!((branch, commit), (before.0, before.1));
    assert_eq!(dirty, format!(" M {FILE}"));
    assert!(fs::read_to_string(&path).unwrap().ends_with("# mine\n"));
    assert_eq!(scene.show("dagster-complete"), "");

    scene.git(&["restore", FILE]);
    goes_on(&scene, &RELEASE, "main");
}

#[test]
fn a_hook_that_edits_what_is_committed() {
    let scene = Scene::new();
    let before = scene.state();
    scene.hook("pre-commit", &format!("echo '# formatted' >>{FILE}; git add {FILE}"));
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    let error = "error: a hook of git's changed `nix/combined/dagster-complete.nix` in the commit: \
        that is not what was built and smoked\nhint: the commit was taken back; ";
    assert!(ran.stderr.contains(error), "{}", ran.block());
    assert_eq!(scene.state(), before);
    assert_eq!(scene.git(&["rev-parse", "origin/main"]), before.1);

    fs::remove_file(scene.clone_path(".git/hooks/pre-commit")).unwrap();
    goes_on(&scene, &RELEASE, "main");
}

/// A hook that edits the file, or what is committed as well; and the tool is killed when git has
/// made the commit.
#[test]
fn a_hook_that_edits_and_a_kill() {
    for (add, is_committed) in [("", false), ("; git add $file", true)] {
        let scene = Scene::new();
        scene.hook("pre-commit", &format!("file={FILE}; echo '# formatted' >>$file{add}"));
        let script = "case $1 in commit) @REAL@ \"$@\"; kill -9 $PPID; exit; esac; \
                      exec @REAL@ \"$@\"";
        replace(&scene, "git", script);
        let ran = scene.run(&RELEASE);
        assert_eq!(ran.status, -1, "{}", ran.block());
        fs::remove_file(scene.clone_path(".git/hooks/pre-commit")).unwrap();
        fs::remove_file(scene.path("bin/git")).unwrap();
        if !is_committed {
            let ran = scene.run(&RELEASE);
            ran.expect_status(1);
            let error = format!("expected a clean checkout, found changes in `{FILE}`\n");
            assert!(ran.stderr.contains(&error), "{}", ran.block());
            scene.git(&["restore", FILE]);
        }
        goes_on(&scene, &RELEASE, "main");
    }
}

/// git writes its index last: what is staged then is the way back.
#[test]
fn a_commit_that_is_made_and_an_index_that_is_not() {
    let scene = Scene::new();
    let script = "case $1 in commit) @REAL@ \"$@\"; @REAL@ read-tree HEAD^; kill -9 $PPID; exit; \
                  esac; exec @REAL@ \"$@\"";
    replace(&scene, "git", script);
    let ran = scene.run(&RELEASE);
    assert_eq!(ran.status, -1, "{}", ran.block());
    fs::remove_file(scene.path("bin/git")).unwrap();
    goes_on(&scene, &RELEASE, "main");
}

#[test]
fn a_commit_that_is_made_and_fails() {
    let scene = Scene::new();
    replace(&scene, "git", "@REAL@ \"$@\" || exit; case $1 in commit) echo no >&2; exit 3;; esac");
    let ran = scene.run(&RELEASE);
    ran.expect_status(0);
    assert!(ran.stderr.contains("warning: the commit is made, although: "), "{}", ran.block());
    goes_on(&scene, &RELEASE, "main");
}

/// Where the way back is not known, or is none, it is said how to go on.
#[test]
fn a_way_back_that_is_lost() {
    let scene = Scene::new();
    let away = scene.clone_path(".git/xtask-away.json");
    scene.git(&["switch", "--quiet", "--create", "release/1.9"]);
    fs::write(&away, r#"{"home":"gone","branch":"release/1.9","made":false}"#).unwrap();
    for _ in 0..2 {
        let ran = scene.run(&RELEASE);
        ran.expect_status(1);
        let error = "error: an earlier run left `release/1.9` checked out, and the way back to `gone` \
                     fails\n";
        assert!(ran.stderr.contains(error), "{}", ran.block());
    }
    fs::write(&away, "[").unwrap();
    let ran = scene.run(&["release", "1.12.99"]);
    assert!(
        ran.stderr.contains("and `release/1.9` stays checked out; `git switch main`\n"),
        "{}",
        ran.block()
    );
    fs::write(&away, r#"{"home":"gone","branch":"release/1.9","made":false}"#).unwrap();
    scene.git(&["switch", "--quiet", "main"]);
    goes_on(&scene, &RELEASE, "main");
}

/// What somebody's shell, or a git that runs this tool (a hook, an alias, `rebase --exec`), tells
/// every git: it is not meant for this one.
#[test]
fn variables_of_git_that_mean_something_else() {
    let scene = Scene::new();
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    scene.git(&["init", "--quiet", &other.display().to_string()]);
    let in_other = |name: &str| other.join(".git").join(name);
    for (name, value) in [
        ("GIT_TRACE", "1".into()),
        ("GIT_TRACE2_PERF", "2".into()),
        ("GIT_CURL_VERBOSE", "1".into()),
        ("GIT_DIR", other.join(".git")),
        ("GIT_WORK_TREE", other.clone()),
        ("GIT_INDEX_FILE", in_other("index")),
        ("GIT_OBJECT_DIRECTORY", in_other("objects")),
        ("GIT_NAMESPACE", "another".into()),
        ("GIT_LITERAL_PATHSPECS", "1".into()),
        ("GIT_NOGLOB_PATHSPECS", "1".into()),
    ] {
        let output = scene.xtask(&["release", "1.12.2", "--dry-run"]).env(name, value).output();
        let said = output.unwrap();
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && !stderr.contains("trace"), "{name}: {stderr}");
    }
    let mut command = scene.xtask(&RELEASE);
    command.env("GIT_DIR", other.join(".git")).env("GIT_TRACE", "1").env("GIT_PREFIX", "nix/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    goes_on(&scene, &RELEASE, "main");
}

/// What is in the place of this tool's own files is told, and how to go on; nothing is touched.
#[test]
fn directories_in_place_of_journals() {
    let scene = Scene::new();
    let before = scene.state();
    for name in ["xtask-running.json", "xtask-away.json", "xtask-edits.json", "xtask-moving.json"] {
        let path = scene.clone_path(".git").join(name);
        fs::create_dir(&path).unwrap();
        let ran = scene.run(&RELEASE);
        ran.expect_status(1);
        let hint = format!(".git/{name}`, and move it away\n");
        assert!(ran.stderr.ends_with(&hint), "{}", ran.block());
        assert_eq!(scene.state(), before);
        fs::remove_dir(&path).unwrap();
    }
    goes_on(&scene, &RELEASE, "main");
}

/// git, killed while it switches: some files are the other branch's, one is gone, a new one is there.
#[test]
fn a_switch_that_was_cut_short() {
    const MAINTENANCE: [&str; 3] = ["release", "1.9.12", "--accept-drift"];
    let scene = Scene::new();
    scene.run(&MAINTENANCE).expect_status(0);
    let new = scene.clone_path("nix/of-main-only");
    fs::write(&new, "new\n").unwrap();
    scene.git(&["add", "nix/of-main-only"]);
    scene.git(&["commit", "--quiet", "--message=Something else"]);
    scene.git(&["push", "--quiet"]);
    let away = r#"{"home":"main","branch":"release/1.9","made":false}"#;
    let gone = scene.clone_path("nix/separate/dagster.nix");
    for (at, other) in [("release/1.9", "main"), ("main", "release/1.9")] {
        scene.git(&["switch", "--quiet", at]);
        fs::write(scene.clone_path(".git/xtask-away.json"), away).unwrap();
        let text = scene.git(&["show", &format!("{other}:{FILE}")]);
        fs::write(scene.clone_path(FILE), format!("{text}\n")).unwrap();
        fs::remove_file(&gone).unwrap();
        if other == "main" {
            fs::write(&new, "new\n").unwrap();
        }
        goes_on(&scene, &MAINTENANCE, "release/1.9");

        // What is neither's is a person's.
        scene.git(&["switch", "--quiet", at]);
        fs::write(scene.clone_path(".git/xtask-away.json"), away).unwrap();
        fs::write(scene.clone_path(FILE), "theirs").unwrap();
        fs::remove_file(&gone).unwrap();
        scene.run(&MAINTENANCE).expect_status(1);
        assert_eq!(fs::read_to_string(scene.clone_path(FILE)).unwrap(), "theirs");
        assert!(!gone.exists());
        scene.git(&["restore", "nix"]);
        let _ = fs::remove_file(scene.clone_path(".git/xtask-away.json"));
        scene.git(&["switch", "--quiet", "main"]);
    }
}

/// What is in a commit is not put back as it was before: the next run would find neither.
#[test]
fn a_git_that_fails_after_the_commit() {
    let scene = Scene::new();
    let script = "case \"$*\" in *'HEAD^{tree}') @REAL@ log -1 --format=%s | grep -q '^dagster 1.12.2' \
                  && exit 3;; esac; exec @REAL@ \"$@\"";
    replace(&scene, "git", script);
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    assert!(!ran.stderr.contains("Restored"), "{}", ran.block());
    fs::remove_file(scene.path("bin/git")).unwrap();
    assert_eq!(scene.git(&["log", "--format=%s", "origin/main..main"]), "dagster 1.12.2");
    goes_on(&scene, &RELEASE, "main");
}

#[test]
fn journals_that_cannot_be_read() {
    let scene = Scene::new();
    let journal = scene.clone_path(".git/xtask-edits.json");
    for text in ["", "[{", "null"] {
        fs::write(&journal, text).unwrap();
        fs::write(scene.path("clone/.git/xtask-index-7"), "left").unwrap();
        let ran = scene.run(&["bump", "1.12.2"]);
        ran.expect_status(0);
        assert!(ran.stderr.starts_with("warning: removing `"), "{}", ran.block());
        scene.git(&["restore", "nix"]);
        assert!(!journal.exists() && !scene.clone_path(".git/xtask-index-7").exists());
    }
    // Files that differ may be a person's.
    fs::write(&journal, "").unwrap();
    fs::write(scene.clone_path("README.md"), "mine\n").unwrap();
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    assert!(ran.stderr.contains("its journal cannot be read; changed: `README.md`\n"));
    assert_eq!(fs::read_to_string(scene.clone_path("README.md")).unwrap(), "mine\n");
}

#[test]
fn locks_that_git_left() {
    let scene = Scene::new();
    let (lock, running) =
        (scene.clone_path(".git/index.lock"), scene.clone_path(".git/xtask-running.json"));
    fs::write(&lock, "").unwrap();
    // Somebody's: this tool was not killed.
    let ran = scene.run(&RELEASE);
    ran.expect_status(1);
    assert!(ran.stderr.contains(".git/index.lock` is there, for "), "{}", ran.block());
    assert!(ran.stderr.contains(", and no git is at work in this repository\n"));
    assert!(lock.exists());
    // It was: the git that it had started went down with it.
    let killed = r#"{"pid":1,"user":"","command":"release 1.12.2","since":1,"step":""}"#;
    fs::write(&running, killed).unwrap();
    let branch = scene.clone_path(".git/refs/heads/main.lock");
    fs::write(&branch, "").unwrap();
    goes_on(&scene, &RELEASE, "main");
    assert!(!lock.exists() && !branch.exists());
}

/// kill -9 in the middle of a maintenance release, with an edit half way.
#[test]
fn a_maintenance_release_that_was_killed() {
    let scene = Scene::new();
    let args = ["release", "1.9.12", "--variant", "combined", "--accept-drift"];
    let script =
        format!("case $1 in build) {};; *) exec @REAL@ \"$@\";; esac", sleeps(&scene, 48130));
    replace(&scene, "flox", &script);
    let mut run = scene.xtask(&args).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&scene);
    run.kill().unwrap();
    run.wait().unwrap();
    // On Linux nothing goes on that the run had started.
    if cfg!(not(target_os = "linux")) {
        Command::new("pkill").args(["-f", "^sleep 48130$"]).status().unwrap();
    }
    while runs(48130) {
        thread::sleep(TICK);
    }
    assert_eq!(scene.state().0, "release/1.9");
    fs::remove_file(scene.clone_path(FILE)).unwrap();
    fs::rename(scene.path("bin/real-flox"), scene.path("bin/flox")).unwrap();
    goes_on(&scene, &args, "release/1.9");
}

/// A git that is at work in this repository, wherever it stands, until it is dropped.
struct AtWork(std::process::Child);

impl AtWork {
    fn start(args: &[&str], dir: &std::path::Path) -> Self {
        let mut git = Command::new("git");
        git.args(args).args(["cat-file", "--batch"]).current_dir(dir);
        let git = git.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Only once it is git is it seen as such.
        let comm = format!("/proc/{}/comm", git.id());
        while fs::read_to_string(&comm).unwrap() != "git\n" {
            thread::sleep(TICK);
        }
        Self(git)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A lock is not the killed run's as long as a git is at work, in whichever worktree; afterwards it
/// is known still that there was one.
#[cfg(target_os = "linux")]
#[test]
fn a_lock_while_a_git_is_at_work() {
    let scene = Scene::new();
    let worktree = scene.path("worktree");
    let git_dir = format!("--git-dir={}", scene.clone_path(".git").display());
    scene.git(&["worktree", "add", "--quiet", &worktree.display().to_string()]);
    let killed = r#"{"pid":1,"user":"","command":"release 1.12.2","since":1,"step":""}"#;
    fs::write(scene.clone_path(".git/xtask-running.json"), killed).unwrap();
    for (lock, args, dir) in [
        (".git/index.lock", &[][..], scene.clone_path("")),
        (".git/packed-refs.lock", &[], worktree),
        (".git/worktrees/worktree/index.lock", &[&*git_dir], scene.path("")),
    ] {
        let lock = scene.clone_path(lock);
        fs::write(&lock, "").unwrap();
        let at_work = AtWork::start(args, &dir);
        let ran = scene.run(&RELEASE);
        ran.expect_status(1);
        assert!(
            ran.stderr.contains(", and git is at work in this repository\n"),
            "{}",
            ran.block()
        );
        assert!(lock.exists());
        drop(at_work);
        let ran = scene.run(&["release", "1.12.99"]);
        assert!(
            ran.stderr.contains("index.lock`, which a killed run left")
                || lock.ends_with("packed-refs.lock")
        );
        assert!(!lock.exists(), "{}", ran.block());
        fs::write(scene.clone_path(".git/xtask-running.json"), killed).unwrap();
    }
    goes_on(&scene, &RELEASE, "main");
}

/// As by a system that runs out of memory: this program goes on, and its git left a lock.
#[test]
fn a_git_that_is_killed_alone() {
    let scene = Scene::new();
    let args = ["release", "1.9.12", "--variant", "combined", "--accept-drift"];
    let lock = scene.clone_path(".git/index.lock");
    let script = format!(
        "case $1 in commit) echo >'{}'; kill -9 $$;; esac\nexec @REAL@ \"$@\"",
        lock.display()
    );
    replace(&scene, "git", &script);
    let ran = scene.run(&args);
    ran.expect_status(1);
    assert!(!lock.exists());
    let (branch, _, dirty) = scene.state();
    assert_eq!((branch.as_str(), dirty.as_str()), ("main", ""), "{}", ran.block());
    fs::remove_file(scene.path("bin/git")).unwrap();
    goes_on(&scene, &args, "release/1.9");
}
