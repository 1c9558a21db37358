//! The one repository of a location.

use serde_json::{Value, json};

use super::super::definitions::Definitions;

/// A selector of something in the repository of the instance.
pub fn of(what: Value) -> Value {
    within(Definitions::Users, what)
}

/// A selector of something in the repository of some definitions.
pub fn within(definitions: Definitions, mut what: Value) -> Value {
    // What `-f FILE` makes of a file.
    what["repositoryName"] = json!("__repository__");
    what["repositoryLocationName"] = json!(definitions.file());
    what
}
