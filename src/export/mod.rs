//! Trained runs to self-contained ONNX files, proved before they appear.
//!
//! One [`Input`] of three, outputs `probabilities` and `embeddings`; ordinary operators of
//! opset 18 or lower, no external data. What another program needs to use the file stands in
//! its metadata: see [`metadata`].

mod builder;
mod bundle;
mod burn_graph;
mod clip;
mod front_end;
mod fuse;
mod input;
mod native;
mod opset;
mod precision;
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
use tempfile::NamedTempFile;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::files;
use crate::model::import;
use crate::runtime::Runtime;
use crate::train::{Run, Trained};
pub use bundle::{Bundle, bundle};
pub use input::Input;
pub use native::open;
use precision::Trial;
pub use precision::{Checked, Precision, Validation};
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
    /// The numbers it is made of.
    #[serde(default)]
    pub precision: Precision,
    /// How the runtimes agree with the trained model; for a smaller variant, how the model in
    /// 32-bit floats does that it was made from.
    pub agreement: Vec<Agreement>,
    /// What a smaller variant costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = self.bytes as f64 / 1e6;
        let path = self.path.display();
        match &self.validation {
            None => {
                writeln!(f, "{path} ({mb:.1} MB, opset {})", self.opset)?;
                self.agreement.iter().try_for_each(|agreement| writeln!(f, "  {agreement}"))
            }
            Some(validation) => {
                let Self { opset, precision, .. } = self;
                writeln!(f, "{path} ({mb:.1} MB, opset {opset}, {precision})")?;
                write!(f, "{validation}")
            }
        }
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
            (Some(absolute), None) => {
                write!(f, "{}: agrees with the trained model within {absolute:.1e}", self.runtime)
            }
            _ => write!(f, "not checked in {}", self.reason.as_deref().unwrap_or("it")),
        }
    }
}

/// How to export.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the file takes.
    pub input: Input,
    /// The numbers it is made of.
    pub precision: Precision,
    /// The most points that a smaller variant's accuracy on the validation part may fall.
    pub max_drop: f64,
    /// Where the run's collection is now; none for where it was.
    pub data: Option<PathBuf>,
}

impl Options {
    /// What stands in every run's folder as `model.onnx`.
    pub const LOG_MEL: Self = Self::new(Input::LogMel);

    /// In 32-bit floats.
    pub const fn new(input: Input) -> Self {
        Self { input, precision: Precision::Fp32, max_drop: 1.0, data: None }
    }

    /// What the file is called in a run's folder: `waveform.onnx`, `waveform-int8.onnx`.
    pub fn file_name(&self) -> String {
        let name = self.input.file_name();
        match (self.precision, name.strip_suffix(".onnx")) {
            (Precision::Fp32, _) | (_, None) => name.to_owned(),
            (precision, Some(stem)) => format!("{stem}-{precision}.onnx"),
        }
    }

    fn check(&self) -> Result<()> {
        if (0.0..=100.0).contains(&self.max_drop) {
            Ok(())
        } else {
            Err(Error::Config(format!("--max-drop {}: give 0 to 100 points", self.max_drop)))
        }
    }
}

