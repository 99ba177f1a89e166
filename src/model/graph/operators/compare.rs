//! Comparisons, truth values, and choices by them.

use burn::tensor::{Bool, Shape, Tensor, TensorData};
use ndarray::{ArrayD, Axis};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, broadcast, count};
use super::super::node::{Inputs, Node, axis};
use super::super::value::{Value, array};
use super::elementwise::zip_arrays;

pub(super) fn compare(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let operator = node.operator.as_str();
    let bools = match (inputs.take(0)?, inputs.take(1)?) {
        (Value::Float(a), Value::Float(b)) => {
            let a = array(a.values(), a.shape())?;
            let b = array(b.values(), b.shape())?;
            zip_arrays(&a, &b, |a, b| holds(operator, a, b))?
        }
        (Value::Int(a), Value::Int(b)) => zip_arrays(&a, &b, |a, b| holds(operator, a, b))?,
        (Value::Bool(a), Value::Bool(b)) => zip_arrays(&a, &b, |a, b| holds(operator, a, b))?,
        (a, b) => return refuse(format!("{} and {}", a.kind(), b.kind())),
    };
    Ok(vec![Value::Bool(bools)])
}

fn holds<T: PartialOrd>(operator: &str, a: &T, b: &T) -> bool {
    match operator {
        "Equal" => a == b,
        "Greater" => a > b,
        "GreaterOrEqual" => a >= b,
        "Less" => a < b,
        _ => a <= b,
    }
}

pub(super) fn logic(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let (a, b) = (inputs.bools(0)?, inputs.bools(1)?);
    let bools = zip_arrays(&a, &b, |a, b| match node.operator.as_str() {
        "And" => a & b,
        "Or" => a | b,
        _ => a ^ b,
    })?;
    Ok(vec![Value::Bool(bools)])
}

pub(super) fn not(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    Ok(vec![Value::Bool(inputs.bools(0)?.mapv(|value| !value))])
}

pub(super) fn is_nan(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.floats(0)?;
    Ok(vec![Value::Bool(array(x.values(), x.shape())?.mapv(f32::is_nan))])
}

pub(super) fn is_infinite(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.floats(0)?;
    let (up, down) = (node.flag("detect_positive", true), node.flag("detect_negative", true));
    let is = |value: f32| (up && value == f32::INFINITY) || (down && value == f32::NEG_INFINITY);
    Ok(vec![Value::Bool(array(x.values(), x.shape())?.mapv(is))])
}

/// The second input where the first is true, else the third.
pub(super) fn choose(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let condition = inputs.bools(0)?;
    Ok(vec![match (inputs.take(1)?, inputs.take(2)?) {
        (Value::Float(yes), Value::Float(no)) => {
            let shape = broadcast(yes.shape(), no.shape())?;
            let shape = broadcast(&shape, condition.shape())?;
            let mask = mask(&condition, &shape, &yes)?;
            let (yes, no) = (yes.expand(shape.clone())?, no.expand(shape)?);
            Value::Float(no.zip(yes, |no, yes| no.mask_where(mask, yes))?)
        }
        (Value::Int(yes), Value::Int(no)) => {
            let yes = zip_arrays(&condition, &yes, |condition, yes| condition.then_some(*yes))?;
            Value::Int(zip_arrays(&yes, &no, |yes, no| yes.unwrap_or(*no))?)
        }
        (Value::Bool(yes), Value::Bool(no)) => {
            let yes = zip_arrays(&condition, &yes, |condition, yes| condition.then_some(*yes))?;
            Value::Bool(zip_arrays(&yes, &no, |yes, no| yes.unwrap_or(*no))?)
        }
        (yes, no) => return refuse(format!("{} and {}", yes.kind(), no.kind())),
    }])
}

/// Truth values broadcast to `shape`, where `beside` is.
fn mask(condition: &ArrayD<bool>, shape: &[usize], beside: &Floats) -> Outcome<Tensor<1, Bool>> {
    let Some(wide) = condition.broadcast(shape) else { return refuse("shapes do not fit") };
    let values: Vec<bool> = wide.iter().copied().collect();
    let data = TensorData::new(values, [wide.len()]);
    let flat = Tensor::<1, Bool>::from_data(data, &beside.device());
    let shape = if shape.is_empty() { vec![1] } else { shape.to_vec() };
    Ok(flat.reshape::<1, _>(Shape::from(shape)))
}

/// One at the largest value of each row along an axis, else zero.
pub(super) fn hard_max(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.floats(0)?;
    let flattens = node.opset < 13;
    let at = axis(node.int("axis", if flattens { 1 } else { -1 }), x.rank())?;
    let shape = x.shape().to_vec();
    // Before opset 13 all axes from this one on are one.
    let sizes = if flattens {
        [shape[..at].iter().product(), shape[at..].iter().product(), 1]
    } else {
        x.around(at)
    };
    let mut y = ArrayD::zeros(shape.clone()).into_shape_with_order(sizes.to_vec());
    let x = array(x.values(), &sizes)?;
    let Ok(y) = &mut y else { return refuse("shapes do not fit") };
    for (mut to, lane) in y.lanes_mut(Axis(1)).into_iter().zip(x.lanes(Axis(1))) {
        let best = (0..lane.len()).reduce(|a, b| if lane[b] > lane[a] { b } else { a });
        best.into_iter().for_each(|best| to[best] = 1.0);
    }
    let values = y.iter().copied().collect();
    Ok(vec![Value::Float(Floats::new(values, shape, &inputs.device)?)])
}

/// A new axis in which one value is on, and all others off.
pub(super) fn one_hot(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let wide = |value: Value| -> Outcome<Vec<i64>> {
        Ok(match value {
            Value::Int(ints) => ints.into_iter().collect(),
            Value::Float(floats) => floats.values().iter().map(|value| *value as i64).collect(),
            Value::Bool(_) => return refuse("truth values"),
        })
    };
    let indices = inputs.take(0)?;
    let mut shape = indices.shape().to_vec();
    let indices = wide(indices)?;
    let Some(depth) = wide(inputs.take(1)?)?.first().and_then(|d| usize::try_from(*d).ok()) else {
        return refuse("no depth");
    };
    let at = axis(node.int("axis", -1), shape.len() + 1)?;
    let after: usize = shape[at..].iter().product();
    shape.insert(at, depth);
    let is_on = |place: usize| {
        let (before, class) = (place / (after * depth), place / after % depth);
        let index = indices[before * after + place % after];
        index == class as i64 || index.saturating_add(depth as i64) == class as i64
    };
    let places = 0..count(&shape)?;
    Ok(vec![match inputs.take(2)? {
        Value::Float(values) => {
            let &[off, on] = &values.values()[..] else { return refuse("values are not two") };
            let all = places.map(|place| if is_on(place) { on } else { off }).collect();
            Value::Float(Floats::new(all, shape, &inputs.device)?)
        }
        Value::Int(values) => {
            let all: Vec<i64> = values.into_iter().collect();
            let &[off, on] = &all[..] else { return refuse("values are not two") };
            let all = places.map(|place| if is_on(place) { on } else { off }).collect();
            Value::Int(array(all, &shape)?)
        }
        Value::Bool(values) => {
            let all: Vec<bool> = values.into_iter().collect();
            let &[off, on] = &all[..] else { return refuse("values are not two") };
            let all = places.map(|place| if is_on(place) { on } else { off }).collect();
            Value::Bool(array(all, &shape)?)
        }
    }])
}
