//! The pages of the web UI in a real browser: loaded once and then navigated, as people do. They
//! show what the instance has, without an error on the console or a request that fails.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::super::budget::{COMMAND, Deadline};
use super::super::probe::Finding;
use super::super::sandbox::{pause, stop};
use super::super::server::Server;
use crate::tools::browser::{self, Browser};

/// Problems that are told one by one.
const SHOWN: usize = 5;
/// Of a page that does not show what it must.
const LONGEST_TEXT: usize = 300;
/// Characters of a page that shows nothing.
const EMPTY: usize = 20;
/// Between two looks at a page. One that asked for nothing meanwhile, twice, has what it wants.
const PAUSE: Duration = Duration::from_millis(200);

/// What a page must show, and how people come to it.
struct Page<'a> {
    path: String,
    shows: Vec<&'a str>,
}

/// Loads the UI of a server and goes through its pages. Nothing is said of problems that are known
/// by a part of what they say.
pub fn check(server: &Server, browser: &Path, run: &str, known: &[&str]) -> Result<String> {
    let pages = [
        Page { path: "/locations/__repository__@users.py/jobs".into(), shows: vec!["nested"] },
        Page { path: "/runs".into(), shows: vec![&run[..8]] },
        Page { path: "/assets".into(), shows: vec!["answer", "paint"] },
        Page { path: "/assets/answer".into(), shows: vec!["answer", "The answer."] },
        Page { path: format!("/runs/{run}"), shows: vec![&run[..8], "processes", "RUN_SUCCESS"] },
    ];
    let sandbox = &server.sandbox;
    let profile = sandbox.path("browser");
    let (program, args) = browser::command(browser, &profile);
    let mut spec = sandbox.spec(&program, &args);
    spec.log = sandbox.path("log").join("browser");
    spec.access.get_or_insert_default().read.extend(browser::files(browser));
    let mut deadline = sandbox.wait(COMMAND);
    let mut browser = Browser::start(&spec, &mut || deadline.is_over())?;
    let mut deadline = sandbox.wait(COMMAND);
    browser.go(&format!("{}/", server.url), &mut || deadline.is_over())?;
    wait_for(&mut browser, None, &[], known, &mut sandbox.wait(COMMAND))?;
    for page in &pages {
        see(&mut browser, page, known, &mut sandbox.wait(COMMAND))?;
    }
    let requests = browser.requests();
    let problems = unknown(browser.problems(), known);
    if !problems.is_empty() {
        let shown: Vec<&str> = problems.iter().take(SHOWN).copied().collect();
        let found = format!("{}: {}", problems.len(), shown.join("; "));
        bail!(Finding::new("pages of the web UI in a browser", "no problem", found));
    }
    if let Err(findings) = stop(sandbox, browser.close(), "the browser")? {
        findings.into_iter().next().map_or(Ok(()), Err)?;
    }
    Ok(format!("{} pages, {requests} requests", pages.len()))
}

/// The problems that are not known.
fn unknown<'a>(problems: &'a [String], known: &[&str]) -> Vec<&'a str> {
    let is_known = |problem: &&str| known.iter().any(|text| problem.contains(text));
    problems.iter().map(String::as_str).filter(|problem| !is_known(problem)).collect()
}

/// Goes to a page, by the first link to it or else by its address, waits for what it shows, and
/// until it asks for no more.
fn see(
    browser: &mut Browser,
    page: &Page<'_>,
    known: &[&str],
    deadline: &mut Deadline,
) -> Result<()> {
    let path = json!(page.path).to_string();
    let go = format!(
        "(() => {{ const link = [...document.querySelectorAll('a')]\
         .find(link => link.pathname === {path}); \
         if (link) link.click(); else location.assign({path}); return true; }})()"
    );
    while browser.evaluate(&go, &mut || deadline.is_over())? != true && !deadline.is_over() {
        pause(PAUSE)?;
    }
    wait_for(browser, Some(&page.path), &page.shows, known, deadline)?;
    let mut quiet = 0;
    while quiet < 2 && !deadline.is_over() {
        let before = browser.requests();
        pause(PAUSE)?;
        browser.problems();
        quiet = if browser.requests() == before { quiet + 1 } else { 0 };
    }
    Ok(())
}

/// Waits until a page, by its path if one is given, shows something, with some words in it.
fn wait_for(
    browser: &mut Browser,
    path: Option<&str>,
    words: &[&str],
    known: &[&str],
    deadline: &mut Deadline,
) -> Result<()> {
    let (is_path, shown) = (json!(path), json!(words));
    let look = format!(
        "(() => {{ const text = document.body ? document.body.innerText : ''; \
         const is_there = {is_path} === null || {is_path} === location.pathname; \
         const shows = text.length > {EMPTY} && {shown}.every(word => text.includes(word)); \
         return is_there && shows || location.pathname + ' ' + text; }})()"
    );
    loop {
        let seen = browser.evaluate(&look, &mut || deadline.is_over())?;
        if seen == true {
            return Ok(());
        }
        if deadline.is_over() {
            let text = seen.as_str().unwrap_or_default();
            let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text: String = text.chars().take(LONGEST_TEXT).collect();
            let words = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
            let words = if words.is_empty() { "a page".to_owned() } else { words.join(", ") };
            // What went wrong says more than the page.
            let problem =
                unknown(browser.problems(), known).first().map(|text| format!("{text}; "));
            let found = format!("{}`{text}`", problem.unwrap_or_default());
            let what = format!("page `{}` of the web UI", path.unwrap_or("/"));
            bail!(Finding::new(what, deadline.expected(&words), found));
        }
        pause(PAUSE)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_no_problem() {
        let problems = ["a: 404", "console: b"].map(str::to_owned);
        assert_eq!(unknown(&problems, &["404"]), ["console: b"]);
        assert_eq!(unknown(&problems, &[]).len(), 2);
    }
}
