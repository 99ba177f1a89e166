//! A collection: tracks, their genres and what was left out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::task::Task;
use crate::error::{Error, Result};
use crate::files;

/// One recording and its genre, or its labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Track {
    /// Path relative to the folder of genres, `/`-separated on every platform:
    /// `blues/blues.00000.wav`; of a list whose tracks have several labels, the listed path.
    pub id: String,
    /// Where the file is.
    pub path: PathBuf,
    /// Indices into [`Dataset::genres`], ascending: one, unless the task is
    /// [`Task::MultiLabel`], where there may be any number, none included.
    pub labels: Vec<usize>,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// The part of the split that the collection brings along, if it does.
    #[serde(skip)]
    pub part: Option<Part>,
    /// What is known of it besides, by lower-case name: a list's other columns, and the folders
    /// below its genre as `folder`, `artist` and `album` where no column is called so.
    #[serde(skip)]
    pub facts: BTreeMap<String, String>,
    /// What all copies of it share: equal here, two files are one recording.
    #[serde(skip)]
    pub content: String,
    /// What all recordings that sound like it share.
    #[serde(skip)]
    pub alike: Option<String>,
    /// What no split may part: an artist, say.
    #[serde(skip)]
    pub group: Option<String>,
}

impl Track {
    /// A track of which no more is known: its bytes are its content.
    pub(super) fn new(id: String, path: PathBuf, label: usize, sha256: String) -> Self {
        let content = sha256.clone();
        let (labels, facts) = (vec![label], BTreeMap::new());
        let (part, alike, group) = (None, None, None);
        Self { id, path, labels, sha256, part, facts, content, alike, group }
    }

    /// Its genre where it has one label; the first of several, and of none that of index 0.
    #[must_use]
    pub fn label(&self) -> usize {
        self.labels.first().copied().unwrap_or_default()
    }
}

/// A part of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// To fit on.
    Train,
    /// To choose the best epoch by.
    Validation,
    /// Only ever tested on.
    Test,
}

impl Part {
    /// The part that a folder or a column of a list calls so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "train" | "training" => Self::Train,
            "validation" | "validate" | "valid" | "val" | "dev" => Self::Validation,
            "test" | "testing" | "eval" | "evaluation" => Self::Test,
            _ => return None,
        })
    }
}

/// A file or folder that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it was left out, for the user to read.
    pub reason: String,
}

/// Where a collection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A folder of recordings.
    Folder,
    /// The synthetic demo set: figures on it say nothing about music.
    Demo,
}

/// A scanned collection: one genre per folder or labels from a list, one track per readable audio
/// file.
#[derive(Debug, Clone, Serialize)]
pub struct Dataset {
    /// The folder as it was given.
    pub root: PathBuf,
    /// Recordings or the synthetic set.
    pub origin: Origin,
    /// What is told of its tracks.
    #[serde(default, skip_serializing_if = "Task::is_single")]
    pub task: Task,
    /// Names of the genre folders, or of the labels, sorted; a track's labels are indices into
    /// them.
    pub genres: Vec<String>,
    /// All tracks, sorted by id.
    pub tracks: Vec<Track>,
    /// What was left out, sorted by path.
    pub skipped: Vec<Skipped>,
    /// How many files of which ending are no recordings, and were passed over.
    #[serde(skip)]
    pub others: BTreeMap<String, usize>,
    /// Where the genres come from, for the user to read.
    #[serde(skip)]
    pub about: String,
}

