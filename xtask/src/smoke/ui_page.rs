//! The page of the web UI: it is that of the tree with the server's values in it, its scripts may
//! run, what it refers to is there, and it takes no code from another host.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ureq::Agent;

use super::context::Context;
use super::foreign::{Element, elements, in_page, in_policy};
use super::probe::{Checked, Finding};
use super::server::Server;
use super::tree::Part;
use crate::interrupt;

/// What the server puts values in the place of.
const PLACES: [&str; 6] = [
    "\"__TELEMETRY_ENABLED__\"",
    "BUILDTIME_ASSETPREFIX_REPLACE_ME",
    "NONCE-PLACEHOLDER",
    "__INSTANCE_ID__",
    "__LIVE_DATA_POLL_RATE__",
    "__PATH_PREFIX__",
];
/// Bytes that such a value may have: the longest is a UUID.
const LONGEST_VALUE: usize = 64;

/// Requests over connections that are kept.
pub struct Connections {
    agent: Agent,
    url: String,
    deadline: Duration,
}

/// One answer.
pub struct Answer {
    pub status: u16,
    /// `Content-Type`.
    pub kind: String,
    pub policy: String,
    pub body: Vec<u8>,
}

impl Connections {
    pub fn to(server: &Server) -> Self {
        let (url, deadline) = (server.url.clone(), server.sandbox.ceiling());
        Self { agent: agent(deadline), url, deadline }
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        interrupt::check()?;
        // A connection that was kept may have been closed meanwhile.
        self.get_by(&self.agent, path).or_else(|_| self.get_by(&agent(self.deadline), path))
    }

    fn get_by(&self, agent: &Agent, path: &str) -> Result<Answer> {
        let failed = || format!("failed to get `{path}`");
        let mut response = agent.get(format!("{}{path}", self.url)).call().with_context(failed)?;
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (kind, policy) = (header("content-type"), header("content-security-policy"));
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec();
        let body = body.with_context(failed)?;
        Ok(Answer { status: response.status().as_u16(), kind, policy, body })
    }
}

fn agent(deadline: Duration) -> Agent {
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(deadline))
        .build()
        .into()
}

/// Checks the page.
pub fn check(server: &Server, part: &Part, context: &Context<'_>) -> Checked {
    let connections = Connections::to(server);
    let answer = connections.get("/")?;
    if answer.status != 200 || !answer.kind.starts_with("text/html") {
        let found = format!("{} `{}`", answer.status, answer.kind);
        return Ok(Err(vec![Finding::new("`/`", "200 `text/html`", found)]));
    }
    let page = String::from_utf8_lossy(&answer.body);
    let paths = references(&page);
    if !paths.iter().any(|path| path_of(path).ends_with(".js")) {
        return Ok(Err(vec![Finding::new("`/`", "a page with scripts", "none")]));
    }
    let mut findings: Vec<Finding> = in_page(&page)
        .into_iter()
        .filter(|url| context.limits.foreign_code.iter().all(|entry| entry.url != *url))
        .map(|url| Finding::new("`/`", "no code of another host", format!("`{url}`")))
        .collect();
    findings.extend(check_policy(&answer.policy, &page));
    if let Some(dir) = part.web_ui() {
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        for (what, template, filled) in [
            ("`/`", read("index.html"), &*page),
            ("Content-Security-Policy of `/`", read("csp-header.txt"), &*answer.policy),
        ] {
            if let Err(found) = is_filled(&template, filled) {
                findings.push(Finding::new(what, "what is in the tree, with values", found));
            }
        }
    }
    for path in &paths {
        findings.extend(check_reference(&connections, path));
    }
    let found = format!("refers to {} files, takes no code from another host", paths.len());
    Ok(if findings.is_empty() { Ok(found) } else { Err(findings) })
}

/// The server answers a file that it does not have with the page and 200.
fn check_reference(connections: &Connections, path: &str) -> Option<Finding> {
    let what = format!("`{path}`, which `/` refers to");
    match connections.get(path) {
        Ok(answer)
            if answer.status == 200 && !answer.body.is_empty() && has_type(path, &answer.kind) =>
        {
            None
        }
        Ok(answer) => Some(Finding::new(
            what,
            format!("200 and {}", type_of(path)),
            format!("{} `{}`, {} bytes", answer.status, answer.kind, answer.body.len()),
        )),
        Err(error) => Some(Finding::new(what, "200", format!("{error:#}"))),
    }
}

/// Checks that the policy lets each script of the page run, and code of no other host.
fn check_policy(policy: &str, page: &str) -> Vec<Finding> {
    let what = "Content-Security-Policy of `/`";
    let mut findings: Vec<Finding> = in_policy(policy)
        .into_iter()
        .map(|source| Finding::new(what, "no code of another host", format!("`{source}`")))
        .collect();
    let nonce = policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\''));
    let Some((nonce, _)) = nonce else {
        findings.push(Finding::new(what, "a nonce for scripts", format!("`{policy}`")));
        return findings;
    };
    let scripts = elements(page).into_iter().filter(Element::is_script);
    let without = scripts.filter(|script| script.attribute("nonce") != Some(nonce)).count();
    if without > 0 {
        let found = format!("{without} without it");
        findings.push(Finding::new("scripts of `/`", "each with the nonce of its policy", found));
    }
    findings
}

