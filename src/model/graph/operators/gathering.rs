//! Single values taken from, and put into, any places.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use ndarray::{ArrayD, Axis, Dimension, IxDyn};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node, axis};
use super::super::value::{Value, array};

fn device_places(flat: &[usize], floats: &Floats) -> Tensor<1, Int> {
    let places: Vec<i64> = flat.iter().map(|at| *at as i64).collect();
    Tensor::from_data(TensorData::new(places, [flat.len()]), &floats.device())
}

/// Values at places counted in row-major order, all of them inside.
pub(super) fn picked_floats(floats: Floats, flat: &[usize], shape: Vec<usize>) -> Outcome<Floats> {
    let places = device_places(flat, &floats);
    if flat.is_empty() {
        return Floats::new(vec![], shape, &floats.device());
    }
    Floats::from_flat(floats.flat().select(0, places), shape)
}

/// As [`picked_floats`], of any type.
fn picked(value: Value, flat: &[usize], shape: Vec<usize>) -> Outcome<Value> {
    fn some<T: Copy>(values: ArrayD<T>, flat: &[usize], shape: &[usize]) -> Outcome<ArrayD<T>> {
        let all: Vec<T> = values.into_iter().collect();
        array(flat.iter().map(|at| all[*at]).collect(), shape)
    }
    Ok(match value {
        Value::Float(floats) => Value::Float(picked_floats(floats, flat, shape)?),
        Value::Int(ints) => Value::Int(some(ints, flat, &shape)?),
        Value::Bool(bools) => Value::Bool(some(bools, flat, &shape)?),
    })
}

/// How far apart neighbours along each axis are in row-major order.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|at| shape[at + 1..].iter().product()).collect()
}

/// For every entry of `indices`, the place of `[.., index, ..]` along `at` in a tensor of
/// `shape`, whose other axes are at least as long.
fn places_along(indices: &ArrayD<i64>, shape: &[usize], at: usize) -> Outcome<Vec<usize>> {
    let fits = indices.ndim() == shape.len()
        && (0..shape.len()).all(|axis| axis == at || indices.shape()[axis] <= shape[axis]);
    if !fits {
        return refuse(format!("indices of shape {:?} into {shape:?}", indices.shape()));
    }
    let strides = strides(shape);
    let place = |(entry, index): (IxDyn, &i64)| -> Outcome<usize> {
        let found = axis(*index, shape[at])?;
        let steps = entry.slice().iter().enumerate();
        Ok(steps.map(|(axis, step)| strides[axis] * if axis == at { found } else { *step }).sum())
    };
    indices.indexed_iter().map(place).collect()
}

pub(super) fn gather_elements(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let indices = inputs.ints(1)?;
    let value = inputs.take(0)?;
    let at = axis(node.int("axis", 0), value.shape().len())?;
    let flat = places_along(&indices, value.shape(), at)?;
    Ok(vec![picked(value, &flat, indices.shape().to_vec())?])
}

/// The starts and the length of the blocks that tuples of indices name: in each of the
/// `batch` first axes its own.
fn blocks(
    indices: &ArrayD<i64>,
    shape: &[usize],
    batch: usize,
) -> Outcome<(Vec<usize>, usize, Vec<usize>)> {
    let Some(depth) = indices.shape().last().copied().filter(|_| indices.ndim() > batch) else {
        return refuse(format!("indices of shape {:?}", indices.shape()));
    };
    if batch + depth > shape.len() || indices.shape()[..batch] != shape[..batch] {
        return refuse(format!("indices of shape {:?} into {shape:?}", indices.shape()));
    }
    let strides = strides(shape);
    let tuples: usize = indices.shape()[..indices.ndim() - 1].iter().product();
    let batches: usize = shape[..batch].iter().product();
    let each = tuples / batches.max(1);
    let of_batch: usize = shape[batch..].iter().product();
    let list: Vec<i64> = indices.iter().copied().collect();
    let start = |tuple: usize| -> Outcome<usize> {
        (0..depth).try_fold(tuple / each.max(1) * of_batch, |sum, at| {
            let found = axis(list[tuple * depth + at], shape[batch + at])?;
            Ok(sum + found * strides[batch + at])
        })
    };
    let starts = (0..tuples).map(start).collect::<Outcome<_>>()?;
    let rest = shape[batch + depth..].to_vec();
    Ok((starts, rest.iter().product(), rest))
}

