//! One module per command; each is one step of the pipeline, or a few of them in order.

mod attest;
pub mod audit;
mod branch;
pub mod build;
pub mod bump;
pub mod catalog;
pub mod committed;
mod contradiction;
pub mod departure;
pub mod doctor;
pub mod inspect;
pub mod prefetch;
mod preflight;
pub mod publish;
mod recover;
pub mod rehearse;
pub mod release;
pub mod smoke;
pub mod status;
pub mod sweep;
pub mod watch;
