//! Fields that have something in the answers to the web UI's queries. A resolver that gives nothing
//! answers without an error, and a page that shows nothing of what there is looks like an empty
//! instance: so what every supported line of Dagster tells of the definitions in `python/users.py`
//! is recorded (`filled.txt`), and has to be told.

use std::collections::BTreeMap;

use serde_json::Value;

/// A type of GraphQL's in each line, and those of its fields that have something in some answer of
/// every version that tests/smoke/check.py knows, as `check.py answers` writes it.
const RECORDED: &str = include_str!("filled.txt");

/// By type and field: was there something in any answer?
#[derive(Debug, Default, serde::Serialize)]
pub struct Filled(BTreeMap<String, BTreeMap<String, bool>>);

impl Filled {
    /// Takes in an answer that tells the types of its objects.
    pub fn note(&mut self, answer: &Value) {
        match answer {
            Value::Object(fields) => {
                if let Some(kind) = fields.get("__typename").and_then(Value::as_str) {
                    let own = self.0.entry(kind.to_owned()).or_default();
                    for (name, value) in fields {
                        *own.entry(name.clone()).or_default() |= is_something(value);
                    }
                }
                fields.values().for_each(|value| self.note(value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.note(item)),
            _ => {}
        }
    }

    /// The fields, as `Type.field`, that were asked for and had nothing in all answers, though they
    /// are recorded. None of a type that never came: queries ask for what may be there.
    pub fn empty(&self) -> Vec<String> {
        self.empty_of(RECORDED)
    }

    fn empty_of(&self, recorded: &str) -> Vec<String> {
        let lines = recorded.lines().filter_map(|line| line.split_once(": "));
        let fields = lines.flat_map(|(kind, names)| names.split(' ').map(move |name| (kind, name)));
        let is_empty = |(kind, name): &(&str, &str)| {
            self.0.get(*kind).and_then(|own| own.get(*name)) == Some(&false)
        };
        fields.filter(is_empty).map(|(kind, name)| format!("{kind}.{name}")).collect()
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_never_there_is_empty() {
        let mut filled = Filled::default();
        filled.note(&json!({ "a": [
            { "__typename": "Job", "name": "x", "tags": [], "description": null },
            { "__typename": "Job", "name": "", "tags": [{ "__typename": "Tag", "key": "" }] },
        ] }));
        let recorded = "Job: description modes name tags\nSensor: name\nTag: key\n";
        assert_eq!(filled.empty_of(recorded), ["Job.description", "Tag.key"]);
    }

    #[test]
    fn the_record_can_be_read() {
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        for line in RECORDED.lines() {
            let (kind, names) = line.split_once(": ").unwrap();
            assert!(is_name(kind) && names.split(' ').all(is_name), "{line}");
        }
        assert!(RECORDED.lines().any(|line| line.starts_with("Repository: ")));
    }
}
