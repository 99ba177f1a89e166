//! Collections of Hugging Face as they are downloaded: Parquet files with the recordings, or the
//! pictures, inside. They are written out into the cache once, as files and a list of them.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::collection::Part;
use super::columns::LABELS;
use super::pages;
use crate::audio::{Container, EXTENSIONS, sniff};
use crate::error::{Error, Result};
use crate::files::{self, has_extension, is_hidden};
use crate::panics::caught;
use crate::text::counted;
use crate::{interrupt, progress};

/// Where the files are written.
const CACHE: &str = "data/cache/parquet";
/// Changed whenever what is written there does.
const CACHE_VERSION: &str = "2";
/// How deep the Parquet files of a data set lie: `data/train-0.parquet`, `default/train/0.parquet`.
const DEEPEST: usize = 3;
/// What the list of the files is called, so that it is found as that of a folder.
const LIST: &str = "metadata.jsonl";
/// The key under which Hugging Face keeps what the columns are.
const FEATURES: &str = "huggingface";

/// The names of the classes of each column that has such.
type Classes = BTreeMap<String, Vec<String>>;

/// The folder with the recordings inside the Parquet files at `root`, a folder of them or one;
/// none if there are none. It is made unless it was before.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a file that is damaged or has no column of files.
pub(super) fn unpacked(root: &Path) -> Result<Option<PathBuf>> {
    unpacked_in(Path::new(CACHE), root)
}

fn unpacked_in(cache: &Path, root: &Path) -> Result<Option<PathBuf>> {
    let tables = tables(root);
    if tables.is_empty() {
        return Ok(None);
    }
    check_configurations(root, &tables)?;
    let mut digest = Sha256::new_with_prefix(CACHE_VERSION);
    for (table, part) in &tables {
        digest.update(format!("{part:?} {}\n", files::sha256(table)?));
    }
    let folder = cache.join(files::hex(&digest.finalize()));
    files::folder_once(&folder, |whole| {
        tracing::info!("writing the files inside {} to {}", root.display(), cache.display());
        unpack(&tables, whole)
    })?;
    Ok(Some(folder))
}

/// The Parquet files at `root`, sorted, with the part of a split that their names say.
fn tables(root: &Path) -> Vec<(PathBuf, Option<Part>)> {
    let walk = WalkDir::new(root).max_depth(DEEPEST).follow_links(true).into_iter();
    let seen = walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.path()));
    let files = seen.flatten().filter(|entry| entry.file_type().is_file());
    let mut found: Vec<PathBuf> = files
        .map(walkdir::DirEntry::into_path)
        .filter(|path| has_extension(path, &["parquet"]))
        .collect();
    found.sort();
    let with_part = |path: PathBuf| {
        let part = part(&path);
        (path, part)
    };
    found.into_iter().map(with_part).collect()
}

/// Refuses data sets of several configurations, a folder each: most are parts of one another.
fn check_configurations(root: &Path, tables: &[(PathBuf, Option<Part>)]) -> Result<()> {
    let mut folders: BTreeMap<String, &Path> = BTreeMap::new();
    for (table, part) in tables {
        let folder = table.parent().unwrap_or(root);
        let first = *folders.entry(format!("{part:?}")).or_insert(folder);
        if first != folder {
            let reason = format!(
                "Parquet files of one part of a split in several folders, {} and {}; give one of \
                 them, or one folder up to where they part",
                first.display(),
                folder.display()
            );
            return Err(Error::unsupported(root, reason));
        }
    }
    Ok(())
}

/// `train-00000-of-00001.parquet` or `train/0000.parquet`.
fn part(path: &Path) -> Option<Part> {
    let name = path.file_stem()?.to_str()?;
    let named = name.split(['-', '.', '_']).find_map(Part::named);
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    named.or_else(|| folder.and_then(Part::named))
}

