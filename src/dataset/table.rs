//! Tables of hand-made features: a CSV file with a row a song, or a row a window of a song.
//!
//! The form is that of Kaggle's `features_30_sec.csv` and `features_3_sec.csv`: a column
//! `filename`, the 57 [descriptors], a column `label`, and perhaps `length`, in any order.
//!
//! [descriptors]: crate::features::descriptors

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};
use sha2::{Digest, Sha256};

use super::collection::{Dataset, Origin, Track};
use crate::error::{Error, Result};
use crate::features::descriptors;
use crate::files;

/// One row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRow {
    /// Its place as a track id would have it: `blues/blues.00000.wav` for a song,
    /// `blues/blues.00000.3.wav` for a window of it.
    pub id: String,
    /// The id of its song: `blues/blues.00000.wav`.
    pub song: String,
    /// Index into [`FeatureTable::genres`].
    pub label: usize,
    /// The descriptors, in the order of [`descriptors::names`].
    pub values: Vec<f32>,
}

/// A table of descriptors.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureTable {
    /// The file.
    pub path: PathBuf,
    /// Genres, sorted.
    pub genres: Vec<String>,
    /// Rows, in the order of the file.
    pub rows: Vec<FeatureRow>,
    /// Whether a row is a window of a song (`blues.00000.3.wav`) and not a whole song.
    pub windows: bool,
    /// Seconds of audio a row, on average: by the column `length`, which counts samples at
    /// 22,050 Hz, or else 3 for windows and 30 for songs.
    pub seconds: f64,
}

/// A row before its label is known as a number.
struct Raw {
    line: u64,
    samples: Option<f64>,
    name: String,
    label: String,
    values: Vec<f32>,
}

impl FeatureTable {
    /// Reads a table. With `genres`, those of a split, a label that is not one of them
    /// is an error.
    ///
    /// The table holds windows if every file name ends in a window's number, without
    /// leading zeros, before its extension.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`] naming line and column
    /// for a missing, unknown or repeated column, a value that is not a finite number, a
    /// file name that is there twice, a label that is missing or unknown, windows of one
    /// song with different labels, and a file without rows.
    pub fn read(path: &Path, genres: Option<&[String]>) -> Result<Self> {
        let raw = Reader::open(path)?.rows()?;
        let windows = raw.iter().all(|row| window_of(&row.name).is_some());
        let genres = match genres {
            Some(genres) => {
                check_labels(path, &raw, genres)?;
                genres.to_vec()
            }
            None => {
                let mut genres: Vec<String> = raw.iter().map(|row| row.label.clone()).collect();
                genres.sort();
                genres.dedup();
                genres
            }
        };
        let rows: Vec<FeatureRow> = raw.iter().map(|row| row.finish(&genres, windows)).collect();
        check_songs(path, &raw, &rows)?;
        let samples: Option<f64> = raw.iter().map(|row| row.samples).sum();
        let seconds = match samples {
            Some(samples) => samples / raw.len() as f64 / f64::from(descriptors::RATE),
            None if windows => 3.0,
            None => 30.0,
        };
        Ok(Self { path: path.to_owned(), genres, rows, windows, seconds })
    }

    /// The songs as a collection, to be split: identical rows count as identical files.
    #[must_use]
    pub(crate) fn songs(&self) -> Dataset {
        self.collection(|row| &row.song)
    }

    /// The rows as a collection, for the mistake of splitting windows and not songs.
    #[must_use]
    pub(crate) fn rows_as_tracks(&self) -> Dataset {
        self.collection(|row| &row.id)
    }

