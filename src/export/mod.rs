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
use serde::{Deserialize, Serialize};
use serde_json::json;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

use crate::dataset::demo;
use crate::features::{Extractor, FrontEnd, Preprocessor};
use crate::model::Head;
use crate::model::import::{self, data_input, output_name};
use crate::runtime::{self, PatchInput, Runtime, Session};
use crate::train::{Run, Trained};
use crate::{Error, Result, files, onnx};

/// Name of the model's input.
pub const INPUT: &str = "log_mel";
/// Names of the model's outputs.
pub const OUTPUTS: [&str; 2] = ["probabilities", "embeddings"];

/// The largest difference of a probability between a runtime and the trained model.
pub const TOLERANCE: f32 = 1e-4;

/// The largest difference of an embedding or a logit, relative to the largest of them: that
/// of an import. It shows what a probability near 0 or 1 hides.
pub const RELATIVE_TOLERANCE: f32 = import::TOLERANCE;

/// The newest opset that an exported file may need.
const NEWEST_OPSET: i64 = 18;

/// How one runtime agrees with the trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The runtime.
    pub runtime: Runtime,
    /// The largest difference of a probability; none if it could not be run.
    pub max_abs_difference: Option<f32>,
    /// The largest difference of an embedding or a logit, relative to the largest of them.
    pub max_relative_difference: Option<f32>,
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
        self.agreement.iter().try_for_each(|agreement| writeln!(f, "  {agreement}"))
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.max_abs_difference, self.max_relative_difference) {
            (Some(absolute), Some(relative)) => write!(
                f,
                "{}: agrees with the trained model within {absolute:.1e} (embeddings and logits: \
                 {relative:.1e} of the largest)",
                self.runtime
            ),
            _ => write!(f, "not checked in {}", self.reason.as_deref().unwrap_or("it")),
        }
    }
}

