//! Shapes: asked for, changed, and counted with.

use burn::tensor::Device;
use ndarray::{ArrayD, Dimension, IxDyn};
use tract_onnx::pb::tensor_proto::DataType;

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, broadcast, count};
use super::super::node::{Inputs, Node, axes, axis};
use super::super::plan::stored_value;
use super::super::value::{Value, array};

/// The same values under other axes.
pub(super) fn reshaped(value: Value, shape: Vec<usize>) -> Outcome<Value> {
    Ok(match value {
        Value::Float(floats) => Value::Float(floats.reshape(shape)?),
        Value::Int(ints) => Value::Int(array(ints.into_iter().collect(), &shape)?),
        Value::Bool(bools) => Value::Bool(array(bools.into_iter().collect(), &shape)?),
    })
}

/// A list of sizes that a node is given.
pub(super) fn sizes(list: &[i64]) -> Outcome<Vec<usize>> {
    let sizes: Option<Vec<usize>> = list.iter().map(|size| usize::try_from(*size).ok()).collect();
    match sizes {
        Some(sizes) => {
            count(&sizes)?;
            Ok(sizes)
        }
        None => refuse(format!("the shape {list:?}")),
    }
}

pub(super) fn constant(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let device = &inputs.device;
    let value = if let Some(tensor) = node.tensor("value") {
        let path = std::path::Path::new(&node.name);
        stored_value(path, tensor, device).map_err(super::super::fault::Fault::new)?
    } else if node.has("value_float") {
        Value::Float(Floats::new(vec![node.float("value_float", 0.0)], vec![], device)?)
    } else if let Some(floats) = node.floats("value_floats") {
        Value::Float(Floats::new(floats.to_vec(), vec![floats.len()], device)?)
    } else if node.has("value_int") {
        Value::Int(array(vec![node.int("value_int", 0)], &[])?)
    } else if let Some(ints) = node.ints("value_ints") {
        Value::list(ints.to_vec())
    } else {
        return refuse("its value is neither numbers nor truth values");
    };
    Ok(vec![value])
}

/// The sizes of a tensor, since opset 15 of some axes of it.
pub(super) fn shape(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let shape = inputs.peek(0)?.shape();
    let rank = shape.len() as i64;
    let place = |key: &str, default: i64| {
        let at = node.int(key, default);
        usize::try_from((if at < 0 { at + rank } else { at }).clamp(0, rank)).unwrap_or(0)
    };
    let (start, end) = (place("start", 0), place("end", rank));
    let sizes = shape.get(start..end.max(start)).unwrap_or_default();
    Ok(vec![Value::list(sizes.iter().map(|size| *size as i64).collect())])
}

pub(super) fn size(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let size: usize = inputs.peek(0)?.shape().iter().product();
    Ok(vec![Value::Int(array(vec![size as i64], &[])?)])
}

pub(super) fn reshape(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let wanted = match node.ints("shape") {
        Some(list) if node.opset < 5 => list.to_vec(),
        _ => inputs.list(1)?,
    };
    let value = inputs.take(0)?;
    let given = value.shape();
    let zero_is_zero = node.flag("allowzero", false);
    let total: usize = given.iter().product();
    let mut shape = vec![];
    for (at, size) in wanted.iter().enumerate() {
        shape.push(match (*size, given.get(at)) {
            (-1, _) => 1,
            (0, Some(size)) if !zero_is_zero => *size,
            (0, None) if !zero_is_zero => return refuse(format!("{given:?} to {wanted:?}")),
            (size, _) => match usize::try_from(size) {
                Ok(size) => size,
                Err(_) => return refuse(format!("{given:?} to {wanted:?}")),
            },
        });
    }
    let unknown: Vec<usize> = (0..wanted.len()).filter(|at| wanted[*at] == -1).collect();
    match unknown[..] {
        [] => {}
        [at] => shape[at] = total / count(&shape)?.max(1),
        _ => return refuse(format!("two unknown sizes in {wanted:?}")),
    }
    Ok(vec![reshaped(value, shape)?])
}

