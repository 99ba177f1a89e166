//! All that typst makes the PDF of, as files.

use std::path::Path;

use super::document::Document;
use crate::error::{Error, Result};
use crate::files;

/// The folder for them, beside the report.
pub(super) const FOLDER: &str = "typst";
/// The one that typst is given.
pub(super) const SHEET: &str = "report.typ";
/// What is in it.
pub(super) const TEMPLATE: &str = include_str!("templates/page.typ");

impl Document {
    /// Writes `report.typ`, the document and its pictures into `folder`: `typst compile report.typ`
    /// makes the PDF of them.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file that could not be written; [`Error::Format`] if the document is
    /// no JSON.
    pub(super) fn write_sheet(&self, folder: &Path) -> Result<()> {
        files::create_dir(folder)?;
        let json = serde_json::to_vec(self).map_err(|error| Error::format(folder, error))?;
        files::write(&folder.join("document.json"), &json)?;
        for picture in self.pictures().filter(|picture| !picture.file.is_empty()) {
            files::write(&folder.join(&picture.file), &picture.image)?;
        }
        files::write(&folder.join(SHEET), TEMPLATE.as_bytes())
    }
}
