//! A run's folder: everything a training run leaves behind.
//!
//! | file | what |
//! |---|---|
//! | `config.json` | options of the run |
//! | `split.json` | which track is in which part |
//! | `preprocessor.json` | the front end |
//! | `labels.txt` | one genre a line, in the order of the model's outputs |
//! | `model.json`, `weights.bpk` | the burn model, digests of its files, and its weights |
//! | `backbone.onnx`, `head.bpk` | instead of `weights.bpk`, where the backbone cannot be imported |
//! | `history.json` | losses and accuracies, epoch by epoch |
//! | `metrics.json` | results; written last, so its presence says that training is complete |
//! | `predictions.json` | probabilities of every test track |
//! | `folds.json` | the same of every fold's test tracks, where folds were asked for |
//! | `model.onnx` | the exported model, which takes log-mels |
//! | `waveform.onnx`, `clip.onnx` | what `export-onnx` has written besides |
//! | `checkpoint/` | only while layers of the backbone are being trained |

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoints, load_module, save_weights};
use super::cnn::{CnnMetrics, CnnRunConfig};
use super::config::Config;
use super::fit::{Epoch, Score};
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::files;
use crate::metrics::Evaluation;
use crate::model::import::Proof;
use crate::model::{BackboneSource, CnnEnsemble, EnsembleSpec, GenreModel, Head, ModelSpec};

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

/// The collection a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingData {
    /// The folder's name, or `demo` for the synthesized set.
    pub name: String,
    /// Digest over all file names and contents.
    pub fingerprint: String,
    /// Tracks used.
    pub tracks: usize,
    /// Files left out because they could not be read.
    pub skipped: usize,
}

/// Results of one part of the split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartMetrics {
    /// By track, a track being the mean of its patches' probabilities.
    pub tracks: Evaluation,
    /// The share of single patches given the right genre.
    pub patch_accuracy: f64,
    /// Patches.
    pub patches: usize,
}

/// Results of a cross-validation, every track tested once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// What was trained on each fold: `frozen`, a head on the backbone as it came, even
    /// where the run's own model has unfrozen layers.
    pub model: String,
    /// Track accuracy of each fold.
    pub folds: Vec<f64>,
    /// All folds' test tracks together.
    pub pooled: PartMetrics,
}

/// `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The collection.
    pub data: TrainingData,
    /// The backbone; none for CNNs of our own.
    pub backbone: Option<BackboneSource>,
    /// What is to be said of CNNs of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnn: Option<CnnMetrics>,
    /// Layers of the backbone that were trained; none for a frozen one.
    pub unfrozen_layers: usize,
    /// Parameters of backbone and head (of the head alone where the backbone stays an ONNX file).
    pub parameters: usize,
    /// The proof of the import into burn, where there was one.
    pub import: Option<Proof>,
    /// Validation score of the trained head on the frozen backbone.
    pub frozen_validation: Option<Score>,
    /// Validation score with unfrozen layers, where they were trained.
    pub unfrozen_validation: Option<Score>,
    /// Which of the two was kept: `frozen` or `unfrozen`.
    pub kept: String,
    /// The test part.
    pub test: PartMetrics,
    /// The cross-validation, where one was asked for.
    pub cross_validation: Option<CrossValidation>,
    /// Wall-clock seconds from the first file to the trained model.
    pub seconds: f64,
}

impl Metrics {
    /// What the model is called in reports: its backbone, or `cnn` with the preset's name.
    pub fn name(&self) -> &str {
        match (&self.backbone, &self.cnn) {
            (Some(backbone), _) => &backbone.name,
            (None, Some(cnn)) => &cnn.name,
            (None, None) => "model",
        }
    }
}

/// `model.json`.
#[derive(Serialize, Deserialize)]
struct SavedModel {
    #[serde(flatten)]
    spec: Spec,
    /// SHA-256 of the model's files, by name; none in runs older than this field.
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

/// The shape of a run's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Spec {
    /// CNNs of our own.
    Custom(EnsembleSpec),
    /// A head on a backbone.
    Backbone(ModelSpec),
}

/// One test track's prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The track.
    pub track: String,
    /// Its genre.
    pub genre: String,
    /// The genre it was given.
    pub predicted: String,
    /// Mean probabilities, in the order of the labels.
    pub probabilities: Vec<f32>,
}

/// The trained model as it is kept in a run's folder.
#[derive(Debug)]
pub enum Trained {
    /// A backbone and its head, all of it in burn.
    Burn(Box<GenreModel>),
    /// CNNs of our own.
    Custom(CnnEnsemble),
    /// The head in burn, the backbone an ONNX file (here its path).
    OnnxBackbone(PathBuf, Box<Head>),
}

impl Trained {
    /// Probabilities `[batch, classes]` and embeddings `[batch, features]` of log-mel
    /// patches `[batch, frames, mels]`; none where the backbone is an ONNX file.
    pub fn forward(&self, log_mel: Tensor<3>) -> Option<(Tensor<2>, Tensor<2>)> {
        match self {
            Self::Burn(model) => Some(model.forward(log_mel)),
            Self::Custom(model) => Some(model.probabilities(log_mel)),
            Self::OnnxBackbone(..) => None,
        }
    }
}

