//! `audit`: what the expressions take from a nixpkgs, and what upstream asks of it, against what
//! that nixpkgs has.
//!
//! Pure. The tool asks ([`Question`]) and nixpkgs answers ([`Answers`], by `tools/nix`); here the
//! answers become rows, one for each system, Python and attribute. A row fails where a release
//! would:
//!
//! * nixpkgs does not have the system, the Python or the package, or refuses it: it is marked
//!   broken or not for the system, or needs something that is;
//! * upstream's bounds exclude the version, and `pythonRelaxDeps` does not take them away;
//! * a name in `pythonRelaxDeps` is the beginning of another bounded requirement that is not in it
//!   (the hook's pattern has no end, so it renames that one);
//! * the version of a build system is not what upstream's source wants.

mod answers;
mod judge;
mod recorded;
mod report;
mod source;
mod subject;
#[cfg(test)]
mod tests;

pub use answers::{Answer, Answers, OnSystem, Question, Reasons, State, Why, refused};
pub use judge::judge;
pub use recorded::{day, recorded};
pub use report::{Audit, Finding, Kind, Outcome, Row};
pub use source::{Source, locked};
pub use subject::{Subject, attribute_of};
