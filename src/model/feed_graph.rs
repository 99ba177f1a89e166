//! What [`Feed`] does outside a backbone's graph, as nodes inside one: from patches as trainings
//! keep them to the backbone's input, and from its answer to one embedding a patch.

use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

use super::feed::Feed;
use crate::error::{Error, Result};
use crate::onnx;
use crate::onnx::nodes::{int, ints};
use crate::onnx::piece::Builder;
use crate::runtime::Pool;

/// What stands before and behind the graph of a backbone's file.
pub(crate) struct Ends<'a> {
    feed: &'a Feed,
    /// Element types of the graph's input and output.
    given: i32,
    answered: i32,
    /// Axes of the output.
    rank: usize,
}

impl<'a> Ends<'a> {
    /// Those of `model`, the file at `path`, fed so.
    ///
    /// # Errors
    /// [`Error::Onnx`] if it has no such output, or nobody knows the axes of one that is to be
    /// pooled.
    pub fn of(path: &Path, model: &ModelProto, feed: &'a Feed) -> Result<Self> {
        let source = onnx::input(model, path)?.name;
        let graph = onnx::graph(path, model)?;
        let declared = onnx::output(model, path, Some(&feed.output))?.dims.len();
        Ok(Self {
            feed,
            given: element_type(&graph.input, &source),
            answered: element_type(&graph.output, &feed.output),
            rank: rank(path, feed, declared)?,
        })
    }

    /// Nodes from the patches `from` to `to`, in the arrangement and the numbers that the
    /// backbone wants.
    pub fn arrange(&self, builder: &mut Builder, from: &str, to: &str) {
        let input = &self.feed.input;
        let count = input.batch.map_or(-1, |batch| batch as i64);
        let mut last = from.to_owned();
        if input.is_turned() {
            let parts = input.parts.iter().map(|size| *size as i64);
            let parts: Vec<i64> = std::iter::once(count).chain(parts).collect();
            last = builder.reshape(&last, "parted", &parts);
            let order = input.order.map(|axis| axis as i64);
            last = builder.node("Transpose", &[&last], "turned", vec![ints("perm", &order)]);
        }
        if self.given != DataType::Float as i32 {
            last = builder.node("Cast", &[&last], "cast", vec![int("to", self.given.into())]);
        }
        let mut shape: Vec<i64> = input.shape.iter().map(|size| *size as i64).collect();
        if let Some(axis) = input.batch_axis {
            shape.insert(axis.min(shape.len()), count);
        }
        let shape = builder.integers("shape", &[shape.len()], &shape);
        builder.output("Reshape", &[&last, &shape], to, vec![]);
    }

    /// Nodes from the backbone's `answer` to the embeddings `to`, `[batch, features]`.
    pub fn embeddings(&self, builder: &mut Builder, answer: &str, to: &str) {
        let feed = self.feed;
        let answer = self.as_floats(builder, answer);
        // With one patch at a time no axis is the batch's.
        let first = usize::from(!feed.is_single());
        let others: Vec<i64> =
            (first..self.rank).filter(|axis| *axis != feed.axis).map(|axis| axis as i64).collect();
        let pooled = match feed.pool {
            // Without axes, it would be over all.
            Some(_) if others.is_empty() => answer,
            Some(Pool::Mean) => builder.reduced("ReduceMean", &answer, "pooled", &others),
            Some(Pool::Max) => builder.reduced("ReduceMax", &answer, "pooled", &others),
            Some(Pool::First) => first_of(builder, &answer, &others),
            None => answer,
        };
        if feed.is_single() {
            let row = builder.integers("row", &[2], &[1, -1]);
            builder.output("Reshape", &[&pooled, &row], to, vec![]);
        } else {
            builder.output("Flatten", &[&pooled], to, vec![int("axis", 1)]);
        }
    }

    fn as_floats(&self, builder: &mut Builder, answer: &str) -> String {
        if self.answered == DataType::Float as i32 {
            return answer.to_owned();
        }
        builder.node("Cast", &[answer], "floats", vec![int("to", DataType::Float as i64)])
    }
}

/// How many axes the output has: what was seen of it counts before the `declared` ones, which
/// need not be there.
fn rank(path: &Path, feed: &Feed, declared: usize) -> Result<usize> {
    match feed.rank {
        Some(rank) => Ok(rank),
        None if declared == 0 && feed.pool.is_some() => {
            let reason = format!(
                "it does not declare the shape of its output \"{}\", and the run, of an older \
                 version, does not say it either; train it again",
                feed.output
            );
            Err(Error::onnx(path, reason))
        }
        None => Ok(declared),
    }
}

/// The element type of the port called so.
fn element_type(ports: &[ValueInfoProto], name: &str) -> i32 {
    let value = ports.iter().find(|port| port.name == name).and_then(|port| port.r#type.as_ref());
    match value.and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor.elem_type,
        None => DataType::Float as i32,
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
