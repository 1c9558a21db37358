//! The world of a rehearsal: everything that lies outside this machine, in one directory.
//!
//! ```text
//! DIR/upstream.git DIR/index   what the upstream server serves (tests/standins/upstream.py)
//! DIR/origin.git               the remote that is pushed to
//! DIR/clone                    a clone of this repository
//! DIR/bin/flox                 the stand-in for flox (tests/standins/flox.py)
//! DIR/flox                     its store and its catalog
//! DIR/venv                     with real upstream: the third-party packages, as nixpkgs has them
//! DIR/enter                    runs a command in here, later
//! ```
//!
//! Nothing in the pipeline knows of it: the environment and the endpoints are the only difference
//! from a real release.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use semver::Version;
use xshell::{Shell, cmd};

use crate::model::config::{self, Config};
use crate::smoke;
use crate::tools::python::{self, Interpreter};
use crate::tools::{command, credentials};

/// Where the source of upstream comes from.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// The small upstream that this repository carries.
    Small,
    /// Rebuilt from the real distributions of one version on PyPI. Its third-party packages are
    /// those of an environment that is there already, or of one that is made.
    Real { version: Version, third_party: Option<PathBuf> },
}

/// How the stand-ins are set up.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// FloxHub organizations that may be written to.
    pub orgs: Vec<String>,
    /// Faults of the upstream server.
    pub upstream_faults: Vec<String>,
    /// Real Nix evaluates and builds, instead of the stand-in itself.
    pub nix: bool,
    /// The double of nixpkgs does not obey `pythonRelaxDeps`: its bounds are met or stop a build.
    pub without_relaxing: bool,
}

