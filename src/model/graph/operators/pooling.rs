//! Pooling over windows of one axis or two, and over all of a map.

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node};
use super::super::value::Value;
use super::windows::{Window, windows};
use crate::model::layers::{self, Window as MapWindow, max_pool_2x2};

/// Maps with windows over two axes, and how many windows there are along each.
struct Windowed {
    x: Tensor<4>,
    windows: [Window; 2],
    counts: [usize; 2],
    shape: Vec<usize>,
    /// Whether the maps' values lie in memory place by place.
    by_place: bool,
}

fn windowed(node: &Node, inputs: &mut Inputs) -> Outcome<Windowed> {
    let x = inputs.filled(0)?;
    if !matches!(x.rank(), 3 | 4) {
        return refuse(format!("maps of shape {:?}; it is known over one axis or two", x.shape()));
    }
    let Some(kernel) = node.sizes("kernel_shape", 1)? else { return refuse("no kernel_shape") };
    let found = windows(node, &kernel, &x.shape()[2..])?;
    let point = Window { kernel: 1, stride: 1, dilation: 1, pads: (0, 0) };
    let mut shape = x.shape().to_vec();
    let (windows, sizes) = match found[..] {
        [along] => ([point, along], [1, shape[2]]),
        [down, across] => ([down, across], [shape[2], shape[3]]),
        _ => return refuse(format!("a kernel of {kernel:?}")),
    };
    let ceil = node.flag("ceil_mode", false);
    let counts = [windows[0].count(sizes[0], ceil)?, windows[1].count(sizes[1], ceil)?];
    let sizes = [shape[0], shape[1], sizes[0], sizes[1]];
    // What hangs over the end is padding, too.
    let reach = |axis: usize| {
        let window: &Window = &windows[axis];
        let needed =
            (counts[axis] - 1).saturating_mul(window.stride).saturating_add(window.reach());
        needed.max(sizes[2 + axis] + window.pads.0 + window.pads.1)
    };
    count(&[shape[0], shape[1], reach(0), reach(1)])?;
    if x.len() == 0 {
        return refuse(format!("empty maps {shape:?}"));
    }
    let (rank, by_place) = (shape.len(), x.is_by_place());
    shape[2..].copy_from_slice(&counts[4 - rank..]);
    Ok(Windowed { x: x.into_rank(sizes), windows, counts, shape, by_place })
}

/// `x` with `value` before and after, so that the windows fit exactly.
fn padded(x: Tensor<4>, windows: &[Window; 2], counts: [usize; 2], value: f32) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let size = |axis: usize| {
        let window = &windows[axis];
        (counts[axis] - 1) * window.stride + window.reach()
    };
    let ([top, left], [down, across]) = (windows.map(|w| w.pads.0), [size(0), size(1)]);
    if [top, left] == [0, 0] && down <= height && across <= width {
        return x;
    }
    let wider = [batch, channels, down.max(top + height), across.max(left + width)];
    let around = Tensor::full(wider, value, &x.device());
    around.slice_assign([0..batch, 0..channels, top..top + height, left..left + width], x)
}

pub(super) fn max_pool(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    if node.outputs.iter().skip(1).any(Option::is_some) {
        return refuse("its second output, the places of the largest values, is used");
    }
    let Windowed { x, windows, counts, shape, by_place } = windowed(node, inputs)?;
    if by_place {
        let moving = MapWindow {
            kernel: windows.map(|window| window.kernel),
            stride: windows.map(|window| window.stride),
            dilation: windows.map(|window| window.dilation),
            padding: windows.map(|window| window.pads),
        };
        let [_, _, height, width] = x.dims();
        let fits = [moving.positions(0, height), moving.positions(1, width)] == counts;
        if fits && layers::can_pool(&x, &moving) {
            let y = layers::max_pool(x, moving);
            return Ok(vec![Value::Float(Floats::by_place(y))]);
        }
    }
    let pair = Window { kernel: 2, stride: 2, dilation: 1, pads: (0, 0) };
    if windows == [pair, pair] && x.dims()[2..].iter().all(|size| size % 2 == 0) {
        return Ok(vec![Value::Float(Floats::from_reshaped(max_pool_2x2(x), shape))]);
    }
    let options = MaxPoolOptions::new(windows.map(|window| window.kernel))
        .with_stride(windows.map(|window| window.stride))
        .with_dilation(windows.map(|window| window.dilation));
    let y = if fits(&windows, counts, &x) {
        max_pool2d(x, options.with_padding_pairs(windows.map(|window| window.pads)))
    } else {
        let [batch, channels, ..] = x.dims();
        let y = max_pool2d(padded(x, &windows, counts, f32::MIN), options);
        y.slice([0..batch, 0..channels, 0..counts[0], 0..counts[1]])
    };
    Ok(vec![Value::Float(Floats::from_reshaped(y, shape))])
}

