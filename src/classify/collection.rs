//! The recordings that a command line names.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::pattern;
use super::playlist::{self, Entry};
use crate::audio::{self, EXTENSIONS};
use crate::dataset::Skipped;
use crate::features::{PICTURE_EXTENSIONS, is_picture};
use crate::files::{ending, has_extension, is_hidden};

/// Endings of files that lie beside recordings and are none, in lower case: covers, texts, tables,
/// models.
const BESIDE: &[&str] = &[
    "jpg", "jpeg", "png", "gif", "bmp", "webp", "tif", "tiff", "svg", "ico", "psd", // covers
    "txt", "md", "nfo", "log", "cue", "lrc", "srt", "html", "htm", "pdf", "rtf", "doc", "docx",
    "url", "csv", "tsv", "json", "jsonl", "sqlite", "xml", "yaml", "yml", "toml", "parquet",
    "part", "npz", "db", "ini", "sfv", "md5", "sha256", "ffp", "accurip", "lnk", "onnx", "py",
    "sh", // texts, tables, models
];

/// Counts of files, by the ending of their names.
pub type ByEnding = BTreeMap<String, usize>;

/// Recordings to classify.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// Each once, in the order they were named; those of a folder by name.
    pub files: Vec<PathBuf>,
    /// What was named and is not there or cannot be listed.
    pub missing: Vec<Skipped>,
    /// Symbolic links that lead back to a folder they lie in: not followed.
    pub loops: Vec<Skipped>,
    /// Whether pictures were looked for, not recordings.
    pub pictures: bool,
    /// Whether a folder was among what was named.
    pub folders: bool,
    /// Files in folders that are no recordings, but covers, texts and playlists.
    pub passed: ByEnding,
    /// Files in folders of which nobody knows what they are.
    pub unread: ByEnding,
}

/// The recordings that `names` stand for: files as they are, but for playlists (M3U, PLS, XSPF),
/// of which those that they name; folders with all recordings that are in and below them (by
/// their endings, [`EXTENSIONS`], or where an ending is unknown by their first bytes; hidden
/// names left out, symbolic links followed but not in circles); and patterns such as
/// `music/**/*.mp3` where there is no file of that name.
///
/// For a model that looks at `pictures` these take the place of recordings.
pub fn find(names: &[PathBuf], pictures: bool) -> Collection {
    let mut finder = Finder::default();
    finder.found.pictures = pictures;
    names.iter().for_each(|name| finder.add(name));
    finder.found
}

