//! What upstream does to a version after it was released: its tag moves or goes, a wheel is another
//! file, is taken back or gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use crate::scene::{self, Scene, git_in};

const RELEASE: [&str; 2] = ["release", "1.12.2"];
const WHEEL: &str = "index/dagster-webserver/dagster_webserver-1.12.2-py3-none-any.whl";

/// A world with an upstream of its own, in which 1.12.2 is released.
struct Released {
    scene: Scene,
    upstream: TempDir,
}

impl Released {
    fn new() -> Self {
        let upstream = scene::own_upstream();
        let scene = Scene::with_upstream(upstream.path(), &[]);
        scene.run(&RELEASE).expect_status(0);
        Self { scene, upstream }
    }

    fn git(&self, args: &[&str]) -> String {
        git_in(&self.path("upstream.git"), args)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.upstream.path().join(name)
    }

    /// Somebody else's clone of the same remote, as a second system's machine has it.
    fn elsewhere(&self) -> PathBuf {
        let (origin, other) = (self.scene.path("origin.git"), self.scene.path("other"));
        let _ = fs::remove_dir_all(&other);
        git_in(Path::new("/"), &["clone", "--quiet", path(&origin), path(&other)]);
        for (key, value) in [("user.name", "Other"), ("user.email", "other@example.invalid")] {
            git_in(&other, &["config", key, value]);
        }
        other
    }

    /// A release stops with status 3, and nothing changes.
    fn refused(&self, expected: &Expect) {
        let scene = &self.scene;
        let before = (scene.state(), scene.git(&["ls-remote", "origin"]));
        let ran = scene.run(&RELEASE);
        ran.expect_status(3);
        let (_, error) = ran.stderr.split_once("error: ").unwrap();
        expected.assert_eq(error);
        assert_eq!((scene.state(), scene.git(&["ls-remote", "origin"])), before);
    }

