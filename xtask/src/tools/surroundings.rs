//! Which variables of the caller's environment each program is given: those that it needs to find
//! its way, by name, and no others. What somebody keeps a secret in may have any name.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::credentials;

/// Whom an environment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Git,
    Pip,
    /// flox where it builds: upstream's code runs below it.
    FloxBuild,
    /// flox where it asks FloxHub, or publishes; it asks git's remote as well.
    FloxHub,
    /// Anything else.
    Other,
}

/// A name, or with `*` how names start.
type Names = &'static [&'static str];

const EVERYWHERE: Names = &[
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TZ",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOCALE_ARCHIVE",
    "XDG_*",
    // libraries and tools of the system, where they are not at their usual places
    "LD_LIBRARY_PATH",
    "NIX_LD*",
    "DEVELOPER_DIR",
    "SDKROOT",
    "__CF_USER_TEXT_ENCODING",
    // how the network is reached, and whom one believes there
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
];
/// With the ways to ask a person for a password, and what hooks find their Python by.
const GIT: Names = &[
    "GIT_*",
    "SSH_*",
    "GPG_*",
    "GNUPGHOME",
    "KRB5*",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "VIRTUAL_ENV",
    "PYENV_*",
    "PRE_COMMIT_*",
];
/// What this program looks at itself, or is looked for in it by the libraries it is made of.
const OWN: Names = &[
    "XTASK_*",
    "GITHUB_API_URL",
    "GITHUB_SERVER_URL",
    "GITHUB_OUTPUT",
    "GITHUB_STEP_SUMMARY",
    "CI",
    "NO_COLOR",
    "CLICOLOR*",
    "COLORTERM",
    "RUST_*",
];
const PIP: Names = &["PIP_*", "PYTHON*", "PYENV_*", "VIRTUAL_ENV"];
const NIX: Names = &["NIX_*"];

/// Nix's own settings, one a line; the tokens among them are for whoever asked for them.
const NIX_SETTINGS: &str = "NIX_CONFIG";

impl Program {
    /// Whom a command runs.
    pub fn of(command: &Command) -> Self {
        match command.get_program().to_str() {
            Some("git") => Self::Git,
            Some("python3") => Self::Pip,
            _ => Self::Other,
        }
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        let lists: &[Names] = match self {
            Self::Git => &[EVERYWHERE, GIT],
            Self::Pip => &[EVERYWHERE, PIP],
            Self::FloxBuild | Self::Other => &[EVERYWHERE, NIX],
            Self::FloxHub => &[EVERYWHERE, NIX, GIT],
        };
        lists.iter().copied().flatten().copied()
    }

    fn is_given(self, name: &OsStr) -> bool {
        is_one_of(name, self.names())
    }
}

fn is_one_of(name: &OsStr, mut names: impl Iterator<Item = &'static str>) -> bool {
    let Some(name) = name.to_str() else { return false };
    names.any(|known| match known.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        // Proxies are written either way.
        None => name == known || known.ends_with("_PROXY") && name.to_uppercase() == known,
    })
}

/// Is a variable for this program, or for any that it runs? What is not may be a secret, and what
/// this program was started with can be read in `/proc` by whoever may.
pub fn is_anyones(name: &OsStr) -> bool {
    is_one_of(name, [EVERYWHERE, GIT, PIP, NIX, OWN].concat().into_iter())
}

/// Sets the environment of a command that was given none but single variables of its own.
pub fn give(command: &mut Command, program: Program) {
    let own: Vec<OsString> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for (name, _) in std::env::vars_os().filter(|(name, _)| !own.contains(name)) {
        if !program.is_given(&name) {
            command.env_remove(&name);
        }
    }
    let is_given = |name: &OsString| program.is_given(name) && !own.contains(name);
    for (name, value) in credentials::settings().filter(|(name, _)| is_given(name)) {
        if name == NIX_SETTINGS {
            command.env(name, without_tokens(&value.to_string_lossy()));
        } else {
            command.env(name, value);
        }
    }
}

fn without_tokens(settings: &str) -> String {
    let is_harmless = |line: &&str| !line.to_lowercase().contains("access-tokens");
    settings.split_inclusive('\n').filter(is_harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_is_given_its_own() {
        use Program::{FloxBuild, FloxHub, Git, Other, Pip};
        let all = [Git, Pip, FloxBuild, FloxHub, Other];
        for (name, expected) in [
            ("PATH", &all[..]),
            ("LC_CTYPE", &all),
            ("https_proxy", &all),
            ("GIT_SSH_COMMAND", &[Git, FloxHub]),
            ("SSH_AUTH_SOCK", &[Git, FloxHub]),
            ("DBUS_SESSION_BUS_ADDRESS", &[Git, FloxHub]),
            ("PIP_INDEX_URL", &[Pip]),
            ("PYTHONPATH", &[Pip]),
            ("NIX_CONFIG", &[FloxBuild, FloxHub, Other]),
            ("AWS_PROFILE", &[]),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &[]),
            ("npm_config__auth", &[]),
            ("RUST_BACKTRACE", &[]),
            ("FLOX_CONFIG_DIR", &[]),
            ("MY_NOTE", &[]),
        ] {
            let given: Vec<Program> =
                all.into_iter().filter(|program| program.is_given(name.as_ref())).collect();
            assert_eq!(given, expected, "{name}");
            assert!(is_anyones(name.as_ref()) || expected.is_empty(), "{name}");
        }
        for (name, expected) in [("CI", true), ("XTASK_ALLOW_SKIP", true), ("MY_NOTE", false)] {
            assert_eq!(is_anyones(name.as_ref()), expected, "{name}");
        }
    }

    #[test]
    fn settings_of_nix_lose_their_tokens() {
        let settings = "experimental-features = flakes\nextra-access-tokens = github.com=x\na = b";
        assert_eq!(without_tokens(settings), "experimental-features = flakes\na = b");
    }

    #[test]
    fn what_a_command_sets_itself_stays() {
        let mut command = Command::new("git");
        command.env("GIT_INDEX_FILE", "x").env("ODD", "y").env_remove("PATH");
        let program = Program::of(&command);
        give(&mut command, program);
        let envs: Vec<(&OsStr, Option<&OsStr>)> = command.get_envs().collect();
        for expected in [("GIT_INDEX_FILE", Some("x")), ("ODD", Some("y")), ("PATH", None)] {
            let expected = (OsStr::new(expected.0), expected.1.map(OsStr::new));
            assert!(envs.contains(&expected), "{envs:?}");
        }
    }
}