/// Exports `run` to `destination`: written beside it, checked in tract, and in ort
/// where that is installed, and only then renamed into place.
///
/// # Errors
/// [`Error::Config`] if the model was trained on pictures and is to hear samples;
/// [`Error::Onnx`] if a runtime differs by more than [`TOLERANCE`] or
/// [`RELATIVE_TOLERANCE`], or a smaller variant is worse than allowed; [`Error::Data`] if the
/// collection that a variant is tried on is not there; errors of the run's files and of
/// `destination`'s folder. Nothing is left behind then.
pub fn export(run: &Run, destination: &Path, options: &Options) -> Result<Exported> {
    options.check()?;
    let preprocessor = run.preprocessor()?;
    options.input.check(&preprocessor, run.folder())?;
    let [part, fp32] = [0, 1].map(|_| files::part_beside(destination, ".onnx"));
    let (part, fp32) = (part?, fp32?);
    let trial = match options.precision {
        Precision::Fp32 => None,
        _ => Some(Trial::open(run, &preprocessor, options.data.as_deref(), fp32.path())?),
    };
    let trained = run.model(&Device::flex())?;
    // Before the export, which moves a batch normalization's statistics, shared between
    // clones of a module, to a device that cannot compute.
    let proven = if trial.is_some() { Input::LogMel } else { options.input };
    let probes = Probe::all(&trained, run, &preprocessor, proven)?;
    let verify = |path: &Path| {
        proof::verify(path, &probes).map_err(|error| name_destination(error, path, destination))
    };
    let mut model = graph(run, &trained, preprocessor.patch(), destination)?;
    let mut agreement = vec![];
    if let Some(trial) = &trial {
        write(&model, fp32.path(), destination)?;
        agreement = verify(fp32.path())?;
        options.precision.apply(destination, &mut model, trial)?;
    }
    hear(&mut model, options.input, &preprocessor, destination)?;
    // A spliced graph is its backbone's author's.
    if !matches!(trained, Trained::OnnxBackbone(..)) {
        opset::lower(&mut model);
    }
    sign(&mut model, metadata(run, options)?);
    let opset = opset::of(&model);
    opset::check(opset, destination)?;
    write(&model, part.path(), destination)?;
    drop(model);
    let validation = match &trial {
        None => {
            agreement = verify(part.path())?;
            None
        }
        Some(trial) => {
            let judged = trial.judge(part.path(), options.input, options.max_drop);
            Some(judged.map_err(|error| name_destination(error, part.path(), destination))?)
        }
    };
    let (bytes, sha256) = put_in_place(part, destination)?;
    let (path, precision) = (destination.to_owned(), options.precision);
    Ok(Exported { path, bytes, sha256, opset, precision, agreement, validation })
}

/// Writes into `model` who made it, and its metadata.
fn sign(model: &mut ModelProto, metadata: BTreeMap<&'static str, String>) {
    model.producer_name = env!("CARGO_PKG_NAME").to_owned();
    model.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    model.metadata_props = entries(metadata);
}

/// Renames the finished file; its size and digest.
fn put_in_place(part: NamedTempFile, destination: &Path) -> Result<(u64, String)> {
    let bytes = std::fs::metadata(part.path()).map_err(Error::io(destination))?.len();
    let sha256 = files::sha256(part.path())?;
    part.as_file().sync_all().map_err(Error::io(destination))?;
    part.persist(destination).map_err(|e| Error::io(destination)(e.error))?;
    Ok((bytes, sha256))
}

/// The graph from log-mels to the outputs, in 32-bit floats.
fn graph(
    run: &Run,
    trained: &Trained,
    patch: [usize; 2],
    destination: &Path,
) -> Result<ModelProto> {
    let mut model = match trained {
        Trained::Burn(model) => burn_graph::of(&**model, patch, destination)?,
        Trained::Custom(model) => burn_graph::of(model, patch, destination)?,
        Trained::OnnxBackbone(path, head) => {
            let output = run.config()?.output;
            splice::append_head(path, output.as_deref(), head, patch)?
        }
    };
    fuse::fold_batch_norms(destination, &mut model)?;
    Ok(model)
}

/// Makes `model`, which takes log-mels, take `input`.
fn hear(
    model: &mut ModelProto,
    input: Input,
    preprocessor: &Preprocessor,
    destination: &Path,
) -> Result<()> {
    match (input, preprocessor) {
        (Input::Waveform, Preprocessor::Audio(front_end)) => {
            waveform::hear(model, front_end, destination)
        }
        (Input::Clip, Preprocessor::Audio(front_end)) => clip::hear(model, front_end, destination),
        _ => Ok(()),
    }
}

/// Writes `model` to the temporary file `part`.
fn write(model: &ModelProto, part: &Path, destination: &Path) -> Result<()> {
    std::fs::write(part, model.encode_to_vec()).map_err(Error::io(destination))
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
/// results), `input` (an [`Input`]'s name), `precision` (a [`Precision`]'s name) and
/// `kept_in_float` (what is not of that precision), `software`; and what `Input::metadata`
/// adds.
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
                "listed_train_tracks": split.train.len(),
                "listed_validation_tracks": split.validation.len(),
                "listed_test_tracks": split.test.len(),
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
    entries.insert("precision", options.precision.name().to_owned());
    if let Some(parts) = options.precision.kept_in_float() {
        entries.insert("kept_in_float", parts.to_owned());
    }
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
