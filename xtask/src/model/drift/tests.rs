//! The history of real releases, as tests/upstream/history.py captured it, and changes that have
//! not happened yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use expect_test::{Expect, expect, expect_file};
use semver::Version;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::relaxed::Relaxed;
use super::*;
use crate::model::config::Config;
use crate::model::facts::{Description, Facts, PypiPin, Release};
use crate::model::nix_edit::{ListChange, ListName, NixFile, Scope};
use crate::model::nixpkgs::Recorded;
use crate::model::peculiarities::{Names, Peculiarities};
use crate::model::plan::{Plan, Policy};
use crate::model::sri::Sri;

const VERSIONS: [&str; 12] = [
    "1.9.11", "1.9.12", "1.10.5", "1.10.6", "1.10.18", "1.10.21", "1.11.16", "1.12.1", "1.12.14",
    "1.12.17", "1.12.22", "1.13.27",
];

/// What changed from one of the versions to the next, by hand from the releases themselves:
/// package, list, what came, what went. `hatchling` is the build system that went to all at once.
const CHANGES: [(&str, &str, ListName, &str, &str); 9] = [
    ("1.10.6", "dagster", ListName::Dependencies, "dagster-shared", ""),
    (
        "1.10.18",
        "dagster",
        ListName::Dependencies,
        "",
        "packaging pydantic pyyaml typing-extensions",
    ),
    (
        "1.10.18",
        "dagster-shared",
        ListName::Dependencies,
        "packaging pydantic pyyaml tomlkit typing-extensions",
        "",
    ),
    ("1.10.18", "dagster-complete", ListName::Commands, "dagster-components", ""),
    ("1.10.21", "dagster-complete", ListName::Commands, "", "dagster-components"),
    ("1.11.16", "dagster", ListName::Dependencies, "tzdata", ""),
    ("1.11.16", "dagster-shared", ListName::Dependencies, "platformdirs", ""),
    ("1.12.17", "", ListName::BuildSystem, "hatchling", "setuptools"),
    ("1.12.22", "dagster", ListName::Dependencies, "", "setuptools"),
];

#[derive(Deserialize, Clone)]
struct Captured {
    version: String,
    distributions: Vec<CapturedDistribution>,
    files: BTreeMap<String, String>,
}

#[derive(Deserialize, Clone)]
struct CapturedDistribution {
    name: String,
    version: String,
    requires_dist: Vec<String>,
    requires_python: Option<String>,
}

