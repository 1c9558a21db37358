//! Where credentials stand in a text: before the `@` of an address, and in its query.
//!
//! Addresses are found by their looks, for a malformed one is printed most of all: by the program
//! that cannot read it. In doubt it is a credential.

/// What stands in the place of a credential.
pub const HIDDEN: &str = "***";

/// Schemes after which one slash or none is a slip.
const SCHEMES: [&str; 7] = ["http", "https", "ftp", "socks", "socks4", "socks5", "socks5h"];
/// What an address is printed between, besides white space.
const QUOTES: &str = "`'\"<>";
/// What stands between the parameters of a query.
const BETWEEN: [char; 4] = ['?', '&', ';', '#'];
/// What the name of a parameter has in it whose value is a credential.
const SECRET_PARTS: [&str; 9] = [
    "token",
    "secret",
    "passw",
    "passphrase",
    "signature",
    "credential",
    "accesskey",
    "apikey",
    "authorization",
];
/// Whole names of such parameters.
const SECRET_NAMES: [&str; 7] = ["sig", "auth", "pass", "pwd", "pat", "jwt", "sas"];

/// A text without its credentials, and what these are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read<'t> {
    pub shown: String,
    pub found: Vec<&'t str>,
}

/// Reads a text for people, in which addresses stand among other words.
pub fn text(text: &str) -> Read<'_> {
    let mut read = Read::default();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let start = rest.find(|c| !is_end(c)).unwrap_or(rest.len());
            let (before, after) = rest.split_at(start);
            let (word, after) = after.split_at(end_of_word(after));
            read.shown.push_str(before);
            read.word(word);
            rest = after;
        }
    }
    read
}

/// Reads what is known to be an address, or several with commas between them.
pub fn address(text: &str) -> Read<'_> {
    let mut read = Read::default();
    read.word(text);
    read
}

impl<'t> Read<'t> {
    fn word(&mut self, mut rest: &'t str) {
        while !rest.is_empty() {
            let ends = rest.match_indices([',', ';', '|']).map(|(at, end)| at + end.len());
            let mut next = ends.filter(|at| starts_with_scheme(&rest[*at..]));
            let (one, others) = rest.split_at(next.next().unwrap_or(rest.len()));
            self.one(one);
            rest = others;
        }
    }

    fn one(&mut self, text: &'t str) {
        if let Some(start) = after_scheme(text) {
            let (scheme, rest) = text.split_at(start);
            self.shown.push_str(scheme);
            match rest.rfind('@') {
                // A path of this machine.
                _ if scheme.contains("file://") && rest.starts_with('/') => self.query(rest),
                Some(at) if is_name(scheme, &rest[..at]) => self.query(rest),
                Some(at) => {
                    self.hide(&rest[..at]);
                    self.query(&rest[at..]);
                }
                None if has_port(rest) => self.query(rest),
                // The rest of it was lost.
                None => {
                    let (host, secret) = rest.split_once(':').unwrap_or_default();
                    self.shown.push_str(host);
                    self.shown.push(':');
                    self.hide(secret);
                }
            }
            return;
        }
        if let Some((name, value)) = text.split_once('=')
            && is_identifier(name)
            && !value.is_empty()
        {
            self.shown.push_str(name);
            self.shown.push('=');
            return self.one(value);
        }
        match text.rfind('@').filter(|at| is_login(&text[..*at], &text[at + 1..])) {
            Some(at) => {
                self.hide(&text[..at]);
                self.query(&text[at..]);
            }
            None => self.query(text),
        }
    }

    /// Parameters whose names say that their values are credentials.
    fn query(&mut self, text: &'t str) {
        let mut parts = text.split_inclusive(BETWEEN);
        self.shown.push_str(parts.next().unwrap_or_default());
        let mut is_hidden = false;
        for part in parts {
            let (parameter, end) = part.split_at(part.trim_end_matches(BETWEEN).len());
            match parameter.split_once('=') {
                // The rest of a value that has such a sign in it.
                _ if is_hidden => {}
                Some((name, value)) if is_secret(name) && !value.is_empty() => {
                    self.shown.push_str(name);
                    self.shown.push('=');
                    self.hide(value);
                    is_hidden = true;
                }
                _ => self.shown.push_str(parameter),
            }
            is_hidden &= !end.ends_with('&');
            self.shown.push_str(if is_hidden { "" } else { end });
        }
    }

