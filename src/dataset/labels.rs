//! Lists of recordings and their genres: a spreadsheet's table, or one JSON object a line.
//!
//! A track's labels stand in one cell or one JSON value, with `|` or `;` between several, or as a
//! list in brackets (`["rock", "pop"]`, in cells also as Python writes it); MTG-Jamendo's go on to
//! the right of its last column; or each label has a column of its own, of 0 and 1, as in
//! MagnaTagATune's table. A comma outside brackets is part of a label, and so is every sign in
//! a folder's name.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde_json::{Map, Value};

use super::collection::Part;
use super::columns::{Columns, LABELS, flags, missing, parted};
use super::delimited::Delimited;
use super::found::{Found, Listing};
use super::task::Task;
use crate::error::{Error, Result};
use crate::files::has_extension;
use crate::text::counted;

/// What the column of files is called, in the order in which they are looked for.
const PATHS: [&str; 9] = [
    "path",
    "file_name",
    "filename",
    "file",
    "audio",
    "audio_path",
    "filepath",
    "file_path",
    "mp3_path",
];

/// What the column of parts is called.
const PARTS: [&str; 5] = ["split", "subset", "set", "part", "fold_split"];

/// Folders beside a list in which the files may be.
const FOLDERS: [&str; 3] = ["", "audio", "data"];

const TABLES: [&str; 3] = ["csv", "tsv", "txt"];
const LINES: [&str; 2] = ["jsonl", "ndjson"];

/// Whether the file's name is that of a list.
pub(super) fn is_list(path: &Path) -> bool {
    has_extension(path, &TABLES) || has_extension(path, &LINES)
}

/// One line of a list.
struct Entry {
    line: u64,
    path: String,
    labels: Vec<String>,
    /// Whether that there is none is said, and not left open.
    may_have_none: bool,
    part: Option<String>,
    facts: BTreeMap<String, String>,
}

/// The files that the list at `path` names.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Format`] naming the line for a list without a
/// column of files or of genres, an empty cell, a file that is there twice, a part of a split
/// that has another name than usual; [`Error::Unsupported`] for a track of several genres or none
/// where the task is to tell one of each.
pub(super) fn read(path: &Path, extensions: &[&str], task: Option<Task>) -> Result<Listing> {
    let is_lines = has_extension(path, &LINES);
    let mut entries = if is_lines { json_entries(path)? } else { table_entries(path)? };
    if entries.is_empty() {
        return Err(Error::format(path, "it lists no files"));
    }
    for entry in &mut entries {
        entry.labels.sort();
        entry.labels.dedup();
    }
    let mut listing = Listing { task: task_of(path, &entries, task)?, ..Listing::default() };
    let mut lines: HashMap<String, u64> = HashMap::new();
    for entry in entries {
        let name = plain_name(&entry.path);
        if let Some(first) = lines.insert(name.clone(), entry.line) {
            let reason = format!("line {}: \"{name}\" is already on line {first}", entry.line);
            return Err(Error::format(path, reason));
        }
        listing.take(path, &name, &entry, extensions)?;
    }
    listing.close();
    let split = if listing.has_parts() { ", with its own split" } else { "" };
    listing.about = format!("the list {}{split}", path.display());
    Ok(listing)
}

/// What is to be told of the tracks: what is asked for, else what their labels ask for. To take
/// the first of several labels would be a guess.
fn task_of(path: &Path, entries: &[Entry], asked: Option<Task>) -> Result<Task> {
    // A track without a label is a line that lacks one, unless labels have columns of their own.
    let is_other =
        |entry: &&Entry| entry.labels.len() > 1 || entry.labels.is_empty() && entry.may_have_none;
    let first = entries.iter().find(is_other);
    let Some(Entry { line, labels, .. }) = first.filter(|_| asked != Some(Task::MultiLabel)) else {
        return Ok(asked.unwrap_or_default());
    };
    let has = match labels.len() {
        0 => "no label".to_owned(),
        count => format!("{count} labels ({})", labels.join(", ")),
    };
    let count = entries.iter().filter(is_other).count();
    let of_all = counted(entries.len(), "track");
    if asked == Some(Task::SingleLabel) {
        let reason = format!(
            "line {line}: {has}, as {count} of {of_all} have not one label; for one genre a track \
             keep one label a line, or take ‹task› multi-label"
        );
        return Err(Error::unsupported(path, reason));
    }
    tracing::info!(
        "note: {}: line {line} has {has}, and {count} of {of_all} have not one label: multi-label, \
         every label is told by itself",
        path.display()
    );
    Ok(Task::MultiLabel)
}

