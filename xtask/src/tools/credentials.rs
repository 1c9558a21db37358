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

/// The first argument of the program that was started anew.
const ON_STDIN: &str = "credentials-on-stdin";
/// What fits into a pipe that nobody reads yet, on every system.
const MOST_BYTES: usize = 16 << 10;

/// Variables that hold a credential whose name does not say so by its end.
const NAMES: [&str; 2] = ["NETRC", "AWS_ACCESS_KEY_ID"];
/// How the names of the others end.
const ENDS: [&str; 9] = [
    "TOKEN",
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

/// What stands in the place of a credential.
const HIDDEN: &str = "***";
const SHORTEST: usize = 6;

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
    !value.is_empty() && (is_secret(name) || name == AGENT || has_password(value))
}

/// A text for people in which no credential stands: no value that was taken out, and nobody's name
/// or password in an address.
pub fn hide(text: &str) -> String {
    let kept = KEPT.get().into_iter().flatten();
    let secrets = kept.filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| value.to_str());
    // The shortest would take innocent letters away.
    let secrets = secrets.map(str::trim).filter(|secret| secret.len() >= SHORTEST);
    let text = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("://") {
        let (scheme, after) = (&rest[..at], &rest[at + 3..]);
        hidden.push_str(&rest[..at + 3]);
        let userinfo = userinfo(after).unwrap_or_default();
        // The name that one logs in by over ssh is no secret.
        let is_name = scheme.ends_with("ssh") && !userinfo.contains(':');
        if !userinfo.is_empty() {
            hidden.push_str(if is_name { userinfo } else { HIDDEN });
        }
        rest = &after[userinfo.len()..];
    }
    hidden + rest
}

/// What stands before `@` in what follows the `://` of an address.
fn userinfo(rest: &str) -> Option<&str> {
    let ends = |c: char| "/?#`'\"<>".contains(c) || c.is_whitespace();
    let authority = rest.split(ends).next()?;
    authority.rsplit_once('@').map(|(userinfo, _)| userinfo)
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
fn has_password(value: &OsStr) -> bool {
    let value = value.to_string_lossy().to_lowercase();
    value.split("://").skip(1).any(|rest| userinfo(rest).is_some_and(|found| !found.is_empty()))
        || value.contains("authorization:")
        || value.contains("access-tokens")
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
            "SSH_AUTH_SOCK",
        ] {
            assert!(is(name, "x"), "{name}");
            assert!(!is(name, ""), "{name}");
        }
        for value in [
            "https://me:secret@host/simple",
            "https://token@host/simple",
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
        ] {
            assert!(!is(name, value), "{name}");
        }
    }

    #[test]
    fn addresses_are_printed_without_what_they_log_in_with() {
        for (text, hidden) in [
            (
                "see `https://me:pa@ss@host/x?y` and http://host",
                "see `https://***@host/x?y` and http://host",
            ),
            ("https://token@host", "https://***@host"),
            ("url = ssh://git@host/x", "url = ssh://git@host/x"),
            ("ssh://git:pass@host/x, git@host:x", "ssh://***@host/x, git@host:x"),
            ("https://host/a@b https://h mail@host", "https://host/a@b https://h mail@host"),
            ("https://a:b@h1,https://c@h2/", "https://***@h1,https://***@h2/"),
            ("://", "://"),
        ] {
            assert_eq!(hide(text), hidden, "{text}");
        }
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
