//! Cases: files as they are in `cases/`, and what pinning them to 1.9.12 comes to. A directory is
//! several files that are edited together. `UPDATE_EXPECT=1` rewrites what is expected.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{expect, expect_file};
use similar::TextDiff;

use super::*;
use crate::failure;
use crate::model::facts::PypiPin;

const SOURCE: &str = "sha256-MDV2gb3rdkBpcKatr/HD//CM+lguwn12VAxyxaXy28c=";
const COMMIT: &str = "5f4d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c";
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
        commit: COMMIT.to_owned(),
        by_commit: false,
        source_hash: source.parse().unwrap(),
        pypi: vec![PypiPin {
            name: "dagster-webserver".to_owned(),
            version: version.to_owned(),
            file: Some(format!("dagster_webserver-{version}-py3-none-any.whl")),
            hash: wheel.parse().unwrap(),
        }],
        python: "3.12".to_owned(),
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

#[test]
fn the_python_is_read_and_its_names_are_found() {
    let file = |path: &str, text: &str| NixFile { path: path.to_owned(), text: text.to_owned() };
    let source = format!(
        "{{ fetchFromGitHub }}:\nfetchFromGitHub {{\n  owner = \"dagster-io\";\n  repo = \
         \"dagster\";\n  rev = \"1.12.1\";\n  hash = \"{OLD_SOURCE}\";\n}}\n"
    );
    let python = |text: &str| {
        let files = [file("dagster-src.nix", &source), file("dagster.nix", text)];
        let found = read(&files, &scope()).unwrap().python;
        found.map(|python| format!("{} at {}", python.value, python.place()))
    };
    let named = Some("3.14 at dagster.nix:2".to_owned());
    assert_eq!(python("{ pkgs }:\npkgs.python314Packages.click # python312"), named);
    assert_eq!(python("x:\n\"${x.python314.sitePackages}\""), named);
    for text in ["{ python3 }: python3", "{ antlr4-python3-runtime }: \"python312\"", "1"] {
        assert_eq!(python(text), None, "{text}");
    }
    let unversioned = |text: &str| {
        let found = expressions(&[file("dagster.nix", text)], &scope()).unwrap();
        found[0].unversioned_python.clone().map(|python| python.value)
    };
    let build = "buildPythonPackage { pname = \"dagster\"; }";
    let text = |head: &str, set: &str| format!("{head}: {set}{build}");
    for (text, expected) in [
        (text("{ python3 }", "python3.pkgs."), Some("python3")),
        (text("{ pkgs }", "pkgs.python3Packages."), Some("python3Packages")),
        (text("{ python313 }", "let python3 = python313; in python3.pkgs."), None),
        (text("{ buildPythonPackage }", ""), None),
    ] {
        assert_eq!(unversioned(&text).as_deref(), expected, "{text}");
    }
}

/// A package whose lists take every form that is understood.
const LISTS: &str = r#"{ lib, stdenv, fetchFromGitHub, python312Packages, dagster-pipes, ... }:
let
  version = "1.12.1";
  isNew = lib.versionAtLeast version "1.10.6";
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = version;
    hash = "";
  };
in
python312Packages.buildPythonPackage {
  pname = "dagster";
  inherit version src;
  pyproject = true;
  dependencies =
    lib.optionals isNew [ python312Packages.new ]
    ++ [
      dagster-pipes
      python312Packages.click
      (python312Packages.six.overridePythonAttrs { doCheck = false; })
    ]
    ++ lib.optionals (!isNew || lib.versionOlder version "1.12") [ python312Packages.old ]
    ++ lib.optional (isNew && stdenv.isDarwin) python312Packages.appnope
    ++ (if isNew then [ python312Packages.chosen ] else [ python312Packages.other ])
    ++ python312Packages.uvicorn.optional-dependencies.standard
    ++ (with python312Packages; [ rich ]);
}
"#;

fn lists_file() -> Vec<NixFile> {
    vec![NixFile { path: "dagster.nix".to_owned(), text: LISTS.to_owned() }]
}

