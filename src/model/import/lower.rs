//! A chain of ONNX nodes to burn layers, layout folded into the weights.
//!
//! Here are the chain itself, the nodes that only move axes, and layers that can stand on both
//! sides of the flatten; `spatial` and `dense` have those of one side.

use std::collections::HashMap;

use burn::module::{Param, RunningState};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor, TensorData};
use tract_onnx::pb::NodeProto;

use super::graph::Graph;
use super::layout::Layout;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::model::cnn::{Cnn, Dense, Spatial};
use crate::onnx::attributes::{attribute, float, int, ints};
use crate::run::{Activation, CnnSpec, DenseSpec, Pooling, SpatialSpec};

/// The layers made so far, with the layout of the tensor that leaves them.
pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) device: &'a Device,
    pub(super) layout: Layout,
    /// Layouts of all tensors of the chain, for shape arithmetic.
    layouts: HashMap<&'a str, Layout>,
    /// Layers before the flatten.
    pub(super) spatial: Vec<(SpatialSpec, Spatial)>,
    /// Layers after the flatten.
    pub(super) dense: Vec<(DenseSpec, Dense)>,
}

/// A burn parameter with these values.
pub(super) fn param<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values, shape), device)
}

impl<'a> Lowering<'a> {
    pub fn new(graph: &'a Graph<'a>, device: &'a Device, input: &'a str, layout: Layout) -> Self {
        let layouts = HashMap::from([(input, layout.clone())]);
        Self { graph, device, layout, layouts, spatial: vec![], dense: vec![] }
    }

    /// The finished module, once every node has been added.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperator`] for the `last` node if its output would need reordering.
    pub fn finish(self, last: &NodeProto, input: [usize; 2]) -> Result<(CnnSpec, Cnn)> {
        if !self.layout.is_plain() {
            let reason =
                "the output's features stand in another order than channels, height, width";
            return Err(self.graph.unsupported(last, reason));
        }
        let (spatial_specs, spatial) = self.spatial.into_iter().unzip();
        let (dense_specs, dense) = self.dense.into_iter().unzip();
        let spec = CnnSpec { input, spatial: spatial_specs, dense: dense_specs };
        spec.features()?;
        Ok((spec, Cnn { spatial, dense }))
    }

