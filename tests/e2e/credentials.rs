//! Credentials: who sees which, and that this program's own environment holds none.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::programs::{TICK, replace};
use crate::scene::Scene;

const FLOXHUB: &str = "flox_pat_planted";
const GITHUB: &str = "planted-github-token";
const OTHER: &str = "planted-other-secret";

/// Puts a script before the stand-in for flox that writes down what it sees: the command, its own
/// environment, and on Linux that of the program that started it.
fn watch(scene: &Scene) {
    let (flox, real) = (scene.path("bin/flox"), scene.path("bin/real-flox"));
    fs::rename(&flox, &real).unwrap();
    let log = scene.path("seen");
    let text = format!(
        "#!/bin/sh\n{{ echo \"flox $*\"; env; tr '\\0' '\\n' </proc/$PPID/environ; echo; }} \
         >>'{}' 2>/dev/null\nexec '{}' \"$@\"\n",
        log.display(),
        real.display(),
    );
    fs::write(&flox, text).unwrap();
    fs::set_permissions(&flox, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn flox_sees_its_own_and_nobody_sees_ours() {
    let scene = Scene::new();
    watch(&scene);
    let output = scene
        .xtask(&["doctor"])
        .env("FLOX_FLOXHUB_TOKEN", FLOXHUB)
        .env("GITHUB_TOKEN", GITHUB)
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", OTHER)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("ok       FloxHub login: logged in\n"), "{said}");
    let seen = fs::read_to_string(scene.path("seen")).unwrap();
    let runs: Vec<&str> = seen.split("\n\n").filter(|run| !run.is_empty()).collect();
    assert!(runs.len() >= 3, "{seen}");
    for run in &runs {
        let (command, variables) = run.split_once('\n').unwrap();
        assert!(!variables.contains(GITHUB) && !variables.contains(OTHER), "{run}");
        // Once in flox's own environment, and not in that of the program above it.
        let expected = usize::from(!command.ends_with("--version"));
        assert_eq!(variables.matches(FLOXHUB).count(), expected, "{run}");
    }
}

#[test]
fn github_gets_its_token() {
    let scene = Scene::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 8192];
        let count = stream.read(&mut request).unwrap();
        let body = r#"{"message":"Bad credentials"}"#;
        let length = body.len();
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json";
        write!(stream, "{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let output = scene
        .xtask(&["watch", "--once"])
        .env("GITHUB_TOKEN", GITHUB)
        .env("GITHUB_API_URL", url)
        .output()
        .unwrap();
    let request = server.join().unwrap();
    assert!(request.contains(&format!("Bearer {GITHUB}\r\n")), "{request}");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("hint: `GITHUB_TOKEN` is not accepted"), "{stderr}");
    assert!(!stderr.contains(GITHUB), "{stderr}");
}

/// An address with a password is taken out like a token, and pip still asks there.
#[test]
fn pip_gets_its_address() {
    let scene = Scene::new();
    let index = format!("{}/simple", scene.world.url());
    let run = |index: &str| {
        let mut command = scene.xtask(&["release", "1.12.2", "--dry-run"]);
        command.env("PIP_INDEX_URL", index).output().unwrap()
    };
    let good = run(&index.replace("http://", &format!("http://me:{OTHER}@")));
    let stderr = String::from_utf8_lossy(&good.stderr).into_owned();
    assert_eq!(good.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains(OTHER), "{stderr}");
    // It is this address that is asked.
    let bad = run(&format!("http://me:{OTHER}@127.0.0.1:9/simple"));
    assert_ne!(bad.status.code(), Some(0));
}

#[test]
fn a_token_that_no_header_holds() {
    let scene = Scene::new();
    for token in [format!("{GITHUB}\n"), format!(" {GITHUB}"), "ümlaut-token".to_owned()] {
        let output = scene.xtask(&["watch", "--once"]).env("GITHUB_TOKEN", token).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("hint: set it anew, or unset it"), "{stderr}");
        assert!(!stderr.contains("planted"), "{stderr}");
    }
}

#[test]
fn an_address_with_a_password_is_not_printed() {
    let scene = Scene::new();
    let secret = format!("me:{OTHER}");
    scene.git(&["remote", "set-url", "origin", &format!("https://{secret}@127.0.0.1:9/x")]);
    let api = format!("http://{secret}@127.0.0.1:9");
    let archive = format!("http://{secret}@127.0.0.1:9/x.tar.gz");
    for args in
        [&["doctor"][..], &["watch", "--once"], &["release", "1.12.2"], &["prefetch", &archive]]
    {
        let mut command = scene.xtask(args);
        let output = command.env("GITHUB_API_URL", &api).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains(OTHER) && said.contains("127.0.0.1:9"), "{args:?}: {said}");
    }
}

