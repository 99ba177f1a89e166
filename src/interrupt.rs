//! A request to stop, such as Ctrl-C, that long work looks at between steps.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Asks long work of this process to stop at its next step; whether that was asked before.
pub fn request() -> bool {
    REQUESTED.swap(true, Ordering::SeqCst)
}

/// Whether somebody asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// [`Error::Interrupted`] with `advice` if somebody asked to stop.
///
/// # Errors
/// That one.
#[doc(hidden)]
pub fn check(advice: &str) -> Result<()> {
    if requested() { Err(Error::Interrupted(advice.to_owned())) } else { Ok(()) }
}
