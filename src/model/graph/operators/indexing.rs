//! Parts of tensors, and tensors put together.

use burn::tensor::{Int, Tensor, TensorData};
use ndarray::{ArrayD, Axis, concatenate};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node, axis};
use super::super::value::{Value, array};
use super::elementwise::zip_arrays;
use super::shape::{reshaped, sizes};

/// What of an axis is taken, and in which order.
#[derive(Clone, Debug)]
enum Taken {
    /// From a place to before another, every so many.
    Run { start: usize, end: usize, step: usize },
    /// These places.
    Places(Vec<usize>),
}

/// A part of a value along an axis.
fn taken(value: Value, at: usize, taken: &Taken) -> Outcome<Value> {
    Ok(match value {
        Value::Float(floats) => {
            let device = floats.device();
            let (mut shape, length) = (floats.shape().to_vec(), taken.length());
            if length == 0 || floats.len() == 0 {
                shape[at] = length;
                return Floats::new(vec![], shape, &device).map(Value::Float);
            }
            Value::Float(floats.along(at, |x| {
                let [before, _, after] = x.dims();
                match taken {
                    Taken::Run { start, end, step: 1 } => {
                        x.slice([0..before, *start..*end, 0..after])
                    }
                    other => {
                        let places: Vec<i64> =
                            other.places().into_iter().map(|place| place as i64).collect();
                        let length = places.len();
                        let places = TensorData::new(places, [length]);
                        x.select(1, Tensor::<1, Int>::from_data(places, &device))
                    }
                }
            })?)
        }
        Value::Int(ints) => Value::Int(ints.select(Axis(at), &taken.places())),
        Value::Bool(bools) => Value::Bool(bools.select(Axis(at), &taken.places())),
    })
}

/// Entries of an axis at these places, all of them inside.
pub(super) fn at_places(floats: Floats, at: usize, places: Vec<usize>) -> Outcome<Floats> {
    match taken(Value::Float(floats), at, &Taken::Places(places))? {
        Value::Float(floats) => Ok(floats),
        other => refuse(other.kind()),
    }
}

impl Taken {
    fn length(&self) -> usize {
        match self {
            Self::Run { start, end, step } => (end - start).div_ceil(*step),
            Self::Places(places) => places.len(),
        }
    }

    fn places(&self) -> Vec<usize> {
        match self {
            Self::Run { start, end, step } => (*start..*end).step_by(*step).collect(),
            Self::Places(places) => places.clone(),
        }
    }

    /// A slice as ONNX gives it, over an axis of this size.
    fn slice(start: i64, end: i64, step: i64, size: usize) -> Outcome<Self> {
        let size = size as i64;
        let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        if step > 0 {
            let (start, end) = (place(start).clamp(0, size), place(end).clamp(0, size));
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            return Ok(Self::Run { start: start as usize, end: end.max(start) as usize, step });
        }
        if step == 0 {
            return refuse("a step of 0");
        }
        let start = place(start).clamp(-1, size - 1);
        // Below the first place is before it, not counted from the end again.
        let end = if end < -size { -1 } else { place(end).clamp(-1, size - 1) };
        let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(Self::Places((end + 1..=start).rev().step_by(step).map(|at| at as usize).collect()))
    }
}

/// Before opset 10 its bounds are attributes.
pub(super) fn slice(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let attribute = |key: &str| node.ints(key).map(<[i64]>::to_vec);
    let (starts, ends, axes, steps) = if node.opset < 10 {
        let (Some(starts), Some(ends)) = (attribute("starts"), attribute("ends")) else {
            return refuse("starts or ends are missing");
        };
        (starts, ends, attribute("axes"), None)
    } else {
        let (starts, ends) = (inputs.list(1)?, inputs.list(2)?);
        (starts, ends, inputs.optional_list(3)?, inputs.optional_list(4)?)
    };
    let mut value = inputs.take(0)?;
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|length| *length != starts.len()) {
        return refuse("starts, ends, axes and steps differ in length");
    }
    for at in 0..starts.len() {
        let axis = axis(axes[at], value.shape().len())?;
        let size = value.shape()[axis];
        let part = Taken::slice(starts[at], ends[at], steps[at], size)?;
        if !matches!(part, Taken::Run { start: 0, end, step: 1 } if end == size) {
            value = taken(value, axis, &part)?;
        }
    }
    Ok(vec![value])
}

