//! The trained network in burn, and its place in a run's folder.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};

use super::checkpoint::{Checkpoints, load_module, save_weights};
use super::cnn::options::CnnRunConfig;
use super::config::Config;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{CnnEnsemble, GenreModel, Head};
use crate::onnx;
use crate::run::{Program, Run, SavedModel, Spec, names};

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
        match &spec.backbone {
            Some(backbone) => {
                let model = GenreModel::init(backbone, &spec.head, device);
                Ok(Trained::Burn(Box::new(load_module(&self.path(names::WEIGHTS), model)?)))
            }
            None => {
                let head = load_module(&self.path(names::HEAD), spec.head.init(0, device))?;
                Ok(Trained::OnnxBackbone(self.path(names::BACKBONE), Box::new(head)))
            }
        }
    }

    /// Writes the trained model, then its shape.
    pub(super) fn save_model(&self, spec: Spec, model: &Trained) -> Result<()> {
        let written: &[&str] = match model {
            Trained::Burn(model) => {
                save_weights(&self.path(names::WEIGHTS), &**model)?;
                &[names::WEIGHTS]
            }
            Trained::Custom(model) => {
                save_weights(&self.path(names::WEIGHTS), model)?;
                &[names::WEIGHTS]
            }
            Trained::OnnxBackbone(backbone, head) => {
                let copy = self.path(names::BACKBONE);
                onnx::write::copy(backbone, &copy)?;
                save_weights(&self.path(names::HEAD), &**head)?;
                match self.path(names::BACKBONE_DATA).exists() {
                    true => &[names::BACKBONE, names::BACKBONE_DATA, names::HEAD],
                    false => &[names::BACKBONE, names::HEAD],
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
