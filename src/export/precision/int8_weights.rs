//! Weights stored as bytes with a scale for each output channel; activations stay floats.

use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::layer::Layer;
use crate::error::Result;
use crate::onnx;
use crate::onnx::nodes::{byte_tensor, float_tensor, int, node};

/// A layer of fewer weights is not worth a scale.
const FEWEST: i64 = 1024;

/// Stores every larger weight but the head's as bytes, with nodes that make floats of them
/// again, which runtimes run once, when they open the file; how many.
pub(super) fn store(path: &Path, model: &mut ModelProto) -> Result<usize> {
    let graph = onnx::graph_mut(path, model)?;
    let mut nodes = vec![];
    for layer in Layer::all(graph) {
        let tensor = &graph.initializer[layer.weight];
        let stored_already = tensor.data_type != DataType::Float as i32;
        if layer.is_head || layer.size(graph) < FEWEST || stored_already {
            continue;
        }
        let weight = layer.weight(path, graph)?;
        let (bytes, scales) = weight.to_bytes(layer.axis);
        let [stored, scale, float] =
            ["int8", "scale", "float"].map(|part| format!("{}.{part}", weight.name));
        // A plain cast and product, and not DequantizeLinear, which ONNX Runtime would keep in
        // the graph and run for every patch.
        let to = int("to", DataType::Float as i64);
        nodes.push(node("Cast", &[&stored], &float, vec![to]));
        nodes.push(node("Mul", &[&float, &scale], &weight.name, vec![]));
        let mut along_axis = vec![1; weight.shape.len()];
        along_axis[layer.axis] = scales.len();
        graph.initializer.push(float_tensor(&scale, &along_axis, &scales));
        graph.initializer[layer.weight] = byte_tensor(stored, &weight.shape, &bytes);
    }
    // Two nodes a weight.
    let count = nodes.len() / 2;
    graph.node.splice(..0, nodes);
    Ok(count)
}
