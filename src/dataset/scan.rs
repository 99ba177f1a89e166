//! Listing and hashing a folder of genres.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use super::collection::{Dataset, Origin, Skipped, Track, genres_folder};
use super::demo;
use crate::error::{Error, Result};
use crate::files::{self, has_extension, is_hidden};
use crate::progress;

/// SHA-256 of no bytes at all.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a walk over the folder found, before any file is opened.
#[derive(Default)]
struct Listing {
    genres: Vec<String>,
    /// `[genre, folders …, file]` and the path.
    files: Vec<(Vec<String>, PathBuf)>,
    skipped: Vec<Skipped>,
}

impl Dataset {
    /// Lists and hashes the recordings under `root`, where each folder is a genre
    /// (or under `root/genres_original`, as the Kaggle copy of GTZAN has it).
    ///
    /// Files may lie in folders below the genre's. Symbolic links are followed, but
    /// not in circles. Hidden names and extensions other than `extensions` (compared
    /// without case) are ignored; audio files outside a genre folder and what is
    /// empty or unreadable go to [`Dataset::skipped`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no `root`, [`Error::Unsupported`] if it is not a folder
    /// or a genre's name has a line break or another control character in it, [`Error::Io`] if
    /// it cannot be listed.
    pub fn scan(root: &Path, extensions: &[&str]) -> Result<Self> {
        if !root.is_dir() {
            let advice = "give a folder that holds one folder of recordings per genre";
            return Err(if root.exists() {
                Error::unsupported(root, format!("not a folder; {advice}"))
            } else {
                Error::not_found(root, format!("no such folder; {advice}"))
            });
        }
        let base = &genres_folder(root);
        fs::read_dir(base).map_err(Error::io(base))?;
        let Listing { genres, files, mut skipped } = list(base, extensions);
        genres.iter().try_for_each(|genre| check_name(base, genre))?;

        let bar = progress::begin(files.len(), "Scanning", "files");
        let hashed: Vec<_> = files
            .into_par_iter()
            .map(|file| hash(file, &genres))
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
        Ok(Self { root: root.to_path_buf(), origin, genres, tracks, skipped })
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

fn list(base: &Path, extensions: &[&str]) -> Listing {
    let mut listing = Listing::default();
    let walk = WalkDir::new(base).min_depth(1).follow_links(true);
    let is_list = |e: &DirEntry| e.depth() == 1 && is_lists(e.path());
    let wanted = |e: &DirEntry| !is_hidden(e.path()) && !is_list(e);
    for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || wanted(e)) {
        match entry {
            Ok(entry) => listing.add(base, entry, extensions),
            Err(error) => listing.skip_error(base, &error),
        }
    }
    listing.genres.sort();
    listing
}

impl Listing {
    fn add(&mut self, base: &Path, entry: DirEntry, extensions: &[&str]) {
        let is_genre = entry.depth() == 1 && entry.file_type().is_dir();
        let is_audio = entry.file_type().is_file() && has_extension(entry.path(), extensions);
        if !is_genre && !is_audio {
            return;
        }
        match names(base, entry.path()) {
            None => self.skip(entry.path(), "the name is not valid Unicode"),
            Some(names) if is_genre => self.genres.extend(names),
            Some(names) if names.len() > 1 => self.files.push((names, entry.into_path())),
            Some(_) => self.skip(entry.path(), "not in a genre folder"),
        }
    }

    fn skip_error(&mut self, base: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(base);
        if is_hidden(path) {
            return;
        }
        match (error.loop_ancestor(), error.io_error()) {
            (Some(ancestor), _) => {
                self.skip(path, format!("a symbolic link back to {}", ancestor.display()));
            }
            (None, Some(io)) => self.skip(path, io),
            (None, None) => self.skip(path, error),
        }
    }

    fn skip(&mut self, path: &Path, reason: impl ToString) {
        self.skipped.push(Skipped { path: path.to_path_buf(), reason: reason.to_string() });
    }
}

/// Whether this is the folder with GTZAN's published lists, which is no genre.
fn is_lists(path: &Path) -> bool {
    path.ends_with("splits") && path.join("test_filtered.txt").is_file()
}

/// The components of `path` below `base`, if they are all Unicode.
fn names(base: &Path, path: &Path) -> Option<Vec<String>> {
    let below = path.strip_prefix(base).ok()?;
    below.components().map(|c| c.as_os_str().to_str().map(String::from)).collect()
}

fn hash((names, path): (Vec<String>, PathBuf), genres: &[String]) -> Result<Track, Skipped> {
    let skip = |path, reason: String| Err(Skipped { path, reason });
    let Ok(label) = genres.binary_search(&names[0]) else {
        return skip(path, "not in a genre folder".into());
    };
    match files::sha256(&path) {
        Ok(sha256) if sha256 == EMPTY => skip(path, "the file is empty".into()),
        Ok(sha256) => Ok(Track { id: names.join("/"), path, label, sha256 }),
        Err(Error::Io { source, .. }) => skip(path, source.to_string()),
        Err(error) => skip(path, error.to_string()),
    }
}
