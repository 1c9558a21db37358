//! One module for each thing outside this program.

pub mod archive;
pub mod process;
