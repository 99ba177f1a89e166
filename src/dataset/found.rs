//! The files of a collection, before any is opened.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::collection::{Part, Skipped};
use super::task::Task;

/// A file of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its genre, or its labels, sorted.
    pub labels: Vec<String>,
    /// What it is called within its genre, with `/` between folders; of several labels a track,
    /// its whole id.
    pub name: String,
    pub path: PathBuf,
    /// The part of the collection's own split that it is in.
    pub part: Option<Part>,
    /// What is known of it besides.
    pub facts: BTreeMap<String, String>,
}

/// The files of a collection.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What is told of the files.
    pub task: Task,
    /// Sorted.
    pub genres: Vec<String>,
    pub files: Vec<Found>,
    pub skipped: Vec<Skipped>,
    /// How many files of which ending are no recordings.
    pub others: BTreeMap<String, usize>,
    /// Where the genres come from, for the user to read.
    pub about: String,
}

impl Listing {
    /// Puts the genres in order and leaves out those without any file; what they were is said.
    pub(super) fn close(&mut self) {
        self.genres.sort();
        self.genres.dedup();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let labels = self.files.iter().flat_map(|file| &file.labels);
        labels.for_each(|label| *counts.entry(label.as_str()).or_default() += 1);
        // One that could not be read is no empty one.
        let is_closed = |genre: &str| {
            let names = |path: &Path| path.components().any(|name| name.as_os_str() == genre);
            self.skipped.iter().any(|skipped| names(&skipped.path))
        };
        let is_empty = |genre: &String| !counts.contains_key(genre.as_str()) && !is_closed(genre);
        let empty: Vec<String> =
            self.genres.iter().filter(|genre| is_empty(genre)).cloned().collect();
        // Where nothing is found at all, the genres are told to be without recordings.
        if empty.len() < self.genres.len() {
            self.genres.retain(|genre| !empty.contains(genre));
            for genre in empty {
                self.skip(Path::new(&genre), "a genre without recordings");
            }
        }
    }

    pub(super) fn skip(&mut self, path: &Path, reason: impl ToString) {
        self.skipped.push(Skipped { path: path.to_path_buf(), reason: reason.to_string() });
    }
}
