//! What follows a convolution becomes part of it.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;

use super::adopt::{constant, floats};
use super::operators::{Convolution, Pooling};
use crate::kernels::{Bounds, Ending};

/// Takes activations, scales and shifts that follow convolutions of ours, and columns that a
/// pooling behind them skips, into these. `model` is simplified.
pub(in super::super) fn fuse(model: &mut TypedModel) -> TractResult<()> {
    let mut id = 0;
    // What is made stands behind all others, and is looked at in its turn.
    while id < model.nodes().len() {
        if let Some(patch) = with_follower(model, id)? {
            patch.apply(model)?;
        }
        id += 1;
    }
    model.compact()
}

/// A convolution of ours and the node behind it in one, or made less.
fn with_follower(model: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = model.node(id);
    let Some(convolution) = node.op_as::<Convolution>() else { return Ok(None) };
    let &[only] = &node.outputs[0].successors[..] else { return Ok(None) };
    if model.output_outlets()?.contains(&id.into()) {
        return Ok(None);
    }
    let follower = model.node(only.node);
    if let Some(ending) = with(model, convolution, follower, only.slot)? {
        let whole = Convolution { ending, ..convolution.clone() };
        let patch = TypedModelPatch::replace_single_op(model, follower, &node.inputs, whole)?;
        return Ok(Some(patch));
    }
    let Some((convolution, pooling)) = unskipped(convolution, follower) else { return Ok(None) };
    let mut patch = TypedModelPatch::default();
    let wire = patch.tap_model(model, node.inputs[0])?;
    let wire = patch.wire_node(&node.name, convolution, &[wire])?;
    let wire = patch.wire_node(&follower.name, pooling, &wire)?;
    patch.shunt_outside(model, follower.id.into(), wire[0])?;
    Ok(Some(patch))
}

/// The ending of a convolution together with the operator behind it, if they make one.
fn with(
    model: &TypedModel,
    convolution: &Convolution,
    follower: &TypedNode,
    slot: usize,
) -> TractResult<Option<Ending>> {
    let Some(TypedBinOp(op, None)) = follower.op_as::<TypedBinOp>() else { return Ok(None) };
    let &[left, right] = &follower.inputs[..] else { return Ok(None) };
    let operand = if slot == 0 { right } else { left };
    let Some(values) = constant(model, operand)? else { return Ok(None) };
    let values = floats(&values)?;
    let channels = model.outlet_fact(follower.id.into())?.shape[3].to_usize()?;
    let shape = model.outlet_fact(operand)?.shape.as_concrete().map(<[usize]>::to_vec);
    let by_channel = shape.as_deref() == Some(&[1, 1, 1, channels]);
    if values.len() != 1 && !by_channel {
        return Ok(None);
    }
    // It must not make the answer larger than the map.
    if model.outlet_fact(follower.id.into())?.shape
        != model.outlet_fact(follower.inputs[slot])?.shape
    {
        return Ok(None);
    }
    Ok(followed_by(&convolution.ending, op.name(), values, channels))
}

/// The ending and what `operator` does with `values`, one or one a channel, where that is exact but
/// for rounding: bounds, a scale, a shift, in this order, as activations and batch normalization
/// come.
fn followed_by(ending: &Ending, operator: &str, values: &[f32], channels: usize) -> Option<Ending> {
    let Bounds { low, high } = ending.bounds;
    let of_all = || match *values {
        [value] => vec![value; channels],
        _ => values.to_vec(),
    };
    // Infinity times the nothing that is not there would be no number.
    let finite = values.iter().all(|value| value.is_finite());
    let bounds = match (operator, &ending.affine) {
        ("Max", None) => {
            let least = same(values)?;
            Bounds { low: low.max(least), high: high.max(least) }
        }
        ("Min", None) => {
            let most = same(values)?;
            Bounds { low: low.min(most), high: high.min(most) }
        }
        _ => ending.bounds,
    };
    let affine = match (operator, &ending.affine) {
        ("Max" | "Min", None) => None,
        ("Mul", None) if finite => Some([of_all(), vec![0.0; channels]]),
        ("Add", None) if finite => Some([vec![1.0; channels], of_all()]),
        ("Add", Some([scale, shift])) if finite && shift.iter().all(|shift| *shift == 0.0) => {
            Some([scale.clone(), of_all()])
        }
        _ => return None,
    };
    Some(Ending { bounds, affine })
}

/// The value that all are, if it is a number.
fn same(values: &[f32]) -> Option<f32> {
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}

/// A convolution without the rows or columns that the pooling behind it skips, because its window
/// sees one and then steps further, and that pooling.
fn unskipped(convolution: &Convolution, follower: &TypedNode) -> Option<(Convolution, Pooling)> {
    let (mut convolution, mut pooling) =
        (convolution.clone(), follower.op_as::<Pooling>()?.clone());
    let before = pooling.window;
    for axis in 0..2 {
        if before.kernel[axis] == 1 && before.padding[axis] == (0, 0) {
            let stride = convolution.window.stride[axis].checked_mul(before.stride[axis])?;
            convolution.window.stride[axis] = stride;
            pooling.window.stride[axis] = 1;
        }
    }
    (pooling.window != before).then_some((convolution, pooling))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(low: f32, high: f32) -> Ending {
        Ending { bounds: Bounds { low, high }, affine: None }
    }

    #[test]
    fn bounds_in_any_order_are_the_ones_that_count() {
        let clipped = followed_by(&bounded(0.0, f32::INFINITY), "Min", &[6.0], 2).unwrap();
        assert_eq!(clipped, bounded(0.0, 6.0));
        // The later one wins where they cross.
        assert_eq!(followed_by(&clipped, "Max", &[8.0], 2).unwrap(), bounded(8.0, 8.0));
        assert_eq!(followed_by(&clipped, "Max", &[f32::NAN], 2), None);
        assert_eq!(followed_by(&clipped, "Max", &[1.0, 2.0], 2), None);
    }

    #[test]
    fn a_scale_and_a_shift_are_taken_once_and_if_they_are_numbers() {
        let scaled = followed_by(&Ending::NONE, "Mul", &[2.0, 3.0], 2).unwrap();
        assert_eq!(scaled.affine, Some([vec![2.0, 3.0], vec![0.0; 2]]));
        let shifted = followed_by(&scaled, "Add", &[5.0], 2).unwrap();
        assert_eq!(shifted.affine, Some([vec![2.0, 3.0], vec![5.0; 2]]));
        // Each of these would be another number than one after the other.
        assert_eq!(followed_by(&shifted, "Mul", &[2.0], 2), None);
        assert_eq!(followed_by(&shifted, "Add", &[1e30], 2), None);
        assert_eq!(followed_by(&shifted, "Max", &[0.0], 2), None);
        assert_eq!(followed_by(&Ending::NONE, "Mul", &[f32::INFINITY], 2), None);
        assert_eq!(followed_by(&Ending::NONE, "Add", &[f32::NAN], 2), None);
    }
}