/// What each program sees of secrets that have any name, or stand in an address or a setting.
#[test]
fn each_program_sees_its_own_and_no_other() {
    let scene = Scene::new();
    let log = scene.path("environments");
    for program in ["git", "python3", "flox"] {
        let script = format!(
            "{{ printf '\\036%s\\n' \"{program} $1\"; env; }} >>'{}'\nexec '@REAL@' \"$@\"",
            log.display()
        );
        replace(&scene, program, &script);
    }
    let index = scene.world.url().replace("http://", "http://me:planted-index@");
    let output = scene
        .xtask(&["release", "1.12.2", "--variant", "combined"])
        .env("FLOX_FLOXHUB_TOKEN", FLOXHUB)
        .env("GITHUB_TOKEN", GITHUB)
        .env("PIP_INDEX_URL", format!("{index}/simple"))
        .env("NIX_CONFIG", "cores = 0\naccess-tokens = github.com=planted-nix")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "http.https://host.invalid/.extraheader")
        .env("GIT_CONFIG_VALUE_0", "AUTHORIZATION: basic planted-git")
        .env("npm_config__auth", "planted-npm")
        .env("CARGO_REGISTRIES_OWN_TOKEN", "planted-cargo")
        .env("AWS_SESSION_TOKEN", "planted-aws")
        .env("MY_NOTE", "planted-note")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("planted"), "{said}");
    let seen = fs::read_to_string(log).unwrap();
    let mut found = BTreeSet::new();
    for run in seen.split('\u{1e}').filter(|run| !run.is_empty()) {
        let (name, variables) = run.split_once('\n').unwrap();
        assert!(!variables.contains("RUST_BACKTRACE"), "{name}");
        let program = name.split(' ').next().unwrap();
        // The stand-in for flox is run by a Python as well.
        if program == "python3" && !["python3 -mpip", "python3 -I"].contains(&name) {
            continue;
        }
        let secrets = variables.split(|c: char| c.is_whitespace() || "=:@".contains(c));
        for secret in secrets.filter(|word| word.contains("planted")) {
            found.insert(format!("{} {secret}", if program == "flox" { name } else { program }));
        }
    }
    let expected = [
        format!("flox auth {FLOXHUB}"),
        format!("flox publish {FLOXHUB}"),
        "flox publish planted-git".to_owned(),
        format!("flox show {FLOXHUB}"),
        "git planted-git".to_owned(),
        "python3 planted-index".to_owned(),
    ];
    let expected: BTreeSet<String> = expected.into();
    let unexpected: Vec<&String> = found.difference(&expected).collect();
    // flox's questions go to git's remote only where it publishes; that it is given it is no harm.
    let harmless = ["flox auth planted-git", "flox show planted-git"];
    assert!(unexpected.iter().all(|it| harmless.contains(&it.as_str())), "{unexpected:?}");
    assert!(expected.is_subset(&found), "{found:?}");
}

/// Files below a directory that hold a text.
fn files_with(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (kind, path) = (entry.file_type().unwrap(), entry.path());
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|it| it == text.as_bytes());
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() && has(&fs::read(&path).unwrap_or_default()) {
            found.push(path);
        }
    }
    found
}

/// What a run remembers for the next one is kept for good, and without a password.
#[test]
fn nothing_is_remembered_with_a_password() {
    let (scene, secret) = (Scene::new(), format!("{OTHER}-{}", std::process::id()));
    let server = scene.world.url().replace("http://", &format!("http://me:{secret}@"));
    for said in ["source sha256-", "(known from an earlier download)"] {
        let mut command = scene.xtask(&["release", "1.12.2", "--dry-run"]);
        let output = command.env("GITHUB_SERVER_URL", &server).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert!(stderr.contains(said) && !stderr.contains(&secret), "{stderr}");
    }
    assert_eq!(files_with(scene.world.dir(), &secret), Vec::<PathBuf>::new());
}

