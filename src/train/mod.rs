//! Fine-tuning: a genre head on a pretrained backbone, then the backbone's last layers; and,
//! in [`cnn`], CNNs trained from scratch.
//!
//! Each has one entry point, [`finetune`] and [`cnn::train_cnn`]: options and a [`Destination`]
//! in, a finished [`Run`](crate::run::Run) out, from which `export` makes the portable model.

mod adamw;
mod average;
mod check;
mod checkpoint;
pub mod cnn;
mod collection;
pub(crate) mod config;
mod copies;
mod cross;
mod deep;
mod destination;
mod embeddings;
mod epoch;
mod finetune;
mod fit;
mod objective;
mod outsider;
mod prediction;
mod prepared;
mod schedule;
mod stopping;
mod tags;
mod trained;
mod trust;
mod variation;

pub use config::{Config, DeepOptions, Folds, HeadOptions, SplitOptions, Unfreeze};
pub use destination::{Destination, check_name};
pub(crate) use embeddings::Embeddings;
pub use finetune::finetune;
pub(crate) use fit::{Example, Fitted, HeadTask};
pub(crate) use prediction::TrackPrediction;
pub(crate) use trained::{OnBackbone, Trained};
pub(crate) use trust::{Distances, Judged, calibrated, outsiders, trust};
pub use variation::Variation;
