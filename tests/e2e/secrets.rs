//! A release on a machine with secrets everywhere, of an upstream that looks for them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::scene::{Scene, source};

/// Where programs keep secrets in a home, with how they stand there.
const FILES: [(&str, &str); 12] = [
    (".netrc", "machine github.com login me password @\n"),
    (".git-credentials", "https://me:@@github.com\n"),
    (".pypirc", "[pypi]\nusername = __token__\npassword = @\n"),
    (".npmrc", "//registry.invalid/:_authToken=@\n"),
    (".ssh/id_ed25519", "@\n"),
    (".aws/credentials", "[default]\naws_secret_access_key = @\n"),
    (".docker/config.json", "{\"auths\": {\"host.invalid\": {\"auth\": \"@\"}}}\n"),
    (".cargo/credentials.toml", "[registry]\ntoken = \"@\"\n"),
    (".config/nix/nix.conf", "access-tokens = github.com=@\n"),
    (".config/flox/flox.toml", "floxhub_token = \"@\"\n"),
    (".config/gh/hosts.yml", "github.com:\n    oauth_token: @\n"),
    (".gitconfig", "[http \"https://host.invalid/\"]\n\textraheader = AUTHORIZATION: basic @\n"),
];
/// Variables that hold secrets, or an address or a setting with one.
const VARIABLES: [(&str, &str); 17] = [
    ("FLOX_FLOXHUB_TOKEN", "@"),
    ("GITHUB_TOKEN", "@"),
    ("GH_TOKEN", "@"),
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "@"),
    ("ACTIONS_RUNTIME_TOKEN", "@"),
    ("NIX_CONFIG", "cores = 0\naccess-tokens = github.com=@"),
    ("GIT_CONFIG_VALUE_0", "AUTHORIZATION: basic @"),
    ("npm_config__auth", "@"),
    ("CARGO_REGISTRY_TOKEN", "@"),
    ("TWINE_PASSWORD", "@"),
    ("AWS_SECRET_ACCESS_KEY", "@"),
    ("AWS_SESSION_TOKEN", "@"),
    ("SSH_PASSPHRASE", "@"),
    ("HTTP_PROXY_NOTE", "http://me:@@proxy.invalid:8080"),
    ("DATABASE_URL", "postgres://me:@@host.invalid/x"),
    ("MY_NOTE", "@"),
    ("PIP_EXTRA_NOTE", "https://me:@@host.invalid/simple"),
];

/// What starts every planted value of this run, and nothing else on the machine.
fn mark() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("planted{:x}{:x}", std::process::id(), now.as_nanos())
}

fn contains(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// The upstream with a spy in every `setup.py` and every package.
fn spying_upstream(dir: &Path, mark: &str, places: &[PathBuf]) -> PathBuf {
    let hex: String = mark.bytes().map(|byte| format!("{byte:02x}")).collect();
    let places: Vec<&str> = places.iter().map(|place| place.to_str().unwrap()).collect();
    let text = fs::read_to_string(source().join("tests/upstream/spy.py")).unwrap();
    let text = text.replace("@PLANTED@", &hex).replace("@PLACES@", &places.join(":"));
    let (spy, upstream) = (dir.join("spy.py"), dir.join("upstream"));
    fs::write(&spy, text).unwrap();
    let script = source().join("tests/standins/upstream.py");
    let mut prepare = Command::new("python3");
    prepare.arg(script).arg("prepare").arg("--work").arg(&upstream).arg("--plant").arg(spy);
    assert!(prepare.status().unwrap().success());
    upstream
}

/// The processes below one, itself included, from `/proc`.
fn processes_of(root: u32) -> Vec<PathBuf> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let parent = words.skip(1).find_map(|word| word.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let is_below = |pid: u32| {
        std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).any(|it| it == root)
    };
    let pids = parents.keys().filter(|pid| is_below(**pid));
    pids.map(|pid| PathBuf::from(format!("/proc/{pid}"))).collect()
}

/// Regular files that hold the mark, below a directory.
fn files_with(dir: &Path, mark: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (kind, path) = (entry.file_type().unwrap(), entry.path());
        if kind.is_dir() {
            files_with(&path, mark, found);
        } else if kind.is_file() && contains(&fs::read(&path).unwrap_or_default(), mark) {
            found.push(path);
        }
    }
}