    fn collection(&self, id: impl Fn(&FeatureRow) -> &String) -> Dataset {
        let mut members: BTreeMap<&String, (usize, Sha256)> = BTreeMap::new();
        for row in &self.rows {
            let (_, hash) = members.entry(id(row)).or_insert((row.label, Sha256::new()));
            row.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        let track = |(id, (label, hash)): (&String, (usize, Sha256))| Track {
            id: id.clone(),
            path: self.path.clone(),
            label,
            sha256: files::hex(&hash.finalize()),
        };
        Dataset {
            root: self.path.clone(),
            origin: Origin::Folder,
            genres: self.genres.clone(),
            tracks: members.into_iter().map(track).collect(),
            skipped: vec![],
        }
    }
}

/// `blues.00000.3.wav` to `blues.00000.wav`; none if there is no window's number.
fn window_of(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (song, number) = stem.rsplit_once('.')?;
    let plain = number.parse::<u32>().is_ok_and(|value| value.to_string() == number);
    (plain && !song.is_empty()).then(|| format!("{song}.{extension}"))
}

impl Raw {
    fn finish(&self, genres: &[String], windows: bool) -> FeatureRow {
        let in_folder = |name: &str| {
            if name.starts_with(&format!("{}/", self.label)) {
                name.to_owned()
            } else {
                format!("{}/{name}", self.label)
            }
        };
        let song = window_of(&self.name).filter(|_| windows);
        FeatureRow {
            id: in_folder(&self.name),
            song: in_folder(&song.unwrap_or_else(|| self.name.clone())),
            // Every label is among the genres: they were made from them, or checked.
            label: genres.binary_search(&self.label).unwrap_or_default(),
            values: self.values.clone(),
        }
    }
}

fn check_labels(path: &Path, rows: &[Raw], genres: &[String]) -> Result<()> {
    match rows.iter().find(|row| genres.binary_search(&row.label).is_err()) {
        None => Ok(()),
        Some(Raw { line, label, .. }) => Err(Error::format(
            path,
            format!(
                "line {line}, column \"label\": unknown label \"{label}\"; the split's genres \
                 are {}",
                genres.join(", ")
            ),
        )),
    }
}

/// Windows of a song must agree on its genre.
fn check_songs(path: &Path, raw: &[Raw], rows: &[FeatureRow]) -> Result<()> {
    let song = |name: &str| window_of(name).unwrap_or_else(|| name.to_owned());
    let mut seen: HashMap<String, &Raw> = HashMap::new();
    for (raw, _) in raw.iter().zip(rows).filter(|(_, row)| row.id != row.song) {
        let first = seen.entry(song(&raw.name)).or_insert(raw);
        if first.label != raw.label {
            return Err(Error::format(
                path,
                format!(
                    "line {}, column \"label\": \"{}\", but line {} says that the song \"{}\" is \
                     \"{}\"",
                    raw.line,
                    raw.label,
                    first.line,
                    song(&raw.name),
                    first.label
                ),
            ));
        }
    }
    Ok(())
}

/// Where each column of interest is.
struct Columns {
    filename: usize,
    label: usize,
    length: Option<usize>,
    descriptors: Vec<usize>,
}

struct Reader<'a> {
    path: &'a Path,
    reader: csv::Reader<Cursor<Vec<u8>>>,
    names: Vec<String>,
    columns: Columns,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let text = Cursor::new(std::fs::read(path).map_err(Error::io(path))?);
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(e) => return Err(error(path, reader.get_ref().get_ref(), e)),
        };
        let names: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        if names.iter().all(String::is_empty) {
            let reason = "the file is empty; it needs a line of column names and then the rows";
            return Err(Error::format(path, reason));
        }
        let columns = Columns::find(&names).map_err(|wrong| Error::format(path, wrong))?;
        Ok(Self { path, reader, names, columns })
    }

    fn rows(mut self) -> Result<Vec<Raw>> {
        let mut rows: Vec<Raw> = vec![];
        let mut lines: HashMap<String, u64> = HashMap::new();
        let mut record = StringRecord::new();
        loop {
            let read = self.reader.read_record(&mut record);
            let text = self.reader.get_ref().get_ref();
            if !read.map_err(|e| error(self.path, text, e))? {
                break;
            }
            let line = record.position().map_or(0, |position| line(text, position));
            let row = self.row(&record, line)?;
            if let Some(first) = lines.insert(row.name.clone(), line) {
                let reason = format!("\"{}\" is already on line {first}", row.name);
                return Err(self.fault(line, self.columns.filename, reason));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            Err(Error::format(self.path, "there are column names but no rows"))
        } else {
            Ok(rows)
        }
    }

    fn row(&self, record: &StringRecord, line: u64) -> Result<Raw> {
        let text = |column: usize| {
            let text = record.get(column).unwrap_or_default();
            if text.is_empty() {
                Err(self.fault(line, column, "empty"))
            } else {
                Ok(text.to_owned())
            }
        };
        let number = |&column: &usize| -> Result<f32> {
            let text = text(column)?;
            let number: f64 = text
                .parse()
                .map_err(|_| self.fault(line, column, format!("\"{text}\" is not a number")))?;
            if (number as f32).is_finite() {
                Ok(number as f32)
            } else {
                let reason = format!("{text}, where a finite number is needed");
                Err(self.fault(line, column, reason))
            }
        };
        let label = text(self.columns.label)?;
        if label.contains(|c: char| c == '/' || c.is_control()) {
            let reason = format!("{label:?}; a genre's name has no \"/\" and no line break");
            return Err(self.fault(line, self.columns.label, reason));
        }
        let values = self.columns.descriptors.iter().map(number).collect::<Result<_>>()?;
        let samples =
            self.columns.length.map(|column| number(&column).map(f64::from)).transpose()?;
        Ok(Raw { line, samples, name: text(self.columns.filename)?, label, values })
    }

    fn fault(&self, line: u64, column: usize, reason: impl std::fmt::Display) -> Error {
        let name = self.names.get(column).map_or("?", String::as_str);
        Error::format(self.path, format!("line {line}, column \"{name}\": {reason}"))
    }
}