    /// Adds one node of the chain.
    pub fn add(&mut self, node: &'a NodeProto) -> Result<()> {
        match node.op_type.as_str() {
            "Conv" => self.conv(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "Relu" => self.activation(Activation::Relu),
            "Sigmoid" => self.activation(Activation::Sigmoid),
            "Clip" => self.clip(node)?,
            "MaxPool" => self.pool(node, Pooling::Max)?,
            "AveragePool" => {
                let padded = int(node, "count_include_pad", 0) != 0;
                self.pool(node, if padded { Pooling::AveragePadded } else { Pooling::Average })?;
            }
            "GlobalAveragePool" => self.global_average_pool(node, true)?,
            "ReduceMean" => self.reduce_mean(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.mat_mul(node)?,
            "Add" => self.bias(node)?,
            // Dropout does nothing outside training.
            "Identity" | "Dropout" => {}
            "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.relayout(node)?,
            _ => return Err(self.graph.unsupported(node, "the importer does not know it")),
        }
        if let Some(output) = node.output.first() {
            self.layouts.insert(output, self.layout.clone());
        }
        Ok(())
    }

    /// The error that the importer cannot take `node`, and why.
    pub(super) fn refuse<T>(&self, node: &NodeProto, reason: impl Into<String>) -> Result<T> {
        Err(self.graph.unsupported(node, reason))
    }

    /// An operator that only moves axes: nothing runs, the layout moves.
    fn relayout(&mut self, node: &NodeProto) -> Result<()> {
        let moved = match node.op_type.as_str() {
            "Transpose" => {
                let reversed: Vec<i64> = (0..self.layout.rank() as i64).rev().collect();
                self.layout.transpose(ints(node, "perm").unwrap_or(&reversed))
            }
            "Flatten" => self.layout.flatten(int(node, "axis", 1)),
            "Squeeze" => self.layout.squeeze(&self.axes(node)?),
            "Unsqueeze" => self.layout.unsqueeze(&self.axes(node)?),
            _ => {
                let shape = node.input.get(1).map_or("", String::as_str);
                let target = match ints(node, "shape") {
                    Some(shape) => shape.to_vec(), // opset < 5
                    None => self.graph.shape_values(node, shape, &self.layouts)?,
                };
                self.layout.reshape(&target, int(node, "allowzero", 0) != 0)
            }
        };
        self.layout = moved.map_err(|error| self.graph.unsupported(node, error.to_string()))?;
        Ok(())
    }

    /// The `axes` of a node: an attribute in old opsets, an input in new ones.
    pub(super) fn axes(&self, node: &NodeProto) -> Result<Vec<i64>> {
        match (ints(node, "axes"), node.input.get(1)) {
            (Some(axes), _) => Ok(axes.to_vec()),
            (None, Some(name)) if !name.is_empty() => {
                self.graph.shape_values(node, name, &self.layouts)
            }
            _ => Ok(vec![]),
        }
    }

    fn batch_norm(&mut self, node: &NodeProto) -> Result<()> {
        if int(node, "training_mode", 0) != 0 {
            return self.refuse(node, "training_mode; export the model in evaluation mode");
        }
        let epsilon = f64::from(float(node, "epsilon", 1e-5));
        let (_, gamma) = self.graph.floats(node, 1)?;
        let channels = gamma.len();
        let vector = |index| self.vector(node, index, channels);
        let (beta, mean, variance) = (vector(2)?, vector(3)?, vector(4)?);
        let fill = |norm: BatchNorm| BatchNorm {
            gamma: param(gamma, [channels], self.device),
            beta: param(beta, [channels], self.device),
            running_mean: running(mean, channels, self.device),
            running_var: running(variance, channels, self.device),
            ..norm
        };
        if self.layout.as_image().is_some() && self.dense.is_empty() {
            let spec = SpatialSpec::BatchNorm { channels, epsilon };
            let Spatial::BatchNorm(norm) = Spatial::init(&spec, self.device) else {
                unreachable!()
            };
            let layer = Spatial::BatchNorm(fill(norm));
            return self.push_spatial(node, spec, layer);
        }
        let rows = self.rows(node, channels)?;
        if rows.iter().enumerate().any(|(ours, theirs)| ours != *theirs) {
            return self.refuse(node, "features in another order than channels, height, width");
        }
        let spec = DenseSpec::BatchNorm { channels, epsilon };
        let Dense::BatchNorm(norm) = Dense::init(&spec, self.device) else { unreachable!() };
        let layer = Dense::BatchNorm(fill(norm));
        self.dense.push((spec, layer));
        self.layout = Layout::vector(channels, self.layout.batch());
        Ok(())
    }

    fn activation(&mut self, kind: Activation) {
        if self.dense.is_empty() {
            let spec = SpatialSpec::Activation(kind);
            let layer = Spatial::init(&spec, self.device);
            self.spatial.push((spec, layer));
        } else {
            let spec = DenseSpec::Activation(kind);
            let layer = Dense::init(&spec, self.device);
            self.dense.push((spec, layer));
        }
    }

    fn clip(&mut self, node: &NodeProto) -> Result<()> {
        let bound = |key: &str, index: usize| -> Result<Option<f32>> {
            if let Some(attribute) = attribute(node, key) {
                return Ok(Some(attribute.f)); // opset < 11
            }
            if !Graph::has_input(node, index) {
                return Ok(None);
            }
            match self.graph.floats(node, index)?.1.as_slice() {
                [value] => Ok(Some(*value)),
                _ => self.refuse(node, format!("a {key} that is not one number")),
            }
        };
        // Exporters write "no bound" as the largest number, too.
        let some = |bound: Option<f32>| bound.filter(|bound| bound.abs() < 1e30);
        let (min, max) = (some(bound("min", 1)?), some(bound("max", 2)?));
        self.activation(Activation::Clip { min, max });
        Ok(())
    }

    /// The constant input `index` of `node`; one number stands for `length` of them.
    pub(super) fn vector(&self, node: &NodeProto, index: usize, length: usize) -> Result<Vec<f32>> {
        let (dims, values) = self.graph.floats(node, index)?;
        if values.len() == length {
            return Ok(values);
        }
        match values.as_slice() {
            [value] => Ok(vec![*value; length]),
            _ => self.refuse(node, format!("input {index} of shape {dims:?}, not [{length}]")),
        }
    }

    /// Like [`Self::vector`], where the input may be missing.
    pub(super) fn optional_vector(
        &self,
        node: &NodeProto,
        index: usize,
        length: usize,
    ) -> Result<Option<Vec<f32>>> {
        if Graph::has_input(node, index) {
            self.vector(node, index, length).map(Some)
        } else {
            Ok(None)
        }
    }
}

fn running(values: Vec<f32>, channels: usize, device: &Device) -> RunningState<Tensor<1>> {
    RunningState::new(Tensor::from_data(TensorData::new(values, [channels]), device))
}

/// Exchanges rows and columns of every `rows` x `columns` matrix in `values`.
pub(super) fn transpose_planes(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    // A file may promise matrices without any values.
    for plane in values.chunks_exact((rows * columns).max(1)) {
        for column in 0..columns {
            out.extend((0..rows).map(|row| plane[row * columns + column]));
        }
    }
    out
}