/// Is there a Nix that the stand-in for flox can use?
pub fn has_nix() -> bool {
    ["nix-instantiate", "nix-store"].iter().all(|name| {
        let mut command = Command::new(name);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// A world whose upstream server runs. The server ends with this value.
pub struct World {
    dir: PathBuf,
    /// The checkout whose `tests/` the stand-ins are run from.
    source: PathBuf,
    url: String,
    server: Child,
}

impl World {
    /// Makes the upstream of a world. It can serve many worlds: nothing writes to it later.
    pub fn prepare_upstream(dir: &Path, source: &Path, upstream: &Upstream) -> Result<()> {
        let sh = Shell::new()?;
        sh.create_dir(dir)?;
        let script = source.join("tests/standins/upstream.py");
        let real = match upstream {
            Upstream::Small => Vec::new(),
            Upstream::Real { version, .. } => vec!["--real".to_owned(), version.to_string()],
        };
        command::read(cmd!(sh, "python3 {script} prepare --work {dir} {real...}"))
            .context("failed to prepare the stand-in upstream")?;
        match upstream {
            Upstream::Small => Ok(()),
            Upstream::Real { third_party: Some(made), .. } => symlink(made, dir.join("venv"))
                .with_context(|| format!("failed to link to `{}`", made.display())),
            Upstream::Real { version, third_party: None } => {
                let python = python_for(&read_config(source)?, version)?;
                install_third_party(source, &python.interpreter, &dir.join("venv"))
            }
        }
    }

    /// Makes the clone, the remote and the stand-in `flox`, and starts the server.
    pub fn create(dir: &Path, source: &Path, options: &Options) -> Result<Self> {
        Self::create_with(dir, source, dir, options)
    }

    /// The same with the upstream of another directory.
    pub fn create_with(
        dir: &Path,
        source: &Path,
        upstream: &Path,
        options: &Options,
    ) -> Result<Self> {
        let sh = Shell::new()?;
        let clone = dir.join("clone");
        let origin = dir.join("origin.git");
        command::read(cmd!(sh, "git init --quiet --bare --initial-branch=main {origin}"))?;
        command::read(cmd!(sh, "git clone --quiet --no-hardlinks {source} {clone}"))
            .with_context(|| format!("failed to clone `{}`", source.display()))?;
        sh.change_dir(&clone);
        for (key, value) in [
            ("user.name", "Rehearsal"),
            ("user.email", "rehearsal@example.invalid"),
            ("commit.gpgsign", "false"),
        ] {
            command::read(cmd!(sh, "git config {key} {value}"))?;
        }
        command::read(cmd!(sh, "git switch --quiet --force-create main"))?;
        command::read(cmd!(sh, "git remote set-url origin {origin}"))?;
        command::read(cmd!(sh, "git push --quiet --set-upstream origin main"))?;
        command::read(cmd!(sh, "git remote prune origin"))?;
        fs::write(dir.join("orgs"), options.orgs.join("\n"))?;
        let mut flags = Vec::new();
        flags.extend(options.nix.then_some("--nix"));
        flags.extend(options.without_relaxing.then_some("--no-relaxing"));
        fs::write(dir.join("flags"), flags.join(" "))?;
        Self::enter_with(dir, source, upstream, &options.upstream_faults)
    }

    /// Starts the server of a world that was kept.
    pub fn enter(dir: &Path, source: &Path) -> Result<Self> {
        Self::enter_with(dir, source, dir, &[])
    }

    fn enter_with(dir: &Path, source: &Path, upstream: &Path, faults: &[String]) -> Result<Self> {
        let faults = faults.iter().flat_map(|fault| ["--fault", fault.as_str()]);
        let mut server = Command::new("python3")
            .arg(source.join("tests/standins/upstream.py"))
            .args(["serve", "--until-eof", "--port", "0", "--work"])
            .arg(upstream)
            .arg("--log")
            .arg(dir.join("upstream.log"))
            .args(faults)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to run `python3`")?;
        let mut line = String::new();
        if let Some(stdout) = server.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Some(url) = line.trim().strip_prefix("listening on ").map(str::to_owned) else {
            let _ = server.kill();
            anyhow::bail!("expected the stand-in upstream to say where it listens, found `{line}`");
        };
        let world = Self { dir: dir.to_owned(), source: source.to_owned(), url, server };
        world.write_flox()?;
        Ok(world)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn clone_dir(&self) -> PathBuf {
        self.dir.join("clone")
    }

    /// The address of the upstream server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests that the upstream server answered, `METHOD path status` a line.
    pub fn requests(&self) -> String {
        fs::read_to_string(self.dir.join("upstream.log")).unwrap_or_default()
    }

    /// A command inside this world: in the clone, and with its environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.clone_dir()).stdin(Stdio::null());
        for (name, value) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let foreign = ["FLOX_", "PIP_", "GITHUB_", "GIT_"];
            if credentials::is_credential(&name, &value)
                || foreign.iter().any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.dir.join("bin")).chain(std::env::split_paths(&path));
        // A PATH that was split can be joined again.
        let path = std::env::join_paths(paths).unwrap_or(path);
        command
            .env("PATH", path)
            .env("GITHUB_API_URL", &self.url)
            .env("GITHUB_SERVER_URL", &self.url)
            .env("PIP_INDEX_URL", format!("{}/simple", self.url))
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_NO_CACHE_DIR", "1")
            .env("PIP_RETRIES", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("XTASK_ALLOW_SKIP", smoke::ONLY_OF_DAGSTER.join(","))
            .env("FLOX_FLOXHUB_TOKEN", "flox_pat_rehearsal")
            .env("FLOX_DISABLE_METRICS", "true") // no notice of it among the lines
            .env("CARGO_TARGET_DIR", self.source.join("target"));
        command
    }

    /// Writes `enter`, which runs a command in this world after this process is gone.
    pub fn write_enter(&self) -> Result<PathBuf> {
        let path = self.dir.join("enter");
        let exe = std::env::current_exe()?;
        let text = format!(
            "#!/bin/sh\n\
             # Runs a command in the clone of this rehearsal, with its upstream and its catalog.\n\
             cd {} && exec {} rehearse --enter {} -- \"$@\"\n",
            quoted(&self.source),
            quoted(&exe),
            quoted(&self.dir),
        );
        write_executable(&path, &text)?;
        Ok(path)
    }

    fn write_flox(&self) -> Result<()> {
        let bin = self.dir.join("bin");
        fs::create_dir_all(&bin)?;
        let orgs = fs::read_to_string(self.dir.join("orgs")).unwrap_or_default();
        let orgs: String = orgs.lines().map(|org| format!(" --org {org}")).collect();
        let venv = self.dir.join("venv");
        let third_party =
            if venv.is_dir() { format!(" --third-party {}", quoted(&venv)) } else { String::new() };
        let flags = fs::read_to_string(self.dir.join("flags")).unwrap_or_default();
        let pythons: String = pythons(&read_config(&self.source)?)?
            .iter()
            .map(|Python { named, interpreter: Interpreter { version, path } }| {
                format!(" --python '{named}={version}':{}", quoted(path))
            })
            .collect();
        let text = format!(
            "#!/bin/sh\n\
             exec python3 {} --state {} --upstream {}{orgs}{third_party} {flags}{pythons} \
             -- \"$@\"\n",
            quoted(&self.source.join("tests/standins/flox.py")),
            quoted(&self.dir.join("flox")),
            self.url,
        );
        write_executable(&bin.join("flox"), &text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A Python of nixpkgs, as `3.12`, and the interpreter of this machine that is it or stands in.
#[derive(Debug, Clone)]
pub struct Python {
    pub named: String,
    pub interpreter: Interpreter,
}

impl Python {
    /// Is another version taken for it?
    pub fn is_stand_in(&self) -> bool {
        self.interpreter.version != self.named
    }
}

/// The interpreter that a version of Dagster is rehearsed with.
pub fn python_for(config: &Config, version: &Version) -> Result<Python> {
    let named = config.python_at(version)?;
    let all = pythons(config)?;
    let found = all.into_iter().find(|python| python.named == named);
    found.with_context(|| format!("expected Python {named} among those of `{}`", config::FILE))
}

/// An interpreter for each Python that `release.toml` names. Looked for once: none comes or goes.
fn pythons(config: &Config) -> Result<Vec<Python>> {
    static FOUND: Mutex<BTreeMap<String, Interpreter>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    config
        .pythons()
        .map(|named| {
            if !found.contains_key(named) {
                found.insert(named.to_owned(), python::nearest(named)?);
            }
            Ok(Python { named: named.to_owned(), interpreter: found[named].clone() })
        })
        .collect()
}

fn read_config(source: &Path) -> Result<Config> {
    Config::parse(&Shell::new()?.read_file(source.join(config::FILE))?)
}

/// Makes an environment with the packages that stand in for nixpkgs', and Dagster's build backends.
pub fn install_third_party(source: &Path, python: &Interpreter, venv: &Path) -> Result<()> {
    let sh = Shell::new()?;
    let script = source.join("tests/standins/thirdparty.py");
    let path = &python.path;
    command::read(cmd!(sh, "python3 {script} --python {path} --venv {venv}"))
        .context("failed to install the third-party packages")
        .map(drop)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn write_executable(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