/// What is wrong with a table's line of column names.
#[derive(Debug, thiserror::Error)]
enum WrongColumns {
    #[error("line 1: missing columns {}", quoted(.0))]
    Missing(Vec<String>),
    #[error(
        "line 1: unknown columns {}; only \"filename\", \"length\", \"label\" and the {} \
         descriptors are expected",
        quoted(.0),
        descriptors::COUNT
    )]
    Unknown(Vec<String>),
    #[error("line 1: the column \"{0}\" is there twice")]
    Twice(String),
}

fn quoted(names: &[String]) -> String {
    format!("\"{}\"", names.join("\", \""))
}

impl Columns {
    fn find(names: &[String]) -> Result<Self, WrongColumns> {
        let descriptors = descriptors::names();
        let known = |name: &String| {
            ["filename", "label", "length"].contains(&name.as_str()) || descriptors.contains(name)
        };
        let mut missing = vec![];
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let mut need = |wanted: &str| {
            let found = place(wanted);
            missing.extend(found.is_none().then(|| wanted.to_owned()));
            found.unwrap_or_default()
        };
        let (filename, label) = (need("filename"), need("label"));
        let indices = descriptors.iter().map(|name| need(name)).collect();
        if !missing.is_empty() {
            return Err(WrongColumns::Missing(missing));
        }
        let extra: Vec<String> = names.iter().filter(|name| !known(name)).cloned().collect();
        if !extra.is_empty() {
            return Err(WrongColumns::Unknown(extra));
        }
        let mut enumerated = names.iter().enumerate();
        match enumerated.find(|(at, name)| names[..*at].contains(name)) {
            Some((_, name)) => Err(WrongColumns::Twice(name.clone())),
            None => Ok(Self { filename, label, length: place("length"), descriptors: indices }),
        }
    }
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
    use proptest::prelude::*;

    use super::*;

    /// The text of a table with these rows; `change` edits header and rows as cells.
    fn text(rows: &[(&str, &str)], change: impl Fn(&mut Vec<Vec<String>>)) -> String {
        let mut header = vec!["filename".to_owned(), "length".to_owned()];
        header.extend(descriptors::names());
        header.push("label".to_owned());
        let mut cells = vec![header];
        for (number, (name, label)) in rows.iter().enumerate() {
            let mut row = vec![(*name).to_owned(), "661794".to_owned()];
            row.extend((0..descriptors::COUNT).map(|i| format!("{}.5", i + 100 * number)));
            row.push((*label).to_owned());
            cells.push(row);
        }
        change(&mut cells);
        cells.iter().map(|row| row.join(",") + "\n").collect()
    }

