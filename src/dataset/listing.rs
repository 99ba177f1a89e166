//! Which files a collection has and what genre each is of, before any is opened: by folders, or by
//! a list.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::collection::{Part, Skipped};
use super::found::{Found, Listing};
#[cfg(feature = "train")]
use super::parquet;
use super::task::Task;
use super::{archive, labels};
use crate::audio::EXTENSIONS;
use crate::error::{Error, Result};
use crate::files::{ending, has_extension, is_hidden, shown};

/// What Hugging Face's folders call their lists.
const LISTS: [&str; 4] = ["metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.ndjson"];

/// What archives made on a Mac bring along.
const LITTER: &str = "__MACOSX";

/// The files in `root` with one of `extensions`, or those that the list `root` names.
///
/// # Errors
/// [`Error::NotFound`] if there is no `root`, [`Error::Unsupported`] if it is neither a folder nor
/// a list nor an archive, [`Error::Io`] if it cannot be listed, errors of list and archive.
pub(super) fn list(root: &Path, extensions: &[&str], task: Option<Task>) -> Result<Listing> {
    let advice = "give a folder that holds one folder of recordings per genre, an archive of one \
                  (.tar.gz, .zip), a list (.csv, .tsv, .jsonl) of paths and genres, or a data set \
                  of Hugging Face (.parquet)";
    if !root.exists() {
        return Err(Error::not_found(root, format!("no such folder; {advice}")));
    }
    if !root.is_dir() {
        if labels::is_list(root) {
            return labels::read(root, extensions, task);
        }
        return match inside(root)? {
            Some(folder) => list(&folder, extensions, task),
            None => Err(Error::unsupported(root, format!("not a folder; {advice}"))),
        };
    }
    fs::read_dir(root).map_err(Error::io(root))?;
    if let Some(list) = LISTS.iter().map(|name| root.join(name)).find(|list| list.is_file()) {
        let mut listing = labels::read(&list, extensions, task)?;
        listing.count_unlisted(root, extensions);
        return Ok(listing);
    }
    let base = genres_folder(root);
    let mut listing = Listing::default();
    if root.join(LITTER).is_dir() {
        listing.others.insert(LITTER.to_owned(), 1);
    }
    let parts = parts(&base);
    if parts.is_empty() {
        listing.walk(&base, &base, None, extensions);
        listing.about = format!("the folders in {}", base.display());
    } else {
        for (folder, part) in &parts {
            listing.walk(&base, folder, Some(*part), extensions);
        }
        for folder in entries(&base).0 {
            if !parts.iter().any(|(part, _)| *part == folder) {
                listing.skip(&folder, "beside the folders of a split, and none of its parts");
            }
        }
        listing.about = format!("the folders in {}, with their own split", base.display());
    }
    if listing.is_of_tables(extensions)
        && let Some(folder) = inside(root)?
    {
        let listing = list(&folder, extensions, task)?;
        let split = if listing.has_parts() { ", with their own split" } else { "" };
        let about = format!("the tables in {}{split}", root.display());
        return Ok(Listing { about, ..listing });
    }
    if task == Some(Task::MultiLabel) {
        listing.task = Task::MultiLabel;
        for file in &mut listing.files {
            file.name = format!("{}/{}", file.labels.join("/"), file.name);
        }
    }
    listing.close();
    Ok(listing)
}

/// The folder that what is inside an archive, a Parquet file or a folder of such was written to.
fn inside(root: &Path) -> Result<Option<PathBuf>> {
    #[cfg(feature = "train")]
    if root.is_dir() || has_extension(root, &["parquet"]) {
        return parquet::unpacked(root);
    }
    if root.is_dir() { Ok(None) } else { archive::unpacked(root) }
}

/// Folders in `folder` that are neither hidden nor litter, and the files beside them.
fn entries(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let seen = entries.filter(|path| !is_hidden(path) && !path.ends_with(LITTER));
    seen.partition(|path| path.is_dir())
}

/// How deep the folders of genres are looked for.
const DEEPEST: usize = 4;

/// Where the folders of the genres are: in Kaggle's copy of GTZAN and in unpacked archives they
/// lie in folders that hold nothing else.
pub(super) fn genres_folder(root: &Path) -> PathBuf {
    passed_through(root, DEEPEST).unwrap_or_else(|| root.to_path_buf())
}

/// The first folder from `folder` on that holds more than one folder, if those before it hold
/// nothing that could be heard.
fn passed_through(folder: &Path, depth: usize) -> Option<PathBuf> {
    let kaggle = folder.join("genres_original");
    if kaggle.is_dir() {
        return Some(kaggle);
    }
    let (folders, files) = entries(folder);
    if files.iter().any(|file| has_extension(file, EXTENSIONS)) {
        return None;
    }
    match &folders[..] {
        [] => None,
        [only] => depth.checked_sub(1).and_then(|depth| passed_through(only, depth)),
        _ => Some(folder.to_path_buf()),
    }
}

