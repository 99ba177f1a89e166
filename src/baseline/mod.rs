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
mod summary;
mod svm;
mod tree;

use std::time::Instant;

pub use config::{Config, Destination};
pub use evaluation::evaluation_set;
pub use problem::{Fold, Problem};
pub use run::BaselineRun;
pub use samples::Samples;
pub use search::{Found, search};
pub use summary::{summary, summary_json};

use graph::Graph;

use crate::error::Result;
use crate::export::TOLERANCE;
use crate::run::BaselineModel;

/// A fitted model.
pub trait Classifier: Send + Sync {
    /// Probabilities `[rows, classes]` of rows of raw features, row by row.
    fn probabilities(&self, rows: &[f32]) -> Vec<f32>;

    /// Numbers that make up the model.
    fn parameters(&self) -> usize;

    /// The model as an ONNX graph.
    fn graph(&self) -> Graph;

    /// Whether the model's answer for a row of raw features survives the rounding of
    /// single precision; a neighbour among others at the same distance may not.
    fn is_decided(&self, _row: &[f32]) -> bool {
        true
    }

    /// The largest difference of a probability that an exported file may show.
    fn tolerance(&self) -> f32 {
        TOLERANCE
    }
}

/// Searches, fits, tests and exports every model that `config` names; the runs, in order.
///
/// # Errors
/// [`crate::Error::Config`] and [`crate::Error::Data`] before anything is written, errors
/// of the table, and [`crate::Error::Interrupted`] on Ctrl-C. Models that were complete
/// before stay; of the others nothing is left.
pub fn train(config: &Config, destination: &Destination) -> Result<Vec<BaselineRun>> {
    config.check()?;
    let problem = Problem::read(config)?;
    let kinds = config.kinds();
    let folders = destination.folders(&kinds, &problem)?;
    let one = |(kind, folder): (&BaselineModel, _)| {
        let started = Instant::now();
        let found = search(*kind, &problem, config.seed, config.quick)?;
        let seconds = started.elapsed().as_secs_f64();
        run::write(config, &problem, &found, seconds, folder)
    };
    kinds.iter().zip(&folders).map(one).collect()
}
