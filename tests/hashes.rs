//! Real Nix says what a hash is of: in generated expressions, every hash that depends on the source
//! changes with it, or the edit is refused.
//!
//! Each expression is evaluated before the edit, after it, and as if a careless one had replaced
//! the version and the hash of the source alone, over doubles of the fetchers that answer with what
//! they were given. Without Nix it is skipped; `.ci/run` installs one and sets `WITH_NIX`, with
//! which it is not.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::model::nix_edit::{NixFile, Pins, Scope, repin};
use xtask::model::sri::Sri;

const CASES: u64 = 400;
const OLD: &str = "1.12.1";
const NEW: &str = "1.12.2";

/// Evaluates a directory of cases to `{ NAME = { before = …; careless = …; after = …; }; }`.
const EVALUATE: &str = r#"
let
  digest = args: builtins.hashString "sha256" (builtins.toJSON args);
  hashes = [ "hash" "sha256" "outputHash" "cargoHash" "npmDepsHash" ];
  found = args: builtins.concatStringsSep "" (map (name: args.${name} or "") hashes);
  # What decides nothing about an output, or about what is fetched for one that has to be built.
  aside = hashes ++ [ "meta" "passthru" ];
  vendored = name: args: fetch name (removeAttrs args [ "buildInputs" ]);
  # The output of one with a hash is named after that alone, that of any other after all of it.
  fetch = name: args: {
    inputs = digest (removeAttrs args aside);
    hash = found args;
    __toString = self: "${name}:${if self.hash == "" then self.inputs else self.hash}";
  };
  told = value:
    if builtins.isAttrs value && value ? inputs then { inherit (value) inputs hash; } else { };
  doubles = rec {
    fetchFromGitHub = fetch "github";
    fetchurl = fetch "url";
    fetchYarnDeps = fetch "yarn";
    fetchNpmDeps = fetch "npm";
    rustPlatform.buildRustPackage = vendored "rust";
    buildNpmPackage = vendored "npm-package";
    stdenv.mkDerivation = args:
      let self = if builtins.isFunction args then args self else args; in fetch "drv" self;
    runCommand = name: args: script: fetch name (args // { inherit script; });
    lib.optionalAttrs = condition: set: if condition then set else { };
  };
  all = dir:
    let
      source = import (dir + "/dagster-src.nix") doubles;
      beside = import (dir + "/beside.nix") (doubles // { dagster-src = source; });
    in
    builtins.mapAttrs (_: told) beside;
  below = dir: of: builtins.mapAttrs (name: _: of (dir + "/${name}")) (builtins.readDir dir);
in
below ./cases (dir: below dir all)
"#;

/// Upstream's source, and how what is beside it begins.
const SOURCE: &str = r#"{ fetchFromGitHub, ... }:
rec {
  version = "OLD";
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    REV
    hash = "HASH";
  };
}
"#;
const BEGINS: &str = r#"{ dagster-src, fetchFromGitHub, fetchurl, fetchYarnDeps, fetchNpmDeps,
  rustPlatform, buildNpmPackage, stdenv, runCommand, lib, ... }:
let
  source = FROM;
  inherit (source) src version;
  constant = "constant";
  other = fetchurl { url = "https://example.org/other"; hash = "HASH"; };