/// The folders of a split that comes with the collection; none if its folders are genres.
fn parts(base: &Path) -> Vec<(PathBuf, Part)> {
    let part = |folder: &PathBuf| {
        let name = folder.file_name()?.to_str()?.to_owned();
        Some((folder.clone(), Part::named(&name)?))
    };
    let mut found = entries(base).0;
    found.sort();
    let parts: Vec<(PathBuf, Part)> = found.iter().filter_map(part).collect();
    let has = |wanted: Part| parts.iter().any(|(_, part)| *part == wanted);
    let nested = parts.iter().all(|(folder, _)| !entries(folder).0.is_empty());
    if has(Part::Train) && (has(Part::Test) || has(Part::Validation)) && nested {
        parts
    } else {
        vec![]
    }
}

impl Listing {
    /// Whether there were Parquet files and, of what ends so, nothing.
    fn is_of_tables(&self, extensions: &[&str]) -> bool {
        let is_wanted = |skipped: &Skipped| has_extension(&skipped.path, extensions);
        self.others.contains_key(".parquet")
            && self.files.is_empty()
            && !self.skipped.iter().any(is_wanted)
    }

    /// Adds what lies in `folder`, whose folders are genres.
    fn walk(&mut self, base: &Path, folder: &Path, part: Option<Part>, extensions: &[&str]) {
        let walk = WalkDir::new(folder).min_depth(1).follow_links(true);
        let is_list = |e: &DirEntry| e.depth() == 1 && is_lists(e.path());
        let wanted =
            |e: &DirEntry| !is_hidden(e.path()) && !is_list(e) && !e.path().ends_with(LITTER);
        for entry in walk.into_iter().filter_entry(|e| e.depth() == 0 || wanted(e)) {
            match entry {
                Ok(entry) => self.add(base, folder, entry, part, extensions),
                Err(error) => self.skip_error(folder, &error),
            }
        }
    }

    /// Counts recordings in `folder` that a list in it does not name.
    fn count_unlisted(&mut self, folder: &Path, extensions: &[&str]) {
        let listed: HashSet<&Path> = self.files.iter().map(|file| file.path.as_path()).collect();
        let walk = WalkDir::new(folder)
            .into_iter()
            .filter_entry(|e| e.depth() == 0 || !is_hidden(e.path()));
        let files = walk.flatten().filter(|entry| entry.file_type().is_file());
        let others = files.filter(|entry| has_extension(entry.path(), extensions));
        let count = others.filter(|entry| !listed.contains(entry.path())).count();
        if count > 0 {
            self.others.insert("that the list does not name".to_owned(), count);
        }
    }