/// Is this text the template with values in its places? `Err`: where it says something else.
fn is_filled(template: &str, text: &str) -> Result<(), String> {
    let (mut open, mut rest) = (Some(template.trim_end()), text.trim_end());
    // Before the first piece nothing may stand.
    let mut longest = 0;
    while let Some(template) = open {
        let place =
            PLACES.iter().filter_map(|place| Some((template.find(place)?, place.len()))).min();
        let (piece, at) = match place {
            Some((at, _)) => (&template[..at], rest.find(&template[..at])),
            None => (template, rest.strip_suffix(template).map(str::len)),
        };
        let Some(at) = at.filter(|at| *at <= longest) else {
            let start: String = rest.chars().take(80).collect();
            return Err(format!("something else from `{start}` on"));
        };
        rest = &rest[at + piece.len()..];
        open = place.map(|(at, length)| &template[at + length..]);
        longest = LONGEST_VALUE;
    }
    Ok(())
}

/// The files of the server that a page refers to: paths in `src` and `href`.
fn references(html: &str) -> BTreeSet<String> {
    let of = |element: &Element<'_>| {
        let is_link = element.name == "a";
        let values = ["src", "href"].map(|name| element.attribute(name).map(str::to_owned));
        values.into_iter().flatten().filter(move |_| !is_link).collect::<Vec<_>>()
    };
    let paths = elements(html).iter().flat_map(of).collect::<Vec<_>>();
    let is_own = |path: &String| path.starts_with('/') && !path.starts_with("//");
    paths.into_iter().filter(is_own).map(|path| path.replace("&amp;", "&")).collect()
}

/// Does a content type fit the name of a file? Lenient: the server asks the system's table.
pub fn has_type(path: &str, kind: &str) -> bool {
    match type_of(path) {
        "a page" => kind.starts_with("text/html"),
        "a script" => kind.contains("javascript"),
        "a style sheet" => kind.starts_with("text/css"),
        "an image" => kind.starts_with("image/"),
        "JSON" => kind.contains("json"),
        _ => !kind.starts_with("text/html"),
    }
}

/// What a file must be, by its name.
pub fn type_of(path: &str) -> &'static str {
    match path_of(path).rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "a page",
        "js" | "mjs" => "a script",
        "css" => "a style sheet",
        "gif" | "ico" | "jpg" | "png" | "svg" | "webp" => "an image",
        "json" => "JSON",
        _ => "no page",
    }
}

fn path_of(reference: &str) -> &str {
    reference.split(['?', '#']).next().unwrap_or(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_refer_to_files() {
        let html = r#"<link rel="x" href="/_next/a.css"/><script src='/_next/b.js?x=1&amp;y' async>
            </script><a href="https://example.invalid/">x</a><a href="/runs"><img
            data-src="/no.png" src="/icon.png"><script src=//example.invalid/c.js></script>"#;
        let paths: Vec<String> = references(html).into_iter().collect();
        assert_eq!(paths, ["/_next/a.css", "/_next/b.js?x=1&y", "/icon.png"]);
        assert!(path_of(&paths[1]).ends_with(".js"));
        assert!(has_type(&paths[1], "text/javascript; charset=utf-8"));
        assert!(has_type("/a.webmanifest", "application/octet-stream"));
        for (path, kind) in [
            ("/a.js", "text/plain"),
            ("/a.png", "text/html"),
            ("/a", "text/html"),
            ("/a.html", "text/plain"),
            ("/a.json", "text/plain"),
        ] {
            assert!(!has_type(path, kind), "{path} {kind}");
        }
    }

    #[test]
    fn templates_are_filled() {
        let template =
            "<a b=\"__PATH_PREFIX__/c\" n='NONCE-PLACEHOLDER'>\"__TELEMETRY_ENABLED__\"\n";
        for text in ["<a b=\"/c\" n='12'>false", "<a b=\"/x/c\" n=''>\"no\"\n"] {
            assert_eq!(is_filled(template, text), Ok(()));
        }
        assert_eq!(is_filled("a", "a"), Ok(()));
        let long = "a".repeat(LONGEST_VALUE + 1);
        for (template, text, start) in [
            (template, "", ""),
            (template, "x<a b=\"/c\" n='1'>false", "x<a b=\"/c\" n='1'>false"),
            (template, "<a b=\"/c\">false", "/c\">false"),
            ("<a>", "<b>", "<b>"),
            ("a NONCE-PLACEHOLDER", &format!("a {long}"), &long),
        ] {
            let expected = format!("something else from `{start}` on");
            assert_eq!(is_filled(template, text), Err(expected));
        }
    }

    #[test]
    fn scripts_need_the_nonce() {
        let check = |policy: &str| {
            let findings = check_policy(
                policy,
                "<script nonce=\"1\"></script><script type=\"application/json\">",
            );
            findings.iter().map(|finding| finding.found.clone()).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(check("script-src 'nonce-1' 'self'"), "");
        assert_eq!(check("script-src 'nonce-2'"), "1 without it");
        assert_eq!(check("script-src 'self'"), "`script-src 'self'`");
    }
}
