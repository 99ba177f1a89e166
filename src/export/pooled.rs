//! From a backbone's answer to one embedding a patch, inside the graph.

use crate::model::Feed;
use crate::onnx::names::EMBEDDINGS;
use crate::onnx::nodes::int;
use crate::onnx::piece::Builder;
use crate::runtime::Pool;

/// Nodes from `answer`, which has `rank` axes, to the output `embeddings` `[batch, features]`:
/// what [`Feed::embed`] does outside the graph.
pub(super) fn embeddings(builder: &mut Builder, feed: &Feed, rank: usize, answer: &str) {
    // With one patch at a time no axis is the batch's.
    let first = usize::from(!feed.is_single());
    let others: Vec<i64> =
        (first..rank).filter(|axis| *axis != feed.axis).map(|axis| axis as i64).collect();
    let pooled = match feed.pool {
        // Without axes, it would be over all.
        Some(_) if others.is_empty() => answer.to_owned(),
        Some(Pool::Mean) => builder.reduced("ReduceMean", answer, "pooled", &others),
        Some(Pool::Max) => builder.reduced("ReduceMax", answer, "pooled", &others),
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
