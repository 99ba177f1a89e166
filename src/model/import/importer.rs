//! From an ONNX file to a proved burn module.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use tract_onnx::pb::ModelProto;

use super::graph::Graph;
use super::layout::Layout;
use super::lower::Lowering;
use super::proof::{PROBES, original, probes, prove};
use crate::error::{Error, Result};
use crate::model::cnn::Cnn;
use crate::model::feed::Feed;
use crate::onnx;
use crate::run::{CnnSpec, Proof};

/// A backbone in burn, and what is known of it.
#[derive(Debug)]
pub struct Imported {
    /// The module: log-mel patches `[batch, frames, mels]` to `[batch, features]`.
    pub cnn: Cnn,
    /// Its shape.
    pub spec: CnnSpec,
    /// The graph output at which it stops.
    pub output: String,
    /// The proof that it computes what the file computes.
    pub proof: Proof,
}

/// Imports the part of the ONNX file at `path` that leads from patches of
/// `frames` by `mels` to `output`, and proves it.
///
/// Without a name, the output is `embeddings` if there is one, else the last.
///
/// # Errors
/// [`Error::Onnx`] for a damaged file, an input that takes no such patches, or a
/// module that differs by more than [`TOLERANCE`](super::proof::TOLERANCE); [`Error::UnsupportedOperator`]
/// for anything that is not a chain of known operators.
pub fn import(
    path: &Path,
    [frames, mels]: [usize; 2],
    output: Option<&str>,
    device: &Device,
) -> Result<Imported> {
    // The file is read twice, so that its weights are not in memory while tract holds
    // its own copies of them: 288 MB a copy for VGGish.
    let Feed { input, output, .. } = Feed::of(path, &onnx::read(path)?, [frames, mels], output)?;
    let count = input.batch.unwrap_or(PROBES);
    let probes = probes([count, frames, mels]);
    let theirs = original(path, &input, &output, &probes)?;
    let (spec, cnn) = build(path, &onnx::read(path)?, [frames, mels], &output, device)?;
    let probes = TensorData::new(probes.into_iter().collect(), [count, frames, mels]);
    let ours = cnn.forward(Tensor::from_data(probes, device));
    let ours: Vec<f32> = ours.into_data().iter().collect();
    let proof = prove(path, &ours, theirs.as_slice().unwrap_or_default())?;
    Ok(Imported { cnn, spec, output, proof })
}

/// The layers that lead to `output`.
fn build(
    path: &Path,
    model: &ModelProto,
    [frames, mels]: [usize; 2],
    output: &str,
    device: &Device,
) -> Result<(CnnSpec, Cnn)> {
    let proto = onnx::graph(path, model)?;
    let graph = Graph::new(path, proto);
    let input = onnx::input(model, path)?;
    let layout =
        Layout::input(&input.dims, frames, mels).map_err(|error| Error::onnx(path, error))?;
    let chain = graph.chain(&input.name, output)?;
    let Some(last) = chain.last() else {
        return Err(Error::onnx(path, format!("the output \"{output}\" is the input itself")));
    };
    let mut lowering = Lowering::new(&graph, device, &input.name, layout);
    for node in &chain {
        lowering.add(node)?;
    }
    lowering.finish(last, [frames, mels])
}
