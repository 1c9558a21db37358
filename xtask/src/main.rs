//! `cargo xtask`: parses the command line and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::run()
}
