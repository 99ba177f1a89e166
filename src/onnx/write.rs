//! The last steps of every export: signed, written beside its place, proved there, renamed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message;
use tempfile::NamedTempFile;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

use super::prune::inline;
use crate::error::{Error, Result};
use crate::files;

/// Writes into `model` who made it, and its metadata.
pub(crate) fn sign(model: &mut ModelProto, metadata: BTreeMap<&'static str, String>) {
    let entry =
        |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
    model.producer_name = env!("CARGO_PKG_NAME").to_owned();
    model.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    model.metadata_props = metadata.into_iter().map(entry).collect();
}

/// A file that is not yet in its place: it lies beside it under another name, so that only
/// what was proved appears. Dropped, it leaves nothing behind.
pub(crate) struct Part<'a> {
    file: NamedTempFile,
    destination: &'a Path,
}

impl<'a> Part<'a> {
    /// An empty one; opened before the work, so that a folder that cannot be written to is
    /// known at once.
    ///
    /// # Errors
    /// [`Error::Io`] naming `destination`.
    pub fn beside(destination: &'a Path) -> Result<Self> {
        Ok(Self { file: files::part_beside(destination, ".onnx")?, destination })
    }

    /// Where the file lies meanwhile.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Fills the file.
    ///
    /// # Errors
    /// [`Error::Io`] naming the destination.
    pub fn write(&self, model: &ModelProto) -> Result<()> {
        fs::write(self.path(), model.encode_to_vec()).map_err(Error::io(self.destination))
    }

    /// What `check` says of the file; its errors name the destination.
    ///
    /// # Errors
    /// Those of `check`.
    pub fn prove<T>(&self, check: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        check(self.path()).map_err(|error| name_destination(error, self.path(), self.destination))
    }

    /// Renames the file into its place; its size and SHA-256.
    ///
    /// # Errors
    /// [`Error::Io`] naming the destination.
    pub fn publish(self) -> Result<(u64, String)> {
        let io = || Error::io(self.destination);
        let bytes = fs::metadata(self.path()).map_err(io())?.len();
        let sha256 = files::sha256(self.path())?;
        self.file.as_file().sync_all().map_err(io())?;
        self.file.persist(self.destination).map_err(|e| Error::io(self.destination)(e.error))?;
        Ok((bytes, sha256))
    }
}

/// Errors about the temporary file `part` are about `destination`, for the user.
pub(crate) fn name_destination(error: Error, part: &Path, destination: &Path) -> Error {
    match error {
        Error::Onnx { path, reason } if path == part => Error::onnx(destination, reason),
        other => other,
    }
}

/// Writes `model`, read from `path`, to `destination` as one file: external data comes inside.
///
/// # Errors
/// [`Error::Io`], and [`Error::Onnx`] if the external data is damaged.
pub(crate) fn write_whole(path: &Path, mut model: ModelProto, destination: &Path) -> Result<()> {
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        inline(path, tensor)?;
    }
    files::write(destination, &model.encode_to_vec())
}
