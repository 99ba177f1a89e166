//! What an axis comes to: sums, means, softmax, places of the largest.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};
use ndarray::{ArrayD, Axis};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node, axes, axis};
use super::super::value::{Value, array};

/// The axes to reduce: an attribute, since opset 13 or 18 an input; none given means all, or
/// with `noop_with_empty_axes` none.
fn reduced(node: &Node, inputs: &mut Inputs, rank: usize) -> Outcome<Vec<usize>> {
    let given = match inputs.optional_list(1)? {
        Some(list) => Some(list),
        None => node.ints("axes").map(<[i64]>::to_vec),
    };
    match given.filter(|list| !list.is_empty()) {
        Some(list) => axes(&list, rank),
        None if node.flag("noop_with_empty_axes", false) => Ok(vec![]),
        None => Ok((0..rank).collect()),
    }
}

/// `ReduceMean` and its kin.
pub(super) fn reduce(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let rank = inputs.peek(0)?.shape().len();
    let axes = reduced(node, inputs, rank)?;
    let keeps = node.flag("keepdims", true);
    let shape_after = |shape: &[usize]| -> Vec<usize> {
        let one = |(at, size): (usize, &usize)| {
            if axes.contains(&at) { keeps.then_some(1) } else { Some(*size) }
        };
        shape.iter().enumerate().filter_map(one).collect()
    };
    Ok(vec![match inputs.take(0)? {
        Value::Float(x) => {
            let shape = shape_after(x.shape());
            Value::Float(reduce_floats(&node.operator, x, &axes)?.reshape(shape)?)
        }
        Value::Int(x) => {
            let shape = shape_after(x.shape());
            let reduced = reduce_ints(&node.operator, x, &axes)?;
            Value::Int(array(reduced.into_iter().collect(), &shape)?)
        }
        Value::Bool(x) => {
            let shape = shape_after(x.shape());
            let reduced = reduce_ints(&node.operator, x.mapv(i64::from), &axes)?;
            Value::Bool(array(reduced.into_iter().map(|value| value > 0).collect(), &shape)?)
        }
    }])
}

/// Summed over some axes, which become one.
pub(super) fn summed(x: Floats, axes: &[usize]) -> Outcome<Floats> {
    reduce_floats("ReduceSum", x, axes)
}

/// What nothing at all is reduced to.
fn of_nothing(operator: &str) -> f32 {
    match operator {
        "ReduceMean" => f32::NAN,
        "ReduceProd" => 1.0,
        "ReduceMin" => f32::INFINITY,
        "ReduceMax" | "ReduceLogSum" | "ReduceLogSumExp" => f32::NEG_INFINITY,
        _ => 0.0,
    }
}

/// With axes of one where something was reduced.
fn reduce_floats(operator: &str, x: Floats, axes: &[usize]) -> Outcome<Floats> {
    if x.len() == 0 {
        let mut shape = x.shape().to_vec();
        axes.iter().for_each(|at| shape[*at] = 1);
        return Floats::new(vec![of_nothing(operator); count(&shape)?], shape, &x.device());
    }
    // The axes to reduce come last, and are one.
    let (mut order, mut ones) = (vec![], x.shape().to_vec());
    order.extend((0..x.rank()).filter(|at| !axes.contains(at)));
    let rows: usize = order.iter().map(|at| x.shape()[*at]).product();
    order.extend(axes);
    axes.iter().for_each(|at| ones[*at] = 1);
    let columns = x.len() / rows.max(1);
    let x: Tensor<2> = x.permute(&order)?.into_rank([rows, columns]);
    let y = match operator {
        "ReduceMean" => x.mean_dim(1),
        "ReduceSum" => x.sum_dim(1),
        "ReduceMax" => x.max_dim(1),
        "ReduceMin" => x.min_dim(1),
        "ReduceProd" => x.prod_dim(1),
        "ReduceL1" => x.abs().sum_dim(1),
        "ReduceL2" => x.powf_scalar(2.0).sum_dim(1).sqrt(),
        "ReduceSumSquare" => x.powf_scalar(2.0).sum_dim(1),
        "ReduceLogSum" => x.sum_dim(1).log(),
        // Written so that large values do not overflow.
        _ => {
            let largest = x.clone().detach().max_dim(1);
            (x - largest.clone()).exp().sum_dim(1).log() + largest
        }
    };
    Ok(Floats::from_reshaped(y, ones))
}