    fn hide(&mut self, secret: &'t str) {
        self.shown.push_str(if secret.is_empty() { "" } else { HIDDEN });
        self.found.extend(Some(secret).filter(|secret| !secret.is_empty()));
    }
}

/// Does the name of a variable, a setting or a parameter say that its value is a credential?
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace(['-', '_', '.'], "");
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || SECRET_NAMES.contains(&name.as_str())
        || name.ends_with("key")
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || c.is_control() || QUOTES.contains(c)
}

/// A word ends at white space and quotes. A password that was not escaped may have a space in it:
/// what looks like a port and is none goes on up to the last `@`.
fn end_of_word(rest: &str) -> usize {
    let end = rest.find(is_end).unwrap_or(rest.len());
    let Some(start) = after_scheme(&rest[..end]) else { return end };
    let address = &rest[start..end];
    if address.contains('@') || has_port(address) {
        return end;
    }
    let quote = |c: char| c.is_control() || QUOTES.contains(c);
    let quoted = &rest[..rest.find(quote).unwrap_or(rest.len())];
    match quoted.rfind('@').filter(|at| *at > end) {
        Some(at) => at + rest[at..].find(is_end).unwrap_or(rest.len() - at),
        None => end,
    }
}

/// Where an address goes on after its scheme, `://` included.
fn after_scheme(text: &str) -> Option<usize> {
    let is_slip = |at: &usize| {
        let scheme = text[..*at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        scheme.is_some_and(|scheme| SCHEMES.contains(&scheme.to_lowercase().as_str()))
    };
    let at = text.find("://").or_else(|| text.find(":/").filter(is_slip))?;
    let slashes = text[at + 1..].len() - text[at + 1..].trim_start_matches('/').len();
    // More than two are the start of a path, or one more slip.
    let is_file = text[..at].ends_with("file");
    Some(at + 1 + if is_file { slashes.min(2) } else { slashes })
}

fn starts_with_scheme(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// The name that one logs in by over ssh is no secret.
fn is_name(scheme: &str, userinfo: &str) -> bool {
    scheme.ends_with("ssh://") && !userinfo.contains([':', '/', '?', '#', '@'])
}

/// Is what stands after the host's colon a port, if there is such a colon?
fn has_port(address: &str) -> bool {
    let authority = address.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host_end = authority.rfind(']').unwrap_or(0);
    let Some((_, port)) = authority[host_end..].split_once(':') else { return true };
    let port = port.trim_end_matches(|c: char| !c.is_alphanumeric());
    port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Has what stands before `@`, in a word without a scheme, the shape `user:secret`? An address of
/// mail has not, nor `git@host:path`, nor a list of directories.
fn is_login(before: &str, after: &str) -> bool {
    let Some((user, secret)) = before.split_once(':') else { return false };
    let is_host = after.starts_with(|c: char| c.is_alphanumeric() || c == '[');
    !user.is_empty()
        && !user.contains('/')
        && !user.starts_with("git@")
        && user != "mailto"
        && !secret.is_empty()
        && is_host
        && !is_version(after)
}

/// As in `npm:left-pad@1.2.3`; an address in numbers has four.
fn is_version(text: &str) -> bool {
    let text = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.split('.').all(is_number) && text.split('.').count() != 4
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &str) -> String {
        text(words).shown
    }

    #[test]
    fn addresses_are_shown_without_what_they_log_in_with() {
        for (text, hidden) in [
            (
                "see `https://me:pa@ss@host/x?y` and http://host",
                "see `https://***@host/x?y` and http://host",
            ),
            ("https://token@host", "https://***@host"),
            ("url = ssh://git@host/x", "url = ssh://git@host/x"),
            ("ssh://git:pass@host/x, git@host:x", "ssh://***@host/x, git@host:x"),
            ("https://host/a@b https://h mail@host", "https://***@b https://h mail@host"),
            ("https://a:b@h1,https://c@h2/", "https://***@h1,https://***@h2/"),
            ("://", "://"),
        ] {
            assert_eq!(shown(text), hidden, "{text}");
        }
    }

    #[test]
    fn malformed_addresses_are_shown_without_it_too() {
        for (text, hidden) in [
            ("`http://me:PW/x@h:9/r`: no", "`http://***@h:9/r`: no"),
            ("`http://me:PW#x@h:9/r`: no", "`http://***@h:9/r`: no"),
            ("`http://me:PW?x@h:9/r`: no", "`http://***@h:9/r`: no"),
            ("`http://me:PW x@h:9/r`: no", "`http://***@h:9/r`: no"),
            ("`http://me:1/x@h:9/r`: no", "`http://***@h:9/r`: no"),
            ("`http://[me:PW@h:9/r`", "`http://***@h:9/r`"),
            ("http:/me:PW@h:9", "http:/***@h:9"),
            ("http:///me:PW@h:9", "http:///***@h:9"),
            ("http:me:PW@h:9", "***@h:9"),
            ("me:PW@h:9", "***@h:9"),
            ("HTTPS_PROXY=me:PW@h:9", "HTTPS_PROXY=***@h:9"),
            ("me@corp:PW@h", "***@h"),
            ("me:PW@127.0.0.1/x", "***@127.0.0.1/x"),
            ("cut off: http://me:PW", "cut off: http://me:***"),
        ] {
            assert_eq!(shown(text), hidden, "{text}");
        }
    }

    #[test]
    fn queries_are_shown_without_credentials() {
        for (text, hidden) in [
            ("http://h/x?access_token=PW&a=b", "http://h/x?access_token=***&a=b"),
            ("/x?a=b&private_token=PW: no", "/x?a=b&private_token=***"),
            ("`https://h/?X-Amz-Signature=PW`", "`https://h/?X-Amz-Signature=***`"),
            ("https://h/?sig=P#W?x&b=c", "https://h/?sig=***&b=c"),
            ("https://cache?secret=PW", "https://cache?secret=***"),
            ("https://h/?AWSAccessKeyId=PW&key=PW", "https://h/?AWSAccessKeyId=***&key=***"),
            ("https://h/x?rev=1&narHash=x#auth", "https://h/x?rev=1&narHash=x#auth"),
        ] {
            assert!(shown(text).starts_with(hidden), "{text}: {}", shown(text));
            assert!(!shown(text).contains("PW"), "{text}");
        }
    }

    #[test]
    fn what_is_no_credential_is_left_alone() {
        for text in [
            "git@github.com:owner/repo",
            "Name <me@host> and mailto:me@host",
            "org/dagster@1.2.3 (x86_64-linux only)",
            "npm:left-pad@1.2.3, dagster@1.2.3: done",
            "http://127.0.0.1:3000, (http://h:80) http://[::1]:80/x http://h:: http://h:80\\n",
            "/usr/bin:/opt/python@3.12/bin",
            "file:///srv/me@host/x git+file:///a:b@c",
            "/nix/store/abc-python3.12-dagster@1: x",
            "12:30 a=b & c; d? e",
        ] {
            assert_eq!(shown(text), text);
            assert_eq!(super::text(text).found, Vec::<&str>::new());
        }
    }

    #[test]
    fn what_is_known_to_be_an_address_has_one_password() {
        let read = address("me:PW x@h:9");
        assert_eq!((read.shown.as_str(), read.found), ("***@h:9", vec!["me:PW x"]));
        assert_eq!(address("git@h:a/b").found, Vec::<&str>::new());
    }
}
