//! A run's folder: everything that a training leaves behind, described once.
//!
//! Whoever reads or writes such a folder goes through here, and nothing here needs burn: the
//! report, the benchmark and the trainings share these records. They are written in full and
//! read leniently, so that runs of older versions still open.
//!
//! | file | what |
//! |---|---|
//! | `config.json` | options of the run ([`RunOptions`]) |
//! | `split.json` | which track (of a leaky baseline: which window) is in which part |
//! | `labels.txt` | one genre a line, in the order of the model's outputs |
//! | `metrics.json` | results ([`Metrics`], [`BaselineMetrics`]); written last, so its presence says that training is complete |
//! | `predictions.json` | probabilities of every test track ([`Prediction`], [`TagPrediction`]) |
//! | `model.onnx` | the exported model: it takes log-mels, a baseline's takes a row of features |
//!
//! A network's run, fine-tuned or trained from scratch, has more:
//!
//! | file | what |
//! |---|---|
//! | `preprocessor.json` | the front end |
//! | `model.json`, `weights.bpk` | the burn model, digests of its files ([`SavedModel`]), and its weights |
//! | `backbone.onnx`, `head.bpk` | instead of `weights.bpk`, where the backbone cannot be imported |
//! | `trust.json` | what tracks that were not learned from say of the probabilities, of sets of genres and of outsiders ([`Trust`]) |
//! | `history.json` | losses and accuracies, epoch by epoch ([`Epoch`](crate::metrics::Epoch)) |
//! | `folds.json` | the predictions of every fold's test tracks, where folds were asked for |
//! | `search.json`, `search.svg` | the search that found the architecture, where there was one ([`Leaderboard`]) |
//! | `curves.svg` | learning curves of a CNN |
//! | `waveform.onnx`, `clip.onnx` | what `export-onnx` has written besides |
//! | `checkpoint/` | only while the training can be resumed |
//!
//! Beside the runs stands `test-uses.json`, the [`Ledger`] of looks at a test part.

mod architecture;
mod baseline;
mod exported;
mod feed;
mod folder;
mod leaderboard;
mod ledger;
#[doc(hidden)]
pub mod names;
mod options;
mod pretrained;
mod records;
mod results;
mod spec;
mod trust;

pub use folder::Run;
pub(crate) use folder::model_file;
pub(crate) use pretrained::pretrained;
pub use records::{
    CrossValidation, Kept, Kind, PartMetrics, Prediction, Predictions, Quality, Score, TagMetrics,
    TagPrediction, TaskMetrics, TrainingData,
};
pub use results::Metrics;

// Records that a run's files hold beside these, for our own programs.
#[doc(hidden)]
pub use architecture::{BlockPooling, CnnConfig, GlobalPooling, Preset};
#[doc(hidden)]
pub use baseline::{BaselineMetrics, BaselineModel, Candidate, Settings};
#[doc(hidden)]
pub use exported::{Agreement, Checked, Exported, Precision, Validation};
#[doc(hidden)]
pub use feed::Feed;
#[doc(hidden)]
pub use leaderboard::{Leaderboard, Rung, Trial};
#[doc(hidden)]
pub use ledger::{Ledger, Look};
#[doc(hidden)]
pub use options::{Program, RunOptions};
#[doc(hidden)]
pub use results::{BackboneSource, CnnMetrics, MemberMetrics, Proof, Speed};
#[doc(hidden)]
pub use spec::{
    Activation, CnnSpec, DenseSpec, EnsembleSpec, HeadSpec, ModelSpec, Pads, Pooling, SavedModel,
    SpatialSpec, Spec,
};
#[doc(hidden)]
pub use trust::{COVERAGE, Outsider, REFUSED, nearest, percentile};
pub use trust::{Calibrated, CalibrationMetrics, Doubt, Promise, Tested, Trust};
