//! Trained runs to self-contained ONNX files, proved before they appear.
//!
//! Input `log_mel` `[batch, frames, mels]`; outputs `probabilities` `[batch,
//! classes]` and `embeddings` `[batch, features]`; opset 18 or lower, no external
//! data. What another program needs to use the file stands in its metadata: see
//! [`metadata`].

mod burn_graph;
pub(crate) mod splice;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

use crate::model::Head;
use crate::model::import::{data_input, output_name};
use crate::runtime::{self, PatchInput, Runtime, Session};
use crate::train::{Run, Trained};
use crate::{Error, Result, files, onnx};

/// Name of the model's input.
pub const INPUT: &str = "log_mel";
/// Names of the model's outputs.
pub const OUTPUTS: [&str; 2] = ["probabilities", "embeddings"];

/// The largest difference of a probability between a runtime and the trained model.
pub const TOLERANCE: f32 = 1e-4;

/// The newest opset that an exported file may need.
const NEWEST_OPSET: i64 = 18;

/// How one runtime agrees with the trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The runtime.
    pub runtime: Runtime,
    /// The largest difference of a probability; none if it could not be run.
    pub max_abs_difference: Option<f32>,
    /// Why it could not be run.
    pub reason: Option<String>,
}

/// An exported file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its digest: the same run gives the same.
    pub sha256: String,
    /// The operator set it needs.
    pub opset: i64,
    /// How the runtimes agree with the trained model.
    pub agreement: Vec<Agreement>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = self.bytes as f64 / 1e6;
        writeln!(f, "{} ({mb:.1} MB, opset {})", self.path.display(), self.opset)?;
        for Agreement { runtime, max_abs_difference, reason } in &self.agreement {
            match (max_abs_difference, reason) {
                (Some(difference), _) => {
                    writeln!(
                        f,
                        "  {runtime}: agrees with the trained model within {difference:.1e}"
                    )?;
                }
                (None, reason) => {
                    writeln!(f, "  not checked in {}", reason.as_deref().unwrap_or("it"))?;
                }
            }
        }
        Ok(())
    }
}

/// Exports `run` to `destination`: written beside it, checked in tract, and in ort
/// where that is installed, and only then renamed into place.
///
/// # Errors
/// [`Error::Onnx`] if a runtime differs by more than [`TOLERANCE`]; errors of the
/// run's files and of `destination`'s folder. Nothing is left behind then.
pub fn export(run: &Run, destination: &Path) -> Result<Exported> {
    let device = Device::flex();
    let front_end = run.front_end()?;
    let trained = run.model(&device)?;
    // Before the export, which moves a batch normalization's statistics, shared between
    // clones of a module, to a device that cannot compute.
    let probes = Probe::all(&trained, run, [front_end.patch_frames, front_end.mels])?;
    let mut model = match &trained {
        Trained::Burn(model) => burn_graph::of(model, &front_end, destination)?,
        Trained::OnnxBackbone(path, head) => {
            let output = run.config()?.output;
            splice::append_head(path, output.as_deref(), head, &front_end)?
        }
    };
    model.producer_name = env!("CARGO_PKG_NAME").to_owned();
    model.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    model.metadata_props = entries(metadata(run)?);
    let opset =
        model.opset_import.iter().filter(|set| set.domain.is_empty()).map(|set| set.version);
    let opset = opset.max().unwrap_or(0);
    if opset > NEWEST_OPSET {
        return Err(Error::onnx(
            destination,
            format!(
                "the backbone needs opset {opset}; convert it to {NEWEST_OPSET} or lower first"
            ),
        ));
    }
    let part = files::part_beside(destination, ".onnx")?;
    std::fs::write(part.path(), model.encode_to_vec()).map_err(Error::io(destination))?;
    drop(model);
    let agreement = verify(part.path(), &probes)
        .map_err(|error| name_destination(error, part.path(), destination))?;
    let bytes = std::fs::metadata(part.path()).map_err(Error::io(destination))?.len();
    let sha256 = files::sha256(part.path())?;
    part.as_file().sync_all().map_err(Error::io(destination))?;
    part.persist(destination).map_err(|e| Error::io(destination)(e.error))?;
    Ok(Exported { path: destination.to_owned(), bytes, sha256, opset, agreement })
}

