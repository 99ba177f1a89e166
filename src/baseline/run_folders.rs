//! Where a baseline's runs go.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::run::{BaselineModel, Run};

/// Where runs go.
#[derive(Clone, Debug)]
pub struct RunFolders {
    /// The folder for runs.
    pub runs: PathBuf,
    /// How run folders begin, `NAME-svm`; by default from table and split.
    pub name: Option<String>,
    /// Whether to replace runs of that name.
    pub force: bool,
}

/// What becomes of a run that is already in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, and the new run cannot take its place.
    Keep,
    /// The new run takes its place.
    Replace,
}

/// The folder of one model's run.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub folder: PathBuf,
    pub existing: Existing,
}

impl RunFolders {
    /// A folder for every model, runs on the table called `table`.
    ///
    /// # Errors
    /// [`Error::Occupied`] if one is taken and is not to be replaced.
    pub(super) fn targets(&self, models: &[BaselineModel], table: &str) -> Result<Vec<Target>> {
        let one = |model: &BaselineModel| {
            let Some(name) = &self.name else {
                let folder = Run::free_folder(&self.runs, &format!("{model}-{table}"));
                return Ok(Target { folder, existing: Existing::Keep });
            };
            let folder = self.runs.join(format!("{name}-{model}"));
            // Only a run is ever replaced.
            if folder.exists() && !(self.force && Run::at(&folder).is_run()) {
                Err(Error::occupied(
                    folder,
                    "already there; choose another ‹name›, or ‹force› to replace a run",
                ))
            } else {
                let existing = if self.force { Existing::Replace } else { Existing::Keep };
                Ok(Target { folder, existing })
            }
        };
        models.iter().map(one).collect()
    }
}
