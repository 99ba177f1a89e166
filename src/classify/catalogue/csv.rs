//! Rows as CSV: commas, quotes where needed, nothing where there is no value. A text is written as it
//! is, even where a spreadsheet takes it for a formula: what is read back must be what was found.

use std::io::Write;
use std::path::Path;

use super::cell::{Cell, Field};
use crate::error::{Error, Result};

/// The names in the first line of the file at `path`.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let failed = |e| failed(path, e);
    let mut reader = csv::Reader::from_path(path).map_err(failed)?;
    Ok(reader.headers().map_err(failed)?.iter().map(str::to_owned).collect())
}

/// Gives every row of the file at `path` to `each`.
pub(super) fn read(
    path: &Path,
    fields: &[Field],
    mut each: impl FnMut(Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let mut reader = csv::Reader::from_path(path).map_err(|e| failed(path, e))?;
    for record in reader.records() {
        let record = record.map_err(|e| failed(path, e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |(field, text): (&Field, &str)| {
            let wrong = || format!("line {line}: \"{}\" is {text:?}", field.name);
            Cell::parse(field.kind, text).ok_or_else(|| Error::format(path, wrong()))
        };
        each(fields.iter().zip(&record).map(cell).collect::<Result<_>>()?)?;
    }
    Ok(())
}

/// Writes the names and the rows.
pub(super) fn write(
    output: impl Write,
    path: &Path,
    fields: &[Field],
    rows: impl Iterator<Item = Result<Vec<Cell>>>,
) -> Result<()> {
    let failed = |e| failed(path, e);
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(fields.iter().map(|field| &field.name)).map_err(failed)?;
    for row in rows {
        writer.write_record(row?.iter().map(Cell::written)).map_err(failed)?;
    }
    writer.flush().map_err(Error::io(path))
}

fn failed(path: &Path, error: csv::Error) -> Error {
    if error.is_io_error() { Error::io(path)(error.into()) } else { Error::format(path, error) }
}
