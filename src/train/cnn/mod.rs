//! CNNs trained from scratch on spectrograms.

mod batches;
mod curves;
mod fit;
mod ledger;
mod options;
mod session;
mod source;
mod teacher;

pub use batches::Sample;
pub use fit::{CnnTask, FittedCnn, Speed, predict};
pub use ledger::Ledger;
pub use options::{Augmentation, CnnRunConfig, FitOptions, Schedule};
pub use session::{CnnMetrics, MemberMetrics, train_cnn};
pub use source::Spectrograms;