impl Listing {
    /// Adds the file of one line of the list.
    fn take(&mut self, list: &Path, name: &str, entry: &Entry, extensions: &[&str]) -> Result<()> {
        let Entry { line, labels, part, facts, .. } = entry;
        // Of one genre a track, it is the folder in the track's name.
        let has_wrong = |genre: &&str| {
            genre.contains(|c: char| c.is_control() || c == '/' && self.task.is_single())
        };
        let empty = (self.task.is_single() && labels.is_empty()).then_some("");
        if let Some(genre) = empty.or(labels.iter().map(String::as_str).find(has_wrong)) {
            let reason = format!(
                "line {line}: the label {genre:?}; a genre's name is not empty and has no \"/\" \
                 and no line break"
            );
            return Err(Error::format(list, reason));
        }
        let part = match part {
            None => None,
            Some(text) => Some(Part::named(text).ok_or_else(|| {
                let reason = format!(
                    "line {line}: the part \"{text}\" of a split; expected train, validation or \
                     test; if its column is something else, give that another name"
                );
                Error::format(list, reason)
            })?),
        };
        for label in labels {
            if !self.genres.contains(label) {
                self.genres.push(label.clone());
            }
        }
        match located(list, name) {
            None => {
                self.skip(Path::new(name), format!("on line {line} of the list, but not there"))
            }
            Some(path) if !has_extension(&path, extensions) => {
                self.skip(&path, "its ending is not one of those that are read");
            }
            Some(path) => {
                let name = name.trim_start_matches('/').to_owned();
                let (labels, facts) = (labels.clone(), facts.clone());
                self.files.push(Found { labels, name, path, part, facts });
            }
        }
        Ok(())
    }
}

/// A listed path with `/` between its parts, and none that mean the place they are in.
fn plain_name(listed: &str) -> String {
    let listed = listed.replace('\\', "/");
    let root = if listed.starts_with('/') { "/" } else { "" };
    let parts = listed.split('/').filter(|part| !matches!(*part, "" | "."));
    format!("{root}{}", parts.collect::<Vec<&str>>().join("/"))
}

/// Where a listed file is, if it is there.
fn located(list: &Path, name: &str) -> Option<PathBuf> {
    let beside = list.parent().unwrap_or(Path::new(""));
    let places = FOLDERS.iter().map(|folder| beside.join(folder).join(name));
    places.into_iter().find(|path| path.is_file())
}

