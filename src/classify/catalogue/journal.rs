//! Rows of a run that goes on, kept so that a kill loses none.
//!
//! `results.parquet.part` gets a line of JSON for every recording that is finished; the first line
//! says by which model. The next run of the same model goes on with what stands there. A line that
//! a kill, or a full disk, cut short is cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cell::{Cell, Field};
use super::columns::{Known, known};
use super::json_lines;
use crate::error::{Error, Result};

/// Whose results these are: the first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    model_sha256: String,
    columns: Vec<String>,
}

/// Where a row stands, and what it says of its recording.
#[derive(Clone)]
pub(super) struct Entry {
    offset: u64,
    length: u64,
    pub known: Known,
}

/// The rows of a run on their way to a table.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    end: u64,
    fields: Vec<Field>,
    entries: HashMap<String, Entry>,
}

impl Journal {
    /// Begins the journal of `output`, by the model of this SHA-256 whose rows have these columns,
    /// or goes on with the one that an earlier run of the same model left.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; [`Error::Mismatch`] if it is another model's;
    /// [`Error::Occupied`] if another process is writing it; [`Error::Format`] if it is damaged or
    /// of another version.
    pub fn open(output: &Path, sha256: &str, fields: &[Field]) -> Result<Self> {
        let mut path = output.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let file = locked(&path)?;
        let columns = fields.iter().map(|field| field.name.clone()).collect();
        let header = Header { model_sha256: sha256.to_owned(), columns };
        let (fields, entries) = (fields.to_vec(), HashMap::new());
        let mut journal = Self { path, file, end: 0, fields, entries };
        journal.read(&header)?;
        if journal.end == 0 {
            let line = serde_json::to_string(&header).map_err(|e| journal.damaged(1, e))?;
            journal.append(&(line + "\n"))?;
        }
        Ok(journal)
    }

    /// The number of rows in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The names of its recordings, in the order in which they were written last.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<(&str, u64)> =
            self.entries.iter().map(|(name, entry)| (&**name, entry.offset)).collect();
        names.sort_by_key(|(_, offset)| *offset);
        names.into_iter().map(|(name, _)| name).collect()
    }

    /// What is known of the recording of this name.
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.entries.get(name).map(|entry| &entry.known)
    }

    /// The row of the recording of this name.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if it cannot be read.
    pub fn row(&self, name: &str) -> Result<Option<Vec<Cell>>> {
        let Some(line) = self.line(name)? else { return Ok(None) };
        let wrong = |reason| Error::format(&self.path, reason);
        json_lines::row(&self.fields, &line).map(Some).map_err(wrong)
    }

    /// The row of the recording of this name as a line of JSON, with its newline.
    pub fn line(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let mut file = &self.file;
        let mut line = vec![0; entry.length as usize];
        file.seek(SeekFrom::Start(entry.offset))
            .and_then(|_| file.read_exact(&mut line))
            .map_err(Error::io(&self.path))?;
        Ok(Some(line))
    }

    /// Keeps a row, in the place of what was known of its recording; whether it says something else.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn put(&mut self, row: &[Cell]) -> Result<bool> {
        let known = known(&self.fields, row);
        let line = json_lines::line(&self.fields, row)?;
        if self.line(&known.path)?.is_some_and(|before| before == line.as_bytes()) {
            return Ok(false);
        }
        let (offset, length) = (self.end, line.len() as u64);
        self.append(&line)?;
        self.entries.insert(known.path.clone(), Entry { offset, length, known });
        Ok(true)
    }

    /// Removes it.
    pub fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }

    /// Reads what an earlier run left.
    fn read(&mut self, own: &Header) -> Result<()> {
        let text = serde_json::to_vec(own).map_err(|e| self.damaged(1, e))?;
        let mut reader = BufReader::new(&self.file);
        let mut line = vec![];
        for number in 1.. {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(Error::io(&self.path))?;
            if line.last() != Some(&b'\n') {
                // What a kill has cut short, unless it is somebody else's file.
                if number > 1 || text.starts_with(&line) {
                    break;
                }
                return Err(self.damaged(1, "not written by classify"));
            }
            if number == 1 {
                self.check_header(own, &line)?;
            } else {
                let row =
                    json_lines::row(&self.fields, &line).map_err(|e| self.damaged(number, e))?;
                let (known, length) = (known(&self.fields, &row), line.len() as u64);
                let entry = Entry { offset: self.end, length, known };
                self.entries.insert(entry.known.path.clone(), entry);
            }
            self.end += line.len() as u64;
        }
        self.file.set_len(self.end).map_err(Error::io(&self.path))
    }

    fn check_header(&self, own: &Header, line: &[u8]) -> Result<()> {
        let header: Header = serde_json::from_slice(line).map_err(|e| self.damaged(1, e))?;
        let path = self.path.display();
        if header.model_sha256 != own.model_sha256 {
            return Err(Error::Mismatch(format!(
                "{path}: unfinished results of another model (SHA-256 {}); go on with that model, \
                 or remove the file to begin anew",
                header.model_sha256
            )));
        }
        if header != *own {
            let reason = "its columns are those of another version; remove it to begin anew";
            return Err(Error::format(&self.path, reason));
        }
        Ok(())
    }

    fn append(&mut self, line: &str) -> Result<()> {
        self.file.write_all(line.as_bytes()).map_err(Error::io(&self.path))?;
        self.end += line.len() as u64;
        Ok(())
    }

    fn damaged(&self, number: usize, reason: impl std::fmt::Display) -> Error {
        Error::format(&self.path, format!("line {number}: {reason}; remove it to begin anew"))
    }
}

/// The file at `path`, which is ours alone until it is closed.
fn locked(path: &Path) -> Result<File> {
    loop {
        let mut options = OpenOptions::new();
        let opened = options.read(true).append(true).create(true).open(path);
        let file = opened.map_err(Error::io(path))?;
        match file.try_lock() {
            // Who had it may have finished and removed it in between.
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another classify is writing it; wait for that or choose another file";
                return Err(Error::occupied(path, reason));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(path)(error)),
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(own), Ok(there)) => id(own) == id(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.is_file()
}