fn unpack(tables: &[(PathBuf, Option<Part>)], folder: &Path) -> Result<()> {
    let list = folder.join(LIST);
    let mut list_file = BufWriter::new(File::create(&list).map_err(Error::io(&list))?);
    let bar = progress::begin(0, "Unpacking", "files");
    let (mut names, mut unlabelled, mut empty) = (HashSet::new(), 0, 0);
    let mut all_classes: Option<Classes> = None;
    for (path, part) in tables {
        let damaged = |error: &dyn std::fmt::Display| {
            let advice = "; write it anew, compressed with Snappy or gzip or not at all";
            Error::format(path, format!("not a Parquet file that can be read: {error}{advice}"))
        };
        let file = File::open(path).map_err(Error::io(path))?;
        let table = caught(|| SerializedFileReader::new(file)).map_err(|panic| damaged(&panic))?;
        let table = table.map_err(|error| damaged(&error))?;
        pages::check(path, table.metadata()).map_err(|error| damaged(&error))?;
        let classes = classes(&table);
        let all_classes = all_classes.get_or_insert_with(|| classes.clone());
        if *all_classes != classes {
            let reason = "its classes have other names than those of the files before it";
            return Err(Error::format(path, reason));
        }
        let rows = caught(|| table.get_row_iter(None)).map_err(|panic| damaged(&panic))?;
        let mut rows = rows.map_err(|error| damaged(&error))?;
        for number in 1.. {
            interrupt::check("nothing was kept of the files inside")?;
            let row = caught(|| rows.next()).map_err(|panic| damaged(&panic))?;
            let Some(row) = row else { break };
            let row = row.map_err(|error| damaged(&error))?;
            let Some(entry) = Entry::of(path, &row)? else {
                empty += 1;
                continue;
            };
            let name = free_name(&mut names, entry.name());
            let place = folder.join(&name);
            files::create_dir(place.parent().unwrap_or(folder))?;
            fs::write(&place, entry.bytes).map_err(Error::io(&place))?;
            let wrong = |what: String| Error::format(path, format!("row {number}: {what}"));
            match line(&row, &name, *part, &classes).map_err(wrong)? {
                Some(line) => writeln!(list_file, "{line}").map_err(Error::io(&list))?,
                None => unlabelled += 1,
            }
            bar.advance(1);
        }
    }
    if unlabelled > 0 {
        tracing::warn!("left out, having no label: {}", counted(unlabelled, "row"));
    }
    if empty > 0 {
        tracing::warn!("left out, having no file in them: {}", counted(empty, "row"));
    }
    list_file.flush().map_err(Error::io(&list))
}

/// A file inside a table.
struct Entry<'a> {
    bytes: &'a [u8],
    /// What it is called there.
    path: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// That of a row: of its one column of bytes, or of a structure with such; none of a row whose
    /// is empty.
    fn of(table: &Path, row: &'a Row) -> Result<Option<Self>> {
        let entry = |field: &'a Field| match field {
            Field::Bytes(bytes) => Some(Self { bytes: bytes.data(), path: None }),
            Field::Group(inner) => {
                let bytes = inner.get_column_iter().find_map(|(_, field)| match field {
                    Field::Bytes(bytes) => Some(bytes.data()),
                    _ => None,
                })?;
                let path = inner.get_column_iter().find_map(|(_, field)| match field {
                    Field::Str(path) => Some(path.as_str()),
                    _ => None,
                });
                Some(Self { bytes, path })
            }
            _ => None,
        };
        let refuse = |what: &str| {
            let columns: Vec<&str> = row.get_column_iter().map(|(name, _)| name.as_str()).collect();
            let columns = columns.join(", ");
            let reason = format!(
                "{what} (columns {columns}); a data set whose files lie elsewhere, or which has \
                 several, is given as a list of them (.csv, .jsonl)"
            );
            Err(Error::format(table, reason))
        };
        let is_structure = |field: &Field| matches!(field, Field::Group(_));
        // A column of bytes beside a structure with a file in it is something else: a digest, say.
        let has_structures =
            row.get_column_iter().any(|(_, field)| is_structure(field) && entry(field).is_some());
        let candidates = row.get_column_iter().map(|(_, field)| field);
        let candidates = candidates.filter(|field| !has_structures || is_structure(field));
        let mut entries = candidates.filter_map(entry);
        match (entries.next(), entries.next()) {
            (Some(_), Some(_)) => refuse("rows with several files in them"),
            (Some(entry), None) if entry.bytes.is_empty() => Ok(None),
            (Some(entry), None) => Ok(Some(entry)),
            // Where a file could be there is none.
            (None, _) if row.get_column_iter().any(|(_, field)| is_empty(field)) => Ok(None),
            (None, _) => refuse("rows without a file in them"),
        }
    }

    /// Its own name, below no folder but those it says, with an ending that says what it is.
    fn name(&self) -> String {
        let path = self.path.unwrap_or_default().replace('\\', "/");
        let path = Path::new(&path);
        let parts = path.components().filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let name = parts.collect::<Vec<_>>().join("/");
        let name = if name.is_empty() { "file".to_owned() } else { name };
        // No file system takes a NUL or longer names, no list other control characters.
        let name = name.replace(|c: char| c.is_control(), "_");
        let name: String =
            name.split('/').map(str::trim).map(shortened).collect::<Vec<_>>().join("/");
        let known = [EXTENSIONS, &["png", "jpg", "jpeg"]].concat();
        if has_extension(Path::new(&name), &known) {
            name
        } else {
            format!("{name}.{}", kind(self.bytes))
        }
    }
}