    fn read(text: &str, genres: Option<&[String]>) -> Result<FeatureTable> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.csv");
        std::fs::write(&path, text).unwrap();
        FeatureTable::read(&path, genres)
    }

    const SONGS: [(&str, &str); 3] =
        [("blues.00000.wav", "blues"), ("blues.00001.wav", "blues"), ("rock.00000.wav", "rock")];

    #[test]
    fn songs_are_read_whatever_the_order_of_columns_and_the_line_ends() {
        let plain = read(&text(&SONGS, |_| {}), None).unwrap();
        assert_eq!((plain.windows, plain.genres.join(" ")), (false, "blues rock".to_owned()));
        assert_eq!(plain.rows[2].id, "rock/rock.00000.wav");
        assert_eq!(plain.rows[2].song, plain.rows[2].id);
        assert_eq!((plain.rows[2].label, plain.rows[2].values[1]), (1, 201.5));
        let turned = |cells: &mut Vec<Vec<String>>| cells.iter_mut().for_each(|row| row.reverse());
        for text in [
            text(&SONGS, turned),
            text(&SONGS, |_| {}).replace('\n', "\r\n"),
            format!("\u{feff}{}", text(&SONGS, |_| {})),
            text(&SONGS, |cells| cells.iter_mut().for_each(|row| drop(row.remove(1)))),
        ] {
            assert_eq!(read(&text, None).unwrap().rows, plain.rows, "{text}");
        }
    }

    #[test]
    fn windows_are_grouped_by_song() {
        let rows = [
            ("blues.00000.0.wav", "blues"),
            ("blues.00000.10.wav", "blues"),
            ("rock/a.1.mp3", "rock"),
        ];
        let table = read(&text(&rows, |_| {}), None).unwrap();
        assert!(table.windows);
        let songs = table.songs();
        let ids: Vec<&str> = songs.tracks.iter().map(|track| track.id.as_str()).collect();
        assert_eq!(ids, ["blues/blues.00000.wav", "rock/a.mp3"]);
        assert_eq!(table.rows_as_tracks().tracks.len(), 3);
        assert_eq!(songs.tracks[0].sha256.len(), 64);
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        type Change = fn(&mut Vec<Vec<String>>);
        let cases: [(Change, &str); 13] = [
            (|c| c.iter_mut().for_each(|row| drop(row.remove(18))), "missing columns \"tempo\""),
            (|c| c[0][18] = "bpm".into(), "missing columns \"tempo\""),
            (|c| c.iter_mut().for_each(|row| row.push("loudness".into())), "unknown columns"),
            (|c| c.iter_mut().for_each(|row| row.push("label".into())), "\"label\" is there twice"),
            (|c| c[2][18] = "NaN".into(), "line 3, column \"tempo\": NaN"),
            (|c| c[2][18] = "1e39".into(), "line 3, column \"tempo\": 1e39"),
            (|c| c[3][2] = "loud".into(), "line 4, column \"chroma_stft_mean\": \"loud\""),
            (|c| c[3][2] = String::new(), "line 4, column \"chroma_stft_mean\": empty"),
            (|c| c[3][0] = "blues.00001.wav".into(), "column \"filename\": \"blues.00001.wav\" is"),
            (|c| *c[1].last_mut().unwrap() = String::new(), "line 2, column \"label\": empty"),
            (|c| *c[1].last_mut().unwrap() = "a/b".into(), "line 2, column \"label\": \"a/b\""),
            (|c| drop(c[2].pop()), "line 3: 59 values for 60 columns"),
            (|c| c.truncate(1), "no rows"),
        ];
        for (change, wanted) in cases {
            for end in ["\n", "\r\n"] {
                let text = text(&SONGS, change).replace('\n', end);
                let error = read(&text, None).unwrap_err().to_string();
                assert!(error.contains("features.csv") && error.contains(wanted), "{error}");
            }
        }
        let error = read("", None).unwrap_err().to_string();
        assert!(error.contains("the file is empty"), "{error}");
        let genres = ["blues".to_owned(), "jazz".to_owned()];
        let error = read(&text(&SONGS, |_| {}), Some(&genres)).unwrap_err().to_string();
        assert!(error.contains("line 4, column \"label\": unknown label \"rock\""), "{error}");
        let windows = [("a.0.wav", "blues"), ("a.1.wav", "rock")];
        let error = read(&text(&windows, |_| {}), None).unwrap_err().to_string();
        assert!(error.contains("line 3, column \"label\": \"rock\", but line 2"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..2000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("features.csv");
            let mut whole = text(&SONGS, |_| {}).into_bytes();
            whole.splice(at.min(whole.len())..at.min(whole.len()), bytes);
            std::fs::write(&path, whole).unwrap();
            let _ = FeatureTable::read(&path, None);
        }

        #[test]
        fn a_song_survives_its_windows_number(name in "[a-z0-9.]{1,12}", number in 0u32..100) {
            let window = format!("{name}.{number}.wav");
            prop_assert_eq!(window_of(&window), Some(format!("{name}.wav")));
        }
    }
}
