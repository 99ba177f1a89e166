//! Tables of hand-made features: a CSV file with a row a song, or a row a window of a song.
//!
//! The form is that of Kaggle's `features_30_sec.csv` and `features_3_sec.csv`: a column
//! `filename`, the 57 [descriptors], a column `label` or `genre`, and perhaps `length`, in any
//! order; other columns are named and not used.
//!
//! [descriptors]: crate::features::descriptors

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use sha2::{Digest, Sha256};

use super::collection::{Dataset, Origin, Track};
use super::delimited::Delimited;
use super::task::Task;
use crate::error::{Error, Result};
use crate::features::descriptors;
use crate::files;
use crate::text::composed;

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
    /// for a missing or repeated column, a value that is not a finite number, a
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
        let track = |(id, (label, hash)): (&String, (usize, Sha256))| {
            Track::new(id.clone(), self.path.clone(), label, files::hex(&hash.finalize()))
        };
        Dataset {
            root: self.path.clone(),
            origin: Origin::Folder,
            task: Task::SingleLabel,
            genres: self.genres.clone(),
            tracks: members.into_iter().map(track).collect(),
            skipped: vec![],
            others: BTreeMap::new(),
            about: String::new(),
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
    /// Names of all others.
    unused: Vec<String>,
}

struct Reader<'a> {
    table: Delimited<'a>,
    columns: Columns,
}

impl<'a> Reader<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let table = Delimited::open(path, false)?;
        let columns = Columns::find(&table.names).map_err(|wrong| Error::format(path, wrong))?;
        if !columns.unused.is_empty() {
            let columns = quoted(&columns.unused);
            tracing::info!("note: {}: columns that are not used: {columns}", path.display());
        }
        Ok(Self { table, columns })
    }

    fn rows(mut self) -> Result<Vec<Raw>> {
        let mut rows: Vec<Raw> = vec![];
        let mut lines: HashMap<String, u64> = HashMap::new();
        let mut record = StringRecord::new();
        while let Some(line) = self.table.read(&mut record)? {
            let row = self.row(&record, line)?;
            if let Some(first) = lines.insert(row.name.clone(), line) {
                let reason = format!("\"{}\" is already on line {first}", row.name);
                return Err(self.table.fault(line, self.columns.filename, reason));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            Err(Error::format(self.table.path, "there are column names but no rows"))
        } else {
            Ok(rows)
        }
    }

    fn row(&self, record: &StringRecord, line: u64) -> Result<Raw> {
        let (table, columns) = (&self.table, &self.columns);
        let label = table.text(record, line, columns.label)?.to_owned();
        if label.contains(|c: char| c == '/' || c.is_control()) {
            let reason = format!("{label:?}; a genre's name has no \"/\" and no line break");
            return Err(table.fault(line, columns.label, reason));
        }
        if label.contains('|') {
            let reason = format!("{label:?} is several labels; a baseline tells one a song");
            return Err(table.fault(line, columns.label, reason));
        }
        let number = |column: &usize| table.number(record, line, *column);
        let values = columns.descriptors.iter().map(number).collect::<Result<_>>()?;
        let samples = columns.length.as_ref().map(number).transpose()?.map(f64::from);
        let name = file_name(table.text(record, line, columns.filename)?);
        let (name, label) = (composed(&name), composed(&label));
        Ok(Raw { line, samples, name, label, values })
    }
}

/// A file as a table names it: with `/` between folders, and of a path from a root on only the
/// name, for on the next machine the root is another.
fn file_name(given: &str) -> String {
    let is_root = |c: char| c == '/' || c == '\\';
    let drive = given
        .split_once(':')
        .filter(|(drive, _)| drive.len() == 1 && drive.chars().all(|c| c.is_ascii_alphabetic()));
    let is_absolute = given.starts_with(is_root) || drive.is_some();
    let name = if is_absolute { given.rsplit(is_root).next() } else { None };
    match name.filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => given.replace('\\', "/"),
    }
}

