//! Normalizations.

use burn::tensor::Tensor;

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node, axes, axis};
use super::super::value::Value;

/// With the statistics of the file, or of the batch where those are to be learned.
pub(super) fn batch(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    if node.flag("training_mode", false) || node.outputs.iter().skip(1).any(Option::is_some) {
        return refuse("it is in training mode; export the network in evaluation mode");
    }
    let momentum = node.float("momentum", 0.9);
    let epsilon = node.float("epsilon", 1e-5);
    let x = inputs.filled(0)?;
    let shape = x.shape().to_vec();
    let Some(&channels) = shape.get(1) else {
        return refuse(format!("{shape:?} has no channels"));
    };
    let mut row = |index: usize| -> Outcome<Tensor<3>> {
        let floats = inputs.filled(index)?;
        if floats.len() == channels {
            Ok(floats.into_rank([1, channels, 1]))
        } else {
            refuse(format!("{:?} values for {channels} channels", floats.shape()))
        }
    };
    let (gamma, beta, mut mean, mut variance) = (row(1)?, row(2)?, row(3)?, row(4)?);
    let x = x.into_rank([shape[0], channels, shape[2..].iter().product()]);
    if inputs.learns_statistics {
        let [count, _, length] = x.dims();
        let now = x.clone().mean_dim(0).mean_dim(2);
        let spread = (x.clone() - now.clone()).powf_scalar(2.0).mean_dim(0).mean_dim(2);
        // PyTorch's running variance is the unbiased one.
        let values = (count * length) as f32;
        let unbiased = spread.clone() * (values / (values - 1.0).max(1.0));
        for (index, old, new) in [(3, mean, &now), (4, variance, &unbiased)] {
            let moved = old * momentum + new.clone().detach() * (1.0 - momentum);
            inputs.moved.push((index, Floats::from_reshaped(moved.detach(), vec![channels])));
        }
        (mean, variance) = (now, spread);
    }
    let slope = gamma / (variance + epsilon).sqrt();
    let offset = beta - mean * slope.clone();
    Ok(vec![Value::Float(Floats::from_reshaped(x * slope + offset, shape))])
}

/// `x` `[rows, values]` with a mean of zero and a variance of one in each row.
fn standardized(x: Tensor<2>, epsilon: f32) -> Tensor<2> {
    let x = x.clone() - x.mean_dim(1);
    let variance = x.clone().powf_scalar(2.0).mean_dim(1);
    x / (variance + epsilon).sqrt()
}

/// With a mean of zero and a variance of one over some axes.
pub(super) fn mean_variance(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    let over = axes(node.ints("axes").unwrap_or(&[0, 2, 3]), x.rank())?;
    let mut order: Vec<usize> = (0..x.rank()).filter(|at| !over.contains(at)).collect();
    let rows = order.iter().map(|at| x.shape()[*at]).product();
    order.extend(&over);
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, from)| back[*from] = to);
    let columns = over.iter().map(|at| x.shape()[*at]).product();
    let x = x.permute(&order)?;
    let shape = x.shape().to_vec();
    let y = standardized(x.into_rank([rows, columns]), 1e-9);
    Ok(vec![Value::Float(Floats::from_reshaped(y, shape).permute(&back)?)])
}

/// Over the axes from `axis` on.
pub(super) fn layer(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    over_last_axes(node, inputs, standardized)
}

/// Root mean square normalization over the axes from `axis` on.
pub(super) fn root_mean_square(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    over_last_axes(node, inputs, |x, epsilon| {
        let power = x.clone().powf_scalar(2.0).mean_dim(1);
        x / (power + epsilon).sqrt()
    })
}

fn over_last_axes(
    node: &Node,
    inputs: &mut Inputs,
    standardize: impl FnOnce(Tensor<2>, f32) -> Tensor<2>,
) -> Outcome<Vec<Value>> {
    if node.outputs.iter().skip(1).any(Option::is_some) {
        return refuse("its second output, the mean, is used");
    }
    let (x, scale) = (inputs.filled(0)?, inputs.filled(1)?);
    let first = axis(node.int("axis", -1), x.rank())?;
    let shape = x.shape().to_vec();
    let sizes = [shape[..first].iter().product(), shape[first..].iter().product()];
    let normal = standardize(x.into_rank(sizes), node.float("epsilon", 1e-5));
    let mut y = Floats::from_reshaped(normal, shape.clone()).zip(scale, |x, scale| x * scale)?;
    if let Some(bias) = inputs.optional_floats(2)? {
        y = y.zip(bias, |y, bias| y + bias)?;
    }
    if y.shape() == shape {
        Ok(vec![Value::Float(y)])
    } else {
        refuse(format!("its scale or bias makes {:?} of {shape:?}", y.shape()))
    }
}

