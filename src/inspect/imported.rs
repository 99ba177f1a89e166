//! A file's network in burn: the one place that knows how it gets there.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use ndarray::{Array3, ArrayD, IxDyn};

use super::fits::Fit;
use crate::error::{Error, Result};
use crate::model::graph::{OnnxGraph, load};
use crate::model::{Feed, burn_device};
use crate::onnx;
use crate::runtime::{Device, Runtime};

/// A network in burn, and what it is run on.
pub(super) struct Imported {
    /// The output at which it stops.
    pub output: String,
    /// The names of its layers with weights, from the input on, as `finetune` counts them.
    pub layers: Vec<String>,
    graph: OnnxGraph,
    patches: Array3<f32>,
}

/// Imports the part of the file at `path` that leads to `output`, for the input `fit`. It is not
/// proved: whoever asks compares it with other runtimes.
///
/// # Errors
/// [`Error::UnsupportedOperator`] for what cannot be imported, whatever its input;
/// [`Error::Unsupported`] for an input that the importer does not take; others of the import.
pub(super) fn import(path: &Path, fit: &Fit, output: Option<&str>) -> Result<Imported> {
    let (Some(patch), Some(patches)) = (fit.patch(), fit.patches()) else {
        let reason = "imported into burn are networks that take log-mels, pictures or samples";
        return Err(Error::unsupported(path, reason));
    };
    let feed = Feed::of(path, &onnx::read(path)?, patch, output)?;
    let graph = load(path, feed, &burn_device(Device::Cpu)?)?;
    let layers = graph.layers().iter().map(|layer| layer.name.clone()).collect();
    Ok(Imported { output: graph.feed().output.clone(), layers, graph, patches })
}

impl Imported {
    /// The embeddings, `[patches, features]`.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperator`] of the node that cannot be computed; [`Error::Runtime`] if
    /// they are no matrix.
    pub fn run(&mut self) -> Result<ArrayD<f32>> {
        let (count, frames, mels) = self.patches.dim();
        let values: Vec<f32> = self.patches.iter().copied().collect();
        let device = burn_device(Device::Cpu)?;
        let input = TensorData::new(values, [count, frames, mels]);
        let output = self.graph.forward(Tensor::from_data(input, &device))?;
        let shape: [usize; 2] = output.dims();
        let values: Vec<f32> = output.into_data().iter().collect();
        ArrayD::from_shape_vec(IxDyn(&shape), values)
            .map_err(|error| Error::runtime(Runtime::Burn.name(), error))
    }
}
