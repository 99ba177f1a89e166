//! Which constants of a graph are weights: what a training may change.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// What an input of an operator is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A layer's own weight.
    Weight,
    /// A batch normalization's mean or variance.
    Statistic,
    /// A constant that is a weight (a bias, a scale, a position's embedding) if it has more than
    /// one value; a number is part of a formula.
    Operand,
    /// Nothing that is learned.
    Other,
}

/// Operators that begin a layer, as a user counts them.
pub(super) fn begins_layer(operator: &str) -> bool {
    matches!(
        operator,
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul" | "Einsum" | "GRU" | "LSTM" | "RNN"
    )
}

/// What input `index` of an operator is to it.
pub(super) fn role(operator: &str, index: usize) -> Role {
    match (operator, index) {
        ("Conv" | "ConvTranspose", 1 | 2)
        | ("Gemm", 0..=2)
        | ("MatMul", 0 | 1)
        | ("Einsum", _)
        | ("PRelu", 1)
        | ("GRU" | "RNN" | "LSTM", 1..=3)
        | ("LSTM", 7)
        | (
            "BatchNormalization"
            | "LayerNormalization"
            | "GroupNormalization"
            | "InstanceNormalization"
            | "RMSNormalization",
            1 | 2,
        ) => Role::Weight,
        ("BatchNormalization", 3 | 4) => Role::Statistic,
        ("Add" | "Sub" | "Mul" | "Div" | "Concat" | "Sum", _) | ("Expand" | "Tile", 0) => {
            Role::Operand
        }
        _ => Role::Other,
    }
}

/// Tensors that stand in the file: initializers, and the values of Constant nodes.
pub(super) fn stored(graph: &GraphProto) -> HashMap<&str, &TensorProto> {
    let mut found: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
        let tensor = node.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.as_ref());
        if let (Some(tensor), Some(output)) = (tensor, node.output.first()) {
            found.insert(output, tensor);
        }
    }
    found
}

/// Weights and statistics of a graph, by the tensor's name.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// What is learned, in the order of first use.
    pub parameters: Vec<String>,
    /// Means and variances of batch normalizations, in the order of first use, and the layer
    /// that they belong to.
    pub statistics: Vec<(String, usize)>,
    /// The layers, in the order of the nodes: the node that begins it, and its parameters.
    pub layers: Vec<(usize, Vec<String>)>,
}

/// Finds the weights of `nodes` (in order, all of them needed), given the names of tensors that
/// depend on data.
pub(super) fn find<'a>(
    nodes: &[&'a NodeProto],
    stored: &HashMap<&'a str, &'a TensorProto>,
    data: &HashSet<&'a str>,
) -> Weights {
    let producers: HashMap<&str, &NodeProto> = nodes
        .iter()
        .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), *node)))
        .collect();
    let origins = |name: &'a str| origins(name, stored, &producers, data);
    let mut weights = Weights::default();
    // What stands before the first layer learns with it.
    let mut leading: Vec<String> = vec![];
    for (at, node) in nodes.iter().enumerate() {
        if !node.output.iter().any(|output| data.contains(output.as_str())) {
            continue;
        }
        let mut found = vec![];
        for (index, input) in node.input.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let origins = || origins(input).into_iter().filter(|name| is_float(stored[name]));
            match role(&node.op_type, index) {
                // A number that a weight is computed with is part of a formula.
                Role::Weight => {
                    let own = |name: &&str| *name == *input || elements(stored[name]) > 1;
                    found.extend(origins().filter(own).map(str::to_owned));
                }
                Role::Operand if !weights.layers.is_empty() => {
                    let many = origins().filter(|name| elements(stored[name]) > 1);
                    found.extend(many.map(str::to_owned));
                }
                Role::Statistic => {
                    let own = stored.get(input.as_str()).filter(|tensor| is_float(tensor));
                    let is_new = weights.statistics.iter().all(|(name, _)| name != input);
                    if own.is_some() && is_new {
                        let layer = weights.layers.len().saturating_sub(1);
                        weights.statistics.push((input.clone(), layer));
                    }
                }
                Role::Operand | Role::Other => {}
            }
        }
        if found.is_empty() {
            continue;
        }
        for name in &found {
            if !weights.parameters.contains(name) {
                weights.parameters.push(name.clone());
            }
        }
        if begins_layer(&node.op_type) {
            leading.append(&mut found);
            weights.layers.push((at, std::mem::take(&mut leading)));
        } else if let Some((_, last)) = weights.layers.last_mut() {
            last.append(&mut found);
        } else {
            leading.append(&mut found);
        }
    }
    weights
}

/// The stored tensors that a constant is made of, through any nodes that only rearrange or
/// scale.
fn origins<'a>(
    name: &'a str,
    stored: &HashMap<&'a str, &'a TensorProto>,
    producers: &HashMap<&'a str, &'a NodeProto>,
    data: &HashSet<&'a str>,
) -> Vec<&'a str> {
    let (mut found, mut seen, mut left) = (vec![], HashSet::new(), vec![name]);
    while let Some(name) = left.pop() {
        if data.contains(name) || !seen.insert(name) {
            continue;
        }
        if let Some((name, _)) = stored.get_key_value(name) {
            found.push(*name);
        } else if let Some(node) = producers.get(name) {
            let quantized = node.op_type.contains("uantize");
            let inputs = node.input.iter().map(String::as_str).filter(|name| !name.is_empty());
            left.extend(inputs.filter(|_| !quantized));
        }
    }
    found
}

fn is_float(tensor: &TensorProto) -> bool {
    [DataType::Float, DataType::Float16, DataType::Double, DataType::Bfloat16]
        .iter()
        .any(|kind| *kind as i32 == tensor.data_type)
}

fn elements(tensor: &TensorProto) -> usize {
    tensor.dims.iter().map(|size| usize::try_from(*size).unwrap_or(0)).product()
}
