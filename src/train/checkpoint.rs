//! Checkpoints of a fine-tuning run: whole or absent, the old one kept until the
//! new one is complete.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use burn_pack::{Reader, Writer};
use serde::{Deserialize, Serialize};

use super::deep::State;
use super::fit::{Epoch, Score};
use crate::{Error, Result, files};

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps finished in the epoch after that.
    pub step: usize,
    /// The sum of losses over those steps' patches.
    pub total: f64,
    /// The best epoch so far, by validation loss.
    pub best_epoch: usize,
    /// Its score.
    pub best: Option<Score>,
}

/// `latest.json`: names the folder that holds the newest complete checkpoint.
#[derive(Serialize, Deserialize)]
struct Latest {
    folder: String,
    progress: Progress,
    history: Vec<Epoch>,
}

/// The folder with a run's checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

const LATEST: &str = "latest.json";

impl Checkpoints {
    /// Checkpoints in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes the state beside the old checkpoint, points to it, then removes the old one.
    pub(super) fn save(&self, state: &State, history: &[Epoch]) -> Result<()> {
        let progress = state.progress;
        let name = format!("{}-{}", progress.epoch, progress.step);
        let folder = self.folder.join(&name);
        files::create_dir(&folder)?;
        for (file, model) in [("model.bpk", &state.model), ("best.bpk", &state.best)] {
            save_module(&folder.join(file), model)?;
        }
        for (file, optimizer) in [
            ("backbone-optimizer.bpk", &state.backbone_optimizer),
            ("head-optimizer.bpk", &state.head_optimizer),
        ] {
            let path = folder.join(file);
            let bytes = optimizer.to_record().into_bytes().map_err(|e| Error::format(&path, e))?;
            files::write(&path, &bytes)?;
        }
        let latest = Latest { folder: name.clone(), progress, history: history.to_vec() };
        files::write_json(&self.folder.join(LATEST), &latest)?;
        self.remove_all_but(&name)
    }

    /// Fills `state` from the newest checkpoint and gives back its history, if there is one.
    pub(super) fn load(&self, state: &mut State) -> Result<Option<Vec<Epoch>>> {
        let path = self.folder.join(LATEST);
        if !path.exists() {
            return Ok(None);
        }
        let latest: Latest = files::read_json(&path)?;
        let folder = self.folder.join(&latest.folder);
        state.model = load_module(&folder.join("model.bpk"), state.model.clone())?;
        state.best = load_module(&folder.join("best.bpk"), state.best.clone())?;
        let optimizer = |file: &str, optimizer: &ModuleOptimizer| {
            let path = folder.join(file);
            let record = OptimizerRecord::from_bytes(read(&path)?);
            let record = record.map_err(|e| Error::format(&path, e))?;
            Ok::<_, Error>(optimizer.clone().load_record(record))
        };
        state.backbone_optimizer = optimizer("backbone-optimizer.bpk", &state.backbone_optimizer)?;
        state.head_optimizer = optimizer("head-optimizer.bpk", &state.head_optimizer)?;
        state.progress = latest.progress;
        Ok(Some(latest.history))
    }

    /// Removes all checkpoints, once the run they belong to is complete.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be removed.
    pub fn remove(&self) -> Result<()> {
        match self.folder.exists() {
            true => fs::remove_dir_all(&self.folder).map_err(Error::io(&self.folder)),
            false => Ok(()),
        }
    }

    fn remove_all_but(&self, name: &str) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(Error::io(&self.folder))?.flatten() {
            if entry.path().is_dir() && entry.file_name() != name {
                fs::remove_dir_all(entry.path()).map_err(Error::io(entry.path()))?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Bytes> {
    fs::read(path).map(Bytes::from_bytes_vec).map_err(Error::io(path))
}

/// Writes a module's parameters in burn's own format, whole or not at all.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn save_module<M: Module>(path: &Path, module: &M) -> Result<()> {
    let bytes = module.clone().into_record().into_bytes().map_err(|e| Error::format(path, e))?;
    files::write(path, &bytes)
}

/// The same without the parameters' random identities, which only an optimizer needs:
/// equal weights give equal files.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn save_weights<M: Module>(path: &Path, module: &M) -> Result<()> {
    let wrong = |e: burn_pack::Error| Error::format(path, e);
    let bytes = module.clone().into_record().into_bytes().map_err(|e| Error::format(path, e))?;
    let mut tensors = Reader::from_bytes(bytes).and_then(Reader::into_tensors).map_err(wrong)?;
    tensors.iter_mut().for_each(|tensor| tensor.param_id = None);
    files::write(path, &Writer::new(tensors).into_bytes().map_err(wrong)?)
}

/// Reads parameters written by [`save_module`] or [`save_weights`] into `module`, whose shape they must fit.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is damaged or
/// belongs to a module of another shape.
pub fn load_module<M: Module>(path: &Path, module: M) -> Result<M> {
    let record = ModuleRecord::from_bytes(read(path)?).map_err(|e| Error::format(path, e))?;
    module.try_load_record(record).map_err(|e| Error::format(path, e))
}
