//! A model that takes a whole recording: front end, patching and the mean over patches
//! around the graph that takes log-mels.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::trust;
use crate::error::{Error, Result};
use crate::features::{FrontEnd, Preprocessor, Windows};
use crate::metrics::{Average, FLOOR};
use crate::onnx;
use crate::onnx::front_end::{self, greatest_common_divisor};
use crate::onnx::names::{LOG_MEL, OUTPUTS, PATCH_PROBABILITIES, WAVEFORM};
use crate::onnx::nodes::{Size, int, sized_port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::onnx::prune::rename;
use crate::run::Trust;

/// Counts up to here are exact in single precision.
const MAX_EXACT: usize = 1 << 24;

/// Makes `model`, which takes log-mels or the samples of patches, take one recording of any
/// length. Its answer is the mean over the patches, the one that `trust` says and calibrated as it
/// says, if there is any.
///
/// # Errors
/// [`Error::Onnx`] if the model's own graph takes only so many patches at a time.
pub(super) fn prepend_front_end(
    model: &mut ModelProto,
    preprocessor: &Preprocessor,
    trust: Option<&Trust>,
    path: &Path,
) -> Result<()> {
    let windows = preprocessor.windows().ok_or_else(|| Error::onnx(path, "it hears nothing"))?;
    check_batch(onnx::input(model, path)?.dims.first().copied().flatten(), path)?;
    if windows.least > MAX_EXACT {
        let reason = format!("a patch has more than {MAX_EXACT} samples; choose ‹input› waveform");
        return Err(Error::onnx(path, reason));
    }
    let opset = opset::of(model);
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
    let samples = padded(&mut before, &windows);
    match preprocessor {
        Preprocessor::Audio(front_end) => {
            let FrontEnd { patch_hop, patch_frames, mels, .. } = *front_end;
            let framed = front_end::frames_of_recording(&mut before, front_end, &samples);
            let frames = front_end::log_mel(&mut before, front_end, &framed);
            let [patch_rows, columns] = [patch_frames as i64, mels as i64];
            let table = before.reshape(&frames, "table", &[1, 1, -1, columns]);
            let patches = before.runs_of_rows(&table, "patches", mels, [patch_hop, patch_frames]);
            let shape = before.integers("patch", &[3], &[-1, patch_rows, columns]);
            before.output("Reshape", &[&patches, &shape], LOG_MEL, vec![]);
        }
        _ => patches_of_samples(&mut before, &windows, &samples, path)?,
    }
    before.prepend_to(graph);

    let mut after = Builder::new("clip", opset);
    answer(&mut after, probabilities, trust);
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

/// The mean over the patches, and what a softmax gives for its logits divided by a temperature.
fn answer(builder: &mut Builder, output: &str, trust: Option<&Trust>) {
    let Some(Trust { average, temperature, .. }) = trust else {
        return builder.reduce("ReduceMean", PATCH_PROBABILITIES, output, &[0], true);
    };
    match average {
        Average::Arithmetic => {
            builder.reduce("ReduceMean", PATCH_PROBABILITIES, "clip.mean", &[0], true);
            trust::tempered(builder, "clip.mean", output, *temperature);
        }
        Average::Geometric => {
            let floor = builder.floats("floor", &[1], &[f64::from(FLOOR)]);
            let positive = builder.node("Add", &[PATCH_PROBABILITIES, &floor], "floored", vec![]);
            let logits = builder.node("Log", &[&positive], "patch_logits", vec![]);
            builder.reduce("ReduceMean", &logits, "clip.mean_logits", &[0], true);
            trust::softened(builder, "clip.mean_logits", output, *temperature);
        }
    }
}

/// The longest patch that is cut from samples, in blocks that patch and hop consist of: the
/// kernel that gathers them is so large squared.
const MAX_BLOCKS: usize = 512;

/// Patches of samples as trainings keep them, `[patches, samples, 1]`.
fn patches_of_samples(
    builder: &mut Builder,
    windows: &Windows,
    samples: &str,
    path: &Path,
) -> Result<()> {
    let Windows { size, hop, .. } = *windows;
    let block = greatest_common_divisor(size, hop);
    if size / block > MAX_BLOCKS {
        let reason = format!(
            "patches of {size} samples every {hop} have only {block} samples in common; choose \
             ‹input› waveform, or a patch_hop_samples that divides the patch"
        );
        return Err(Error::onnx(path, reason));
    }
    // What is behind the last whole block no convolution looks at.
    let column = builder.reshape(samples, "column", &[1, 1, -1, 1]);
    let blocks = builder.runs_of_rows(&column, "blocks", 1, [block, block]);
    let table = builder.reshape(&blocks, "table", &[1, 1, -1, block as i64]);
    let patches = builder.runs_of_rows(&table, "patches", block, [hop / block, size / block]);
    let shape = builder.integers("patch", &[3], &[-1, size as i64, 1]);
    builder.output("Reshape", &[&patches, &shape], LOG_MEL, vec![]);
    Ok(())
}

/// Checks that a recording's patches, any number of them, can be put to a backbone that
/// takes `batch` patches at a time.
///
/// # Errors
/// [`Error::Onnx`] if it takes only so many.
pub(super) fn check_batch(batch: Option<usize>, path: &Path) -> Result<()> {
    let Some(batch) = batch else { return Ok(()) };
    let count = if batch == 1 { "one patch".to_owned() } else { format!("{batch} patches") };
    let reason = format!(
        "the backbone takes {count} at a time, and a recording has any number of them; choose \
         ‹input› waveform, or give the backbone a free batch first"
    );
    Err(Error::onnx(path, reason))
}

/// A recording with the silence that its frames need around it, `[1, samples]`.
///
/// One that is shorter than a patch is followed by as much silence as makes a patch of it,
/// `relu(patch - samples)`; what is left after the last whole patch, no convolution looks at.
/// Without a single sample there is nothing to judge, and the graph must fail: the silence is
/// then made of no zero at all, which cannot be arranged as the one zero that it is repeated
/// from.
fn padded(builder: &mut Builder, windows: &Windows) -> String {
    let Windows { lead, least, size, .. } = *windows;
    // What the last frame of a whole patch touches beyond it.
    let beyond = (size - lead - least) as i64;

    let shape = builder.node("Shape", &[WAVEFORM], "shape", vec![]);
    let last = builder.integers("shape.last", &[1], &[1]);
    let given = builder.node("Gather", &[&shape, &last], "samples", vec![int("axis", 0)]);
    let given = cast(builder, &given, "samples.float", DataType::Float);

    let one = builder.floats("one", &[1], &[1.0]);
    let absent = short_of(builder, &one, &given, "absent");
    let present = builder.node("Sub", &[&one, &absent], "present", vec![]);
    let present = cast(builder, &present, "present.count", DataType::Int64);
    let zero = builder.floats("zero", &[1], &[0.0]);
    let zeros = builder.node("Tile", &[&zero, &present], "zeros", vec![]);
    // Its name is what a runtime complains with.
    let zero = builder.reshape(&zeros, "recording_without_samples", &[1, 1]);

    let least = builder.floats("least", &[1], &[least as f64]);
    let missing = short_of(builder, &least, &given, "missing");
    let missing = cast(builder, &missing, "missing.count", DataType::Int64);
    let beyond = builder.integers("beyond", &[1], &[beyond]);
    let tail = builder.node("Add", &[&missing, &beyond], "tail.samples", vec![]);
    let row = builder.integers("row", &[1], &[1]);
    let tail = builder.node("Concat", &[&row, &tail], "tail.repeats", vec![int("axis", 0)]);
    let tail = builder.node("Tile", &[&zero, &tail], "tail", vec![]);
    let lead = (lead > 0).then(|| {
        let repeats = builder.integers("lead.repeats", &[2], &[1, lead as i64]);
        builder.node("Tile", &[&zero, &repeats], "lead", vec![])
    });
    let parts: Vec<&str> = lead.as_deref().into_iter().chain([WAVEFORM, &tail]).collect();
    builder.node("Concat", &parts, "padded", vec![int("axis", 1)])
}

/// By how much `given` is less than `wanted`, or 0: counts as floats, because opset 7 has the
/// larger of two numbers for floats only.
fn short_of(builder: &mut Builder, wanted: &str, given: &str, name: &str) -> String {
    let difference = builder.node("Sub", &[wanted, given], &format!("{name}.signed"), vec![]);
    builder.node("Relu", &[&difference], name, vec![])
}

fn cast(builder: &mut Builder, from: &str, name: &str, to: DataType) -> String {
    builder.node("Cast", &[from], name, vec![int("to", to as i64)])
}
