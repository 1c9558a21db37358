//! The stand-in `flox` says what the real flox 1.14.1 said: every recorded case, word for word.
//!
//! The record (tests/standins/transcripts) names, per case, the command, the circumstances in words,
//! and status, stdout and stderr, in which paths and names are replaced (`$REPO`, `ORG`). Each case
//! is played in a clone and a catalog of its own; what it needs was built before, as it was there.
//! Only what differs from run to run is replaced here as well, each by its exact form.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde::Deserialize;

use crate::scene::{ORG, Scene, jwt};

/// When a login ends: in 2286, and in 2024.
const FAR_FUTURE: u64 = 9_999_999_999;
const PAST: u64 = 1_704_063_600;

const RECORD: &str = include_str!("../standins/transcripts/flox-1.14.1.json");

/// How the lines begin that the record of a long output leaves out: flox's notice of its metrics.
const LEFT_OUT: [(&str, &str); 1] = [(
    "floxvar",
    "\
Flox collects basic usage metrics in order to improve the user experience.

Flox includes a record of the subcommand invoked along with a unique token.
It does not collect any personal information.

The collection of metrics can be disabled in the following ways:

  environment: FLOX_DISABLE_METRICS=true
    user-wide: flox config --set disable_metrics true
  system-wide: update /etc/flox.toml as described in flox-config(1)
",
)];

/// One recorded case.
#[derive(Deserialize)]
struct Case {
    case: String,
    command: String,
    status: i32,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

impl Case {
    fn block(&self) -> String {
        let text =
            |lines: &[String]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        let left_out = LEFT_OUT.iter().find(|(case, _)| *case == self.case);
        let beginning = left_out.map_or("", |(_, beginning)| beginning);
        block(self.status, &text(&self.stdout), &format!("{beginning}{}", text(&self.stderr)))
    }
}

#[test]
fn every_recorded_case_word_for_word() {
    let cases: Vec<Case> = serde_json::from_str(RECORD).unwrap();
    assert_eq!(cases.len(), 46, "the record holds 46 cases");
    let scene = Scene::new();
    scene.run(&["bump", "1.12.2"]).expect_status(0);
    // When the cases were recorded the expressions pinned the tag.
    for file in ["nix/separate/dagster-src.nix", "nix/combined/dagster-complete.nix"] {
        edit(&scene.clone_path(file), |text| {
            let (before, rev) = text.split_once("rev = \"").unwrap();
            let (_, after) = rev.split_once("\";").unwrap();
            format!("{before}tag = version;{after}")
        });
    }
    scene.git(&["commit", "--quiet", "--all", "--message=dagster 1.12.2"]);
    scene.git(&["push", "--quiet"]);
    let warm = Stage::new(&scene, "warm");
    warm.prepare("build -d flox dagster-src dagster-pipes");

    let mut differences = String::new();
    for case in &cases {
        let stage = Stage::set(&scene, &case.case);
        let output = stage.flox(case.command.strip_prefix("flox ").unwrap());
        let status = output.status.code().unwrap_or(-1);
        let text = |bytes: Vec<u8>| stage.plain(&String::from_utf8(bytes).unwrap());
        let found = plain(&block(status, &text(output.stdout), &text(output.stderr)));
        let expected = plain(&case.block());
        if found != expected {
            write!(
                differences,
                "\n=== {}: {}\n--- recorded\n{expected}--- found\n{found}",
                case.case, case.command
            )
            .unwrap();
        }
        if !stage.is_left_right(&case.case) {
            write!(differences, "\n=== {}: the files that it leaves", case.case).unwrap();
        }
    }
    let count = differences.matches("\n=== ").count();
    assert!(differences.is_empty(), "{count} of {} cases differ:\n{differences}", cases.len());
}

fn block(status: i32, stdout: &str, stderr: &str) -> String {
    format!("status: {status}\n----- stdout\n{stdout}----- stderr\n{stderr}")
}

/// A clone, a remote and a catalog for one case, and what flox is run with.
struct Stage<'a> {
    scene: &'a Scene,
    remote: PathBuf,
    repo: PathBuf,
    /// Where flox runs; `repo`, unless the case is about another working tree.
    cwd: PathBuf,
    token: Option<String>,
    env: Option<(&'static str, &'static str)>,
}