/// The last characters of a long name, its ending among them.
fn shortened(name: &str) -> String {
    let skipped = name.chars().count().saturating_sub(60);
    name.chars().skip(skipped).collect()
}

/// Whether there is nothing in a place where a file could be.
fn is_empty(field: &Field) -> bool {
    match field {
        Field::Null => true,
        Field::Group(inner) => {
            inner.get_column_iter().any(|(_, field)| matches!(field, Field::Null))
        }
        _ => false,
    }
}

/// The ending of a file that begins so.
fn kind(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(b"\x89PNG") {
        return "png";
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return "jpg";
    }
    match sniff(bytes) {
        Some(Container::Flac) => "flac",
        Some(Container::Ogg) => "ogg",
        Some(Container::Mp3) => "mp3",
        Some(Container::Mp4) => "m4a",
        _ => "wav",
    }
}

/// `name`, or if that is taken with a number before it; nothing is written over the list.
fn free_name(taken: &mut HashSet<String>, name: String) -> String {
    let mut free = if name == LIST { format!("0/{name}") } else { name.clone() };
    let mut number = taken.len();
    // File systems that do not tell cases apart would write over it.
    while !taken.insert(free.to_lowercase()) {
        free = format!("{number}/{name}");
        number += 1;
    }
    free
}

/// The numbers in a value or a list: classes that were not named.
fn numbers(value: &Value) -> impl Iterator<Item = &Value> {
    let elements = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    elements.iter().filter(|element| element.is_number())
}

/// What the list says of a row: all that is text or number, classes by their names. None if it has
/// no class, of which Hugging Face's mark is -1.
///
/// # Errors
/// What is wrong with a class.
fn line(
    row: &Row,
    name: &str,
    part: Option<Part>,
    classes: &Classes,
) -> Result<Option<Value>, String> {
    let mut line = Map::new();
    let has_label = row.get_column_iter().any(|(column, _)| LABELS.contains(&column.as_str()));
    for (column, field) in row.get_column_iter() {
        let names = classes.get(column);
        let value = value(field, names.map_or(&[], Vec::as_slice));
        let is_label = names.is_some() || LABELS.contains(&column.as_str());
        if is_label && (value.is_null() || value == -1) {
            return Ok(None);
        }
        if let Some(number) = names.and_then(|_| numbers(&value).next()) {
            return Err(format!("the {column} {number}, of which there is no name"));
        }
        if names.is_some() && classes.len() == 1 && !has_label {
            line.insert(LABELS[0].into(), value.clone());
        }
        if !value.is_null() {
            line.insert(column.clone(), value);
        }
    }
    // Under the first name that a list's files are looked for.
    line.insert("path".into(), name.into());
    if let Some(part) = part.filter(|_| !line.contains_key("split")) {
        line.insert("split".into(), format!("{part:?}").to_lowercase().into());
    }
    Ok(Some(Value::Object(line)))
}

/// A text, a number or several; a number of one of `classes` is its name.
fn value(field: &Field, classes: &[String]) -> Value {
    let number = |number: i64| {
        let class = usize::try_from(number).ok().and_then(|number| classes.get(number));
        class.map_or(number.into(), |name| name.as_str().into())
    };
    match field {
        Field::Str(text) => text.as_str().into(),
        Field::Bool(value) => value.to_string().into(),
        Field::Byte(value) => number((*value).into()),
        Field::Short(value) => number((*value).into()),
        Field::Int(value) => number((*value).into()),
        Field::Long(value) => number(*value),
        Field::UByte(value) => number((*value).into()),
        Field::UShort(value) => number((*value).into()),
        Field::UInt(value) => number((*value).into()),
        Field::ULong(value) => i64::try_from(*value).map_or(Value::Null, number),
        Field::Float(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| value(element, classes)).collect()
        }
        _ => Value::Null,
    }
}

/// The names of the classes of each column that has such.
fn classes(table: &SerializedFileReader<File>) -> Classes {
    let entries = table.metadata().file_metadata().key_value_metadata();
    let entry = entries.into_iter().flatten().find(|entry| entry.key == FEATURES);
    let text = entry.and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    let about: Value = serde_json::from_str(text).unwrap_or_default();
    let features = about["info"]["features"].as_object();
    let of = |(column, feature): (&String, &Value)| Some((column.clone(), names_in(feature)?));
    features.into_iter().flatten().filter_map(of).collect()
}

