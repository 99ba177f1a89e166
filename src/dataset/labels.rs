//! Lists of recordings and their genres: a spreadsheet's table, or one JSON object a line.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use serde_json::{Map, Value};

use super::collection::Part;
use super::delimited::Delimited;
use super::found::{Found, Listing};
use crate::error::{Error, Result};
use crate::files::has_extension;
use crate::text::counted;

/// What the column of files is called, in the order in which they are looked for.
const PATHS: [&str; 8] =
    ["path", "file_name", "filename", "file", "audio", "audio_path", "filepath", "file_path"];

/// What the column of genres is called. The last is MTG-Jamendo's.
pub(super) const LABELS: [&str; 6] = ["genre", "label", "class", "genre_top", "genres", "tags"];

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
    part: Option<String>,
    facts: BTreeMap<String, String>,
}

/// The files that the list at `path` names.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Format`] naming the line for a list without a
/// column of files or of genres, an empty cell, a file that is there twice, a part of a split
/// that has another name than usual; [`Error::Unsupported`] for a track of several genres.
pub(super) fn read(path: &Path, extensions: &[&str]) -> Result<Listing> {
    let is_lines = has_extension(path, &LINES);
    let mut entries = if is_lines { json_entries(path)? } else { table_entries(path)? };
    if entries.is_empty() {
        return Err(Error::format(path, "it lists no files"));
    }
    // Several in one cell are several: a genre's name has no such sign.
    for entry in &mut entries {
        let labels = std::mem::take(&mut entry.labels);
        let parts = labels.iter().flat_map(|label| label.split(['|', ';'])).map(str::trim);
        entry.labels = parts.filter(|label| !label.is_empty()).map(str::to_owned).collect();
    }
    check_single(path, &entries)?;
    let mut listing = Listing::default();
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

/// Refuses a list of tracks with several genres each: such a task is another one, and to take the
/// first would be a guess.
fn check_single(path: &Path, entries: &[Entry]) -> Result<()> {
    let several = entries.iter().filter(|entry| entry.labels.len() > 1);
    let count = several.clone().count();
    match several.clone().next() {
        None => Ok(()),
        Some(Entry { line, labels, .. }) => Err(Error::unsupported(
            path,
            format!(
                "line {line}: {} labels ({}), as {} of {} have; a model here tells one genre a \
                 track: keep one label a line",
                labels.len(),
                labels.join(", "),
                count,
                counted(entries.len(), "track"),
            ),
        )),
    }
}

impl Listing {
    /// Adds the file of one line of the list.
    fn take(&mut self, list: &Path, name: &str, entry: &Entry, extensions: &[&str]) -> Result<()> {
        let Entry { line, labels, part, facts, .. } = entry;
        let genre = labels.first().cloned().unwrap_or_default();
        if genre.is_empty() || genre.contains(|c: char| c == '/' || c.is_control()) {
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
        if !self.genres.contains(&genre) {
            self.genres.push(genre.clone());
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
                self.files.push(Found { genre, name, path, part, facts: facts.clone() });
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
    let missing = |what: &str, wanted: &[&str]| {
        let wanted = wanted.join(", ");
        let reason = format!(
            "line 1: no column of {what}; expected one of {wanted}; if it is no list of \
             recordings, give it another name"
        );
        Error::format(path, reason)
    };
    let file = place(&PATHS).ok_or_else(|| missing("files", &PATHS))?;
    let label = place(&LABELS).ok_or_else(|| missing("genres", &LABELS))?;
    if let Some(at) = [file, label].into_iter().find(|at| names[at + 1..].contains(&names[*at])) {
        let reason = format!("line 1: the column \"{}\" is there twice", names[at]);
        return Err(Error::format(path, reason));
    }
    let (file_name, label_name) = (&table.names[file], &table.names[label]);
    tracing::info!(
        "note: {}: files from the column \"{file_name}\", genres from \"{label_name}\"",
        path.display()
    );
    let part = place(&PARTS);
    let is_last = label + 1 == names.len();
    let (mut record, mut entries) = (StringRecord::new(), vec![]);
    while let Some(line) = table.read(&mut record)? {
        let expected = names.len();
        // Only MTG-Jamendo's tags may go on to the right.
        let may_go_on = is_last && names[label] == "tags";
        if record.len() < expected || record.len() > expected && !may_go_on {
            let reason = format!("line {line}: {} values for {expected} columns", record.len());
            return Err(Error::format(path, reason));
        }
        let mut labels = vec![table.text(&record, line, label)?];
        labels.extend(record.iter().skip(expected));
        let plain = |label: &&str| label.trim_start_matches("genre---").to_owned();
        let part = part.and_then(|part| record.get(part)).filter(|part| !part.is_empty());
        let known = names.iter().zip(record.iter()).enumerate();
        let others =
            known.filter(|(at, (_, value))| ![file, label].contains(at) && !value.is_empty());
        let facts = others.map(|(_, (name, value))| (name.clone(), value.to_owned())).collect();
        entries.push(Entry {
            facts,
            line,
            path: table.text(&record, line, file)?.to_owned(),
            labels: labels.iter().map(plain).collect(),
            part: part.map(str::to_owned),
        });
    }
    Ok(entries)
}

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
        let labels: Vec<String> =
            labels.ok_or_else(|| fault(format!("no genre under any of {}", LABELS.join(", "))))?;
        let facts =
            object.iter().filter_map(|(key, value)| Some((key.to_lowercase(), text(value)?)));
        let (part, facts) = (of(&PARTS).and_then(text), facts.collect());
        Ok(Entry { line: number, path: file, labels, part, facts })
    };
    lines.filter(|(line, _)| !line.trim().is_empty()).map(entry).collect()
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
        read(&list, &["wav", "mp3"])
    }

    fn found(listing: &Listing) -> Vec<String> {
        let part = |part: &Option<Part>| part.map_or(String::new(), |part| format!(" {part:?}"));
        listing.files.iter().map(|f| format!("{}/{}{}", f.genre, f.name, part(&f.part))).collect()
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

    #[test]
    fn what_a_list_cannot_say_is_refused_with_its_line() {
        for (name, text, reason) in [
            ("l.csv", "song,genre\na.wav,rock\n", "no column of files; expected one of path"),
            ("l.csv", "path,artist\na.wav,rock\n", "no column of genres; expected one of genre"),
            (
                "l.csv",
                "path,genre\na.wav,rock\na.wav,jazz\n",
                "line 3: \"a.wav\" is already on line 2",
            ),
            ("l.csv", "path,genre\na.wav,\n", "line 2, column \"genre\": empty"),
            ("l.csv", "path,genre\na.wav,a/b\n", "line 2: the label \"a/b\""),
            ("l.csv", "path,genre\na.wav,rock,pop\n", "line 2: 3 values for 2 columns"),
            ("l.csv", "path,genre\n", "it lists no files"),
            ("l.csv", "path,genre\na.wav,rock|pop\n", "line 2: 2 labels (rock, pop)"),
            ("l.csv", "path,genre,Genre\na.wav,rock,pop\n", "the column \"genre\" is there twice"),
            (
                "l.tsv",
                "PATH\tTAGS\na.wav\trock\tpop\nb.mp3\trock\n",
                "line 2: 2 labels (rock, pop), as 1 of 2 tracks",
            ),
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
