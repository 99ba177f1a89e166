//! What follows a convolution becomes part of it.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;

use super::adopt::constant;
use super::operators::{Convolution, Pooling};
use crate::kernels::{Bounds, Ending};

/// Takes activations, scales and shifts that follow convolutions of ours, and columns that a
/// pooling behind them skips, into these. `model` is simplified.
pub(in super::super) fn fuse(model: &mut TypedModel) -> TractResult<()> {
    while let Some(patch) = next(model)? {
        patch.apply(model)?;
        model.compact()?;
    }
    Ok(())
}

fn next(model: &TypedModel) -> TractResult<Option<TypedModelPatch>> {
    for node in model.nodes() {
        let Some(convolution) = node.op_as::<Convolution>() else { continue };
        let &[only] = &node.outputs[0].successors[..] else { continue };
        if model.output_outlets()?.contains(&node.id.into()) {
            continue;
        }
        let follower = model.node(only.node);
        if let Some(ending) = with(model, convolution, follower, only.slot)? {
            let whole = Convolution { ending, ..convolution.clone() };
            let patch = TypedModelPatch::replace_single_op(model, follower, &node.inputs, whole)?;
            return Ok(Some(patch));
        }
        if let Some((convolution, pooling)) = unskipped(convolution, follower) {
            let mut patch = TypedModelPatch::default();
            let wire = patch.tap_model(model, node.inputs[0])?;
            let wire = patch.wire_node(&node.name, convolution, &[wire])?;
            let wire = patch.wire_node(&follower.name, pooling, &wire)?;
            patch.shunt_outside(model, follower.id.into(), wire[0])?;
            return Ok(Some(patch));
        }
    }
    Ok(None)
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
    let of_all = |values: Vec<f32>| match values[..] {
        [value] => vec![value; channels],
        _ => values,
    };
    let Ending { bounds: Bounds { low, high }, affine } = convolution.ending.clone();
    let one = || [vec![1.0; channels], vec![0.0; channels]];
    Ok(match (op.name(), affine) {
        ("Max", None) => same(&values).map(|least| Ending {
            bounds: Bounds { low: low.max(least), high: high.max(least) },
            affine: None,
        }),
        ("Min", None) => same(&values).map(|most| Ending {
            bounds: Bounds { low: low.min(most), high: high.min(most) },
            affine: None,
        }),
        ("Mul", affine) => {
            let [mut scale, mut shift] = affine.unwrap_or_else(one);
            for ((scale, shift), by) in scale.iter_mut().zip(&mut shift).zip(of_all(values)) {
                (*scale, *shift) = (*scale * by, *shift * by);
            }
            Some(Ending { bounds: Bounds { low, high }, affine: Some([scale, shift]) })
        }
        ("Add", affine) => {
            let [scale, mut shift] = affine.unwrap_or_else(one);
            shift.iter_mut().zip(of_all(values)).for_each(|(shift, by)| *shift += by);
            Some(Ending { bounds: Bounds { low, high }, affine: Some([scale, shift]) })
        }
        _ => None,
    })
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
            convolution.window.stride[axis] *= before.stride[axis];
            pooling.window.stride[axis] = 1;
        }
    }
    (pooling.window != before).then_some((convolution, pooling))
}
