//! Scripts of ours that check one thing after the other in one interpreter, which costs less than
//! one for each: `python/each.py` runs their functions, and one that fails does not end them.

use std::path::Path;

use serde::Deserialize;

use super::interpreter::{follow, start_in_place_of};
use super::probe::{Checked, Finding};
use super::sandbox::{Sandbox, ended_badly, late};

const EACH: &str = include_str!("python/each.py");

/// A script of ours, by the name of its file.
pub struct Script {
    pub name: &'static str,
    pub text: &'static str,
}

/// What `each.py` writes.
#[derive(Debug, Default, Deserialize)]
struct Each {
    done: Vec<(String, Option<String>)>,
    now: Option<String>,
}

/// Runs a script in the place of a command of the tree. A finding for each of its subjects that
/// fails; each of them may take as long as a command.
pub fn run(sandbox: &Sandbox, command: &Path, script: &Script, subject: &str) -> Checked {
    sandbox.write("each.py", EACH)?;
    let file = sandbox.write(script.name, script.text)?;
    let mut process = start_in_place_of(command, sandbox, &file)?;
    let count = |each: &Each| each.done.len();
    let (each, ended) = follow(sandbox, &mut process, "each.json", count)?;
    let what = format!("{subject}, {}", each.now.as_deref().unwrap_or("its start"));
    let cut = match ended {
        Ok(ended) => {
            let is_whole = ended.status.success() && each.now.is_none() && !each.done.is_empty();
            let cut = || Finding::new(what, "an end with status 0", ended_badly(&ended));
            (!is_whole).then(cut)
        }
        Err(deadline) => Some(late(&what, "an end", &deadline, &mut process)),
    };
    Ok(each.checked(subject, cut))
}

impl Each {
    /// What came of all of them; `cut`: how the script ended, if not well.
    fn checked(&self, subject: &str, cut: Option<Finding>) -> Result<String, Vec<Finding>> {
        let failed = self.done.iter().filter_map(|(name, error)| {
            Some(Finding::new(format!("{subject}, {name}"), "no error", error.clone()?))
        });
        let findings: Vec<Finding> = failed.chain(cut).collect();
        if !findings.is_empty() {
            return Err(findings);
        }
        let names: Vec<&str> = self.done.iter().map(|(name, _)| name.as_str()).collect();
        Ok(names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_that_fails_is_named() {
        let each: Each = serde_json::from_str(
            r#"{ "done": [["a", null], ["b", "OSError: full"]], "now": "c" }"#,
        )
        .unwrap();
        let check = |each: &Each, cut| {
            let words = |findings: Vec<Finding>| {
                findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
            };
            each.checked("x", cut).map_err(words)
        };
        let failed = "x, b: expected no error, found OSError: full";
        assert_eq!(check(&each, None), Err(failed.to_owned()));
        let cut = Finding::new("x, c", "an end", "none");
        assert_eq!(
            check(&each, Some(cut)),
            Err(format!("{failed}; x, c: expected an end, found none"))
        );
        let good = Each { done: vec![("a".to_owned(), None), ("b".to_owned(), None)], now: None };
        assert_eq!(check(&good, None), Ok("a, b".to_owned()));
    }
}
