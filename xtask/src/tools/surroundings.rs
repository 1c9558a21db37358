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

/// A name, or with `*` how names start: not for what upstream's code runs below.
type Names = &'static [&'static str];

const EVERYWHERE: Names = &[
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TZ",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NUMERIC",
    "LC_TIME",
    "LOCALE_ARCHIVE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_DIRS",
    // libraries and tools of the system, where they are not at their usual places
    "LD_LIBRARY_PATH",
    "NIX_LD",
    "NIX_LD_x86_64_linux",
    "NIX_LD_aarch64_linux",
    "NIX_LD_LIBRARY_PATH",
    "NIX_LD_LIBRARY_PATH_x86_64_linux",
    "NIX_LD_LIBRARY_PATH_aarch64_linux",
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
    "TERM",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "VIRTUAL_ENV",
    "PYENV_*",
    "PRE_COMMIT_*",
];
/// What makes git say more than it was asked, or work on another repository than this one: that is
/// for somebody's own git, or for the one that runs this program (`git rev-parse --local-env-vars`;
/// settings by `GIT_CONFIG_*` are kept).
const NOT_FOR_GIT: Names = &[
    "GIT_TRACE*",
    "GIT_CURL_VERBOSE",
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_ATTR_SOURCE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];
/// For whatever talks to git's remote over HTTP: one that says nothing for a minute is given up.
/// git by itself waits for ever.
const SILENCE: [(&str, &str); 2] =
    [("GIT_HTTP_LOW_SPEED_LIMIT", "1"), ("GIT_HTTP_LOW_SPEED_TIME", "60")];
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
    "TERM",
    "RUST_*",
];
const PIP: Names = &["PIP_*", "PYTHON*", "PYENV_*", "VIRTUAL_ENV"];
/// How Nix finds its settings, its store and its daemon.
const NIX: Names = &[
    NIX_SETTINGS,
    "NIX_CONF_DIR",
    "NIX_USER_CONF_FILES",
    "NIX_PATH",
    "NIX_REMOTE",
    "NIX_DAEMON_SOCKET_PATH",
    "NIX_SSHOPTS",
    "NIX_PROFILES",
    "NIX_STORE",
    "NIX_STORE_DIR",
    "NIX_STATE_DIR",
    "NIX_LOCALSTATE_DIR",
    "NIX_LOG_DIR",
    "NIX_DATA_DIR",
    "NIX_BIN_DIR",
    "NIX_CACHE_HOME",
    "NIX_CONFIG_HOME",
    "NIX_DATA_HOME",
    "NIX_STATE_HOME",
    "NIX_IGNORE_SYMLINK_STORE",
    "NIX_BUILD_CORES",
];

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
        is_one_of(name, self.names()) && !is_one_of(name, NOT_FOR_GIT.iter().copied())
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
    if matches!(program, Program::Git | Program::FloxHub) {
        let is_unset = |(name, _): &(&str, &str)| std::env::var_os(name).is_none();
        command.envs(SILENCE.into_iter().filter(is_unset));
    }
    let is_given = |name: &OsString| program.is_given(name) && !own.contains(name);
    for (name, value) in credentials::settings().filter(|(name, _)| is_given(name)) {
        if name == NIX_SETTINGS {
            command.env(name, without_credentials(&value.to_string_lossy()));
        } else if program != Program::FloxBuild {
            command.env(name, value);
        }
    }
}

/// Names of the variables that a build would be given, were there no credential in them.
pub fn withheld_from_builds() -> Vec<String> {
    let is_missed = |name: &OsString, value: &OsString| {
        Program::FloxBuild.is_given(name)
            // Nobody misses the tokens of others.
            && (name != NIX_SETTINGS
                || value.to_string_lossy().lines().any(|line| {
                    !line.contains("access-tokens") && credentials::has_any(line)
                }))
    };
    let withheld = credentials::settings().filter(|(name, value)| is_missed(name, value));
    withheld.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

/// Nix's settings but those lines that have a credential in them.
fn without_credentials(settings: &str) -> String {
    settings.split_inclusive('\n').filter(|line| !credentials::has_any(line)).collect()
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
            ("LC_MY", &[]),
            ("XDG_NOTE", &[]),
            ("NIX_GITHUB_PAT", &[]),
            ("TERM", &[Git, FloxHub]),
            ("https_proxy", &all),
            ("GIT_SSH_COMMAND", &[Git, FloxHub]),
            ("GIT_CONFIG_COUNT", &[Git, FloxHub]),
            ("GIT_TRACE2_EVENT", &[]),
            ("GIT_DIR", &[]),
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
        let settings = "experimental-features = flakes\nextra-access-tokens = github.com=x\n\
                        extra-substituters = https://me:x@cache\nsubstituters = https://c?token=x\n\
                        impure-env = A=x\nextra-trusted-public-keys = cache-1:x=\na = b";
        assert_eq!(
            without_credentials(settings),
            "experimental-features = flakes\nextra-trusted-public-keys = cache-1:x=\na = b"
        );
    }

    #[test]
    fn a_silent_remote_is_given_up() {
        for (program, expected) in
            [(Program::Git, true), (Program::FloxHub, true), (Program::FloxBuild, false)]
        {
            let mut command = Command::new("x");
            give(&mut command, program);
            let envs: Vec<_> = command.get_envs().collect();
            for (name, value) in SILENCE {
                let is_set = envs.contains(&(name.as_ref(), Some(value.as_ref())));
                assert_eq!(is_set, expected, "{program:?} {name}");
            }
        }
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
