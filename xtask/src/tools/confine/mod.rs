//! What upstream's code may reach: a list of what it may read and write, and nothing else, as far
//! as the system enforces that.
//!
//! | | Linux | macOS |
//! | --- | --- | --- |
//! | files | Landlock 2, emptying them 3 | `sandbox-exec` |
//! | memory and environment of other processes | Landlock 2 | `sandbox-exec` |
//! | signals to other processes, abstract sockets | Landlock 6 | `sandbox-exec` |
//! | TCP, to the ports of this run's servers only | Landlock 4 | to this machine only |
//! | any other socket of a network, io_uring, keyrings | seccomp | to this machine only |
//! | sockets in the file system | Landlock 9 | `sandbox-exec` |
//!
//! | size and mode of files whose names are known | not at all | `sandbox-exec`, the mode |
//!
//! A system that enforces less stops nothing: [`enforced`] says what it does, and whoever runs
//! upstream's code says what it does not.

mod access;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

pub use self::access::{Access, Area, Enforced};
#[cfg(target_os = "linux")]
pub use self::linux::{command, enforced, spawn};
#[cfg(target_os = "macos")]
pub use self::macos::{command, enforced, spawn};
