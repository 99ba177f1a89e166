//! A model that takes a whole recording: front end, patching and the mean over patches
//! around the graph that takes log-mels.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::front_end;
use crate::error::{Error, Result};
use crate::features::{Preprocessor, Windows};
use crate::onnx;
use crate::onnx::names::{LOG_MEL, OUTPUTS, PATCH_PROBABILITIES, WAVEFORM};
use crate::onnx::nodes::{Size, float_tensor, int, sized_port, tensor};
use crate::onnx::opset;
use crate::onnx::piece::{Builder, Count};
use crate::onnx::prune::rename;

/// The operators used here have had their form since this opset.
pub(super) const OLDEST_OPSET: i64 = 12;

/// Makes `model`, which takes log-mels or the samples of patches, take one recording of any
/// length.
///
/// # Errors
/// [`Error::Onnx`] if the model's own graph is written for an opset that is too old, or takes
/// only so many patches at a time.
pub(super) fn prepend_front_end(
    model: &mut ModelProto,
    preprocessor: &Preprocessor,
    path: &Path,
) -> Result<()> {
    let [length, _] = preprocessor.patch();
    let windows = preprocessor.windows().ok_or_else(|| Error::onnx(path, "it hears nothing"))?;
    let opset = opset::of(model);
    check_opset(opset, path)?;
    check_batch(onnx::input(model, path)?.dims.first().copied().flatten(), path)?;
    let [probabilities, embeddings] = OUTPUTS;
    let widths: Vec<Size> = (onnx::outputs(model, path)?.into_iter())
        .map(|port| port.dims.last().copied().flatten().map_or(Size::Free("width"), Size::Fixed))
        .collect();
    let [classes, features] = widths[..] else {
        return Err(Error::onnx(path, "it does not have two outputs"));
    };
    rename(model, &BTreeMap::from([(probabilities.to_owned(), PATCH_PROBABILITIES.to_owned())]));
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;

    let mut before = Builder::new("front_end", opset);
    let hop = preprocessor.hop();
    let counts = Counts::add(&mut before, &windows, [hop, length]);
    let samples = cut(&mut before, &windows, &counts);
    let frames = match preprocessor {
        Preprocessor::Audio(front_end) => {
            front_end::log_mel(&mut before, front_end, &samples, &Count::Computed(counts.frames))
        }
        _ => before.reshape(&samples, "frames", &[-1, 1]),
    };
    let patches = Count::Computed(counts.patches);
    let cut = before.runs(&frames, "cut", 0, &patches, [hop, length]);
    before.output("Identity", &[&cut], LOG_MEL, vec![]);
    before.prepend_to(graph);

    let mut after = Builder::new("clip", opset);
    after.mean(PATCH_PROBABILITIES, probabilities);
    after.append_to(graph);

    graph.input = vec![sized_port(WAVEFORM, [Size::Fixed(1), Size::Free("samples")])];
    graph.output = vec![
        sized_port(probabilities, [Size::Fixed(1), classes]),
        sized_port(PATCH_PROBABILITIES, [Size::Free("patches"), classes]),
        sized_port(embeddings, [Size::Free("patches"), features]),
    ];
    graph.value_info.clear();
    Ok(())
}

/// Checks that a recording's patches, any number of them, can be put to a backbone that
/// takes `batch` patches at a time.
///
/// # Errors
/// [`Error::Onnx`] if it takes only so many.
pub(super) fn check_batch(batch: Option<usize>, path: &Path) -> Result<()> {
    let Some(batch) = batch else { return Ok(()) };
    let reason = format!(
        "the backbone takes exactly {batch} patches at a time, and a recording has any number of \
         them; choose ‹input› waveform, or give the backbone a free batch first"
    );
    Err(Error::onnx(path, reason))
}

fn check_opset(opset: i64, path: &Path) -> Result<()> {
    if opset >= OLDEST_OPSET {
        return Ok(());
    }
    let reason = format!(
        "the backbone is written for opset {opset}, and cutting a recording into patches needs \
         {OLDEST_OPSET}; choose ‹input› waveform, or convert the backbone first"
    );
    Err(Error::onnx(path, reason))
}

/// Names of scalars.
struct Counts {
    /// Patches in the recording.
    patches: String,
    /// Frames of them all.
    frames: String,
    /// Samples that those frames touch.
    samples: String,
}

impl Counts {
    /// Counts as [`Windows::count`] does; a patch is `length` frames, one every `hop`.
    fn add(builder: &mut Builder, windows: &Windows, [hop, length]: [usize; 2]) -> Self {
        let mut constant = |name: &str, value: usize| builder.integers(name, &[], &[value as i64]);
        let (zero, one) = (constant("zero", 0), constant("one", 1));
        let least = constant("least", windows.least);
        let hop = constant("patch_hop", hop);
        let hop_samples = constant("patch_hop.samples", windows.hop);
        let patch = constant("patch.frames", length);
        let patch_samples = constant("patch.samples", windows.size);
        let shape = builder.node("Shape", &[WAVEFORM], "shape", vec![]);
        let mut node = |operator: &str, input: [&str; 2], name: &str| {
            builder.node(operator, &input, name, vec![])
        };
        let given = node("Gather", [&shape, &one], "given");
        let beyond = node("Sub", [&given, &least], "beyond");
        let beyond = node("Max", [&beyond, &zero], "beyond.positive");
        let more = node("Div", [&beyond, &hop_samples], "patches.more");
        let patches = node("Add", [&more, &one], "patches");
        let more_frames = node("Mul", [&more, &hop], "frames.more");
        let frames = node("Add", [&more_frames, &patch], "frames.count");
        let more_samples = node("Mul", [&more, &hop_samples], "samples.more");
        let samples = node("Add", [&more_samples, &patch_samples], "samples");
        Self { patches, frames, samples }
    }
}

/// The samples that the patches' frames touch, `[1, samples]`: the recording with silence
/// around it, cut off after the last whole patch.
fn cut(builder: &mut Builder, windows: &Windows, counts: &Counts) -> String {
    let mut silence = |name: &str, samples: usize| {
        let shape = builder.integers(&format!("{name}.shape"), &[2], &[1, samples as i64]);
        // Zero is the default, but tract takes that for one of double precision.
        let zero = tensor("value", float_tensor("", &[1], &[0.0]));
        builder.node("ConstantOfShape", &[&shape], name, vec![zero])
    };
    // A patch of silence is enough, however short the recording.
    let tail = silence("tail", windows.size);
    let lead = windows.lead;
    let lead = (lead > 0).then(|| silence("lead", lead));
    let parts: Vec<&str> = lead.as_deref().into_iter().chain([WAVEFORM, &tail]).collect();
    let around = builder.node("Concat", &parts, "around", vec![int("axis", 1)]);
    let start = builder.integers("start", &[1], &[0]);
    let axis = builder.integers("axis", &[1], &[1]);
    let end = builder.reshape(&counts.samples, "end", &[1]);
    builder.node("Slice", &[&around, &start, &end, &axis], "heard", vec![])
}
