//! Classical baselines on hand-made features: k-NN, logistic regression, SVM, random
//! forest, gradient boosting and a small MLP, each searched, tested and exported alike.
//!
//! [`train`] reads a table of features, splits it by song (or, to show what that mistake
//! does to the figures, by window), chooses hyper-parameters by cross-validation within
//! the part to train on, and leaves a run folder for every model.

mod boosting;
mod config;
mod evaluation;
mod export;
mod fitted;
mod forest;
mod graph;
mod groups;
mod knn;
mod logistic;
mod mlp;
mod problem;
mod run;
mod run_folders;
mod samples;
mod search;
mod settings;
mod svm;
mod train;
mod tree;
mod trust;

pub use config::Config;
pub(crate) use evaluation::values;
pub use run::BaselineRun;
pub use run_folders::RunFolders;
pub use train::train;