impl<'a> Stage<'a> {
    fn new(scene: &'a Scene, case: &str) -> Self {
        let dir = scene.path("cases").join(case);
        fs::create_dir_all(&dir).unwrap();
        let (remote, repo) = (dir.join("origin.git"), dir.join("repo"));
        let cwd = repo.clone();
        let token = Some(jwt("someone", FAR_FUTURE));
        let stage = Self { scene, remote, repo, cwd, token, env: None };
        let origin = scene.path("origin.git");
        run_git(scene, &dir, &["clone", "--quiet", "--bare", path(&origin), "origin.git"]);
        run_git(scene, &dir, &["clone", "--quiet", path(&stage.remote), "repo"]);
        stage.configure();
        for left in ["flox/catalog", "flox/metrics-uuid"] {
            let left = scene.path(left);
            let _ = fs::remove_dir_all(&left);
            let _ = fs::remove_file(&left);
        }
        scene.flox_faults(&[]);
        stage
    }

    fn configure(&self) {
        self.git(&["config", "user.name", "Tests"]);
        self.git(&["config", "user.email", "tests@example.invalid"]);
    }

    /// Brings about the circumstances of a case.
    fn set(scene: &'a Scene, case: &str) -> Self {
        let mut stage = Self::new(scene, case);
        match case {
            "version" | "auth-good" | "publish-dagster-pipes" | "f404" => {}
            _ if stage.set_login(case) || stage.set_git(case) || stage.set_rest(case) => {}
            other => panic!("the case `{other}` is not played"),
        }
        stage
    }

    fn set_login(&mut self, case: &str) -> bool {
        let (token, faults) = match case {
            "show-none" | "auth-none" | "build-unknown" | "build-o" | "noenv" | "publish-two"
            | "publish-none" | "build-src-pipes" => (None, ""),
            "auth-expired" | "publish-expired" => (Some(jwt("someone", PAST)), ""),
            "auth-pat" => (Some("flox_pat_1".to_owned()), ""),
            "auth-sat" => (Some("flox_sat_1".to_owned()), ""),
            "auth-garbage" | "publish-garbage" => (Some("garbage".to_owned()), ""),
            "auth-revoked" | "publish-revoked" => (Some("flox_pat_1".to_owned()), "me=401"),
            "auth-503" => (Some("flox_pat_1".to_owned()), "me=503"),
            _ => return false,
        };
        self.token = token;
        self.scene.flox_faults(&[faults]);
        true
    }

    fn set_git(&mut self, case: &str) -> bool {
        let dirty = || fs::write(self.repo.join("README.md"), "edited\n").unwrap();
        let junk = || fs::write(self.repo.join("flox/.flox/junk"), "").unwrap();
        match case {
            "dirty" => dirty(),
            "untracked-dotflox" => junk(),
            "order-untracked+dirty" => {
                junk();
                dirty();
            }
            "order-dirty+detached" => {
                dirty();
                self.git(&["checkout", "--quiet", "--detach"]);
            }
            "unpushed" => self.git(&["commit", "--quiet", "--allow-empty", "--message=More"]),
            "detached" => self.git(&["checkout", "--quiet", "--detach"]),
            "noupstream" => self.git(&["checkout", "--quiet", "--no-track", "-b", "newb"]),
            "remote-gone" => fs::remove_dir_all(&self.remote).unwrap(),
            "pkg-untracked" => {
                self.git(&["rm", "--quiet", "--cached", "flox/.flox/pkgs/dagster-src.nix"]);
            }
            "upstream-is-local-branch" => {
                self.git(&["checkout", "--quiet", "--track", "-b", "topic", "main"]);
            }
            "shallow-publish" | "shallow-build" => {
                fs::remove_dir_all(&self.repo).unwrap();
                let url = format!("file://{}", path(&self.remote));
                let dir = self.repo.parent().unwrap();
                run_git(self.scene, dir, &["clone", "--quiet", "--depth=1", &url, "repo"]);
                self.configure();
            }
            "worktree-publish" => {
                self.cwd = self.repo.parent().unwrap().join("linked");
                let linked = path(&self.cwd).to_owned();
                self.git(&[
                    "worktree",
                    "add",
                    "--quiet",
                    "--track",
                    "-b",
                    "more",
                    &linked,
                    "origin/main",
                ]);
            }
            "space" => {
                self.cwd = PathBuf::from(format!("{} WITH SPACE", path(&self.repo)));
                fs::rename(&self.repo, &self.cwd).unwrap();
            }
            _ => return false,
        }
        true
    }

