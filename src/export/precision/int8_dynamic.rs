//! Weights as bytes, and activations made bytes as they come (`DynamicQuantizeLinear`), with a
//! scale of the moment for each tensor: no calibration, and a little arithmetic more.
//!
//! A tensor's scale is that of all the patches given at once, so a patch's probabilities depend,
//! within the rounding, on its neighbours in the batch.

use std::collections::HashSet;
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::super::fuse::attribute;
use super::super::opset;
use super::super::splice::{floats, int, keep_what_leads_to, node};
use super::byte_tensor;
use super::layer::{Layer, Weight};
use crate::model::import;
use crate::{Error, Result, onnx};

/// `DynamicQuantizeLinear`, since this opset.
const OLDEST_OPSET: i64 = 11;

/// Makes `ConvInteger` and `MatMulInteger` of every layer that gains by it; the others, the head
/// left out, keep floats and may have their weights stored as bytes.
///
/// A grouped convolution stays: no runtime here has a fast kernel for its bytes.
///
/// # Errors
/// [`Error::Onnx`] if the graph's opset is too old.
pub(super) fn convert(path: &Path, model: &mut ModelProto) -> Result<()> {
    let version = opset::of(model);
    if version < OLDEST_OPSET {
        return Err(Error::onnx(
            path,
            format!(
                "int8 needs opset {OLDEST_OPSET}, and the backbone's graph is written for \
                 {version}; convert it, or choose int8-weights"
            ),
        ));
    }
    let graph = onnx::graph_mut(path, model)?;
    let mut given = HashSet::new();
    let mut replaced: Vec<(usize, Vec<NodeProto>)> = vec![];
    for layer in Layer::all(graph).into_iter().filter(Layer::is_before_head) {
        if let Some(products) = Products::of(path, graph, &layer)? {
            replaced.push((layer.node, products.nodes(graph, &mut given)));
        }
    }
    let mut nodes = vec![];
    let mut replaced = replaced.into_iter().peekable();
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        match replaced.next_if(|(layer, _)| *layer == at) {
            Some((_, integers)) => nodes.extend(integers),
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    let outputs = graph.output.iter().map(|port| port.name.clone()).collect();
    keep_what_leads_to(graph, outputs);
    Ok(())
}

/// A layer in integers.
struct Products {
    /// The layer's node.
    layer: NodeProto,
    /// The operator that multiplies bytes.
    operator: &'static str,
    weight: Weight,
    bytes: Vec<i8>,
    /// Of each output channel.
    scales: Vec<f32>,
    bias: Option<Vec<f32>>,
    /// Sizes that lay scales and bias along the output's channels.
    along: Vec<usize>,
}

impl Products {
    /// None if the layer is to stay in floats.
    fn of(path: &Path, graph: &GraphProto, layer: &Layer) -> Result<Option<Self>> {
        let node = graph.node[layer.node].clone();
        let whole = |name: &str, usual| attribute(&node, name).map_or(usual, |a| a.i);
        let grouped = whole("group", 1) > 1;
        if !layer.can_be_bytes(graph) || grouped || whole("transA", 0) != 0 {
            return Ok(None);
        }
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => match graph.initializer.iter().find(|tensor| tensor.name == *name) {
                Some(tensor) => Some(import::floats(path, tensor)?.1),
                None => return Ok(None),
            },
            None => None,
        };
        let mut weight = layer.weight(path, graph)?;
        let mut axis = layer.axis;
        if whole("transB", 0) == 1 {
            (weight, axis) = (weight.transposed(), 1);
        }
        let (bytes, scales) = weight.to_bytes(axis);
        let channels = scales.len();
        if bias.as_ref().is_some_and(|bias| bias.len() != channels) {
            return Ok(None);
        }
        let (operator, along) = match node.op_type.as_str() {
            "Conv" => {
                let mut along = vec![1; weight.shape.len() - 1];
                along[0] = channels;
                ("ConvInteger", along)
            }
            _ => ("MatMulInteger", vec![channels]),
        };
        Ok(Some(Self { layer: node, operator, weight, bytes, scales, bias, along }))
    }

    /// The nodes in place of the layer's; tensors in `given` are bytes already.
    fn nodes(self, graph: &mut GraphProto, given: &mut HashSet<String>) -> Vec<NodeProto> {
        let (input, output) = (&self.layer.input[0], &self.layer.output[0]);
        // Not the names that a folded batch normalization gives its weight and bias.
        let name = |part: &str| format!("{output}.of_bytes.{part}");
        let [bytes, scale, zero] =
            ["bytes", "scale", "zero"].map(|part| format!("{input}.as_bytes.{part}"));
        let mut nodes = vec![];
        if given.insert(input.clone()) {
            let mut quantize = node("DynamicQuantizeLinear", &[input], &bytes, vec![]);
            quantize.output.extend([scale.clone(), zero.clone()]);
            nodes.push(quantize);
        }
        let [weight, scales] = ["int8", "scales"].map(name);
        graph.initializer.push(byte_tensor(weight.clone(), &self.weight.shape, &self.bytes));
        graph.initializer.push(floats(&scales, &self.along, &self.scales));
        let attributes = match self.operator {
            "ConvInteger" => self.layer.attribute.clone(),
            _ => vec![],
        };
        let [products, floating, both] = ["products", "floating", "both"].map(name);
        nodes.push(node(self.operator, &[&bytes, &weight, &zero], &products, attributes));
        let to = int("to", DataType::Float as i64);
        nodes.push(node("Cast", &[&products], &floating, vec![to]));
        nodes.push(node("Mul", &[&scale, &scales], &both, vec![]));
        match &self.bias {
            None => nodes.push(node("Mul", &[&floating, &both], output, vec![])),
            Some(values) => {
                let [scaled, bias] = ["scaled", "bias"].map(name);
                graph.initializer.push(floats(&bias, &self.along, values));
                nodes.push(node("Mul", &[&floating, &both], &scaled, vec![]));
                nodes.push(node("Add", &[&scaled, &bias], output, vec![]));
            }
        }
        nodes
    }
}
