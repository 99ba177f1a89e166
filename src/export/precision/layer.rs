//! The layers with weights in a graph.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};

use crate::error::Result;
use crate::onnx::attributes::{float, int};
use crate::onnx::names::OUTPUTS;
use crate::onnx::values;

/// A convolution or a matrix product whose weight is a constant.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Its node.
    pub node: usize,
    /// Its weight, among the initializers.
    pub weight: usize,
    /// The weight's axis of output channels.
    pub axis: usize,
    /// Whether it comes after the embeddings.
    pub is_head: bool,
}

/// The weight of a layer.
pub(super) struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Layer {
    /// The layers of a graph, in its order.
    pub fn all(graph: &GraphProto) -> Vec<Self> {
        let weights: HashMap<&str, usize> = graph
            .initializer
            .iter()
            .enumerate()
            .filter(|(_, tensor)| tensor.data_type == DataType::Float as i32)
            .map(|(at, tensor)| (tensor.name.as_str(), at))
            .collect();
        let mut after_embeddings: HashSet<&str> = HashSet::from([OUTPUTS[1]]);
        let mut layers = vec![];
        for (at, node) in graph.node.iter().enumerate() {
            let is_head = node.input.iter().any(|name| after_embeddings.contains(name.as_str()));
            if is_head {
                after_embeddings.extend(node.output.iter().map(String::as_str));
            }
            let weight = node.input.get(1).and_then(|name| weights.get(name.as_str()));
            if let (Some(weight), Some(axis)) = (weight, channel_axis(node)) {
                let rank = graph.initializer[*weight].dims.len();
                if node.op_type == "Conv" || rank == 2 {
                    layers.push(Self { node: at, weight: *weight, axis, is_head });
                }
            }
        }
        layers
    }

    /// Whether its arithmetic may be done in bytes. A first convolution, of one channel, is
    /// cheap and sees values of a wide range.
    pub fn can_be_bytes(&self, graph: &GraphProto) -> bool {
        let node = &graph.node[self.node];
        match node.op_type.as_str() {
            "Conv" => {
                let groups = int(node, "group", 1);
                let channels = graph.initializer[self.weight].dims.get(1).copied().unwrap_or(1);
                channels * groups > 1
            }
            "Gemm" => float(node, "alpha", 1.0) == 1.0 && float(node, "beta", 1.0) == 1.0,
            _ => true,
        }
    }

    /// How many weights it has.
    pub fn size(&self, graph: &GraphProto) -> i64 {
        graph.initializer[self.weight].dims.iter().product()
    }

    /// Its weight.
    pub fn weight(&self, path: &Path, graph: &GraphProto) -> Result<Weight> {
        let tensor = &graph.initializer[self.weight];
        let (shape, values) = values::floats(path, tensor)?;
        Ok(Weight { name: tensor.name.clone(), shape, values })
    }
}

/// The axis of output channels in the weight of a node, if it is one of ours.
fn channel_axis(node: &NodeProto) -> Option<usize> {
    match node.op_type.as_str() {
        "Conv" => Some(0),
        "MatMul" => Some(1),
        "Gemm" => Some(if int(node, "transB", 0) == 1 { 0 } else { 1 }),
        _ => None,
    }
}

impl Weight {
    /// A matrix with rows for columns.
    pub fn transposed(self) -> Self {
        let [rows, columns] = [0, 1].map(|axis| self.shape.get(axis).copied().unwrap_or(1));
        let at = |at: usize| self.values[at % rows * columns + at / rows];
        let values = (0..self.values.len()).map(at).collect();
        Self { name: self.name, shape: vec![columns, rows], values }
    }

    /// The values as bytes from -127 to 127, and the scale of each channel of `axis`: the value
    /// is about the byte times the scale.
    pub fn to_bytes(&self, axis: usize) -> (Vec<i8>, Vec<f32>) {
        let channels = self.shape.get(axis).copied().unwrap_or(1).max(1);
        let inner = self.shape.iter().skip(axis + 1).product::<usize>().max(1);
        let channel = |at: usize| at / inner % channels;
        let mut scales = vec![0f32; channels];
        for (at, value) in self.values.iter().enumerate() {
            let scale = &mut scales[channel(at)];
            *scale = scale.max(value.abs() / 127.0);
        }
        // Of nothing but zeros.
        scales.iter_mut().filter(|scale| !scale.is_normal()).for_each(|scale| *scale = 1.0);
        let byte = |(at, value): (usize, &f32)| {
            (value / scales[channel(at)]).round_ties_even().clamp(-127.0, 127.0) as i8
        };
        (self.values.iter().enumerate().map(byte).collect(), scales)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Rounding to the nearest byte is off by half a step at most, of the channel's own.
        #[test]
        fn bytes_are_within_half_a_step_of_the_weights(
            values in proptest::collection::vec(-1e3f32..1e3, 24),
            axis in 0usize..3,
        ) {
            let weight = Weight { name: "w".into(), shape: vec![2, 3, 4], values };
            let (bytes, scales) = weight.to_bytes(axis);
            prop_assert_eq!(scales.len(), weight.shape[axis]);
            let inner: usize = weight.shape[axis + 1..].iter().product();
            for (at, (byte, value)) in bytes.iter().zip(&weight.values).enumerate() {
                let scale = scales[at / inner % weight.shape[axis]];
                prop_assert!((f32::from(*byte) * scale - value).abs() <= 0.5001 * scale);
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        let values = vec![1., 2., 3., 4., 5., 6.];
        let weight = Weight { name: "w".into(), shape: vec![2, 3], values }.transposed();
        assert_eq!((weight.shape, weight.values), (vec![3, 2], vec![1., 4., 2., 5., 3., 6.]));
    }

    #[test]
    fn a_channel_of_zeros_stays_zero() {
        let weight = Weight { name: "w".into(), shape: vec![2, 2], values: vec![0., 0., 1., -2.] };
        let (bytes, scales) = weight.to_bytes(0);
        assert_eq!(bytes, [0, 0, 64, -127]);
        assert_eq!(scales, [1.0, 2.0 / 127.0]);
    }
}
