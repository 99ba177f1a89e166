//! What the figures say, in sentences that claim no more than they do.

mod confusions;
mod costs;
mod differences;
mod limits;
mod shared;
mod splits;

pub(super) use confusions::confusions;
pub(super) use costs::costs;
pub(super) use differences::{headline, significance};
pub(super) use limits::limits;
pub(super) use shared::shared;
pub(super) use splits::{known_faults, leaks};
