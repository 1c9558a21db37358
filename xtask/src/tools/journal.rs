//! Files in git's own directory by which a run tells the next one what it has begun: what is found
//! was left by a run that was killed.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::Result;

use crate::failure::Failure;

/// What a run left; `None` where there is nothing.
///
/// # Errors
/// When what is there is no file of this tool's.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(in_the_way("read", path, error)),
    }
}

/// Removes it, if it is there.
pub fn forget(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(in_the_way("remove", path, error)),
        _ => Ok(()),
    }
}

/// The failure to do something with a file of this tool's, in whose place something else may be.
pub fn in_the_way(failed_to: &str, path: &Path, error: io::Error) -> anyhow::Error {
    let there = path.display();
    let failure = Failure::failed(format!("failed to {failed_to} `{there}`"))
        .caused_by(anyhow::Error::new(error));
    let is_other = fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file());
    match is_other {
        true => failure.hint(format!("it is no file: look at `{there}`, and move it away")),
        false => failure,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_else_in_its_place_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xtask-away.json");
        assert_eq!(read(&path).unwrap(), None);
        forget(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let full = io::Error::from(ErrorKind::StorageFull);
        let told = crate::failure::render(&in_the_way("write", &dir.path().join("new"), full));
        assert!(!told.contains("hint"), "{told}");
        for error in [read(&path).unwrap_err(), forget(&path).unwrap_err()] {
            let told = crate::failure::render(&error);
            let hint = format!("look at `{0}`, and move it away\n", path.display());
            assert!(told.ends_with(&hint), "{told}");
        }
    }
}
