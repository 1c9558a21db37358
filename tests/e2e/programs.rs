//! Scripts in the place of the programs that the tool runs, and signals to what runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use crate::scene::Scene;

pub const TICK: Duration = Duration::from_millis(50);

/// Puts a script in the place of a program that the tool runs; `@REAL@` is the program itself.
pub fn replace(scene: &Scene, program: &str, script: &str) {
    let path = scene.path("bin").join(program);
    let real = match path.exists() {
        true => {
            let real = scene.path("bin").join(format!("real-{program}"));
            fs::rename(&path, &real).unwrap();
            real.display().to_string()
        }
        false => {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            String::from_utf8(found.unwrap().stdout).unwrap().trim().to_owned()
        }
    };
    fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("@REAL@", &real))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// A script that says it is there and then sleeps, for a number of seconds that is its own.
pub fn sleeps(scene: &Scene, seconds: u32) -> String {
    let there = scene.path("there");
    let there = there.display();
    format!("echo >'{there}'; sleep {seconds} & wait")
}

pub fn wait_for(scene: &Scene) {
    while !scene.path("there").exists() {
        thread::sleep(TICK);
    }
}

pub fn runs(seconds: u32) -> bool {
    let list = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    list.lines().any(|line| line == format!("sleep {seconds}"))
}
