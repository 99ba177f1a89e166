//! Ctrl-C.

use crate::error::{Error, Result};
use crate::interrupt;

/// Installs the handler: the first Ctrl-C asks to stop at the next step, the
/// second stops at once.
///
/// # Errors
/// [`Error::InvalidInput`] if the operating system refuses a handler.
pub fn stop_on_ctrl_c() -> Result<()> {
    let handler = || {
        if interrupt::request() {
            std::process::exit(130);
        }
        crate::say!("\nstopping at the next step; press Ctrl-C again to stop at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::InvalidInput(format!("Ctrl-C handler: {e}")))
}
