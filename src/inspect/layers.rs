//! The layers with weights of a graph, as `finetune` counts them.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use tract_onnx::pb::NodeProto;

use super::walk::{Walk, name_of};
use super::work::{is_counted, multiply_adds};

/// Operators that begin a layer where one of their inputs is a matrix of weights.
const BEGINNINGS: [&str; 15] = [
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Einsum",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "GRU",
    "Gemm",
    "LSTM",
    "MatMul",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
];

/// A layer: an operator with weights, and all that follows until the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Counted from the embeddings backwards: the least N with which `finetune` trains this
    /// layer; none if it does not lead to them.
    pub unfreeze: Option<usize>,
    /// The operator that it begins with.
    pub operator: String,
    /// That node's name, or its output's where it has none.
    pub name: String,
    /// Shape of that node's output for one patch; none where it is not known.
    pub output: Option<Vec<u64>>,
    /// Weights, biases, and scales and statistics of normalizations after it.
    pub parameters: u64,
    /// Multiplications that are added up, for one patch; none where a shape is not known.
    pub multiply_adds: Option<u64>,
}

/// The layers of `walk` in the order in which they are computed, those that lead to the tensor
/// `embeddings` numbered; `sizes` are the shapes that are known.
pub(super) fn layers(
    walk: &Walk,
    embeddings: Option<&str>,
    sizes: &BTreeMap<String, Vec<u64>>,
) -> Vec<Layer> {
    let leads = walk.leading_to(embeddings.as_slice());
    let shape = |name: &str| shape(walk, sizes, name);
    let mut layers: Vec<Layer> = vec![];
    let mut leading: Vec<bool> = vec![];
    let mut counted = HashSet::new();
    // What has weights before the first layer is trained with it.
    let (mut early_parameters, mut early_work) = (0u64, Some(0u64));
    for (place, node) in walk.nodes.iter().enumerate().filter(|(p, _)| !walk.constant[*p]) {
        if begins(walk, node, shape) {
            layers.push(Layer {
                unfreeze: None,
                operator: node.op_type.clone(),
                name: name_of(node).to_owned(),
                output: node.output.first().and_then(|name| shape(name)),
                parameters: std::mem::take(&mut early_parameters),
                multiply_adds: early_work.replace(0),
            });
            leading.push(leads[place]);
        }
        let (parameters, work) = match layers.last_mut() {
            Some(layer) => (&mut layer.parameters, &mut layer.multiply_adds),
            None => (&mut early_parameters, &mut early_work),
        };
        for name in &node.input {
            *parameters = parameters.saturating_add(walk.parameters(name, &mut counted));
        }
        *work = work.zip(multiply_adds(node, shape)).map(|(all, one)| all.saturating_add(one));
    }
    let numbered = layers.iter_mut().zip(leading).rev().filter(|(_, leads)| *leads);
    numbered.zip(1..).for_each(|((layer, _), number)| layer.unfreeze = Some(number));
    layers
}

/// All multiply-adds of the graph for one patch, and the operators among them whose shapes are
/// not known, which are left out of the sum.
pub(super) fn work(walk: &Walk, sizes: &BTreeMap<String, Vec<u64>>) -> (u64, usize) {
    let counted = walk.nodes.iter().zip(&walk.constant).filter(|(_, constant)| !**constant);
    let (mut sum, mut unknown) = (0u64, 0);
    for (node, _) in counted.filter(|(node, _)| is_counted(node)) {
        match multiply_adds(node, |name| shape(walk, sizes, name)) {
            Some(work) => sum = sum.saturating_add(work),
            None => unknown += 1,
        }
    }
    (sum, unknown)
}

fn begins(walk: &Walk, node: &NodeProto, shape: impl Fn(&str) -> Option<Vec<u64>>) -> bool {
    // A weight whose shape is not known is computed from others, which have axes enough.
    let is_matrix =
        |name: &String| walk.is_constant(name) && shape(name).is_none_or(|sizes| sizes.len() >= 2);
    BEGINNINGS.contains(&node.op_type.as_str()) && node.input.iter().any(is_matrix)
}

fn shape(walk: &Walk, sizes: &BTreeMap<String, Vec<u64>>, name: &str) -> Option<Vec<u64>> {
    walk.weight_shape(name).map(<[u64]>::to_vec).or_else(|| sizes.get(name).cloned())
}