"#;
/// Calls, a line each, of names that were bound before.
const CALLS: &str = r#"
fetchYarnDeps { yarnLock = "${FROM}/yarn.lock"; hash = "HASH"; }
fetchYarnDeps { yarnLock = "${toString FROM}/y"; hash = "HASH"; meta.about = "${BESIDE}"; }
fetchNpmDeps { src = FROM; hash = "HASH"; }
fetchurl { url = "https://example.org/${FROM}"; hash = "HASH"; }
rustPlatform.buildRustPackage { src = FROM; cargoHash = "HASH"; }
rustPlatform.buildRustPackage { src = FROM; cargoHash = "HASH"; buildInputs = [ "${BESIDE}" ]; }
buildNpmPackage { src = FROM; npmDepsHash = "HASH"; }
runCommand "made" { outputHash = "HASH"; } "cp ${FROM} $out"
runCommand "made" ({ from = "${FROM}"; } // lib.optionalAttrs true { outputHash = "HASH"; }) ""
stdenv.mkDerivation { src = FROM; more = [ "${BESIDE}" ]; }
stdenv.mkDerivation (self: { src = FROM; copy = "${self.src}"; outputHash = "HASH"; })
let version = "2.0"; in fetchurl { url = "https://example.org/${version}"; hash = "HASH"; }
let mk = from: hash: fetchYarnDeps { yarnLock = "${from}"; inherit hash; }; in mk FROM "HASH"
let mk = { from, hash }: fetchNpmDeps { inherit from hash; }; in mk { from = FROM; hash = "HASH"; }
"#;
/// Ways from one name to another.
const VALUES: &str = r#"
FROM
"${FROM}/below"
("${FROM}" + "/below")
(let inner = FROM; in inner)
(if true then FROM else BESIDE)
(with { inner = FROM; }; inner)
{ it = FROM; }.it
(rec { it = FROM; again = it; }).again
(x: x) FROM
builtins.head [ FROM BESIDE ]
"#;

/// Knuth's linear congruential generator: the same cases on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, count: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

fn hash(seed: u64) -> Sri {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(seed + 1).to_le_bytes());
    Sri::from_digest(bytes)
}

fn pins() -> Pins {
    Pins {
        version: NEW.parse().unwrap(),
        tag: NEW.to_owned(),
        commit: "2".repeat(40),
        by_commit: true,
        source_hash: hash(1_000_001),
        pypi: Vec::new(),
        python: "3.13".to_owned(),
    }
}

/// The old source's hash.
fn old_hash() -> Sri {
    hash(1_000_000)
}

