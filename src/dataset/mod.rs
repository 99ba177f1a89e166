//! Folders of recordings to tracks with labels, and their splits.
//!
//! A collection is one folder per genre. [`Dataset::scan`] lists it, [`Split`]
//! divides its tracks into training, validation and test parts, and [`demo`]
//! synthesizes a small stand-in for whoever has no collection at hand.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::audio::EXTENSIONS;
use crate::error::{Error, Result};
use crate::files;

pub mod demo;
mod extract;
mod scan;
pub mod source;
mod split;
mod table;

pub use extract::{Extracted, Recording, extract_features};
pub use split::{Fold, Method, Parts, Split};
pub use table::{FeatureRow, FeatureTable};

/// One recording and its genre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Track {
    /// Path relative to the folder of genres, `/`-separated on every platform:
    /// `blues/blues.00000.wav`.
    pub id: String,
    /// Where the file is.
    pub path: PathBuf,
    /// Index into [`Dataset::genres`].
    pub label: usize,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub sha256: String,
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
    /// The synthetic set made by [`demo::synthesize`]: figures on it say nothing about music.
    Demo,
}

/// A scanned collection: one genre per folder, one track per readable audio file.
#[derive(Debug, Clone, Serialize)]
pub struct Dataset {
    /// The folder as it was given.
    pub root: PathBuf,
    /// Recordings or the synthetic set.
    pub origin: Origin,
    /// Names of the genre folders, sorted; a track's label is an index into them.
    pub genres: Vec<String>,
    /// All tracks, sorted by id.
    pub tracks: Vec<Track>,
    /// What was left out, sorted by path.
    pub skipped: Vec<Skipped>,
}

impl Dataset {
    /// The collection to work on: `data` if given, else `data/gtzan` in the working
    /// directory if it is there, else the synthetic demo set in `data/demo`, which
    /// is made first if need be.
    ///
    /// # Errors
    /// Those of [`Dataset::scan`] and [`demo::synthesize`].
    pub fn resolve(data: Option<&Path>) -> Result<Self> {
        match data {
            Some(root) => Self::scan(root, EXTENSIONS),
            None => Self::resolve_in(Path::new("data")),
        }
    }

    fn resolve_in(folder: &Path) -> Result<Self> {
        let (gtzan, demo) = (folder.join("gtzan"), folder.join("demo"));
        if gtzan.exists() {
            return Self::scan(&gtzan, EXTENSIONS);
        }
        if !demo.exists() {
            let made = demo::synthesize(&demo, demo::SEED);
            // Another process may have put the same set there in the meantime: that will do.
            if made.is_err() && !demo.exists() {
                made?;
            }
        }
        Self::scan(&demo, EXTENSIONS)
    }

    /// Drops the tracks whose paths are in `skipped` (files that turned out not to
    /// decode, say) and remembers why. Genres keep their indices, even one that is
    /// left without a track; [`Dataset::check`] rejects that.
    pub fn exclude(&mut self, skipped: Vec<Skipped>) {
        let gone: HashSet<&Path> = skipped.iter().map(|s| s.path.as_path()).collect();
        self.tracks.retain(|track| !gone.contains(track.path.as_path()));
        self.skipped.extend(skipped);
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Whether a classifier can be trained and tested on this collection.
    ///
    /// # Errors
    /// [`Error::Data`] naming the folder, the count and what to do, if there are fewer
    /// than two genres or a genre has fewer than two recordings with different bytes.
    pub fn check(&self) -> Result<()> {
        if self.genres.len() < 2 {
            return Err(Error::Data(format!(
                "{}: {} genre folder(s) found, at least 2 are needed; \
                 put the recordings of each genre into a folder of its own, named after the genre",
                self.root.display(),
                self.genres.len(),
            )));
        }
        (0..self.genres.len()).try_for_each(|label| self.check_genre(label))
    }

    fn check_genre(&self, label: usize) -> Result<()> {
        let genre = &self.genres[label];
        let of_genre = || self.tracks.iter().filter(|track| track.label == label);
        let different = of_genre().map(|track| &track.sha256).collect::<HashSet<_>>().len();
        if different >= 2 {
            return Ok(());
        }
        let in_folder = |s: &&Skipped| s.path.starts_with(scan::base(&self.root).join(genre));
        let skipped = match self.skipped.iter().find(in_folder) {
            Some(first) => format!(" (left out: {}: {})", first.path.display(), first.reason),
            None => String::new(),
        };
        Err(Error::Data(format!(
            "{}: genre \"{genre}\" has {} usable recording(s), {different} of them different; \
             at least 2 different ones are needed, one to train on and one to test on{skipped}; \
             add recordings or remove the folder",
            self.root.display(),
            of_genre().count(),
        )))
    }

    /// SHA-256 over the ids and digests of all tracks: the same for the same files in
    /// the same genres, wherever they lie. 64 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for track in &self.tracks {
            hash.update(format!("{}\0{}\n", track.id, track.sha256));
        }
        files::hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A collection in memory: `(id, digest)` pairs, genres taken from the ids.
    pub(super) fn dataset<S: Into<String>>(tracks: impl IntoIterator<Item = (S, S)>) -> Dataset {
        let tracks: Vec<(String, String)> =
            tracks.into_iter().map(|(id, sha)| (id.into(), sha.into())).collect();
        let genre = |id: &str| id.split('/').next().unwrap_or_default().to_string();
        let mut genres: Vec<_> = tracks.iter().map(|(id, _)| genre(id)).collect();
        genres.sort();
        genres.dedup();
        let tracks = tracks
            .into_iter()
            .map(|(id, sha256)| Track {
                label: genres.iter().position(|g| *g == genre(&id)).unwrap(),
                path: Path::new("/music").join(&id),
                id,
                sha256,
            })
            .collect();
        Dataset { root: "/music".into(), origin: Origin::Folder, genres, tracks, skipped: vec![] }
    }

    fn skipped(path: &str) -> Skipped {
        Skipped { path: path.into(), reason: "cannot be decoded".into() }
    }

    #[test]
    fn excluding_keeps_labels_and_check_then_names_the_empty_genre_and_the_reason() {
        let mut set = dataset([("a/1", "x"), ("a/2", "y"), ("b/1", "z"), ("b/2", "w")]);
        set.check().unwrap();
        set.exclude(vec![skipped("/music/a/2"), skipped("/music/a/1")]);
        assert_eq!(set.tracks.iter().map(|t| t.label).collect::<Vec<_>>(), [1, 1]);
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

    #[test]
    fn without_a_collection_the_demo_set_is_made_once_and_gtzan_goes_first() {
        let data = tempfile::tempdir().unwrap();
        let demo = Dataset::resolve_in(data.path()).unwrap();
        assert_eq!((demo.origin, demo.genres.len(), demo.tracks.len()), (Origin::Demo, 10, 120));
        demo.check().unwrap();
        let track = &demo.tracks[0];
        std::fs::write(&track.path, b"touched").unwrap();
        let again = Dataset::resolve_in(data.path()).unwrap();
        assert_ne!(again.tracks[0].sha256, track.sha256, "it must not be made anew");
        std::fs::create_dir_all(data.path().join("gtzan/genres_original/blues")).unwrap();
        let gtzan = Dataset::resolve_in(data.path()).unwrap();
        assert_eq!((gtzan.origin, gtzan.genres), (Origin::Folder, vec!["blues".to_string()]));
    }
}
