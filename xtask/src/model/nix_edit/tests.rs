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
    before.iter().zip(&after).map(diff).collect::<String>().replace('\r', "\\r")
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

const OLD_SOURCE: &str = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
const OLD_WHEEL: &str = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";

/// A file with the same code in any layout: between two tokens stands whatever Nix allows there.
fn any_layout(seed: u64) -> String {
    let code = r#"{ lib , fetchFromGitHub , fetchPypi } : let version = "1.12.1" ; other =
        fetchFromGitHub { owner = "psf" ; repo = "requests" ; rev = "v2.32.0" ; hash = "" ; } ; in
        { src = fetchFromGitHub { owner = "dagster-io" ; repo = "dagster" ; tag = version ;
        hash = "SOURCE" ; } ; web = fetchPypi { pname = "dagster_webserver" ; inherit version ;
        format = "wheel" ; hash = "WHEEL" ; } ; new = lib.versionAtLeast version "1.12.1" ;
        text = ''
 dagster ${ version }'' ; list = [ 1 "x" other ] ; }"#;
    let code = code.replace("SOURCE", OLD_SOURCE).replace("WHEEL", OLD_WHEEL);
    let fillers =
        [" ", "\n", "\t", "\r\n", " # was 1.12.1\n", "/* 1.12.1; } \" */", "\n\n  ", "  #\n"];
    let mut state = seed;
    let mut text = String::new();
    let mut in_string = false;
    for (i, token) in code.split_whitespace().enumerate() {
        if i > 0 && in_string {
            text.push(' ');
        } else if i > 0 {
            for _ in 0..=seed % 3 {
                // Knuth's linear congruential generator: the same layouts on every machine.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(fillers[(state >> 33) as usize % fillers.len()]);
            }
        }
        in_string ^= token.matches("''").count() % 2 == 1;
        text.push_str(token);
    }
    text
}

#[test]
fn only_the_values_change_whatever_the_layout() {
    let scope = scope();
    let new = pins("1.9.12", SOURCE, WHEEL);
    let old = pins("1.12.1", OLD_SOURCE, OLD_WHEEL);
    for seed in 0..500 {
        let before = vec![NixFile { path: "a.nix".to_owned(), text: any_layout(seed) }];
        let after = repin(&before, &scope, &new).unwrap_or_else(|failure| {
            panic!("{}\n{}", failure::render(&failure.into()), before[0].text)
        });
        let expected = before[0]
            .text
            .replacen(OLD_SOURCE, SOURCE, 1)
            .replacen(OLD_WHEEL, WHEEL, 1)
            .replacen("\"1.12.1\"", "\"1.9.12\"", 1);
        assert_eq!(after[0].text, expected, "layout {seed}");
        assert_eq!(repin(&after, &scope, &new).unwrap(), after, "layout {seed}");
        assert_eq!(repin(&after, &scope, &old).unwrap(), before, "layout {seed}");
    }
}
