//! Results of a large collection, kept so that a killed run loses none.
//!
//! While a run goes on, `results.parquet.part` gets a line of JSON for every recording that is
//! finished. The next run of the same model leaves out what stands there, and at its end the
//! lines become the Parquet file. A line that a kill cut short is cut off.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::answer::{Classification, Timeline};
use super::parquet::{Column, ColumnType, Writer};
use crate::audio::Note;
use crate::error::{Error, Result};
use crate::features::Seen;
use crate::files;

/// Rows of a group in the Parquet file.
const GROUP: usize = 20_000;

/// Whose results these are: the first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    model_sha256: String,
    labels: Vec<String>,
}

/// A finished recording: any other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    path: String,
    /// The file's size and time of change: a file that has changed is classified again.
    bytes: u64,
    modified: u64,
    seconds: f64,
    padded: bool,
    silent: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<Note>,
    /// How a picture was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    picture: Option<Seen>,
    probabilities: Vec<f32>,
}

impl From<Record> for Classification {
    /// Without a timeline.
    fn from(record: Record) -> Self {
        let Record { seconds, padded, silent, notes, picture, probabilities, .. } = record;
        let timeline = Timeline::none();
        Self { seconds, padded, silent, notes, probabilities, timeline, picture }
    }
}

/// Where a record stands, and of which state of its file it speaks.
#[derive(Clone, Copy)]
struct Entry {
    offset: u64,
    length: u64,
    bytes: u64,
    modified: u64,
}

/// The results of a run on their way to a Parquet file.
pub struct Journal {
    output: PathBuf,
    path: PathBuf,
    file: File,
    end: u64,
    header: Header,
    /// Of the labels, where a recording may have any number of them.
    thresholds: Option<Vec<f32>>,
    entries: HashMap<String, Entry>,
}

