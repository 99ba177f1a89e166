//! A chain of ONNX nodes to burn layers, layout folded into the weights.

use std::collections::HashMap;

use burn::module::{Param, RunningState};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use tract_onnx::pb::NodeProto;

use super::graph::Graph;
use super::layout::Layout;
use crate::error::{Error, Result};
use crate::model::cnn::{Cnn, Dense, Spatial};
use crate::onnx::attributes::{attribute, float, int, ints};
use crate::run::{Activation, CnnSpec, DenseSpec, Pads, Pooling, SpatialSpec};

/// The layers made so far, with the layout of the tensor that leaves them.
pub(super) struct Lowering<'a> {
    graph: &'a Graph<'a>,
    device: &'a Device,
    layout: Layout,
    /// Layouts of all tensors of the chain, for shape arithmetic.
    layouts: HashMap<&'a str, Layout>,
    spatial: Vec<(SpatialSpec, Spatial)>,
    dense: Vec<(DenseSpec, Dense)>,
}

/// A convolution's or pool's windows, as ONNX gives them.
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pads: Pads,
}

impl Windows {
    /// The same windows on an image whose height and width are exchanged.
    fn swapped(self) -> Self {
        let swap = |[a, b]: [usize; 2]| [b, a];
        let [top, left, bottom, right] = self.pads;
        Self {
            kernel: swap(self.kernel),
            stride: swap(self.stride),
            dilation: swap(self.dilation),
            pads: [left, top, right, bottom],
        }
    }
}

