//! Standard input as a recording.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::cli::flag::flag;
use crate::error::{Error, Result, name_options};

/// What the user calls standard input.
const NAME: &str = "-";

/// A recording from standard input, in a file while it is needed; or none.
pub(super) struct StandardInput(Option<NamedTempFile>);

impl StandardInput {
    /// Reads standard input to its end if it is among `paths`. Its results cannot be kept in a
    /// table `output`: what a later run finds there again is known by its file's name.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for such a file; [`Error::Io`] if it cannot be read or stored.
    pub fn read(paths: &[PathBuf], output: Option<&Path>) -> Result<Self> {
        if !paths.iter().any(|path| path == Path::new(NAME)) {
            return Ok(Self(None));
        }
        if output.is_some() {
            let reason = "‹output› cannot go on with standard input; name a file";
            return Err(Error::InvalidInput(reason.to_owned()));
        }
        let failed = || Error::io("standard input");
        let mut file = NamedTempFile::new().map_err(failed())?;
        io::copy(&mut io::stdin().lock(), &mut file).map_err(failed())?;
        Ok(Self(Some(file)))
    }

    /// `paths` with the file in the place of `-`.
    pub fn replaced(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        let path = |path: &PathBuf| match &self.0 {
            Some(file) if path == Path::new(NAME) => file.path().to_owned(),
            _ => path.clone(),
        };
        paths.iter().map(path).collect()
    }

    /// What the user calls the recording at `path`.
    pub fn name<'a>(&self, path: &'a Path) -> &'a Path {
        match &self.0 {
            Some(file) if file.path() == path => Path::new(NAME),
            _ => path,
        }
    }

    /// What went wrong with the recording at `path`, without its name.
    pub fn reason(&self, error: &Error, path: &Path) -> String {
        name_options(&error.reason_at(path), flag)
    }

    /// An error as the user is to read it, who knows nothing of the file.
    pub fn explain(&self, error: &Error) -> String {
        let text = error.naming_options(flag);
        match &self.0 {
            Some(file) => text.replace(&*file.path().to_string_lossy(), "standard input"),
            None => text,
        }
    }
}
