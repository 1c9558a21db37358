//! Pure code: no files, no processes, no network. Text and values in, text and values out.

pub mod config;
pub mod facts;
pub mod sri;
pub mod version;