/// Exports `run` to `destination`: written beside it, checked in tract, and in ort
/// where that is installed, and only then renamed into place.
///
/// # Errors
/// [`Error::Onnx`] if a runtime differs by more than [`TOLERANCE`] or
/// [`RELATIVE_TOLERANCE`]; errors of the run's files and of `destination`'s folder.
/// Nothing is left behind then.
pub fn export(run: &Run, destination: &Path) -> Result<Exported> {
    let device = Device::flex();
    let preprocessor = run.preprocessor()?;
    let patch = preprocessor.patch();
    let trained = run.model(&device)?;
    // Before the export, which moves a batch normalization's statistics, shared between
    // clones of a module, to a device that cannot compute.
    let probes = Probe::all(&trained, run, &preprocessor)?;
    let mut model = match &trained {
        Trained::Burn(model) => burn_graph::of(&**model, patch, destination)?,
        Trained::Custom(model) => burn_graph::of(model, patch, destination)?,
        Trained::OnnxBackbone(path, head) => {
            let output = run.config()?.output;
            splice::append_head(path, output.as_deref(), head, patch)?
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
    let json = |value: serde_json::Value| value.to_string();
    // Not by way of a `Value`, which holds f64 and so prints an f32 of 0.01 with 17 digits.
    let front_end =
        serde_json::to_string(&run.preprocessor()?).map_err(|e| Error::format(run.folder(), e))?;
    let interval = metrics.test.tracks.interval;
    let mut entries = BTreeMap::from([
        ("labels", json(json!(run.labels()?))),
        ("front_end", front_end),
        ("training_data", json(json!(metrics.data))),
        (
            "split",
            json(json!({
                "method": split.method,
                "seed": split.seed,
                "train_tracks": split.train.len(),
                "validation_tracks": split.validation.len(),
                "test_tracks": split.test.len(),
            })),
        ),
        (
            "metrics",
            json(json!({
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
    ]);
    if let Some(backbone) = &metrics.backbone {
        entries.insert("license", backbone.license.clone());
        entries.insert("backbone", json(json!(backbone)));
    }
    if let Some(cnn) = &metrics.cnn {
        entries.insert("architecture", json(json!(cnn.architecture)));
    }
    Ok(entries)
}

fn entries(metadata: BTreeMap<&'static str, String>) -> Vec<StringStringEntryProto> {
    let entry =
        |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
    metadata.into_iter().map(entry).collect()
}

/// A batch of patches and what the trained model itself answers.
struct Probe {
    patch: [usize; 2],
    count: usize,
    patches: Vec<f32>,
    wanted: Answers,
}

/// Values of the two [`OUTPUTS`].
struct Answers {
    probabilities: Vec<f32>,
    embeddings: Vec<f32>,
}

impl Probe {
    /// Two batch sizes, so that a batch frozen into the graph shows; one where the
    /// backbone itself takes no other.
    fn all(trained: &Trained, run: &Run, preprocessor: &Preprocessor) -> Result<Vec<Self>> {
        let patch = preprocessor.patch();
        let fixed = match trained {
            Trained::Burn(_) | Trained::Custom(_) => None,
            Trained::OnnxBackbone(path, _) => {
                data_input(path, &onnx::read(path)?, patch[0], patch[1])?.batch
            }
        };
        let one = |count: usize| {
            let patches = probes(count, preprocessor)?;
            let wanted = reference(trained, run, &patches, count, patch)?;
            Ok(Self { patch, count, patches, wanted })
        };
        fixed.map_or(vec![1, 4], |batch| vec![batch]).into_iter().map(one).collect()
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
                agreement.push(Agreement {
                    runtime,
                    max_abs_difference: None,
                    max_relative_difference: None,
                    reason,
                });
                continue;
            }
            Err(error) => return Err(error),
        };
        let (mut absolute, mut relative) = (0f32, 0f32);
        for probe in probes {
            let (given, wanted) = (answers(&mut *session, path, probe)?, &probe.wanted);
            let [one, other] = given.differences(wanted);
            (absolute, relative) = (worse(absolute, one), worse(relative, other));
        }
        // Written so that NaN fails.
        if !(absolute <= TOLERANCE && relative <= RELATIVE_TOLERANCE) {
            let reason = format!(
                "exported, its probabilities in {runtime} differ by {absolute:e} from the trained \
                 model's (allowed: {TOLERANCE:e}), its embeddings or logits by {relative:e} of the \
                 largest (allowed: {RELATIVE_TOLERANCE:e})"
            );
            return Err(Error::onnx(path, reason));
        }
        agreement.push(Agreement {
            runtime,
            max_abs_difference: Some(absolute),
            max_relative_difference: Some(relative),
            reason: None,
        });
    }
    Ok(agreement)
}

/// Patches as the model is made for: from the middle of synthesized music of different
/// styles, through its own front end. So the proof needs no data and is always the same.
fn probes(count: usize, preprocessor: &Preprocessor) -> Result<Vec<f32>> {
    let front_end = match preprocessor {
        Preprocessor::Audio(front_end) => front_end,
        Preprocessor::Picture(picture) => &FrontEnd {
            mels: picture.mels,
            patch_frames: picture.patch_frames,
            patch_hop: picture.patch_hop,
            ..FrontEnd::spectrogram()
        },
    };
    let extractor = Extractor::new(front_end)?;
    let mut probes = vec![];
    for number in 0..count {
        let audio = demo::clip(number).resampled(front_end.sample_rate)?;
        let patches = extractor.patches(&audio.samples);
        let size = patches.frames * patches.mels;
        probes.extend_from_slice(&patches.data[patches.count / 2 * size..][..size]);
    }
    if let Preprocessor::Picture(_) = preprocessor {
        // Intensities go from 0 to 1.
        let largest = probes.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        probes.iter_mut().for_each(|value| *value = (*value / largest).max(0.0));
    }
    Ok(probes)
}

impl Answers {
    /// The largest difference of a probability, and that of an embedding or a logit relative
    /// to the largest of them.
    fn differences(&self, wanted: &Self) -> [f32; 2] {
        let embeddings = relative_difference(&self.embeddings, &wanted.embeddings);
        let logits = relative_difference(&self.logits(), &wanted.logits());
        [difference(&self.probabilities, &wanted.probabilities), worse(embeddings, logits)]
    }

    /// Logarithms of the probabilities: the logits, but for one number added to a row of
    /// them. Below 1e-30, where f32 ends, all are one.
    fn logits(&self) -> Vec<f32> {
        self.probabilities.iter().map(|p| if *p < 1e-30 { 1e-30f32.ln() } else { p.ln() }).collect()
    }
}

/// The greater of both, or NaN, which `f32::max` would swallow.
fn worse(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// The largest difference, relative to the largest wanted value.
fn relative_difference(given: &[f32], wanted: &[f32]) -> f32 {
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    difference(given, wanted) / largest
}

/// The largest difference; NaN if any value is not a number or the lengths differ.
fn difference(given: &[f32], wanted: &[f32]) -> f32 {
    if given.len() != wanted.len() {
        return f32::NAN;
    }
    given.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}

fn answers(session: &mut dyn Session, path: &Path, probe: &Probe) -> Result<Answers> {
    let [frames, mels] = probe.patch;
    let input = PatchInput::new(&session.input().dims, frames, mels)
        .map_err(|reason| Error::onnx(path, reason))?;
    let at = OUTPUTS.map(|name| session.outputs().iter().position(|output| output == name));
    let [Some(probabilities), Some(embeddings)] = at else {
        return Err(Error::onnx(path, format!("it does not have the outputs {OUTPUTS:?}")));
    };
    let mut outputs = session.run(&input.arrange(&probe.patches, probe.count))?;
    let mut take = |at: usize| std::mem::take(&mut outputs[at].data);
    Ok(Answers { probabilities: take(probabilities), embeddings: take(embeddings) })
}

/// What the trained model itself answers.
fn reference(
    trained: &Trained,
    run: &Run,
    patches: &[f32],
    count: usize,
    [frames, mels]: [usize; 2],
) -> Result<Answers> {
    let device = Device::flex();
    let values = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    let x = TensorData::new(patches.to_vec(), [count, frames, mels]);
    if let Some((probabilities, embeddings)) = trained.forward(Tensor::from_data(x, &device)) {
        return Ok(Answers {
            probabilities: values(probabilities),
            embeddings: values(embeddings),
        });
    }
    match trained {
        Trained::Burn(_) | Trained::Custom(_) => unreachable!("answered above"),
        Trained::OnnxBackbone(path, head) => {
            let proto = onnx::read(path)?;
            let name = output_name(path, &proto, run.config()?.output.as_deref())?.to_owned();
            let mut session = runtime::open(Runtime::Tract, path, &runtime::Options::default())?;
            let input = data_input(path, &proto, frames, mels)?;
            let at = session.outputs().iter().position(|output| *output == name).unwrap_or(0);
            let embeddings = session.run(&input.arrange(patches, count))?.swap_remove(at).data;
            let probabilities = head_probabilities(head, embeddings.clone(), count, &device);
            Ok(Answers { probabilities: values(probabilities), embeddings })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(probabilities: &[f32], embeddings: &[f32]) -> Answers {
        Answers { probabilities: probabilities.to_vec(), embeddings: embeddings.to_vec() }
    }

    #[test]
    fn what_a_confident_head_hides_is_found() {
        let wanted = answers(&[1.0, 1e-9], &[5.0, -50.0]);
        assert_eq!(wanted.differences(&wanted), [0.0, 0.0]);
        let logit = answers(&[1.0, 1.1e-9], &[5.0, -50.0]);
        let embedding = answers(&[1.0, 1e-9], &[5.1, -50.0]);
        for given in [logit, embedding] {
            let [absolute, relative] = given.differences(&wanted);
            assert!(absolute <= TOLERANCE && relative > RELATIVE_TOLERANCE, "{relative}");
        }
        for given in [answers(&[1.0, f32::NAN], &[5.0, -50.0]), answers(&[1.0, 1e-9], &[5.0])] {
            assert!(given.differences(&wanted).iter().any(|difference| difference.is_nan()));
        }
    }

    #[test]
    fn probes_are_music_as_the_front_end_hears_it() {
        for name in FrontEnd::PRESETS {
            let front_end = FrontEnd::preset(name).unwrap();
            let size = front_end.patch_frames * front_end.mels;
            let preprocessor = Preprocessor::Audio(front_end);
            let patches = probes(12, &preprocessor).unwrap();
            assert_eq!(patches.len(), 12 * size);
            assert_eq!(patches, probes(12, &preprocessor).unwrap());
            assert_ne!(patches[..size], patches[10 * size..11 * size], "one style, another clip");
        }
    }
}
