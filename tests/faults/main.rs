//! The tool with one probe in its smoke test: only `tests/faults/check.py` runs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::run()
}
