//! A benchmark's files, and its table for the terminal.

use std::path::Path;

use super::records::Report;
use super::{chart, table};
use crate::error::{Error, Result};
use crate::files;

impl Report {
    /// The rows as aligned text.
    pub fn to_text(&self) -> String {
        table::text(self)
    }

    /// Writes `bench.json`, `bench.md` and `bench.svg` into `folder`, each whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        files::create_dir(folder)?;
        files::write_json(&folder.join("bench.json"), self)?;
        files::write(&folder.join("bench.md"), table::markdown(self).as_bytes())?;
        files::write(&folder.join("bench.svg"), chart::latency(self)?.as_bytes())
    }
}

/// Creates `folder` and checks that files can be written there, so that a benchmark does
/// not run for minutes only to fail in the end.
///
/// # Errors
/// [`Error::Io`] naming the folder.
pub fn prepare_output(folder: &Path) -> Result<()> {
    files::create_dir(folder)?;
    tempfile::tempfile_in(folder).map(drop).map_err(Error::io(folder))
}
