//! Weights and activations as bytes, between `QuantizeLinear` and `DequantizeLinear`.
//!
//! The graph stays one of floats that any runtime can run; one that knows the pattern (ONNX
//! Runtime's `QLinearConv`) multiplies bytes instead. Activations have one scale a tensor, from
//! the least to the largest value that training clips cause; weights one a channel.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::layer::Layer;
use super::opset::check_opset;
use crate::error::{Error, Result};
use crate::onnx;
use crate::onnx::nodes::{
    byte_tensor, float_tensor, int, int32_tensor, node, sized_port, unsigned_byte_tensor,
};
use crate::onnx::prune::keep_what_outputs_need;
use crate::onnx::values;
use crate::run::Precision;

/// Scales along an axis, since this opset.
const OLDEST_OPSET: i64 = 13;

/// The least and the largest value of each watched tensor.
pub(super) type Ranges = BTreeMap<String, (f32, f32)>;

/// A model whose outputs are the least and the largest values of tensors, two for each name.
pub(super) struct Watched {
    pub model: ModelProto,
    pub names: Vec<String>,
}

/// What is to be made bytes.
pub(super) struct Plan {
    layers: Vec<Layer>,
    /// Activations, and the one whose range each has: its own, or that of what it is pooled from.
    activations: BTreeMap<String, String>,
}

/// How the floats of a tensor become bytes: `round(value / scale) + zero`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    scale: f32,
    zero: u8,
}

impl Plan {
    /// All layers but the head and a convolution of a single channel, with what goes into and
    /// comes out of them.
    ///
    /// # Errors
    /// [`Error::Onnx`] if the graph's opset is too old.
    pub fn of(path: &Path, model: &ModelProto) -> Result<Self> {
        check_opset(path, model, Precision::Int8Static, OLDEST_OPSET)?;
        let graph = onnx::graph(path, model)?;
        let mut layers = Layer::all(graph);
        layers.retain(|layer| !layer.is_head && layer.can_be_bytes(graph));
        let mut activations = BTreeMap::new();
        for layer in &layers {
            let node = &graph.node[layer.node];
            let input = node.input.first().into_iter();
            let own = input.chain(result_of_convolution(graph, node)).cloned();
            activations.extend(own.map(|name| (name.clone(), name)));
        }
        for pool in graph.node.iter().filter(|node| node.op_type == "MaxPool") {
            let range = pool.input.first().and_then(|name| activations.get(name)).cloned();
            if let (Some(range), Some(output)) = (range, pool.output.first()) {
                activations.insert(output.clone(), range);
            }
        }
        Ok(Self { layers, activations })
    }

    /// `model` with the ranges of the activations as its outputs.
    pub fn watched(&self, model: &ModelProto) -> Watched {
        let mut model = model.clone();
        let own: HashSet<&String> = self.activations.values().collect();
        let mut names: Vec<String> = own.into_iter().cloned().collect();
        names.sort();
        if let Some(graph) = &mut model.graph {
            graph.output.clear();
            for name in &names {
                for (operator, end) in [("ReduceMin", "least"), ("ReduceMax", "largest")] {
                    let output = format!("{name}.{end}");
                    graph.node.push(node(operator, &[name], &output, vec![int("keepdims", 0)]));
                    graph.output.push(sized_port(&output, []));
                }
            }
        }
        Watched { model, names }
    }

    /// How many layers it is about.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Makes bytes of what is planned.
    pub fn carry_out(self, path: &Path, model: &mut ModelProto, ranges: &Ranges) -> Result<()> {
        let step = |range: &String| {
            ranges.get(range).map(|range| Step::of(*range)).ok_or_else(|| {
                Error::onnx(path, format!("the range of \"{range}\" was not measured"))
            })
        };
        let steps: HashMap<String, Step> = (self.activations.iter())
            .map(|(name, range)| Ok((name.clone(), step(range)?)))
            .collect::<Result<_>>()?;
        let graph = onnx::graph_mut(path, model)?;
        let weights = make_weights_bytes(path, graph, &self.layers, &steps)?;
        make_activations_bytes(graph, &steps);
        graph.node.splice(..0, weights);
        // The biases as floats.
        keep_what_outputs_need(graph);
        Ok(())
    }
}

impl Step {
    /// For values between these, zero among them.
    fn of((least, largest): (f32, f32)) -> Self {
        let (least, largest) = (least.min(0.0), largest.max(0.0));
        let scale = (largest - least) / 255.0;
        if !scale.is_normal() {
            return Self { scale: 1.0, zero: 0 };
        }
        Self { scale, zero: (-least / scale).round().clamp(0.0, 255.0) as u8 }
    }
}

/// What comes out of a convolution, its ReLU included; none for a matrix product, which
/// runtimes end in floats.
fn result_of_convolution<'a>(graph: &'a GraphProto, node: &'a NodeProto) -> Option<&'a String> {
    let output = node.output.first().filter(|_| node.op_type == "Conv")?;
    let mut readers = graph.node.iter().filter(|reader| reader.input.contains(output));
    match (readers.next(), readers.next()) {
        (Some(relu), None) if relu.op_type == "Relu" => relu.output.first(),
        _ => Some(output),
    }
}

