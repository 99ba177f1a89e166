//! Fine-tuning: a genre head on a pretrained backbone, then the backbone's last layers; and,
//! in [`cnn`], CNNs trained from scratch.
//!
//! Both leave a [`Run`](crate::run::Run), to which this module adds what needs burn: its model,
//! its checkpoints and its programs' options.

mod checkpoint;
pub mod cnn;
mod collection;
pub(crate) mod config;
mod deep;
mod destination;
mod embeddings;
mod finetune;
mod fit;
mod trained;

pub use checkpoint::{Checkpoints, load_module, save_module, save_weights};
pub use config::{Config, DeepOptions, Folds, HeadOptions, Unfreeze};
pub use deep::{DeepTask, Recording, Tuned};
pub use destination::{Destination, check_name};
pub use embeddings::{Embedded, Embeddings, embed};
pub use finetune::{CACHE, finetune};
pub use fit::{Example, Fitted, TrackPrediction, class_weights, fit_head};
pub use trained::Trained;
