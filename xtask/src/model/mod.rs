//! Pure code: no files, no processes, no network. Text and values in, text and values out.

pub mod attestation;
pub mod audit;
pub mod closure;
pub mod config;
pub mod departure;
pub mod drift;
pub mod facts;
pub mod located;
pub mod nar;
pub mod nix_edit;
pub mod nixpkgs;
pub mod peculiarities;
pub mod plan;
pub mod project;
pub mod requirement;
pub mod source;
pub mod sri;
pub mod upstreams_faults;
pub mod version;
