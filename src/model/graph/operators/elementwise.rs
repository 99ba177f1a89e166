//! Functions of single values.

use burn::tensor::Tensor;
use burn::tensor::activation::{
    elu, gelu, gelu_approximate, leaky_relu, mish, relu, sigmoid, softplus, tanh,
};
use ndarray::{ArrayD, Zip};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, broadcast};
use super::super::node::{Inputs, Node};
use super::super::value::Value;
use crate::model::layers::{Bounds, bounded};

fn float(floats: Floats) -> Vec<Value> {
    vec![Value::Float(floats)]
}

/// `function` of every value of the first input.
fn each(inputs: &mut Inputs, function: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Outcome<Vec<Value>> {
    Ok(float(inputs.floats(0)?.map(function)))
}

/// A function of one value without attributes.
pub(super) fn unary(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    if let Value::Int(_) = inputs.peek(0)? {
        let ints = inputs.ints(0)?;
        let ints = match node.operator.as_str() {
            "Abs" => ints.mapv(i64::wrapping_abs),
            "Neg" => ints.mapv(i64::wrapping_neg),
            "Sign" => ints.mapv(i64::signum),
            "Relu" => ints.mapv(|value| value.max(0)),
            other => return refuse(format!("{other} of integers")),
        };
        return Ok(vec![Value::Int(ints)]);
    }
    each(inputs, |x| match node.operator.as_str() {
        "Abs" => x.abs(),
        "Acos" => x.acos(),
        "Acosh" => x.acosh(),
        "Asin" => x.asin(),
        "Asinh" => x.asinh(),
        "Atan" => x.atan(),
        "Atanh" => x.atanh(),
        "Ceil" => x.ceil(),
        "Cos" => x.cos(),
        "Cosh" => x.cosh(),
        "Erf" => x.erf(),
        "Exp" => x.exp(),
        "Floor" => x.floor(),
        "Log" => x.log(),
        "Mish" => mish(x),
        "Neg" => -x,
        "Reciprocal" => x.recip(),
        "Relu" => relu(x),
        "Round" => x.round(),
        "Sigmoid" => sigmoid(x),
        "Sign" => x.sign(),
        "Sin" => x.sin(),
        "Sinh" => x.sinh(),
        "Softplus" => softplus(x, 1.0),
        "Softsign" => x.clone() / (x.abs() + 1.0),
        "Sqrt" => x.sqrt(),
        "Tan" => x.tan(),
        _ => tanh(x),
    })
}

pub(super) fn identity(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    Ok(vec![inputs.take(0)?])
}

/// Outside training nothing is dropped.
pub(super) fn dropout(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    if node.outputs.iter().skip(1).any(Option::is_some) {
        return refuse("its second output, the mask, is used");
    }
    if inputs.has(2) && inputs.bools(2)?.iter().any(|training| *training) {
        return refuse("it is in training mode; export the network in evaluation mode");
    }
    identity(node, inputs)
}

pub(super) fn leaky(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let alpha = node.float("alpha", 0.01);
    each(inputs, |x| leaky_relu(x, f64::from(alpha)))
}

pub(super) fn exponential_linear(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let alpha = node.float("alpha", 1.0);
    each(inputs, |x| elu(x, f64::from(alpha)))
}

pub(super) fn celu(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let alpha = node.float("alpha", 1.0);
    each(inputs, |x| {
        let negative = (x.clone().clamp_max(0.0) / alpha).exp() - 1.0;
        relu(x) + negative * alpha
    })
}

pub(super) fn selu(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let alpha = node.float("alpha", 1.673_263_2);
    let gamma = node.float("gamma", 1.050_701);
    each(inputs, |x| {
        let negative = (x.clone().clamp_max(0.0).exp() - 1.0) * alpha;
        (relu(x) + negative) * gamma
    })
}

pub(super) fn hard_sigmoid(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
    each(inputs, |x| (x * alpha + beta).clamp(0.0, 1.0))
}

pub(super) fn hard_swish(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    each(inputs, |x| x.clone() * (x / 6.0 + 0.5).clamp(0.0, 1.0))
}

pub(super) fn swish(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let alpha = node.float("alpha", 1.0);
    each(inputs, |x| x.clone() * sigmoid(x * alpha))
}

pub(super) fn gaussian_linear(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    match node.text("approximate", "none")? {
        "none" => each(inputs, gelu),
        "tanh" => each(inputs, gelu_approximate),
        other => refuse(format!("approximate {other}")),
    }
}

pub(super) fn thresholded(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let alpha = node.float("alpha", 1.0);
    each(inputs, |x| {
        let below = x.clone().lower_equal_scalar(alpha);
        x.mask_fill(below, 0.0)
    })
}

pub(super) fn shrink(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let (lambda, bias) = (node.float("lambd", 0.5), node.float("bias", 0.0));
    each(inputs, |x| {
        let inside = x.clone().abs().lower_equal_scalar(lambda);
        let toward_zero = x.clone() - x.sign() * bias;
        toward_zero.mask_fill(inside, 0.0)
    })
}

/// `max(x, 0) + slope * min(x, 0)`, the slope broadcast in ONNX's way.
pub(super) fn parametric(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let (x, slope) = (inputs.floats(0)?, inputs.floats(1)?);
    let positive = x.clone().map(relu);
    let negative = x.map(|x| x.clamp_max(0.0)).zip(slope, |x, slope| x * slope)?;
    Ok(float(positive.zip(negative, |a, b| a + b)?))
}

/// Values between two bounds, which are inputs since opset 11.
pub(super) fn clip(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    if let Value::Int(_) = inputs.peek(0)? {
        let ints = inputs.ints(0)?;
        let mut bound = |index: usize, none: i64| -> Outcome<i64> {
            Ok(inputs.optional_list(index)?.and_then(|list| list.first().copied()).unwrap_or(none))
        };
        let (low, high) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
        return Ok(vec![Value::Int(ints.mapv(|value| value.max(low).min(high)))]);
    }
    let bounds = clip_bounds(node, inputs)?;
    each(inputs, |x| bounded(x, bounds))
}

/// The bounds of a Clip of floats.
pub(in super::super) fn clip_bounds(node: &Node, inputs: &mut Inputs) -> Outcome<Bounds> {
    let attribute = |key: &str| node.has(key).then(|| node.float(key, 0.0));
    let (low, high) = if node.opset < 11 {
        (attribute("min"), attribute("max"))
    } else {
        (inputs.optional_number(1)?, inputs.optional_number(2)?)
    };
    // Exporters write "no bound" as the largest number, too.
    let some = |bound: Option<f32>| bound.filter(|bound| bound.abs() < 1e30);
    let Bounds { low: least, high: most } = Bounds::NONE;
    Ok(Bounds { low: some(low).unwrap_or(least), high: some(high).unwrap_or(most) })
}

/// Two arrays of integers or truth values, broadcast, value by value.
pub(super) fn zip_arrays<A: Clone, B: Clone, T>(
    a: &ArrayD<A>,
    b: &ArrayD<B>,
    function: impl Fn(&A, &B) -> T,
) -> Outcome<ArrayD<T>> {
    let shape = broadcast(a.shape(), b.shape())?;
    match (a.broadcast(shape.clone()), b.broadcast(shape)) {
        (Some(a), Some(b)) => Ok(Zip::from(a).and(b).map_collect(function)),
        _ => refuse("shapes do not fit together"),
    }
}

/// Arithmetic of two values.
pub(super) fn binary(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let operator = node.operator.as_str();
    match (inputs.take(0)?, inputs.take(1)?) {
        (Value::Float(a), Value::Float(b)) => Ok(float(float_arithmetic(operator, a, b)?)),
        (Value::Int(a), Value::Int(b)) => Ok(vec![Value::Int(int_arithmetic(operator, &a, &b)?)]),
        // Powers may be of another type than what is raised.
        (Value::Float(a), Value::Int(b)) if operator == "Pow" => {
            let shape = b.shape().to_vec();
            let values = b.into_iter().map(|value| value as f32).collect();
            let b = Floats::new(values, shape, &inputs.device)?;
            Ok(float(float_arithmetic(operator, a, b)?))
        }
        (a, b) => refuse(format!("{} and {}", a.kind(), b.kind())),
    }
}

fn float_arithmetic(operator: &str, a: Floats, b: Floats) -> Outcome<Floats> {
    // A number that is known is cheaper than a tensor, where it does not add axes.
    if let Some(number) = b.single().filter(|_| b.rank() <= a.rank()) {
        return Ok(a.map(|a| match operator {
            "Add" => a + number,
            "Sub" => a - number,
            "Mul" => a * number,
            "Div" => a / number,
            _ if number == 2.0 => a.clone() * a,
            // burn takes a whole exponent for an integer of 64 bits, and fails if it is none.
            _ if number.abs() < 1e9 => a.powf_scalar(number),
            _ => {
                let power = a.full_like(number);
                a.powf(power)
            }
        }));
    }
    if let Some(number) = a.single().filter(|_| a.rank() <= b.rank()) {
        match operator {
            "Add" => return Ok(b.map(|b| b + number)),
            "Sub" => return Ok(b.map(|b| -b + number)),
            "Mul" => return Ok(b.map(|b| b * number)),
            "Div" => return Ok(b.map(|b| b.recip() * number)),
            _ => {}
        }
    }
    a.zip(b, |a, b| match operator {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        _ => a.powf(b),
    })
}

fn int_arithmetic(operator: &str, a: &ArrayD<i64>, b: &ArrayD<i64>) -> Outcome<ArrayD<i64>> {
    if operator == "Div" && b.iter().any(|divisor| *divisor == 0) {
        return refuse("a division of integers by zero");
    }
    zip_arrays(a, b, |a, b| match operator {
        "Add" => a.wrapping_add(*b),
        "Sub" => a.wrapping_sub(*b),
        "Mul" => a.wrapping_mul(*b),
        "Div" => a.wrapping_div(*b),
        _ => u32::try_from(*b).map_or(0, |b| a.wrapping_pow(b)),
    })
}

pub(super) fn modulo(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let truncates = node.flag("fmod", false);
    match (inputs.take(0)?, inputs.take(1)?) {
        (Value::Float(a), Value::Float(b)) => Ok(float(a.zip(b, |a, b| {
            let quotient = a.clone() / b.clone();
            let whole = quotient.clone().sign() * quotient.abs().floor();
            // Nothing times infinity is no number.
            let none = whole.clone().equal_scalar(0.0f32);
            let rest = a - (whole * b.clone()).mask_fill(none, 0.0);
            if truncates {
                return rest;
            }
            let turned = (rest.clone() * b.clone()).lower_scalar(0.0f32);
            rest.clone().mask_where(turned, rest + b)
        })?)),
        (Value::Int(a), Value::Int(b)) => {
            if b.iter().any(|divisor| *divisor == 0) {
                return refuse("a division of integers by zero");
            }
            let ints = zip_arrays(&a, &b, |a, b| {
                let rest = a.wrapping_rem(*b);
                let turned = !truncates && rest != 0 && (rest < 0) != (*b < 0);
                if turned { rest + b } else { rest }
            })?;
            Ok(vec![Value::Int(ints)])
        }
        (a, b) => refuse(format!("{} and {}", a.kind(), b.kind())),
    }
}

/// The largest, smallest, sum or mean of any number of inputs.
pub(super) fn variadic(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let operator = node.operator.as_str();
    let mut values = inputs.take_all().into_iter();
    let Some(first) = values.next() else { return refuse("it has no inputs") };
    let count = values.len() + 1;
    let all = values.try_fold(first, |so_far, next| match (so_far, next) {
        (Value::Float(a), Value::Float(b)) => {
            let shape = broadcast(a.shape(), b.shape())?;
            let (a, b) = (a.expand(shape.clone())?, b.expand(shape)?);
            Ok(Value::Float(a.zip(b, |a, b| match operator {
                "Max" => a.max_pair(b),
                "Min" => a.min_pair(b),
                _ => a + b,
            })?))
        }
        (Value::Int(a), Value::Int(b)) => {
            Ok(Value::Int(zip_arrays(&a, &b, |a, b| match operator {
                "Max" => *a.max(b),
                "Min" => *a.min(b),
                _ => a.wrapping_add(*b),
            })?))
        }
        (a, b) => refuse(format!("{} and {}", a.kind(), b.kind())),
    })?;
    Ok(vec![match all {
        Value::Float(sum) if operator == "Mean" => Value::Float(sum.map(|sum| sum / count as f32)),
        other => other,
    }])
}