pub(super) fn gather_tuples(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let indices = inputs.ints(1)?;
    let value = inputs.take(0)?;
    let Ok(batch) = usize::try_from(node.int("batch_dims", 0)) else {
        return refuse("batch_dims is negative");
    };
    let (starts, length, rest) = blocks(&indices, value.shape(), batch)?;
    let mut shape = indices.shape()[..indices.ndim() - 1].to_vec();
    shape.extend(rest);
    count(&shape)?;
    let flat: Vec<usize> = starts.iter().flat_map(|start| *start..start + length).collect();
    Ok(vec![picked(value, &flat, shape)?])
}

pub(super) fn scatter_elements(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let indices = inputs.ints(1)?;
    let (value, updates) = (inputs.take(0)?, inputs.take(2)?);
    let at = axis(node.int("axis", 0), value.shape().len())?;
    if updates.shape() != indices.shape() {
        return refuse(format!("{:?} for indices {:?}", updates.shape(), indices.shape()));
    }
    let flat = places_along(&indices, value.shape(), at)?;
    Ok(vec![scattered(value, &flat, updates, node.text("reduction", "none")?)?])
}

pub(super) fn scatter_tuples(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let indices = inputs.ints(1)?;
    let (value, updates) = (inputs.take(0)?, inputs.take(2)?);
    let (starts, length, rest) = blocks(&indices, value.shape(), 0)?;
    let mut shape = indices.shape()[..indices.ndim() - 1].to_vec();
    shape.extend(rest);
    if updates.shape() != shape {
        return refuse(format!("updates of shape {:?}, not {shape:?}", updates.shape()));
    }
    let flat: Vec<usize> = starts.iter().flat_map(|start| *start..start + length).collect();
    Ok(vec![scattered(value, &flat, updates, node.text("reduction", "none")?)?])
}

/// `updates` put to, or with a reduction joined with what is at, their places.
fn scattered(value: Value, flat: &[usize], updates: Value, reduction: &str) -> Outcome<Value> {
    if flat.is_empty() {
        return Ok(value);
    }
    match (value, updates) {
        (Value::Float(x), Value::Float(updates)) => {
            let shape = x.shape().to_vec();
            let places = device_places(flat, &x);
            match reduction {
                "none" => {
                    // The last of several updates of a place stays.
                    let size = x.len();
                    let mut from: Vec<usize> = (0..size).collect();
                    flat.iter().enumerate().for_each(|(update, at)| from[*at] = size + update);
                    let both = Tensor::cat(vec![x.flat(), updates.flat()], 0);
                    let length = both.dims()[0];
                    let both = Floats::from_flat(both, vec![length])?;
                    Ok(Value::Float(picked_floats(both, &from, shape)?))
                }
                "add" => {
                    let sums =
                        x.flat().select_assign(0, places, updates.flat(), IndexingUpdateOp::Add);
                    Ok(Value::Float(Floats::from_flat(sums, shape)?))
                }
                other => refuse(format!("reduction {other}")),
            }
        }
        (Value::Int(x), Value::Int(updates)) => {
            let join: fn(i64, i64) -> i64 = match reduction {
                "none" => |_, new| new,
                "add" => i64::wrapping_add,
                "mul" => i64::wrapping_mul,
                "max" => i64::max,
                "min" => i64::min,
                other => return refuse(format!("reduction {other}")),
            };
            Ok(Value::Int(scattered_array(x, flat, updates, join)?))
        }
        (Value::Bool(x), Value::Bool(updates)) if reduction == "none" => {
            Ok(Value::Bool(scattered_array(x, flat, updates, |_, new| new)?))
        }
        (x, updates) => refuse(format!("{} and {}", x.kind(), updates.kind())),
    }
}

fn scattered_array<T: Copy>(
    x: ArrayD<T>,
    flat: &[usize],
    updates: ArrayD<T>,
    join: fn(T, T) -> T,
) -> Outcome<ArrayD<T>> {
    let shape = x.shape().to_vec();
    let mut values: Vec<T> = x.into_iter().collect();
    for (at, update) in flat.iter().zip(updates) {
        values[*at] = join(values[*at], update);
    }
    array(values, &shape)
}

