//! Cases: files as they are in `cases/`, and what pinning them to 1.9.12 comes to. A directory is
//! several files that are edited together. `UPDATE_EXPECT=1` rewrites what is expected.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use similar::TextDiff;

use super::*;
use crate::failure;

const SOURCE: &str = "sha256-MDV2gb3rdkBpcKatr/HD//CM+lguwn12VAxyxaXy28c=";
const WHEEL: &str = "sha256-EID/pvaG/CJecNYYjexlzQwEkqy+aKLM0pZNJ2Qwxd0=";

fn scope() -> Scope {
    let packages =
        ["dagster-pipes", "dagster-shared", "dagster", "dagster-graphql", "dagster-webserver"];
    Scope {
        owner: "dagster-io".to_owned(),
        repo: "dagster".to_owned(),
        packages: packages.map(str::to_owned).to_vec(),
    }
}

fn pins(version: &str, source: &str, wheel: &str) -> Pins {
    Pins {
        version: version.parse().unwrap(),
        tag: version.to_owned(),
        source_hash: source.parse().unwrap(),
        pypi: vec![PypiPin {
            name: "dagster-webserver".to_owned(),
            version: version.to_owned(),
            hash: wheel.parse().unwrap(),
        }],
    }
}

fn files(path: &Path) -> Vec<NixFile> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
    }
    paths
        .into_iter()
        .map(|path| NixFile {
            path: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(path).unwrap(),
        })
        .collect()
}

fn outcome(before: &[NixFile]) -> String {
    let (scope, pins) = (scope(), pins("1.9.12", SOURCE, WHEEL));
    let after = match repin(before, &scope, &pins) {
        Err(failure) => return failure::render(&failure.into()),
        Ok(after) => after,
    };
    assert_eq!(repin(&after, &scope, &pins).unwrap(), after, "a second edit changes something");
    let diff = |(before, after): (&NixFile, &NixFile)| {
        assert_eq!(before.path, after.path);
        let diff = TextDiff::from_lines(&before.text, &after.text);
        let diff = diff.unified_diff().context_radius(0).to_string();
        format!(
            "{}\n{}",
            before.path,
            if diff.is_empty() { "unchanged\n".to_owned() } else { diff }
        )
    };
    before.iter().zip(&after).map(diff).collect()
}

#[test]
fn cases() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model/nix_edit/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension == "nix"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 30, "found {} cases", cases.len());
    for case in cases {
        expect_file![case.with_extension("expect")].assert_eq(&outcome(&files(&case)));
    }
}
