//! One module per command of the pipeline.

pub mod smoke;
