//! The formats of a catalogue.

use std::io::BufWriter;
use std::path::Path;

use super::cell::{Cell, Field};
use super::columns::Teller;
use super::{csv, json_lines, parquet, parquet_reader, sqlite};
use crate::error::{Error, Result};
use crate::files;

/// How a catalogue is written: its name's ending says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.parquet`.
    Parquet,
    /// `.csv`.
    Csv,
    /// `.jsonl`.
    JsonLines,
    /// `.sqlite`.
    Sqlite,
}

impl Format {
    const ALL: [(&str, Self); 4] = [
        ("parquet", Self::Parquet),
        ("csv", Self::Csv),
        ("jsonl", Self::JsonLines),
        ("sqlite", Self::Sqlite),
    ];

    /// That of the file at `path`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another ending.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = files::ending(path);
        let known = Self::ALL.into_iter().find(|(known, _)| *known == ending);
        known.map(|(_, format)| format).ok_or_else(|| {
            let reason = "a table's name says what it is to be: end it with .parquet, .csv, .jsonl \
                or .sqlite, or give - for lines of JSON on standard output";
            Error::unsupported(path, reason)
        })
    }

    /// Refuses columns that it cannot hold.
    pub(super) fn check(self, path: &Path, fields: &[Field]) -> Result<()> {
        match self {
            Self::Sqlite => sqlite::check(path, fields),
            Self::Parquet | Self::Csv | Self::JsonLines => Ok(()),
        }
    }

    /// The columns of the table at `path`.
    pub(super) fn names(self, path: &Path) -> Result<Vec<String>> {
        match self {
            Self::Parquet => parquet_reader::names(path),
            Self::Csv => csv::names(path),
            Self::JsonLines => json_lines::names(path),
            Self::Sqlite => sqlite::names(path),
        }
    }

    /// Gives every row of the table at `path`, which has these columns, to `each`.
    pub(super) fn read(
        self,
        path: &Path,
        fields: &[Field],
        each: impl FnMut(Vec<Cell>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Parquet => parquet_reader::read(path, fields, each),
            Self::Csv => csv::read(path, fields, each),
            Self::JsonLines => json_lines::read(path, fields, each),
            Self::Sqlite => sqlite::read(path, fields, each),
        }
    }

    /// Writes a table to `path`, whole or not at all.
    pub(super) fn write(
        self,
        path: &Path,
        teller: &Teller,
        fields: &[Field],
        rows: impl Iterator<Item = Result<Vec<Cell>>>,
    ) -> Result<()> {
        let part = files::part_beside(path, "")?;
        let buffered = || BufWriter::new(part.as_file());
        match self {
            Self::Parquet => parquet::write(buffered(), path, teller, fields, rows),
            Self::Csv => csv::write(buffered(), path, fields, rows),
            Self::JsonLines => json_lines::write(buffered(), path, fields, rows),
            Self::Sqlite => sqlite::write(part.path(), path, fields, rows),
        }?;
        part.as_file().sync_all().map_err(Error::io(path))?;
        part.persist(path).map_err(|e| Error::io(path)(e.error))?;
        Ok(())
    }
}
