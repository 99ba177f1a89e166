//! Ctrl-C as a request that long tasks look at between steps.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler: the first Ctrl-C asks to stop at the next step, the
/// second stops at once.
///
/// # Errors
/// [`Error::Config`] if the operating system refuses a handler.
pub fn install() -> Result<()> {
    let handler = || {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        crate::say!("\nstopping at the next step; press Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Config(format!("Ctrl-C handler: {e}")))
}

/// Whether the user asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// [`Error::Interrupted`] with `advice` if the user asked to stop.
///
/// # Errors
/// That one.
pub fn check(advice: &str) -> Result<()> {
    if requested() { Err(Error::Interrupted(advice.to_owned())) } else { Ok(()) }
}
