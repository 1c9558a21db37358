//! What is refused: each with its message, its exit status, and nothing written.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use expect_test::expect;
use sha2::{Digest as _, Sha256};
use xtask::model::sri::Sri;
use xtask::tools::cache;

use crate::scene::{Scene, jwt, own_upstream, upstream};

/// A refusal leaves branch, commit and files as they were.
#[track_caller]
fn refused(scene: &Scene, args: &[&str], expected: &expect_test::Expect) {
    let before = scene.state();
    scene.run(args).check(expected);
    assert_eq!(scene.state(), before);
}

#[test]
fn versions_are_strict() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "v1.9.12"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected a version like `1.9.12`, found `v1.9.12`
        hint: upstream's tags have no `v`: write `1.9.12`
    "#]],
    );
    refused(
        &scene,
        &["bump", "^1.9"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected a version like `1.9.12`, found `^1.9`
          Caused by: unexpected character '^' while parsing major version number
        hint: give all three numbers, and no range
    "#]],
    );
    refused(
        &scene,
        &["release", "1.12.2-rc.1"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected a version like `1.9.12`, found `1.12.2-rc.1`
        hint: pre-releases are not packaged
    "#]],
    );
}

#[test]
fn a_version_that_does_not_exist() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.9.99"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.99
        error: expected tag `1.9.99` in `dagster-io/dagster`, found none
        hint: see what upstream has: `cargo xtask watch --once`
    "#]],
    );
    refused(
        &scene,
        &["bump", "1.9.99"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.9.99
        error: expected tag `1.9.99` in `dagster-io/dagster`, found none
        hint: see what upstream has: `cargo xtask watch --once`
    "#]],
    );
}

#[test]
fn a_version_that_upstream_has_not_finished() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.12.3"],
        &expect![[r#"
        status: 3
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.3
        error: upstream has not finished 1.12.3: PyPI does not have `dagster-webserver==1.12.3`
        hint: wait until every package is there, or release another version
    "#]],
    );
}

/// What answers in an index's place, or no index at all: it says nothing of what upstream has done.
#[test]
fn an_index_that_did_not_answer() {
    for (name, faults) in [
        ("a portal", &["index-portal"][..]),
        ("a portal, and a directory", &["index-portal"]),
        ("no index", &[]),
        ("no index, and a directory", &[]),
        ("no index by a file, and a directory", &[]),
    ] {
        let scene = Scene::with_upstream_faults(faults);
        let before = scene.state();
        let mut command = scene.xtask(&["release", "1.12.2"]);
        let config = scene.path("pip.conf");
        fs::write(&config, "[global]\nno-index = true\n").unwrap();
        match name {
            name if name.contains("by a file") => drop(command.env("PIP_CONFIG_FILE", config)),
            name if name.contains("no index") => drop(command.env("PIP_NO_INDEX", "1")),
            _ => {}
        }
        if name.contains("a directory") {
            let wheels = older_wheels(&scene);
            command.env("PIP_FIND_LINKS", wheels);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("error: failed to ask pip's index for `"), "{said}");
        assert_eq!(said.contains("(`no-index`)"), name.contains("no index"), "{said}");
        assert!(!said.contains("upstream has not finished"), "{said}");
        assert_eq!(scene.state(), before);
    }
}

/// A directory with the wheels of 1.12.1 alone.
fn older_wheels(scene: &Scene) -> PathBuf {
    let wheels = scene.path("wheels");
    fs::create_dir(&wheels).unwrap();
    for project in fs::read_dir(upstream().join("index")).unwrap() {
        for wheel in fs::read_dir(project.unwrap().path()).unwrap() {
            let wheel = wheel.unwrap();
            let name = wheel.file_name().into_string().unwrap();
            if name.contains("-1.12.1-") {
                fs::copy(wheel.path(), wheels.join(name)).unwrap();
            }
        }
    }
    assert!(fs::read_dir(&wheels).unwrap().count() > 1);
    wheels
}

