//! One small release over one small nixpkgs, and what is wrong with either.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;
use crate::model::config::Config;
use crate::model::facts::{Distribution, Facts, Release};
use crate::model::located::Located;
use crate::model::nix_edit::{self, NixFile, Scope};
use crate::model::nixpkgs::Recorded;
use crate::model::peculiarities::Peculiarities;
use crate::model::project::{Build, Project};
use crate::model::requirement::normalised;

const SYSTEMS: [&str; 2] = ["aarch64-darwin", "x86_64-linux"];

const NIX: &str = r#"
{ fetchFromGitHub, python313 }:
let
  # python312 had it, too
  src = fetchFromGitHub { owner = "dagster-io"; repo = "dagster"; tag = "1.12.1"; hash = ""; };
  pythonPackages = python313.pkgs;
in
pythonPackages.buildPythonPackage {
  pname = "dagster";
  version = "1.12.1";
  pyproject = true;
  inherit src;
  build-system = [ pythonPackages.setuptools ];
  dependencies = [
    dagster-pipes
    pythonPackages.grpcio
    pythonPackages.grpcio-health-checking
    pythonPackages.protobuf
    pythonPackages.universal-pathlib
  ] ++ pythonPackages.uvicorn.optional-dependencies.standard;
  pythonRelaxDeps = [ "protobuf" ];
}
"#;

/// What a case changes.
struct Case {
    config: String,
    nix: String,
    requirements: Vec<&'static str>,
    build: Vec<&'static str>,
    python: &'static str,
    answers: Value,
    reasons: Reasons,
}

impl Case {
    fn new() -> Self {
        let config = include_str!("../../../../release.toml");
        let systems = config.lines().find(|line| line.starts_with("systems = ")).unwrap();
        let there = |version| json!({ "state": "there", "version": version });
        let on_system = json!({
            "throws": false,
            "revision": null,
            "release": "26.11pre-git",
            "pythons": {
                "python312": there("3.12.12"),
                "python313": { "state": "there", "version": "3.13.9", "is_built": true },
            },
            "packages": {
                "grpcio": there("1.83.1"),
                "grpcio-health-checking": there("1.83.1"),
                "protobuf": there("7.35.1"),
                "setuptools": there("82.0.1"),
                "universal-pathlib": there("0.3.8"),
                "uvicorn": there("0.38.0"),
                "watchdog": there("6.0.0"),
            },
        });
        Self {
            config: config.replace(systems, &format!("systems = {SYSTEMS:?}")),
            nix: NIX.to_owned(),
            requirements: vec![
                "dagster-pipes==1.12.1",
                "grpcio>=1.44.0",
                "grpcio-health-checking>=1.44.0",
                "protobuf<7,>=4; python_version >= '3.11'",
                "protobuf<5; python_version < '3.11'",
                "uvicorn[standard]",
                "universal_pathlib>=0.2.0",
                "pytest<1; extra == 'test'",
            ],
            build: vec!["setuptools>=61"],
            python: ">=3.9,<3.14",
            answers: json!({ "aarch64-darwin": on_system, "x86_64-linux": on_system }),
            reasons: Reasons::new(),
        }
    }

    fn edit(&mut self, from: &str, to: &str) {
        assert!(self.nix.contains(from), "{from}");
        self.nix = self.nix.replace(from, to);
    }

    /// Sets what is said of a package on a system, or on both.
    fn answer(&mut self, system: &str, name: &str, answer: Value) {
        for system in SYSTEMS.iter().filter(|it| system.is_empty() || **it == system) {
            self.answers[system]["packages"][name] = answer.clone();
        }
    }

    fn reason(&mut self, system: &str, python: Option<&str>, name: Option<&str>, words: &str) {
        let [python, name] = [python, name].map(|part| part.map(str::to_owned));
        let why = Why { system: system.to_owned(), python, name };
        self.reasons.insert(why, words.to_owned());
    }

