//! CNNs trained from scratch on spectrograms.

mod batches;
mod fit;
mod options;
mod source;

pub use batches::Sample;
pub use fit::{CnnTask, FittedCnn, Speed, predict};
pub use options::{Augmentation, CnnRunConfig, FitOptions, Schedule};
pub use source::Spectrograms;
