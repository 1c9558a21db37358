//! A world for one test, and what a run of the tool in it looks like.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use xtask::checkout::Checkout;
use xtask::model::config::Config;
use xtask::model::facts::PypiPin;
use xtask::model::nix_edit::{self, ListChange, ListEdit, ListName, Pins};
use xtask::model::sri::Sri;
use xtask::stages::rehearse::world::{Options, Upstream, World};

/// The organization that the stand-in catalog lets us write to.
pub const ORG: &str = "dagster-flox";

/// One world, gone with the value.
pub struct Scene {
    pub world: World,
    _dir: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self::with_upstream_faults(&[])
    }

    pub fn with_upstream_faults(faults: &[&str]) -> Self {
        Self::with_upstream(shared().1, faults)
    }

    /// With another upstream than the one that the tests share.
    pub fn with_upstream(upstream: &Path, faults: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("scene-").tempdir().unwrap();
        let source = source();
        let options = Options {
            orgs: vec![ORG.to_owned()],
            upstream_faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            // no Nix: the same blocks on every machine
            ..Options::default()
        };
        let world = World::create_with(dir.path(), source, upstream, &options).unwrap();
        Self { world, _dir: dir }
    }

    /// Sets the faults of the stand-in `flox`, one a line.
    pub fn flox_faults(&self, faults: &[&str]) {
        fs::create_dir_all(self.path("flox")).unwrap();
        fs::write(self.path("flox/faults"), faults.join("\n")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.world.dir().join(name)
    }

    /// Puts a script in the place of one of git's hooks.
    pub fn hook(&self, name: &str, script: &str) {
        let path = self.clone_path(".git/hooks").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn clone_path(&self, name: &str) -> PathBuf {
        self.world.clone_dir().join(name)
    }

    pub fn xtask(&self, args: &[&str]) -> Command {
        self.below(env!("CARGO_BIN_EXE_xtask"), args)
    }

    /// The tool, started by a shell that ignores SIGHUP (`nohup`).
    pub fn xtask_without_hangup(&self, args: &[&str]) -> Command {
        let script = "trap '' HUP; exec \"$@\"";
        self.below("sh", &[&["-c", script, "sh", env!("CARGO_BIN_EXE_xtask")], args].concat())
    }

    /// The tool, for which SIGHUP means what it means by itself, whatever these tests were started
    /// by. (No shell stops ignoring what it was started to ignore.)
    pub fn xtask_with_hangup(&self, args: &[&str]) -> Command {
        let script = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); \
                      os.execv(sys.argv[1], sys.argv[1:])";
        self.below("python3", &[&["-c", script, env!("CARGO_BIN_EXE_xtask")], args].concat())
    }

    fn below(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.world.command(program);
        command.args(args).env("NO_COLOR", "1").env_remove("CI");
        command
    }

    /// Runs the tool: status, stdout and stderr in one text, without what differs from run to run.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.xtask(args).output().unwrap(), self)
    }

    /// git in the clone; must succeed.
    pub fn git(&self, args: &[&str]) -> String {
        let output = self.world.command("git").args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What a user sees of a package in the catalog.
    pub fn show(&self, package: &str) -> String {
        let flox = self.path("bin/flox");
        let output =
            self.world.command(flox).args(["show", &format!("{ORG}/{package}")]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every tracked file and its content: what a failed command must leave as it was.
    pub fn state(&self) -> (String, String, String) {
        (
            self.git(&["rev-parse", "--abbrev-ref", "HEAD"]),
            self.git(&["rev-parse", "HEAD"]),
            self.git(&["status", "--porcelain", "--untracked-files=no"]),
        )
    }

    /// The systems of `release.toml`.
    pub fn systems() -> Vec<String> {
        let config = Config::parse(include_str!("../../release.toml")).unwrap();
        config.catalog.systems
    }

    fn plain(&self, text: &str) -> String {
        let mut text = text.replace(&self.world.dir().display().to_string(), "[WORLD]");
        text = text.replace(self.world.url(), "[UPSTREAM]");
        let systems = Self::systems();
        text = text.replace(&systems.join(", "), "[EVERY SYSTEM]");
        let system = xtask::tools::flox::system().unwrap();
        let others: Vec<String> = systems.into_iter().filter(|other| *other != system).collect();
        text = text.replace(&others.join(", "), "[OTHER SYSTEMS]").replace(&system, "[SYSTEM]");
        for (i, other) in others.iter().enumerate() {
            text = text.replace(other, &format!("[SYSTEM {}]", i + 2));
        }
        words(&text, |word| {
            let is_commit = word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
            if is_commit { "[COMMIT]".to_owned() } else { word.to_owned() }
        })
    }
}

/// How a run of the tool ended.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    raw_stdout: String,
}

impl Ran {
    fn of(output: Output, scene: &Scene) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: scene.plain(&stdout),
            stderr: scene.plain(&stderr),
            raw_stdout: stdout,
        }
    }

    /// stdout as it was, byte for byte.
    pub fn raw_stdout(&self) -> &str {
        &self.raw_stdout
    }

    /// All of it as text without white space at line ends, which editors and mailers take away.
    pub fn block(&self) -> String {
        let Self { status, stdout, stderr, .. } = self;
        let block = format!("status: {status}\n----- stdout\n{stdout}----- stderr\n{stderr}");
        block.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    #[track_caller]
    pub fn check(&self, expected: &expect_test::Expect) {
        expected.assert_eq(&self.block());
    }

    #[track_caller]
    pub fn expect_status(&self, status: i32) -> &Self {
        assert_eq!(self.status, status, "{}", self.block());
        self
    }
}

