//! What the programs share: arguments, errors on standard error, exit codes, last lines.

mod bar;
#[cfg(feature = "train")]
pub mod baseline_summary;
pub mod classify;
#[cfg(feature = "train")]
pub mod finetune_summary;
mod flag;
mod interrupt;
mod log;
mod program;

pub use bar::bar;
pub use flag::flag;
pub use interrupt::stop_on_ctrl_c;
pub use program::{main, parse, parse_resumable, print, println};