    fn with<T>(&self, use_it: impl FnOnce(&Subject<'_>, &Answers) -> T) -> T {
        let config = Config::parse(&self.config).unwrap();
        let file = NixFile { path: "nix/dagster.nix".to_owned(), text: self.nix.clone() };
        let scope = Scope {
            owner: config.owner().to_owned(),
            repo: config.repo().to_owned(),
            packages: config.packages.iter().map(|package| package.name.clone()).collect(),
        };
        let files = [file];
        let facts = self.facts();
        let pythons = nix_edit::pythons(&files).unwrap();
        let subject = Subject {
            config: &config,
            facts: &facts,
            expressions: &nix_edit::expressions(&files, &scope).unwrap(),
            named: &pythons.into_iter().map(|python| python.value).collect(),
        };
        use_it(&subject, &serde_json::from_value(self.answers.clone()).unwrap())
    }

    fn facts(&self) -> Facts {
        let at = |value: &str| Located {
            value: value.to_owned(),
            path: "pyproject.toml".to_owned(),
            line: 1,
        };
        let project = Project {
            versions: Vec::new(),
            requirements: None,
            optional: None,
            commands: None,
            python: None,
            build: Build {
                backend: at("setuptools.build_meta"),
                requirements: self.build.iter().map(|text| at(text)).collect(),
            },
            has_web_ui: false,
        };
        let distribution = Distribution {
            name: "dagster".to_owned(),
            version: "1.12.1".to_owned(),
            requirements: self.requirements.iter().map(|&text| text.to_owned()).collect(),
            python: Some(self.python.to_owned()),
        };
        Facts {
            release: Release {
                version: "1.12.1".parse().unwrap(),
                tag: "1.12.1".to_owned(),
                commit: String::new(),
                archive: String::new(),
                wheels: Vec::new(),
                distributions: vec![distribution],
            },
            source_hash: "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=".parse().unwrap(),
            projects: BTreeMap::from([(normalised("dagster"), project)]),
            other_projects: Vec::new(),
            peculiarities: Peculiarities::default(),
        }
    }

    fn audit(&self) -> Audit {
        let source = Source::Path("/nixpkgs".into());
        self.with(|subject, answers| judge(subject, &source, answers, &self.reasons).unwrap())
    }
}

/// The rows that are not `ok`, and the error.
fn check(change: impl FnOnce(&mut Case), expect: Expect) {
    let mut case = Case::new();
    change(&mut case);
    let audit = case.audit();
    let mut text: String = audit
        .text()
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("ok "))
        .map(|line| line.to_owned() + "\n")
        .collect();
    if let Err(failure) = audit.check() {
        text += &format!("{failure}\n");
    }
    expect.assert_eq(&text);
}

