//! What one job built and smoked, and another commits and publishes without running any of it.

use std::fs;

use crate::scene::{ORG, Ran, Scene};

/// Builds and smokes where no credential is, and writes down what passed.
fn attest(scene: &Scene, version: &str, more: &[&str]) -> String {
    let file = scene.path("passed.json").to_str().unwrap().to_owned();
    let args = ["release", version, "--no-publish", "--attest", &file];
    scene.run(&[&args, more].concat()).expect_status(0);
    file
}

fn says(ran: &Ran, expected: &[&str], not: &[&str]) {
    for word in expected {
        assert!(ran.stderr.contains(word), "expected `{word}`: {}", ran.stderr);
    }
    for word in not {
        assert!(!ran.stderr.contains(word), "expected no `{word}`: {}", ran.stderr);
    }
}

#[test]
fn committed_and_published_without_a_probe() {
    let scene = Scene::new();
    let file = attest(&scene, "1.12.2", &[]);
    assert_eq!(scene.git(&["log", "--format=%s", "origin/main..main"]), "");

    // The commit needs no flox at all.
    let flox = scene.path("bin/flox");
    fs::rename(&flox, scene.path("bin/away")).unwrap();
    let ran = scene.run(&["release", "1.12.2", "--commit-only", "--attested", &file]);
    ran.expect_status(0);
    says(&ran, &["`combined` 1.12.2 passed on"], &["Building", "Smoking"]);
    assert_eq!(scene.git(&["rev-parse", "HEAD"]), scene.git(&["rev-parse", "origin/main"]));
    let trailers = scene.git(&["log", "-1", "--format=%(trailers:key=Closure,valueonly)"]);
    assert!(trailers.contains("separate") && trailers.contains("combined"), "{trailers}");
    fs::rename(scene.path("bin/away"), flox).unwrap();

    // Who only publishes makes no commit, and may not push.
    scene.git(&["config", "user.useConfigOnly", "true"]);
    scene.git(&["config", "--unset", "user.email"]);
    scene.git(&["config", "remote.origin.pushUrl", "/nowhere"]);
    let ran = scene.run(&["release", "1.12.2", "--attested", &file]);
    ran.expect_status(0);
    says(&ran, &["Building", "Published"], &["Smoking"]);
    for package in ["dagster", "dagster-complete"] {
        assert!(scene.show(package).contains(&format!("{ORG}/{package}@1.12.2")), "{package}");
    }
}

#[test]
fn what_passed_elsewhere_is_not_what_is_here() {
    let scene = Scene::new();
    let file = attest(&scene, "1.12.2", &["--variant", "separate"]);
    let text = fs::read_to_string(&file).unwrap();
    let before = scene.state();
    let refused = |text: &str, more: &[&str], expected: &[&str]| {
        fs::write(&file, text).unwrap();
        let args = ["release", "1.12.2", "--attested", &file];
        let ran = scene.run(&[&args, more].concat());
        ran.expect_status(1);
        says(&ran, expected, &["Smoking", "Committing", "Publishing"]);
        assert_eq!(scene.state(), before);
    };
    let separate = ["--variant", "separate"];
    let changed = |name: &str, value: &str| {
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let place = json.pointer_mut(name).unwrap_or_else(|| panic!("{name} in {text}"));
        *place = value.into();
        json.to_string()
    };
    refused(&text, &[], &["does not say that `combined` passed"]);
    refused("{", &separate, &["it is no attestation"]);
    let other = changed("/system", "riscv64-linux");
    refused(&other, &separate, &["it is of another build", "found 1.12.2 on riscv64-linux"]);
    let other = changed("/variants/0/sources/nix", &"0".repeat(40));
    refused(&other, &separate, &["`separate` passed with another `nix` than there is here"]);
    let hash = format!("sha256-{}=", "A".repeat(43));
    let other = changed("/variants/0/outputs/0/narHash", &hash);
    refused(&other, &separate, &["comes to something else here than what passed", &hash]);
    let other = changed("/variants/0/outputs/0/path", "/nix/store/elsewhere");
    refused(&other, &separate, &["comes to something else", "`/nix/store/elsewhere` with"]);
    fs::remove_file(&file).unwrap();
    let ran = scene.run(&["release", "1.12.2", "--attested", &file]);
    ran.expect_status(1);
    says(&ran, &["nothing says that this passed"], &["Building"]);
    assert_eq!(scene.show("dagster"), "");
}