/// What would stop a release in the middle is asked before it begins, all of it.
#[test]
fn things_that_are_known_before_the_build() {
    let scene = Scene::new();
    fs::write(scene.clone_path("flox/.flox/junk"), "").unwrap();
    scene.git(&["config", "commit.gpgSign", "true"]);
    scene.git(&["config", "gpg.program", "/no/such/gpg"]);
    scene.git(&["remote", "set-url", "--push", "origin", "/no/such/remote"]);
    scene.git(&["config", "user.useConfigOnly", "true"]);
    scene.git(&["config", "--unset", "user.email"]);
    let before = scene.state();
    let mut command = scene.xtask(&["release", "1.12.2"]);
    for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL", "EMAIL"] {
        command.env_remove(name);
    }
    let output = command.env("HOME", scene.path("nobody")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: 4 things stop this release\n  Caused by: git identity: "),
        "{said}"
    );
    for name in
        ["    signature: `commit.gpgSign` is set", "    push: failed", "    environment: expected"]
    {
        assert!(said.contains(&format!("\n{name}")), "{name}: {said}");
    }
    assert!(said.contains("\nhint: `git add` it, or ignore it\n"), "{said}");
    assert_eq!(scene.state(), before);
    assert!(!said.contains("Inspecting"), "{said}");
}

