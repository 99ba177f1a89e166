//! What tells how far an answer can be trusted, inside the graph: sets of genres and the outsider
//! score, both behind the outputs that it has.

use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::input::Input;
use crate::error::{Error, Result};
use crate::metrics::mean_probabilities;
use crate::onnx;
use crate::onnx::names::{EMBEDDINGS, OUTSIDER, PROBABILITIES, PROJECTION, SET};
use crate::onnx::nodes::{Size, int, sized_port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::run::{Outsider, Trust, nearest, percentile};

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
    let thresholds = thresholds(trust, coverage, input);
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

/// What an exported file says of how far its answers can be trusted: values of its outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Doubt {
    pub set: Option<Vec<f32>>,
    pub outsider: Option<Vec<f32>>,
    pub projection: Option<Vec<f32>>,
}

/// What these outputs are held to.
pub(super) struct Trusted {
    pub trust: Trust,
    pub coverage: f64,
    pub input: Input,
}

/// How far a probability or, of what it is, a distance may be off where it is compared with one that
/// is known.
const SLACK: f32 = 1e-3;

impl Trusted {
    /// What is wrong with outputs that were computed from these probabilities and embeddings.
    pub fn check(
        &self,
        probabilities: &[f32],
        embeddings: &[f32],
        doubt: &Doubt,
    ) -> Result<(), String> {
        let Self { trust, coverage, input } = self;
        let set = doubt.set.as_ref().ok_or("there are no sets")?;
        let thresholds = thresholds(trust, *coverage, *input);
        let is_wrong = |(at, (p, within)): (usize, (&f32, &f32))| {
            let least = thresholds[at % thresholds.len()];
            (p - least).abs() > SLACK * least && (*within == 1.0) != (*p >= least)
        };
        let mut pairs = probabilities.iter().zip(set).enumerate();
        if set.len() != probabilities.len() || pairs.any(is_wrong) {
            return Err("the set of an answer is not that of its probabilities".to_owned());
        }
        let Some(found) = &trust.outsider else { return Ok(()) };
        let projection = doubt.projection.as_ref().ok_or("there are no projections")?;
        let outsider = doubt.outsider.as_ref().ok_or("there is no outsider score")?;
        let features = found.projection.len() / found.directions();
        let wanted: Vec<f32> =
            embeddings.chunks_exact(features).flat_map(|row| found.project(row)).collect();
        let largest = wanted.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
        let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= SLACK * largest;
        if wanted.len() != projection.len() || !wanted.iter().zip(projection).all(is_near) {
            return Err("the projection of an embedding is another one".to_owned());
        }
        let (places, known) = match input {
            Input::Clip => {
                (mean_probabilities(&wanted, found.directions()), &found.track_distances)
            }
            _ => (wanted, &found.patch_distances),
        };
        let places = places.chunks_exact(found.directions());
        let is_right = |(place, given): (&[f32], &f32)| {
            let distance = nearest(place, &found.centers);
            let [least, most] = [-1.0, 1.0].map(|side| {
                percentile(distance * (1.0 + side * 10.0 * SLACK) + side * SLACK, known)
            });
            (least - SLACK..=most + SLACK).contains(given)
        };
        if places.len() == outsider.len() && places.zip(outsider).all(is_right) {
            Ok(())
        } else {
            Err("the outsider score is not that of the embeddings".to_owned())
        }
    }
}

/// The probabilities from which on genres are in the set of a recording or, where the file takes
/// patches, of a patch.
fn thresholds(trust: &Trust, coverage: f64, input: Input) -> Vec<f32> {
    match input {
        Input::Clip => trust.promise(coverage, None).set_thresholds,
        _ => trust.patch_thresholds(coverage),
    }
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
