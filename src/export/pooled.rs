//! From a backbone's answer to one embedding a patch, inside the graph.

use crate::model::Feed;
use crate::onnx::names::EMBEDDINGS;
use crate::onnx::nodes::{int, ints};
use crate::onnx::piece::Builder;
use crate::runtime::Pool;

/// Since this opset the axes of a mean or maximum are an input.
const AXES_AS_INPUT: i64 = 18;

/// Nodes from `answer`, which has `rank` axes, to the output `embeddings` `[batch, features]`,
/// in a graph of this opset: what [`Feed::embed`] does outside it.
pub(super) fn embeddings(
    builder: &mut Builder,
    opset: i64,
    feed: &Feed,
    rank: usize,
    answer: &str,
) {
    // With one patch at a time no axis is the batch's.
    let first = usize::from(!feed.is_single());
    let others: Vec<i64> =
        (first..rank).filter(|axis| *axis != feed.axis).map(|axis| axis as i64).collect();
    let pooled = match feed.pool {
        Some(Pool::Mean) => reduced(builder, opset, "ReduceMean", answer, &others),
        Some(Pool::Max) => reduced(builder, opset, "ReduceMax", answer, &others),
        Some(Pool::First) => first_of(builder, answer, &others),
        None => answer.to_owned(),
    };
    if feed.is_single() {
        let row = builder.integers("row", &[2], &[1, -1]);
        builder.output("Reshape", &[&pooled, &row], EMBEDDINGS, vec![]);
    } else {
        builder.output("Flatten", &[&pooled], EMBEDDINGS, vec![int("axis", 1)]);
    }
}

/// The mean or maximum over `axes`, which go.
fn reduced(builder: &mut Builder, opset: i64, operator: &str, from: &str, axes: &[i64]) -> String {
    if axes.is_empty() {
        return from.to_owned();
    }
    if opset >= AXES_AS_INPUT {
        let axes = builder.integers("pool.axes", &[axes.len()], axes);
        builder.node(operator, &[from, &axes], "pooled", vec![int("keepdims", 0)])
    } else {
        let attributes = vec![ints("axes", axes), int("keepdims", 0)];
        builder.node(operator, &[from], "pooled", attributes)
    }
}

/// The first entry along each of `axes`, which go.
fn first_of(builder: &mut Builder, from: &str, axes: &[i64]) -> String {
    let zero = builder.integers("pool.first", &[], &[0]);
    let mut last = from.to_owned();
    // From the last on, so that the places of those before stay.
    for axis in axes.iter().rev() {
        let name = format!("pooled.{axis}");
        last = builder.node("Gather", &[&last, &zero], &name, vec![int("axis", *axis)]);
    }
    last
}
