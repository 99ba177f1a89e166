//! The bundle: written under another name, then renamed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::input::Input;
use super::super::options::Options;
use super::super::stages::export;
use super::{card, triton};
use crate::error::{Error, Result};
use crate::files;
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
/// [`Error::Occupied`] if there is something in `folder` already; those of [`export`]. Nothing
/// is left behind then.
pub fn bundle(run: &Run, folder: &Path, options: &Options) -> Result<Bundle> {
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    };
    if !is_free {
        return Err(Error::occupied(folder, "already there; remove it or choose another folder"));
    }
    let draft = files::folder_beside(folder)?;
    let part = draft.path();
    let mut model = export(run, &part.join(MODEL), options)
        .map_err(|error| name_destination(error, &part.join(MODEL), &folder.join(MODEL)))?;
    model.path = folder.join(MODEL);
    let files = fill(run, part, folder, options.input, &model)?;
    // Not before it is whole; an empty folder may be in its place.
    fs::rename(part, folder).map_err(Error::io(folder))?;
    Ok(Bundle { folder: folder.to_owned(), files, model })
}

/// Writes what goes with the model in `part`, which will be `folder`; all files' names.
fn fill(
    run: &Run,
    part: &Path,
    folder: &Path,
    input: Input,
    model: &Exported,
) -> Result<Vec<String>> {
    for name in COPIED {
        let from = run.folder().join(name);
        fs::copy(&from, part.join(name)).map_err(Error::io(&from))?;
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let write = |name: &str, text: String| files::write(&part.join(name), text.as_bytes());
    write("README.md", card::text(run, &name, input, model)?)?;
    write("config.pbtxt", triton::config(&part.join(MODEL))?)?;
    link(part)?;
    let written = ["README.md", "config.pbtxt", MODEL, TRITON_MODEL];
    let mut files: Vec<String> = COPIED.into_iter().chain(written).map(str::to_owned).collect();
    files.sort();
    let line = |name: &String| Ok(format!("{}  {name}\n", files::sha256(&part.join(name))?));
    write(SUMS, files.iter().map(line).collect::<Result<String>>()?)?;
    files.push(SUMS.to_owned());
    Ok(files)
}

/// Puts the model where Triton wants it, as a second name of the same file where the file
/// system has such, else as a copy.
fn link(part: &Path) -> Result<()> {
    let (model, again) = (part.join(MODEL), part.join(TRITON_MODEL));
    if let Some(version) = again.parent() {
        files::create_dir(version)?;
    }
    if fs::hard_link(&model, &again).is_err() {
        fs::copy(&model, &again).map_err(Error::io(&again))?;
    }
    Ok(())
}
