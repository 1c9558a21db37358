//! Machines that a rehearsal passes on, beside the one that the other tests run on.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::scene;

/// Stock Debian and Ubuntu: a Python whose `sitecustomize` is the distribution's, packages in
/// `dist-packages`, an environment that is managed externally. Nothing else is on PATH.
#[test]
fn the_distributions_python() {
    let of = |python: &str| {
        let output = Command::new(python)
            .args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"])
            .stderr(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then_some(output.stdout)
    };
    let (first, distribution) = (of("python3"), of("/usr/bin/python3"));
    if distribution.is_none() || distribution == first {
        eprintln!("every test runs with the distribution's Python here, or there is none");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["rehearse", "1.9.12"])
        .current_dir(scene::source())
        .env("PATH", "/usr/bin:/bin")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("Rehearsed 1.9.12: both variants are in the stand-in catalog"),
        "{stderr}"
    );
    assert!(Path::new(scene::source()).to_string_lossy().contains(' '), "no space in the path");
}