/// Parts along an axis, of given sizes or as even as possible.
pub(super) fn split(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let given = match node.ints("split") {
        Some(list) => Some(list.to_vec()),
        None => inputs.optional_list(1)?,
    };
    let value = inputs.take(0)?;
    let at = axis(node.int("axis", 0), value.shape().len())?;
    let (size, parts) = (value.shape()[at], node.outputs.len());
    let lengths = match given {
        Some(list) => {
            let lengths: Option<Vec<usize>> =
                list.iter().map(|length| usize::try_from(*length).ok()).collect();
            match lengths.filter(|lengths| lengths.iter().all(|length| *length <= size)) {
                Some(lengths) => lengths,
                None => return refuse(format!("{size} values in parts of {list:?}")),
            }
        }
        None => {
            let part = size.div_ceil(parts.max(1));
            (0..parts).map(|number| part.min(size.saturating_sub(number * part))).collect()
        }
    };
    if lengths.iter().sum::<usize>() != size || lengths.len() != parts {
        return refuse(format!("{size} values in {parts} parts of {lengths:?}"));
    }
    let mut start = 0;
    let part = |length: usize| {
        let run = Taken::Run { start, end: start + length, step: 1 };
        start += length;
        taken(value.clone(), at, &run)
    };
    lengths.into_iter().map(part).collect()
}

pub(super) fn concat(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let values = inputs.take_all();
    let Some(first) = values.first() else { return refuse("it has no inputs") };
    let at = axis(node.int("axis", 1), first.shape().len())?;
    let fits = |value: &Value| {
        let (a, b) = (value.shape(), first.shape());
        a.len() == b.len() && (0..a.len()).all(|axis| axis == at || a[axis] == b[axis])
    };
    if !values.iter().all(fits) {
        let shapes: Vec<&[usize]> = values.iter().map(Value::shape).collect();
        return refuse(format!("{shapes:?} along axis {at}"));
    }
    let mut shape = first.shape().to_vec();
    shape[at] = values.iter().map(|value| value.shape()[at]).sum();
    count(&shape)?;
    let kind = first.kind();
    let (mut floats, mut ints, mut bools) = (vec![], vec![], vec![]);
    for value in values {
        match value {
            Value::Float(value) => floats.push(value),
            Value::Int(value) => ints.push(value),
            Value::Bool(value) => bools.push(value),
        }
    }
    let joined = match (floats.is_empty(), ints.is_empty(), bools.is_empty()) {
        (false, true, true) => Value::Float(joined(floats, at, shape)?),
        (true, false, true) => Value::Int(joined_arrays(&ints, at)?),
        (true, true, false) => Value::Bool(joined_arrays(&bools, at)?),
        _ => return refuse(format!("{kind} and others")),
    };
    Ok(vec![joined])
}

fn joined(parts: Vec<Floats>, at: usize, shape: Vec<usize>) -> Outcome<Floats> {
    if let Some(empty) = parts.iter().find(|_| shape.contains(&0)) {
        return Floats::new(vec![], shape, &empty.device());
    }
    // Nothing joined to something is that.
    let parts: Vec<Tensor<3>> = parts
        .into_iter()
        .filter(|part| part.len() > 0)
        .map(|part| {
            let sizes = part.around(at);
            part.into_rank(sizes)
        })
        .collect();
    Ok(Floats::from_reshaped(Tensor::cat(parts, 1), shape))
}

fn joined_arrays<T: Clone>(parts: &[ArrayD<T>], at: usize) -> Outcome<ArrayD<T>> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    match concatenate(Axis(at), &views) {
        Ok(array) => Ok(array),
        Err(_) => refuse("shapes do not fit together"),
    }
}

/// Places counted from the start.
pub(super) fn places(given: &ArrayD<i64>, size: usize) -> Outcome<Vec<usize>> {
    given.iter().map(|at| axis(*at, size)).collect()
}

/// Entries of an axis, in any arrangement.
pub(super) fn gather(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let places_given = inputs.ints(1)?;
    let value = inputs.take(0)?;
    let at = axis(node.int("axis", 0), value.shape().len())?;
    let found = places(&places_given, value.shape()[at])?;
    let mut shape = value.shape().to_vec();
    shape.splice(at..=at, places_given.shape().iter().copied());
    count(&shape)?;
    let part = match found[..] {
        [one] => Taken::Run { start: one, end: one + 1, step: 1 },
        _ => Taken::Places(found),
    };
    Ok(vec![match taken(value, at, &part)? {
        Value::Float(floats) => Value::Float(floats.reshape(shape)?),
        Value::Int(ints) => Value::Int(array(ints.into_iter().collect(), &shape)?),
        Value::Bool(bools) => Value::Bool(array(bools.into_iter().collect(), &shape)?),
    }])
}

