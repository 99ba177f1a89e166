//! What the programs share: arguments, errors on standard error, exit codes, last lines.

#[cfg(feature = "train")]
pub mod baseline_summary;
#[cfg(feature = "train")]
pub mod finetune_summary;
mod program;

pub use program::{main, parse, parse_resumable, print, println};
