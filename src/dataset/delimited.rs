//! Tables as text, however a spreadsheet wrote them: with commas, semicolons, tabs or bars between
//! the cells, with decimal commas, in UTF-8 or UTF-16.

use std::cell::Cell;
use std::io::Cursor;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::error::{Error, Result};
use crate::files;

/// What may stand between cells; the first of those that divide a line most often does.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// A table whose line of names has been read.
pub(super) struct Delimited<'a> {
    pub path: &'a Path,
    /// Names of the columns.
    pub names: Vec<String>,
    reader: csv::Reader<Cursor<Vec<u8>>>,
    delimiter: u8,
    decimals: Cell<Option<Decimals>>,
}

/// How fractions are written, and the number that showed it first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decimals {
    Point,
    Comma,
}

impl<'a> Delimited<'a> {
    /// Reads the file at `path`; `flexible` lines may have more or fewer cells than there are
    /// names.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is no text or has no names.
    pub fn open(path: &'a Path, flexible: bool) -> Result<Self> {
        let text = files::as_utf8(path, std::fs::read(path).map_err(Error::io(path))?)?;
        let delimiter = delimiter(&text);
        let mut reader = ReaderBuilder::new()
            .trim(Trim::All)
            .delimiter(delimiter)
            .flexible(flexible)
            .from_reader(Cursor::new(text));
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(e) => return Err(error(path, reader.get_ref().get_ref(), e)),
        };
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        if names.iter().all(String::is_empty) {
            let reason = "the file is empty; it needs a line of column names and then the rows";
            return Err(Error::format(path, reason));
        }
        Ok(Self { path, names, reader, delimiter, decimals: Cell::new(None) })
    }

    /// The next row in `record`, and its line; none at the end.
    ///
    /// # Errors
    /// [`Error::Format`] naming the line.
    pub fn read(&mut self, record: &mut StringRecord) -> Result<Option<u64>> {
        let read = self.reader.read_record(record);
        let text = self.reader.get_ref().get_ref();
        if !read.map_err(|e| error(self.path, text, e))? {
            return Ok(None);
        }
        Ok(Some(record.position().map_or(0, |position| line(text, position))))
    }

    /// A cell that holds something.
    ///
    /// # Errors
    /// [`Error::Format`] if it is empty.
    pub fn text<'r>(&self, record: &'r StringRecord, line: u64, column: usize) -> Result<&'r str> {
        match record.get(column).unwrap_or_default() {
            "" => Err(self.fault(line, column, "empty")),
            text => Ok(text),
        }
    }

    /// A cell that holds a finite number: with a decimal point, or, where commas do not stand
    /// between cells, with a decimal comma, and perhaps in brackets, as NumPy writes an array of
    /// one.
    ///
    /// # Errors
    /// [`Error::Format`] if it does not, or if points and commas are mixed in the file.
    pub fn number(&self, record: &StringRecord, line: u64, column: usize) -> Result<f32> {
        let text = self.text(record, line, column)?;
        let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let plain = inside.unwrap_or(text).trim();
        let parsed = match plain.split_once(',') {
            Some((whole, rest)) if self.delimiter != b',' && !rest.contains(['.', ',']) => {
                self.note(Decimals::Comma, line, column, text)?;
                format!("{whole}.{rest}").parse()
            }
            _ => {
                if plain.contains('.') {
                    self.note(Decimals::Point, line, column, text)?;
                }
                plain.parse::<f64>()
            }
        };
        let number =
            parsed.map_err(|_| self.fault(line, column, format!("\"{text}\" is not a number")))?;
        if (number as f32).is_finite() {
            Ok(number as f32)
        } else {
            Err(self.fault(line, column, format!("{text}, where a finite number is needed")))
        }
    }

    /// Refuses a number that is written another way than those before it: one of the two ways
    /// would be read a thousand times too large.
    fn note(&self, decimals: Decimals, line: u64, column: usize, text: &str) -> Result<()> {
        match self.decimals.replace(Some(decimals)) {
            Some(before) if before != decimals => {
                let (here, there) = match decimals {
                    Decimals::Comma => ("comma", "points"),
                    Decimals::Point => ("point", "commas"),
                };
                let reason = format!("\"{text}\" has a decimal {here}, numbers before it {there}");
                Err(self.fault(line, column, reason))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with a cell.
    pub fn fault(&self, line: u64, column: usize, reason: impl std::fmt::Display) -> Error {
        let name = self.names.get(column).map_or("?", String::as_str);
        Error::format(self.path, format!("line {line}, column \"{name}\": {reason}"))
    }
}

/// What stands most often between the names of the columns, outside quotation marks.
fn delimiter(text: &[u8]) -> u8 {
    let (mut counts, mut is_quoted) = ([0usize; DELIMITERS.len()], false);
    for byte in text.iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')) {
        if *byte == b'"' {
            is_quoted = !is_quoted;
        }
        if let Some(at) = DELIMITERS.iter().position(|delimiter| delimiter == byte)
            && !is_quoted
        {
            counts[at] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    let at = counts.iter().position(|count| *count == most).unwrap_or_default();
    DELIMITERS[at]
}

/// The line at `position`, counted from 1. Where lines end in CRLF, the reader's own count is
/// taken between the two, with the LF of the line before still to come.
fn line(text: &[u8], position: &csv::Position) -> u64 {
    let is_before_feed = text.get(position.byte() as usize) == Some(&b'\n');
    position.line() + u64::from(is_before_feed)
}

/// What the CSV reader says of `text`, with the line it is about.
fn error(path: &Path, text: &[u8], error: csv::Error) -> Error {
    let line = error.position().map(|position| line(text, position));
    let at = line.map_or_else(String::new, |line| format!("line {line}: "));
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::io(path)(source),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::format(path, format!("{at}{len} values for {expected_len} columns"))
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            Error::format(path, format!("{at}value {} is not valid UTF-8", err.field() + 1))
        }
        other => Error::format(path, format!("{at}{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the column `x` of a table.
    fn numbers(bytes: &[u8]) -> Result<Vec<f32>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, bytes).unwrap();
        let mut table = Delimited::open(&path, false)?;
        let column = table.names.iter().position(|name| name == "x").unwrap();
        let (mut record, mut found) = (StringRecord::new(), vec![]);
        while let Some(line) = table.read(&mut record)? {
            found.push(table.number(&record, line, column)?);
        }
        Ok(found)
    }

    #[test]
    fn every_form_that_a_spreadsheet_writes_is_the_same_table() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
        };
        for text in [
            "name,x\na,1.5\nb,-2e-05\n",
            "\u{feff}name;x\r\na;1,5\r\nb;-2e-05\r\n",
            "x\tname\n1,5\ta,b\n-2E-5\tb\n",
            "name|x\n\"a|b\"|[1.5]\nb|[-2e-05]\n",
            "\"name;of;it\",x\na,1.5\nb,-0.00002\n",
        ] {
            let wanted = [1.5, -2e-5];
            assert_eq!(numbers(text.as_bytes()).unwrap(), wanted, "{text}");
            let plain = text.trim_start_matches('\u{feff}');
            assert_eq!(numbers(&utf16(plain, u16::to_le_bytes)).unwrap(), wanted, "{text}");
            assert_eq!(numbers(&utf16(plain, u16::to_be_bytes)).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_could_be_two_numbers_is_none() {
        for (text, reason) in [
            ("x;y\n1,5;0\n2.5;0\n", "line 3, column \"x\": \"2.5\" has a decimal point, numbers"),
            ("x;y\n1.5;0\n2,5;0\n", "line 3, column \"x\": \"2,5\" has a decimal comma, numbers"),
            ("x;y\n1.234,5;0\n", "\"1.234,5\" is not a number"),
            ("x;y\n1,234,567;0\n", "\"1,234,567\" is not a number"),
            ("x;y\n[1 2];0\n", "\"[1 2]\" is not a number"),
            ("x;y\n[1;0\n", "\"[1\" is not a number"),
            ("x;y\n;0\n", "line 2, column \"x\": empty"),
            ("x;y\ninf;0\n", "inf, where a finite number is needed"),
        ] {
            let error = numbers(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, not {reason}");
        }
        assert!(numbers(b"\xff\xfex\0\n").unwrap_err().to_string().contains("UTF-16"));
    }
}
