//! The files of the web UI: each one that the distribution recorded, lazily loaded ones too, is
//! served by the running server, whole and as what it is, and takes no code from another host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::context::Context;
use super::foreign::{in_page, in_script, in_style};
use super::probe::{Checked, Finding};
use super::server::Server;
use super::tree::Part;
use super::ui_chunks;
use super::ui_page::{Answer, Connections, has_type, type_of};

/// Where the UI is, in the distribution.
const PLACE: &str = "dagster_webserver/webapp/build/";
/// Files that are asked for at the same time. The server answers one after the other.
const PARALLEL: usize = 4;
/// Findings that are told one by one.
const SHOWN: usize = 5;

/// Reads the paths of files in a script, or says why it cannot.
type Named = fn(&str) -> Result<Vec<String>, String>;

/// A file that a distribution recorded.
#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    /// Below [`PLACE`].
    path: String,
    /// As `sha256=…`.
    hash: String,
    /// Bytes.
    size: String,
}

/// Checks every file that RECORD of dagster-webserver lists for the UI.
pub fn check(server: &Server, part: &Part, context: &Context<'_>) -> Checked {
    let Some(ui) = part.web_ui() else { anyhow::bail!("expected a part with dagster-webserver") };
    let site = ui.ancestors().nth(3).unwrap_or(&ui);
    let files = recorded(site)?;
    if files.is_empty() {
        let what = format!("RECORD of dagster-webserver in `{}`", site.display());
        let expected = format!("files below `{PLACE}`");
        return Ok(Err(vec![Finding::new(what, expected, "none")]));
    }
    let is_allowed = |url: &str| context.limits.foreign_code.iter().any(|entry| entry.url == url);
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let findings = Mutex::new(Vec::new());
    let connections = Connections::to(server);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = match connections.get(&url_path(&file.path)) {
                        Ok(answer) => {
                            bytes.fetch_add(answer.body.len(), Ordering::Relaxed);
                            check_file(file, &answer, is_allowed)
                        }
                        Err(error) => vec![file.finding("an answer", format!("{error:#}"))],
                    };
                    if let Ok(mut findings) = findings.lock() {
                        findings.extend(found);
                    }
                }
            });
        }
    });
    crate::interrupt::check()?;
    let megabytes = bytes.into_inner() / 1_000_000;
    let mut findings = findings.into_inner().unwrap_or_default();
    let named = match check_named(&files, |path| fs::read_to_string(ui.join(path)).ok()) {
        Ok(named) => named,
        Err(missing) => {
            findings.extend(missing);
            String::new()
        }
    };
    let found = format!("{} files as recorded, {megabytes} MB; {named}", files.len());
    Ok(if findings.is_empty() { Ok(found) } else { Err(few(findings, files.len())) })
}

/// Checks that what the UI may load later is recorded, too; says how many files that are, or which
/// map of them cannot be read.
fn check_named(
    files: &[Recorded],
    read: impl Fn(&str) -> Option<String>,
) -> Result<String, Vec<Finding>> {
    let paths: BTreeSet<&str> = files.iter().map(|file| &*file.path).collect();
    let (mut count, mut findings) = (0, Vec::new());
    let mut words = Vec::new();
    for (is_map, of, what) in [
        (ui_chunks::is_runtime as fn(&str) -> bool, ui_chunks::named_by_runtime as Named, "chunks"),
        (ui_chunks::is_manifest, ui_chunks::named_by_manifest, "pages"),
    ] {
        let maps: Vec<&&str> = paths.iter().filter(|path| is_map(path)).collect();
        if maps.is_empty() {
            words.push(format!("no map of {what} is known"));
        }
        for map in maps {
            // One that is not there is a finding already.
            let Some(script) = read(map) else { continue };
            match of(&script) {
                Ok(named) => {
                    count += named.len();
                    let missing = named.into_iter().filter(|path| !paths.contains(&**path));
                    findings.extend(missing.map(|path| {
                        let what = format!("`/{path}` of the web UI, which `/{map}` names");
                        Finding::new(what, "a file that RECORD lists", "none")
                    }));
                }
                Err(why) => words.push(format!("the map in `/{map}` cannot be read: {why}")),
            }
        }
    }
    words.insert(0, format!("{count} of them are named by maps of what is loaded later"));
    if findings.is_empty() { Ok(words.join("; ")) } else { Err(findings) }
}

fn check_file(file: &Recorded, answer: &Answer, is_allowed: impl Fn(&str) -> bool) -> Vec<Finding> {
    if answer.status != 200 {
        return vec![file.finding("200", answer.status.to_string())];
    }
    let hash = format!("sha256={}", URL_SAFE_NO_PAD.encode(Sha256::digest(&answer.body)));
    if hash != file.hash {
        let expected = format!("the {} bytes that RECORD lists", file.size);
        let found = format!("{} others, `{}`", answer.body.len(), answer.kind);
        return vec![file.finding(&expected, found)];
    }
    let mut findings = Vec::new();
    if !has_type(&file.path, &answer.kind) {
        findings.push(file.finding(type_of(&file.path), format!("`{}`", answer.kind)));
    }
    let text = String::from_utf8_lossy(&answer.body);
    let foreign = match type_of(&file.path) {
        "a page" => in_page(&text),
        "a script" => in_script(&text),
        "a style sheet" => in_style(&text),
        _ => Vec::new(),
    };
    findings.extend(
        foreign
            .into_iter()
            .filter(|url| !is_allowed(url))
            .map(|url| file.finding("no code of another host", format!("`{url}`"))),
    );
    findings
}

