//! What flox says, and what is made of it: phrases, and every recorded case.

use super::*;

fn output(status: i32, stderr: &str) -> Output {
    Output { status: Some(status), stdout: String::new(), stderr: stderr.to_owned() }
}

#[test]
fn publish_needs_the_words_and_the_status() {
    let published = "✔ Package published successfully.\n\nUse 'flox install a/b' to install it.\n";
    let already = "✔ Package already published.\n\nOriginally published: 2026-01-01\n";
    assert!(matches!(outcome(&output(0, published)), Ok(Outcome::Published)));
    assert!(matches!(outcome(&output(0, already)), Ok(Outcome::AlreadyPublished)));
    assert!(outcome(&output(1, published)).is_err());
}

#[test]
fn the_cause_stands_above_build_failed() {
    let stderr = "error: hash mismatch in fixed-output derivation 'x'\nmake: *** Error 1\n\
                  ✘ ERROR: Build failed\n";
    let cause = cause(stderr);
    assert!(cause.starts_with("Build failed\n") && cause.contains("hash mismatch"), "{cause}");
    assert_eq!(
        super::cause("✘ ERROR: You are not logged in to FloxHub.\n\n * x"),
        "You are not logged in to FloxHub.\n\n * x"
    );
}

#[test]
fn the_reminder_is_no_cause_of_another_error() {
    let reminder = format!("{REMINDER}\n");
    let render = |text: &str| crate::failure::render(&failure("flox", &output(1, text)).into());
    let failed = format!("{reminder}error: builder failed\n{ERROR}Build failed\n");
    assert!(!render(&failed).contains("hint"), "{}", render(&failed));
    assert!(!render(&failed).contains("not logged in"), "{}", render(&failed));
    let alone = render(&reminder);
    assert!(alone.contains("Caused by: You are not logged in"), "{alone}");
    assert!(alone.contains("hint: run `flox auth login`"), "{alone}");
    assert!(render("").contains("Caused by: it did not say why"));
}

/// What a log of upstream's says is not for flox's hints.
#[test]
fn a_build_log_gives_no_hint_about_floxhub() {
    let log = format!("dagster> test: 403 Forbidden, not logged in\n{ERROR}Build failed\n");
    let shown = crate::failure::render(&failure("flox", &output(1, &log)).into());
    assert!(!shown.contains("hint"), "{shown}");
}