/// Makes bytes of the weights and 32-bit integers of the biases; the nodes that make floats of
/// them again.
fn make_weights_bytes(
    path: &Path,
    graph: &mut GraphProto,
    layers: &[Layer],
    steps: &HashMap<String, Step>,
) -> Result<Vec<NodeProto>> {
    let mut nodes = vec![];
    let mut done: HashMap<usize, Vec<f32>> = HashMap::new();
    for layer in layers {
        let scales = match done.get(&layer.weight) {
            Some(scales) => scales.clone(),
            None => {
                let weight = layer.weight(path, graph)?;
                let (bytes, scales) = weight.to_bytes(layer.axis);
                let [stored, scale, zero] =
                    ["int8", "scale", "zero"].map(|part| format!("{}.{part}", weight.name));
                let axis = int("axis", layer.axis as i64);
                let inputs = [&*stored, &scale, &zero];
                nodes.push(node("DequantizeLinear", &inputs, &weight.name, vec![axis]));
                let count = scales.len();
                graph.initializer.push(float_tensor(&scale, &[count], &scales));
                graph.initializer.push(byte_tensor(zero, &[count], &vec![0; count]));
                graph.initializer[layer.weight] = byte_tensor(stored, &weight.shape, &bytes);
                done.insert(layer.weight, scales.clone());
                scales
            }
        };
        let input = graph.node[layer.node].input.first();
        if let Some(step) = input.and_then(|name| steps.get(name)) {
            let scales: Vec<f32> = scales.iter().map(|scale| scale * step.scale).collect();
            nodes.extend(make_bias_integers(path, graph, layer, &scales)?);
        }
    }
    Ok(nodes)
}

/// The bias in steps of the products that it is added to, as `QLinearConv` wants it.
fn make_bias_integers(
    path: &Path,
    graph: &mut GraphProto,
    layer: &Layer,
    scales: &[f32],
) -> Result<Option<NodeProto>> {
    let operator = &graph.node[layer.node];
    let (Some(name), Some(output)) = (operator.input.get(2), operator.output.first()) else {
        return Ok(None);
    };
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == *name);
    let Some(tensor) = tensor.filter(|tensor| tensor.dims == [scales.len() as i64]) else {
        return Ok(None);
    };
    let (_, values) = values::floats(path, tensor)?;
    let [stored, scale, zero, bias] =
        ["int32", "scale", "zero", "float"].map(|part| format!("{output}.bias.{part}"));
    let integers = values.iter().zip(scales).map(|(value, scale)| {
        // Saturates, as casts of floats do.
        (f64::from(*value) / f64::from(*scale)).round() as i32
    });
    let integers: Vec<i32> = integers.collect();
    let axis = int("axis", 0);
    let back = node("DequantizeLinear", &[&stored, &scale, &zero], &bias, vec![axis]);
    let shape = [scales.len()];
    graph.initializer.push(int32_tensor(stored, &shape, &integers));
    graph.initializer.push(float_tensor(&scale, &shape, scales));
    graph.initializer.push(int32_tensor(zero, &shape, &vec![0; scales.len()]));
    graph.node[layer.node].input[2] = bias;
    Ok(Some(back))
}

/// Puts a pair of nodes, to bytes and back, behind every tensor that has a step.
fn make_activations_bytes(graph: &mut GraphProto, steps: &HashMap<String, Step>) {
    let given: Vec<String> = graph.input.iter().map(|port| port.name.clone()).collect();
    let mut nodes: Vec<NodeProto> = vec![];
    let mut constants = vec![];
    let mut pair = |name: &String, nodes: &mut Vec<NodeProto>| {
        let Some(step) = steps.get(name) else { return };
        let [scale, zero, bytes, back] =
            ["scale", "zero", "bytes", "back"].map(|part| format!("{name}.{part}"));
        nodes.push(node("QuantizeLinear", &[name, &scale, &zero], &bytes, vec![]));
        nodes.push(node("DequantizeLinear", &[&bytes, &scale, &zero], &back, vec![]));
        constants.push(float_tensor(&scale, &[], &[step.scale]));
        constants.push(unsigned_byte_tensor(zero, &[], &[step.zero]));
    };
    given.iter().for_each(|name| pair(name, &mut nodes));
    for mut node in graph.node.drain(..) {
        for input in node.input.iter_mut().filter(|name| steps.contains_key(*name)) {
            *input = format!("{input}.back");
        }
        let outputs = node.output.clone();
        nodes.push(node);
        outputs.iter().for_each(|name| pair(name, &mut nodes));
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_always_one_of_the_steps() {
        assert_eq!(Step::of((0.0, 25.5)), Step { scale: 0.1, zero: 0 });
        assert_eq!(Step::of((2.0, 25.5)), Step { scale: 0.1, zero: 0 });
        assert_eq!(Step::of((-25.5, -1.0)), Step { scale: 0.1, zero: 255 });
        assert_eq!(Step::of((-1.0, 1.5)), Step { scale: 2.5 / 255.0, zero: 102 });
        assert_eq!(Step::of((0.0, 0.0)), Step { scale: 1.0, zero: 0 });
    }
}