impl Run {
    /// An existing run, whose training is complete.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder is missing, is no run, or is not complete.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        let say = |what: &str| Err(Error::Config(format!("{}: {what}", folder.display())));
        match (run.config_path().is_file(), run.is_complete()) {
            (true, true) => Ok(run),
            (true, false) => say("training is not complete; go on with --resume"),
            (false, _) if folder.is_dir() => say("no run: it has no config.json"),
            (false, _) => say("no such run; finetune prints the folder it writes"),
        }
    }

    /// The run to be resumed, complete or not.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder is no run.
    pub fn resume(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if run.config_path().is_file() {
            Ok(run)
        } else {
            Err(Error::Config(format!("{}: no run to resume", folder.display())))
        }
    }

    /// A new run in `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] if it is taken, unless `force` says to replace what is there.
    pub fn create(folder: &Path, force: bool) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if run.config_path().is_file() && force {
            let replaced = Self::replaced(folder);
            // A run that was killed while it was to replace a finished one is worth less.
            if replaced.exists() && !run.is_complete() {
                fs::remove_dir_all(folder).map_err(Error::io(folder))?;
            } else {
                run.forget_replaced()?;
                fs::rename(folder, replaced).map_err(Error::io(folder))?;
            }
        } else if folder.exists() {
            return Err(Error::Config(format!(
                "{}: already there; choose another --name, --resume it, or --force to replace it",
                folder.display()
            )));
        }
        files::create_dir(folder)?;
        Ok(run)
    }

    /// The first of `runs/stem`, `runs/stem-2`, ... that does not exist.
    pub fn free_folder(runs: &Path, stem: &str) -> PathBuf {
        let candidates = (2..).map(|n| runs.join(format!("{stem}-{n}")));
        let mut all = std::iter::once(runs.join(stem)).chain(candidates);
        // The iterator is endless.
        all.find(|folder| !folder.exists()).unwrap_or_default()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the run that this one replaces waits until this one is complete.
    fn replaced(folder: &Path) -> PathBuf {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        folder.with_file_name(format!(".{name}.replaced"))
    }

    /// Removes what a failed run has written, unless there is a checkpoint or a search to go
    /// on from, and puts back the run it was to replace.
    ///
    /// The failure itself is what the user must read, so nothing is said if this fails too.
    pub(super) fn give_up(&self) {
        let replaced = Self::replaced(&self.folder);
        let resumable = ["checkpoint", "search.json"].iter().any(|name| self.path(name).exists());
        if !resumable && fs::remove_dir_all(&self.folder).is_ok() {
            let _ = fs::rename(replaced, &self.folder);
        }
    }

    /// Removes the run that this one has replaced.
    pub(super) fn forget_replaced(&self) -> Result<()> {
        let replaced = Self::replaced(&self.folder);
        if replaced.exists() {
            fs::remove_dir_all(&replaced).map_err(Error::io(&replaced))
        } else {
            Ok(())
        }
    }

    /// Whether training is complete.
    pub fn is_complete(&self) -> bool {
        self.path("metrics.json").is_file()
    }

    /// Where the exported model stands.
    pub fn onnx_path(&self) -> PathBuf {
        self.path("model.onnx")
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path("checkpoint"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn config_path(&self) -> PathBuf {
        self.path("config.json")
    }

    /// Options of a fine-tuning run.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`]; [`Error::Config`] if it is one of another program.
    pub fn config(&self) -> Result<Config> {
        self.written_by("finetune", "backbone")?;
        files::read_json(&self.config_path())
    }

    /// Options of a run of `train-cnn`.
    ///
    /// # Errors
    /// As [`Run::config`].
    pub fn cnn_config(&self) -> Result<CnnRunConfig> {
        self.written_by("train-cnn", "preset")?;
        files::read_json(&self.config_path())
    }

    /// Whether the options are those of `program`, which alone has `option`.
    fn written_by(&self, program: &str, option: &str) -> Result<()> {
        let options: serde_json::Value = files::read_json(&self.config_path())?;
        if options.get(option).is_some() {
            Ok(())
        } else {
            Err(Error::Config(format!(
                "{}: no run of {program}; its own program goes on with it",
                self.folder.display()
            )))
        }
    }

    /// The collection that the run learned from; none for the default one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn data(&self) -> Result<Option<PathBuf>> {
        let config: serde_json::Value = files::read_json(&self.config_path())?;
        Ok(config["data"].as_str().map(PathBuf::from))
    }

    /// The split.
    ///
    /// # Errors
    /// Those of [`Split::load`].
    pub fn split(&self) -> Result<Split> {
        Split::load(&self.path("split.json"))
    }

    /// Results.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn metrics(&self) -> Result<Metrics> {
        files::read_json(&self.path("metrics.json"))
    }

    /// How the model's input is made.
    ///
    /// # Errors
    /// Those of [`Preprocessor::load`].
    pub fn preprocessor(&self) -> Result<Preprocessor> {
        Preprocessor::load(&self.path("preprocessor.json"))
    }

    /// The genres in the order of the model's outputs.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it has been changed.
    pub fn labels(&self) -> Result<Vec<String>> {
        let path = self.path("labels.txt");
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let genres = self.split()?.genres;
        if text.lines().eq(genres.iter().map(String::as_str)) {
            Ok(genres)
        } else {
            let reason = "damaged or changed: a line for each genre of split.json was there";
            Err(Error::format(&path, reason))
        }
    }

    /// The files that belong to the run in `folder`, of whatever program, and none of its
    /// exports.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed.
    pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
        let io = || Error::io(folder);
        let paths = fs::read_dir(folder).map_err(io())?.map(|entry| Ok(entry?.path()));
        let mut paths = paths.collect::<std::io::Result<Vec<_>>>().map_err(io())?;
        paths.retain(|path| {
            path.ends_with("backbone.onnx") || !files::has_extension(path, &["onnx"])
        });
        Ok(paths)
    }

    /// The shape of the model.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn model_spec(&self) -> Result<Spec> {
        Ok(self.saved_model()?.spec)
    }

    fn saved_model(&self) -> Result<SavedModel> {
        files::read_json(&self.path("model.json"))
    }

    /// The trained model.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] if a file is missing, damaged or not the one that
    /// was saved with the model.
    pub fn model(&self, device: &Device) -> Result<Trained> {
        let SavedModel { spec, sha256 } = self.saved_model()?;
        for (file, saved) in &sha256 {
            check_digest(&self.path(file), saved)?;
        }
        let spec = match spec {
            Spec::Custom(spec) => {
                let model = spec.init(device)?;
                return Ok(Trained::Custom(load_module(&self.path("weights.bpk"), model)?));
            }
            Spec::Backbone(spec) => spec,
        };
        match &spec.backbone {
            Some(backbone) => {
                let model = GenreModel::init(backbone, &spec.head, device);
                Ok(Trained::Burn(Box::new(load_module(&self.path("weights.bpk"), model)?)))
            }
            None => {
                let head = load_module(&self.path("head.bpk"), spec.head.init(0, device))?;
                Ok(Trained::OnnxBackbone(self.path("backbone.onnx"), Box::new(head)))
            }
        }
    }

    /// Writes what is known before training; if that cannot be done, nothing of the run stays.
    pub(super) fn save_start(
        &self,
        config: &impl Serialize,
        split: &Split,
        preprocessor: &impl Serialize,
    ) -> Result<()> {
        let labels: String = split.genres.iter().map(|genre| format!("{genre}\n")).collect();
        let saved = split
            .save(&self.path("split.json"))
            .and_then(|()| files::write_json(&self.path("preprocessor.json"), preprocessor))
            .and_then(|()| files::write(&self.path("labels.txt"), labels.as_bytes()))
            .and_then(|()| files::write_json(&self.config_path(), config));
        saved.inspect_err(|_| self.give_up())
    }

    pub(super) fn save_history(&self, history: &[Epoch]) -> Result<()> {
        files::write_json(&self.path("history.json"), &history)
    }

    /// The folds: the tracks of each while they are not tested yet, then their predictions.
    pub(super) fn save_folds(&self, folds: &[Vec<impl Serialize>]) -> Result<()> {
        files::write_json(&self.folds_path(), &folds)
    }

    pub(super) fn folds_path(&self) -> PathBuf {
        self.path("folds.json")
    }

    pub(super) fn save_model(&self, spec: Spec, model: &Trained) -> Result<()> {
        let written: &[&str] = match model {
            Trained::Burn(model) => {
                save_weights(&self.path("weights.bpk"), &**model)?;
                &["weights.bpk"]
            }
            Trained::Custom(model) => {
                save_weights(&self.path("weights.bpk"), model)?;
                &["weights.bpk"]
            }
            Trained::OnnxBackbone(backbone, head) => {
                let copy = self.path("backbone.onnx");
                fs::copy(backbone, &copy).map_err(Error::io(&copy))?;
                save_weights(&self.path("head.bpk"), &**head)?;
                &["backbone.onnx", "head.bpk"]
            }
        };
        let digest = |file: &&str| Ok(((*file).to_owned(), files::sha256(&self.path(file))?));
        let sha256 = written.iter().map(digest).collect::<Result<_>>()?;
        files::write_json(&self.path("model.json"), &SavedModel { spec, sha256 })
    }

    pub(super) fn save_results(&self, metrics: &Metrics, predictions: &[Prediction]) -> Result<()> {
        files::write_json(&self.path("predictions.json"), &predictions)?;
        files::write_json(&self.path("metrics.json"), metrics)
    }
}

fn check_digest(path: &Path, saved: &str) -> Result<()> {
    let found = files::sha256(path)?;
    if found == saved {
        Ok(())
    } else {
        Err(Error::format(
            path,
            format!(
                "damaged or changed: its SHA-256 is {found}, that of the trained model is {saved}; \
                 copy it from a good copy of the run, or train again"
            ),
        ))
    }
}