impl Journal {
    /// Begins the journal of `output`, by a model with these labels and, where it tells any number
    /// of them, their thresholds, or goes on with the one that an earlier run of the same
    /// model left.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; [`Error::Mismatch`] if it is another model's;
    /// [`Error::Occupied`] if another process is writing it, or `output` is a folder;
    /// [`Error::Format`] if it is damaged.
    pub fn open(
        output: &Path,
        model_sha256: &str,
        labels: &[String],
        thresholds: Option<&[f32]>,
    ) -> Result<Self> {
        if output.is_dir() {
            return Err(Error::occupied(output, "a folder; name a file"));
        }
        let mut path = output.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let io = || Error::io(&path);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(&path).map_err(io())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another classify is writing it; wait for that or choose another file";
                return Err(Error::occupied(&path, reason));
            }
            Err(TryLockError::Error(error)) => return Err(io()(error)),
        }
        let header = Header { model_sha256: model_sha256.to_owned(), labels: labels.to_vec() };
        let output = output.to_owned();
        // The model's digest stands for them.
        let (thresholds, entries) = (thresholds.map(<[f32]>::to_vec), HashMap::new());
        let mut journal = Self { output, path, file, end: 0, header, thresholds, entries };
        journal.read()?;
        if journal.end == 0 {
            let header = journal.header.clone();
            journal.append(&header)?;
        }
        Ok(journal)
    }

    /// The number of results in it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no result in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What an earlier run found out about the recording at `path`, without a timeline; nothing
    /// if the file has changed since.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if the journal cannot be read.
    pub fn get(&mut self, path: &Path) -> Result<Option<Classification>> {
        let name = name(path);
        let Some(entry) = self.entries.get(&name).copied() else { return Ok(None) };
        if state(path) != Some((entry.bytes, entry.modified)) {
            self.entries.remove(&name);
            return Ok(None);
        }
        self.record(entry).map(|record| Some(record.into()))
    }

    /// Keeps what was found out about the recording at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if the journal cannot be written.
    pub fn add(&mut self, path: &Path, answer: &Classification) -> Result<()> {
        // A file that is gone by now is classified again if it comes back.
        let (bytes, modified) = state(path).unwrap_or_default();
        let record = Record {
            path: name(path),
            bytes,
            modified,
            seconds: answer.seconds,
            padded: answer.padded,
            silent: answer.silent,
            notes: answer.notes.clone(),
            picture: answer.picture.clone(),
            probabilities: answer.probabilities.clone(),
        };
        let offset = self.end;
        self.append(&record)?;
        let entry = Entry { offset, length: self.end - offset, bytes, modified };
        self.entries.insert(record.path, entry);
        Ok(())
    }

    /// Writes all results as a Parquet file, those of `order` first, and removes the journal:
    /// columns `path`, `genre` (null of a silent recording) or `genres` (those that reach their
    /// threshold, with `|` between them, or empty), `seconds` (NaN of a picture), `padded`, `silent`,
    /// `notes` (what is odd about the recording, or empty; how a picture was read), `probability_`
    /// and each label, and
    /// `model_sha256`. Without a result there is nothing to write, and what may be there
    /// from before is left as it is.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; the journal stays then.
    pub fn finish(mut self, order: &[PathBuf]) -> Result<()> {
        let mut rows: Vec<Entry> =
            order.iter().filter_map(|path| self.entries.remove(&name(path))).collect();
        let mut others: Vec<Entry> = self.entries.drain().map(|(_, entry)| entry).collect();
        others.sort_by_key(|entry| entry.offset);
        rows.append(&mut others);
        if rows.is_empty() {
            return fs::remove_file(&self.path).map_err(Error::io(&self.path));
        }

        let io = |error| Error::io(&self.output)(error);
        let part = files::part_beside(&self.output, ".parquet")?;
        let mut writer = Writer::new(BufWriter::new(part), self.fields()).map_err(io)?;
        for rows in rows.chunks(GROUP) {
            let records =
                rows.iter().map(|entry| self.record(*entry)).collect::<Result<Vec<_>>>()?;
            writer.group(rows.len(), &self.columns(&records)).map_err(io)?;
        }
        let labels = serde_json::to_string(&self.header.labels)
            .map_err(|e| Error::format(&self.output, e))?;
        let sha256 = self.header.model_sha256.clone();
        let mut pairs = vec![("model_sha256", sha256), ("labels", labels)];
        if let Some(thresholds) = &self.thresholds {
            let thresholds =
                serde_json::to_string(thresholds).map_err(|e| Error::format(&self.output, e))?;
            pairs.push(("thresholds", thresholds));
        }
        let output = writer.finish(&pairs).map_err(io)?;
        let part = output.into_inner().map_err(|e| io(e.into_error()))?;
        part.as_file().sync_all().map_err(io)?;
        part.persist(&self.output).map_err(|e| io(e.error))?;
        fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }

    fn fields(&self) -> Vec<(String, ColumnType)> {
        let field = |name: &str, kind| (name.to_owned(), kind);
        let mut fields = vec![
            field("path", ColumnType::Text),
            match self.thresholds {
                None => field("genre", ColumnType::OptionalText),
                Some(_) => field("genres", ColumnType::Text),
            },
            field("seconds", ColumnType::Double),
            field("padded", ColumnType::Bool),
            field("silent", ColumnType::Bool),
            field("notes", ColumnType::Text),
        ];
        let labels = self.header.labels.iter();
        fields.extend(labels.map(|label| (format!("probability_{label}"), ColumnType::Float)));
        fields.push(field("model_sha256", ColumnType::Text));
        fields
    }

    fn columns(&self, records: &[Record]) -> Vec<Column> {
        let Header { model_sha256, labels } = &self.header;
        let genre = |record: &Record| {
            Classification::from(record.clone()).genre().map(|genre| genre as u32)
        };
        let genres = |record: &Record, thresholds: &[f32]| {
            let told = Classification::from(record.clone()).above(thresholds);
            let names = told.into_iter().filter_map(|place| labels.get(place).map(String::as_str));
            names.collect::<Vec<_>>().join("|")
        };
        let notes = |record: &Record| {
            let odd = record.notes.iter().map(Note::to_string);
            let seen = record.picture.iter().map(Seen::to_string);
            odd.chain(seen).collect::<Vec<_>>().join("; ")
        };
        let seconds = |record: &Record| match record.picture {
            Some(_) => f64::NAN,
            None => record.seconds,
        };
        let probability = |place: usize| {
            let of = |record: &Record| record.probabilities.get(place).copied().unwrap_or(f32::NAN);
            Column::Float(records.iter().map(of).collect())
        };
        let mut columns = vec![
            Column::Text(records.iter().map(|record| record.path.clone()).collect()),
            match &self.thresholds {
                None => Column::OptionalChoice(labels.clone(), records.iter().map(genre).collect()),
                Some(thresholds) => {
                    Column::Text(records.iter().map(|record| genres(record, thresholds)).collect())
                }
            },
            Column::Double(records.iter().map(seconds).collect()),
            Column::Bool(records.iter().map(|record| record.padded).collect()),
            Column::Bool(records.iter().map(|record| record.silent).collect()),
            Column::Text(records.iter().map(notes).collect()),
        ];
        columns.extend((0..labels.len()).map(probability));
        columns.push(Column::Choice(vec![model_sha256.clone()], vec![0; records.len()]));
        columns
    }

    /// Reads what an earlier run left.
    fn read(&mut self) -> Result<()> {
        let damaged = |number: usize, reason: &dyn std::fmt::Display| {
            Error::format(&self.path, format!("line {number}: {reason}; remove it to begin anew"))
        };
        let own = serde_json::to_vec(&self.header).map_err(|e| Error::format(&self.path, e))?;
        let mut reader = BufReader::new(&self.file);
        let mut line = vec![];
        for number in 1.. {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(Error::io(&self.path))?;
            if line.last() != Some(&b'\n') {
                // What a kill has cut short, unless it is somebody else's file.
                if number > 1 || own.starts_with(&line) {
                    break;
                } else {
                    return Err(damaged(1, &"not written by classify"));
                }
            }
            let length = line.len() as u64;
            if number == 1 {
                let header: Header =
                    serde_json::from_slice(&line).map_err(|e| damaged(number, &e))?;
                if header != self.header {
                    return Err(Error::Mismatch(format!(
                        "{}: results of another model (SHA-256 {}); go on with that model, or \
                         remove the file to begin anew",
                        self.path.display(),
                        header.model_sha256
                    )));
                }
            } else {
                let record: Record =
                    serde_json::from_slice(&line).map_err(|e| damaged(number, &e))?;
                let Record { path, bytes, modified, .. } = record;
                self.entries.insert(path, Entry { offset: self.end, length, bytes, modified });
            }
            self.end += length;
        }
        // What a kill has cut short.
        self.file.set_len(self.end).map_err(Error::io(&self.path))
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(line).map_err(|e| Error::format(&self.path, e))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path))?;
        self.end += line.len() as u64;
        Ok(())
    }

    fn record(&self, entry: Entry) -> Result<Record> {
        let mut file = &self.file;
        let mut line = vec![0; entry.length as usize];
        file.seek(SeekFrom::Start(entry.offset))
            .and_then(|_| file.read_exact(&mut line))
            .map_err(Error::io(&self.path))?;
        serde_json::from_slice(&line).map_err(|e| Error::format(&self.path, e))
    }
}