    fn add(
        &mut self,
        base: &Path,
        folder: &Path,
        entry: DirEntry,
        part: Option<Part>,
        extensions: &[&str],
    ) {
        let is_genre = entry.depth() == 1 && entry.file_type().is_dir();
        let is_file = entry.file_type().is_file();
        if is_file && !has_extension(entry.path(), extensions) {
            let ending = match ending(entry.path()).as_str() {
                "" => "no ending".to_owned(),
                ending => format!(".{ending}"),
            };
            *self.others.entry(ending).or_default() += 1;
        } else if is_file || is_genre {
            let names = names(folder, entry.path());
            match &names[..] {
                [genre] if is_genre => self.genres.push(genre.clone()),
                [genre, below @ ..] if !below.is_empty() => {
                    // The part's folder is no genre: it comes after the genre's.
                    let inside = part.map(|_| self::names(base, folder)).unwrap_or_default();
                    let name = [&inside[..], below].concat().join("/");
                    let (labels, path) = (vec![genre.clone()], entry.into_path());
                    self.files.push(Found { labels, name, path, part, facts: facts(below) });
                }
                _ => self.skip(entry.path(), "not in a genre folder"),
            }
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
}

/// What the folders between a genre and its file say: by usage, artist and then album.
fn facts(below: &[String]) -> BTreeMap<String, String> {
    let [folders @ .., _] = below else { return BTreeMap::new() };
    let [artist, ..] = folders else { return BTreeMap::new() };
    BTreeMap::from([
        ("artist".to_owned(), artist.clone()),
        // Discs of an album may have folders of their own.
        ("album".to_owned(), folders[..folders.len().min(2)].join("/")),
        ("folder".to_owned(), folders.join("/")),
    ])
}

/// Whether this is the folder with GTZAN's published lists, which is no genre.
fn is_lists(path: &Path) -> bool {
    path.ends_with("splits") && path.join("test_filtered.txt").is_file()
}

/// The components of `path` below `base`; what is no Unicode in them is written so that no two
/// names become one.
fn names(base: &Path, path: &Path) -> Vec<String> {
    let below = path.strip_prefix(base).unwrap_or(path);
    below.components().map(|name| shown(name.as_ref()).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder with these files.
    fn listing(files: &[&str]) -> Listing {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        list(root.path(), &["wav", "mp3"], None).unwrap()
    }

    fn ids(listing: &Listing) -> Vec<String> {
        let part = |part: Option<Part>| part.map_or(String::new(), |part| format!(" {part:?}"));
        let id = |f: &Found| format!("{}/{}{}", f.labels.join("|"), f.name, part(f.part));
        let mut ids: Vec<String> = listing.files.iter().map(id).collect();
        ids.sort();
        ids
    }

    #[test]
    fn folders_that_hold_nothing_but_the_genres_are_passed_through() {
        let wanted = ["jazz/a.wav", "rock/b.wav"];
        for base in
            ["", "genres/", "Data/genres_original/", "archive/Data/genres_original/", "a/b/"]
        {
            let file = |name: &str| format!("{base}{name}");
            let files = [file("jazz/a.wav"), file("rock/b.wav"), "__MACOSX/x/._c.wav".to_owned()];
            let found = listing(&files.each_ref().map(String::as_str));
            assert_eq!(
                (ids(&found), found.genres),
                (wanted.map(String::from).to_vec(), vec!["jazz".to_owned(), "rock".to_owned()]),
                "{base}"
            );
        }
        // Artists are no genres where the genre's folder has recordings beside it.
        let found = listing(&["rock/A/1.wav", "rock/B/2.wav", "jazz/C/D/3.wav"]);
        assert_eq!(found.genres, ["jazz", "rock"]);
        assert_eq!(ids(&found), ["jazz/C/D/3.wav", "rock/A/1.wav", "rock/B/2.wav"]);
        let alone = listing(&["rock/1.wav", "rock/A/2.wav"]);
        assert_eq!(alone.genres, ["rock"]);
    }

    #[test]
    fn folders_below_a_genre_are_artist_and_album() {
        let found = listing(&["rock/A/Best/CD1/1.wav", "rock/B/2.wav", "jazz/3.wav"]);
        let said = |at: usize| {
            let facts = found.files[at].facts.iter();
            facts.map(|(name, value)| format!("{name}={value}")).collect::<Vec<String>>().join(" ")
        };
        let mut all = [said(0), said(1), said(2)];
        all.sort();
        assert_eq!(
            all,
            ["", "album=A/Best artist=A folder=A/Best/CD1", "album=B artist=B folder=B"]
        );
    }

    #[test]
    fn folders_of_a_split_are_no_genres() {
        let found = listing(&[
            "train/jazz/a.wav",
            "train/rock/sub/b.wav",
            "test/jazz/a.wav",
            "Valid/rock/c.mp3",
        ]);
        assert_eq!(found.genres, ["jazz", "rock"]);
        assert_eq!(
            ids(&found),
            [
                "jazz/test/a.wav Test",
                "jazz/train/a.wav Train",
                "rock/Valid/c.mp3 Validation",
                "rock/train/sub/b.wav Train"
            ]
        );
        // A genre may be called so.
        let found = listing(&["train/a.wav", "test/b.wav"]);
        assert_eq!(
            (found.genres, found.files[0].part),
            (vec!["test".into(), "train".into()], None)
        );
        let found = listing(&["train/x/a.wav", "jazz/b.wav"]);
        assert_eq!(found.genres, ["jazz", "train"]);
        let found = listing(&["train/x/a.wav", "test/x/b.wav", "docs/c.wav"]);
        assert_eq!((found.genres.join(" "), found.files.len()), ("x".to_owned(), 2));
        assert!(found.skipped[0].path.ends_with("docs"), "{found:?}");
    }

    #[test]
    fn what_is_no_recording_is_counted_and_an_empty_genre_is_said() {
        let found = listing(&[
            "jazz/a.wav",
            "jazz/cover.JPG",
            "rock/b.wav",
            "rock/notes.txt",
            "rock/cover.jpg",
            "rock/README",
            "blues/.gitkeep",
            "loose.wav",
        ]);
        assert_eq!(found.genres, ["jazz", "rock"]);
        let others: Vec<(&str, usize)> =
            found.others.iter().map(|(e, n)| (e.as_str(), *n)).collect();
        assert_eq!(others, [(".jpg", 2), (".txt", 1), ("no ending", 1)]);
        let skipped: Vec<&str> = found.skipped.iter().map(|s| s.reason.as_str()).collect();
        assert!(skipped.iter().any(|reason| reason.contains("without recordings")), "{skipped:?}");
        assert!(skipped.contains(&"not in a genre folder"));
    }

    #[test]
    fn a_folder_with_a_list_is_what_the_list_says() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("0.wav"), "0").unwrap();
        fs::write(root.path().join("1.wav"), "1").unwrap();
        let text = "file_name,label\n0.wav,jazz\n1.wav,rock\n";
        fs::write(root.path().join("metadata.csv"), text).unwrap();
        let found = list(root.path(), &["wav"], None).unwrap();
        assert_eq!(ids(&found), ["jazz/0.wav", "rock/1.wav"]);
        assert!(found.about.contains("metadata.csv"));
        assert!(found.others.is_empty(), "{found:?}");
        fs::create_dir(root.path().join("more")).unwrap();
        fs::write(root.path().join("more/2.wav"), "2").unwrap();
        let found = list(root.path(), &["wav"], None).unwrap();
        assert_eq!(found.others.into_values().collect::<Vec<usize>>(), [1]);
    }
}
