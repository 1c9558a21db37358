//! The size of a variant's closure, and how releases remember it: a trailer in the commit message.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::Variant;

/// What comes along when a variant is installed: its store paths and all that they refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closure {
    pub paths: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl fmt::Display for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} store paths, {:.1} MB", self.paths, self.bytes as f64 / 1e6)
    }
}

impl Closure {
    /// Is either figure further from that of another than `percent` of it?
    pub fn is_jump_from(self, last: Self, percent: u8) -> bool {
        let jumps = |now: u64, last: u64| {
            u128::from(now.abs_diff(last)) * 100 > u128::from(last) * u128::from(percent)
        };
        jumps(self.paths, last.paths) || jumps(self.bytes, last.bytes)
    }
}

/// What the trailer of a variant on a system starts with.
pub fn trailer_start(variant: Variant, system: &str) -> String {
    format!("Closure: {variant} {system} ")
}

/// The trailer of a commit message, a line.
pub fn trailer(variant: Variant, system: &str, closure: Closure) -> String {
    let Closure { paths, bytes } = closure;
    format!("{}{paths} paths {bytes} bytes\n", trailer_start(variant, system))
}

/// Reads the trailer out of a commit message.
pub fn from_message(message: &str, variant: Variant, system: &str) -> Option<Closure> {
    let start = trailer_start(variant, system);
    let rest = message.lines().rev().find_map(|line| line.strip_prefix(&start))?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [paths, "paths", bytes, "bytes"] = words[..] else { return None };
    Some(Closure { paths: paths.parse().ok()?, bytes: bytes.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSURE: Closure = Closure { paths: 100, bytes: 1000 };

    #[test]
    fn a_message_remembers() {
        let message = format!("dagster 1.9.12\n\n{}", trailer(Variant::Separate, "x", CLOSURE));
        assert_eq!(from_message(&message, Variant::Separate, "x"), Some(CLOSURE));
        assert_eq!(from_message(&message, Variant::Separate, "y"), None);
        assert_eq!(from_message(&message, Variant::Combined, "x"), None);
        assert_eq!(from_message("Closure: separate x many", Variant::Separate, "x"), None);
    }

    #[test]
    fn jumps_go_both_ways() {
        let is_jump = |paths, bytes| Closure { paths, bytes }.is_jump_from(CLOSURE, 25);
        assert!(!is_jump(125, 750));
        assert!(is_jump(126, 1000));
        assert!(is_jump(100, 749));
        assert!(Closure { paths: 1, bytes: 1 }.is_jump_from(Closure { paths: 0, bytes: 0 }, 25));
    }
}