/// Counts one more file of this ending.
pub fn count(counts: &mut ByEnding, path: &Path) {
    *counts.entry(ending(path)).or_default() += 1;
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
            Err(_) if is_pattern(name) => self.add_matches(name),
            Err(error) => self.miss(name, error),
        }
    }

    /// Whether a file was not met before, under whatever name.
    fn is_new(&mut self, path: &Path) -> bool {
        self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    fn add_path(&mut self, path: &Path) {
        if path.is_dir() {
            self.found.folders = true;
            self.add_folder(path);
        } else if self.is_new(path) {
            if has_extension(path, playlist::EXTENSIONS) {
                self.add_playlist(path);
            } else {
                self.found.files.push(path.to_owned());
            }
        }
    }

    fn add_playlist(&mut self, path: &Path) {
        let entries = match playlist::read(path) {
            Ok(entries) => entries,
            Err(error) => return self.miss(path, error.reason_at(path)),
        };
        if entries.is_empty() {
            self.miss(path, "this playlist names no recordings");
        }
        for entry in entries {
            match entry {
                Entry::File(file) => match file.symlink_metadata() {
                    // A line that was cut at a slash would bring in everything below it.
                    Ok(_) if file.is_dir() => {
                        let reason =
                            format!("a folder; give it itself ({} names it)", path.display());
                        self.miss(&file, reason);
                    }
                    Ok(_) => self.add_path(&file),
                    Err(error) => self.miss(&file, format!("{error}; {} names it", path.display())),
                },
                Entry::Address(address) => {
                    let reason = format!("an address; download it ({} names it)", path.display());
                    self.miss(Path::new(&address), reason);
                }
            }
        }
    }

    fn add_matches(&mut self, name: &Path) {
        match pattern::expand(name) {
            Ok(paths) if paths.is_empty() => self.miss(name, "no file matches this pattern"),
            Ok(paths) => paths.iter().for_each(|path| self.add_path(path)),
            Err(error) => self.miss(name, format!("not a pattern: {error}")),
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        let total = |found: &Collection| found.files.len() + found.missing.len();
        let (before, mut known) = (total(&self.found), false);
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || !is_hidden(e.path())) {
            match entry {
                Ok(entry) if !entry.file_type().is_file() => {}
                Ok(entry) if self.is_wanted(entry.path()) => {
                    let path = entry.into_path();
                    if self.is_new(&path) { self.found.files.push(path) } else { known = true }
                }
                Ok(_) => {}
                Err(error) => self.skip(folder, &error),
            }
        }
        if !known && before == total(&self.found) {
            let (what, kinds) = if self.found.pictures {
                ("pictures", PICTURE_EXTENSIONS)
            } else {
                ("recordings", EXTENSIONS)
            };
            let kinds = kinds.join(", ");
            self.miss(folder, format!("there are no {what} in this folder ({kinds})"));
        }
    }

    /// Whether a file in a folder is a recording, or a picture where these are looked for; counts
    /// it if it is none.
    fn is_wanted(&mut self, path: &Path) -> bool {
        let (wanted, others) = if self.found.pictures {
            (PICTURE_EXTENSIONS, EXTENSIONS)
        } else {
            (EXTENSIONS, PICTURE_EXTENSIONS)
        };
        if has_extension(path, wanted) {
            return true;
        }
        let beside = [BESIDE, playlist::EXTENSIONS, others];
        let beside = beside.into_iter().any(|endings| has_extension(path, endings));
        let is_wanted = if self.found.pictures { is_picture } else { audio::is_recording };
        if !beside && is_wanted(path) {
            return true;
        }
        count(if beside { &mut self.found.passed } else { &mut self.found.unread }, path);
        false
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

/// Whether a name may be a pattern.
fn is_pattern(name: &Path) -> bool {
    name.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
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
        let found =
            find(&[at("notes.txt"), music.path().to_owned(), at("*.wav"), at("**/*.flac")], false);
        assert_eq!(
            names(music.path(), &found.files),
            ["notes.txt", "a.wav", "b.MP3", "deep/d.flac"]
        );
        assert_eq!((found.missing, found.loops), (vec![], vec![]));
    }

    #[test]
    fn what_a_folder_holds_besides_is_counted() {
        let music = music();
        fs::write(music.path().join("cover.JPG"), "").unwrap();
        fs::write(music.path().join("list.m3u8"), "").unwrap();
        fs::write(music.path().join("e.xyz"), "x").unwrap();
        fs::write(music.path().join("f"), "x").unwrap();
        fs::write(music.path().join("song.bak"), b"RIFF\x24\0\0\0WAVEfmt ").unwrap();
        let found = find(&[music.path().to_owned()], false);
        let counts = |counts: &[(&str, usize)]| -> ByEnding {
            counts.iter().map(|(ending, count)| ((*ending).to_owned(), *count)).collect()
        };
        assert_eq!(found.passed, counts(&[("jpg", 1), ("m3u8", 1), ("txt", 1)]));
        assert_eq!(found.unread, counts(&[("", 1), ("xyz", 1)]));
        assert_eq!(
            names(music.path(), &found.files),
            ["a.wav", "b.MP3", "deep/d.flac", "song.bak"]
        );
    }

    #[test]
    fn a_playlist_stands_for_what_it_names() {
        let music = music();
        let list = music.path().join("list.m3u");
        fs::write(&list, "#EXTM3U\ndeep\\d.flac\na.wav\nno.mp3\nhttp://a/b.mp3\nlist.m3u\n")
            .unwrap();
        let found = find(&[list], false);
        assert_eq!(names(music.path(), &found.files), ["deep/d.flac", "a.wav"]);
        let reasons: Vec<&str> = found.missing.iter().map(|m| m.reason.as_str()).collect();
        assert!(reasons[0].contains("No such file") && reasons[0].contains("list.m3u names it"));
        assert!(reasons[1].contains("an address; download it"), "{reasons:?}");
        assert_eq!(reasons.len(), 2);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let music = music();
        let at = |name: &str| music.path().join(name);
        let found = find(&[at("no.wav"), at("*.ogg"), at("empty"), at("[")], false);
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
        let found = find(&[music.path().to_owned()], false);
        assert_eq!(names(music.path(), &found.files), ["a.wav", "b.MP3", "deep/d.flac"]);
        assert!(found.loops[0].path.ends_with("deep/again"));
        assert!(found.loops[0].reason.contains("a symbolic link back to"));
        // A link to itself is a file that cannot be opened.
        std::os::unix::fs::symlink("self.wav", music.path().join("self.wav")).unwrap();
        let found = find(&[music.path().to_owned()], false);
        assert_eq!(found.missing.len(), 1, "{found:?}");
    }
}
