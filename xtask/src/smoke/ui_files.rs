//! The files of the web UI: the page, and what it refers to.

use std::collections::BTreeSet;

use super::probe::{Checked, Finding};
use super::server::Server;
use crate::interrupt;

/// Checks that the page is served, and each file that it refers to, with the right type.
pub fn check(server: &Server) -> Checked {
    let page = server.get("/")?;
    if page.status != 200 || !page.is_html() {
        let found = format!("{} `{}`", page.status, page.kind);
        return Ok(Err(vec![Finding::new("`/`", "200 `text/html`", found)]));
    }
    let paths = references(&page.body);
    if !paths.iter().any(|path| path_of(path).ends_with(".js")) {
        return Ok(Err(vec![Finding::new("`/`", "a page with scripts", "none")]));
    }
    let mut findings = Vec::new();
    for path in &paths {
        interrupt::check()?;
        // The server answers a file it does not have with the page and 200.
        match server.get(path) {
            Ok(answer)
                if answer.status == 200
                    && !answer.body.is_empty()
                    && has_type(path, &answer.kind) => {}
            Ok(answer) => findings.push(Finding::new(
                format!("`{path}`"),
                format!("200 and {}", type_of(path)),
                format!("{} `{}`, {} bytes", answer.status, answer.kind, answer.body.len()),
            )),
            Err(error) => {
                findings.push(Finding::new(format!("`{path}`"), "200", format!("{error:#}")));
            }
        }
    }
    Ok(if findings.is_empty() { Ok(format!("{} files", paths.len())) } else { Err(findings) })
}

/// The files of the server that a page refers to: paths in `src` and `href`.
fn references(html: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for attribute in ["src=", "href="] {
        for (at, _) in html.match_indices(attribute) {
            let before = html[..at].chars().next_back();
            let rest = &html[at + attribute.len()..];
            let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))
            else {
                continue;
            };
            let Some((value, _)) = rest[1..].split_once(quote) else { continue };
            let is_attribute = before.is_some_and(char::is_whitespace);
            if is_attribute && value.starts_with('/') && !value.starts_with("//") {
                paths.insert(value.replace("&amp;", "&"));
            }
        }
    }
    paths
}

/// Does a content type fit the name of a file? Lenient: the server asks the system's table.
fn has_type(path: &str, kind: &str) -> bool {
    match type_of(path) {
        "a script" => kind.contains("javascript"),
        "a style sheet" => kind.starts_with("text/css"),
        "an image" => kind.starts_with("image/"),
        _ => !kind.starts_with("text/html"),
    }
}

/// What a file must be, by its name.
fn type_of(path: &str) -> &'static str {
    match path_of(path).rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" | "mjs" => "a script",
        "css" => "a style sheet",
        "gif" | "ico" | "jpg" | "png" | "svg" | "webp" => "an image",
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
            <a href="https://example.invalid/">x</a><a href="//example.invalid/c.js">
            <img data-src="/no.png" src="/icon.png"><script src=/unquoted.js>"#;
        let paths: Vec<String> = references(html).into_iter().collect();
        assert_eq!(paths, ["/_next/a.css", "/_next/b.js?x=1&y", "/icon.png"]);
        assert!(path_of(&paths[1]).ends_with(".js"));
        assert!(has_type(&paths[1], "text/javascript; charset=utf-8"));
        assert!(has_type("/a.webmanifest", "application/octet-stream"));
        for (path, kind) in [("/a.js", "text/plain"), ("/a.png", "text/html"), ("/a", "text/html")]
        {
            assert!(!has_type(path, kind), "{path} {kind}");
        }
    }
}
