//! Listing and hashing a folder of genres.

use std::path::Path;

use rayon::prelude::*;

use super::collection::{Dataset, Origin, Skipped, Track};
use super::demo;
use super::found::{Found, Listing};
use super::listing::list;
use super::task::Task;
use crate::error::{Error, Result};
use crate::files;
use crate::progress;

/// SHA-256 of no bytes at all.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Dataset {
    /// Lists and hashes the recordings under `root`, where each folder is a genre, be it some
    /// folders deeper as in Kaggle's copy of GTZAN, or in the folders `train` and `test` of a
    /// split that the collection brings along; or those that `root` lists, a table or a file of
    /// JSON lines, or the list `metadata.csv` in it.
    ///
    /// Files may lie in folders below the genre's. Symbolic links are followed, but
    /// not in circles. Hidden names are ignored, extensions other than `extensions` (compared
    /// without case) counted in [`Dataset::others`]; audio files outside a genre folder and what is
    /// empty or unreadable go to [`Dataset::skipped`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no `root`, [`Error::Unsupported`] if it is neither a folder
    /// nor a list or a genre's name has a line break or another control character in it, [`Error::Io`] if
    /// it cannot be listed.
    pub fn scan(root: &Path, extensions: &[&str]) -> Result<Self> {
        Self::scan_for(root, extensions, None)
    }

    /// As [`Dataset::scan`], for a task; without one, tracks with several labels in a list, or
    /// with none, make it [`Task::MultiLabel`], and a note says so.
    ///
    /// # Errors
    /// As [`Dataset::scan`]; [`Error::Unsupported`] naming line and count for a list of several
    /// labels a track, where the task is [`Task::SingleLabel`].
    pub fn scan_for(root: &Path, extensions: &[&str], task: Option<Task>) -> Result<Self> {
        let Listing { task, genres, files, mut skipped, others, about } =
            list(root, extensions, task)?;
        genres.iter().try_for_each(|genre| check_name(root, genre))?;

        let bar = progress::begin(files.len(), "Scanning", "files");
        let hashed: Vec<_> = files
            .into_par_iter()
            .map(|file| hash(file, task, &genres))
            .inspect(|_| bar.advance(1))
            .collect();
        let mut tracks = Vec::with_capacity(hashed.len());
        for result in hashed {
            match result {
                Ok(track) => tracks.push(track),
                Err(skip) => skipped.push(skip),
            }
        }
        tracks.sort_by(|a, b| a.id.cmp(&b.id));
        skipped.sort_by(|a, b| a.path.cmp(&b.path));
        let origin = if demo::is_demo(root) { Origin::Demo } else { Origin::Folder };
        Ok(Self { root: root.to_path_buf(), origin, task, genres, tracks, skipped, others, about })
    }
}

/// Refuses a genre with a control character in its name: names are printed and kept one a line.
fn check_name(base: &Path, genre: &str) -> Result<()> {
    match genre.chars().find(|c| c.is_control()) {
        None => Ok(()),
        Some(character) => Err(Error::unsupported(
            base,
            format!(
                "the name of the genre folder {genre:?} holds the control character \
                 {character:?}; rename the folder"
            ),
        )),
    }
}

fn hash(file: Found, task: Task, genres: &[String]) -> Result<Track, Skipped> {
    let Found { labels: named, name, path, part, facts } = file;
    let skip = |path, reason: String| Err(Skipped { path, reason });
    let places = named.iter().map(|label| genres.binary_search(label));
    let Ok(labels) = places.collect::<Result<Vec<usize>, _>>() else {
        return skip(path, "not in a genre folder".into());
    };
    let id = match task {
        Task::SingleLabel => format!("{}/{name}", named.join("/")),
        Task::MultiLabel => name,
    };
    match files::sha256(&path) {
        Ok(sha256) if sha256 == EMPTY => skip(path, "the file is empty".into()),
        Ok(sha256) => Ok(Track { part, facts, labels, ..Track::new(id, path, 0, sha256) }),
        Err(Error::Io { source, .. }) => skip(path, source.to_string()),
        Err(error) => skip(path, error.to_string()),
    }
}