#[test]
fn lists_are_read_at_the_pinned_version() {
    let found = expressions(&lists_file(), &scope()).unwrap();
    assert_eq!((found.len(), found[0].package.as_str(), found[0].is_wheel), (1, "dagster", false));
    let listing = found[0].list(ListName::Dependencies).unwrap();
    let names: Vec<(&str, bool)> =
        listing.items.iter().map(|item| (item.name.value.as_str(), item.is_certain)).collect();
    let certain = |name| (name, true);
    assert_eq!(
        names,
        [
            certain("new"),
            certain("dagster-pipes"),
            certain("click"),
            certain("six"),
            ("appnope", false),
            certain("chosen"),
            certain("uvicorn[standard]"),
            certain("rich"),
        ]
    );
    assert_eq!(found[0].list(ListName::BuildSystem), None);
    let odd = LISTS.replace("lib.optional (isNew", "lib.remove (isNew");
    let odd = [NixFile { path: "dagster.nix".to_owned(), text: odd }];
    let failure = expressions(&odd, &scope()).unwrap_err();
    assert!(failure.to_string().starts_with("expected a list as `dependencies`"), "{failure}");
}

#[test]
fn lists_are_edited_where_they_are_written() {
    let edit = |list, change| ListEdit {
        path: "dagster.nix".to_owned(),
        package: "dagster".to_owned(),
        list,
        change,
    };
    let add = |name: &str| ListChange::Add(name.to_owned(), None);
    let edits = [
        edit(ListName::Dependencies, add("attrs")),
        edit(ListName::Dependencies, add("dagster-shared")),
        edit(ListName::Dependencies, ListChange::Remove("rich".to_owned())),
        edit(ListName::Dependencies, ListChange::Replace("chosen".to_owned(), "better".to_owned())),
        edit(ListName::BuildSystem, add("hatchling")),
        edit(ListName::RelaxDeps, add("click")),
    ];
    let after = edit_lists(&lists_file(), &scope(), &edits).unwrap();
    let diff = TextDiff::from_lines(LISTS, &after[0].text);
    expect![[r#"
        @@ -1 +1 @@
        -{ lib, stdenv, fetchFromGitHub, python312Packages, dagster-pipes, ... }:
        +{ lib, stdenv, fetchFromGitHub, python312Packages, dagster-pipes, dagster-shared, ... }:
        @@ -19,0 +20,2 @@
        +      dagster-shared
        +      python312Packages.attrs
        @@ -25 +27 @@
        -    ++ (if isNew then [ python312Packages.chosen ] else [ python312Packages.other ])
        +    ++ (if isNew then [ python312Packages.better ] else [ python312Packages.other ])
        @@ -27 +29,5 @@
        -    ++ (with python312Packages; [ rich ]);
        +    ++ (with python312Packages; [ ]);
        +
        +  pythonRelaxDeps = [ "click" ];
        +
        +  build-system = [ python312Packages.hatchling ];
    "#]]
    .assert_eq(&diff.unified_diff().context_radius(0).to_string());
    for impossible in [
        edit(ListName::Dependencies, ListChange::Remove("appnope".to_owned())),
        edit(ListName::Dependencies, ListChange::Remove("nothing".to_owned())),
        edit(ListName::Commands, ListChange::Remove("dagster".to_owned())),
    ] {
        let failure = edit_lists(&lists_file(), &scope(), &[impossible]).unwrap_err();
        let text = failure::render(&failure.into());
        assert!(text.contains("dagster.nix:12") && text.contains("by hand"), "{text}");
    }
}

const OLD_SOURCE: &str = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
const OLD_WHEEL: &str = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";

/// A file with the same code in any layout: between two tokens stands whatever Nix allows there.
fn any_layout(seed: u64) -> String {
    let code = r#"{ lib , fetchFromGitHub , fetchPypi , python312 , python312Packages } : let
        version = "1.12.1" ; python = python312 ; inherit ( python312 ) pkgs ; other =
        fetchFromGitHub { owner = "psf" ; repo = "requests" ; rev = "v2.32.0" ; hash = "" ; } ; in
        { src = fetchFromGitHub { owner = "dagster-io" ; repo = "dagster" ; tag = version ;
        hash = "SOURCE" ; } ; web = fetchPypi { pname = "dagster_webserver" ; inherit version ;
        format = "wheel" ; python = "py3" ; hash = "WHEEL" ; } ; new = lib.versionAtLeast version "1.12.1" ;
        text = ''
 dagster ${ version }'' ; list = [ 1 "x" other python312Packages.click ( python312 .
        pkgs ) ] ; path = "${ python312 . sitePackages }" ; }"#;
    let code = code.replace("SOURCE", OLD_SOURCE).replace("WHEEL", OLD_WHEEL);
    let fillers = [
        " ",
        "\n",
        "\t",
        "\r\n",
        " # was 1.12.1\n",
        "/* 1.12.1; python312 } \" */",
        "\n\n  ",
        "  #\n",
    ];
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
    let new = Pins { python: "3.13".to_owned(), ..pins("1.9.12", SOURCE, WHEEL) };
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
            .replacen("\"1.12.1\"", "\"1.9.12\"", 1)
            .replace("python312", "python313")
            // as in the comments of the layout
            .replace("; python313 }", "; python312 }");
        assert_eq!(after[0].text, expected, "layout {seed}");
        assert_eq!(repin(&after, &scope, &new).unwrap(), after, "layout {seed}");
        assert_eq!(repin(&after, &scope, &old).unwrap(), before, "layout {seed}");
    }
}

/// One expression beside a fetch of upstream's source, `src`, and its `version`.
fn beside_the_source(expression: &str) -> Result<Vec<NixFile>, Failure> {
    let source = format!(
        "{{ lib, fetchFromGitHub, fetchurl, fetchYarnDeps, runCommand, stdenv, rustPlatform, pkgs }}:\n\
         rec {{\n  version = \"1.12.1\";\n  src = fetchFromGitHub {{\n    owner = \"dagster-io\";\n    \
         repo = \"dagster\";\n    rev = version;\n    hash = \"{OLD_SOURCE}\";\n  }};\n}}\n"
    );
    let beside = format!(
        "{{ dagster-src, dagster, lib, fetchurl, fetchYarnDeps, runCommand, stdenv, rustPlatform, pkgs, outside }}:\n\
         let\n  source = import ./dagster-src.nix {{ }};\n  inherit (source) version src;\n  other = \
         fetchurl {{ url = \"https://example.org\"; hash = \"{OTHER}\"; }};\nin\n{expression}\n"
    );
    let files = [("dagster-src.nix", source), ("dagster.nix", "{ src }: { inherit src; }".into())];
    let mut files: Vec<NixFile> =
        files.into_iter().map(|(path, text)| NixFile { path: path.to_owned(), text }).collect();
    files.push(NixFile { path: "beside.nix".to_owned(), text: beside });
    repin(&files, &scope(), &pins("1.9.12", SOURCE, WHEEL))
}

const OTHER: &str = "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=";

#[test]
fn a_hash_of_what_is_made_from_the_source_is_refused() {
    for expression in [
        "fetchYarnDeps { yarnLock = \"${src}/js/yarn.lock\"; hash = \"HASH\"; }",
        "fetchYarnDeps { yarnLock = src + \"/js/yarn.lock\"; sha256 = \"HASH\"; }",
        "pkgs.fetchNpmDeps { inherit src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { inherit (source) src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { src = dagster-src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { src = dagster-src.src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { src = outside.src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { inherit (outside) src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { src = with source; src; hash = \"HASH\"; }",
        "pkgs.fetchNpmDeps { src = with source; x; hash = \"HASH\"; }",
        "rustPlatform.fetchCargoVendor { src = if true then src else other; hash = \"HASH\"; }",
        "rustPlatform.buildRustPackage { inherit src version; cargoHash = \"HASH\"; }",
        "rustPlatform.buildRustPackage (finalAttrs: { inherit src; x = finalAttrs.src; cargoHash = \"HASH\"; })",
        "stdenv.mkDerivation (finalAttrs: { inherit src; d = fetchYarnDeps { yarnLock = \"${finalAttrs.src}/y\"; hash = \"HASH\"; }; })",
        "pkgs.buildNpmPackage (self: { a = source.src; npmDeps = fetchYarnDeps { x = self.a; hash = \"HASH\"; }; })",
        "runCommand \"lock\" { outputHash = \"HASH\"; outputHashMode = \"flat\"; } \"cp ${src}/x $out\"",
        "runCommand \"lock\" ({ inherit src; } // lib.optionalAttrs true { outputHash = \"HASH\"; }) \"\"",
        "let common = { outputHash = \"HASH\"; }; in runCommand \"lock\" (common // { inherit src; }) \"\"",
        "(runCommand \"lock\" { } \"cp ${src}/x $out\").overrideAttrs (_: { outputHash = \"HASH\"; })",
        "dagster.overrideAttrs (old: { outputHash = \"HASH\"; })",
        "let mk = from: hash: fetchYarnDeps { yarnLock = from; inherit hash; }; in mk src \"HASH\"",
        "let mk = { src, hash }: fetchYarnDeps { inherit src hash; }; in mk { inherit src; hash = \"HASH\"; }",
        "let h = \"HASH\"; in fetchYarnDeps { yarnLock = src; hash = h; }",
        "fetchYarnDeps { yarnLock = import ./dagster.nix { }; hash = \"HASH\"; }",
        "fetchYarnDeps { yarnLock = ((((src)))); hash = lib.fakeHash; }",
        "fetchYarnDeps { yarnLock = a.b.c; hash = \"HASH\"; a.b.c = src; }",
        "rustPlatform.importCargoLock { lockFile = \"${src}/Cargo.lock\"; outputHashes = { \"x-1\" = \"HASH\"; }; }",
        "rustPlatform.importCargoLock { lockFile = \"${src}/Cargo.lock\"; outputHashes.\"x-1\" = \"HASH\"; }",
        "stdenv.mkDerivation { nativeBuildInputs = [ dagster ]; outputHash = \"HASH\"; }",
        "import <nix/fetchurl.nix> { url = \"https://example.org/${version}\"; hash = \"HASH\"; }",
    ] {
        let expression = expression.replace("HASH", OTHER);
        let refused = beside_the_source(&expression).err().map(|failure| failure.to_string());
        let is_ours = |text: &String| {
            text.starts_with("expected only hashes that the tool knows")
                && text.contains("beside.nix:")
        };
        assert!(refused.as_ref().is_some_and(is_ours), "{expression}\n{refused:?}");
    }
}

#[test]
fn a_hash_of_something_else_is_no_concern() {
    for expression in [
        "other",
        "{ inherit src; vendored = let version = \"2.0\"; in fetchurl { url = \"https://example.org/${version}\"; hash = \"HASH\"; }; }",
        "rec { inherit version; vendored = stdenv.mkDerivation rec { pname = \"x\"; version = \"2.0\"; src = fetchurl { url = \"https://example.org/x-${version}\"; hash = \"HASH\"; }; }; }",
        "rustPlatform.buildRustPackage { pname = \"x\"; src = other; cargoHash = \"HASH\"; nativeBuildInputs = [ dagster ]; }",
        "fetchurl { url = \"https://example.org/x\"; hash = \"HASH\"; meta.changelog = \"https://example.org/${version}\"; }",
        "stdenv.mkDerivation { inherit src version; docs = fetchurl { url = \"https://example.org/x\"; hash = \"HASH\"; }; }",
        "fetchYarnDeps { yarnLock = ./yarn.lock; hash = \"HASH\"; }",
        "let pin = { rev = \"v3\"; hash = \"HASH\"; }; in pkgs.fetchgit (pin // { url = \"https://example.org\"; })",
    ] {
        let expression = expression.replace("HASH", OTHER);
        let edited = beside_the_source(&expression);
        assert!(edited.is_ok(), "{expression}\n{}", edited.unwrap_err());
    }
}

#[test]
fn a_tag_that_follows_the_version_becomes_the_commit() {
    let scope = scope();
    let by_commit = Pins { by_commit: true, ..pins("1.9.12", SOURCE, WHEEL) };
    let fetch = |tag: &str| {
        let text = format!(
            "{{ fetchFromGitHub }}:\nlet version = \"1.12.1\"; tag = version; in fetchFromGitHub \
             {{ owner = \"dagster-io\"; repo = \"dagster\"; {tag} hash = \"{OLD_SOURCE}\"; }}\n"
        );
        [NixFile { path: "dagster-src.nix".to_owned(), text }]
    };
    let commit = format!("rev = \"{COMMIT}\";");
    for (before, after) in [
        ("tag = version;", commit.as_str()),
        ("rev = version;", &commit),
        ("tag = /* of */ version;", &commit),
        ("tag = (version);", &commit),
        // What names no version elsewhere would lose it.
        ("tag = \"1.12.1\";", "tag = \"1.9.12\";"),
        ("rev = \"refs/tags/${version}\";", "rev = \"refs/tags/${version}\";"),
        ("inherit tag;", "inherit tag;"),
    ] {
        let edited = repin(&fetch(before), &scope, &by_commit);
        let edited = edited.unwrap_or_else(|failure| panic!("{before}: {failure}"));
        assert!(edited[0].text.contains(after), "{before}\n{}", edited[0].text);
        // Twice is the same as once, and the next version keeps the form.
        assert_eq!(repin(&edited, &scope, &by_commit).unwrap(), edited, "{before}");
        let kept = repin(&fetch(before), &scope, &pins("1.9.12", SOURCE, WHEEL)).unwrap();
        assert_eq!(kept[0].text.contains(&commit), before == commit, "{before}");
        // The version that is pinned already keeps what names it.
        let same = Pins { by_commit: true, ..pins("1.12.1", OLD_SOURCE, OLD_WHEEL) };
        assert_eq!(repin(&fetch(before), &scope, &same).unwrap(), fetch(before), "{before}");
    }
}