impl Dataset {
    /// Drops the tracks whose paths are in `skipped` (files that turned out not to
    /// decode, say) and remembers why. Genres keep their indices, even one that is
    /// left without a track; [`Dataset::check`] rejects that.
    pub(crate) fn exclude(&mut self, skipped: Vec<Skipped>) {
        let gone: HashSet<&Path> = skipped.iter().map(|s| s.path.as_path()).collect();
        self.tracks.retain(|track| !gone.contains(track.path.as_path()));
        self.skipped.extend(skipped);
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Takes tracks of which a model is given the same values for copies of one recording, whatever
    /// tags their files have; `values` are those of each track.
    pub(crate) fn find_copies<'a, V: IntoIterator<Item = &'a f32>>(
        &mut self,
        values: impl Iterator<Item = V>,
    ) {
        for (track, values) in self.tracks.iter_mut().zip(values) {
            let mut hash = Sha256::new();
            values.into_iter().for_each(|value| hash.update(value.to_le_bytes()));
            track.content = files::hex(&hash.finalize());
        }
    }

    /// Forgets which tracks are copies of one recording, unless their bytes are equal.
    pub(crate) fn forget_copies(&mut self) {
        for track in &mut self.tracks {
            track.content = track.sha256.clone();
            track.alike = None;
        }
    }

    /// Files that are copies of an earlier one under other tags, or of another genre: the indices
    /// of that one, and of theirs.
    pub(crate) fn copies(&self) -> Vec<[usize; 2]> {
        let mut first: HashMap<&str, usize> = HashMap::new();
        let mut found = vec![];
        for (at, track) in self.tracks.iter().enumerate() {
            let original = *first.entry(&track.content).or_insert(at);
            let other = &self.tracks[original];
            if original != at && (other.sha256 != track.sha256 || other.labels != track.labels) {
                found.push([original, at]);
            }
        }
        found
    }

    /// Keeps tracks with the same `fact` together in every split drawn from now on: a column of
    /// the list, or `folder`, `artist` or `album`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if no track has it, naming those that there are.
    pub(crate) fn group_by(&mut self, fact: &str) -> Result<()> {
        let key = fact.to_lowercase();
        for track in &mut self.tracks {
            track.group = track.facts.get(&key).cloned();
        }
        if self.tracks.iter().any(|track| track.group.is_some()) {
            return Ok(());
        }
        let known = self.tracks.iter().flat_map(|track| track.facts.keys());
        let known: BTreeSet<&str> = known.map(String::as_str).collect();
        let known = known.into_iter().collect::<Vec<&str>>().join(", ");
        let advice = match known.as_str() {
            "" => {
                "nothing is known of the tracks but their genre, nor do they have such tags; put \
                   each artist's into a folder below the genre's, or give a list with such a column"
                    .to_owned()
            }
            known => format!("no track has it; there are {known}"),
        };
        Err(Error::out_of_range("group-by", fact, advice))
    }

    /// Whether a classifier can be trained and tested on this collection.
    ///
    /// # Errors
    /// [`Error::TooFew`] naming the folder, the count and what to do, if there are fewer
    /// than two genres or a genre has fewer than two recordings with different bytes. Labels of
    /// which a track may have several can be rarer than that.
    pub fn check(&self) -> Result<()> {
        if self.task == Task::MultiLabel {
            return self.check_labels();
        }
        if self.genres.len() < 2 {
            return Err(Error::TooFew(format!(
                "{}: {} genre folder(s) found, at least 2 are needed{}; \
                 put the recordings of each genre into a folder of its own, named after the genre{}",
                self.root.display(),
                self.genres.len(),
                self.left_out(|_| true),
                self.hint(),
            )));
        }
        (0..self.genres.len()).try_for_each(|label| self.check_genre(label))
    }

    /// Whether there is a label, and a track for each part of a split.
    fn check_labels(&self) -> Result<()> {
        let different = self.tracks.iter().map(|track| &track.content).collect::<HashSet<_>>();
        if !self.genres.is_empty() && different.len() >= 3 {
            return Ok(());
        }
        Err(Error::TooFew(format!(
            "{}: {} label(s) on {} different usable recording(s); at least one label and 3 \
             recordings are needed, to train, to validate and to test on{}{}",
            self.root.display(),
            self.genres.len(),
            different.len(),
            self.left_out(|_| true),
            self.hint(),
        )))
    }

    fn check_genre(&self, label: usize) -> Result<()> {
        let genre = &self.genres[label];
        let of_genre = || self.tracks.iter().filter(|track| track.label() == label);
        let different = of_genre().map(|track| &track.content).collect::<HashSet<_>>().len();
        if different >= 2 {
            return Ok(());
        }
        let in_folder =
            |s: &&Skipped| s.path.components().any(|name| name.as_os_str() == genre.as_str());
        let skipped = self.left_out(in_folder);
        Err(Error::TooFew(format!(
            "{}: genre \"{genre}\" has {} usable recording(s), {different} of them different; \
             at least 2 different ones are needed, one to train on and one to test on{skipped}; \
             add recordings or remove the folder{}",
            self.root.display(),
            of_genre().count(),
            self.hint(),
        )))
    }

    /// What the folder may be meant to be instead.
    fn hint(&self) -> String {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let lists = entries.map(|entry| entry.path());
        let mut lists = lists.filter(|path| files::has_extension(path, &["csv", "tsv", "jsonl"]));
        match lists.next() {
            Some(list) => format!("; if {} says the genres, give it as ‹data›", list.display()),
            None => String::new(),
        }
    }

    /// The first of what was left out that is `wanted`, for a message.
    fn left_out(&self, wanted: impl Fn(&&Skipped) -> bool) -> String {
        match self.skipped.iter().find(wanted) {
            Some(first) => format!(" (left out: {}: {})", first.path.display(), first.reason),
            None => String::new(),
        }
    }

    /// SHA-256 over the ids and digests of all tracks, 64 hexadecimal digits. It does not
    /// depend on where the collection lies, and changes with every file and genre.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for track in &self.tracks {
            hash.update(format!("{}\0{}\n", track.id, track.sha256));
            // Elsewhere the id begins with the genre.
            if self.task == Task::MultiLabel {
                let labels = track.labels.iter().map(|label| self.genres[*label].as_str());
                hash.update(format!("{}\n", labels.collect::<Vec<_>>().join("\0")));
            }
        }
        files::hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::dataset;
    use super::*;

    fn skipped(path: &str) -> Skipped {
        Skipped { path: path.into(), reason: "cannot be decoded".into() }
    }

    #[test]
    fn excluding_keeps_labels_and_check_then_names_the_empty_genre_and_the_reason() {
        let mut set = dataset([("a/1", "x"), ("a/2", "y"), ("b/1", "z"), ("b/2", "w")]);
        set.check().unwrap();
        set.exclude(vec![skipped("/music/a/2"), skipped("/music/a/1")]);
        assert_eq!(set.tracks.iter().map(|t| t.label()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(set.skipped[0].path, Path::new("/music/a/1"));
        let error = set.check().unwrap_err().to_string();
        assert!(error.contains("\"a\" has 0") && error.contains("cannot be decoded"), "{error}");
    }

    #[test]
    fn identical_files_count_once() {
        let set = dataset([("a/1", "x"), ("a/2", "x"), ("b/1", "z"), ("b/2", "w")]);
        let error = set.check().unwrap_err().to_string();
        assert!(error.contains("2 usable recording(s), 1 of them different"), "{error}");
    }

    #[test]
    fn the_fingerprint_follows_ids_and_bytes() {
        let print = |tracks| dataset::<&str>(tracks).fingerprint();
        assert_eq!(print([("a/1", "x")]).len(), 64);
        assert_eq!(print([("a/1", "x")]), print([("a/1", "x")]));
        assert_ne!(print([("a/1", "x")]), print([("a/1", "y")]));
        assert_ne!(print([("a/1", "x")]), print([("b/1", "x")]));
    }
}
