//! Fully connected layers: Gemm, MatMul and the Add of a bias.

use burn::nn::Linear;
use tract_onnx::pb::NodeProto;

use super::layout::Layout;
use super::lower::{Lowering, param, transpose_planes};
use crate::error::Result;
use crate::model::cnn::{Dense, Spatial};
use crate::onnx::attributes::{float, int};
use crate::run::{DenseSpec, SpatialSpec};

impl Lowering<'_> {
    /// The features' order in the ONNX tensor, as a permutation of our rows.
    pub(super) fn rows(&self, node: &NodeProto, features: usize) -> Result<Vec<usize>> {
        let Some(order) = self.layout.as_vector() else {
            return self.refuse(node, "its input is not [batch, features]; flatten it first");
        };
        let rows = self.layout.permutation(order);
        if rows.len() == features {
            Ok(rows)
        } else {
            self.refuse(node, format!("weights for {features} features, given {}", rows.len()))
        }
    }

    fn push_linear(
        &mut self,
        node: &NodeProto,
        [from, to]: [usize; 2],
        weights: Vec<f32>,
        bias: Option<Vec<f32>>,
    ) -> Result<()> {
        let rows = self.rows(node, from)?;
        let plain = rows.iter().enumerate().all(|(ours, theirs)| ours == *theirs);
        let weights = if plain {
            weights
        } else {
            rows.iter().flat_map(|row| &weights[row * to..][..to]).copied().collect()
        };
        let spec = DenseSpec::Linear { features: [from, to], bias: bias.is_some() };
        let linear = Linear {
            weight: param(weights, [from, to], self.device),
            bias: bias.map(|bias| param(bias, [to], self.device)),
        };
        self.dense.push((spec, Dense::Linear(linear)));
        self.layout = Layout::vector(to, self.layout.batch());
        Ok(())
    }

    /// A fully connected layer, scaled by `alpha` and `beta`.
    pub(super) fn gemm(&mut self, node: &NodeProto) -> Result<()> {
        let (dims, weights) = self.graph.floats(node, 1)?;
        let &[rows, columns] = dims.as_slice() else {
            return self.refuse(node, format!("weights of shape {dims:?}"));
        };
        if int(node, "transA", 0) != 0 {
            return self.refuse(node, "transA");
        }
        let (from, to, mut weights) = match int(node, "transB", 0) {
            0 => (rows, columns, weights),
            _ => (columns, rows, transpose_planes(&weights, rows, columns)),
        };
        let mut bias = self.optional_vector(node, 2, to)?;
        scale(&mut weights, float(node, "alpha", 1.0));
        bias.iter_mut().for_each(|bias| scale(bias, float(node, "beta", 1.0)));
        self.push_linear(node, [from, to], weights, bias)
    }

    /// A fully connected layer without a bias, which an Add may bring.
    pub(super) fn mat_mul(&mut self, node: &NodeProto) -> Result<()> {
        if node.input.get(1).is_none_or(|name| self.graph.constant(name).is_none()) {
            return self.refuse(node, "its right-hand side is not a constant");
        }
        let (dims, weights) = self.graph.floats(node, 1)?;
        match dims.as_slice() {
            &[from, to] => self.push_linear(node, [from, to], weights, None),
            _ => self.refuse(node, format!("weights of shape {dims:?}")),
        }
    }

    /// Add is a bias, and only ever of the layer just before it.
    pub(super) fn bias(&mut self, node: &NodeProto) -> Result<()> {
        let constant = usize::from(self.graph.constant(&node.input[0]).is_none());
        let (dims, mut values) = self.graph.floats(node, constant)?;
        let [channels, ..] = self.layout.sizes();
        // A bias varies along channels alone: [C] after MatMul, [C, 1, 1] after Conv.
        let (along, ones) = if self.dense.is_empty() {
            (dims.len().checked_sub(3).map(|at| dims[at]), 2)
        } else {
            (dims.last().copied(), 0)
        };
        let others_are_one = dims.iter().product::<usize>() == along.unwrap_or(1)
            && dims.iter().rev().take(ones).all(|d| *d == 1);
        if values.len() == 1 {
            values = vec![values[0]; channels];
        } else if along != Some(channels) || !others_are_one {
            return self.refuse(node, format!("a constant of shape {dims:?} is not a bias"));
        }
        let bias = Some(param(values, [channels], self.device));
        match (self.dense.last_mut(), self.spatial.last_mut()) {
            (Some((DenseSpec::Linear { bias: has, .. }, Dense::Linear(linear))), _) if !*has => {
                *has = true;
                linear.bias = bias;
                Ok(())
            }
            (None, Some((SpatialSpec::Conv { bias: has, .. }, Spatial::Conv(conv)))) if !*has => {
                *has = true;
                conv.bias = bias;
                Ok(())
            }
            _ => self.refuse(node, "it adds a constant elsewhere than after MatMul or Conv"),
        }
    }
}

fn scale(values: &mut [f32], factor: f32) {
    if factor != 1.0 {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}
