//! What the programs share: arguments, errors on standard error, exit codes, last lines.

#[cfg(feature = "train")]
mod allocator;
mod bar;
#[cfg(feature = "train")]
pub mod baseline_summary;
pub mod classify;
mod flag;
#[cfg(feature = "tract")]
pub mod inspect;
mod interrupt;
mod log;
#[cfg(feature = "train")]
mod network_summary;
mod program;
#[cfg(feature = "train")]
mod run_args;

#[cfg(feature = "train")]
pub use allocator::Allocator;
pub use bar::is_quiet;
pub use flag::flag;
pub use interrupt::stop_on_ctrl_c;
pub use program::{main, parse, parse_resumable, print, println};
#[cfg(feature = "train")]
pub use run_args::{NewRunArgs, RunArgs};