/// Two axes: those before `axis` and those from it on.
pub(super) fn flatten(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let value = inputs.take(0)?;
    let (given, at) = (value.shape(), node.int("axis", 1));
    // The axis after the last is allowed here.
    let at = axis(if at < 0 { at + given.len() as i64 } else { at }, given.len() + 1)?;
    let shape = vec![given[..at].iter().product(), given[at..].iter().product()];
    Ok(vec![reshaped(value, shape)?])
}

/// Axes that are an attribute, or since opset 13 an input.
fn given_axes(node: &Node, inputs: &mut Inputs) -> Outcome<Option<Vec<i64>>> {
    match inputs.optional_list(1)? {
        Some(list) => Ok(Some(list)),
        None => Ok(node.ints("axes").map(<[i64]>::to_vec)),
    }
}

pub(super) fn squeeze(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let given = given_axes(node, inputs)?;
    let value = inputs.take(0)?;
    let shape = value.shape();
    let gone = match given {
        Some(list) => axes(&list, shape.len())?,
        None => (0..shape.len()).filter(|at| shape[*at] == 1).collect(),
    };
    if gone.iter().any(|at| shape[*at] != 1) {
        return refuse(format!("axes {gone:?} of {shape:?} are not one"));
    }
    let left = (0..shape.len()).filter(|at| !gone.contains(at)).map(|at| shape[at]).collect();
    Ok(vec![reshaped(value, left)?])
}

pub(super) fn unsqueeze(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let Some(given) = given_axes(node, inputs)? else { return refuse("no axes") };
    let value = inputs.take(0)?;
    let rank = value.shape().len() + given.len();
    count(&vec![1; rank])?;
    let new = axes(&given, rank)?;
    let mut old = value.shape().iter();
    let shape = (0..rank)
        .map(|at| if new.contains(&at) { 1 } else { old.next().copied().unwrap_or(1) })
        .collect();
    Ok(vec![reshaped(value, shape)?])
}

pub(super) fn transpose(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let value = inputs.take(0)?;
    let rank = value.shape().len();
    let order = match node.ints("perm") {
        Some(list) => {
            let order: Vec<usize> =
                list.iter().map(|at| axis(*at, rank)).collect::<Outcome<_>>()?;
            axes(list, rank)?;
            order
        }
        None => (0..rank).rev().collect(),
    };
    if order.len() != rank {
        return refuse(format!("perm {order:?} of {rank} axes"));
    }
    Ok(vec![match value {
        Value::Float(floats) => Value::Float(floats.permute(&order)?),
        Value::Int(ints) => Value::Int(ordered(ints, &order)),
        Value::Bool(bools) => Value::Bool(ordered(bools, &order)),
    }])
}

fn ordered<T: Clone>(array: ArrayD<T>, order: &[usize]) -> ArrayD<T> {
    array.permuted_axes(IxDyn(order)).as_standard_layout().into_owned()
}

pub(super) fn expand(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let wanted = sizes(&inputs.list(1)?)?;
    let value = inputs.take(0)?;
    let shape = broadcast(value.shape(), &wanted)?;
    count(&shape)?;
    Ok(vec![match value {
        Value::Float(floats) => Value::Float(floats.expand(shape)?),
        Value::Int(ints) => Value::Int(widened(&ints, &shape)?),
        Value::Bool(bools) => Value::Bool(widened(&bools, &shape)?),
    }])
}

fn widened<T: Clone>(array: &ArrayD<T>, shape: &[usize]) -> Outcome<ArrayD<T>> {
    match array.broadcast(shape) {
        Some(wide) => Ok(wide.to_owned()),
        None => refuse(format!("{:?} to {shape:?}", array.shape())),
    }
}

