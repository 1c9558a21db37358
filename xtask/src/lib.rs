//! Release automation for the Flox packages of Dagster: `cargo xtask`.

pub mod failure;
pub mod model;
pub mod tools;
pub mod ui;
