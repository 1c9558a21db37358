//! One module for each thing outside this program.

pub mod activity;
pub mod archive;
pub mod browser;
pub mod cache;
pub mod command;
pub mod confine;
pub mod credentials;
pub mod descendants;
pub mod edits;
pub mod flox;
pub mod git;
pub mod github;
pub mod guard;
pub mod http;
pub mod journal;
pub mod lock;
pub mod moves;
pub mod nix;
pub mod pace;
pub mod pauses;
pub mod pip;
pub mod process;
pub mod python;
pub mod store;
pub mod surroundings;