fn table_entries(path: &Path) -> Result<Vec<Entry>> {
    let mut table = Delimited::open(path, true)?;
    let names: Vec<String> = table.names.iter().map(|name| name.to_lowercase()).collect();
    let place = |wanted: &[&str]| {
        wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted))
    };
    let file = place(&PATHS).ok_or_else(|| missing(path, "files", &PATHS, ""))?;
    let (label, part) = (place(&LABELS), place(&PARTS));
    let twice = |at: &usize| names[at + 1..].contains(&names[*at]);
    if let Some(at) = [Some(file), label].into_iter().flatten().find(twice) {
        let reason = format!("line 1: the column \"{}\" is there twice", names[at]);
        return Err(Error::format(path, reason));
    }
    // Only MTG-Jamendo's tags may go on to the right.
    let may_go_on =
        names.last().is_some_and(|name| name == "tags") && label == Some(names.len() - 1);
    let (mut record, mut rows) = (StringRecord::new(), vec![]);
    while let Some(line) = table.read(&mut record)? {
        let (expected, count) = (names.len(), record.len());
        if count < expected || count > expected && !may_go_on {
            let reason = format!("line {line}: {count} values for {expected} columns");
            return Err(Error::format(path, reason));
        }
        for column in std::iter::once(file).chain(label) {
            table.text(&record, line, column)?;
        }
        rows.push((line, record.clone()));
    }
    let columns = match label {
        Some(label) => Columns::Named(label),
        None => Columns::OfOneLabel(flags(path, &rows, &table.names, [Some(file), part])?),
    };
    columns.tell(path, &table.names, file);
    let entry = |(line, record): &(u64, StringRecord)| {
        let part = part.and_then(|part| record.get(part)).filter(|part| !part.is_empty());
        let known = names.iter().zip(record.iter()).enumerate();
        let others =
            known.filter(|(at, (_, value))| *at != file && !columns.has(*at) && !value.is_empty());
        let labels = columns.labels(record, &table.names);
        let labels =
            labels.ok_or_else(|| Error::format(path, format!("line {line}: {NO_LIST}")))?;
        Ok(Entry {
            facts: others.map(|(_, (name, value))| (name.clone(), value.to_owned())).collect(),
            line: *line,
            path: record.get(file).unwrap_or_default().to_owned(),
            labels,
            may_have_none: matches!(columns, Columns::OfOneLabel(_)),
            part: part.map(str::to_owned),
        })
    };
    rows.iter().map(entry).collect()
}

/// What is wrong with a cell such as `[rock`.
const NO_LIST: &str = "a genre that begins like a list and is none; write texts in quotes with \
    commas between, or \"|\" between genres";

