//! Convolution, plain and transposed, over one axis or two.

use burn::tensor::Tensor;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::super::fault::{Outcome, refuse};
use super::super::floats::Floats;
use super::super::node::{Inputs, Node};
use super::super::value::Value;
use super::windows::{Window, windows};

/// A window of one value, for the axis that a convolution over one axis lacks.
const POINT: Window = Window { kernel: 1, stride: 1, dilation: 1, pads: (0, 0) };

/// Maps and weights of a convolution, over one axis made one over two.
struct Maps {
    x: Floats,
    weight: Floats,
    windows: [Window; 2],
    groups: usize,
    bias: Option<Tensor<1>>,
    /// Whether there is an axis more than the node knows.
    is_flat: bool,
}

fn maps(node: &Node, inputs: &mut Inputs) -> Outcome<Maps> {
    let (x, weight) = (inputs.floats(0)?, inputs.floats(1)?);
    if !matches!(x.rank(), 3 | 4) || weight.rank() != x.rank() {
        return refuse(format!(
            "maps of shape {:?} with weights of shape {:?}; it is known over one axis or two",
            x.shape(),
            weight.shape()
        ));
    }
    let found = windows(node, &weight.shape()[2..], &x.shape()[2..])?;
    let is_flat = x.rank() == 3;
    let windows = if is_flat { [POINT, found[0]] } else { [found[0], found[1]] };
    let groups = match usize::try_from(node.int("group", 1)) {
        Ok(groups) if groups > 0 => groups,
        _ => return refuse(format!("group {}", node.int("group", 1))),
    };
    let deeper = |floats: Floats| {
        let mut shape = floats.shape().to_vec();
        if is_flat {
            shape.insert(2, 1);
        }
        floats.reshape(shape)
    };
    let bias = inputs.optional_floats(2)?.map(Floats::flat);
    Ok(Maps { x: deeper(x)?, weight: deeper(weight)?, windows, groups, bias, is_flat })
}

fn answer(tensor: Tensor<4>, is_flat: bool) -> Vec<Value> {
    let [batch, channels, height, width] = tensor.dims();
    let floats = if is_flat {
        Floats::from_reshaped(tensor, vec![batch, channels, width])
    } else {
        Floats::from_reshaped(tensor, vec![batch, channels, height, width])
    };
    vec![Value::Float(floats)]
}

fn check_bias(bias: Option<&Tensor<1>>, channels: usize) -> Outcome<()> {
    match bias.map(|bias| bias.dims()[0]) {
        Some(size) if size != channels => {
            refuse(format!("a bias of {size} values for {channels} channels"))
        }
        _ => Ok(()),
    }
}

pub(super) fn conv(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let Maps { x, weight, windows, groups, bias, is_flat } = maps(node, inputs)?;
    let (to, from) = (weight.shape()[0], weight.shape()[1]);
    if x.shape()[1] != from * groups || to % groups != 0 {
        return refuse(format!(
            "{} channels, weights of shape {:?}, group {groups}",
            x.shape()[1],
            weight.shape()
        ));
    }
    check_bias(bias.as_ref(), to)?;
    for (window, size) in windows.iter().zip(&x.shape()[2..]) {
        window.count(*size, false)?;
    }
    let options = ConvOptions::new_with_padding(
        windows.map(|window| window.stride),
        windows.map(|window| window.pads),
        windows.map(|window| window.dilation),
        groups,
    );
    let y = conv2d(x.with_rank::<4>()?, weight.with_rank::<4>()?, bias, options);
    Ok(answer(y, is_flat))
}

pub(super) fn conv_transpose(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let Maps { x, weight, windows, groups, bias, is_flat } = maps(node, inputs)?;
    let (from, to) = (weight.shape()[0], weight.shape()[1] * groups);
    if x.shape()[1] != from || from % groups != 0 {
        return refuse(format!(
            "{} channels, weights of shape {:?}, group {groups}",
            x.shape()[1],
            weight.shape()
        ));
    }
    check_bias(bias.as_ref(), to)?;
    let auto = node.text("auto_pad", "NOTSET")?;
    let along = |key: &str| -> Outcome<Vec<usize>> {
        let mut list = node.sizes(key, 0)?.unwrap_or_default();
        if is_flat && !list.is_empty() {
            list.insert(0, if key == "output_shape" { 1 } else { 0 });
        }
        match list.len() {
            0 | 2 => Ok(list),
            _ => refuse(format!("{key} {list:?}")),
        }
    };
    let (more, wanted) = (along("output_padding")?, along("output_shape")?);
    // The whole transposed convolution is computed and what is padding cut off: that way the
    // two sides may differ.
    let (mut cut, mut extra, mut sizes) = ([0; 2], [0; 2], [0; 2]);
    for axis in 0..2 {
        let Window { stride, pads, .. } = windows[axis];
        let more = more.get(axis).copied().unwrap_or(0);
        let size = x.shape()[2 + axis];
        let full = size.saturating_sub(1) * stride + windows[axis].reach();
        let target = match wanted.get(axis) {
            Some(wanted) => *wanted,
            None if auto.starts_with("SAME") => size * stride,
            None if auto == "VALID" => full + more,
            None => match (full + more).checked_sub(pads.0 + pads.1) {
                Some(target) => target,
                None => return refuse(format!("pads {pads:?} are more than {full} values")),
            },
        };
        let total = full + more - target.min(full + more);
        cut[axis] = if wanted.is_empty() && !auto.starts_with("SAME") {
            if auto == "VALID" { 0 } else { pads.0 }
        } else if auto == "SAME_UPPER" {
            total / 2
        } else {
            total - total / 2
        };
        sizes[axis] = target;
        extra[axis] = (cut[axis] + target).saturating_sub(full);
    }
    let options = ConvTransposeOptions::new(
        windows.map(|window| window.stride),
        [0, 0],
        // What is beyond the last window is only the bias.
        [0, 0],
        windows.map(|window| window.dilation),
        groups,
    );
    let y = conv_transpose2d(x.with_rank::<4>()?, weight.with_rank::<4>()?, None, options);
    let y = if extra == [0, 0] {
        y
    } else {
        let [batch, channels, height, width] = y.dims();
        let wider = [batch, channels, height + extra[0], width + extra[1]];
        super::super::floats::count(&wider)?;
        let silence = Tensor::zeros(wider, &y.device());
        silence.slice_assign([0..batch, 0..channels, 0..height, 0..width], y)
    };
    let [batch, channels, ..] = y.dims();
    let [down, across] = [0, 1].map(|axis| cut[axis]..cut[axis] + sizes[axis]);
    let y = y.slice([0..batch, 0..channels, down, across]);
    let y = match bias {
        Some(bias) => y + bias.reshape([1, channels, 1, 1]),
        None => y,
    };
    Ok(answer(y, is_flat))
}
