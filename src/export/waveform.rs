//! A model that takes one patch of samples: its front end before the graph that takes log-mels.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::front_end;
use crate::error::{Error, Result};
use crate::features::FrontEnd;
use crate::onnx;
use crate::onnx::names::{LOG_MEL, WAVEFORM};
use crate::onnx::nodes::port;
use crate::onnx::opset;
use crate::onnx::piece::Builder;

/// Makes `model`, which takes log-mels, take the samples of patches.
pub(super) fn prepend_front_end(
    model: &mut ModelProto,
    front_end: &FrontEnd,
    path: &Path,
) -> Result<()> {
    let batch = onnx::input(model, path)?.dims.first().copied().flatten();
    let mut builder = Builder::new("front_end", opset::of(model));
    let FrontEnd { patch_frames, mels, .. } = *front_end;
    let framed = front_end::frames_of_patches(&mut builder, front_end, WAVEFORM);
    let frames = front_end::log_mel(&mut builder, front_end, &framed);
    let shape = builder.integers("patch", &[3], &[-1, patch_frames as i64, mels as i64]);
    builder.output("Reshape", &[&frames, &shape], LOG_MEL, vec![]);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    builder.prepend_to(graph);
    graph.input = vec![port(WAVEFORM, batch, &[front_end.waveform_samples()])];
    graph.value_info.clear();
    Ok(())
}

/// Makes `model`, which takes patches as trainings keep them, `[batch, samples, 1]`, take
/// `waveform` `[batch, samples]`.
pub(super) fn take_samples(model: &mut ModelProto, samples: usize, path: &Path) -> Result<()> {
    let batch = onnx::input(model, path)?.dims.first().copied().flatten();
    let mut builder = Builder::new("front_end", opset::of(model));
    let shape = builder.integers("patch", &[3], &[-1, samples as i64, 1]);
    builder.output("Reshape", &[WAVEFORM, &shape], LOG_MEL, vec![]);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    builder.prepend_to(graph);
    graph.input = vec![port(WAVEFORM, batch, &[samples])];
    graph.value_info.clear();
    Ok(())
}
