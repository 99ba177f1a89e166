//! A model that tests its host: short recordings that any language makes from integers, what the
//! model answers to them, and what it would answer to a host that feeds it wrongly.
//!
//! The exporter writes [`Probes`] into a file's metadata (key `probes`). Whoever runs the file makes
//! the recordings ([`Recipe`]), takes them through its own program, and compares. `docs/verify.md`
//! says how, for readers of the file in any language.

mod host;
mod judge;
#[cfg(feature = "train")]
mod make;
#[cfg(feature = "train")]
mod mistakes;
mod own;
mod probes;
mod recipe;
#[cfg(feature = "train")]
mod resample;

pub use host::Answers;
pub use judge::Verdict;
#[cfg(feature = "train")]
pub(crate) use make::probes_of;
pub use own::{answers, probes_in, write_recordings};
pub use probes::{Mistake, Probe, Probes};
pub use recipe::Recipe;