    fn set_rest(&mut self, case: &str) -> bool {
        let environment = |name| self.repo.join("flox/.flox/env").join(name);
        match case {
            "unlocked" => fs::remove_file(environment("manifest.lock")).unwrap(),
            "stale-lock-pushed" => {
                edit(&environment("manifest.toml"), |text| format!("{text}\n[vars]\nA = \"b\"\n"));
                self.git(&["commit", "--quiet", "--all", "--message=Not locked"]);
                self.git(&["push", "--quiet"]);
            }
            "publish-again" => self.prepare("publish -d flox -o ORG dagster-src"),
            "show2" => self.prepare("publish -d flox -o ORG dagster-pipes"),
            "clean" => {
                self.token = None;
                self.prepare("build -d flox dagster-src dagster-pipes");
            }
            "hash-flox" => {
                self.token = None;
                let hash = source_hash(self.scene);
                edit(&self.repo.join("nix/separate/dagster-src.nix"), |text| {
                    text.replace(&hash, &wrong(&hash))
                });
            }
            "floxvar" => self.env = Some(("FLOX_PUBLISH", "true")),
            "show401" => self.scene.flox_faults(&["show=401"]),
            "show500" => self.scene.flox_faults(&["show=500"]),
            "publish502" => self.scene.flox_faults(&["record=502"]),
            "check502" => self.scene.flox_faults(&["check=502"]),
            _ => return false,
        }
        true
    }

    /// Are the files as a case says that flox leaves them?
    fn is_left_right(&self, case: &str) -> bool {
        let links = || {
            ["result-dagster-src", "result-dagster-pipes", "result-dagster-pipes-dist"]
                .map(|name| self.repo.join("flox").join(name).is_symlink())
        };
        match case {
            "stale-lock-pushed" => {
                self.read_git(&["status", "--porcelain"]) == " M flox/.flox/env/manifest.lock\n"
            }
            "build-src-pipes" => links() == [true; 3],
            "clean" => links() == [false; 3],
            _ => true,
        }
    }

