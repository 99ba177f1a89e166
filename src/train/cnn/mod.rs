//! CNNs trained from scratch on spectrograms.

mod batches;
mod calibration;
mod chart;
mod fit;
pub(super) mod options;
mod prepare;
mod search;
mod source;
mod teacher;
mod training;

pub use super::schedule::Schedule;
pub use options::{Augmentation, CnnRunConfig, FitOptions, SearchOptions};
pub use training::{train_cnn, validate_cnn};
