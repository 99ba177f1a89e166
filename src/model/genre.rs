//! Backbone and head as one burn module: patches to genre probabilities.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::cnn::Cnn;
use super::graph::OnnxGraph;
use super::head::Head;
use crate::run::{CnnSpec, HeadSpec};

/// A backbone's graph with a genre head.
#[derive(Module, Debug)]
pub struct GenreModel {
    /// Patches to embeddings.
    pub backbone: OnnxGraph,
    /// Embeddings to logits.
    pub head: Head,
}

/// A chain-shaped CNN with a genre head, as runs of older versions have it.
#[derive(Module, Debug)]
pub struct ChainModel {
    /// Log-mel patches to embeddings.
    pub backbone: Cnn,
    /// Embeddings to logits.
    pub head: Head,
}

impl ChainModel {
    /// The module with this shape, its weights to be filled from a file.
    pub fn init(backbone: &CnnSpec, head: &HeadSpec, device: &Device) -> Self {
        Self { backbone: backbone.init(device), head: head.init(0, device) }
    }

    /// Probabilities `[batch, classes]` and embeddings `[batch, features]` of log-mel
    /// patches `[batch, frames, mels]`.
    pub fn forward(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let embeddings = self.backbone.forward(log_mel);
        (self.head.probabilities(embeddings.clone()), embeddings)
    }
}
