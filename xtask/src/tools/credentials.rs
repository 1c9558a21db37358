//! Credentials: out of this program's environment before anything else happens, and in its memory.
//!
//! What a process was started with is in its `environ` for as long as it runs, for whoever may read
//! `/proc`, and no program can take something out of that. So the program starts itself anew, in
//! the same process, without those variables, and hands their values over through a pipe on
//! stdin; it asks for nothing there. From then on a module that needs one asks here and passes it
//! to the one program that it is for. On Linux the memory that holds them is not for others of the
//! same user, either. Values are never an argument and never printed.
//!
//! The program that started this one, a shell or a step of a workflow, still has them in its own
//! environment: that cannot be helped here, and is why upstream's code is run where it cannot see
//! other processes (`confine`).

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

mod hiding;

use hiding::HIDDEN;

/// The first argument of the program that was started anew.
const ON_STDIN: &str = "credentials-on-stdin";
/// What fits into a pipe that nobody reads yet, on every system.
const MOST_BYTES: usize = 16 << 10;

/// Variables that hold a credential whose name does not say so by its end.
const NAMES: [&str; 2] = ["NETRC", "AWS_ACCESS_KEY_ID"];
/// How the names of the others end.
const ENDS: [&str; 11] = [
    "TOKEN",
    "_PAT",
    "_AUTH",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIALS",
];

/// Where an agent is that holds keys: for git, which has nothing else to log in with.
const AGENT: &str = "SSH_AUTH_SOCK";

/// What logs in or holds secrets, wherever in a value it stands: a header, and settings of Nix.
const WORDS: [&str; 3] = ["authorization:", "access-tokens", "impure-env"];

/// The shortest would take innocent letters away.
const SHORTEST: usize = 6;
/// A name that one logs in by is that of a person, not a token, when it is shorter.
const SHORTEST_NAME: usize = 20;

type Variable = (OsString, OsString);

static KEPT: OnceLock<Vec<Variable>> = OnceLock::new();

/// What becomes of the credentials that are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They are kept for the modules that need one.
    Kept,
    /// They are dropped, and stdin stays the caller's.
    Dropped,
}

/// Takes credentials out of the environment, and whatever is not needed by its name: people keep
/// secrets under any. Comes back when there is none of it; else this very process starts anew.
///
/// # Errors
/// When that fails: nothing may run then.
pub fn take_out(taken: Taken, is_needed: impl Fn(&OsStr) -> bool) -> Result<()> {
    let variables = found();
    let names = std::env::vars_os().map(|(name, _)| name);
    let unneeded: Vec<OsString> = names.filter(|name| !is_needed(name)).collect();
    if variables.is_empty() && unneeded.is_empty() {
        return Ok(());
    }
    let mut args = std::env::args_os();
    let mut command = Command::new(this_program()?);
    command.arg0(args.next().unwrap_or_default());
    for name in variables.iter().map(|(name, _)| name).chain(&unneeded) {
        command.env_remove(name);
    }
    if taken == Taken::Kept && !variables.is_empty() {
        let text = to_bytes(&variables);
        anyhow::ensure!(
            text.len() <= MOST_BYTES,
            "expected at most {MOST_BYTES} bytes of credentials in the environment, found {}",
            text.len()
        );
        let (reader, mut writer) = std::io::pipe().context("failed to make a pipe")?;
        writer.write_all(&text).context("failed to hand credentials over")?;
        command.stdin(reader).arg(ON_STDIN);
    }
    Err(command.args(args).exec()).context("failed to start this program without credentials")
}

/// Reads the credentials that [`take_out`] handed over, if it did; gives the arguments that were
/// meant for the program.
pub fn receive(args: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_none_or(|arg| arg != ON_STDIN) {
        return Ok(args);
    }
    args.remove(1);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("failed to read credentials")?;
    let _ = KEPT.set(from_bytes(&bytes));
    let null = std::fs::File::open("/dev/null").context("failed to open `/dev/null`")?;
    rustix::stdio::dup2_stdin(null).context("failed to close stdin")?;
    Ok(args)
}

/// The value of a variable that was taken out.
pub fn get(name: &str) -> Option<&'static OsStr> {
    let mut kept = KEPT.get()?.iter();
    kept.find(|(kept, _)| kept == name).map(|(_, value)| value.as_os_str())
}

/// Variables that were taken out for a password in an address or a header, or as the way to an
/// agent, and that tell programs how to reach the network: for git, pip and flox, and for nothing
/// of upstream's.
pub fn settings() -> impl Iterator<Item = &'static Variable> {
    KEPT.get().into_iter().flatten().filter(|(name, _)| !is_secret(name))
}

/// Does a variable hold a credential?
pub fn is_credential(name: &OsStr, value: &OsStr) -> bool {
    !value.is_empty() && (is_secret(name) || name == AGENT || has_password(name, value))
}

/// A text for people in which no credential stands: no value that was taken out, nor a password
/// that was in one, and nobody's name or password in an address.
pub fn hide(text: &str) -> String {
    let kept = KEPT.get().into_iter().flatten();
    let mut secrets: Vec<&str> = kept.flat_map(|(name, value)| secrets_in(name, value)).collect();
    // One may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let text = secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
    hiding::text(&text).shown
}

/// [`hide`], of what is one address, whatever is in it.
pub fn hide_in_address(address: &str) -> String {
    hide(&hiding::address(address).shown)
}

