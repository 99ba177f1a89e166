//! Classical baselines on hand-made features: k-NN, logistic regression, SVM, random
//! forest, gradient boosting and a small MLP, each searched, tested and exported alike.
//!
//! [`train`] reads a table of features, splits it by song (or, to show what that mistake
//! does to the figures, by window), chooses hyper-parameters by cross-validation within
//! the part to train on, and leaves a run folder for every model.

mod boosting;
mod classifier;
mod config;
mod evaluation;
mod export;
mod forest;
mod graph;
mod knn;
mod logistic;
mod mlp;
mod problem;
mod run;
mod samples;
mod search;
mod settings;
mod svm;
mod train;
mod tree;

pub use classifier::Classifier;
pub use config::{Config, Destination};
pub(crate) use evaluation::values;
pub use problem::{Fold, Problem};
pub use run::BaselineRun;
pub use samples::Samples;
pub use search::{Found, search};
pub use train::train;
