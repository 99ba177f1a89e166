//! A model that takes pictures as vision networks do.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use crate::error::{Error, Result};
use crate::features::ImageFrontEnd;
use crate::onnx;
use crate::onnx::names::{IMAGE, LOG_MEL};
use crate::onnx::nodes::{ints, port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;

/// Makes `model`, which takes patches as trainings keep them, columns of pixels `[batch, width,
/// height * channels]`, take `image` `[batch, channels, height, width]`.
pub(super) fn take_images(
    model: &mut ModelProto,
    front_end: &ImageFrontEnd,
    path: &Path,
) -> Result<()> {
    let &ImageFrontEnd { channels, height, width, .. } = front_end;
    let batch = onnx::input(model, path)?.dims.first().copied().flatten();
    let mut builder = Builder::new("front_end", opset::of(model));
    let columns = builder.node("Transpose", &[IMAGE], "columns", vec![ints("perm", &[0, 3, 2, 1])]);
    let sizes = [-1, width as i64, (height * channels) as i64];
    let shape = builder.integers("patch", &[3], &sizes);
    builder.output("Reshape", &[&columns, &shape], LOG_MEL, vec![]);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    builder.prepend_to(graph);
    graph.input = vec![port(IMAGE, batch, &[channels, height, width])];
    graph.value_info.clear();
    Ok(())
}