    /// So does everything else that releases 1.12.2, or tells of it, on every machine.
    fn refused_everywhere(&self, message: &str) {
        let scene = &self.scene;
        let dry = [&RELEASE[..], &["--dry-run"]].concat();
        let json = ["watch", "--once", "--format", "json"];
        for command in [&["publish"][..], &json, &["status"], &dry] {
            let ran = scene.run(command);
            ran.expect_status(3);
            assert!(ran.stderr.contains(message), "{command:?}: {}", ran.block());
            if command == json {
                let watch: serde_json::Value = serde_json::from_str(ran.raw_stdout()).unwrap();
                let departed = &watch["departed"][0];
                assert_eq!(
                    (&departed["version"], &departed["branch"]),
                    (&"1.12.2".into(), &"main".into())
                );
                assert_eq!(departed["kind"], "tag_moved");
            }
        }
        let output = scene.xtask(&RELEASE).current_dir(self.elsewhere()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_upstream_changed_is_refused() {
    let world = Released::new();
    let scene = &world.scene;
    let accepted = [&RELEASE[..], &["--accept-moved-tag"]].concat();

    let object = world.git(&["rev-parse", "1.12.2"]);
    world.git(&["tag", "--force", "1.12.2", "1.12.3"]);
    world.refused(&expect![[r#"
        1.12.2 is committed already, and its tag is at commit [COMMIT] now, pinned is [COMMIT]
        hint: find out from upstream which one is the release; what users have stays as it is
        hint: `cargo xtask release 1.12.2 --accept-moved-tag` commits what upstream has now
    "#]]);
    world.refused_everywhere("its tag is at commit ");
    world.git(&["tag", "--delete", "1.12.2"]);
    world.refused(&expect![[r#"
        1.12.2 is committed already, and its tag is gone
        hint: find out from upstream which one is the release; what users have stays as it is
    "#]]);
    // There is nothing that could take its place.
    scene.run(&accepted).expect_status(3);
    world.git(&["update-ref", "refs/tags/1.12.2", object.trim()]);

    let yanked = world.path("yanked.json");
    let before = fs::read(&yanked).unwrap();
    fs::write(&yanked, r#"["dagster_webserver-1.12.2-py3-none-any.whl"]"#).unwrap();
    world.refused(&expect![[r#"
        1.12.2 is committed already, and `dagster-webserver==1.12.2` is yanked on PyPI
        hint: find out from upstream which one is the release; what users have stays as it is
    "#]]);
    fs::write(&yanked, before).unwrap();

    // The server looks at the directory: something is put there, or taken away.
    let (wheel, before) = (world.path(WHEEL), world.path("before.whl"));
    fs::rename(&wheel, &before).unwrap();
    world.refused(&expect![[r#"
        1.12.2 is committed already, and `dagster-webserver==1.12.2` is gone from PyPI
        hint: find out from upstream which one is the release; what users have stays as it is
    "#]]);
    fs::copy(&before, &wheel).unwrap();
    let script = "import sys, zipfile as z; \
                  z.ZipFile(sys.argv[1], 'a').writestr(z.ZipInfo('other'), '')";
    let changed = Command::new("python3").args(["-c", script]).arg(&wheel).status().unwrap();
    assert!(changed.success());
    world.refused(&expect![[r#"
        1.12.2 is committed already, and the wheel of `dagster-webserver==1.12.2` on PyPI is sha256-19D4C2KC9LBOkJzWlnGLRVD1QQGUBz22SxY0giISJIs= now, pinned is sha256-4qta6DSMPPP4rUzL2zAPzjK+POL6wCVltLTPzUVWuTs=
        hint: find out from upstream which one is the release; what users have stays as it is
    "#]]);
    // That is no tag.
    scene.run(&accepted).expect_status(3);
    fs::rename(&before, &wheel).unwrap();

    // The tag of a version that only a maintenance branch has. The rest is as it was.
    scene.run(&["release", "1.9.12"]).expect_status(0);
    world.git(&["tag", "--force", "1.9.12", "1.9.11"]);
    scene.run(&["watch", "--once"]).check(&expect![[r#"
        status: 3
        ----- stdout
        up to date: 1.12.2
        unfinished: 1.12.3: not on PyPI: dagster-webserver==1.12.3
        passed over: 1.12.4rc1: a pre-release, which is not packaged
        changed: 1.9.12 on `release/1.9`: its tag is at commit [COMMIT] now, pinned is [COMMIT]
        ----- stderr
        error: upstream changed what is released: 1.9.12 on `release/1.9`: its tag is at commit [COMMIT] now, pinned is [COMMIT]
        hint: find out from upstream which one is the release; what users have stays as it is
        hint: once that is decided, `[[leave_out]]` of `release.toml` with the version and the reason
    "#]]);
    // A person knows of it, and says why nothing is done about it.
    let config = scene.clone_path("release.toml");
    let text = fs::read_to_string(&config).unwrap();
    let known = "[[leave_out]]\nversion = \"1.9.12\"\nreason = \"tagged once more\"\n\n[upstream]";
    fs::write(&config, text.replacen("[upstream]", known, 1)).unwrap();
    scene.run(&["watch", "--once"]).expect_status(0);
    let ran = scene.run(&["release", "1.9.12", "--dry-run"]);
    ran.expect_status(3);
    assert!(ran.stderr.contains("error: 1.9.12 is left out: tagged once more"), "{}", ran.block());
}

/// A person decides that what upstream has now is the release.
#[test]
fn a_moved_tag_that_is_accepted() {
    let world = Released::new();
    let scene = &world.scene;
    let accepted = [&RELEASE[..], &["--accept-moved-tag"]].concat();
    // Of a version that did not move, it changes nothing.
    let before = scene.state();
    scene.run(&accepted).expect_status(0);
    assert_eq!(scene.state(), before);

    // Another tree that is the same version: what is published is built and tested.
    let git = |args: &[&str]| world.git(args).trim().to_owned();
    let old = git(&["rev-parse", "1.12.2^{commit}"]);
    git(&["read-tree", "1.12.2^{tree}"]);
    let blob = git(&["rev-parse", "1.12.2:python_modules/dagster/setup.py"]);
    git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},moved.py")]);
    let tree = git(&["write-tree"]);
    let commit = git(&["commit-tree", "-m", "1.12.2 once more", &tree]);
    git(&["tag", "--force", "1.12.2", &commit]);

    let ran = scene.run(&accepted);
    ran.expect_status(0);
    assert!(
        ran.stderr.contains("warning: the catalog keeps what it has of 1.12.2"),
        "{}",
        ran.block()
    );
    assert!(scene.git(&["show", "HEAD:nix/combined/dagster-complete.nix"]).contains(&commit));
    let message = scene.git(&["log", "-1", "--format=%s%n%b"]);
    for part in [
        "dagster 1.12.2\nFrom 1.12.2.\n",
        &format!("tag 1.12.2, commit {commit}\n"),
        &format!("\nMoved, accepted by whoever released this: the tag was\n        {old}\n"),
        &format!("\nMoved-tag: {}", before.1),
    ] {
        assert!(message.contains(part), "`{part}`: {message}");
    }
    // Said once, for every machine.
    let after = scene.state();
    for command in [&RELEASE[..], &["publish"], &["watch", "--once"], &["status"]] {
        scene.run(command).expect_status(0);
    }
    let output = scene.xtask(&RELEASE).current_dir(world.elsewhere()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(scene.state(), after);
    // And what was given up is another source from now on.
    world.git(&["tag", "--force", "1.12.2", "1.12.3"]);
    scene.run(&RELEASE).expect_status(3);
}
