//! Rules about the files of this repository: what stands in several places says the same in each.
//!
//! `release.toml` says which systems there are. What cannot read it is compared with it here
//! (tests/nix/check.py reads it). What flox or nixpkgs know of systems (tools/flox.rs, the stand-in
//! catalog, the double of nixpkgs) is their list and not ours.

// A rule that cannot be checked says so by panicking.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use xtask::model::config::Config;

const MANIFEST: &str = "flox/.flox/env/manifest.toml";
const LOCK: &str = "flox/.flox/env/manifest.lock";
const WORKFLOW: &str = ".github/workflows/release.yml";
/// What may name no other system than ours. A changelog may name what was.
const PROSE: [&str; 8] = [
    "README.md",
    "RELEASING.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "release.toml",
    ".github/workflows/ci.yml",
    MANIFEST,
    WORKFLOW,
];

/// Files by their path, as they are or with a fault put in.
type Files = BTreeMap<&'static str, String>;

fn files() -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &'static str| (path, std::fs::read_to_string(root.join(path)).unwrap());
    PROSE.into_iter().chain([LOCK]).map(read).collect()
}

/// Everything that disagrees with the systems of `release.toml`, a line each.
fn disagreements(files: &Files) -> Vec<String> {
    let mut ours = Config::parse(&files["release.toml"]).unwrap().catalog.systems;
    ours.sort();
    let mut wrong = Vec::new();
    let mut compare = |place: &str, mut found: Vec<String>, expected: &[String]| {
        found.sort();
        if found != expected {
            wrong.push(format!(
                "{place}: expected {}, found {}",
                expected.join(", "),
                found.join(", ")
            ));
        }
    };

    let manifest: toml::Table = files[MANIFEST].parse().unwrap();
    let list = manifest["options"]["systems"].as_array().unwrap();
    let found = list.iter().map(|system| system.as_str().unwrap().to_owned()).collect();
    compare(MANIFEST, found, &ours);

    let lock: serde_json::Value = serde_json::from_str(&files[LOCK]).unwrap();
    let list = lock["manifest"]["options"]["systems"].as_array().unwrap();
    let found = list.iter().map(|system| system.as_str().unwrap().to_owned()).collect();
    compare(LOCK, found, &ours);

    let (jobs, committing) = workflow(&files[WORKFLOW]);
    compare("the matrix of the job `build`", jobs["build"].clone(), &ours);
    compare("the matrix of the job `publish`", jobs["publish"].clone(), &ours);
    let one = ours.iter().find(|system| committing.contains(system));
    let twice: Vec<String> = one.into_iter().flat_map(|it| [it.clone(), it.clone()]).collect();
    compare("what `build` says of one system, and what `commit` goes by", committing, &twice);

    for path in PROSE {
        let foreign = systems(&files[path]).filter(|system| !ours.contains(system)).collect();
        compare(&format!("{path}: systems that are not ours"), foreign, &[]);
    }
    wrong
}

/// The systems that each job's matrix names, and the one that the commit is made for, as often as
/// the jobs `build` and `commit` name it.
fn workflow(text: &str) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let mut jobs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut committing = Vec::new();
    let mut job = String::new();
    for line in text.lines() {
        let is_job = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        let line = line.trim_start();
        if is_job {
            job = line.trim_end_matches(':').to_owned();
        } else if let Some(rest) = line.strip_prefix("- { system: ") {
            let system = rest.split([',', ' ']).next().unwrap().to_owned();
            jobs.entry(job.clone()).or_default().push(system);
        } else if line.starts_with("releasing: ") {
            committing.extend(systems(line));
        } else if let Some(system) = line.strip_prefix("pattern: passed-")
            && job == "commit"
        {
            committing.push(system.to_owned());
        }
    }
    (jobs, committing)
}

/// Every Nix system that a text names.
fn systems(text: &str) -> impl Iterator<Item = String> + '_ {
    const MACHINES: [&str; 5] = ["aarch64", "armv7l", "i686", "riscv64", "x86_64"];
    text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).filter_map(|word| {
        let (machine, kernel) = word.split_once('-')?;
        let is_system = MACHINES.contains(&machine) && matches!(kernel, "linux" | "darwin");
        is_system.then(|| word.to_owned())
    })
}

#[test]
fn every_list_of_systems_is_that_of_release_toml() {
    assert_eq!(disagreements(&files()), Vec::<String>::new());
}

/// Each place is looked at: a system that is added to one, or taken away, is found.
#[test]
fn a_list_that_disagrees_is_found() {
    let entry = "          - { system: aarch64-linux, runner: ubuntu-24.04-arm }\n";
    let (build, publish) = {
        let text = &files()[WORKFLOW];
        (text.find(entry).unwrap(), text.rfind(entry).unwrap())
    };
    assert_ne!(build, publish);
    let without = |files: &mut Files, at: usize| {
        files.get_mut(WORKFLOW).unwrap().replace_range(at..at + entry.len(), "");
    };
    let replace = |files: &mut Files, path: &str, from: &str, to: &str| {
        let text = files.get_mut(path).unwrap();
        assert!(text.contains(from), "{path} has no `{from}`");
        *text = text.replacen(from, to, 1);
    };
    type Fault<'a> = (&'a str, &'a dyn Fn(&mut Files));
    let faults: [Fault<'_>; 10] = [
        ("found aarch64-darwin, aarch64-linux", &|it| {
            replace(it, MANIFEST, ", \"x86_64-linux\"]", "]");
        }),
        ("manifest.lock: expected", &|it| replace(it, LOCK, "\"aarch64-linux\",", "")),
        ("`build`: expected", &|it| without(it, build)),
        ("`publish`: expected", &|it| without(it, publish)),
        (
            "`commit` goes by: expected x86_64-linux, x86_64-linux, found riscv64-linux, x86",
            &|it| {
                replace(it, WORKFLOW, "system == 'x86_64-linux'", "system == 'riscv64-linux'");
            },
        ),
        (
            "`commit` goes by: expected aarch64-linux, aarch64-linux, found aarch64-linux, x86",
            &|it| {
                replace(
                    it,
                    WORKFLOW,
                    "pattern: passed-x86_64-linux",
                    "pattern: passed-aarch64-linux",
                );
            },
        ),
        ("release.yml: systems that are not ours", &|it| {
            replace(it, WORKFLOW, "publishes it if", "publishes it on i686-linux if");
        }),
        ("README.md: systems that are not ours: expected , found x86_64-darwin", &|it| {
            it.get_mut("README.md").unwrap().push_str("(`x86_64-darwin` too)\n");
        }),
        ("RELEASING.md: systems that are not ours", &|it| {
            it.get_mut("RELEASING.md").unwrap().push_str("x86_64-darwin\n");
        }),
        ("manifest.toml: expected aarch64-linux, x86_64-linux, found aarch64-darwin", &|it| {
            replace(it, "release.toml", "\"aarch64-darwin\", ", "");
        }),
    ];
    for (expected, put_in) in faults {
        let mut files = files();
        put_in(&mut files);
        let found = disagreements(&files);
        assert!(found.iter().any(|line| line.contains(expected)), "{expected}: {found:#?}");
    }
}