fn json_entries(path: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    let entry = |(line, number): (&str, u64)| {
        let fault = |reason: String| Error::format(path, format!("line {number}: {reason}"));
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| fault(error.to_string()))?;
        let of = |wanted: &[&str]| wanted.iter().find_map(|key| object.get(*key));
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let file = of(&PATHS).and_then(text);
        let file =
            file.ok_or_else(|| fault(format!("no file under any of {}", PATHS.join(", "))))?;
        let labels = match of(&LABELS) {
            Some(Value::Array(labels)) => labels.iter().map(text).collect(),
            Some(label) => text(label).map(|label| vec![label]),
            None => None,
        };
        let labels: Vec<String> = labels.ok_or_else(|| match of(&LABELS) {
            Some(other) => fault(format!("{other} is no text and no list of texts")),
            None => fault(format!("no genre under any of {}", LABELS.join(", "))),
        })?;
        let parts: Option<Vec<Vec<String>>> = labels.iter().map(|label| parted(label)).collect();
        let labels = parts.ok_or_else(|| fault(NO_LIST.to_owned()))?.concat();
        let facts =
            object.iter().filter_map(|(key, value)| Some((key.to_lowercase(), text(value)?)));
        let (part, facts) = (of(&PARTS).and_then(text), facts.collect());
        Ok(Entry { line: number, path: file, labels, may_have_none: false, part, facts })
    };
    let mut lines = lines.filter(|(line, _)| !line.trim().is_empty()).peekable();
    if let Some(Ok(first)) =
        lines.peek().map(|(line, _)| serde_json::from_str::<Map<_, Value>>(line))
    {
        let named = |wanted: &[&str]| {
            let name = wanted.iter().find(|name| first.contains_key(**name));
            name.map_or("?", |name| *name).to_owned()
        };
        tracing::info!(
            "note: {}: files from \"{}\", genres from \"{}\"",
            path.display(),
            named(&PATHS),
            named(&LABELS)
        );
    }
    lines.map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The collection of a folder with these recordings and this list.
    fn collection(files: &[&str], list: &str, text: &str) -> Result<Listing> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let list = folder.path().join(list);
        std::fs::write(&list, text).unwrap();
        read(&list, &["wav", "mp3"], None)
    }

    fn found(listing: &Listing) -> Vec<String> {
        let part = |part: &Option<Part>| part.map_or(String::new(), |part| format!(" {part:?}"));
        listing
            .files
            .iter()
            .map(|f| format!("{}/{}{}", f.labels.join("|"), f.name, part(&f.part)))
            .collect()
    }

    const FILES: [&str; 3] = ["a.wav", "audio/b.mp3", "x/c.wav"];

    #[test]
    fn lists_of_every_kind_are_read() {
        let wanted = ["rock/a.wav", "jazz/b.mp3", "rock/x/c.wav"];
        for (name, text) in [
            ("l.csv", "path,genre,artist\na.wav,rock,x\nb.mp3,jazz,y\nx/c.wav,rock,z\n"),
            ("l.csv", "Label;File_Name\nrock;a.wav\njazz;b.mp3\nrock;x\\c.wav\n"),
            (
                "l.tsv",
                "TRACK_ID\tPATH\tTAGS\n1\ta.wav\tgenre---rock\n2\tb.mp3\tgenre---jazz\n3\tx/c.wav\trock\n",
            ),
            (
                "l.jsonl",
                "{\"file_name\":\"a.wav\",\"label\":\"rock\"}\n\n{\"file_name\":\"b.mp3\",\"label\":[\"jazz\"]}\n{\"path\":\"x/c.wav\",\"genre\":\"rock\"}\n",
            ),
        ] {
            let listing = collection(&FILES, name, text).unwrap();
            assert_eq!(found(&listing), wanted, "{text}");
            assert_eq!(listing.genres, ["jazz", "rock"]);
            assert!(listing.skipped.is_empty());
        }
    }

    #[test]
    fn parts_of_a_split_are_taken_over() {
        let text = "path,genre,split\na.wav,rock,Train\nb.mp3,jazz,test\nx/c.wav,rock,dev\n";
        let listing = collection(&FILES, "l.csv", text).unwrap();
        assert_eq!(
            found(&listing),
            ["rock/a.wav Train", "jazz/b.mp3 Test", "rock/x/c.wav Validation"]
        );
        let one = text.replace("Train", "dev").replace("test", "dev");
        let listing = collection(&FILES, "l.csv", &one).unwrap();
        assert_eq!(found(&listing), ["rock/a.wav", "jazz/b.mp3", "rock/x/c.wav"]);
        assert!(!listing.about.contains("split"), "{}", listing.about);
        let wrong = text.replace("dev", "fold7");
        let error = collection(&FILES, "l.csv", &wrong).unwrap_err().to_string();
        assert!(error.contains("line 4: the part \"fold7\""), "{error}");
    }

    /// The files of a list for one label a track, or why it is none.
    fn single(name: &str, text: &str) -> Result<Listing> {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join(name);
        std::fs::write(&list, text).unwrap();
        read(&list, &["wav"], Some(Task::SingleLabel))
    }

    #[test]
    fn several_labels_a_track_are_several_in_every_form() {
        let wanted = ["pop|rock/a.wav", "rock/b.mp3", "/x/c.wav"];
        for (name, text) in [
            (
                "l.tsv",
                "PATH\tTAGS\na.wav\tgenre---rock\tgenre---pop\nb.mp3\tgenre---rock\nx/c.wav\t|\n",
            ),
            ("l.csv", "path,genres\na.wav,rock|pop\nb.mp3,rock\nx/c.wav,;\n"),
            ("l.csv", "path,genres\na.wav,\"['rock', 'pop']\"\nb.mp3,['rock']\nx/c.wav,[]\n"),
            ("l.csv", "path;tags\na.wav;rock| pop |rock\nb.mp3;rock\nx/c.wav;|\n"),
            ("l.csv", "clip_id,pop,rock,mp3_path\n7,1,1,a.wav\n8,0,1,b.mp3\n9,0,0,x/c.wav\n"),
            (
                "annotations_final.csv",
                "\"clip_id\"\t\"pop\"\t\"rock\"\t\"no voice\"\t\"mp3_path\"\n\"2\"\t\"1\"\t\"1\"\t\"0\"\t\"a.wav\"\n\"6\"\t\"0\"\t\"1\"\t\"0\"\t\"b.mp3\"\n\"10\"\t\"0\"\t\"0\"\t\"0\"\t\"x/c.wav\"\n",
            ),
            ("l.csv", "file,pop,rock\na.wav,True,1.0\nb.mp3,False,1.0\nx/c.wav,False,0.0\n"),
            (
                "l.jsonl",
                "{\"path\":\"a.wav\",\"labels\":[\"rock\",\"pop\"]}\n{\"path\":\"b.mp3\",\"labels\":\"rock\"}\n{\"path\":\"x/c.wav\",\"labels\":[]}\n",
            ),
        ] {
            let listing = collection(&FILES, name, text).unwrap();
            assert_eq!(found(&listing), wanted, "{text}");
            assert_eq!(
                (listing.task, listing.genres.join(" ")),
                (Task::MultiLabel, "pop rock".into())
            );
            let error = single(name, text).unwrap_err().to_string();
            let line = if name == "l.jsonl" { "line 1" } else { "line 2" };
            let reason = format!("{line}: 2 labels (pop, rock), as ");
            assert!(error.contains(&reason) && error.contains("of 3 tracks"), "{error}");
        }
    }

    #[test]
    fn a_comma_and_columns_with_one_label_each_are_no_several_labels() {
        let comma = "path,genre\na.wav,\"rock,blues\"\nb.mp3,jazz\n";
        let listing = collection(&FILES, "l.csv", comma).unwrap();
        assert_eq!(found(&listing), ["rock,blues/a.wav", "jazz/b.mp3"]);
        let columns = "path,split,jazz,rock\na.wav,train,0,1\nb.mp3,test,1,0\n";
        let listing = collection(&FILES, "l.csv", columns).unwrap();
        assert_eq!(listing.task, Task::SingleLabel);
        assert_eq!(found(&listing), ["rock/a.wav Train", "jazz/b.mp3 Test"]);
        assert_eq!(listing.files[0].facts.len(), 1, "no label is a fact: {listing:?}");
        // With several labels a track its id names none, and labels may have a slash.
        let moods = "PATH\tTAGS\na.wav\tmood/theme---happy\tgenre---pop\n";
        let listing = collection(&FILES, "l.tsv", moods).unwrap();
        assert_eq!(listing.genres, ["mood/theme---happy", "pop"]);
    }

    #[test]
    fn what_a_list_cannot_say_is_refused_with_its_line() {
        for (name, text, reason) in [
            ("l.csv", "song,genre\na.wav,rock\n", "no column of files; expected one of path"),
            ("l.csv", "path,artist\na.wav,rock\n", "no column of genres; expected one of genre"),
            ("l.csv", "path,jazz,age\na.wav,1,7\n", "or two and more columns of 0 and 1"),
            ("l.jsonl", "{\"path\":\"a.wav\",\"genre\":[]}\n", "line 1: the label \"\""),
            (
                "l.csv",
                "path,genre\na.wav,rock\na.wav,jazz\n",
                "line 3: \"a.wav\" is already on line 2",
            ),
            ("l.csv", "path,genre\na.wav,\n", "line 2, column \"genre\": empty"),
            ("l.csv", "path,genre\na.wav,a/b\n", "line 2: the label \"a/b\""),
            ("l.csv", "path,genre\na.wav,rock,pop\n", "line 2: 3 values for 2 columns"),
            ("l.csv", "path,genre\n", "it lists no files"),
            ("l.csv", "path,genre,Genre\na.wav,rock,pop\n", "the column \"genre\" is there twice"),
            ("l.jsonl", "{\"path\":\"a.wav\"}\n", "line 1: no genre under any of"),
            ("l.jsonl", "{\"path\":\"a.wav\"", "line 1: "),
        ] {
            let error = collection(&FILES, name, text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}, not {reason}");
        }
        let text = "path,genre\na.wav,rock\ngone.wav,jazz\n";
        let listing = collection(&FILES, "l.csv", text).unwrap();
        assert_eq!(listing.genres, ["rock"]);
        assert!(listing.skipped[0].reason.contains("line 3"), "{listing:?}");
    }
}