/// What is wrong with a table's line of column names.
#[derive(Debug, thiserror::Error)]
enum WrongColumns {
    #[error("line 1: missing columns {}", quoted(.0))]
    Missing(Vec<String>),
    #[error("line 1: the column \"{0}\" is there twice")]
    Twice(String),
}

fn quoted(names: &[String]) -> String {
    format!("\"{}\"", names.join("\", \""))
}

/// What pandas calls the column of row numbers that it writes by itself.
const INDEX: [&str; 3] = ["", "Unnamed: 0", "index"];

impl Columns {
    fn find(names: &[String]) -> Result<Self, WrongColumns> {
        let descriptors = descriptors::names();
        let mut missing = vec![];
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let mut need = |found: Option<usize>, wanted: &str| {
            missing.extend(found.is_none().then(|| wanted.to_owned()));
            found.unwrap_or_default()
        };
        let filename = need(place("filename"), "filename");
        let label = need(place("label").or(place("genre")), "label");
        let indices: Vec<usize> = descriptors.iter().map(|name| need(place(name), name)).collect();
        if !missing.is_empty() {
            return Err(WrongColumns::Missing(missing));
        }
        let length = place("length");
        let is_used = |at: &usize| {
            [filename, label].contains(at) || length == Some(*at) || indices.contains(at)
        };
        let is_twice = |at: &usize| is_used(at) && names[at + 1..].contains(&names[*at]);
        if let Some(at) = (0..names.len()).find(is_twice) {
            return Err(WrongColumns::Twice(names[at].clone()));
        }
        let others = names.iter().enumerate().filter(|(at, _)| !is_used(at));
        let others = others.filter(|(_, name)| !INDEX.contains(&name.as_str()));
        let unused = others.map(|(_, name)| name.clone()).collect();
        Ok(Self { filename, label, length, descriptors: indices, unused })
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
    fn a_file_is_named_as_on_every_other_machine() {
        for (given, name) in [
            ("blues.00000.wav", "blues.00000.wav"),
            ("blues/blues.00000.wav", "blues/blues.00000.wav"),
            (r"blues\blues.00000.wav", "blues/blues.00000.wav"),
            (r"C:\music\blues.00000.wav", "blues.00000.wav"),
            ("C:/music/blues.00000.wav", "blues.00000.wav"),
            (r"\\server\music\blues.00000.wav", "blues.00000.wav"),
            ("/home/me/blues.00000.wav", "blues.00000.wav"),
            ("AC: live.wav", "AC: live.wav"),
        ] {
            assert_eq!(file_name(given), name, "{given}");
        }
    }

    #[test]
    fn what_else_stands_in_a_table_changes_nothing() {
        let plain = text(&SONGS, |_| {});
        let wanted = read(&plain, None).unwrap().rows;
        let extra = |name: &'static str, value: &'static str| {
            text(&SONGS, |cells| {
                cells.iter_mut().for_each(|row| row.insert(0, value.to_owned()));
                cells[0][0] = name.to_owned();
            })
        };
        let notes = Columns::find(&["note".to_owned()]).err().unwrap().to_string();
        assert!(notes.contains("missing columns") && !notes.contains("note"), "{notes}");
        for changed in [
            extra("", "7"),
            extra("Unnamed: 0", "7"),
            extra("note", "loud, really").replace("loud, really", "\"loud, really\""),
            plain.replace(",label\n", ",genre\n"),
            plain.replace(".5,", "\u{1}").replace(',', ";").replace('\u{1}', ",5;"),
            plain.replace(',', "\t"),
            plain.replace("blues.0", r"D:\lab\blues.0").replace("rock.0", "/tmp/rock.0"),
        ] {
            assert_eq!(read(&changed, None).unwrap().rows, wanted, "{changed}");
        }
    }

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
            (|c| *c[1].last_mut().unwrap() = "a|b".into(), "\"a|b\" is several labels"),
            (|c| c.iter_mut().for_each(|row| drop(row.remove(18))), "missing columns \"tempo\""),
            (|c| c[0][18] = "bpm".into(), "missing columns \"tempo\""),
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