/// flox panics over such an upstream, and a commit that a local branch has is not pushed.
#[test]
fn an_upstream_that_is_not_on_the_remote() {
    let scene = Scene::new();
    scene.git(&["branch", "--quiet", "other"]);
    scene.git(&["branch", "--quiet", "--set-upstream-to=other"]);
    for command in
        [&["release", "1.12.2"][..], &["release", "1.12.2", "--commit-only"], &["publish"]]
    {
        refused(
            &scene,
            command,
            &expect![[r#"
                status: 1
                ----- stdout
                ----- stderr
                error: expected a branch of `origin` as the upstream of the current branch, found `refs/heads/other`
                hint: `git branch --set-upstream-to=origin/main main`
            "#]],
        );
    }
    scene.git(&["remote", "add", "elsewhere", scene.path("origin.git").to_str().unwrap()]);
    scene.git(&["fetch", "--quiet", "elsewhere"]);
    scene.git(&["branch", "--quiet", "--set-upstream-to=elsewhere/main"]);
    let ran = scene.run(&["publish"]);
    ran.expect_status(1);
    assert!(ran.stderr.contains("found `refs/remotes/elsewhere/main`"), "{}", ran.block());
}

/// A hook that would stop the commit, at the end of everything.
#[test]
fn hooks_that_cannot_run_or_want_another_message() {
    let scene = Scene::new();
    scene.hook("pre-commit", "exit 0");
    scene.hook(
        "commit-msg",
        r#"grep -q TICKET- "$1" || { echo "no ticket in: $(cat "$1")" >&2; exit 1; }"#,
    );
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: git's hook `commit-msg` refuses the message of a release, `dagster 1.12.1`
              Caused by: status 1: no ticket in: dagster 1.12.1
            hint: let the hook take it
        "#]],
    );
    scene.hook("commit-msg", r#"grep -q "^dagster " "$1""#);
    let hook = scene.clone_path(".git/hooks/pre-push");
    scene.hook("pre-push", "");
    fs::write(hook, "#!/usr/bin/env no-such-interpreter\n").unwrap();
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: git's hook `pre-push` is run by `no-such-interpreter`: not found
            hint: install it, or take `[WORLD]/clone/.git/hooks/pre-push` away
        "#]],
    );
    scene.hook("pre-push", "exit 0");
    let doctor = scene.run(&["doctor"]);
    assert!(
        doctor.stdout.contains("\nok       hooks: pre-commit, commit-msg, pre-push\n"),
        "{}",
        doctor.block()
    );
}

/// The commit of a release is found again by its subject.
#[test]
fn hooks_that_change_the_subject() {
    let scene = Scene::new();
    let script = r#"sed -i '1s/^/TICKET-1: /' "$1""#;
    scene.hook("prepare-commit-msg", &format!(r#"[ "$2" != message ] || {script}"#));
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: git's hook `prepare-commit-msg` makes `TICKET-1: dagster 1.12.1` of `dagster 1.12.1`, by which the commit of a release is found again
            hint: let the hook leave that line alone
        "#]],
    );
    // What comes after an empty line is not of the subject.
    let signed = r#"printf '\nSigned-off-by: me\n' >>"$1""#;
    scene.hook("prepare-commit-msg", signed);
    // One that cannot be seen before there is a commit.
    scene.hook("commit-msg", &format!(r#"[ -z "$GIT_INDEX_FILE" ] || {script}"#));
    let before = scene.state();
    let ran = scene.run(&["release", "1.12.2"]);
    ran.expect_status(1);
    let (_, error) = ran.stderr.split_once("error: ").unwrap();
    expect![[r#"
        a hook of git's made `TICKET-1: dagster 1.12.2` of the subject `dagster 1.12.2`
        hint: the commit was taken back; make the hook leave the subject alone
    "#]]
    .assert_eq(error);
    assert_eq!(scene.state(), before);
    scene.hook("commit-msg", "exit 0");
    scene.run(&["release", "1.12.2"]).expect_status(0);
    assert!(scene.git(&["log", "-1", "--format=%b"]).contains("Signed-off-by: me"));
}

/// `publish` by itself is not kinder than `release`: it sends the remote's address on.
#[test]
fn a_password_in_the_remotes_address() {
    let scene = Scene::new();
    scene.git(&["config", "remote.origin.url", "https://someone:hunter2@host.invalid/a/b"]);
    for command in [&["release", "1.12.2"][..], &["publish"]] {
        let before = scene.state();
        let ran = scene.run(command);
        ran.expect_status(1);
        assert!(ran.stderr.contains("holds a password or a token"), "{}", ran.block());
        assert!(!ran.block().contains("hunter2"), "{}", ran.block());
        assert_eq!(scene.state(), before);
    }
}

#[test]
fn a_dirty_checkout() {
    let scene = Scene::new();
    fs::write(scene.clone_path("README.md"), "edited\n").unwrap();
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: expected a clean checkout, found changes in `README.md`
            hint: commit or stash it: a release commits only its own edits
        "#]],
    );
}

#[test]
fn another_branch() {
    let scene = Scene::new();
    scene.git(&["switch", "--quiet", "--create", "topic"]);
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: expected branch `main` or `release/1.12`, found `topic`
        hint: `git switch main`
    "#]],
    );
}

#[test]
fn commits_that_were_not_pushed() {
    let scene = Scene::new();
    scene.git(&["commit", "--quiet", "--allow-empty", "--message=Something else"]);
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: `main` has 1 commit that `origin/main` lacks
            hint: `git push`: a release pushes its own commit only
        "#]],
    );
    refused(
        &scene,
        &["publish"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: `main` has 1 commit that `origin/main` lacks
            hint: `git push`
        "#]],
    );
}

#[test]
fn not_logged_in() {
    let scene = Scene::new();
    let output =
        scene.xtask(&["release", "1.12.2"]).env_remove("FLOX_FLOXHUB_TOKEN").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    expect![[r#"
        error: `flox auth status` exited with status 1
          Caused by: You are not currently logged in to FloxHub.
        hint: run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`
    "#]]
    .assert_eq(&String::from_utf8(output.stderr).unwrap());
}

/// `flox auth status` calls it a login.
#[test]
fn a_login_that_has_expired() {
    let scene = Scene::new();
    let run = |args: &[&str]| {
        let token = jwt("someone", 1_704_063_600);
        let output = scene.xtask(args).env("FLOX_FLOXHUB_TOKEN", token).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let before = scene.state();
    let (_, stderr) = run(&["release", "1.12.2"]);
    expect![[r#"
        error: the FloxHub login has expired
          Caused by: `flox auth status` exited with status 0, but `flox show` says: You are not logged in to FloxHub. Run 'flox auth login' to log in.
        hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token
    "#]].assert_eq(&stderr);
    assert_eq!(run(&["publish"]).1, stderr);
    assert_eq!(scene.state(), before);
    let (doctor, _) = run(&["doctor"]);
    let (_, login) = doctor.split_once("missing  FloxHub login").unwrap();
    let (login, _) = login.split_once("\nok").unwrap();
    expect![[r#"
        : the FloxHub login has expired: `flox auth status` exited with status 0, but `flox show` says: You are not logged in to FloxHub. Run 'flox auth login' to log in.
                 hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token"#]].assert_eq(login);
}

#[test]
fn a_token_that_was_revoked() {
    let scene = Scene::new();
    scene.flox_faults(&["me=401"]);
    refused(
        &scene,
        &["publish"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: `flox auth status` exited with status 1
          Caused by: Your FloxHub token is expired or has been revoked.
        hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token
    "#]],
    );
}

/// Whether this is a login shows only when FloxHub is asked for something.
#[test]
fn a_login_that_floxhub_does_not_take() {
    let scene = Scene::new();
    scene.flox_faults(&["show=401"]);
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: `flox show dagster-flox/dagster-pipes` exited with status 1
          Caused by: catalog error: 401 Unauthorized: Not authenticated
        hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token
    "#]],
    );
}

#[test]
fn an_organization_that_floxhub_does_not_know() {
    let scene = Scene::new();
    scene.run(&["bump", "1.12.2"]).expect_status(0);
    scene.git(&["commit", "--quiet", "--all", "--message=dagster 1.12.2"]);
    scene.git(&["push", "--quiet"]);
    let ran = scene.run(&["publish", "--org", "nobody", "--variant", "combined"]);
    ran.expect_status(1);
    let (_, error) = ran.stderr.split_once("error: ").unwrap();
    expect![[r#"
        failed to publish `nobody/dagster-complete@1.12.2`; nothing was published
          Caused by: `flox publish` exited with status 1
          Caused by: 404 Not Found: Catalog not found
        hint: run the same command again: what is published is skipped
        hint: FloxHub has no such organization: check `--org`
    "#]]
    .assert_eq(error);
}

#[test]
fn an_organization_that_cannot_be() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.12.2", "--org", "a/b"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: expected an organization of 3 to 63 letters, digits, `-` or `_`, found `a/b`
    "#]],
    );
}

#[test]
fn an_archive_that_was_cut_short() {
    let scene = Scene::with_upstream_faults(&["archive-truncated"]);
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            Inspecting dagster-io/dagster 1.12.2
               Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
            error: failed to read the archive `[UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz`
              Caused by: the archive is cut short
        "#]],
    );
}

#[test]
fn an_archive_of_another_commit() {
    let scene = Scene::with_upstream_faults(&["moved-tag=1.12.2"]);
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
            status: 3
            ----- stdout
            ----- stderr
            Inspecting dagster-io/dagster 1.12.2
               Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
            error: expected the archive of commit [COMMIT] (tag `1.12.2`), found that of [COMMIT]
            hint: run the command again; if it stays, ask upstream which one is the release
        "#]],
    );
}

#[test]
fn github_has_had_enough_of_us() {
    let scene = Scene::with_upstream_faults(&["github-403-rate-limit"]);
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
        error: failed to find tag `1.12.2` of `dagster-io/dagster`
          Caused by: GitHub answered 403: API rate limit exceeded for 192.0.2.1.
        hint: set `GITHUB_TOKEN`: it raises the rate limit
    "#]],
    );
}

#[test]
fn an_index_that_does_not_answer() {
    let scene = Scene::with_upstream_faults(&["index-500"]);
    let before = scene.state();
    let ran = scene.run(&["bump", "1.12.2"]);
    ran.expect_status(1);
    assert!(ran.stderr.contains("failed to ask pip's index"), "{}", ran.stderr);
    assert_eq!(scene.state(), before);
}

#[test]
fn outside_a_checkout() {
    let scene = Scene::new();
    let output = scene.xtask(&["status"]).current_dir(scene.world.dir()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: expected a checkout with `release.toml`"), "{stderr}");
}

#[test]
fn a_file_that_is_not_there() {
    let scene = Scene::new();
    refused(
        &scene,
        &["prefetch", "./no-such.tar.gz"],
        &expect![[r#"
        status: 2
        ----- stdout
        ----- stderr
        error: no such file: `./no-such.tar.gz`
        hint: give a version like `1.9.12`, a URL, or the path of a `.tar.gz`
    "#]],
    );
}

#[test]
fn a_version_that_upstream_took_back() {
    let scene = Scene::new();
    refused(
        &scene,
        &["release", "1.12.0"],
        &expect![[r#"
        status: 3
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.0
        error: upstream took 1.12.0 back: `dagster==1.12.0` yanked on PyPI
        hint: release another version
    "#]],
    );
}

/// What the files themselves forbid is known before upstream is asked for anything.
#[test]
fn a_fetch_of_an_sdist() {
    let scene = Scene::new();
    for file in ["nix/separate/dagster-webserver.nix", "nix/combined/dagster-complete.nix"] {
        let path = scene.clone_path(file);
        let text = fs::read_to_string(&path).unwrap();
        let (before, fetch) = text.split_once("fetchPypi {").unwrap();
        let fetch = fetch.replacen("format = \"wheel\";", "", 1);
        fs::write(path, format!("{before}fetchPypi {{{fetch}")).unwrap();
    }
    scene.git(&["commit", "--quiet", "--all", "--message=An sdist"]);
    scene.git(&["push", "--quiet"]);
    for command in
        [&["release", "1.12.2"][..], &["release", "1.12.2", "--dry-run"], &["bump", "1.12.2"]]
    {
        let expected = expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: expected `format = "wheel"` for `dagster-webserver` at `nix/combined/dagster-complete.nix:278`, found a fetch of another file
            hint: write `format = "wheel"; dist = "py3"; python = "py3";`: of an sdist neither the name nor the web UI can be relied on
        "#]];
        refused(&scene, command, &expected);
    }
}

/// What an earlier download taught is not what Nix fetches: it is forgotten, and the same command
/// goes on.
#[test]
fn a_hash_that_nix_contradicts() {
    let scene = Scene::new();
    scene.run(&["release", "1.12.2", "--dry-run"]).expect_status(0);
    let sources = scene.path("cache/dagster-flox/sources");
    let known = fs::read_dir(sources).unwrap().next().unwrap().unwrap().path();
    let stored: serde_json::Value = serde_json::from_slice(&fs::read(&known).unwrap()).unwrap();
    let mut entry: cache::Entry = serde_json::from_value(stored["entry"].clone()).unwrap();
    entry.hash = Sri::from_digest([7; 32]);
    let digest = Sha256::digest(serde_json::to_vec(&entry).unwrap());
    let stored = serde_json::json!({"entry": entry, "checksum": Sri::from_digest(digest.into())});
    fs::write(&known, stored.to_string()).unwrap();

    let before = scene.state();
    let ran = scene.run(&["release", "1.12.2"]);
    ran.expect_status(1);
    let words = |line: &&str| ["error: ", "hint: "].iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = ran.stderr.lines().filter(words).collect();
    expect![[r#"
        error: the source was sha256-BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc= when it was hashed first, and is sha256-ccrWiOsl1EwgG3/a8jq0FzFgcNKDJ2l20RbRrlKRdws= now, to Nix and to this tool
        hint: what was known of it is forgotten: run the same command again, it is hashed anew
        hint: `specified` is the hash in the expression, `got` that of what Nix fetched"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(scene.state(), before);
    scene.run(&["release", "1.12.2", "--no-publish"]).expect_status(0);
}

/// pip takes the higher build; the expression's `fetchPypi` would fetch the file without one.
#[test]
fn a_wheel_with_a_build_tag() {
    let upstream = own_upstream();
    let dir = upstream.path().join("index/dagster-webserver");
    let wheel = |tag: &str| dir.join(format!("dagster_webserver-1.12.2-{tag}py3-none-any.whl"));
    fs::copy(wheel(""), wheel("1-")).unwrap();
    let scene = Scene::with_upstream(upstream.path(), &[]);
    refused(
        &scene,
        &["release", "1.12.2"],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        Inspecting dagster-io/dagster 1.12.2
           Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
                   source sha256-ccrWiOsl1EwgG3/a8jq0FzFgcNKDJ2l20RbRrlKRdws=
        error: the `fetchPypi` of `dagster-webserver` at `nix/combined/dagster-complete.nix:278` would fetch `dagster_webserver-1.12.2-py3-none-any.whl`, and pip found `dagster_webserver-1.12.2-1-py3-none-any.whl`: the hash is of that one
        hint: `pname`, `python`, `abi` and `platform` make the name. A build tag (`-1-`) has no place in it, and a file of another index than PyPI is not what Nix fetches
    "#]],
    );
}

#[test]
fn an_expression_that_names_the_old_version() {
    let scene = Scene::new();
    let file = scene.clone_path("nix/separate/dagster-pipes.nix");
    let text = fs::read_to_string(&file).unwrap();
    let edited = text.replace("pname = ", "DAGSTER_VERSION = \"is 1.12.1\";\n  pname = ");
    fs::write(&file, &edited).unwrap();
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: expected no `1.12.1` in the code after the edit, found `is 1.12.1` at `nix/separate/dagster-pipes.nix:11`
            hint: refer to the version instead (`${version}`)
        "#]],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
}

#[test]
fn two_hashes_for_one_source() {
    let scene = Scene::new();
    let file = scene.clone_path("nix/combined/dagster-complete.nix");
    let text = fs::read_to_string(&file).unwrap();
    let edited = text.replace("repo = \"dagster\";", "repo = \"dagster\";\n    sha256 = \"\";");
    fs::write(&file, &edited).unwrap();
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            error: expected one `hash` or `sha256` for `dagster-io/dagster` in `nix/combined/dagster-complete.nix`, found 2 (lines 31 and 33)
            hint: keep one; the tool does not guess which source gets built
        "#]],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
}

#[test]
fn an_archive_that_escapes() {
    let scene = Scene::new();
    let script = "import io, sys, tarfile\n\
        with tarfile.open(sys.argv[1], 'w:gz') as tar:\n    \
            info = tarfile.TarInfo('top/../../etc/passwd')\n    \
            tar.addfile(info, io.BytesIO())\n";
    let path = scene.path("escape.tar.gz");
    let made = Command::new("python3").args(["-c", script]).arg(&path).status().unwrap();
    assert!(made.success());
    refused(
        &scene,
        &["prefetch", path.to_str().unwrap()],
        &expect![[r#"
        status: 1
        ----- stdout
        ----- stderr
        error: failed to read the archive `[WORLD]/escape.tar.gz`
          Caused by: entry `top/../../etc/passwd` escapes the archive's top directory
    "#]],
    );
}

#[test]
fn an_archive_beyond_the_limit() {
    let scene = Scene::new();
    let config = scene.clone_path("release.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("archive_bytes = 4_000_000_000", "archive_bytes = 4000"))
        .unwrap();
    refused(
        &scene,
        &["bump", "1.12.2"],
        &expect![[r#"
            status: 1
            ----- stdout
            ----- stderr
            Inspecting dagster-io/dagster 1.12.2
               Hashing [UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz
            error: failed to read the archive `[UPSTREAM]/dagster-io/dagster/archive/[COMMIT].tar.gz`
              Caused by: the archive unpacks to more than 4000 bytes, the limit of `release.toml`
        "#]],
    );
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let scene = Scene::new();
    let config = scene.clone_path("release.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[limits]", "[limits]\narchive_bites = 1")).unwrap();
    refused(
        &scene,
        &["status"],
        &expect![[r#"
            status: 2
            ----- stdout
            ----- stderr
            error: failed to read `release.toml`
              Caused by: TOML parse error at line 32, column 1
                   |
                32 | archive_bites = 1
                   | ^^^^^^^^^^^^^
                unknown field `archive_bites`, expected one of `archive_bytes`, `archive_entries`, `archive_depth`, `archive_name_bytes`
        "#]],
    );
}

// Of systems that have a device for it.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written() {
    let scene = Scene::new();
    let commands: [&[&str]; 5] = [
        &["release", "1.12.2", "--dry-run"],
        &["bump", "1.12.2", "--dry-run"],
        &["watch", "--once"],
        &["doctor"],
        &["--help"],
    ];
    for args in commands {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = scene.xtask(args).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        let last = "error: failed to write to stdout\n  \
            Caused by: No space left on device (os error 28)\n";
        assert!(said.ends_with(last), "{args:?}: {said}");
    }
    // A release says nothing on stdout, and what it says to people does not stop it.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = scene.xtask(&["release", "1.12.2"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// What git does not look at, or has forgotten, is not what is committed.
#[test]
fn an_index_that_does_not_say_what_is_there() {
    let scene = Scene::new();
    let file = "nix/separate/dagster.nix";
    for (set, unset) in
        [("--assume-unchanged", "--no-assume-unchanged"), ("--skip-worktree", "--no-skip-worktree")]
    {
        scene.git(&["update-index", set, file]);
        let ran = scene.run(&["release", "1.12.2"]);
        ran.expect_status(1);
        let error = format!("error: git is told not to look at `{file}`: ");
        assert!(ran.stderr.starts_with(&error), "{}", ran.block());
        scene.git(&["update-index", unset, file]);
    }
    fs::remove_file(scene.clone_path(".git/index")).unwrap();
    let ran = scene.run(&["release", "1.12.2"]);
    ran.expect_status(1);
    let error = "git's index is gone from this checkout";
    assert!(ran.stderr.contains(error), "{}", ran.block());
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "--diff-filter=D"]), "");
}

/// git would refuse the commit, after an hour of building; and what else is wrong is told with it.
#[test]
fn a_merge_that_is_unfinished() {
    let scene = Scene::new();
    for (branch, file) in [("side", "A"), ("main", "B")] {
        if branch == "side" {
            scene.git(&["switch", "--quiet", "--create", "side"]);
        }
        fs::write(scene.clone_path(file), "x\n").unwrap();
        scene.git(&["add", file]);
        scene.git(&["commit", "--quiet", "--message=x"]);
        scene.git(&["switch", "--quiet", "main"]);
    }
    scene.git(&["merge", "--quiet", "--no-commit", "side"]);
    fs::write(scene.clone_path("flox/.flox/odd"), "").unwrap();
    let ran = scene.run(&["release", "1.12.2"]);
    ran.expect_status(1);
    for words in [
        "things stop this release",
        "checkout: a merge is unfinished in this checkout",
        "environment: expected every file of the Flox environment in git",
        "hint: end it: `git merge --continue`, or `git merge --abort`",
    ] {
        assert!(ran.stderr.contains(words), "{words}\n{}", ran.block());
    }
}
