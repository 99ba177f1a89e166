//! The bundle: written under another name, then renamed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::options::Options;
use super::super::stages::export_within;
use super::{card, triton};
use crate::error::{Error, Result};
use crate::files;
use crate::onnx::external::{LIMIT, beside};
use crate::onnx::write::name_destination;
use crate::run::{Exported, Run, names};

/// The model in a bundle, and in a run.
const MODEL: &str = names::MODEL;
/// The same file where Triton looks for a model's first version.
const TRITON_MODEL: &str = "1/model.onnx";
/// What is copied from the run.
const COPIED: [&str; 3] = [names::PREPROCESSOR, names::LABELS, names::METRICS];
const SUMS: &str = "SHA256SUMS";

/// A folder that [`bundle`] has written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The folder.
    pub folder: PathBuf,
    /// The files in it, by their paths inside.
    pub files: Vec<String>,
    /// The model.
    pub model: Exported,
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model)?;
        writeln!(f, "{}: {}", self.folder.display(), self.files.join(", "))
    }
}

/// Exports `run` into a new `folder` with all that goes with it, complete or not at all: it is
/// written under another name beside its place, then renamed.
///
/// # Errors
/// [`Error::Occupied`] if there is something in `folder` already; those of [`export`](crate::export::export). Nothing
/// is left behind then.
pub fn bundle(run: &Run, folder: &Path, options: &Options) -> Result<Bundle> {
    bundle_within(run, folder, options, LIMIT)
}

/// As [`bundle`]: weights go into a second file, `model.onnx.data`, where a single one would have
/// more than `limit` bytes.
///
/// # Errors
/// As [`bundle`].
#[doc(hidden)]
pub fn bundle_within(run: &Run, folder: &Path, options: &Options, limit: usize) -> Result<Bundle> {
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    };
    if !is_free {
        return Err(Error::occupied(folder, "already there; remove it or choose another folder"));
    }
    let draft = files::folder_beside(folder)?;
    let part = draft.path();
    let mut model = export_within(run, &part.join(MODEL), options, limit)
        .map_err(|error| name_destination(error, &part.join(MODEL), &folder.join(MODEL)))?;
    model.path = folder.join(MODEL);
    model.data = model.data.map(|_| beside(&model.path));
    let files = fill(run, part, folder, options, &model)?;
    files::sync_folder(part)?;
    // Not before it is whole; an empty folder may be in its place.
    fs::rename(part, folder).map_err(Error::io(folder))?;
    Ok(Bundle { folder: folder.to_owned(), files, model })
}

/// Writes what goes with the model in `part`, which will be `folder`; all files' names.
fn fill(
    run: &Run,
    part: &Path,
    folder: &Path,
    options: &Options,
    model: &Exported,
) -> Result<Vec<String>> {
    for name in COPIED {
        let from = run.folder().join(name);
        fs::copy(&from, part.join(name)).map_err(Error::io(&from))?;
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let write = |name: &str, text: String| files::write(&part.join(name), text.as_bytes());
    write("README.md", card::text(run, &name, options, model)?)?;
    write("config.pbtxt", triton::config(&part.join(MODEL))?)?;
    let written = ["README.md", "config.pbtxt"];
    let mut files: Vec<String> = COPIED.into_iter().chain(written).map(str::to_owned).collect();
    let weights =
        model.data.as_ref().map(|_| [beside(MODEL.as_ref()), beside(TRITON_MODEL.as_ref())]);
    for [name, again] in std::iter::once([MODEL, TRITON_MODEL].map(PathBuf::from)).chain(weights) {
        link(&part.join(&name), &part.join(&again))?;
        files.extend([name, again].map(|file| file.to_string_lossy().into_owned()));
    }
    files.sort();
    let line = |name: &String| Ok(format!("{}  {name}\n", files::sha256(&part.join(name))?));
    write(SUMS, files.iter().map(line).collect::<Result<String>>()?)?;
    files.push(SUMS.to_owned());
    Ok(files)
}

/// Puts a file where Triton wants it, as a second name of the same file where the file system
/// has such, else as a copy.
fn link(file: &Path, again: &Path) -> Result<()> {
    if let Some(folder) = again.parent() {
        files::create_dir(folder)?;
    }
    if fs::hard_link(file, again).is_err() {
        fs::copy(file, again).map_err(Error::io(again))?;
    }
    Ok(())
}
