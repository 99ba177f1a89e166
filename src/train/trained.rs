//! The trained network in burn, and its place in a run's folder.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};

use super::checkpoint::{Checkpoints, load_module, save_weights};
use super::cnn::options::CnnRunConfig;
use super::config::Config;
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::files;
use crate::model::graph::{OnnxGraph, load};
use crate::model::{ChainModel, CnnEnsemble, Feed, GenreModel, Head};
use crate::onnx;
use crate::onnx::write::{copy, write_whole};
use crate::run::{ModelSpec, Program, Run, SavedModel, Spec, names};

/// The trained model as it is kept in a run's folder.
#[derive(Debug)]
pub enum Trained {
    /// A head on a backbone.
    Backbone(OnBackbone),
    /// CNNs of our own.
    Custom(CnnEnsemble),
    /// A chain-shaped backbone and its head, all of it in burn: runs of older versions.
    Chain(Box<ChainModel>),
}

/// A head in burn on a backbone that is an ONNX file.
#[derive(Debug)]
pub struct OnBackbone {
    /// The file.
    pub path: PathBuf,
    /// The backbone in burn; none where it could not be imported.
    pub graph: Option<Box<OnnxGraph>>,
    /// Whether the weights of the graph are others than the file's.
    pub is_tuned: bool,
    /// The head.
    pub head: Box<Head>,
}

impl Trained {
    /// Probabilities `[batch, classes]` and embeddings `[batch, features]` of log-mel
    /// patches `[batch, frames, mels]`; none where the backbone could not be imported.
    ///
    /// # Errors
    /// Those of [`OnnxGraph::forward`].
    pub fn forward(&self, log_mel: Tensor<3>) -> Result<Option<(Tensor<2>, Tensor<2>)>> {
        Ok(match self {
            Self::Backbone(OnBackbone { graph, head, .. }) => match graph {
                Some(graph) => {
                    let embeddings = graph.forward(log_mel)?;
                    Some((head.probabilities(embeddings.clone()), embeddings))
                }
                None => None,
            },
            Self::Custom(model) => Some(model.probabilities(log_mel)),
            Self::Chain(model) => Some(model.forward(log_mel)),
        })
    }
}

impl Trained {
    /// What it tells of a track.
    pub fn task(&self) -> Task {
        match self {
            Self::Backbone(OnBackbone { head, .. }) => head.task(),
            Self::Custom(model) => model.task,
            Self::Chain(model) => model.head.task(),
        }
    }
}

impl OnBackbone {
    /// A tuned backbone and its head.
    pub(super) fn tuned(path: PathBuf, model: GenreModel) -> Self {
        let GenreModel { backbone, head } = model;
        Self { path, graph: Some(Box::new(backbone)), is_tuned: true, head: Box::new(head) }
    }

    /// Writes the backbone as one file, with the weights that it has now.
    fn write_backbone(&self, destination: &Path) -> Result<()> {
        let Some(graph) = self.graph.as_ref().filter(|_| self.is_tuned) else {
            return copy(&self.path, destination);
        };
        let mut model = onnx::read(&self.path)?;
        graph.write_into(&self.path, &mut model)?;
        write_whole(&self.path, model, destination)
    }
}

/// What of a run needs burn, or the options of a program that trains with it.
impl Run {
    /// Options of a fine-tuning run.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`]; [`Error::Unsupported`] if it is one of another program.
    pub fn config(&self) -> Result<Config> {
        self.options_of(Program::Finetune)
    }

    /// Options of a run of `train-cnn`.
    ///
    /// # Errors
    /// As [`Run::config`].
    pub fn cnn_config(&self) -> Result<CnnRunConfig> {
        self.options_of(Program::TrainCnn)
    }

    /// The checkpoints.
    pub(super) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path(names::CHECKPOINT))
    }

    /// The trained model.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] if a file is missing, damaged or not the one that
    /// was saved with the model.
    pub(crate) fn model(&self, device: &Device) -> Result<Trained> {
        let SavedModel { spec, sha256 } = self.saved_model()?;
        for (file, saved) in &sha256 {
            check_digest(&self.path(file), saved)?;
        }
        let spec = match spec {
            Spec::Custom(spec) => {
                let model = spec.init(device)?;
                return Ok(Trained::Custom(load_module(&self.path(names::WEIGHTS), model)?));
            }
            Spec::Backbone(spec) => spec,
        };
        if let Some(backbone) = &spec.backbone {
            let model = ChainModel::init(backbone, &spec.head, device);
            return Ok(Trained::Chain(Box::new(load_module(&self.path(names::WEIGHTS), model)?)));
        }
        let head = load_module(&self.path(names::HEAD), spec.head.init(0, device))?;
        let path = self.path(names::BACKBONE);
        let graph = if spec.imported {
            Some(Box::new(load(&path, self.feed(&path)?, device)?))
        } else {
            None
        };
        Ok(Trained::Backbone(OnBackbone { path, graph, is_tuned: false, head: Box::new(head) }))
    }

    /// How the run's backbone, the file at `path`, is fed: as was found before the training.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`], [`Error::Onnx`].
    pub(crate) fn feed(&self, path: &Path) -> Result<Feed> {
        if let Spec::Backbone(ModelSpec { feed: Some(feed), .. }) = self.saved_model()?.spec {
            return Ok(feed);
        }
        let output = self.config()?.output;
        Feed::unrecorded(path, &onnx::read(path)?, self.preprocessor()?.patch(), output.as_deref())
    }

    /// Writes the trained model, then its shape.
    pub(super) fn save_model(&self, spec: Spec, model: &Trained) -> Result<()> {
        let written: &[&str] = match model {
            Trained::Chain(model) => {
                save_weights(&self.path(names::WEIGHTS), &**model)?;
                &[names::WEIGHTS]
            }
            Trained::Custom(model) => {
                save_weights(&self.path(names::WEIGHTS), model)?;
                &[names::WEIGHTS]
            }
            Trained::Backbone(model) => {
                model.write_backbone(&self.path(names::BACKBONE))?;
                save_weights(&self.path(names::HEAD), &*model.head)?;
                if self.path(names::BACKBONE_DATA).exists() {
                    &[names::BACKBONE, names::BACKBONE_DATA, names::HEAD]
                } else {
                    &[names::BACKBONE, names::HEAD]
                }
            }
        };
        self.save_model_spec(spec, written)
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