/// Repeated along every axis.
pub(super) fn tile(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let repeats = sizes(&inputs.list(1)?)?;
    let mut value = inputs.take(0)?;
    if repeats.len() != value.shape().len() {
        return refuse(format!("{repeats:?} repeats of {:?}", value.shape()));
    }
    for (at, times) in repeats.into_iter().enumerate() {
        let size = value.shape()[at];
        let mut shape = value.shape().to_vec();
        shape[at] = size.saturating_mul(times);
        count(&shape)?;
        if times != 1 {
            let places = (0..size * times).map(|place| place % size).collect();
            value = taken(value, at, &Taken::Places(places))?;
        }
    }
    Ok(vec![value])
}

/// Values before and after each axis: zeros, the edge, or a mirror. Negative ones cut.
pub(super) fn pad(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let pads = match node.ints("pads") {
        Some(list) if node.opset < 11 => list.to_vec(),
        _ => inputs.list(1)?,
    };
    let fill = match inputs.optional_number(2)? {
        Some(number) => number,
        None => node.float("value", 0.0),
    };
    let axes = inputs.optional_list(3)?;
    let mode = node.text("mode", "constant")?.to_owned();
    let mut value = inputs.floats(0)?;
    let axes = axes.unwrap_or_else(|| (0..value.rank() as i64).collect());
    if pads.len() != 2 * axes.len() {
        return refuse(format!("pads {pads:?} of {} axes", axes.len()));
    }
    for (number, at) in axes.iter().enumerate() {
        let at = axis(*at, value.rank())?;
        let ends = [pads[number], pads[number + axes.len()]];
        if ends != [0, 0] {
            value = padded(value, at, ends, &mode, fill)?;
        }
    }
    Ok(vec![Value::Float(value)])
}

fn padded(value: Floats, at: usize, ends: [i64; 2], mode: &str, fill: f32) -> Outcome<Floats> {
    let size = value.shape()[at] as i64;
    let wanted = size.checked_add(ends[0]).and_then(|sum| sum.checked_add(ends[1]));
    let Some(length) = wanted.and_then(|length| usize::try_from(length).ok()) else {
        return refuse(format!("pads {ends:?} of an axis of {size}"));
    };
    let mut shape = value.shape().to_vec();
    shape[at] = length;
    count(&shape)?;
    if mode != "constant" {
        if size == 0 {
            return refuse(format!("mode {mode} of an empty axis"));
        }
        let place = |at: i64| -> Outcome<usize> {
            let place = match mode {
                "edge" => at.clamp(0, size - 1),
                "wrap" => at.rem_euclid(size),
                "reflect" if size == 1 => 0,
                "reflect" => {
                    let turn = at.rem_euclid(2 * (size - 1));
                    turn.min(2 * (size - 1) - turn)
                }
                other => return refuse(format!("mode {other}")),
            };
            Ok(place as usize)
        };
        let places = (0..length as i64).map(|at| place(at - ends[0]));
        return at_places(value, at, places.collect::<Outcome<_>>()?);
    }
    // What negative pads cut goes first.
    let cut = |end: i64| usize::try_from(-end.min(0)).unwrap_or(0);
    let (from, to) = (cut(ends[0]), (size as usize).saturating_sub(cut(ends[1])));
    let before = usize::try_from(ends[0].max(0)).unwrap_or(0);
    value.along(at, |x| {
        let [left, _, right] = x.dims();
        let x = x.slice([0..left, from..to.max(from), 0..right]);
        let inside = x.dims()[1];
        if inside == length {
            return x;
        }
        let around = Tensor::full([left, length, right], fill, &x.device());
        around.slice_assign([0..left, before..before + inside, 0..right], x)
    })
}