pub(super) fn instance(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let channels = inputs.peek(0)?.shape().get(1).copied().unwrap_or(0);
    grouped(node, inputs, channels)
}

pub(super) fn group(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    match usize::try_from(node.int("num_groups", 0)) {
        Ok(groups) if groups > 0 => grouped(node, inputs, groups),
        _ => refuse("num_groups is missing"),
    }
}

/// Over each of `groups` groups of channels; scale and bias are one a channel or, before opset
/// 21, one a group.
fn grouped(node: &Node, inputs: &mut Inputs, groups: usize) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    let shape = x.shape().to_vec();
    let channels = shape.get(1).copied().unwrap_or(0);
    if shape.len() < 3 || groups == 0 || channels % groups != 0 {
        return refuse(format!("{groups} groups of the channels of {shape:?}"));
    }
    let (count, length) = (shape[0], shape[2..].iter().product::<usize>());
    let sizes = [count * groups, channels / groups * length];
    let normal = standardized(x.into_rank(sizes), node.float("epsilon", 1e-5));
    let (scale, bias) = (inputs.filled(1)?, inputs.filled(2)?);
    let part = scale.len();
    if bias.len() != part || !(part == channels || part == groups) {
        return refuse(format!("a scale of {part} values for {channels} channels"));
    }
    let normal: Tensor<3> = normal.reshape([count, part, channels / part * length]);
    let [scale, bias] = [scale, bias].map(|row| row.into_rank([1, part, 1]));
    Ok(vec![Value::Float(Floats::from_reshaped(normal * scale + bias, shape))])
}

/// Local response normalization: over `size` neighbouring channels.
pub(super) fn local_response(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let (alpha, beta) = (node.float("alpha", 1e-4), node.float("beta", 0.75));
    let (bias, size) = (node.float("bias", 1.0), node.int("size", 0));
    let x = inputs.filled(0)?;
    let shape = x.shape().to_vec();
    let size = usize::try_from(size).unwrap_or(0);
    if shape.len() < 2 || size == 0 || size > 1 << 16 || beta.is_nan() || beta.abs() > 1024.0 {
        return refuse(format!("size {size} and beta {beta} over {shape:?}"));
    }
    let channels = shape[1];
    let x: Tensor<3> = x.into_rank([shape[0], channels, shape[2..].iter().product()]);
    let [batch, _, length] = x.dims();
    let before = (size - 1) / 2;
    let wide = [batch, channels + size - 1, length];
    count(&wide)?;
    let wide = Tensor::zeros(wide, &x.device());
    let wide = wide
        .slice_assign([0..batch, before..before + channels, 0..length], x.clone().powf_scalar(2.0));
    let sums = (0..size)
        .map(|at| wide.clone().slice([0..batch, at..at + channels, 0..length]))
        .reduce(|a, b| a + b);
    let Some(sums) = sums else { return refuse("size 0") };
    let y = x / (sums * (alpha / size as f32) + bias).powf_scalar(beta);
    Ok(vec![Value::Float(Floats::from_reshaped(y, shape))])
}

/// Divided by the norm along an axis.
pub(super) fn by_norm(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    let along = axis(node.int("axis", -1), x.rank())?;
    let p = node.int("p", 2);
    let y = x.along(along, |x| {
        let norm = match p {
            1 => x.clone().abs().sum_dim(1),
            _ => x.clone().powf_scalar(2.0).sum_dim(1).sqrt(),
        };
        // A row of zeros stays one.
        let zero = norm.clone().equal_scalar(0.0f32);
        x / norm.mask_fill(zero, 1.0)
    })?;
    Ok(vec![Value::Float(y)])
}
