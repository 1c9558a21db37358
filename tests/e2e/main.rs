//! End-to-end tests: the real binary, real git, real pip, stand-ins for what lies outside.
//!
//! Each test has a world of its own (a clone, a remote, a catalog, an upstream server); the
//! upstream they are served is prepared once. One block per run holds the exit status, stdout and
//! stderr; `UPDATE_EXPECT=1 cargo test` rewrites them.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod attestations;
mod credentials;
mod departures;
mod drift;
mod interrupts;
mod machines;
mod partial;
mod programs;
mod recovery;
mod refusals;
mod releases;
mod remotes;
mod scene;
#[cfg(target_os = "linux")] // reads `/proc`
mod secrets;
mod transcripts;
