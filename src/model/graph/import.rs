//! From an ONNX file to a proved burn module.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, Array3, Axis};

use super::module::OnnxGraph;
use super::plan::Plan;
use super::proof::{COARSE_TOLERANCE, PROBES, TOLERANCE, answers, original, prove};
use crate::error::{Error, Result};
use crate::features::PatchKind;
use crate::model::feed::Feed;
use crate::model::probe::probes;
use crate::onnx;
use crate::onnx::opset;
use crate::run::Proof;
use crate::runtime::Runtime;

/// A backbone in burn, and what is known of it.
#[derive(Debug)]
pub struct Imported {
    /// The module: log-mel patches `[batch, frames, mels]` to `[batch, features]`.
    pub graph: OnnxGraph,
    /// Values of an embedding.
    pub features: usize,
    /// The proof that it computes what the file computes.
    pub proof: Proof,
}

/// Imports the part of the ONNX file at `path` that leads from patches of this kind (`[frames,
/// mels]` stands for log-mels) to `output`, and proves it.
///
/// Without a name, the output is `embeddings` if there is one, else the last.
///
/// # Errors
/// [`Error::Onnx`] for a damaged file, an input that takes no such patches, or a
/// module that differs by more than [`TOLERANCE`](super::proof::TOLERANCE);
/// [`Error::UnsupportedOperator`] for what the importer does not know; [`Error::Runtime`] if no
/// runtime can run the original file.
pub fn import(
    path: &Path,
    patch: impl Into<PatchKind>,
    output: Option<&str>,
    device: &Device,
) -> Result<Imported> {
    let patch = patch.into();
    let feed = Feed::of(path, &onnx::read(path)?, patch, output)?;
    import_fed(path, patch, feed, device)
}

/// As [`import`], with what is known of how the file is fed.
///
/// # Errors
/// Those of [`import`].
pub(crate) fn import_fed(
    path: &Path,
    patch: PatchKind,
    feed: Feed,
    device: &Device,
) -> Result<Imported> {
    // The file is read twice, so that its weights are not in memory while another runtime holds
    // its own copies of them: 288 MB a copy for VGGish.
    let allowed = {
        let model = onnx::read(path)?;
        // What is not known is said before anything is computed.
        let names: [&[&str]; 2] = [&[&onnx::input(&model, path)?.name], &[&feed.output]];
        Plan::check(path, onnx::graph(path, &model)?, names, device)?;
        if onnx::has_small_numbers(&model) { COARSE_TOLERANCE } else { TOLERANCE }
    };
    let sizes = feed.input.batch.map_or(vec![1, PROBES], |batch| vec![batch]);
    let most = sizes.iter().copied().max().unwrap_or(1);
    let probes = probes(patch, most);
    let (theirs, runtime) = original(path, &feed, &probes, &sizes)?;
    let graph = load(path, feed, device)?;
    let mut ours = vec![];
    for size in &sizes {
        ours.push(graph.forward(tensor(&probes, *size, device))?);
    }
    let features = ours.first().map_or(0, |embeddings| embeddings.dims()[1]);
    let ours: Vec<Vec<f32>> =
        ours.into_iter().map(|embeddings| embeddings.into_data().iter().collect()).collect();
    let proof = match worst(path, &ours, &theirs, runtime, allowed) {
        // tract may be the one that is wrong, as with recurrent layers that run backwards.
        Err(error) if runtime == Runtime::Tract && Runtime::Ort.version().is_some() => {
            let Ok(theirs) = answers(path, graph.feed(), &probes, &sizes, Runtime::Ort) else {
                return Err(error);
            };
            let proof = worst(path, &ours, &theirs, Runtime::Ort, allowed).map_err(|_| error)?;
            tracing::info!(
                "note: {}: tract computes it otherwise than ort and burn, which agree",
                path.display()
            );
            proof
        }
        other => other?,
    };
    Ok(Imported { graph, features, proof })
}

/// The proof of all batches: that of the largest difference.
fn worst(
    path: &Path,
    ours: &[Vec<f32>],
    theirs: &[Array2<f32>],
    runtime: Runtime,
    allowed: f32,
) -> Result<Proof> {
    let proofs = ours.iter().zip(theirs).map(|(ours, theirs)| {
        let theirs: Vec<f32> = theirs.iter().copied().collect();
        prove(path, ours, &theirs, runtime, allowed)
    });
    let proofs: Vec<Proof> = proofs.collect::<Result<_>>()?;
    let worst = proofs.into_iter().max_by(|a, b| a.relative().total_cmp(&b.relative()));
    worst.ok_or_else(|| Error::onnx(path, "it takes no patches"))
}

/// The graph of the file at `path` without a proof: it is one that was proved before.
///
/// # Errors
/// Those of [`import`] but for the proof's.
pub(crate) fn load(path: &Path, feed: Feed, device: &Device) -> Result<OnnxGraph> {
    let model = onnx::read(path)?;
    let input = onnx::input(&model, path)?.name;
    let names: [&[&str]; 2] = [&[&input], &[&feed.output]];
    let (plan, values) =
        Plan::new(path, onnx::graph(path, &model)?, opset::of(&model), names, device)?;
    Ok(OnnxGraph::new(plan, values, feed, path.to_owned(), device))
}

fn tensor(patches: &Array3<f32>, count: usize, device: &Device) -> Tensor<3> {
    let some = patches.slice_axis(Axis(0), (..count).into());
    let shape = some.shape().to_vec();
    Tensor::from_data(TensorData::new(some.iter().copied().collect(), shape), device)
}