fn captured(version: &str) -> Captured {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../tests/upstream/history/{version}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn config() -> Config {
    Config::parse(include_str!("../../../../release.toml")).unwrap()
}

fn nixpkgs() -> Recorded {
    Recorded::parse(include_str!("../../../../nixpkgs.toml")).unwrap()
}

fn scope(config: &Config) -> Scope {
    Scope {
        owner: config.owner().to_owned(),
        repo: config.repo().to_owned(),
        packages: config.packages.iter().map(|package| package.name.clone()).collect(),
    }
}

impl Captured {
    fn distributions(&self) -> Vec<Distribution> {
        let of = |it: &CapturedDistribution| Distribution {
            name: it.name.clone(),
            version: it.version.clone(),
            requirements: it.requires_dist.clone(),
            python: it.requires_python.clone(),
        };
        self.distributions.iter().map(of).collect()
    }

    fn facts(&self, config: &Config) -> Facts {
        // Any, as long as no two versions have the same.
        let hash = |of: &str| {
            match (self.version.as_str(), of) {
                ("1.12.1", "source") => "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=",
                ("1.12.1", _) => "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=",
                _ => "",
            }
            .parse()
            .unwrap_or_else(|_| {
                Sri::from_digest(Sha256::digest(of.to_owned() + &self.version).into())
            })
        };
        let release = Release {
            version: self.version.parse().unwrap(),
            tag: self.version.clone(),
            commit: "0".repeat(40),
            archive: String::new(),
            wheels: vec![PypiPin {
                name: "dagster-webserver".to_owned(),
                version: self.version.clone(),
                file: Some(format!("dagster_webserver-{}-py3-none-any.whl", self.version)),
                hash: hash("wheel"),
            }],
            distributions: self.distributions(),
        };
        let directory = |path: &String| path.rsplit_once('/').unwrap().0.to_owned();
        let description = Description {
            texts: self.files.clone(),
            projects: self.files.keys().map(directory).collect(),
            ..Description::default()
        };
        Facts::new(config, release, hash("source"), &description).unwrap()
    }
}

/// The expressions at 1.12.1, with nothing foreseen.
fn start() -> Vec<NixFile> {
    [
        ("nix/combined/all.nix", include_str!("combined.nix")),
        ("nix/separate/all.nix", include_str!("separate.nix")),
    ]
    .map(|(path, text)| NixFile { path: path.to_owned(), text: text.to_owned() })
    .to_vec()
}

fn plan(files: &[NixFile], to: &Captured, before: Option<&Captured>) -> Plan {
    let config = config();
    let before = before.map(Captured::distributions);
    let (scope, facts) = (scope(&config), to.facts(&config));
    let policy = Policy { config: &config, nixpkgs: &nixpkgs() };
    Plan::new(policy, &scope, files, facts, before.as_deref(), true).unwrap()
}

fn apply(files: &[NixFile], plan: &Plan) -> Vec<NixFile> {
    let mut files = files.to_vec();
    for change in plan.changes() {
        let file = files.iter_mut().find(|file| file.path == change.path).unwrap();
        assert_eq!(file.text, change.before);
        file.text = change.after;
    }
    files
}

fn sentences(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding { severity, package, what, upstream, expressions, .. } = finding;
        let severity = format!("{severity:?}").to_lowercase();
        let _ = writeln!(text, "{severity} {package} {what}");
        let _ = writeln!(text, "    {upstream}");
        for place in expressions {
            let _ = writeln!(text, "    {place}");
        }
        match &finding.answer {
            Answer::Edits(words, _) => writeln!(text, "    {words}").unwrap(),
            Answer::Person(words) => writeln!(text, "    to do: {words}").unwrap(),
            Answer::Nothing => {}
        }
    }
    if text.is_empty() { "nothing\n".to_owned() } else { text }
}

/// Package and list to names, at a version, out of [`CHANGES`].
type Lists = BTreeMap<(String, ListName), BTreeSet<String>>;

fn lists_at(version: &str) -> Lists {
    let number = |text: &str| text.parse::<Version>().unwrap();
    let mut lists = Lists::new();
    let sets = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    for (since, package, list, came, went) in CHANGES {
        let packages = if package.is_empty() {
            vec!["dagster-pipes", "dagster-shared", "dagster", "dagster-graphql"]
        } else {
            vec![package]
        };
        for package in packages {
            let names = lists.entry((package.to_owned(), list)).or_default();
            let is_new = number(version) >= number(since);
            // What goes without having come was there from the beginning.
            let first = sets(went).into_iter().filter(|name| {
                !CHANGES.iter().any(|(_, other, _, came, _)| *other == package && came == name)
            });
            if is_new {
                names.retain(|name| !sets(went).contains(name));
                names.extend(sets(came));
            } else {
                names.extend(first);
            }
        }
    }
    if number(version) < number("1.10.6") {
        lists.retain(|(package, _), _| package != "dagster-shared");
    }
    lists
}

/// What edits do to each list: names that come, names that go. The same in both variants.
fn effect(findings: &[Finding]) -> BTreeMap<(String, ListName), [BTreeSet<String>; 2]> {
    let mut effects: BTreeMap<&str, BTreeMap<_, [BTreeSet<String>; 2]>> = BTreeMap::new();
    for edit in findings.iter().flat_map(Finding::edits) {
        let of = effects.entry(&edit.path).or_default();
        let [came, went] = of.entry((edit.package.clone(), edit.list)).or_default();
        match &edit.change {
            ListChange::Add(name, _) => {
                came.insert(name.clone());
            }
            ListChange::Remove(name) => {
                went.insert(name.clone());
            }
            ListChange::Replace(old, new) => {
                went.insert(old.clone());
                came.insert(new.clone());
            }
        }
    }
    let combined = effects.remove("nix/combined/all.nix").unwrap_or_default();
    let separate = effects.remove("nix/separate/all.nix").unwrap_or_default();
    let mut shared = combined.clone();
    shared.retain(|(_, list), _| *list != ListName::Commands);
    assert_eq!(shared, separate, "the variants are edited alike");
    combined
}

