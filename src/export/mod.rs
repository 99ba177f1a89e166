//! Trained runs to self-contained ONNX files, proved before they appear.
//!
//! One [`Input`] of three, outputs `probabilities` and `embeddings`; ordinary operators of
//! opset 18 or lower, no external data. What another program needs to use the file stands in
//! its metadata: see [`metadata`].

mod builder;
mod burn_graph;
mod clip;
mod front_end;
mod input;
mod opset;
mod proof;
pub(crate) mod splice;
mod waveform;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

use crate::features::Preprocessor;
use crate::model::import;
use crate::runtime::Runtime;
use crate::train::{Run, Trained};
use crate::{Error, Result, files};
pub use input::Input;
use proof::Probe;

/// Name of the input for log-mels.
pub const INPUT: &str = "log_mel";
/// Name of the input for samples, of a patch or of a recording.
pub const WAVEFORM: &str = "waveform";
/// Name of the output that a model for recordings has besides.
pub const PATCH_PROBABILITIES: &str = "patch_probabilities";
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

/// How to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the file takes.
    pub input: Input,
}

impl Options {
    /// What stands in every run's folder as `model.onnx`.
    pub const LOG_MEL: Self = Self { input: Input::LogMel };
}

/// Exports `run` to `destination`: written beside it, checked in tract, and in ort
/// where that is installed, and only then renamed into place.
///
/// # Errors
/// [`Error::Config`] if the model was trained on pictures and is to hear samples;
/// [`Error::Onnx`] if a runtime differs by more than [`TOLERANCE`] or
/// [`RELATIVE_TOLERANCE`]; errors of the run's files and of `destination`'s folder.
/// Nothing is left behind then.
pub fn export(run: &Run, destination: &Path, options: &Options) -> Result<Exported> {
    let device = Device::flex();
    let preprocessor = run.preprocessor()?;
    options.input.check(&preprocessor, run.folder())?;
    let trained = run.model(&device)?;
    // Before the export, which moves a batch normalization's statistics, shared between
    // clones of a module, to a device that cannot compute.
    let probes = Probe::all(&trained, run, &preprocessor, options.input)?;
    let mut model = graph(run, &trained, &preprocessor, options.input, destination)?;
    model.producer_name = env!("CARGO_PKG_NAME").to_owned();
    model.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    model.metadata_props = entries(metadata(run, options)?);
    let opset = opset::of(&model);
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
    let agreement = proof::verify(part.path(), &probes)
        .map_err(|error| name_destination(error, part.path(), destination))?;
    let bytes = std::fs::metadata(part.path()).map_err(Error::io(destination))?.len();
    let sha256 = files::sha256(part.path())?;
    part.as_file().sync_all().map_err(Error::io(destination))?;
    part.persist(destination).map_err(|e| Error::io(destination)(e.error))?;
    Ok(Exported { path: destination.to_owned(), bytes, sha256, opset, agreement })
}

/// The whole graph, from the file's input to its outputs.
fn graph(
    run: &Run,
    trained: &Trained,
    preprocessor: &Preprocessor,
    input: Input,
    destination: &Path,
) -> Result<ModelProto> {
    let patch = preprocessor.patch();
    let mut model = match trained {
        Trained::Burn(model) => burn_graph::of(&**model, patch, destination)?,
        Trained::Custom(model) => burn_graph::of(model, patch, destination)?,
        Trained::OnnxBackbone(path, head) => {
            let output = run.config()?.output;
            splice::append_head(path, output.as_deref(), head, patch)?
        }
    };
    match (input, preprocessor) {
        (Input::Waveform, Preprocessor::Audio(front_end)) => {
            waveform::hear(&mut model, front_end, destination)?;
        }
        (Input::Clip, Preprocessor::Audio(front_end)) => {
            clip::hear(&mut model, front_end, destination)?;
        }
        _ => {}
    }
    // A spliced graph is its backbone's author's.
    if !matches!(trained, Trained::OnnxBackbone(..)) {
        opset::lower(&mut model);
    }
    Ok(model)
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
/// results), `input` (an [`Input`]'s name), `software`; and what [`Input::metadata`] adds.
///
/// # Errors
/// Errors of the run's files.
pub fn metadata(run: &Run, options: &Options) -> Result<BTreeMap<&'static str, String>> {
    let (metrics, split, preprocessor) = (run.metrics()?, run.split()?, run.preprocessor()?);
    let json = |value: serde_json::Value| value.to_string();
    // Not by way of a `Value`, which holds f64 and so prints an f32 of 0.01 with 17 digits.
    let front_end =
        serde_json::to_string(&preprocessor).map_err(|e| Error::format(run.folder(), e))?;
    let interval = metrics.test.tracks.interval;
    let mut entries = BTreeMap::from([
        ("labels", json(json!(run.labels()?))),
        ("front_end", front_end),
        ("input", options.input.name().to_owned()),
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
    entries.extend(options.input.metadata(&preprocessor));
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