pub(super) fn average_pool(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let counts_padding = node.flag("count_include_pad", false);
    let Windowed { x, windows, counts, shape, .. } = windowed(node, inputs)?;
    let plain = windows.iter().all(|window| window.dilation == 1);
    if plain && fits(&windows, counts, &x) {
        let options = AvgPoolOptions::new(windows.map(|window| window.kernel))
            .with_stride(windows.map(|window| window.stride))
            .with_padding_pairs(windows.map(|window| window.pads))
            .with_count_include_pad(counts_padding);
        return Ok(vec![Value::Float(Floats::from_reshaped(avg_pool2d(x, options), shape))]);
    }
    // A window that hangs over the end is a mean of what is inside it.
    let counted = |axis: usize| {
        let Window { pads, .. } = windows[axis];
        let size = x.dims()[2 + axis];
        if counts_padding { (0, size + pads.0 + pads.1) } else { (pads.0, size) }
    };
    let ((top, down), (left, across)) = (counted(0), counted(1));
    let inside =
        [Window { pads: (top, 0), ..windows[0] }, Window { pads: (left, 0), ..windows[1] }];
    let ones = Tensor::<4>::ones([1, 1, down, across], &x.device());
    // One that lies in the padding alone has nothing inside, and zeros for a sum.
    let numbers = sums(ones, &inside, counts).clamp_min(1.0);
    let y = sums(x, &windows, counts) / numbers;
    Ok(vec![Value::Float(Floats::from_reshaped(y, shape))])
}

/// The `p`-norm of every window.
pub(super) fn lp_pool(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let p = exponent(node)?;
    let Windowed { x, windows, counts, shape, .. } = windowed(node, inputs)?;
    let y = sums(x.abs().powf_scalar(p), &windows, counts).powf_scalar(1.0 / p);
    Ok(vec![Value::Float(Floats::from_reshaped(y, shape))])
}

fn exponent(node: &Node) -> Outcome<f32> {
    match node.int("p", 2) {
        p @ 1..=1024 => Ok(p as f32),
        p => refuse(format!("p {p}")),
    }
}

/// The sum of every window, with zeros beside the maps.
fn sums(x: Tensor<4>, windows: &[Window; 2], counts: [usize; 2]) -> Tensor<4> {
    let [batch, channels, ..] = x.dims();
    let x = padded(x, windows, counts, 0.0);
    let [_, _, height, width] = x.dims();
    let kernel = windows.map(|window| window.kernel);
    let ones = Tensor::ones([1, 1, kernel[0], kernel[1]], &x.device());
    let options = ConvOptions::new(
        windows.map(|window| window.stride),
        [0, 0],
        windows.map(|window| window.dilation),
        1,
    );
    let x = x.reshape([batch * channels, 1, height, width]);
    let y = conv2d(x, ones, None, options).slice([
        0..batch * channels,
        0..1,
        0..counts[0],
        0..counts[1],
    ]);
    y.reshape([batch, channels, counts[0], counts[1]])
}

/// Whether no window hangs over the end, so that burn's own pooling counts the same windows.
fn fits(windows: &[Window; 2], counts: [usize; 2], x: &Tensor<4>) -> bool {
    let sizes = x.dims();
    (0..2).all(|axis| windows[axis].count(sizes[2 + axis], false) == Ok(counts[axis]))
}

/// `function` of every map over all of its axes but batch and channels.
fn global(
    inputs: &mut Inputs,
    function: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    if x.rank() < 3 {
        return refuse(format!("maps of shape {:?}", x.shape()));
    }
    let mut shape = x.shape().to_vec();
    let sizes = [shape[0], shape[1], shape[2..].iter().product()];
    shape[2..].fill(1);
    Ok(vec![Value::Float(Floats::from_reshaped(function(x.into_rank(sizes)), shape))])
}

pub(super) fn global_average_pool(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    global(inputs, |x| x.mean_dim(2))
}

pub(super) fn global_max_pool(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    global(inputs, |x| x.max_dim(2))
}

/// The mean of every map `[batch, channels, ...]`'s `p`-norm.
pub(super) fn global_lp_pool(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let p = exponent(node)?;
    global(inputs, |x| x.abs().powf_scalar(p).sum_dim(2).powf_scalar(1.0 / p))
}