fn reduce_ints(operator: &str, mut x: ArrayD<i64>, axes: &[usize]) -> Outcome<ArrayD<i64>> {
    for at in axes.iter().rev() {
        let fold = |start: i64, function: fn(i64, i64) -> i64| {
            x.fold_axis(Axis(*at), start, |a, b| function(*a, *b))
        };
        x = match operator {
            "ReduceSum" => fold(0, i64::wrapping_add),
            "ReduceProd" => fold(1, i64::wrapping_mul),
            "ReduceMax" => fold(i64::MIN, i64::max),
            "ReduceMin" => fold(i64::MAX, i64::min),
            other => return refuse(format!("{other} of integers")),
        };
    }
    Ok(x)
}

/// Softmax and its logarithm. Before opset 13 all axes from `axis` on are one.
pub(super) fn soft_max(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    let flattens = node.opset < 13;
    let at = axis(node.int("axis", if flattens { 1 } else { -1 }), x.rank())?;
    let logarithm = node.operator == "LogSoftmax";
    if flattens {
        let shape = x.shape().to_vec();
        let sizes = [shape[..at].iter().product(), shape[at..].iter().product()];
        let rows: Tensor<2> = x.into_rank(sizes);
        let y = if logarithm { log_softmax(rows, 1) } else { softmax(rows, 1) };
        return Ok(vec![Value::Float(Floats::from_reshaped(y, shape))]);
    }
    let y = x.along(at, |x| if logarithm { log_softmax(x, 1) } else { softmax(x, 1) })?;
    Ok(vec![Value::Float(y)])
}

/// Places of the largest or smallest values.
pub(super) fn arg(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    let at = axis(node.int("axis", 0), x.rank())?;
    let (largest, last) = (node.operator == "ArgMax", node.flag("select_last_index", false));
    let values = array(x.values(), x.shape())?;
    let places = values.map_axis(Axis(at), |lane| {
        let mut best = 0;
        for (place, value) in lane.iter().enumerate() {
            let better = if largest { *value > lane[best] } else { *value < lane[best] };
            if better || (last && *value == lane[best]) {
                best = place;
            }
        }
        best as i64
    });
    let keeps = node.flag("keepdims", true);
    Ok(vec![Value::Int(if keeps { places.insert_axis(Axis(at)) } else { places })])
}

/// Sums so far along an axis.
pub(super) fn running_sum(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let given = inputs.list(1)?;
    let (exclusive, reverse) = (node.flag("exclusive", false), node.flag("reverse", false));
    let value = inputs.take(0)?;
    let at = axis(given.first().copied().unwrap_or(0), value.shape().len())?;
    let x = match value {
        Value::Float(x) => x,
        Value::Int(x) => {
            let sums = running_int_sum(x, Axis(at), exclusive, reverse);
            return Ok(vec![Value::Int(sums)]);
        }
        Value::Bool(_) => return refuse("truth values"),
    };
    if x.len() == 0 {
        return Ok(vec![Value::Float(x)]);
    }
    let y = x.along(at, |x| {
        let x = if reverse { x.flip([1]) } else { x };
        let sums = x.clone().cumsum(1);
        let sums = if exclusive { sums - x } else { sums };
        if reverse { sums.flip([1]) } else { sums }
    })?;
    Ok(vec![Value::Float(y)])
}

fn running_int_sum(x: ArrayD<i64>, at: Axis, exclusive: bool, reverse: bool) -> ArrayD<i64> {
    let mut sums = x.clone();
    if reverse {
        sums.invert_axis(at);
    }
    sums.accumulate_axis_inplace(at, |before, now| *now = now.wrapping_add(*before));
    if reverse {
        sums.invert_axis(at);
    }
    if exclusive { sums - x } else { sums }
}