/// A tensor of one value.
pub(super) fn constant_of_shape(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let shape = sizes(&inputs.list(0)?)?;
    let total = count(&shape)?;
    let device = &inputs.device;
    let path = std::path::Path::new(&node.name);
    let value = match node.tensor("value") {
        Some(tensor) => {
            stored_value(path, tensor, device).map_err(super::super::fault::Fault::new)?
        }
        None => Value::Float(Floats::new(vec![0.0], vec![], device)?),
    };
    Ok(vec![match value {
        Value::Float(floats) => {
            let value = floats.values().first().copied().unwrap_or(0.0);
            Value::Float(Floats::new(vec![value; total], shape, device)?)
        }
        Value::Int(ints) => {
            Value::Int(array(vec![ints.first().copied().unwrap_or(0); total], &shape)?)
        }
        Value::Bool(bools) => {
            Value::Bool(array(vec![bools.first().copied().unwrap_or(false); total], &shape)?)
        }
    }])
}

/// Numbers from a start to before a limit.
pub(super) fn range(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    if let Value::Float(_) = inputs.peek(0)? {
        let mut number = |index| -> Outcome<f32> {
            inputs.optional_number(index)?.map_or_else(|| refuse("a number is missing"), Ok)
        };
        let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
        let length = ((limit - start) / step).ceil().max(0.0);
        let length = if length.is_finite() { length as usize } else { usize::MAX };
        count(&[length])?;
        let values: Vec<f32> = (0..length).map(|at| start + at as f32 * step).collect();
        return Ok(vec![Value::Float(Floats::new(values, vec![length], &inputs.device)?)]);
    }
    let mut number = |index| -> Outcome<i64> {
        match inputs.list(index)?[..] {
            [value] => Ok(value),
            _ => refuse("start, limit and step are numbers"),
        }
    };
    let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
    if step == 0 {
        return refuse("a step of 0");
    }
    let span = i128::from(limit) - i128::from(start);
    let length = (span + i128::from(step) - i128::from(step.signum())) / i128::from(step);
    let length = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    count(&[length])?;
    Ok(vec![Value::list((0..length as i64).map(|at| start + at * step).collect())])
}

/// Another type. Half floats and doubles are computed with as single ones.
pub(super) fn cast(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let Some(to) = node.element("to") else { return refuse("to is missing") };
    Ok(vec![converted(inputs.take(0)?, to, &inputs.device)?])
}

fn converted(value: Value, to: DataType, device: &Device) -> Outcome<Value> {
    use DataType as T;
    let shape = value.shape().to_vec();
    Ok(match (value, to) {
        (Value::Float(x), T::Float | T::Float16 | T::Double | T::Bfloat16) => Value::Float(x),
        (Value::Float(x), T::Bool) => {
            Value::Bool(array(x.values().iter().map(|v| *v != 0.0).collect(), &shape)?)
        }
        (Value::Float(x), _) => {
            let ints = x.values().into_iter().map(|value| wrapped(value as i64, to));
            Value::Int(array(ints.collect::<Outcome<_>>()?, &shape)?)
        }
        (Value::Int(x), T::Float | T::Float16 | T::Double | T::Bfloat16) => {
            let values = x.into_iter().map(|value| value as f32).collect();
            Value::Float(Floats::new(values, shape, device)?)
        }
        (Value::Int(x), T::Bool) => Value::Bool(x.mapv(|value| value != 0)),
        (Value::Int(x), _) => {
            let ints = x.into_iter().map(|value| wrapped(value, to));
            Value::Int(array(ints.collect::<Outcome<_>>()?, &shape)?)
        }
        (Value::Bool(x), T::Bool) => Value::Bool(x),
        (Value::Bool(x), T::Float | T::Float16 | T::Double | T::Bfloat16) => {
            let values = x.into_iter().map(|value| f32::from(u8::from(value))).collect();
            Value::Float(Floats::new(values, shape, device)?)
        }
        (Value::Bool(x), _) => Value::Int(x.mapv(i64::from)),
    })
}

