//! Folders of recordings to tracks with labels, and their splits.
//!
//! A collection is one folder per genre. [`Dataset::scan`] lists it, [`Split`]
//! divides its tracks into training, validation and test parts. Where there is no
//! collection, [`Dataset::resolve`] synthesizes a small one that stands in for it.

mod archive;
mod collection;
mod columns;
mod delimited;
pub(crate) mod demo;
mod draw;
mod extract;
#[cfg(feature = "train")]
mod fingerprint;
mod found;
mod given;
mod groups;
mod gtzan;
mod iterative;
mod labels;
mod listing;
#[cfg(feature = "train")]
mod near;
#[cfg(feature = "train")]
mod pages;
#[cfg(feature = "train")]
mod parquet;
mod resolve;
mod scan;
#[doc(hidden)]
pub mod source;
mod split;
mod table;
#[cfg(feature = "train")]
mod tags;
mod task;
#[cfg(test)]
mod testing;

pub use collection::{Dataset, Origin, Part, Skipped, Track};
#[doc(hidden)]
pub use extract::{Extracted, Recording, extract_features};
#[cfg(feature = "train")]
pub(crate) use near::Near;
pub use split::{Fold, Method, Parts, Split};
#[doc(hidden)]
pub use table::{FeatureRow, FeatureTable};
#[cfg(feature = "train")]
pub(crate) use task::label_counts;
pub use task::{NEGATIVES, Task, negatives};