#[test]
fn the_history_in_both_directions() {
    let history: BTreeMap<&str, Captured> =
        VERSIONS.iter().map(|version| (*version, captured(version))).collect();
    let mut table = String::new();
    let mut at: BTreeMap<&str, Vec<NixFile>> = BTreeMap::new();
    for version in VERSIONS {
        at.insert(version, apply(&start(), &plan(&start(), &history[version], None)));
    }
    let mut pairs = 0;
    for (i, from) in VERSIONS.iter().enumerate() {
        for (k, to) in VERSIONS.iter().enumerate() {
            let plan = plan(&at[from], &history[to], Some(&history[from]));
            pairs += 1;

            // The edits are the difference of what the two versions need, in both variants.
            let (old, new) = (lists_at(from), lists_at(to));
            let effect = effect(&plan.findings);
            for key in new.keys().chain(effect.keys()) {
                let none = BTreeSet::new();
                let (old, new) = match (old.get(key), new.get(key)) {
                    // A package that was not there is as its expression was written.
                    (None, Some(_)) if key.0 == "dagster-shared" => continue,
                    (old, new) => (old.unwrap_or(&none), new.unwrap_or(&none)),
                };
                let [came, went] = effect.get(key).cloned().unwrap_or_default();
                assert_eq!(came, new - old, "{from} to {to}: what comes to {key:?}");
                assert_eq!(went, old - new, "{from} to {to}: what goes from {key:?}");
            }

            // With them made nothing is left to find, and the way back leads back.
            let there = apply(&at[from], &plan);
            let again = self::plan(&there, &history[to], None);
            assert!(again.is_empty(), "{from} to {to}: a second run edits");
            assert_eq!(sentences(&again.findings), "nothing\n", "{from} to {to}");
            let back = apply(&there, &self::plan(&there, &history[from], None));
            let forth = self::plan(&back, &history[from], None);
            assert!(forth.is_empty() && forth.findings.is_empty(), "{from} to {to} and back");

            if i.abs_diff(k) == 1 {
                let _ = writeln!(table, "{from} -> {to}\n{}", sentences(&plan.findings));
            }
        }
    }
    assert_eq!(pairs, 144);
    expect_file!["history.expect"].assert_eq(&table);
}

/// What each release relaxes, of the captured ones that differ from the one before.
#[test]
fn what_each_release_relaxes() {
    let (config, nixpkgs) = (config(), nixpkgs());
    let mut table = String::new();
    let mut last = Vec::new();
    for version in VERSIONS {
        let captured = captured(version);
        let mut relaxed = relaxed::derive(&config, &captured.facts(&config)).unwrap();
        relaxed.retain(|relaxed| !relaxed.bounds.is_empty());
        let notices = relaxed::notices(&config, &nixpkgs, &relaxed);
        let rows: Vec<String> = relaxed
            .iter()
            .zip(notices)
            .map(|(Relaxed { package, bounds, .. }, notice)| {
                let names = bounds.iter().map(|bound| {
                    let source = bound.source_spellings.iter().map(|name| format!("({name})"));
                    let all = bound.spellings.iter().cloned().chain(source);
                    all.collect::<Vec<_>>().join(" ")
                });
                let names = names.collect::<Vec<_>>().join(" ");
                format!("    {package}: {names}\n        {}\n", notice.what)
            })
            .collect();
        if rows == last {
            continue;
        }
        let python = config.python_at(&version.parse().unwrap()).unwrap();
        let _ = write!(table, "{version} on {python}\n{}", rows.concat());
        last = rows;
    }
    expect_file!["relaxed.expect"].assert_eq(&table);
}

