//! Trainable models in burn: backbones imported from ONNX, heads, and both together.

mod backbone;
mod cnn;
mod genre;
mod head;
pub mod import;

pub use backbone::{Backbone, Source};
pub use cnn::{Activation, Cnn, CnnSpec, Dense, DenseSpec, Pads, Pooling, Spatial, SpatialSpec};
pub use genre::{GenreModel, ModelSpec};
pub use head::{Head, HeadSpec, Standardization};