    /// A command that must succeed.
    fn prepare(&self, args: &str) {
        let output = self.flox(args);
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn flox(&self, args: &str) -> Output {
        let mut flox = self.scene.world.command(self.scene.path("bin/flox"));
        flox.args(args.split(' ').map(|word| word.replace("ORG", ORG)));
        flox.current_dir(&self.cwd).env("FLOX_DISABLE_METRICS", "true").env("LC_ALL", "C.UTF-8");
        match &self.token {
            Some(token) => flox.env("FLOX_FLOXHUB_TOKEN", token),
            None => flox.env_remove("FLOX_FLOXHUB_TOKEN"),
        };
        flox.envs(self.env).output().unwrap()
    }

    fn git(&self, args: &[&str]) {
        run_git(self.scene, &self.repo, args);
    }

    fn read_git(&self, args: &[&str]) -> String {
        run_git(self.scene, &self.repo, args)
    }

    /// Text of this run in the words of the record.
    fn plain(&self, text: &str) -> String {
        let store = format!("{}/", path(&self.scene.path("flox/store")));
        let mut text = text
            .replace(path(&self.repo), "$REPO")
            .replace(path(&self.remote), "$REMOTE")
            .replace(self.scene.world.url(), "$UPSTREAM")
            .replace(&store, "/nix/store/")
            .replace(ORG, "ORG")
            .replace("https://hub.flox.dev/", "$FLOXHUB/")
            .replace("/usr/libexec/flox/", "$LIBEXEC/");
        let hash = source_hash(self.scene);
        text = text.replace(&wrong(&hash), &wrong(RECORDED_HASH)).replace(&hash, RECORDED_HASH);
        let scratch = format!("{}/flox-process-", path(&std::env::temp_dir()));
        text = text.replace(&scratch, "/tmp/flox-process-");
        for handle in ["someone", "rehearsal"] {
            text = text.replace(&format!("logged in as {handle} on"), "logged in as HANDLE on");
        }
        if !text.contains("Source revision: ") {
            return text;
        }
        text.replace(self.read_git(&["rev-parse", "HEAD"]).trim_end(), "$COMMIT")
    }
}

/// The hash of the source that the record is of; ours is of the small upstream of today.
const RECORDED_HASH: &str = "sha256-0rX5fxUaw1SWygVTw9sT9/OlV3pYsFSrBt97azcm1zY=";

fn source_hash(scene: &Scene) -> String {
    let file = scene.clone_path("nix/separate/dagster-src.nix");
    let text = fs::read_to_string(file).unwrap();
    let (_, rest) = text.split_once("hash = \"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// A hash that is not this one, in its first digit.
fn wrong(hash: &str) -> String {
    let other = if hash.starts_with("sha256-1") { "2" } else { "1" };
    format!("sha256-{other}{}", &hash["sha256-1".len()..])
}

/// What differs from run to run, by its exact form: `9` is a digit, `#` a number, `~` a digit of a
/// commit, `^` one of a store path's hash, `?` a letter or digit.
const FORMS: [(&str, &str); 8] = [
    ("/nix/store/^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^-", "/nix/store/$HASH-"),
    ("Originally published: 9999-99-99 99:99:99.999999 UTC", "Originally published: $DATE"),
    ("Source revision: ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~", "Source revision: $COMMIT"),
    ("99:99:99.999  WARN ", "$TIME  WARN "),
    ("thread 'main' (#) panicked", "thread 'main' ($THREAD) panicked"),
    ("/tmp/flox-process-????????/", "$TMP/"),
    // The record is of expressions whose Python was 3.12.
    ("Building python3.#-", "Building python3.NN-"),
    ("Completed build of python3.#-", "Completed build of python3.NN-"),
];

fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (form, name) in FORMS {
        let mut result = String::new();
        let mut rest = text.as_str();
        while let Some(next) = rest.chars().next() {
            let length = match_length(form, rest);
            result.push_str(if length > 0 { name } else { &rest[..next.len_utf8()] });
            rest = &rest[length.max(next.len_utf8())..];
        }
        text = result;
    }
    let lines = text.lines().map(|line| match line.split_once("Cleaned build targets: ") {
        // in no order: flox keeps them in a hash map
        Some((icon, names)) => {
            let mut names: Vec<&str> = names.split(", ").collect();
            names.sort_unstable();
            format!("{icon}Cleaned build targets: {}\n", names.join(", "))
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// How many bytes at the beginning of a text have a form; 0 when it has another.
fn match_length(form: &str, text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    for part in form.bytes() {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let found = bytes.get(at).copied().unwrap_or_default();
        let length = match part {
            b'#' => digits,
            b'9' => digits.min(1),
            b'~' => usize::from(matches!(found, b'0'..=b'9' | b'a'..=b'f')),
            b'^' => usize::from(found.is_ascii_digit() || found.is_ascii_lowercase()),
            b'?' => usize::from(found.is_ascii_alphanumeric() || found == b'_'),
            literal => usize::from(found == literal),
        };
        if length == 0 {
            return 0;
        }
        at += length;
    }
    at
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn edit(file: &Path, change: impl Fn(&str) -> String) {
    let before = fs::read_to_string(file).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "nothing to change in {}", file.display());
    fs::write(file, after).unwrap();
}

fn run_git(scene: &Scene, dir: &Path, args: &[&str]) -> String {
    let output = scene.world.command("git").current_dir(dir).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