/// What must not be printed of a variable. Programs print parts of an address that they cannot
/// read, without the `@` after them.
fn secrets_in<'v>(name: &OsStr, value: &'v OsStr) -> Vec<&'v str> {
    let Some(value) = value.to_str().filter(|_| name != AGENT) else { return Vec::new() };
    let mut secrets = vec![];
    if is_secret(name) {
        secrets.push(value.trim());
    } else {
        let whole = is_of_address(name).then(|| hiding::address(value).found);
        for found in whole.into_iter().chain([hiding::text(value).found]).flatten() {
            let (user, password) = found.split_once(':').unwrap_or(("", found));
            secrets.extend(Some(user).filter(|user| user.len() >= SHORTEST_NAME));
            secrets.push(password);
            secrets.extend(password.split(|c: char| "/?#@: ".contains(c)));
        }
        let lines = value.lines().filter(|line| has_word(line));
        secrets.extend(lines.flat_map(|line| line.split([' ', '=']).skip(1)));
    }
    secrets.retain(|secret| secret.len() >= SHORTEST);
    secrets.sort_unstable();
    secrets.dedup();
    secrets
}

/// The file of this very program, even when it was built anew since.
pub fn this_program() -> Result<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe().context("failed to find this program"),
    }
}

fn found() -> Vec<Variable> {
    std::env::vars_os().filter(|(name, value)| is_credential(name, value)).collect()
}

fn is_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_uppercase();
    NAMES.contains(&&*name) || ENDS.iter().any(|end| name.ends_with(end))
}

/// An address with a password in it, a header that logs in, or Nix's list of tokens.
fn has_password(name: &OsStr, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    if is_list_of_paths(name) {
        return false;
    }
    is_of_address(name) && value.contains('@') || has_any(&value)
}

/// Does a credential stand in a setting of some program?
pub fn has_any(setting: &str) -> bool {
    has_word(setting) || !hiding::text(setting).found.is_empty()
}

fn has_word(text: &str) -> bool {
    let text = text.to_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Is the value of a variable one address?
fn is_of_address(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_uppercase();
    name != "NO_PROXY" && ["_PROXY", "_URL"].iter().any(|end| name.ends_with(end))
}

/// `bin:/opt/python@3.12/bin` has the looks of a login.
fn is_list_of_paths(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    (name.ends_with("PATH") || name.ends_with("_DIRS")) && name != "NIX_PATH"
}

/// `NAME=VALUE`, each with a zero byte at its end, as in `environ`.
fn to_bytes(variables: &[Variable]) -> Vec<u8> {
    variables
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat())
        .collect()
}

fn from_bytes(bytes: &[u8]) -> Vec<Variable> {
    let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    bytes
        .split(|&byte| byte == 0)
        .filter_map(|variable| {
            let at = variable.iter().position(|&byte| byte == b'=')?;
            Some((owned(&variable[..at]), owned(&variable[at + 1..])))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_by_name_or_by_value() {
        let is = |name: &str, value: &str| is_credential(name.as_ref(), value.as_ref());
        for name in [
            "GITHUB_TOKEN",
            "GH_TOKEN",
            "FLOX_FLOXHUB_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "npm_config_password",
            "NIX_GITHUB_PAT",
            "npm_config__auth",
            "SSH_AUTH_SOCK",
        ] {
            assert!(is(name, "x"), "{name}");
            assert!(!is(name, ""), "{name}");
        }
        for value in [
            "https://me:secret@host/simple",
            "https://token@host/simple",
            "http:/me:secret@host",
            "me:sec ret@host",
            "http://me:sec/ret@host",
            "https://host/simple?token=x",
            "extra-impure-env = A=x",
            "access-tokens = github.com=x",
            "AUTHORIZATION: basic eA==",
        ] {
            assert!(is("PIP_INDEX_URL", value), "{value}");
        }
        for (name, value) in [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://host/x"),
            ("PIP_INDEX_URL", "http://127.0.0.1:80/simple"),
            ("GIT_CONFIG_KEY_0", "user.name"),
            ("HOME", "/srv/me@host"),
            ("PATH", "/usr/bin:/bin"),
            ("PATH", "bin:/opt/python@3.12/bin://opt/a@b"),
            ("NO_PROXY", "127.0.0.1"),
            ("GIT_SSH_COMMAND", "ssh git@host:22"),
        ] {
            assert!(!is(name, value), "{name}");
        }
    }

    #[test]
    fn parts_of_what_cannot_be_read_are_known() {
        let secrets = |name: &str, value| secrets_in(name.as_ref(), OsStr::new(value));
        let found = secrets("PIP_INDEX_URL", "http://me:hunter2/se cret@host/simple");
        assert_eq!(found, ["hunter2", "hunter2/se cret"]);
        assert!(secrets("HTTPS_PROXY", "me:hunter2 x@host:3128").contains(&"hunter2 x"));
        assert_eq!(secrets("X_URL", "https://a-token@host/path/to/it"), ["a-token"]);
        assert_eq!(secrets("A_TOKEN", " planted\n"), ["planted"]);
        let header = "AUTHORIZATION: basic planted";
        assert_eq!(secrets("GIT_CONFIG_VALUE_0", header), ["planted"]);
        assert_eq!(secrets("SSH_AUTH_SOCK", "/tmp/agent"), [""; 0]);
    }

    #[test]
    fn what_is_handed_over_arrives() {
        let variables: Vec<Variable> =
            [("A_TOKEN", "a=b\nc"), ("B", "")].map(|(n, v)| (n.into(), v.into())).to_vec();
        assert_eq!(from_bytes(&to_bytes(&variables)), variables);
        assert_eq!(from_bytes(b""), []);
    }

    #[test]
    fn other_arguments_are_left_alone() {
        let args = ["xtask", "smoke", ON_STDIN].map(OsString::from);
        assert_eq!(receive(args.clone()).unwrap(), args);
    }
}