fn param<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
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

    fn refuse<T>(&self, node: &NodeProto, reason: impl Into<String>) -> Result<T> {
        Err(self.graph.unsupported(node, reason))
    }

    // Layout operators: nothing runs, the layout moves.

    fn relayout(&mut self, node: &NodeProto) -> Result<()> {
        let axes = || self.axes(node);
        let moved = match node.op_type.as_str() {
            "Transpose" => {
                let reversed: Vec<i64> = (0..self.layout.rank() as i64).rev().collect();
                self.layout.transpose(ints(node, "perm").unwrap_or(&reversed))
            }
            "Flatten" => self.layout.flatten(int(node, "axis", 1)),
            "Squeeze" => self.layout.squeeze(&axes()?),
            "Unsqueeze" => self.layout.unsqueeze(&axes()?),
            _ => {
                let shape = node.input.get(1).map_or("", String::as_str);
                let target = match ints(node, "shape") {
                    Some(shape) => shape.to_vec(), // opset < 5
                    None => self.graph.shape_values(node, shape, &self.layouts)?,
                };
                self.layout.reshape(&target, int(node, "allowzero", 0) != 0)
            }
        };
        self.layout = moved.map_err(|reason| self.graph.unsupported(node, reason))?;
        Ok(())
    }

    /// The `axes` of a node: an attribute in old opsets, an input in new ones.
    fn axes(&self, node: &NodeProto) -> Result<Vec<i64>> {
        match (ints(node, "axes"), node.input.get(1)) {
            (Some(axes), _) => Ok(axes.to_vec()),
            (None, Some(name)) if !name.is_empty() => {
                self.graph.shape_values(node, name, &self.layouts)
            }
            _ => Ok(vec![]),
        }
    }

    // Spatial layers.

    fn image(&self, node: &NodeProto) -> Result<bool> {
        match self.layout.as_image() {
            Some(swapped) if self.dense.is_empty() => Ok(swapped),
            _ => self.refuse(node, "its input is not an image [batch, channels, height, width]"),
        }
    }

    fn push_spatial(&mut self, node: &NodeProto, spec: SpatialSpec, layer: Spatial) -> Result<()> {
        let swapped = self.image(node)?;
        let sizes = match spec.output(self.layout.sizes()) {
            Ok(sizes) => sizes,
            Err(Error::Mismatch(reason)) => return self.refuse(node, reason),
            Err(other) => return Err(other),
        };
        self.layout = Layout::image(sizes, swapped, self.layout.batch());
        self.spatial.push((spec, layer));
        Ok(())
    }

    fn windows(&self, node: &NodeProto, kernel: [usize; 2], swapped: bool) -> Result<Windows> {
        let pair = |key: &str| -> Result<[usize; 2]> {
            let list = ints(node, key).filter(|list| !list.is_empty()).unwrap_or(&[1, 1]);
            match list.iter().map(|v| usize::try_from(*v)).collect::<Result<Vec<_>, _>>() {
                Ok(list) if list.len() == 2 && list.iter().all(|v| *v > 0) => {
                    Ok([list[0], list[1]])
                }
                _ => self.refuse(node, format!("{key} {list:?} (two positive numbers expected)")),
            }
        };
        let (stride, dilation) = (pair("strides")?, pair("dilations")?);
        let [_, height, width] = self.layout.sizes();
        let size = if swapped { [width, height] } else { [height, width] };
        let pads = self.pads(node, size, kernel, stride, dilation)?;
        let windows = Windows { kernel, stride, dilation, pads };
        Ok(if swapped { windows.swapped() } else { windows })
    }

    fn pads(
        &self,
        node: &NodeProto,
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> Result<Pads> {
        let auto = attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |a| &a.s);
        let same = |axis: usize| {
            let outputs = size[axis].div_ceil(stride[axis]);
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let total = ((outputs - 1) * stride[axis] + reach).saturating_sub(size[axis]);
            // An odd pixel goes to the end for UPPER, to the start for LOWER.
            if auto == b"SAME_UPPER" {
                (total / 2, total - total / 2)
            } else {
                (total - total / 2, total / 2)
            }
        };
        match auto {
            b"VALID" => Ok([0; 4]),
            b"SAME_UPPER" | b"SAME_LOWER" => {
                let ((top, bottom), (left, right)) = (same(0), same(1));
                Ok([top, left, bottom, right])
            }
            b"NOTSET" | b"" => {
                let pads = ints(node, "pads").filter(|p| !p.is_empty()).unwrap_or(&[0; 4]);
                match pads.iter().map(|p| usize::try_from(*p)).collect::<Result<Vec<_>, _>>() {
                    Ok(pads) if pads.len() == 4 => Ok([pads[0], pads[1], pads[2], pads[3]]),
                    _ => self.refuse(node, format!("pads {pads:?} (four numbers expected)")),
                }
            }
            other => self.refuse(node, format!("auto_pad {}", String::from_utf8_lossy(other))),
        }
    }

    fn conv(&mut self, node: &NodeProto) -> Result<()> {
        let swapped = self.image(node)?;
        let (dims, weights) = self.graph.floats(node, 1)?;
        let &[out, per_group, height, width] = dims.as_slice() else {
            return self.refuse(node, format!("weights of shape {dims:?}; only 2-D convolution"));
        };
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        if groups == 0 || out % groups != 0 || [out, per_group, height, width].contains(&0) {
            return self.refuse(node, format!("group {groups} with weights of shape {dims:?}"));
        }
        let windows = self.windows(node, [height, width], swapped)?;
        let weights = if swapped { transpose_planes(&weights, height, width) } else { weights };
        let bias = self.optional_vector(node, 2, out)?;
        let spec = SpatialSpec::Conv {
            channels: [per_group * groups, out],
            kernel: windows.kernel,
            stride: windows.stride,
            dilation: windows.dilation,
            pads: windows.pads,
            groups,
            bias: bias.is_some(),
        };
        let Spatial::Conv(mut conv) = Spatial::init(&spec, self.device) else { unreachable!() };
        let [height, width] = windows.kernel;
        conv.weight = param(weights, [out, per_group, height, width], self.device);
        conv.bias = bias.map(|bias| param(bias, [out], self.device));
        self.push_spatial(node, spec, Spatial::Conv(conv))
    }

    fn pool(&mut self, node: &NodeProto, kind: Pooling) -> Result<()> {
        let swapped = self.image(node)?;
        let kernel = match ints(node, "kernel_shape") {
            Some(&[height, width]) if height > 0 && width > 0 => [height as usize, width as usize],
            other => return self.refuse(node, format!("kernel_shape {other:?}; only 2-D pooling")),
        };
        let windows = self.windows(node, kernel, swapped)?;
        if windows.dilation != [1, 1] {
            return self.refuse(node, format!("dilations {:?}", windows.dilation));
        }
        let Windows { kernel, stride, pads, .. } = windows;
        let spec = SpatialSpec::Pool { kind, kernel, stride, pads };
        if int(node, "ceil_mode", 0) != 0 {
            let [_, height, width] = self.layout.sizes();
            let exact = |size: usize, axis: usize| {
                (size + pads[axis] + pads[axis + 2] - kernel[axis]).is_multiple_of(stride[axis])
            };
            spec.output(self.layout.sizes())
                .map_err(|e| self.graph.unsupported(node, e.to_string()))?;
            if !(exact(height, 0) && exact(width, 1)) {
                return self.refuse(node, "ceil_mode with a window that hangs over the edge");
            }
        }
        let layer = Spatial::init(&spec, self.device);
        self.push_spatial(node, spec, layer)
    }

    fn global_average_pool(&mut self, node: &NodeProto, keep_dims: bool) -> Result<()> {
        let spec = SpatialSpec::GlobalAveragePool;
        let layer = Spatial::init(&spec, self.device);
        self.push_spatial(node, spec, layer)?;
        if !keep_dims {
            self.layout = Layout::vector(self.layout.sizes()[0], self.layout.batch());
        }
        Ok(())
    }

    /// A mean over height and width is how some exporters write global average pooling.
    fn reduce_mean(&mut self, node: &NodeProto) -> Result<()> {
        let rank = self.layout.rank();
        let axes = self.axes(node)?;
        let mut axes: Vec<usize> = axes
            .iter()
            .map(|axis| self.layout.axis(*axis, rank))
            .collect::<Result<_, _>>()
            .map_err(|reason| self.graph.unsupported(node, reason))?;
        axes.sort_unstable();
        if axes == [2, 3] && rank == 4 {
            self.global_average_pool(node, int(node, "keepdims", 1) != 0)
        } else {
            self.refuse(node, format!("a mean over axes {axes:?}, not height and width"))
        }
    }

    // Dense layers.

    /// The features' order in the ONNX tensor, as a permutation of our rows.
    fn rows(&self, node: &NodeProto, features: usize) -> Result<Vec<usize>> {
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

    fn gemm(&mut self, node: &NodeProto) -> Result<()> {
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

    fn mat_mul(&mut self, node: &NodeProto) -> Result<()> {
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
    fn bias(&mut self, node: &NodeProto) -> Result<()> {
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

    // Layers that can stand in both places.

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

    fn vector(&self, node: &NodeProto, index: usize, length: usize) -> Result<Vec<f32>> {
        let (dims, values) = self.graph.floats(node, index)?;
        if values.len() == length {
            return Ok(values);
        }
        match values.as_slice() {
            [value] => Ok(vec![*value; length]),
            _ => self.refuse(node, format!("input {index} of shape {dims:?}, not [{length}]")),
        }
    }

    fn optional_vector(
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

fn scale(values: &mut [f32], factor: f32) {
    if factor != 1.0 {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// Exchanges rows and columns of every `rows` x `columns` matrix in `values`.
fn transpose_planes(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for plane in values.chunks_exact(rows * columns) {
        for column in 0..columns {
            out.extend((0..rows).map(|row| plane[row * columns + column]));
        }
    }
    out
}
