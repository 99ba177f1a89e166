//! What tells how far an answer can be trusted, inside the graph: sets of genres and the outsider
//! score, both behind the outputs that it has.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::input::Input;
use crate::error::{Error, Result};
use crate::metrics::{LEAST, mean_probabilities};
use crate::onnx;
use crate::onnx::names::{EMBEDDINGS, OUTSIDER, PROBABILITIES, PROJECTION, SET};
use crate::onnx::nodes::{Size, int, sized_port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::onnx::prune::rename;
use crate::run::{Outsider, Trust, nearest, percentile};

/// What the outputs are computed from, and what they are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// What is projected.
    embeddings: &'static str,
    /// Whether answers are of recordings, and not of patches.
    is_of_recordings: bool,
    /// Whether a recording has several rows, to be averaged.
    is_averaged: bool,
}

impl Source {
    /// Of a network's file that takes this.
    pub fn of(input: Input) -> Self {
        let is_clip = input == Input::Clip;
        Self { embeddings: EMBEDDINGS, is_of_recordings: is_clip, is_averaged: is_clip }
    }

    /// Of a file that takes rows of hand-made features, each a recording or a window of one.
    pub fn rows(features: &'static str, is_of_recordings: bool) -> Self {
        Self { embeddings: features, is_of_recordings, is_averaged: false }
    }
}

/// Makes the probabilities of a file that takes recordings those at a temperature.
pub(crate) fn temper(model: &mut ModelProto, temperature: f64) {
    const PLAIN: &str = "plain_probabilities";
    let opset = opset::of(model);
    rename(model, &BTreeMap::from([(PROBABILITIES.to_owned(), PLAIN.to_owned())]));
    let Some(graph) = &mut model.graph else { return };
    let mut builder = Builder::new("temperature", opset);
    tempered(&mut builder, PLAIN, PROBABILITIES, temperature);
    builder.append_to(graph);
    for port in graph.output.iter_mut().filter(|port| port.name == PLAIN) {
        port.name = PROBABILITIES.to_owned();
    }
}

/// What a softmax gives for the logits of probabilities `[batch, classes]`, divided by
/// `temperature`.
pub(super) fn tempered(builder: &mut Builder, from: &str, to: &str, temperature: f64) {
    let least = builder.floats("least", &[1], &[f64::from(LEAST)]);
    let positive = builder.node("Add", &[from, &least], "positive", vec![]);
    let logits = builder.node("Log", &[&positive], "logits", vec![]);
    softened(builder, &logits, to, temperature);
}

/// What a softmax gives for logits `[batch, classes]`, divided by `temperature`.
pub(super) fn softened(builder: &mut Builder, logits: &str, to: &str, temperature: f64) {
    let inverse = builder.floats("inverse_temperature", &[1], &[1.0 / temperature]);
    let divided = builder.node("Mul", &[logits, &inverse], "divided", vec![]);
    builder.output("Softmax", &[&divided], to, vec![int("axis", 1)]);
}

/// Adds the outputs `set` `[batch, classes]` (1 for the genres among which the right one is with
/// this coverage, else 0) and, where something tells outsiders, `outsider` `[batch, 1]` (the share
/// of known patches, or recordings, that are nearer to what was learned from) and `projection`
/// `[batch, directions]`, whose mean over a recording's patches is what a recording is judged by.
/// Of a model for recordings the first two are of the recording, and the third of its patches.
///
/// # Errors
/// [`Error::Onnx`] if the graph does not have the outputs that these are computed from.
pub(crate) fn append(
    path: &Path,
    model: &mut ModelProto,
    trust: &Trust,
    coverage: f64,
    source: Source,
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
    let patches = if source.is_averaged { Size::Free("patches") } else { answers };
    let thresholds = thresholds(trust, coverage, source);
    let mut builder = Builder::new("trust", opset);
    set(&mut builder, &thresholds);
    let mut outputs = vec![sized_port(SET, [answers, classes])];
    if let Some(found) = &trust.outsider {
        outsider(&mut builder, found, source);
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
    pub source: Source,
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
        let Self { trust, coverage, source } = self;
        let set = doubt.set.as_ref().ok_or("there are no sets")?;
        let thresholds = thresholds(trust, *coverage, *source);
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
        let known = known(found, *source);
        let places = if source.is_averaged {
            mean_probabilities(&wanted, found.directions())
        } else {
            wanted
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
fn thresholds(trust: &Trust, coverage: f64, source: Source) -> Vec<f32> {
    if source.is_of_recordings {
        trust.track_thresholds(coverage)
    } else {
        trust.patch_thresholds(coverage)
    }
}

/// Distances of known recordings or, where the file takes patches, of patches.
fn known(found: &Outsider, source: Source) -> &[f32] {
    if source.is_of_recordings { &found.track_distances } else { &found.patch_distances }
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
fn outsider(builder: &mut Builder, found: &Outsider, source: Source) {
    let Source { embeddings, is_averaged, .. } = source;
    let distances = known(found, source);
    let (directions, genres) = (found.directions(), found.centers.len());
    let features = found.projection.len() / directions;
    let weight = builder.weights("directions", &[features, directions], &found.projection);
    let bias = builder.weights("bias", &[directions], &found.bias);
    builder.output("Gemm", &[embeddings, &weight, &bias], PROJECTION, vec![]);
    if is_averaged {
        builder.reduce("ReduceMean", PROJECTION, "trust.place", &[0], true);
    }
    let place = if is_averaged { "trust.place" } else { PROJECTION };
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