/// Errors about the temporary file are about the destination, for the user.
pub(crate) fn name_destination(error: Error, part: &Path, destination: &Path) -> Error {
    match error {
        Error::Onnx { path, reason } if path == part => Error::onnx(destination, reason),
        other => other,
    }
}

/// What stands in the file's metadata, each value JSON or plain text:
///
/// `labels` (array, in the order of `probabilities`), `front_end` (the object of
/// `preprocessor.json`), `license` and `backbone` (name, licence, digest),
/// `training_data`, `split` (method and seed), `metrics` (test and validation
/// results), `software`.
///
/// # Errors
/// Errors of the run's files.
pub fn metadata(run: &Run) -> Result<BTreeMap<&'static str, String>> {
    let (metrics, split) = (run.metrics()?, run.split()?);
    let json = |value: &serde_json::Value| value.to_string();
    let front_end =
        serde_json::to_value(run.front_end()?).map_err(|e| Error::format(run.folder(), e))?;
    let interval = metrics.test.tracks.interval;
    Ok(BTreeMap::from([
        ("labels", json(&json!(run.labels()?))),
        ("front_end", json(&front_end)),
        ("license", metrics.backbone.license.clone()),
        ("backbone", json(&json!(metrics.backbone))),
        ("training_data", json(&json!(metrics.data))),
        (
            "split",
            json(&json!({
                "method": split.method,
                "seed": split.seed,
                "train_tracks": split.train.len(),
                "validation_tracks": split.validation.len(),
                "test_tracks": split.test.len(),
            })),
        ),
        (
            "metrics",
            json(&json!({
                "test_track_accuracy": metrics.test.tracks.accuracy,
                "test_track_accuracy_95": interval,
                "test_macro_f1": metrics.test.tracks.macro_f1,
                "test_patch_accuracy": metrics.test.patch_accuracy,
                "test_tracks": metrics.test.tracks.count,
                "cross_validated_track_accuracy":
                    metrics.cross_validation.map(|folds| folds.pooled.tracks.accuracy),
            })),
        ),
        ("software", concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()),
    ]))
}

fn entries(metadata: BTreeMap<&'static str, String>) -> Vec<StringStringEntryProto> {
    let entry =
        |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
    metadata.into_iter().map(entry).collect()
}

/// A seeded batch of patches and what the trained model itself answers.
struct Probe {
    patch: [usize; 2],
    count: usize,
    patches: Vec<f32>,
    wanted: Vec<f32>,
}

impl Probe {
    /// Two batch sizes, so that a batch frozen into the graph shows; one where the
    /// backbone itself takes no other.
    fn all(trained: &Trained, run: &Run, patch: [usize; 2]) -> Result<Vec<Self>> {
        let fixed = match trained {
            Trained::Burn(_) => None,
            Trained::OnnxBackbone(path, _) => {
                data_input(path, &onnx::read(path)?, patch[0], patch[1])?.batch
            }
        };
        let one = |count: usize| {
            let patches = probes(count, patch);
            let wanted = reference(trained, run, &patches, count, patch)?;
            Ok(Self { patch, count, patches, wanted })
        };
        fixed.map_or(vec![1, 3], |batch| vec![batch]).into_iter().map(one).collect()
    }
}

