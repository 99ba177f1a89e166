//! Trainable models in burn: backbones imported from ONNX, heads, and both together.

mod backbone;
mod cnn;
mod custom_cnn;
mod device;
mod feed;
mod feed_graph;
mod genre;
pub mod graph;
mod head;
mod joined;
pub mod layers;
mod probe;

pub use backbone::Backbone;
pub use cnn::{Cnn, Dense, Spatial};
pub use custom_cnn::{CnnEnsemble, CustomCnn};
pub use device::burn_device;
pub use feed::Feed;
pub(crate) use feed_graph::Ends;
pub use genre::{ChainModel, GenreModel};
pub use head::{Head, Standardization, probabilities};
pub(crate) use probe::{FeedProbe, in_first};