/// Two files: upstream's source, and what is built beside it from anything.
fn generated(seed: u64) -> Vec<NixFile> {
    let mut chance = Chance(seed);
    let rev = chance.of(&[
        "tag = version;",
        "rev = version;",
        "rev = \"refs/tags/${version}\";",
        "rev = \"1111111111111111111111111111111111111111\";",
    ]);
    let source = SOURCE.replace("OLD", OLD).replace("REV", rev);
    let source = source.replace("HASH", &old_hash().to_string());
    let place =
        chance.of(&["import ./dagster-src.nix { inherit fetchFromGitHub; }", "dagster-src"]);
    let mut text = BEGINS.replace("FROM", place).replace("HASH", &hash(2_000_000).to_string());
    let mut names: Vec<String> =
        ["src", "version", "constant", "other", "constant", "other"].map(str::to_owned).to_vec();
    let mut told = Vec::new();
    for index in 0..2 + chance.below(5) {
        let (x, y) = (chance.below(names.len()), chance.below(names.len()));
        let (x, y) = (names[x].clone(), names[y].clone());
        let own = hash(seed * 100 + index as u64).to_string();
        let is_told = chance.below(3) > 0;
        let forms = if is_told { CALLS } else { VALUES };
        let form = chance.of(&forms.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
        let name = format!("n{index}");
        let form = form.replace("FROM", &x).replace("BESIDE", &y).replace("HASH", &own);
        let _ = writeln!(text, "  {name} = {form};");
        if is_told {
            told.push(name.clone());
        }
        names.push(name);
    }
    let _ = writeln!(
        text,
        "in\n{{\n  inherit {};\n}}",
        [&["other".to_owned()], &*told].concat().join(" ")
    );
    [("dagster-src.nix", source), ("beside.nix", text)]
        .map(|(path, text)| NixFile { path: path.to_owned(), text })
        .to_vec()
}

fn write(dir: &Path, files: &[NixFile]) {
    fs::create_dir_all(dir).unwrap();
    for NixFile { path, text } in files {
        fs::write(dir.join(path), text).unwrap();
    }
}

/// Of each call, by its name: what it was given, and its hash.
type Calls = BTreeMap<String, BTreeMap<String, String>>;

/// The names of calls whose hash stays while what they are given changes.
fn stale(before: &Calls, after: &Calls) -> Vec<String> {
    let is_stale = |name: &String| {
        let (old, new) = (&before[name], &after[name]);
        old.get("inputs") != new.get("inputs")
            && old["hash"] == new["hash"]
            && !old["hash"].is_empty()
    };
    let names = before.keys().filter(|name| !before[*name].is_empty());
    names.filter(|name| is_stale(name)).cloned().collect()
}

#[test]
fn a_hash_changes_with_what_it_is_of_or_the_edit_is_refused() {
    let works = Command::new("nix-instantiate").arg("--version").output();
    if !works.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("WITH_NIX").is_none(), "there is no Nix");
        eprintln!("skipped: no Nix");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let scope = Scope {
        owner: "dagster-io".to_owned(),
        repo: "dagster".to_owned(),
        packages: vec!["dagster".to_owned()],
    };
    let (mut refused, mut cases) = (BTreeMap::new(), BTreeMap::new());
    for seed in 0..CASES {
        let (name, files) = (format!("c{seed}"), generated(seed));
        let place = dir.path().join("cases").join(&name);
        let careless: Vec<NixFile> = files
            .iter()
            .map(|NixFile { path, text }| NixFile {
                path: path.clone(),
                text: text
                    .replace(&old_hash().to_string(), &pins().source_hash.to_string())
                    .replace(OLD, NEW),
            })
            .collect();
        write(&place.join("before"), &files);
        write(&place.join("careless"), &careless);
        match repin(&files, &scope, &pins()) {
            Ok(after) => write(&place.join("after"), &after),
            Err(failure) => {
                refused.insert(name.clone(), failure.to_string());
            }
        }
        cases.insert(name, files);
    }
    fs::write(dir.path().join("all.nix"), EVALUATE).unwrap();
    let nix = |name: &str| dir.path().join(name);
    let output = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "all.nix"])
        .current_dir(dir.path())
        .env("NIX_CONFIG", "substituters =\nbuild-users-group =\nsandbox = false")
        .env("NIX_REMOTE", "")
        .env("NIX_PATH", "")
        .env("NIX_STORE_DIR", nix("store"))
        .env("NIX_STATE_DIR", nix("state"))
        .env("NIX_LOG_DIR", nix("log"))
        .env("XDG_CACHE_HOME", nix("cache"))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", words.chars().take(3000).collect::<String>());
    let found: BTreeMap<String, BTreeMap<String, Calls>> =
        serde_json::from_slice(&output.stdout).unwrap();

    let (mut right, mut careful) = (0, Vec::new());
    for (name, files) in &cases {
        let shown = || files.iter().map(|file| file.text.clone()).collect::<String>();
        let of = &found[name];
        let is_needed = !stale(&of["before"], &of["careless"]).is_empty();
        match (refused.get(name), of.get("after")) {
            (None, Some(after)) => {
                let stale = stale(&of["before"], after);
                assert!(stale.is_empty(), "{stale:?} stay in\n{}", shown());
                right += 1;
            }
            (Some(why), None) => {
                if !is_needed {
                    careful.push(format!("{why}\n{}", shown()));
                }
            }
            _ => unreachable!(),
        }
    }
    let needed = refused.len() - careful.len();
    println!(
        "{CASES} expressions: {right} edited, {needed} refused, {} refused that need not be",
        careful.len()
    );
    assert!(right >= CASES as usize / 5 && needed >= CASES as usize / 5, "one-sided cases");
    // A condition may be either, and what a function makes of its argument is not known.
    assert!(careful.len() < CASES as usize / 10, "{}", careful.join("\n"));
}