/// What is left of an integer in a type of fewer bits.
fn wrapped(value: i64, to: DataType) -> Outcome<i64> {
    use DataType as T;
    Ok(match to {
        T::Int64 | T::Uint64 => value,
        T::Int32 => i64::from(value as i32),
        T::Int16 => i64::from(value as i16),
        T::Int8 => i64::from(value as i8),
        T::Uint32 => i64::from(value as u32),
        T::Uint16 => i64::from(value as u16),
        T::Uint8 => i64::from(value as u8),
        other => return refuse(format!("a cast to {other:?}")),
    })
}

/// The type that stands for all of its kind.
fn widest(value: &Value) -> DataType {
    match value {
        Value::Float(_) => DataType::Float,
        Value::Int(_) => DataType::Int64,
        Value::Bool(_) => DataType::Bool,
    }
}

/// To the type of the second input.
pub(super) fn cast_like(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let to = widest(inputs.peek(1)?);
    Ok(vec![converted(inputs.take(0)?, to, &inputs.device)?])
}

/// Floats that integers stand for: `(x - zero) * scale`, of all, of each entry of an axis, or of
/// blocks along it.
pub(super) fn dequantize(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.ints(0)?;
    let zero = if inputs.has(2) { Some(inputs.ints(2)?) } else { None };
    let scale = inputs.floats(1)?;
    let shape = x.shape().to_vec();
    let block = usize::try_from(node.int("block_size", 0)).unwrap_or(0);
    let at = if scale.len() == 1 { None } else { Some(axis(node.int("axis", 1), shape.len())?) };
    // How many neighbours along each axis share a scale, and how far apart their scales are.
    let sizes = scale.shape().to_vec();
    let (mut shares, mut steps) = (vec![1; shape.len()], vec![0; shape.len()]);
    let blocks = |at: usize| {
        let mut blocks = shape.clone();
        blocks[at] = shape[at].div_ceil(block.max(1));
        blocks
    };
    match at {
        None => {}
        Some(at) if block == 0 && sizes[..] == [shape[at]] => steps[at] = 1,
        Some(at) if block > 0 && sizes == blocks(at) => {
            shares[at] = block;
            steps = (0..sizes.len()).map(|at| sizes[at + 1..].iter().product()).collect();
        }
        Some(at) => return refuse(format!("scales {sizes:?} of {shape:?} along axis {at}")),
    }
    let place = |entry: &[usize]| -> usize {
        (0..entry.len()).map(|axis| entry[axis] / shares[axis] * steps[axis]).sum()
    };
    let zeros: Vec<i64> = zero.map_or_else(Vec::new, |zero| zero.into_iter().collect());
    let scales = scale.values();
    if !zeros.is_empty() && zeros.len() != scales.len() {
        return refuse(format!("{} zero points for {} scales", zeros.len(), scales.len()));
    }
    let values = x.indexed_iter().map(|(entry, value)| {
        let place = place(entry.slice());
        let zero = zeros.get(place).copied().unwrap_or(0);
        value.wrapping_sub(zero) as f32 * scales[place]
    });
    Ok(vec![Value::Float(Floats::new(values.collect(), shape, &inputs.device)?)])
}

/// Ones on a diagonal of a matrix as large as the input.
pub(super) fn eye_like(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let value = inputs.take(0)?;
    let (rows, columns) = match *value.shape() {
        [size] => (size, size),
        [rows, columns] => (rows, columns),
        _ => return refuse(format!("{:?} is no matrix", value.shape())),
    };
    let shape = [rows, columns];
    let shift = node.int("k", 0);
    let is_one = |place: usize| {
        let (row, column) = ((place / columns) as i64, (place % columns) as i64);
        row.saturating_add(shift) == column
    };
    let ones: Vec<i64> = (0..count(&shape)?).map(|place| i64::from(is_one(place))).collect();
    let ones = Value::Int(array(ones, &shape)?);
    let like = widest(&value);
    Ok(vec![converted(ones, node.element("dtype").unwrap_or(like), &inputs.device)?])
}