/// The middle of an axis, or the axis in the middle of zeros.
pub(super) fn center_crop_pad(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let wanted = sizes(&inputs.list(1)?)?;
    let mut x = inputs.floats(0)?;
    let axes = node.ints("axes").map(<[i64]>::to_vec);
    let axes = axes.unwrap_or_else(|| (0..x.rank() as i64).collect());
    if wanted.len() != axes.len() {
        return refuse(format!("{wanted:?} for {} axes", axes.len()));
    }
    for (size, at) in wanted.into_iter().zip(axes) {
        let at = axis(at, x.rank())?;
        let (size, now) = (size as i64, x.shape()[at] as i64);
        let more = (size - now).abs();
        let ends = [more / 2, more - more / 2].map(|end| if size < now { -end } else { end });
        x = padded(x, at, ends, "constant", 0.0)?;
    }
    Ok(vec![Value::Float(x)])
}

/// Entries of an axis, or of all values in a row, where a condition holds.
pub(super) fn compress(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let condition = inputs.bools(1)?;
    let mut value = inputs.take(0)?;
    if !node.has("axis") {
        let length = value.shape().iter().product();
        value = reshaped(value, vec![length])?;
    }
    let at = axis(node.int("axis", 0), value.shape().len())?;
    if condition.len() > value.shape()[at] {
        return refuse(format!("{} conditions of {:?}", condition.len(), value.shape()));
    }
    let holds = condition.iter().enumerate().filter(|(_, holds)| **holds);
    let places = holds.map(|(place, _)| place).collect();
    Ok(vec![taken(value, at, &Taken::Places(places))?])
}

/// Pixels along a block.
fn block_size(node: &Node) -> Outcome<usize> {
    match usize::try_from(node.int("blocksize", 0)) {
        Ok(size @ 1..=4096) => Ok(size),
        _ => refuse(format!("blocksize {}", node.int("blocksize", 0))),
    }
}

/// Channels to blocks of pixels.
pub(super) fn depth_to_space(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.floats(0)?;
    let block = block_size(node)?;
    let &[batch, channels, height, width] = x.shape() else {
        return refuse(format!("maps of shape {:?}", x.shape()));
    };
    if channels % (block * block) != 0 {
        return refuse(format!("{channels} channels in blocks of {block}"));
    }
    let depth = channels / (block * block);
    let (split, order) = if node.text("mode", "DCR")? == "DCR" {
        (vec![batch, block, block, depth, height, width], [0, 3, 4, 1, 5, 2])
    } else {
        (vec![batch, depth, block, block, height, width], [0, 1, 4, 2, 5, 3])
    };
    let y = x.reshape(split)?.permute(&order)?;
    Ok(vec![Value::Float(y.reshape(vec![batch, depth, height * block, width * block])?)])
}

/// Blocks of pixels to channels.
pub(super) fn space_to_depth(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.floats(0)?;
    let block = block_size(node)?;
    let &[batch, channels, height, width] = x.shape() else {
        return refuse(format!("maps of shape {:?}", x.shape()));
    };
    if height % block != 0 || width % block != 0 {
        return refuse(format!("{height} x {width} in blocks of {block}"));
    }
    let split = vec![batch, channels, height / block, block, width / block, block];
    let order =
        if node.text("mode", "DCR")? == "DCR" { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
    let y = x.reshape(split)?.permute(&order)?;
    let shape = vec![batch, channels * block * block, height / block, width / block];
    Ok(vec![Value::Float(y.reshape(shape)?)])
}

/// The upper or lower triangle of matrices.
pub(super) fn triangle(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let shift = inputs.optional_list(1)?.and_then(|list| list.first().copied()).unwrap_or(0);
    let upper = node.flag("upper", true);
    let value = inputs.take(0)?;
    let [.., rows, columns] = *value.shape() else { return refuse("no matrix") };
    let inside = |row: usize, column: usize| {
        let distance = column as i64 - row as i64;
        if upper { distance >= shift } else { distance <= shift }
    };
    let mask = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let mask: Vec<bool> = mask.map(|(row, column)| inside(row, column)).collect();
    Ok(vec![match value {
        Value::Float(x) => {
            let mask = mask.into_iter().map(|inside| f32::from(u8::from(inside))).collect();
            let mask = Floats::new(mask, vec![rows, columns], &inputs.device)?;
            Value::Float(x.zip(mask, |x, mask| x * mask)?)
        }
        Value::Int(x) => {
            let mask = array(mask, &[rows, columns])?;
            Value::Int(zip_arrays(&x, &mask, |x, inside| if *inside { *x } else { 0 })?)
        }
        Value::Bool(x) => {
            let mask = array(mask, &[rows, columns])?;
            Value::Bool(zip_arrays(&x, &mask, |x, inside| *x && *inside)?)
        }
    }])
}
