//! The document as a PDF, set by typst with the fonts it brings along.

use std::collections::HashMap;

use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use super::document::Document;
use super::sheet::{SHEET, TEMPLATE};
use crate::error::{Cause, Error, Result};

impl Document {
    /// The document as a PDF.
    ///
    /// # Errors
    /// [`Error::Drawing`] if it cannot be set.
    pub(super) fn pdf(&self) -> Result<Vec<u8>> {
        self.set().map_err(|e| Error::drawing("report.pdf", e))
    }

    fn set(&self) -> Result<Vec<u8>, Cause> {
        let sheet = Sheet::new(self)?;
        let pages = typst::compile::<PagedDocument>(&sheet).output.map_err(|e| messages(&e))?;
        Ok(typst_pdf::pdf(&pages, &PdfOptions::default()).map_err(|e| messages(&e))?)
    }
}

fn messages(errors: &[SourceDiagnostic]) -> String {
    errors.iter().map(|error| error.message.to_string()).collect::<Vec<_>>().join("; ")
}

/// All that typst can see: the template, the document and its pictures.
struct Sheet {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    files: HashMap<FileId, Bytes>,
}

impl Sheet {
    fn new(document: &Document) -> Result<Self, Cause> {
        let json = serde_json::to_vec(document)?;
        let mut files = HashMap::from([(id("document.json")?, Bytes::new(json))]);
        for picture in document.pictures() {
            files.insert(id(&picture.file)?, Bytes::new(picture.image.clone()));
        }
        let fonts: Vec<Font> =
            typst_assets::fonts().flat_map(|data| Font::iter(Bytes::new(data))).collect();
        Ok(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(id(SHEET)?, TEMPLATE.to_owned()),
            files,
        })
    }
}

fn id(name: &str) -> Result<FileId, Cause> {
    let path = VirtualPath::new(name).map_err(|error| format!("{name}: {error:?}"))?;
    Ok(RootedPath::new(VirtualRoot::Project, path).intern())
}

impl World for Sheet {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() { Ok(self.template.clone()) } else { Err(missing(id)) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        self.files.get(&id).cloned().ok_or_else(|| missing(id))
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn missing(id: FileId) -> FileError {
    FileError::NotFound(id.vpath().get_without_slash().into())
}
