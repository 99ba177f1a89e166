//! CNNs trained from scratch on spectrograms.

mod batches;
mod chart;
mod fit;
pub(crate) mod options;
mod search;
mod session;
mod source;
mod teacher;
mod training;

pub use batches::Sample;
pub use fit::{CnnTask, FittedCnn, predict};
pub use options::{Augmentation, CnnRunConfig, FitOptions, Schedule, SearchOptions};
pub use source::Spectrograms;
pub use training::{train_cnn, validate_cnn};