/// What a run says of itself to others is a file, which stays when the run is killed.
#[test]
fn nobody_is_told_a_password_by_a_run_that_hangs() {
    let (scene, secret) = (Scene::new(), format!("{OTHER}-{}", std::process::id()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = format!("http://me:{secret}@{}", listener.local_addr().unwrap());
    let mut command = scene.xtask(&["bump", "1.12.2"]);
    command.env("GITHUB_SERVER_URL", server).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let running = scene.clone_path(".git/xtask-running.json");
    let until = Instant::now() + Duration::from_secs(120);
    let mut told = String::new();
    while !told.contains("Hashing") && Instant::now() < until {
        told = fs::read_to_string(&running).unwrap_or_default();
        thread::sleep(TICK);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told.contains("Hashing http://***@127.0.0.1:"), "{told}");
    assert_eq!(files_with(scene.world.dir(), &secret), Vec::<PathBuf>::new());
}

/// An address that no program can read is printed by all of them.
#[test]
fn a_malformed_address_is_not_printed_with_its_password() {
    let scene = Scene::new();
    for address in [
        "http://me:@/x@127.0.0.1:9",
        "http://me:@ x@127.0.0.1:9",
        "http:/me:@@127.0.0.1:9",
        "me:@@127.0.0.1:9",
        "http://127.0.0.1:9/?access_token=@",
    ] {
        let address = address.replacen('@', OTHER, 1);
        scene.git(&["remote", "set-url", "origin", &format!("{address}/r.git")]);
        let archive = format!("{address}/x.tar.gz");
        for (args, variable) in [
            (&["doctor"][..], "GITHUB_API_URL"),
            (&["release", "1.12.2", "--dry-run"], "PIP_INDEX_URL"),
            // One too many.
            (&["prefetch", "x", &archive], "NOTE"),
        ] {
            let output = scene.xtask(args).env(variable, &address).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!output.status.success(), "{args:?} {variable}={address}: {said}");
            assert!(!said.contains(OTHER), "{args:?} {variable}={address}: {said}");
            if args == ["doctor"] {
                assert!(said.contains("missing  remote: "), "{address}: {said}");
            }
        }
    }
}

/// Upstream's code runs below a build: no value that is meant for somebody else goes there.
#[test]
fn a_build_is_given_no_setting_with_a_credential() {
    let scene = Scene::new();
    scene.run(&["bump", "1.12.2"]).expect_status(0);
    let log = scene.path("environments");
    let script = format!(
        "{{ printf '\\036%s\\n' \"$1\"; env; }} >>'{}'\nexec '@REAL@' \"$@\"",
        log.display()
    );
    replace(&scene, "flox", &script);
    let substituters = "extra-substituters = https://me:planted-cache@cache.invalid";
    let output = scene
        .xtask(&["build", "--variant", "combined"])
        .env("HTTPS_PROXY", "me:planted-bare@proxy.invalid:3128")
        .env("HTTP_PROXY", "http://me:planted-proxy@proxy.invalid:3128")
        .env("ALL_PROXY", "http://proxy.invalid:3128")
        .env("NIX_CONFIG", format!("{substituters}\ncores = 0"))
        .env("NIX_GITHUB_PAT", "planted-pat")
        .env("NIX_PATH", "nixpkgs=https://me:planted-path@host.invalid/x.tar.gz")
        .env("XDG_NOTE", "planted-xdg")
        .env("LC_NOTE", "planted-lc")
        .env("TERM", "planted-term")
        .env("XDG_DATA_HOME", "https://me:planted-data@host.invalid")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("planted"), "{said}");
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{said}");
    for name in ["`HTTPS_PROXY`", "`HTTP_PROXY`", "`NIX_CONFIG`"] {
        assert!(warnings[0].contains(name), "{said}");
    }
    let seen = fs::read_to_string(log).unwrap();
    let builds: Vec<&str> = seen.split('\u{1e}').filter(|run| run.starts_with("build\n")).collect();
    assert!(!builds.is_empty(), "{seen}");
    for build in builds {
        assert!(!build.contains("planted"), "{build}");
        // What has no credential in it goes there as before.
        assert!(build.contains("ALL_PROXY=http://proxy.invalid:3128\n"), "{build}");
        assert!(build.contains("NIX_CONFIG=cores = 0\n"), "{build}");
    }
}

/// A proxy is asked for what it is for, with a password in its address or without.
#[test]
fn a_proxy_is_not_asked_for_what_is_excepted() {
    let scene = Scene::new();
    let url = format!("{}/dagster-io/dagster/archive/1.12.2.tar.gz", scene.world.url());
    let secret = format!("http://me:{OTHER}@127.0.0.1:9");
    // Nothing listens there.
    for (proxy, address, excepted, status) in [
        ("http_proxy", "http://127.0.0.1:9", "127.0.0.1", 0),
        ("http_proxy", &secret, "127.0.0.1", 0),
        ("HTTPS_PROXY", &secret, "", 0),
        ("HTTPS_PROXY", "http://127.0.0.1:9", "", 0),
        ("http_proxy", &secret, "", 1),
    ] {
        let mut command = scene.xtask(&["prefetch", &url]);
        command.env(proxy, address).env("NO_PROXY", excepted).env("no_proxy", excepted);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{proxy}={address} {excepted}: {said}");
        assert!(!said.contains(OTHER), "{said}");
    }
}
