//! Backbone and head as one burn module: log-mel patches to genre probabilities.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::cnn::{Cnn, CnnSpec};
use super::head::{Head, HeadSpec};

/// The shape of a [`GenreModel`], saved as `model.json` beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The backbone; none where it stays an ONNX file because the importer does
    /// not know one of its operators.
    pub backbone: Option<CnnSpec>,
    /// The head.
    pub head: HeadSpec,
}

/// A backbone with a genre head.
#[derive(Module, Debug)]
pub struct GenreModel {
    /// Log-mel patches to embeddings.
    pub backbone: Cnn,
    /// Embeddings to logits.
    pub head: Head,
}

impl GenreModel {
    /// The module with this shape, its weights to be filled from a file.
    pub fn init(backbone: &CnnSpec, head: &HeadSpec, device: &Device) -> Self {
        Self { backbone: backbone.init(device), head: head.init(0, device) }
    }

    /// Probabilities `[batch, classes]` and embeddings `[batch, features]` of log-mel
    /// patches `[batch, frames, mels]`.
    pub fn forward(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let embeddings = self.backbone.forward(log_mel);
        (softmax(self.head.forward(embeddings.clone()), 1), embeddings)
    }
}
