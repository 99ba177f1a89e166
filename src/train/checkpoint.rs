//! Checkpoints of a training: whole or absent, the old one kept until the
//! new one is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use burn_pack::{Reader, Writer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::panics::caught;

/// `latest.json`: names the folder that holds the newest complete checkpoint.
#[derive(Serialize, Deserialize)]
struct Latest<T> {
    folder: String,
    #[serde(flatten)]
    state: T,
}

/// Writes a file of this path.
pub(super) type Write<'a> = &'a dyn Fn(&Path) -> Result<()>;

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

    /// Writes `files` beside the old checkpoint, points to them, then removes the old one. One
    /// after the other: what they are made of is several times the model.
    ///
    /// # Errors
    /// [`Error::Io`], the old checkpoint being intact.
    pub(super) fn write(
        &self,
        name: &str,
        files: &[(&str, Write)],
        state: impl Serialize,
    ) -> Result<()> {
        let folder = self.folder.join(name);
        files::create_dir(&folder)?;
        let written = files.iter().try_for_each(|(file, write)| write(&folder.join(file)));
        if written.is_err() {
            // What is half there takes space that the disk may have run out of.
            let _ = fs::remove_dir_all(&folder);
        }
        written?;
        files::write_json(&self.folder.join(LATEST), &Latest { folder: name.to_owned(), state })?;
        self.remove_all_but(name)
    }

    /// The newest checkpoint's folder and state, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] if it is damaged.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<Option<(PathBuf, T)>> {
        let path = self.folder.join(LATEST);
        if !path.exists() {
            return Ok(None);
        }
        let latest: Latest<T> = files::read_json(&path)?;
        Ok(Some((self.folder.join(latest.folder), latest.state)))
    }

    /// Removes all checkpoints, once the run they belong to is complete.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be removed.
    pub fn remove(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(Error::io(&self.folder))
        } else {
            Ok(())
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

/// What burn says of a file that it wrote, or could not: in words alone, with the name of a file of
/// its own, but with the system's number.
fn written(path: &Path, result: std::result::Result<(), RecordError>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let text = error.to_string();
    // A folder that cannot be synchronized is none of our errors elsewhere.
    if text.contains("was saved, but syncing its directory failed") {
        return Ok(());
    }
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.split(')').next());
    let error = match number.and_then(|number| number.parse().ok()) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(text),
    };
    Err(Error::io(path)(error))
}

/// Writes an optimizer's state in burn's own format, without the bytes of the file in memory besides
/// those of the state.
pub(super) fn save_optimizer(optimizer: &ModuleOptimizer, path: &Path) -> Result<()> {
    written(path, optimizer.save(path))
}

/// Writes a module's parameters in burn's own format, without the bytes of the file in memory besides
/// those of the parameters.
pub(super) fn save_module<M: Module>(module: &M, path: &Path) -> Result<()> {
    written(path, module.clone().into_record().save(path))
}

/// Reads what [`save_optimizer`] wrote.
pub(super) fn load_optimizer(path: &Path, optimizer: &ModuleOptimizer) -> Result<ModuleOptimizer> {
    let record = OptimizerRecord::from_bytes(read(path)?).map_err(|e| Error::format(path, e))?;
    Ok(optimizer.clone().load_record(record))
}

/// A module's parameters in burn's own format; `path` is for the error.
pub(super) fn module_bytes<M: Module>(module: &M, path: &Path) -> Result<Bytes> {
    module.clone().into_record().into_bytes().map_err(|e| Error::format(path, e))
}

/// Writes a module's parameters in burn's own format, whole or not at all, but without their
/// random identities, which only an optimizer needs: equal weights give equal files.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn save_weights<M: Module>(path: &Path, module: &M) -> Result<()> {
    let wrong = |e: burn_pack::Error| Error::format(path, e);
    let bytes = module_bytes(module, path)?;
    let mut tensors = Reader::from_bytes(bytes).and_then(Reader::into_tensors).map_err(wrong)?;
    tensors.iter_mut().for_each(|tensor| tensor.param_id = None);
    files::write(path, &Writer::new(tensors).into_bytes().map_err(wrong)?)
}

/// Reads parameters that [`save_module`] or [`save_weights`] wrote into `module`, whose shape
/// they must fit.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is damaged or
/// belongs to a module of another shape.
pub fn load_module<M: Module>(path: &Path, module: M) -> Result<M> {
    module_from_bytes(read(path)?, module, path)
}

/// Fills `module` from what [`module_bytes`] made; `path` is for the error.
pub(super) fn module_from_bytes<M: Module>(bytes: Bytes, module: M, path: &Path) -> Result<M> {
    // burn panics over some damaged records.
    let load = || {
        let record = ModuleRecord::from_bytes(bytes).map_err(|e| Error::format(path, e))?;
        module.try_load_record(record).map_err(|e| Error::format(path, e))
    };
    caught(load).map_err(|panic| Error::format(path, panic))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoint"));
        let old: Write = &|path| files::write(path, b"old");
        checkpoints.write("1", &[("a.bpk", old)], Extra { epoch: 1 }).unwrap();
        // The second file cannot be written, as on a full disk.
        let new: Write = &|path| files::write(path, b"new");
        let files = [("a.bpk", new), ("no/such/folder.bpk", new)];
        checkpoints.write("2", &files, Extra { epoch: 2 }).unwrap_err();
        let (newest, state) = checkpoints.read::<Extra>().unwrap().unwrap();
        assert_eq!((fs::read(newest.join("a.bpk")).unwrap(), state.epoch), (b"old".to_vec(), 1));
        let left: Vec<_> = fs::read_dir(folder.path().join("checkpoint")).unwrap().collect();
        assert_eq!(left.len(), 2, "the old one and latest.json: {left:?}");
        checkpoints.write("2", &files[..1], Extra { epoch: 2 }).unwrap();
        assert_eq!(checkpoints.read::<Extra>().unwrap().unwrap().1.epoch, 2);
    }

    #[test]
    fn why_burn_cannot_write_is_told_as_of_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let module = burn::nn::LinearConfig::new(2, 3).init(&burn::tensor::Device::flex());
        let path = folder.path().join("model.bpk");
        save_module(&module, &path).unwrap();
        assert_eq!(load_module(&path, module.clone()).unwrap().weight.dims(), [2, 3]);
        let path = folder.path().join("no/such/folder/model.bpk");
        let said = save_module(&module, &path).unwrap_err().to_string();
        let system = fs::read(&path).unwrap_err();
        assert_eq!(said, format!("{}: {system}", path.display()));
    }

    #[derive(Serialize, Deserialize)]
    struct Extra {
        epoch: usize,
    }
}
