//! Where a run goes.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::run::Run;

/// Whether a run may be called `name`.
///
/// # Errors
/// [`Error::OutOfRange`] if it is a path.
pub fn check_name(name: &str) -> Result<()> {
    if Path::new(name).file_name() == Some(name.as_ref()) {
        Ok(())
    } else {
        Err(Error::out_of_range("name", name, "give a plain name; ‹runs› sets the folder"))
    }
}

/// Where a run goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A new folder in this one, named after what is trained and the data.
    Free(PathBuf),
    /// This folder.
    Named {
        /// The folder.
        folder: PathBuf,
        /// Whether a run that is there is replaced; without, it is an error.
        force: bool,
    },
    /// An interrupted run to go on with.
    Resume(Run),
}

impl Destination {
    /// In the folder `runs`: a free name, or this one, where `force` lets it replace a run.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the name is a path.
    pub fn of(runs: &Path, name: Option<&str>, force: bool) -> Result<Self> {
        match name {
            None => Ok(Self::Free(runs.to_owned())),
            Some(name) => check_name(name).map(|()| Self::Named { folder: runs.join(name), force }),
        }
    }

    /// The folder with all runs.
    pub(super) fn runs(&self) -> &Path {
        match self {
            Self::Free(runs) => runs,
            Self::Named { folder, .. } => folder.parent().unwrap_or(Path::new("")),
            Self::Resume(run) => run.folder().parent().unwrap_or(Path::new("")),
        }
    }

    /// The run that is to be resumed, where one is.
    pub(super) fn resumed(&self) -> Option<&Run> {
        match self {
            Self::Resume(run) => Some(run),
            _ => None,
        }
    }

    /// The run's folder, made unless it is resumed; a free one is named after `stem`.
    ///
    /// # Errors
    /// Those of [`Run::create`] and [`Run::replace`].
    pub(super) fn create(&self, stem: &str) -> Result<Run> {
        match self {
            Self::Free(runs) => Run::create(&Run::free_folder(runs, stem)),
            Self::Named { folder, force: true } => Run::replace(folder),
            Self::Named { folder, force: false } => Run::create(folder),
            Self::Resume(run) => Ok(run.clone()),
        }
    }
}
