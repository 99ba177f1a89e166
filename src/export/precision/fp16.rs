//! Weights stored as 16-bit floats.

use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::f16;

use super::layer::Layer;
use crate::error::Result;
use crate::onnx;
use crate::onnx::nodes::{half_tensor, int, node};

/// Stores every layer's weight as 16-bit floats, with a cast back to 32 bits that runtimes do
/// once, when they open the file; how many. A weight with values that do not fit stays as it is.
pub(super) fn store(path: &Path, model: &mut ModelProto) -> Result<usize> {
    let graph = onnx::graph_mut(path, model)?;
    let mut casts = vec![];
    for layer in Layer::all(graph) {
        let tensor = &graph.initializer[layer.weight];
        // Stored already, for another layer.
        if tensor.data_type != DataType::Float as i32 {
            continue;
        }
        let weight = layer.weight(path, graph)?;
        let halves: Vec<f16> = weight.values.iter().map(|value| f16::from_f32(*value)).collect();
        if !halves.iter().all(|half| half.is_finite()) {
            continue;
        }
        let stored = format!("{}.fp16", weight.name);
        let to = int("to", DataType::Float as i64);
        casts.push(node("Cast", &[&stored], &weight.name, vec![to]));
        let bits: Vec<u16> = halves.iter().map(|half| half.to_bits()).collect();
        graph.initializer[layer.weight] = half_tensor(stored, &weight.shape, &bits);
    }
    let count = casts.len();
    graph.node.splice(..0, casts);
    Ok(count)
}