/// What the journal calls a file: no two alike, whatever their bytes.
fn name(path: &Path) -> String {
    files::shown(path).into_owned()
}

/// Size and time of change, in nanoseconds since 1970.
fn state(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((metadata.len(), modified.as_nanos() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(p: f32) -> Classification {
        Classification {
            seconds: 30.0,
            padded: false,
            silent: false,
            notes: vec![],
            probabilities: vec![p, 1.0 - p],
            timeline: Timeline::none(),
            picture: None,
        }
    }

    /// A folder with two recordings, whose contents nobody reads here.
    fn setting() -> (tempfile::TempDir, PathBuf, [PathBuf; 2], Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let songs = ["a.wav", "b.wav"].map(|name| folder.path().join(name));
        songs.iter().for_each(|song| fs::write(song, "x").unwrap());
        let output = folder.path().join("results.parquet");
        (folder, output, songs, vec!["jazz".into(), "rock".into()])
    }

    #[test]
    fn a_killed_run_loses_no_whole_line() {
        let (_folder, output, [a, b], labels) = setting();
        let mut journal = Journal::open(&output, "sha", &labels, None).unwrap();
        journal.add(&a, &answer(0.1)).unwrap();
        let part = journal.path.clone();
        drop(journal);
        let whole = fs::read(&part).unwrap();
        fs::write(&part, [&whole[..], b"{\"path\":\"half"].concat()).unwrap();

        let mut journal = Journal::open(&output, "sha", &labels, None).unwrap();
        assert_eq!(journal.get(&a).unwrap(), Some(answer(0.1)));
        assert_eq!(journal.get(&b).unwrap(), None);
        journal.add(&b, &answer(0.7)).unwrap();
        assert_eq!(journal.get(&b).unwrap(), Some(answer(0.7)));
        journal.finish(&[b, a]).unwrap();
        assert!(!part.exists());
        assert!(fs::read(&output).unwrap().ends_with(b"PAR1"));
    }

    #[test]
    fn a_changed_file_is_classified_again() {
        let (_folder, output, [a, _], labels) = setting();
        let mut journal = Journal::open(&output, "sha", &labels, None).unwrap();
        journal.add(&a, &answer(0.1)).unwrap();
        fs::write(&a, "longer").unwrap();
        assert_eq!(journal.get(&a).unwrap(), None);
        assert!(journal.is_empty());
    }

    #[test]
    fn no_result_replaces_none() {
        let (_folder, output, [a, _], labels) = setting();
        fs::write(&output, "of last week").unwrap();
        let journal = Journal::open(&output, "sha", &labels, None).unwrap();
        let part = journal.path.clone();
        journal.finish(&[a]).unwrap();
        assert!(!part.exists());
        assert_eq!(fs::read(&output).unwrap(), b"of last week");
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let (folder, output, _, labels) = setting();
        let journal = Journal::open(&output, "one", &labels, None).unwrap();
        let text = Journal::open(&output, "one", &labels, None).err().unwrap().to_string();
        assert!(text.contains("another classify is writing it"), "{text}");
        let part = journal.path.clone();
        drop(journal);
        let text = Journal::open(&output, "two", &labels, None).err().unwrap().to_string();
        assert!(text.contains("results of another model (SHA-256 one)"), "{text}");
        fs::write(&part, "notes\n").unwrap();
        let text = Journal::open(&output, "one", &labels, None).err().unwrap().to_string();
        assert!(text.contains("line 1") && text.contains("remove it"), "{text}");
        assert_eq!(fs::read(&part).unwrap(), b"notes\n");
        fs::write(&part, "a download").unwrap();
        let text = Journal::open(&output, "one", &labels, None).err().unwrap().to_string();
        assert!(text.contains("line 1: not written by classify"), "{text}");
        assert_eq!(fs::read(&part).unwrap(), b"a download");
        // Its own first line, cut short.
        fs::write(&part, "{\"model_sha256\":\"on").unwrap();
        Journal::open(&output, "one", &labels, None).unwrap();
        let text = Journal::open(folder.path(), "one", &labels, None).err().unwrap().to_string();
        assert!(text.contains("a folder"), "{text}");
    }
}
