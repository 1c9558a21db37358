//! The one repository of the instance.

use serde_json::{Value, json};

use super::super::definitions::Definitions;

/// A selector of something in the repository.
pub fn of(mut what: Value) -> Value {
    // What `-f FILE` makes of a file.
    what["repositoryName"] = json!("__repository__");
    what["repositoryLocationName"] = json!(Definitions::Users.file());
    what
}