/// The first entries of each sequence turned round.
pub(super) fn reverse_sequence(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let lengths = inputs.list(1)?;
    let value = inputs.take(0)?;
    let shape = value.shape().to_vec();
    let along = axis(node.int("time_axis", 0), shape.len())?;
    let batch = axis(node.int("batch_axis", 1), shape.len())?;
    let fits = |length: &i64| usize::try_from(*length).is_ok_and(|length| length <= shape[along]);
    if along == batch || lengths.len() != shape[batch] || !lengths.iter().all(fits) {
        return refuse(format!("lengths {lengths:?} of {shape:?}"));
    }
    let strides = strides(&shape);
    let flat: Vec<usize> = (0..shape.iter().product::<usize>())
        .map(|at| {
            let step = |axis: usize| at / strides[axis] % shape[axis];
            let (place, length) = (step(along), lengths[step(batch)] as usize);
            if place < length {
                at - place * strides[along] + (length - 1 - place) * strides[along]
            } else {
                at
            }
        })
        .collect();
    Ok(vec![picked(value, &flat, shape)?])
}

/// The largest or smallest values along an axis, in order, and where they are.
pub(super) fn top(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let wanted = if node.opset < 10 {
        node.int("k", 0)
    } else {
        inputs.optional_list(1)?.and_then(|list| list.first().copied()).unwrap_or(0)
    };
    let value = inputs.take(0)?;
    let shape = value.shape().to_vec();
    let at = axis(node.int("axis", -1), shape.len())?;
    let largest = node.flag("largest", true);
    let Some(wanted) = usize::try_from(wanted).ok().filter(|wanted| *wanted <= shape[at]) else {
        return refuse(format!("{wanted} of {}", shape[at]));
    };
    let order = match &value {
        Value::Float(x) => best(&array(x.values(), &shape)?, at, wanted, largest, f32::total_cmp),
        Value::Int(x) => best(x, at, wanted, largest, Ord::cmp),
        Value::Bool(_) => return refuse("truth values"),
    };
    let flat = places_along(&order, &shape, at)?;
    let values = picked(value, &flat, order.shape().to_vec())?;
    Ok(vec![values, Value::Int(order)])
}

/// Places of the `wanted` best values of each lane; of equal ones the first.
fn best<T>(
    x: &ArrayD<T>,
    at: usize,
    wanted: usize,
    largest: bool,
    compare: fn(&T, &T) -> std::cmp::Ordering,
) -> ArrayD<i64> {
    let mut shape = x.shape().to_vec();
    shape[at] = wanted;
    let mut found = ArrayD::zeros(shape);
    for (mut to, lane) in found.lanes_mut(Axis(at)).into_iter().zip(x.lanes(Axis(at))) {
        let mut order: Vec<usize> = (0..lane.len()).collect();
        order.sort_by(|a, b| {
            let order = compare(&lane[*a], &lane[*b]);
            if largest { order.reverse() } else { order }
        });
        to.iter_mut().zip(order).for_each(|(to, place)| *to = place as i64);
    }
    found
}

/// Places of what is not zero, one row an axis.
pub(super) fn non_zero(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let value = inputs.take(0)?;
    let shape = value.shape().to_vec();
    let is: Vec<bool> = match value {
        Value::Float(x) => x.values().iter().map(|x| *x != 0.0).collect(),
        Value::Int(x) => x.iter().map(|x| *x != 0).collect(),
        Value::Bool(x) => x.into_iter().collect(),
    };
    let found: Vec<usize> = (0..is.len()).filter(|at| is[*at]).collect();
    let strides = strides(&shape);
    count(&[shape.len(), found.len()])?;
    let step = |axis: usize| move |at: &usize| (*at, axis);
    let rows = (0..shape.len()).flat_map(|axis| found.iter().map(step(axis)));
    let rows = rows.map(|(at, axis)| (at / strides[axis] % shape[axis]) as i64).collect();
    Ok(vec![Value::Int(array(rows, &[shape.len(), found.len()])?)])
}
