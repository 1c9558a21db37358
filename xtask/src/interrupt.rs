//! SIGINT and SIGTERM: the first asks the running step to stop and clean up, the second ends at
//! once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Takes over the two signals. Without it they end the process, as they do by default.
pub fn init() {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag still down.
        let _ =
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone());
        let _ = signal_hook::flag::register(signal, flag.clone());
    }
}

/// Was one of the signals seen?
pub fn is_set() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::SeqCst))
}

/// Fails when one of the signals was seen.
pub fn check() -> Result<()> {
    if is_set() { Err(Failure::failed("interrupted").into()) } else { Ok(()) }
}