/// Compares the exported file with the trained model in every runtime at hand.
fn verify(path: &Path, probes: &[Probe]) -> Result<Vec<Agreement>> {
    let mut agreement = vec![];
    for runtime in [Runtime::Tract, Runtime::Ort] {
        let mut session = match runtime::open(runtime, path, &runtime::Options::default()) {
            Ok(session) => session,
            Err(error @ Error::Runtime { .. }) if runtime == Runtime::Ort => {
                let reason = Some(error.to_string());
                agreement.push(Agreement { runtime, max_abs_difference: None, reason });
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut largest = 0f32;
        for probe in probes {
            let given = probabilities(&mut *session, path, probe)?;
            // Not `f32::max`, which would swallow a NaN.
            let difference = difference(&given, &probe.wanted);
            largest =
                if difference > largest || difference.is_nan() { difference } else { largest };
        }
        if largest.is_nan() || largest > TOLERANCE {
            let reason = format!(
                "exported, its probabilities in {runtime} differ by {largest:e} from the trained \
                 model's (allowed: {TOLERANCE:e})"
            );
            return Err(Error::onnx(path, reason));
        }
        agreement.push(Agreement { runtime, max_abs_difference: Some(largest), reason: None });
    }
    Ok(agreement)
}

fn probes(count: usize, [frames, mels]: [usize; 2]) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(count as u64);
    (0..count * frames * mels).map(|_| random.random_range(-4.0..3.0)).collect()
}

/// The largest difference; NaN if any value is not a number or the lengths differ.
fn difference(given: &[f32], wanted: &[f32]) -> f32 {
    if given.len() != wanted.len() {
        return f32::NAN;
    }
    let pairs = given.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    pairs.fold(0.0, |largest, d| if d > largest || d.is_nan() { d } else { largest })
}

fn probabilities(session: &mut dyn Session, path: &Path, probe: &Probe) -> Result<Vec<f32>> {
    let [frames, mels] = probe.patch;
    let input = PatchInput::new(&session.input().dims, frames, mels)
        .map_err(|reason| Error::onnx(path, reason))?;
    let at = session.outputs().iter().position(|name| name == OUTPUTS[0]);
    let at = at.ok_or_else(|| Error::onnx(path, format!("it has no output {}", OUTPUTS[0])))?;
    Ok(session.run(&input.arrange(&probe.patches, probe.count))?.swap_remove(at).data)
}

/// What the trained model itself answers.
fn reference(
    trained: &Trained,
    run: &Run,
    patches: &[f32],
    count: usize,
    [frames, mels]: [usize; 2],
) -> Result<Vec<f32>> {
    let device = Device::flex();
    let values = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    match trained {
        Trained::Burn(model) => {
            let x = TensorData::new(patches.to_vec(), [count, frames, mels]);
            Ok(values(model.forward(Tensor::from_data(x, &device)).0))
        }
        Trained::OnnxBackbone(path, head) => {
            let proto = onnx::read(path)?;
            let name = output_name(path, &proto, run.config()?.output.as_deref())?.to_owned();
            let mut session = runtime::open(Runtime::Tract, path, &runtime::Options::default())?;
            let input = data_input(path, &proto, frames, mels)?;
            let at = session.outputs().iter().position(|output| *output == name).unwrap_or(0);
            let embeddings = session.run(&input.arrange(patches, count))?.swap_remove(at);
            Ok(values(head_probabilities(head, embeddings.data, count, &device)))
        }
    }
}

fn head_probabilities(head: &Head, rows: Vec<f32>, count: usize, device: &Device) -> Tensor<2> {
    let shape = [count, rows.len() / count];
    let logits = head.forward(Tensor::from_data(TensorData::new(rows, shape), device));
    burn::tensor::activation::softmax(logits, 1)
}

/// Renames tensors wherever a graph mentions them.
fn rename(model: &mut ModelProto, names: &BTreeMap<String, String>) {
    let Some(graph) = &mut model.graph else { return };
    let change = |name: &mut String| {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    };
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(change);
    }
    graph.input.iter_mut().chain(&mut graph.output).for_each(|value| change(&mut value.name));
    graph.initializer.iter_mut().for_each(|tensor| change(&mut tensor.name));
}
