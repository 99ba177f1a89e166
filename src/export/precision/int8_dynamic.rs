//! Weights as bytes, and activations made bytes as they come (`DynamicQuantizeLinear`), with a
//! scale of the moment for each tensor: no calibration, and a little arithmetic more.
//!
//! A tensor's scale is that of all the patches given at once, so a patch's probabilities depend,
//! within the rounding, on its neighbours in the batch.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::layer::{Layer, Weight};
use super::opset::check_opset;
use crate::error::Result;
use crate::onnx;
use crate::onnx::attributes;
use crate::onnx::nodes::{byte_tensor, float_tensor, int, node};
use crate::onnx::prune::keep_what_outputs_need;
use crate::onnx::values;
use crate::run::Precision;

/// `DynamicQuantizeLinear`, since this opset.
const OLDEST_OPSET: i64 = 11;

/// Makes `ConvInteger` and `MatMulInteger` of the layers before the head; of how many.
///
/// A first convolution stays as it is, and a grouped one: ONNX Runtime would run it channel by
/// channel.
///
/// # Errors
/// [`crate::Error::Onnx`] if the graph's opset is too old.
pub(super) fn convert(path: &Path, model: &mut ModelProto) -> Result<usize> {
    check_opset(path, model, Precision::Int8, OLDEST_OPSET)?;
    let graph = onnx::graph_mut(path, model)?;
    let mut given = HashSet::new();
    let mut replaced: HashMap<usize, Vec<NodeProto>> = HashMap::new();
    for layer in Layer::all(graph).iter().filter(|layer| !layer.is_head) {
        if let Some(products) = Products::of(path, graph, layer)? {
            replaced.insert(layer.node, products.nodes(graph, &mut given));
        }
    }
    let count = replaced.len();
    let nodes = std::mem::take(&mut graph.node).into_iter().enumerate();
    graph.node =
        nodes.flat_map(|(at, node)| replaced.remove(&at).unwrap_or_else(|| vec![node])).collect();
    keep_what_outputs_need(graph);
    Ok(count)
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
        let whole = |name: &str, usual| attributes::int(&node, name, usual);
        let grouped = whole("group", 1) > 1;
        if !layer.can_be_bytes(graph) || grouped || whole("transA", 0) != 0 {
            return Ok(None);
        }
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(name) => match graph.initializer.iter().find(|tensor| tensor.name == *name) {
                Some(tensor) => Some(values::floats(path, tensor)?.1),
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
        graph.initializer.push(float_tensor(&scales, &self.along, &self.scales));
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
                graph.initializer.push(float_tensor(&bias, &self.along, values));
                nodes.push(node("Mul", &[&floating, &both], &scaled, vec![]));
                nodes.push(node("Add", &[&scaled, &bias], output, vec![]));
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::OperatorSetIdProto;

    use super::*;
    use crate::onnx::nodes::port;

    /// A convolution whose constants are called as a folded batch normalization calls them, a
    /// grouped one, and a dense layer with its weight transposed.
    fn model(opset: i64) -> ModelProto {
        let group = int("group", 2);
        let nodes = vec![
            node("Conv", &["x", "y.weight", "y.bias"], "y", vec![]),
            node("Conv", &["y", "grouped"], "z", vec![group]),
            node("Flatten", &["z"], "flat", vec![]),
            node("Gemm", &["flat", "dense", "shift"], "out", vec![int("transB", 1)]),
        ];
        let initializer = vec![
            float_tensor("y.weight", &[2, 2, 1, 1], &[1.0, -2.0, 3.0, 0.5]),
            float_tensor("y.bias", &[2], &[0.25, -1.0]),
            float_tensor("grouped", &[2, 1, 1, 1], &[1.0, 2.0]),
            float_tensor("dense", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            float_tensor("shift", &[3], &[0.0, 1.0, 2.0]),
        ];
        let graph = GraphProto {
            node: nodes,
            initializer,
            input: vec![port("x", None, &[2, 1, 1])],
            output: vec![port("out", None, &[3])],
            ..Default::default()
        };
        let set = OperatorSetIdProto { domain: String::new(), version: opset };
        ModelProto { graph: Some(graph), opset_import: vec![set], ..Default::default() }
    }

    #[test]
    fn layers_become_integers_and_every_constant_has_a_name_of_its_own() {
        let mut model = model(OLDEST_OPSET);
        convert(Path::new("m.onnx"), &mut model).unwrap();
        let graph = model.graph.unwrap();
        let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        let layer = |integers| ["DynamicQuantizeLinear", integers, "Cast", "Mul", "Mul", "Add"];
        let wanted = [&layer("ConvInteger")[..], &["Conv", "Flatten"], &layer("MatMulInteger")];
        assert_eq!(operators, wanted.concat());
        let mut names: Vec<&String> = graph.initializer.iter().map(|t| &t.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), graph.initializer.len());
        assert!(!names.iter().any(|name| *name == "dense" || *name == "y.bias"), "{names:?}");
        let dense = graph.initializer.iter().find(|t| t.name == "out.of_bytes.int8").unwrap();
        let bytes: Vec<i8> = dense.raw_data.iter().map(|byte| byte.cast_signed()).collect();
        assert_eq!((&dense.dims[..], bytes), (&[2, 3][..], vec![64, 95, 106, 127, 127, 127]));
    }

    #[test]
    fn an_old_graph_is_refused() {
        let error = convert(Path::new("m.onnx"), &mut model(10)).unwrap_err().to_string();
        assert!(error.contains("opset 11") && error.contains("int8-weights"), "{error}");
    }
}