impl Recorded {
    fn finding(&self, expected: &str, found: String) -> Finding {
        Finding::new(format!("`/{}` of the web UI", self.path), expected, found)
    }
}

/// The first findings, and how many there are.
fn few(mut findings: Vec<Finding>, files: usize) -> Vec<Finding> {
    findings.sort_by(|a, b| a.what.cmp(&b.what));
    if findings.len() > SHOWN {
        let more = format!("{} more that are not", findings.len() - SHOWN);
        findings.truncate(SHOWN);
        findings.push(Finding::new(format!("{files} files of the web UI"), "each as it was", more));
    }
    findings
}

/// What the distribution in a directory of packages recorded of the UI.
fn recorded(site: &Path) -> Result<Vec<Recorded>> {
    let failed = || format!("failed to list `{}`", site.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(site).with_context(failed)? {
        let dir = entry.with_context(failed)?.path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("dagster_webserver-") && name.ends_with(".dist-info") {
            let path = dir.join("RECORD");
            let text = fs::read_to_string(&path)
                .with_context(|| format!("failed to read `{}`", path.display()))?;
            files.extend(text.lines().filter_map(of_record));
        }
    }
    Ok(files)
}

/// A line of RECORD (packaging.python.org, "Recording installed projects"): CSV of the path, the
/// hash and the size. Neither of the last two holds a comma.
fn of_record(line: &str) -> Option<Recorded> {
    let (rest, size) = line.rsplit_once(',')?;
    let (path, hash) = rest.rsplit_once(',')?;
    let path = match path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => path.to_owned(),
    };
    let path = path.strip_prefix(PLACE)?.to_owned();
    Some(Recorded { path, hash: hash.to_owned(), size: size.to_owned() })
}

/// The path of a file in an address.
fn url_path(path: &str) -> String {
    let mut text = "/".to_owned();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let hash = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let of = |path: &str| Recorded {
            path: path.to_owned(),
            hash: hash.to_owned(),
            size: "0".to_owned(),
        };
        for (line, expected) in [
            (format!("{PLACE}_next/a.js,{hash},0"), Some(of("_next/a.js"))),
            (format!("\"{PLACE}a,\"\"b.js\",{hash},0"), Some(of("a,\"b.js"))),
            (format!("dagster_webserver/cli.py,{hash},0"), None),
            ("x".to_owned(), None),
        ] {
            assert_eq!(of_record(&line), expected, "{line}");
        }
        assert_eq!(url_path("_next/[a b].js"), "/_next/%5Ba%20b%5D.js");
    }

    #[test]
    fn a_file_is_whole_and_what_it_is() {
        let body = b"import('https://x.invalid/a');".to_vec();
        let hash = format!("sha256={}", URL_SAFE_NO_PAD.encode(Sha256::digest(&body)));
        let file = Recorded { path: "a.js".to_owned(), hash, size: body.len().to_string() };
        let check = |status, kind: &str, body: &[u8]| {
            let (kind, body) = (kind.to_owned(), body.to_vec());
            let answer = Answer { status, kind, policy: String::new(), body };
            let findings = check_file(&file, &answer, |url| url == "https://y.invalid/");
            findings.iter().map(|f| f.expected.clone()).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(check(404, "text/javascript", &body), "200");
        assert_eq!(check(200, "text/javascript", &body[1..]), "the 30 bytes that RECORD lists");
        assert_eq!(check(200, "text/javascript", &body), "no code of another host");
        assert_eq!(check(200, "text/plain", &body), "a script; no code of another host");
    }

    #[test]
    fn what_is_loaded_later_is_recorded() {
        let of = |path: &str| Recorded {
            path: path.to_owned(),
            hash: String::new(),
            size: String::new(),
        };
        let map = "_next/static/chunks/webpack-1.js";
        let pages = "_next/static/a/_buildManifest.js";
        let runtime =
            r#"r.u=e=>"static/"+({1:"a",2:"b"})[e],r.miniCssF=e=>"static/"+({3:"c"})[e];"#;
        let manifest = r#"self.x=["static/a"]"#;
        let check = |paths: &[&str], runtime: &str| {
            let files: Vec<Recorded> = paths.iter().map(|path| of(path)).collect();
            let read = |path: &str| Some(if path == map { runtime } else { manifest }.to_owned());
            match check_named(&files, read) {
                Ok(words) => words,
                Err(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            }
        };
        let all = [map, pages, "_next/static/a", "_next/static/b", "_next/static/c"];
        let good = "4 of them are named by maps of what is loaded later";
        assert_eq!(check(&all, runtime), good);
        assert_eq!(
            check(&all[..4], runtime),
            "`/_next/static/c` of the web UI, which `/_next/static/chunks/webpack-1.js` names: \
             expected a file that RECORD lists, found none"
        );
        assert_eq!(
            check(&all, "r.u=1"),
            "1 of them are named by maps of what is loaded later; the map in \
             `/_next/static/chunks/webpack-1.js` cannot be read: function `u` is another one"
        );
        let none = "0 of them are named by maps of what is loaded later; no map of chunks is \
                    known; no map of pages is known";
        assert_eq!(check(&all[2..], runtime), none);
    }

    #[test]
    fn many_findings_are_few() {
        let findings = |count| (0..count).map(|i| Finding::new(format!("{i}"), "", "")).collect();
        assert_eq!(few(findings(SHOWN), 100).len(), SHOWN);
        let many = few(findings(SHOWN + 2), 100);
        assert_eq!((many.len(), &*many[SHOWN].found), (SHOWN + 1, "2 more that are not"));
    }
}
