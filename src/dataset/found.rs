//! The files of a collection, before any is opened.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::collection::{Part, Skipped};
use super::task::Task;
use crate::text::composed;

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
    /// Gives names one form, puts the genres in order and leaves out those without any file; what
    /// they were is said.
    pub(super) fn close(&mut self) {
        self.compose();
        self.drop_single_part();
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

    /// Names in composed form, so that they are those of the same collection on another system. Of
    /// two files that then have one name the second is left out.
    fn compose(&mut self) {
        self.genres.iter_mut().for_each(|genre| *genre = composed(genre));
        // Whether the first of a name had another form before.
        let mut seen: HashMap<_, bool> = HashMap::new();
        for mut file in std::mem::take(&mut self.files) {
            // Of several labels a track the name says all of it.
            let folder = |file: &Found| match self.task {
                Task::SingleLabel => file.labels.first().cloned(),
                Task::MultiLabel => None,
            };
            let as_it_was = (folder(&file), file.name.clone());
            file.name = composed(&file.name);
            file.labels.iter_mut().for_each(|label| *label = composed(label));
            file.labels.sort();
            file.labels.dedup();
            file.facts.values_mut().for_each(|fact| *fact = composed(fact));
            let name = (folder(&file), file.name.clone());
            let is_other = name != as_it_was;
            match seen.get(&name) {
                Some(first_was_other) if *first_was_other || is_other => {
                    let reason = "its name is that of another file, in another Unicode form";
                    self.skip(&file.path, reason);
                }
                _ => {
                    seen.insert(name, is_other);
                    self.files.push(file);
                }
            }
        }
    }

    /// Whether the collection brings a split along.
    pub(super) fn has_parts(&self) -> bool {
        self.files.iter().any(|file| file.part.is_some())
    }

    /// A collection that is all one part, as one of which only the training part was published,
    /// brings no split along.
    fn drop_single_part(&mut self) {
        let Some(part) = self.files.first().and_then(|file| file.part) else { return };
        if self.files.iter().all(|file| file.part == Some(part)) {
            let part = format!("{part:?}").to_lowercase();
            tracing::info!("note: all tracks are in one part, \"{part}\": a split is drawn");
            self.files.iter_mut().for_each(|file| file.part = None);
        }
    }

    pub(super) fn skip(&mut self, path: &Path, reason: impl ToString) {
        self.skipped.push(Skipped { path: path.to_path_buf(), reason: reason.to_string() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_in_either_unicode_form() {
        let file = |genre: &str, name: &str| Found {
            labels: vec![genre.into()],
            name: name.into(),
            path: Path::new("/music").join(genre).join(name),
            part: None,
            facts: BTreeMap::from([("artist".into(), "Bjo\u{308}rk".into())]),
        };
        let mut listing = Listing {
            genres: vec!["mu\u{301}sica".into(), "m\u{fa}sica".into()],
            files: vec![
                file("m\u{fa}sica", "\u{e9}.wav"),
                file("mu\u{301}sica", "e\u{301}.wav"),
                file("mu\u{301}sica", "o\u{301}.wav"),
            ],
            ..Listing::default()
        };
        let mut turned = Listing { files: listing.files.clone(), ..Listing::default() };
        turned.files.reverse();
        turned.close();
        assert_eq!((turned.files.len(), turned.skipped.len()), (2, 1));
        listing.close();
        assert_eq!(listing.genres, ["m\u{fa}sica"]);
        let names: Vec<&str> = listing.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["\u{e9}.wav", "\u{f3}.wav"]);
        assert_eq!(listing.files[1].path, Path::new("/music/mu\u{301}sica/o\u{301}.wav"));
        assert_eq!(listing.files[0].facts["artist"], "Bj\u{f6}rk");
        assert!(listing.skipped[0].reason.contains("Unicode"), "{:?}", listing.skipped);
    }
}
