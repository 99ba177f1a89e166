//! The recordings that a command line names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::audio::EXTENSIONS;
use crate::dataset::Skipped;
use crate::files::{has_extension, is_hidden};

/// Recordings to classify.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// Each once, in the order they were named; those of a folder by name.
    pub files: Vec<PathBuf>,
    /// What was named and is not there or cannot be listed.
    pub missing: Vec<Skipped>,
    /// Symbolic links that lead back to a folder they lie in: not followed.
    pub loops: Vec<Skipped>,
}

/// The recordings that `names` stand for: files as they are, folders with all that is in and
/// below them (hidden names and other extensions than [`EXTENSIONS`] left out, symbolic links
/// followed but not in circles), and patterns such as `music/**/*.mp3` where there is no file
/// of that name.
pub fn find(names: &[PathBuf]) -> Collection {
    let mut finder = Finder::default();
    names.iter().for_each(|name| finder.add(name));
    finder.found
}

#[derive(Default)]
struct Finder {
    found: Collection,
    seen: HashSet<PathBuf>,
}

impl Finder {
    fn add(&mut self, name: &Path) {
        match name.symlink_metadata() {
            Ok(_) => self.add_path(name),
            Err(error) => match name.to_str().filter(|text| text.contains(['*', '?', '['])) {
                Some(pattern) => self.add_matches(name, pattern),
                None => self.miss(name, error),
            },
        }
    }

    fn add_path(&mut self, path: &Path) {
        if path.is_dir() {
            self.add_folder(path);
        } else if self.seen.insert(path.to_owned()) {
            self.found.files.push(path.to_owned());
        }
    }

    fn add_matches(&mut self, name: &Path, pattern: &str) {
        let paths = match glob::glob(pattern) {
            Ok(paths) => paths,
            Err(error) => return self.miss(name, format!("not a pattern: {error}")),
        };
        let mut any = false;
        for path in paths {
            any = true;
            match path {
                Ok(path) => self.add_path(&path),
                Err(error) => self.miss(error.path(), error.error()),
            }
        }
        if !any {
            self.miss(name, "no file matches this pattern");
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        let before = self.found.files.len() + self.found.missing.len();
        let mut known = false;
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || !is_hidden(e.path())) {
            match entry {
                Ok(entry)
                    if entry.file_type().is_file() && has_extension(entry.path(), EXTENSIONS) =>
                {
                    let path = entry.into_path();
                    if self.seen.insert(path.clone()) {
                        self.found.files.push(path)
                    } else {
                        known = true
                    }
                }
                Ok(_) => {}
                Err(error) => self.skip(folder, &error),
            }
        }
        if !known && before == self.found.files.len() + self.found.missing.len() {
            let kinds = EXTENSIONS.join(", ");
            self.miss(folder, format!("there are no recordings in this folder ({kinds})"));
        }
    }

    fn skip(&mut self, folder: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(folder);
        match (error.loop_ancestor(), error.io_error()) {
            (Some(ancestor), _) => {
                let reason = format!("a symbolic link back to {}", ancestor.display());
                self.found.loops.push(Skipped { path: path.to_owned(), reason });
            }
            (None, Some(error)) => self.miss(path, error),
            (None, None) => self.miss(path, error),
        }
    }

    fn miss(&mut self, path: &Path, reason: impl ToString) {
        self.found.missing.push(Skipped { path: path.to_owned(), reason: reason.to_string() });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `a.wav`, `b.MP3`, `notes.txt`, `.hidden/c.wav`, `deep/d.flac`, `empty/`.
    fn music() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wav", "b.MP3", "notes.txt", ".hidden/c.wav", "deep/d.flac"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        folder
    }

    fn names(root: &Path, files: &[PathBuf]) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        files.iter().map(name).collect()
    }

    #[test]
    fn files_folders_and_patterns_are_found_once_and_in_order() {
        let music = music();
        let at = |name: &str| music.path().join(name);
        let found = find(&[at("notes.txt"), music.path().to_owned(), at("*.wav"), at("**/*.flac")]);
        assert_eq!(
            names(music.path(), &found.files),
            ["notes.txt", "a.wav", "b.MP3", "deep/d.flac"]
        );
        assert_eq!((found.missing, found.loops), (vec![], vec![]));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let music = music();
        let at = |name: &str| music.path().join(name);
        let found = find(&[at("no.wav"), at("*.ogg"), at("empty"), at("[")]);
        assert_eq!(found.files, Vec::<PathBuf>::new());
        let reasons: Vec<&str> = found.missing.iter().map(|m| m.reason.as_str()).collect();
        assert!(reasons[0].contains("No such file"), "{reasons:?}");
        assert!(reasons[1].contains("no file matches"), "{reasons:?}");
        assert!(reasons[2].contains("no recordings in this folder (wav, "), "{reasons:?}");
        assert!(reasons[3].contains("not a pattern"), "{reasons:?}");
    }

    #[cfg(unix)]
    #[test]
    fn loops_are_named_and_not_followed() {
        let music = music();
        std::os::unix::fs::symlink(music.path(), music.path().join("deep/again")).unwrap();
        let found = find(&[music.path().to_owned()]);
        assert_eq!(names(music.path(), &found.files), ["a.wav", "b.MP3", "deep/d.flac"]);
        assert!(found.loops[0].path.ends_with("deep/again"));
        assert!(found.loops[0].reason.contains("a symbolic link back to"));
        // A link to itself is a file that cannot be opened.
        std::os::unix::fs::symlink("self.wav", music.path().join("self.wav")).unwrap();
        let found = find(&[music.path().to_owned()]);
        assert_eq!(found.missing.len(), 1, "{found:?}");
    }
}
