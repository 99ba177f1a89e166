//! Trainable models in burn: backbones imported from ONNX, heads, and both together.

mod backbone;
mod cnn;
mod custom_cnn;
mod genre;
mod head;
pub mod import;
pub mod layers;

pub use backbone::{Backbone, BackboneSource};
pub use cnn::{Activation, Cnn, CnnSpec, Dense, DenseSpec, Pads, Pooling, Spatial, SpatialSpec};
pub use custom_cnn::{
    BlockPooling, CnnConfig, CnnEnsemble, CustomCnn, EnsembleSpec, GlobalPooling, Preset,
};
pub use genre::{GenreModel, ModelSpec};
pub use head::{Head, HeadSpec, Standardization};