/// Released, and nothing of upstream's saw a secret: not while it was built, not while it was
/// smoked. No secret is in any program's arguments, in what is printed, committed, kept or asked.
#[test]
fn a_release_with_secrets_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (mark, home) = (mark(), dir.path().join("home"));
    let upstream = spying_upstream(dir.path(), &mark, &FILES.map(|(name, _)| home.join(name)));
    for (name, text) in FILES {
        let (path, value) = (home.join(name), format!("{mark}-file-{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replacen('@', &value, 1)).unwrap();
    }
    let scene = Scene::with_upstream(&upstream, &["log-headers"]);
    symlink(&home, scene.path("a-link-to-a-home")).unwrap();
    let index = scene.world.url().replace("http://", &format!("http://me:{mark}-index@"));

    let mut command = scene.xtask(&["release", "1.12.2"]);
    for (name, text) in VARIABLES {
        command.env(name, text.replacen('@', &format!("{mark}-{name}"), 1));
    }
    command
        .env("HOME", &home)
        .env("FLOX_FLOXHUB_TOKEN", format!("flox_pat_{mark}"))
        .env("PIP_INDEX_URL", format!("{index}/simple"))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "http.https://host.invalid/.extraheader")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let root = child.id();
    let output = thread::spawn(move || child.wait_with_output().unwrap());
    let (mut looks, mut of_upstream, mut of_tool, mut wrong) = (0, 0, 0, Vec::new());
    let store = scene.path("flox/store").display().to_string();
    while !output.is_finished() {
        for process in processes_of(root) {
            let read = |name| fs::read(process.join(name)).unwrap_or_default();
            let (arguments, environment) = (read("cmdline"), read("environ"));
            let shown = String::from_utf8_lossy(&arguments).replace('\0', " ");
            looks += 1;
            if contains(&arguments, &mark) {
                wrong.push(format!("arguments: {shown}"));
            }
            // This program starts with them, and then anew without.
            let is_tool = shown.contains(" credentials-on-stdin ");
            let is_upstreams = shown.contains(&store) && !shown.contains("standins/flox.py");
            of_upstream += usize::from(is_upstreams);
            of_tool += usize::from(is_tool);
            if (is_upstreams || is_tool) && contains(&environment, &mark) {
                let held = environment.split(|byte| *byte == 0).filter(|it| contains(it, &mark));
                let held: Vec<_> = held.map(String::from_utf8_lossy).collect();
                wrong.push(format!("environment: {held:?}, {shown}"));
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    let output = output.join().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(
        looks > 500 && of_upstream > 50 && of_tool > 50,
        "{looks} looks: {of_upstream} of upstream's, {of_tool} of the tool"
    );
    assert!(!contains(&said, &mark), "{text}");

    // Both variants are out, of the code that looked.
    for package in ["dagster", "dagster-complete"] {
        assert!(scene.show(package).contains(&format!("{package}@1.12.2 ")), "{package}");
    }
    let built = scene.clone_path("flox/result-dagster-complete/bin/dagster");
    let mut unconfined = Command::new(built);
    let output = unconfined.arg("--version").env("MY_NOTE", &mark).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "the spy is blind");
    for seen in ["the environment", ".netrc", "/environ"] {
        assert!(said.contains(seen), "the spy is blind to {seen}: {said}");
    }

    let mut found = Vec::new();
    files_with(scene.world.dir(), &mark, &mut found);
    // Headers are what a request is for: who got which is looked at below.
    found.retain(|path| !path.ends_with("upstream.log"));
    assert_eq!(found, Vec::<PathBuf>::new());
    for repository in ["clone", "origin.git"] {
        let mut git = Command::new("git");
        git.arg("-C").arg(scene.path(repository));
        let objects = git.args(["cat-file", "--batch-all-objects", "--batch"]).output().unwrap();
        assert!(objects.status.success() && !contains(&objects.stdout, &mark), "{repository}");
    }

    let log = fs::read_to_string(scene.path("upstream.log")).unwrap();
    let mut asked = "";
    let (mut github, mut pip) = (0, 0);
    for line in log.lines() {
        let Some(header) = line.strip_prefix("    ") else {
            asked = line;
            assert!(!line.contains(&mark), "{line}");
            continue;
        };
        let value = header.strip_prefix("Authorization: Basic ");
        let basic = value.map(|value| BASE64_STANDARD.decode(value).unwrap());
        if let Some(basic) = basic {
            assert_eq!(basic, format!("me:{mark}-index").as_bytes(), "{asked}: {header}");
            assert!(
                asked.starts_with("GET /simple/") || asked.starts_with("GET /files/"),
                "{asked}"
            );
            pip += 1;
        } else if header.contains(&mark) {
            let expected = format!("Authorization: Bearer {mark}-GITHUB_TOKEN");
            assert_eq!(header.to_ascii_lowercase(), expected.to_ascii_lowercase(), "{asked}");
            assert!(asked.starts_with("GET /repos/"), "{asked}: {header}");
            github += 1;
        }
    }
    assert!(github > 0 && pip > 0, "{github} questions to GitHub, {pip} to the index");
}
