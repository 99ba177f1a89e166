//! The operator set that a graph needs.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::{GraphProto, ModelProto};

use super::nodes::ints;
use super::values;
use crate::error::{Error, Result};

/// Broadcasting as it is today, since this opset.
const OLDEST: i64 = 7;
/// The newest that all we write was tried in.
const NEWEST: i64 = 23;

/// Operators in the form that opset 17 knows, and the first opset with that form (of
/// [the list](https://github.com/onnx/onnx/blob/main/docs/Changelog.md)), for the inputs and
/// attributes that our graphs give them.
const SINCE: &[(&str, i64)] = &[
    ("Add", 7),
    ("AveragePool", 10),
    ("BatchNormalization", 9),
    ("Cast", 6),
    ("Concat", 4),
    ("Conv", 1),
    ("ConvInteger", 10),
    // With a scale for each channel.
    ("DequantizeLinear", 13),
    ("Div", 7),
    ("DynamicQuantizeLinear", 11),
    ("Flatten", 9),
    ("Gather", 1),
    ("Gemm", 7),
    ("GlobalAveragePool", 1),
    ("Identity", 1),
    ("Log", 6),
    ("MatMul", 1),
    ("MatMulInteger", 10),
    ("MaxPool", 10),
    ("Mul", 7),
    ("QuantizeLinear", 13),
    ("ReduceMean", 1),
    ("Relu", 6),
    ("Reshape", 5),
    ("Shape", 1),
    ("Sigmoid", 6),
    ("Slice", 10),
    // Over the last axis; over another, 13.
    ("Softmax", 1),
    ("Sqrt", 6),
    ("Sub", 7),
    ("Tile", 6),
    ("Transpose", 1),
];

/// The opset of the ONNX operators in `model`; 0 if it says none.
pub(crate) fn of(model: &ModelProto) -> i64 {
    // The domain of ONNX's own operators has two names.
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let sets = model.opset_import.iter().filter(|set| own(&set.domain));
    sets.map(|set| set.version).max().unwrap_or(0)
}

/// The opset of `model`, the file at `path`, in which what we add to it is then written.
///
/// # Errors
/// [`Error::Onnx`] if it is one that we cannot write in.
pub(crate) fn check(path: &Path, model: &ModelProto) -> Result<i64> {
    let opset = of(model);
    if (OLDEST..=NEWEST).contains(&opset) {
        return Ok(opset);
    }
    let reason = format!(
        "its operators are of opset {opset}, and a model can be exported with a backbone of opset \
         {OLDEST} to {NEWEST}; convert it first (onnx.version_converter)"
    );
    Err(Error::onnx(path, reason))
}

/// Declares the oldest opset that `model` can do with, if all its operators are in [`SINCE`].
pub(crate) fn lower(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let since: HashMap<&str, i64> = SINCE.iter().copied().collect();
    let oldest = graph.node.iter().map(|node| since.get(&*node.op_type).copied());
    let Some(oldest) = oldest.collect::<Option<Vec<i64>>>() else { return };
    let oldest = oldest.into_iter().max().unwrap_or(0).max(OLDEST);
    give_means_their_axes(graph);
    model.opset_import.iter_mut().filter(|set| set.domain.is_empty()).for_each(|set| {
        set.version = set.version.min(oldest);
    });
    model.ir_version = model.ir_version.min(ir_version(oldest));
}

/// Axes of a mean are an input since opset 18, and were an attribute before.
fn give_means_their_axes(graph: &mut GraphProto) {
    let GraphProto { node, initializer, .. } = graph;
    for mean in node.iter_mut().filter(|node| node.op_type == "ReduceMean") {
        let Some(name) = mean.input.get(1) else { continue };
        let axes = initializer.iter().find(|tensor| tensor.name == *name);
        let axes = axes.and_then(|tensor| values::ints(Path::new(name), tensor).ok());
        if let Some(axes) = axes {
            mean.attribute.push(ints("axes", &axes));
            mean.input.truncate(1);
        }
    }
    let used: HashSet<&String> = node.iter().flat_map(|node| &node.input).collect();
    initializer.retain(|tensor| used.contains(&tensor.name));
}

/// The version of the file format that came with an opset.
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        _ => 8,
    }
}
