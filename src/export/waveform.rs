//! A model that hears one patch of samples: its front end before the graph that takes log-mels.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::builder::{Builder, Count};
use super::splice::port;
use super::{INPUT, WAVEFORM, front_end, opset};
use crate::error::{Error, Result};
use crate::features::FrontEnd;
use crate::onnx;

/// Makes `model`, which takes log-mels, take the samples of patches.
pub(super) fn hear(model: &mut ModelProto, front_end: &FrontEnd, path: &Path) -> Result<()> {
    let batch = onnx::input(model, path)?.dims.first().copied().flatten();
    let mut builder = Builder::new("front_end", opset::of(model));
    let FrontEnd { patch_frames, mels, .. } = *front_end;
    let frames = front_end::log_mel(&mut builder, front_end, WAVEFORM, &Count::Known(patch_frames));
    let shape = builder.integers("patch", &[3], &[-1, patch_frames as i64, mels as i64]);
    builder.output("Reshape", &[&frames, &shape], INPUT, vec![]);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    builder.prepend_to(graph);
    graph.input = vec![port(WAVEFORM, batch, &[front_end.waveform_samples()])];
    graph.value_info.clear();
    Ok(())
}