/// A FloxHub token as `flox auth login` gets one, of somebody and up to a time (Unix).
pub fn jwt(handle: &str, expires: u64) -> String {
    let claims = serde_json::json!({"https://flox.dev/handle": handle, "exp": expires});
    let [header, claims] = [r#"{"typ":"JWT","alg":"HS256"}"#.to_owned(), claims.to_string()]
        .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
}

/// Rewrites each run of letters and digits.
fn words(text: &str, word: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if end > 0 {
            result.push_str(&word(&rest[..end]));
        }
        let next = rest[end..].chars().next().map_or(end, |c| end + c.len_utf8());
        result.push_str(&rest[end..next]);
        rest = &rest[next..];
    }
    result
}

/// The checkout that worlds are made of.
pub fn source() -> &'static Path {
    shared().0
}

/// What the stand-in for upstream serves.
pub fn upstream() -> &'static Path {
    shared().1
}

/// An upstream of a test's own, to change.
pub fn own_upstream() -> TempDir {
    let dir = tempfile::Builder::new().prefix("upstream-").tempdir().unwrap();
    let all = upstream().join(".");
    let copied = Command::new("cp").arg("-a").arg(all).arg(dir.path()).status().unwrap();
    assert!(copied.success());
    dir
}

/// The working tree as a repository of its own, and the upstream: both made once and only read.
fn shared() -> (&'static Path, &'static Path) {
    static SHARED: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    let (source, upstream) = SHARED.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
        if base.exists() {
            fs::remove_dir_all(&base).unwrap();
        }
        // With a space: a checkout can stand anywhere.
        let (source, upstream) = (base.join("the source"), base.join("the upstream"));
        copy_working_tree(&source);
        World::prepare_upstream(&upstream, &source, &Upstream::Small).unwrap();
        pin(&source, &upstream);
        git_in(&source, &["init", "--quiet", "--initial-branch=main"]);
        git_in(&source, &["add", "--all", "--force"]);
        git_in(&source, &["commit", "--quiet", "--message=The working tree under test"]);
        (source, upstream)
    });
    (source, upstream)
}

/// The files as they are, committed or not: what is tested is what one is working on.
fn copy_working_tree(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::create_dir_all(to).unwrap();
    let files = git_in(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for file in files.split('\0').filter(|file| !file.is_empty() && root.join(file).is_file()) {
        fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        fs::copy(root.join(file), to.join(file)).unwrap();
    }
}

/// git in a directory that is no test's own; must succeed.
pub fn git_in(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Tests", "-c", "user.email=tests@example.invalid"])
        .args(["-c", "commit.gpgsign=false"])
        .args(args)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the packages of the small upstream relax at 1.12.1, by what they require there.
const RELAXED: [(&str, &str); 4] = [
    ("dagster-shared", "pydantic typing_extensions"),
    ("dagster", "antlr4-python3-runtime click coloredlogs protobuf sqlalchemy tomli tqdm watchdog"),
    ("dagster-graphql", "gql graphene"),
    ("dagster-webserver", "click"),
];

/// Pins the expressions at 1.12.1, where every test starts, whatever the repository is pinned at by
/// now: as a release in the world of the tests would have left them, but for the hash of the source,
/// which is the real one's.
fn pin(dir: &Path, upstream: &Path) {
    let checkout = Checkout::open(dir).unwrap();
    let version: semver::Version = "1.12.1".parse().unwrap();
    let commit = git_in(&upstream.join("upstream.git"), &["rev-parse", "1.12.1^{commit}"]);
    let wheel = "index/dagster-webserver/dagster_webserver-1.12.1-py3-none-any.whl";
    let digest = Sha256::digest(fs::read(upstream.join(wheel)).unwrap());
    let pins = Pins {
        tag: version.to_string(),
        commit: commit.trim().to_owned(),
        by_commit: true,
        source_hash: "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=".parse().unwrap(),
        pypi: vec![PypiPin {
            name: "dagster-webserver".to_owned(),
            version: version.to_string(),
            file: Some("dagster_webserver-1.12.1-py3-none-any.whl".to_owned()),
            hash: Sri::from_digest(digest.into()),
        }],
        python: checkout.config.python_at(&version).unwrap().to_owned(),
        version,
    };
    let scope = checkout.scope();
    let mut files = nix_edit::repin(&checkout.nix_files().unwrap(), &scope, &pins).unwrap();
    for file in &mut files {
        file.text = file.text.replace("tag = version;", &format!("rev = \"{}\";", commit.trim()));
    }
    let mut edits = Vec::new();
    for expression in nix_edit::expressions(&files, &scope).unwrap() {
        let names = RELAXED.iter().find(|(package, _)| *package == expression.package);
        let wanted: Vec<&str> =
            names.map_or_else(Vec::new, |(_, names)| names.split_whitespace().collect());
        let listing = expression.list(ListName::RelaxDeps);
        let listed: Vec<&str> = listing
            .into_iter()
            .flat_map(|listing| &listing.items)
            .map(|item| item.name.value.as_str())
            .collect();
        let add = wanted.iter().filter(|name| !listed.contains(name));
        let remove = listed.iter().filter(|name| !wanted.contains(name));
        let changes = add
            .map(|name| ListChange::Add((*name).to_owned(), None))
            .chain(remove.map(|name| ListChange::Remove((*name).to_owned())));
        edits.extend(changes.map(|change| ListEdit {
            path: expression.path.clone(),
            package: expression.package.clone(),
            list: ListName::RelaxDeps,
            change,
        }));
    }
    for file in nix_edit::edit_lists(&files, &scope, &edits).unwrap() {
        fs::write(dir.join(file.path), file.text).unwrap();
    }
}