/// The difference that one change of upstream's makes, from 1.12.1 with nothing else changed.
fn check(change: impl Fn(&mut Captured), expected: Expect) {
    let mut captured = captured("1.12.1");
    change(&mut captured);
    let plan = plan(&start(), &captured, None);
    expected.assert_eq(&sentences(&plan.findings));
}

fn require(captured: &mut Captured, package: &str, line: &str) {
    let it = captured.distributions.iter_mut().find(|it| it.name == package).unwrap();
    it.requires_dist.push(line.to_owned());
    let directory = if package == "dagster-shared" { "libraries/" } else { "" };
    let path = format!("python_modules/{directory}{package}/setup.py");
    let text = captured.files.get_mut(&path).unwrap();
    assert!(text.contains("install_requires=["), "{path}");
    *text =
        text.replacen("install_requires=[", &format!("install_requires=[\n        {line:?},"), 1);
}

#[test]
fn what_no_release_did_yet() {
    check(
        |_| {},
        expect![[r#"
              nothing
        "#]],
    );
    // A requirement on two systems, one with an unknown extra, one on another of upstream's own.
    check(
        |it| {
            require(it, "dagster", "uvloop>=0.2; sys_platform == 'darwin'");
            require(it, "dagster", "fsspec[s3]");
            require(it, "dagster-webserver", "dagster-shared==1.12.1");
        },
        expect![[r#"
            hard dagster requires `fsspec[s3]`, and what that pulls in is not known
                python_modules/dagster/setup.py:83
                to do: list it in release.toml: "fsspec[s3]" under [nixpkgs.extras]
            hard dagster requires `fsspec[s3]`, and its expressions lack it
                python_modules/dagster/setup.py:83
                nix/combined/all.nix:57
                nix/separate/all.nix:56
                adds fsspec to dependencies
            hard dagster requires `uvloop>=0.2`, and its expressions lack it
                python_modules/dagster/setup.py:84
                nix/combined/all.nix:57
                nix/separate/all.nix:56
                to do: add `uvloop` under a condition: it is required on aarch64-darwin only
            hard dagster-webserver requires `dagster-shared==1.12.1`, and its expressions lack it
                python_modules/dagster-webserver/setup.py:47
                nix/combined/all.nix:121
                nix/separate/all.nix:120
                adds dagster-shared to dependencies
        "#]],
    );
    // The source and the distribution are not of one release.
    check(
        |it| {
            let setup = it.files.get_mut("python_modules/dagster-graphql/setup.py").unwrap();
            *setup =
                setup.replace("\"requests\",", "\"httpx\",").replace("graphene>=3", "graphene>=2");
        },
        expect![[r#"
            hard dagster-graphql requires `httpx` in its source, and its distribution does not
                python_modules/dagster-graphql/setup.py:41
                to do: find out which is the release; the expressions follow the distribution
            hard dagster-graphql requires `requests` as a distribution, and not in its source
                metadata of dagster-graphql 1.12.1
                to do: find out which is the release; the expressions follow the distribution
            soft dagster-graphql requires `graphene>=2,<4` in its source, and `graphene>=3,<4` as a distribution
                python_modules/dagster-graphql/setup.py:39
        "#]],
    );
    check(
        |it| {
            for distribution in &mut it.distributions {
                distribution.requires_python = Some(">=3.13".to_owned());
            }
            let version = "python_modules/dagster/dagster/version.py";
            it.files.insert(version.to_owned(), "__version__ = \"1!0+dev\"\n".to_owned());
            it.files.retain(|path, _| !path.starts_with("python_modules/dagster-pipes/"));
        },
        expect![[r#"
            hard dagster-pipes is gone from upstream's source
                no project in python_modules/dagster-pipes
                nix/combined/all.nix:19
                nix/separate/all.nix:18
                to do: in release.toml: its new `path`, or `until` on `dagster-pipes` with the last version that has it
            hard dagster calls itself `1!0+dev` in its source, not `1.12.1`
                python_modules/dagster/dagster/version.py:1
                to do: find out from upstream what this tag is
        "#]],
    );
    // A package that release.toml does not have, and commands that go, come and are no names.
    check(
        |it| {
            require(it, "dagster", "dagster-core==1.12.1");
            it.files.insert(
                "python_modules/libraries/dagster-core/setup.py".to_owned(),
                "setup()".to_owned(),
            );
            let setup = it.files.get_mut("python_modules/dagster-webserver/setup.py").unwrap();
            *setup = setup.replace("dagster-webserver-debug = ", "dagster-web = ");
            let setup = it.files.get_mut("python_modules/dagster/setup.py").unwrap();
            *setup =
                setup.replace("\"dagster-daemon = ", "\"$(x)\\x1b = a:b\", \"dagster-daemon = ");
        },
        expect![[r#"
            hard dagster requires `dagster-core`, a package of upstream's that release.toml does not have at 1.12.1
                python_modules/dagster/setup.py:83, python_modules/libraries/dagster-core
                to do: a [[package]] `dagster-core` in release.toml with `since`, and its expressions
            hard dagster has the command `$(x)\u{1b}`, and dagster-complete does not link it
                python_modules/dagster/setup.py:179
                nix/combined/all.nix:141
                to do: find out from upstream what this name is
            hard dagster-webserver has the command `dagster-web`, and dagster-complete does not link it
                python_modules/dagster-webserver/setup.py:61
                nix/combined/all.nix:141
                adds dagster-web to commands
            hard dagster-complete links the command `dagster-webserver-debug`, which upstream does not have
                no console script of that name
                nix/combined/all.nix:146
                removes dagster-webserver-debug from commands
        "#]],
    );
}

/// What is below a package is for a person to decide, the rest is told.
#[test]
fn a_source_that_is_not_only_its_commit() {
    let config = config();
    let to = captured("1.12.1");
    let found = |peculiarities: Peculiarities| {
        let facts = Facts { peculiarities, ..to.facts(&config) };
        let policy = Policy { config: &config, nixpkgs: &nixpkgs() };
        let plan = Plan::new(policy, &scope(&config), &start(), facts, None, false).unwrap();
        let told = |findings: &[Finding]| -> Vec<String> {
            let is_ours = |it: &&Finding| {
                ["archive", "LFS", "macOS"].iter().any(|word| it.what.contains(word))
            };
            findings.iter().filter(is_ours).map(|it| it.what.clone()).collect()
        };
        (told(&plan.findings), told(&plan.notices))
    };
    let strings = |names: &[&str]| {
        let mut all = Names::default();
        names.iter().for_each(|name| all.add(|| (*name).to_owned()));
        all
    };
    let (hard, soft) = found(Peculiarities {
        substituted: strings(&["`a` (.gitattributes:1)"]),
        left_out: strings(&["`b` (.gitattributes:2)"]),
        lfs_pointers: strings(&["docs/x.mp4", "python_modules/dagster/dagster/y.bin"]),
        submodules: strings(&["python_modules/dagster-pipes", "s1", "s2", "s3", "s4"]),
        colliding: strings(&["A and a"]),
    });
    expect![[r#"
        [
            "writes into its archive what changes with time (`export-subst`): `a` (.gitattributes:1)",
            "has pointers of Git LFS in place of files: python_modules/dagster/dagster/y.bin",
            "has submodules, which are empty in its archive: python_modules/dagster-pipes",
            "has names that are one file on macOS: A and a",
        ]
    "#]].assert_debug_eq(&hard);
    expect![[r#"
        [
            "leaves out of its archive what a checkout has (`export-ignore`): `b` (.gitattributes:2)",
            "has pointers of Git LFS in place of files: docs/x.mp4",
            "has submodules, which are empty in its archive: s1, s2, s3 and 1 more",
        ]
    "#]].assert_debug_eq(&soft);
    assert_eq!(found(Peculiarities::default()), (Vec::new(), Vec::new()));
}
