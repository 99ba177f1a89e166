//! What tells how far an answer can be trusted, inside the graph: sets of genres and the outsider
//! score, both behind the outputs that it has.

use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::input::Input;
use crate::error::{Error, Result};
use crate::onnx;
use crate::onnx::names::{EMBEDDINGS, OUTSIDER, PROBABILITIES, PROJECTION, SET};
use crate::onnx::nodes::{Size, int, sized_port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::run::{Outsider, Trust};

/// Adds the outputs `set` `[batch, classes]` (1 for the genres among which the right one is with
/// this coverage, else 0) and, where something tells outsiders, `outsider` `[batch, 1]` (the share
/// of known patches, or recordings, that are nearer to what was learned from) and `projection`
/// `[batch, directions]`, whose mean over a recording's patches is what a recording is judged by.
/// Of a model for recordings the first two are of the recording, and the third of its patches.
///
/// # Errors
/// [`Error::Onnx`] if the graph does not have the outputs that these are computed from.
pub(super) fn append(
    path: &Path,
    model: &mut ModelProto,
    trust: &Trust,
    coverage: f64,
    input: Input,
) -> Result<()> {
    let opset = opset::of(model);
    let ports = onnx::outputs(model, path)?;
    let find = |name: &str| {
        let port = ports.iter().find(|port| port.name == name);
        port.ok_or_else(|| Error::onnx(path, format!("it has no output \"{name}\"")))
    };
    let size = |axis: Option<&Option<usize>>, name| {
        axis.copied().flatten().map_or(Size::Free(name), Size::Fixed)
    };
    let probabilities = find(PROBABILITIES)?;
    let answers = size(probabilities.dims.first(), "batch");
    let classes = size(probabilities.dims.get(1), "classes");
    let patches = match input {
        Input::Clip => Size::Free("patches"),
        _ => size(find(EMBEDDINGS)?.dims.first(), "batch"),
    };
    let is_clip = input == Input::Clip;
    let thresholds = if is_clip {
        trust.promise(coverage, None).set_thresholds
    } else {
        trust.patch_thresholds(coverage)
    };
    let mut builder = Builder::new("trust", opset);
    set(&mut builder, &thresholds);
    let mut outputs = vec![sized_port(SET, [answers, classes])];
    if let Some(found) = &trust.outsider {
        let distances = if is_clip { &found.track_distances } else { &found.patch_distances };
        outsider(&mut builder, found, distances, is_clip);
        outputs.push(sized_port(OUTSIDER, [answers, Size::Fixed(1)]));
        outputs.push(sized_port(PROJECTION, [patches, Size::Fixed(found.directions())]));
    }
    let graph = onnx::graph_mut(path, model)?;
    builder.append_to(graph);
    graph.output.extend(outputs);
    Ok(())
}

/// 1 for the genres whose probability reaches its threshold.
fn set(builder: &mut Builder, thresholds: &[f32]) {
    // What reaches it is not less; `GreaterOrEqual` came late to ONNX.
    let thresholds = builder.weights("thresholds", &[1, thresholds.len()], thresholds);
    let below = builder.node("Less", &[PROBABILITIES, &thresholds], "below", vec![]);
    let within = builder.node("Not", &[&below], "within", vec![]);
    builder.output("Cast", &[&within], SET, vec![int("to", DataType::Float as i64)]);
}

/// From embeddings to projections, to the distance from the nearest center, `|z|² - 2 z·c + |c|²`,
/// to the share of known `distances` that are less.
fn outsider(builder: &mut Builder, found: &Outsider, distances: &[f32], is_clip: bool) {
    let (directions, genres) = (found.directions(), found.centers.len());
    let features = found.projection.len() / directions;
    let weight = builder.weights("directions", &[features, directions], &found.projection);
    let bias = builder.weights("bias", &[directions], &found.bias);
    builder.output("Gemm", &[EMBEDDINGS, &weight, &bias], PROJECTION, vec![]);
    if is_clip {
        builder.reduce("ReduceMean", PROJECTION, "trust.place", &[0], true);
    }
    let place = if is_clip { "trust.place" } else { PROJECTION };
    let square = builder.node("Mul", &[place, place], "square", vec![]);
    builder.reduce("ReduceMean", &square, "trust.mean_square", &[1], true);
    let count = builder.floats("count", &[1], &[directions as f64]);
    let length = builder.node("Mul", &["trust.mean_square", &count], "length", vec![]);
    let columns: Vec<f64> = (0..directions)
        .flat_map(|at| found.centers.iter().map(move |center| -2.0 * f64::from(center[at])))
        .collect();
    let squared = |center: &Vec<f32>| center.iter().map(|v| f64::from(*v).powi(2)).sum();
    let squares: Vec<f64> = found.centers.iter().map(squared).collect();
    let columns = builder.floats("centers", &[directions, genres], &columns);
    let squares = builder.floats("centers.length", &[genres], &squares);
    let turned = builder.node("Gemm", &[place, &columns, &squares], "turned", vec![]);
    let each = builder.node("Add", &[&turned, &length], "distances", vec![]);
    builder.reduce("ReduceMin", &each, "trust.nearest", &[1], true);
    let known = builder.weights("known", &[1, distances.len()], distances);
    let nearer = builder.node("Less", &[&known, "trust.nearest"], "nearer", vec![]);
    let nearer =
        builder.node("Cast", &[&nearer], "nearer.count", vec![int("to", DataType::Float as i64)]);
    builder.reduce("ReduceMean", &nearer, "trust.share", &[1], true);
    // Of one more than there are: see `run::percentile`.
    let ratio = distances.len() as f64 / (distances.len() + 1) as f64;
    let ratio = builder.floats("ratio", &[1], &[ratio]);
    builder.output("Mul", &["trust.share", &ratio], OUTSIDER, vec![]);
}
