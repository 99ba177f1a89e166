//! CNNs trained from scratch on spectrograms.

mod batches;
mod chart;
mod fit;
mod ledger;
mod options;
mod search;
mod session;
mod source;
mod teacher;

pub use batches::Sample;
pub use fit::{CnnTask, FittedCnn, Speed, predict};
pub use ledger::Ledger;
pub use options::{Augmentation, CnnRunConfig, FitOptions, Schedule, SearchOptions};
pub use search::{Leaderboard, Rung, Trial};
pub use session::{CnnMetrics, MemberMetrics, train_cnn, validate_cnn};
pub use source::Spectrograms;
