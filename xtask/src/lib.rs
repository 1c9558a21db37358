//! Release automation for the Flox packages of Dagster: `cargo xtask`.
//!
//! One direction, one value per step; no step reaches back:
//!
//! ```text
//! tags ─watch─▶ Release ─inspect─▶ Facts ─plan─▶ Plan ─bump─▶ tree
//!      ─build─▶ Built ─smoke─▶ Smoked ─publish─▶ Published
//! ```
//!
//! [`stages`] has one module per command, [`smoke`] is the gate between building and publishing,
//! [`model`] is pure, [`tools`] has one module for each thing outside this program. What is above
//! names what is below, never the other way round.

pub mod args;
pub mod checkout;
pub mod cli;
pub mod failure;
pub mod interrupt;
pub mod model;
pub mod smoke;
pub mod stages;
pub mod tools;
pub mod ui;

pub use cli::run;