/// The `names` of a class label, or of the labels in a sequence.
fn names_in(feature: &Value) -> Option<Vec<String>> {
    match feature {
        Value::Object(object) => match object.get("names") {
            Some(Value::Array(names)) => {
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
            }
            // As old versions of `datasets` write it: by number.
            Some(Value::Object(names)) => (0..names.len())
                .map(|number| Some(names.get(&number.to_string())?.as_str()?.to_owned()))
                .collect(),
            _ => object.values().find_map(names_in),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::list;
    use super::*;

    /// A data set of six rows in two parts, as `datasets` writes it.
    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hugging_face")
    }

    /// The crate that reads Parquet panics over some of these, or takes gigabytes.
    #[test]
    fn a_damaged_file_is_refused_and_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let whole = fs::read(fixture().join("data/train-00000-of-00001.parquet")).unwrap();
        let path = folder.path().join("train.parquet");
        let mut refused = 0;
        for place in (0..whole.len()).step_by(3) {
            for byte in [0x00, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = byte;
                fs::write(&path, bytes).unwrap();
                let cache = folder.path().join("cache");
                let read = unpacked_in(&cache, &path);
                if let Err(error) = &read {
                    assert!(error.to_string().contains("train.parquet"), "{place}: {error}");
                }
                refused += usize::from(read.is_err());
                // Where nothing was unpacked there is none.
                let _ = fs::remove_dir_all(cache);
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn what_is_inside_is_a_collection_with_its_split_and_facts() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpacked_in(cache.path(), &fixture()).unwrap().unwrap();
        let found = list(&folder, &["wav", "flac"], None).unwrap();
        assert_eq!(found.genres, ["jazz", "rock"]);
        let said: Vec<String> = found
            .files
            .iter()
            .map(|file| {
                let part = file.part.map(|part| format!("{part:?}")).unwrap_or_default();
                format!("{} {} {part} {}", file.labels[0], file.name, file.facts["artist"])
            })
            .collect();
        assert_eq!(
            said,
            [
                "rock a/1.wav Test x",
                "jazz 1/a/1.wav Test y",
                "rock b.wav Train x",
                "jazz file.flac Train z",
                "jazz c.wav Train y"
            ]
        );
        assert_eq!(fs::read(&found.files[0].path).unwrap(), b"RIFF....WAVE1");
        assert_eq!(fs::read(&found.files[1].path).unwrap(), b"RIFF....WAVE2");
        let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let before = modified(&found.files[0].path);
        assert_eq!(unpacked_in(cache.path(), &fixture()).unwrap().unwrap(), folder);
        assert_eq!(modified(&found.files[0].path), before, "it is written once");
    }

    #[test]
    fn damage_is_named_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let whole = fs::read(fixture().join("data/train-00000-of-00001.parquet")).unwrap();
        for (name, bytes) in [("cut", &whole[..whole.len() - 9]), ("text", &b"a,b\n1,2\n"[..])] {
            let path = folder.path().join(format!("{name}.parquet"));
            fs::write(&path, bytes).unwrap();
            let error = unpacked_in(&cache, &path).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}.parquet: not a Parquet file")), "{error}");
            assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
        }
        assert_eq!(unpacked_in(&cache, Path::new("src")).unwrap(), None);
    }

    #[test]
    fn the_part_is_in_the_name_or_the_folder() {
        let part = |path: &str| part(Path::new(path));
        for path in ["data/train-00000-of-00001.parquet", "my_train.parquet", "x/train/0.parquet"] {
            assert_eq!(part(path), Some(Part::Train), "{path}");
        }
        assert_eq!(part("songs.parquet"), None);
        let folder = tempfile::tempdir().unwrap();
        for configuration in ["full", "mini"] {
            let place = folder.path().join(configuration);
            fs::create_dir(&place).unwrap();
            fs::write(place.join("train.parquet"), "").unwrap();
        }
        let error = unpacked_in(folder.path(), folder.path()).unwrap_err().to_string();
        assert!(error.contains("several folders") && error.contains("mini"), "{error}");
    }

    #[test]
    fn no_file_is_written_over_another() {
        let mut taken = HashSet::new();
        let mut free = |name: &str| free_name(&mut taken, name.to_owned());
        let names = [free("a.wav"), free("A.wav"), free("a.wav"), free("metadata.jsonl")];
        let names: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(names.len(), 4);
        assert!(!names.contains("metadata.jsonl"));
    }
}