#[test]
fn the_table_has_every_row() {
    expect![[r#"
        dagster 1.12.1 over /nixpkgs (26.11pre-git)
        ok       aarch64-darwin
        ok       x86_64-linux
        ok       python313               3.13.9
        ok       grpcio                  1.83.1    dagster: >=1.44.0
        ok       grpcio-health-checking  1.83.1    dagster: >=1.44.0
        relaxed  protobuf                7.35.1    dagster: >=4,<7
        ok       setuptools              82.0.1    build of dagster: >=61
        ok       universal-pathlib       0.3.8     dagster: >=0.2.0
        ok       uvicorn                 0.38.0
    "#]]
    .assert_eq(&Case::new().audit().text());
}

#[test]
fn what_nixpkgs_lacks_or_refuses_fails() {
    let missing = || json!({ "state": "missing" });
    check(
        |case| case.answer("", "grpcio", missing()),
        expect![[r#"
        failed   grpcio                            there is none in this nixpkgs
                                                   nix/dagster.nix:16
        relaxed  protobuf                7.35.1    dagster: >=4,<7
        a release of 1.12.1 would fail over this nixpkgs: `grpcio`: there is none in this nixpkgs
    "#]],
    );
    check(
        |case| case.answer("aarch64-darwin", "grpcio", missing()),
        expect![[r#"
        failed   grpcio                  1.83.1    there is none in this nixpkgs on aarch64-darwin
                                                   nix/dagster.nix:16
        relaxed  protobuf                7.35.1    dagster: >=4,<7
        a release of 1.12.1 would fail over this nixpkgs: `grpcio` 1.83.1: there is none in this nixpkgs on aarch64-darwin
    "#]],
    );
    check(
        |case| {
            case.answer("", "grpcio", json!({ "state": "throws" }));
            let words = "`grpcio` was renamed\u{1b}[2J";
            case.reason("aarch64-darwin", None, Some("grpcio"), words);
        },
        expect![[r#"
            failed   grpcio                            `grpcio` was renamed\u{1b}[2J
                                                       nix/dagster.nix:16
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            a release of 1.12.1 would fail over this nixpkgs: `grpcio`: `grpcio` was renamed\u{1b}[2J
        "#]],
    );
    let broken =
        json!({ "state": "there", "version": "0.38.0", "is_broken": true, "is_refused": true });
    check(
        |case| case.answer("x86_64-linux", "uvicorn", broken),
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            failed   uvicorn                 0.38.0    marked broken on x86_64-linux
                                                       nix/dagster.nix:20
            a release of 1.12.1 would fail over this nixpkgs: `uvicorn` 0.38.0: marked broken on x86_64-linux
        "#]],
    );
    let unsupported = json!({ "state": "there", "version": "0.38.0", "is_unsupported": true });
    check(
        |case| case.answer("aarch64-darwin", "uvicorn", unsupported),
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            failed   uvicorn                 0.38.0    not supported on aarch64-darwin
                                                       nix/dagster.nix:20
            a release of 1.12.1 would fail over this nixpkgs: `uvicorn` 0.38.0: not supported on aarch64-darwin
        "#]],
    );
    let refused = json!({ "state": "there", "version": "0.38.0", "is_refused": true });
    check(
        |case| {
            case.answer("x86_64-linux", "uvicorn", refused);
            case.reason("x86_64-linux", None, Some("uvicorn"), "`x-1` is insecure");
        },
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            failed   uvicorn                 0.38.0    `x-1` is insecure on x86_64-linux
                                                       nix/dagster.nix:20
            a release of 1.12.1 would fail over this nixpkgs: `uvicorn` 0.38.0: `x-1` is insecure on x86_64-linux
        "#]],
    );
    let unknown = json!({ "state": "there", "version": null });
    check(
        |case| case.answer("", "protobuf", unknown),
        expect![[r#"
        warning  protobuf                          its version cannot be evaluated
    "#]],
    );
}

#[test]
fn a_system_and_a_python_are_rows_too() {
    check(
        |case| {
            case.answers["aarch64-darwin"] = json!({ "throws": true });
            case.reason("aarch64-darwin", None, None, "nixpkgs dropped it");
        },
        expect![[r#"
            failed   aarch64-darwin                    nixpkgs dropped it
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            a release of 1.12.1 would fail over this nixpkgs: `aarch64-darwin`: nixpkgs dropped it
        "#]],
    );
    let python = |case: &mut Case, answer: Value| {
        for system in SYSTEMS {
            case.answers[system]["pythons"]["python313"] = answer.clone();
        }
    };
    check(
        |case| {
            python(case, json!({ "state": "missing" }));
            for system in SYSTEMS {
                case.answers[system]["packages"] = json!({});
            }
        },
        expect![[r#"
            failed   python313                         there is none in this nixpkgs
            warning  grpcio                            not looked at, for want of python313
            warning  grpcio-health-checking            not looked at, for want of python313
            warning  protobuf                          not looked at, for want of python313
            warning  setuptools                        not looked at, for want of python313
            warning  universal-pathlib                 not looked at, for want of python313
            warning  uvicorn                           not looked at, for want of python313
            a release of 1.12.1 would fail over this nixpkgs: `python313`: there is none in this nixpkgs
        "#]],
    );
    check(
        |case| python(case, json!({ "state": "there", "version": "3.13.9" })),
        expect![[r#"
        warning  python313               3.13.9    its packages are not built there
        relaxed  protobuf                7.35.1    dagster: >=4,<7
    "#]],
    );
    check(
        |case| case.python = ">=3.9,<=3.13.3",
        expect![[r#"
        failed   python313               3.13.9    dagster excludes it: >=3.9,<=3.13.3
        relaxed  protobuf                7.35.1    dagster: >=4,<7
        a release of 1.12.1 would fail over this nixpkgs: `python313` 3.13.9: dagster excludes it: >=3.9,<=3.13.3
    "#]],
    );
    check(
        |case| {
            case.python = ">=3.9,<3.14";
            python(case, json!({ "state": "there", "version": "3.13.0a1", "is_built": true }));
        },
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
        "#]],
    );
    check(
        |case| case.edit("python313", "python312"),
        expect![[r#"
            warning  python312                         the expressions name it; release.toml has 3.13 for 1.12.1, and `bump` writes that
            relaxed  protobuf                7.35.1    dagster: >=4,<7
        "#]],
    );
}

#[test]
fn bounds_are_met_or_relaxed() {
    check(
        |case| case.edit("pythonRelaxDeps = [ \"protobuf\" ];", ""),
        expect![[r#"
        failed   protobuf                7.35.1    dagster: >=4,<7, not relaxed
                                                   nix/dagster.nix:8
        a release of 1.12.1 would fail over this nixpkgs: `protobuf` 7.35.1: dagster: >=4,<7, not relaxed
    "#]],
    );
    check(
        |case| case.edit("\"protobuf\"", "\"protobuf2\""),
        expect![[r#"
            failed   protobuf                7.35.1    dagster: >=4,<7, not relaxed
                                                       nix/dagster.nix:21
            a release of 1.12.1 would fail over this nixpkgs: `protobuf` 7.35.1: dagster: >=4,<7, not relaxed
        "#]],
    );
    check(
        |case| {
            case.answer("x86_64-linux", "grpcio", json!({ "state": "there", "version": "1.43" }));
        },
        expect![[r#"
            failed   grpcio                  1.43, 1.83.1  dagster: >=1.44.0 on x86_64-linux, not relaxed
                                                       nix/dagster.nix:21
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            a release of 1.12.1 would fail over this nixpkgs: `grpcio` 1.43 1.83.1: dagster: >=1.44.0 on x86_64-linux, not relaxed
        "#]],
    );
    // the hook's pattern: the spelling counts, not the normalised name
    check(
        |case| {
            case.requirements.push("universal_pathlib<0.3");
            case.edit("\"protobuf\"", "\"protobuf\" \"universal-pathlib\"");
        },
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            failed   universal-pathlib       0.3.8     dagster: <0.3, not relaxed
                                                       nix/dagster.nix:21
            a release of 1.12.1 would fail over this nixpkgs: `universal-pathlib` 0.3.8: dagster: <0.3, not relaxed
        "#]],
    );
    check(
        |case| {
            case.requirements.push("universal_pathlib<0.3");
            case.edit("\"protobuf\"", "\"Protobuf\" \"Universal_pathlib\"");
        },
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            relaxed  universal-pathlib       0.3.8     dagster: <0.3
        "#]],
    );
}

#[test]
fn the_beginning_of_a_name_is_not_relaxed_alone() {
    check(
        |case| case.edit("\"protobuf\"", "\"protobuf\" \"grpcio\""),
        expect![[r#"
            failed   grpcio-health-checking  1.83.1    dagster: pythonRelaxDeps has `grpcio`, which renames this: relax both or none
                                                       nix/dagster.nix:21
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            a release of 1.12.1 would fail over this nixpkgs: `grpcio-health-checking` 1.83.1: dagster: pythonRelaxDeps has `grpcio`, which renames this: relax both or none
        "#]],
    );
    let both = "\"protobuf\" \"grpcio\" \"grpcio-health-checking\"";
    check(
        |case| case.edit("\"protobuf\"", both),
        expect![[r#"
        relaxed  protobuf                7.35.1    dagster: >=4,<7
    "#]],
    );
}

#[test]
fn build_systems_have_bounds_too() {
    check(
        |case| case.build = vec!["setuptools==80.9.0"],
        expect![[r#"
        relaxed  protobuf                7.35.1    dagster: >=4,<7
        failed   setuptools              82.0.1    build of dagster: ==80.9.0
                                                   nix/dagster.nix:13
        a release of 1.12.1 would fail over this nixpkgs: `setuptools` 82.0.1: build of dagster: ==80.9.0
    "#]],
    );
    check(
        |case| {
            case.build = vec!["setuptools==80.9.0", "wheel<0.1"];
            let flags = "pypaBuildFlags = [ \"--skip-dependency-check\" ];\n  build-system";
            case.edit("build-system", flags);
        },
        expect![[r#"
            relaxed  protobuf                7.35.1    dagster: >=4,<7
            relaxed  setuptools              82.0.1    build of dagster: ==80.9.0
        "#]],
    );
}

#[test]
fn what_throws_is_asked_for_once() {
    let mut case = Case::new();
    case.answer("", "grpcio", json!({ "state": "throws" }));
    case.answer("x86_64-linux", "uvicorn", json!({ "state": "there", "is_refused": true }));
    case.answer("", "protobuf", json!({ "state": "there", "is_refused": true, "is_broken": true }));
    case.answers["x86_64-linux"]["pythons"]["python312"] = json!({ "state": "throws" });
    let asked: Vec<String> = case.with(|_, answers| {
        let all = refused(answers).into_iter();
        all.map(|Why { system, python, name }| format!("{system} {python:?} {name:?}")).collect()
    });
    expect![[r#"
        aarch64-darwin None Some("grpcio")
        x86_64-linux None Some("uvicorn")
        x86_64-linux Some("python312") None"#]]
    .assert_eq(&asked.join("\n"));
}

#[test]
fn what_is_recorded_is_of_the_first_system_that_is_there() {
    let mut case = Case::new();
    case.answers["aarch64-darwin"] = json!({ "throws": true });
    case.answer("x86_64-linux", "grpcio", json!({ "state": "missing" }));
    let of = |case: &Case| {
        let source = Source::Url("channel:nixos-unstable".to_owned());
        case.with(|subject, answers| recorded(subject, &source, answers, day(1_795_564_800)))
    };
    let Recorded { recorded: day, revision, pythons, versions } = of(&case).unwrap();
    assert_eq!((day.as_str(), pythons.len()), ("2026-11-25", 1));
    assert_eq!(revision, "26.11pre-git, channel:nixos-unstable");
    assert_eq!(versions.get("watchdog").map(String::as_str), Some("6.0.0"));
    assert!(!versions.contains_key("grpcio"));
    case.answers["x86_64-linux"]["revision"] = json!("8f3a");
    assert_eq!(of(&case).unwrap().revision, "8f3a");
    case.answer("x86_64-linux", "watchdog", json!({ "state": "there", "version": "a\"b" }));
    assert!(of(&case).is_err());
    case.answers["x86_64-linux"] = json!({ "throws": true });
    assert!(of(&case).is_err());
}

#[test]
fn days_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_735_689_599, "2024-12-31"),
        (4_107_542_400, "2100-03-01"),
    ] {
        assert_eq!(day(seconds), expected);
    }
}

#[test]
fn a_nixpkgs_is_a_path_or_an_archive() {
    let parse = |text| Source::parse(text, std::path::Path::new("/here"));
    assert_eq!(parse("../a b").unwrap(), Source::Path("/here/../a b".into()));
    assert_eq!(parse("/a").unwrap(), Source::Path("/a".into()));
    for url in ["https://h/a.tar.gz", "channel:nixos-unstable", "file:///a.tar.gz"] {
        assert_eq!(parse(url).unwrap(), Source::Url(url.to_owned()));
    }
    for text in ["", "github:a/b", "git+https://h/a"] {
        let error = parse(text).unwrap_err();
        assert_eq!(crate::failure::exit_of(&error), crate::failure::Exit::Usage, "{text}");
    }
}

#[test]
fn the_nixpkgs_of_a_lock_is_that_of_group_toplevel() {
    let lock = |group: &str, url: &str| {
        locked(&json!({ "packages": [{ "group": group, "locked_url": url }] }).to_string())
    };
    let url = "https://github.com/flox/nixpkgs?rev=0ddba11";
    let archive = "https://github.com/flox/nixpkgs/archive/0ddba11.tar.gz".to_owned();
    assert_eq!(lock("toplevel", url).unwrap(), Some(Source::Url(archive)));
    assert_eq!(lock("other", url).unwrap(), None);
    assert_eq!(locked(include_str!("../../../../flox/.flox/env/manifest.lock")).unwrap(), None);
    for url in ["https://github.com/flox/nixpkgs", "git+ssh://h?rev=0dd", "https://h/n?rev=x\"y"] {
        assert!(lock("toplevel", url).is_err(), "{url}");
    }
}