#[derive(serde::Deserialize)]
struct Recorded {
    case: String,
    command: String,
    status: i32,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

fn recorded() -> Vec<(Recorded, Output)> {
    let record = include_str!("../../../../tests/standins/transcripts/flox-1.14.1.json");
    let cases: Vec<Recorded> = serde_json::from_str(record).unwrap();
    let text = |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect();
    let with_output = |case: Recorded| {
        let (stdout, stderr) = (text(&case.stdout), text(&case.stderr));
        let status = Some(case.status);
        (case, Output { status, stdout, stderr })
    };
    cases.into_iter().map(with_output).collect()
}

#[test]
fn every_recorded_failure_has_a_cause_and_a_hint() {
    let mut table = String::new();
    for (case, output) in recorded().iter().filter(|(_, output)| !output.success()) {
        let shown = crate::failure::render(&failure(&case.command, output).into());
        let cause = shown.split_once("Caused by: ").map_or("", |(_, rest)| rest);
        assert!(!cause.trim_start().is_empty() && !cause.starts_with("hint"), "{shown}");
        assert!(shown.contains("\nhint: "), "{}: {shown}", case.case);
        let lines = shown.lines().skip(1).flat_map(|line| [line.trim_end(), "\n"]);
        table.push_str(&format!("{}\n{}", case.case, lines.collect::<String>()));
    }
    expect_test::expect![[r#"
        show-none
          Caused by: no packages matched this pkg-path: 'ORG/dagster'
        hint: it was never published: `cargo xtask publish`
        auth-none
          Caused by: You are not currently logged in to FloxHub.
        hint: run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`
        auth-garbage
          Caused by: Your FloxHub token is invalid: InvalidToken
            You may need to log in again.

            You are not currently logged in to FloxHub.
        hint: check `FLOX_FLOXHUB_TOKEN`; opaque tokens need flox 1.14.0 or newer
        auth-revoked
          Caused by: Your FloxHub token is expired or has been revoked.
        hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token
        auth-503
          Caused by: Found a FloxHub token but could not reach FloxHub to verify it.
        hint: is the network there? FloxHub may be down: try again later
        build-unknown
          Caused by: Target 'nothere' not found.
        hint: each package has a file in `flox/.flox/pkgs`: `git status flox`
        build-o
          Caused by: `-o` is not expected in this context
        hint: this tool is made for flox 1.14: see `flox --version`
        noenv
          Caused by: Did not find an environment in 'nix'
        hint: it belongs to the checkout: `git restore flox`
        publish-two
          Caused by: `b` is not expected in this context
        hint: this tool is made for flox 1.14: see `flox --version`
        publish-none
          Caused by: You are not logged in to FloxHub.

            To login you can either
            * login to FloxHub with 'flox auth login',
            * set the 'floxhub_token' field to '<your token>' in your config
            * set the '$FLOX_FLOXHUB_TOKEN=<your_token>' environment variable.
        hint: run `flox auth login` or set `FLOX_FLOXHUB_TOKEN`
        publish-expired
          Caused by: Your FloxHub token has expired.

            To re-authenticate you can either
            * login to FloxHub with 'flox auth login',
            * set the 'floxhub_token' field to '<your token>' in your config
            * set the '$FLOX_FLOXHUB_TOKEN=<your_token>' environment variable.
        hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token
        publish-garbage
          Caused by: Your FloxHub token is invalid: InvalidToken
            You may need to log in again.

            You are not logged in to FloxHub.

            To login you can either
            * login to FloxHub with 'flox auth login',
            * set the 'floxhub_token' field to '<your token>' in your config
            * set the '$FLOX_FLOXHUB_TOKEN=<your_token>' environment variable.
        hint: check `FLOX_FLOXHUB_TOKEN`; opaque tokens need flox 1.14.0 or newer
        dirty
          Caused by: The environment is in an unsupported state for publishing: Build repository must be clean, but has dirty tracked files.
        hint: commit or stash what `git status` shows
        untracked-dotflox
          Caused by: The environment is in an unsupported state for publishing: The following environment files are not tracked by git:
            - flox/.flox/junk
        hint: `git add` what it names, or ignore it
        unpushed
          Caused by: The environment is in an unsupported state for publishing: Local revision is not present on remote 'origin/main'.
            Push your commits with 'git push'
        hint: push your commits: `git push`
        detached
          Caused by: The environment is in an unsupported state for publishing: Repository is in detached HEAD state and has no upstream remote configured.
            Check out a branch before publishing: git checkout -b <branch-name>
        hint: `git switch main`, or in a workflow check out the branch by name
        noupstream
          Caused by: The environment is in an unsupported state for publishing: Current branch 'newb' has no upstream remote configured.
            Set one with 'git branch --set-upstream-to=origin/newb'
        hint: push the branch: `git push --set-upstream origin HEAD`
        remote-gone
          Caused by: The environment is in an unsupported state for publishing: Git failed with: [exit code 128]
              stdout:
              stderr: fatal: '$REMOTE' does not appear to be a git repository
            fatal: Could not read from remote repository.

            Please make sure you have the correct access rights
            and the repository exists.
        hint: the remote does not answer git: see what `git fetch` says
        pkg-untracked
          Caused by: The Nix expression for 'dagster-src' does not appear to be tracked by git.
            Only git tracked files (including the expressions themselves) will be available during nix expression builds.

            Nix expression: 'dagster-src' defined in '$REPO/flox/.flox/pkgs/dagster-src.nix'
        hint: `git add` what it names, or ignore it
        unlocked
          Caused by: The environment is in an unsupported state for publishing: Environment must be locked.
        hint: `git restore flox/.flox/env`, or `flox build -d flox` and commit the lock
        hash-flox
          Caused by: Build failed
            this derivation will be built:
              /nix/store/x5skblvm5irs5fvvm3n6l0xl1s5pfv0x-dagster-src-1.12.2.drv
            building '/nix/store/x5skblvm5irs5fvvm3n6l0xl1s5pfv0x-dagster-src-1.12.2.drv'...
            dagster-src> trying $UPSTREAM/dagster-io/dagster/archive/refs/tags/1.12.2.tar.gz
            error: hash mismatch in fixed-output derivation '/nix/store/x5skblvm5irs5fvvm3n6l0xl1s5pfv0x-dagster-src-1.12.2.drv':
                     specified: sha256-1rX5fxUaw1SWygVTw9sT9/OlV3pYsFSrBt97azcm1zY=
                        got:    sha256-0rX5fxUaw1SWygVTw9sT9/OlV3pYsFSrBt97azcm1zY=
            make: *** [$LIBEXEC/package-builder/flox-build.mk:927: $TMP/dagster-src/build.json] Error 1
        hint: `specified` is the hash in the expression, `got` that of what Nix fetched
        f404
          Caused by: 404 Not Found: Catalog not found
        hint: FloxHub has no such organization: check `--org`
        show401
          Caused by: catalog error: 401 Unauthorized: Not authenticated
        hint: run `flox auth login`, or set `FLOX_FLOXHUB_TOKEN` to a new token
        show500
          Caused by: catalog error: 500 Internal Server Error: boom
        hint: FloxHub has trouble: run the same command again later
        publish502
          Caused by: Failed to publish package: 502 Bad Gateway: bad
        hint: FloxHub has trouble: run the same command again later
        space
          Caused by: error:
                   … while calling the 'parseFlakeRef' builtin
                     at «string»:1:1:
                        1| builtins.parseFlakeRef "path:$REPO WITH SPACE/flox/.flox"
                         | ^

                   error: flake reference 'path:$REPO WITH SPACE/flox/.flox' is not an absolute path
        hint: flox cannot build below a path with a space: move the checkout
        floxvar
          Caused by: Could not parse config: invalid type: boolean `true`, expected struct PublishConfig
        hint: unset the `FLOX_…` variable that it means, or mend `flox.toml`
        order-untracked+dirty
          Caused by: The environment is in an unsupported state for publishing: The following environment files are not tracked by git:
            - flox/.flox/junk
        hint: `git add` what it names, or ignore it
        order-dirty+detached
          Caused by: The environment is in an unsupported state for publishing: Build repository must be clean, but has dirty tracked files.
        hint: commit or stash what `git status` shows
        upstream-is-local-branch
          Caused by: task 9 panicked with message "called `Option::unwrap()` on a `None` value"
        hint: the branch follows a local one: `git push --set-upstream origin HEAD`
    "#]].assert_eq(&table);
}

#[test]
fn recorded_publishes_and_lookups_are_read_as_what_they_are() {
    for (Recorded { case, command, .. }, output) in recorded() {
        if command.starts_with("flox publish") {
            let found = outcome(&output);
            let is_right = match case.as_str() {
                _ if !output.success() => found.is_err(),
                "publish-again" => matches!(found, Ok(Outcome::AlreadyPublished)),
                _ => matches!(found, Ok(Outcome::Published)),
            };
            assert!(is_right, "{case}: {found:?}");
        }
        if command.starts_with("flox show") {
            let versions = listed(&output, "ORG/dagster-pipes").map(|listed| listed.len()).ok();
            let expected = match case.as_str() {
                "show-none" => Some(0),
                "show2" => Some(1),
                _ => None,
            };
            assert_eq!(versions, expected, "{case}");
        }
    }
}

#[test]
fn a_publish_that_was_cut_off_or_says_neither_is_unknown() {
    let unknown = [
        (None, "Publishing dagster-src\n"),
        (None, ""),
        (Some(0), ""),
        (
            Some(1),
            "✘ ERROR: Failed while waiting for publish confirmation: Timed out waiting for \
             publish completion\n",
        ),
    ];
    for (status, stderr) in unknown {
        let output = Output { status, stdout: String::new(), stderr: stderr.to_owned() };
        let found = outcome(&output);
        assert!(matches!(found, Ok(Outcome::Unknown(_))), "{output:?}: {found:?}");
    }
}

#[test]
fn show_lists_versions_and_systems() {
    let stdout = "acme/dagster - Data\nCatalog: acme\nLatest:  acme/dagster@1.12.1\n\
                  Systems: x86_64-linux\n\nOther versions:\n    acme/dagster@1.12.1\n    \
                  acme/dagster@1.12.0  (aarch64-linux, x86_64-linux only)\n";
    let listed = parse_show(stdout, "acme/dagster").unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed[0].is_for("1.12.1", "x86_64-darwin"));
    assert!(listed[1].is_for("1.12.0", "x86_64-linux"));
    assert!(!listed[1].is_for("1.12.0", "aarch64-darwin"));
    // Of another form, of another package, cut short or against itself: neither there nor missing.
    let with = |from: &str, to: &str| stdout.replace(from, to);
    for other in [
        String::new(),
        with(" only)", ")"),
        with("    acme", "    beta"),
        with("    acme/dagster@1.12.1\n", ""),
        with("    acme/dagster@1.12.1\n", "    acme/dagster@1.12\n"),
        with("    acme/dagster@1.12.1\n", "    acme/dagster@1.12.1\n    and more\n"),
        with("Latest:  acme/dagster@1.12.1\n", ""),
        with("Latest:  acme/dagster@", "Latest:  beta/dagster@"),
        with("Other versions:\n", ""),
        stdout[..stdout.find("    acme").unwrap() + 22].to_owned(),
    ] {
        let other = &other;
        assert!(parse_show(other, "acme/dagster").is_err(), "{other}");
    }
}
