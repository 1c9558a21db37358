//! GraphQL as the web UI speaks it: an operation, and an answer that has neither `errors` nor a
//! `PythonError` in it. What is asked for is written by whoever asks.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::probe::Finding;
use super::server::Server;

/// Longer answers are cut.
const WORDS: usize = 300;

/// Sends an operation; its data. What is wrong with the answer is a [`Finding`].
pub fn ask(server: &Server, what: &str, operation: &str, variables: &Value) -> Result<Value> {
    let answer = server.graphql(&json!({ "query": operation, "variables": variables }))?;
    Ok(data_of(answer, what)?)
}

/// The same for the value of one field, which must be of a type.
pub fn ask_for(
    server: &Server,
    (field, kind): (&str, &str),
    operation: &str,
    variables: &Value,
) -> Result<Value> {
    let what = format!("GraphQL `{field}`");
    let value = ask(server, &what, operation, variables)?[field].take();
    if value["__typename"] != kind {
        bail!(Finding::new(what, format!("`{kind}`"), format!("`{}`", words(&value))));
    }
    Ok(value)
}

/// The data of an answer, or what is wrong with it.
pub fn data_of(mut answer: Value, what: &str) -> Result<Value, Finding> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(error) = errors.first() {
        return Err(Finding::new(what, "no `errors`", one_line(&words(&error["message"]))));
    }
    if let Some(error) = python_error(&answer["data"]) {
        // Not every operation asks for the message.
        let message = error.get("message").unwrap_or(error);
        return Err(Finding::new(what, "no `PythonError`", one_line(&words(message))));
    }
    match answer.get_mut("data") {
        Some(data) if data.is_object() => Ok(data.take()),
        _ => Err(Finding::new(what, "`data`", format!("`{}`", words(&answer)))),
    }
}

/// The first `PythonError` in an answer that asked for types.
fn python_error(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(fields) => match fields.get("__typename") {
            Some(name) if name == "PythonError" => Some(value),
            _ => fields.values().find_map(python_error),
        },
        Value::Array(items) => items.iter().find_map(python_error),
        _ => None,
    }
}

/// A JSON value in few words.
pub fn words(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a `PythonError` says, by the innermost of its `causes`, where they were asked for.
pub fn innermost(error: &Value) -> String {
    let causes = error["causes"].as_array();
    let cause = causes.and_then(|causes| causes.last()).unwrap_or(error);
    one_line(&words(&cause["message"]))
}

/// A message without its line breaks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_an_error_in_them_are_findings() {
        let check = |answer: Value| data_of(answer, "x").map_err(|finding| finding.to_string());
        let good = json!({ "data": { "runs": [{ "__typename": "Run" }] } });
        assert_eq!(check(good.clone()), Ok(good["data"].clone()));
        let wrong = |text: &str| Err(format!("x: expected {text}"));
        let deep = json!({ "data": { "runs": [{ "error":
            { "__typename": "PythonError", "message": "KeyError:\n  'a'\n" } }] } });
        assert_eq!(check(deep), wrong("no `PythonError`, found KeyError: 'a'"));
        let bare = json!({ "data": { "runs": { "__typename": "PythonError" } } });
        let found = "no `PythonError`, found {\"__typename\":\"PythonError\"}";
        assert_eq!(check(bare), wrong(found));
        let errors = json!({ "errors": [{ "message": "Unknown field." }], "data": null });
        assert_eq!(check(errors), wrong("no `errors`, found Unknown field."));
        assert_eq!(check(json!({})), wrong("`data`, found `{}`"));
    }

    #[test]
    fn long_answers_are_cut() {
        assert_eq!(words(&json!("é".repeat(WORDS + 1))), "é".repeat(WORDS) + "…");
        assert_eq!(words(&json!(["a"])), "[\"a\"]");
    }
}
