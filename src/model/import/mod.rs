//! ONNX files to trainable burn modules, at run time and with proof.
//!
//! The importer takes chain-shaped CNNs: convolutions, batch normalization,
//! activations, pooling and fully connected layers. Operators that only move
//! axes about (Transpose, Reshape with its shape arithmetic, Flatten, Squeeze,
//! Unsqueeze) are folded into the weights and never run. Every import is then
//! **proved**: the original file runs in tract on a seeded batch of patches, and
//! the module is refused if its answers differ.

mod graph;
mod layout;
mod lower;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array3, ArrayD};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::ModelProto;

use self::graph::Graph;
use self::layout::Layout;
use self::lower::Lowering;
use super::cnn::Cnn;
use crate::error::{Error, Result};
use crate::onnx::describe::{self, output_name};
use crate::onnx::read;
use crate::run::{CnnSpec, Proof};
use crate::runtime::{self, PatchInput, Runtime};

/// The largest difference, relative to the output's largest value, that still counts as equal.
pub const TOLERANCE: f32 = 1e-3;

/// Patches in the proof's batch: more than one, so that a confused batch axis shows.
const PROBES: usize = 2;

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
/// module that differs by more than [`TOLERANCE`]; [`Error::UnsupportedOperator`]
/// for anything that is not a chain of known operators.
pub fn import(
    path: &Path,
    [frames, mels]: [usize; 2],
    output: Option<&str>,
    device: &Device,
) -> Result<Imported> {
    // The file is read twice, so that its weights are not in memory while tract holds
    // its own copies of them: 288 MB a copy for VGGish.
    let (output, input) = {
        let model = read(path)?;
        let output = output_name(path, &model, output)?.to_owned();
        (output, data_input(path, &model, frames, mels)?)
    };
    let count = input.batch.unwrap_or(PROBES);
    let probes = probes([count, frames, mels]);
    let theirs = original(path, &input, &output, &probes)?;
    let (spec, cnn) = build(path, &read(path)?, [frames, mels], &output, device)?;
    let probes = TensorData::new(probes.into_iter().collect(), [count, frames, mels]);
    let ours = cnn.forward(Tensor::from_data(probes, device));
    let ours: Vec<f32> = ours.into_data().iter().collect();
    let proof = prove(path, &ours, theirs.as_slice().unwrap_or_default())?;
    Ok(Imported { cnn, spec, output, proof })
}

fn prove(path: &Path, ours: &[f32], theirs: &[f32]) -> Result<Proof> {
    if ours.len() != theirs.len() {
        let reason =
            format!("imported, it gives {} values instead of {}", ours.len(), theirs.len());
        return Err(Error::onnx(path, reason));
    }
    let proof = Proof::of(ours, theirs);
    // Written so that NaN fails.
    if proof.relative() <= TOLERANCE {
        Ok(proof)
    } else {
        Err(Error::onnx(
            path,
            format!(
                "imported into burn, its outputs differ by {:e} from tract's, whose largest is {:e} \
                 (allowed: {TOLERANCE:e} of that); the file still works as a frozen backbone",
                proof.max_abs_difference, proof.largest_value
            ),
        ))
    }
}

/// Seeded values in the range of log-mels.
fn probes(shape: [usize; 3]) -> Array3<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    Array3::from_shape_simple_fn(shape, || random.random_range(-4.0..3.0))
}

/// What the original file answers to the probes at `output`.
fn original(
    path: &Path,
    input: &PatchInput,
    output: &str,
    probes: &Array3<f32>,
) -> Result<ArrayD<f32>> {
    let options = runtime::Options::default();
    let mut session = runtime::open(Runtime::Tract, path, &options)?;
    let Some(index) = session.outputs().iter().position(|name| name == output) else {
        return Err(Error::onnx(path, format!("it has no output \"{output}\"")));
    };
    Ok(session.run(input.arrange(probes.view()))?.swap_remove(index))
}

/// The layers that lead to `output`.
fn build(
    path: &Path,
    model: &ModelProto,
    [frames, mels]: [usize; 2],
    output: &str,
    device: &Device,
) -> Result<(CnnSpec, Cnn)> {
    let proto = describe::graph(path, model)?;
    let graph = Graph::new(path, proto);
    let input = describe::input(model, path)?;
    let layout =
        Layout::input(&input.dims, frames, mels).map_err(|reason| Error::onnx(path, reason))?;
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

/// The arrangement of the one data input of `model`.
///
/// # Errors
/// [`Error::Onnx`] if it takes no patches of `frames` by `mels`.
pub fn data_input(
    path: &Path,
    model: &ModelProto,
    frames: usize,
    mels: usize,
) -> Result<PatchInput> {
    PatchInput::new(&describe::input(model, path)?.dims, frames, mels)
        .map_err(|reason| Error::onnx(path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fails_on_nan_and_on_a_small_error() {
        let path = Path::new("m.onnx");
        assert!(prove(path, &[1.0, 2.0], &[1.0, 2.0005]).is_ok());
        assert!(prove(path, &[1.0, 2.0], &[1.0, 2.01]).is_err());
        assert!(prove(path, &[1.0, f32::NAN], &[1.0, 2.0]).is_err());
        assert!(prove(path, &[1.0], &[1.0, 2.0]).is_err());
    }
}
