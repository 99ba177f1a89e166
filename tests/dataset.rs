//! Scanning and splitting real folders, good and bad.

#[path = "common/data.rs"]
mod data;

use std::fs;
use std::path::{Path, PathBuf};

use data::test_data;
use genre_transfer::Error;
use genre_transfer::audio::EXTENSIONS;
use genre_transfer::dataset::{Dataset, Method, Origin, Split};
use tempfile::TempDir;

/// A folder with the given files; each holds its own path, so that no two are alike.
fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    dir
}

fn scan(dir: &TempDir) -> Dataset {
    Dataset::scan(dir.path(), EXTENSIONS).unwrap()
}

fn ids(set: &Dataset) -> Vec<&str> {
    set.tracks.iter().map(|track| track.id.as_str()).collect()
}

/// The text of an error about the collection, which is what a user must understand.
fn data_error<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(
            error @ (Error::TooFew(_)
            | Error::Mismatch(_)
            | Error::NotFound { .. }
            | Error::Unsupported { .. }),
        ) => error.to_string(),
        other => panic!("not about the collection: {other:?}"),
    }
}

#[test]
fn genres_are_folders_and_tracks_are_sorted_files_with_known_extensions() {
    let dir = tree(&[
        "rock/b.WAV",
        "rock/live/1999/a.mp3",
        "rock/cover.jpg",
        "rock/.hidden.wav",
        ".trash/x.wav",
        "jazz/a.flac",
        "stray.wav",
        "notes.txt",
    ]);
    let set = scan(&dir);
    assert_eq!(set.origin, Origin::Folder);
    assert_eq!(set.genres, ["jazz", "rock"]);
    assert_eq!(ids(&set), ["jazz/a.flac", "rock/b.WAV", "rock/live/1999/a.mp3"]);
    assert_eq!(set.tracks.iter().map(|t| t.label()).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(set.tracks[1].path, dir.path().join("rock/b.WAV"));
    assert_eq!(set.skipped.len(), 1);
    assert!(set.skipped[0].path.ends_with("stray.wav"));
    assert_eq!(Dataset::scan(dir.path(), &["flac"]).unwrap().tracks.len(), 1);
}

#[test]
fn the_kaggle_layout_is_recognized_and_digests_are_sha256() {
    let dir = tree(&["genres_original/blues/1.wav", "images_original/blues/1.wav"]);
    fs::write(dir.path().join("genres_original/blues/1.wav"), "abc").unwrap();
    let set = scan(&dir);
    assert_eq!((set.root.as_path(), ids(&set)), (dir.path(), vec!["blues/1.wav"]));
    assert_eq!(
        set.tracks[0].sha256,
        // FIPS 180-2, appendix B.1.
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn empty_files_are_left_out_with_the_reason() {
    let dir = tree(&["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"]);
    fs::write(dir.path().join("b/1.wav"), "").unwrap();
    let set = scan(&dir);
    assert_eq!(ids(&set), ["a/1.wav", "a/2.wav", "b/2.wav"]);
    assert_eq!(set.skipped[0].reason, "the file is empty");
    let text = data_error(set.check());
    assert!(text.contains("\"b\" has 1 usable") && text.contains("the file is empty"), "{text}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles_and_dead_ones_are_reported() {
    use std::os::unix::fs::symlink;
    let elsewhere = tree(&["1.wav", "2.wav"]);
    let dir = tree(&["a/1.wav", "a/2.wav"]);
    symlink(elsewhere.path(), dir.path().join("b")).unwrap();
    symlink(dir.path(), dir.path().join("a/loop")).unwrap();
    symlink("nowhere", dir.path().join("a/dead.wav")).unwrap();
    let set = scan(&dir);
    assert_eq!(ids(&set), ["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"]);
    let reason = |name: &str| {
        set.skipped.iter().find(|s| s.path.ends_with(name)).map(|s| s.reason.as_str()).unwrap()
    };
    assert!(reason("a/loop").starts_with("a symbolic link back to"), "{}", reason("a/loop"));
    assert!(reason("a/dead.wav").contains("No such file"), "{}", reason("a/dead.wav"));
    set.check().unwrap();
}

/// A line break in a label would make two of it wherever labels are kept one a line.
#[cfg(unix)]
#[test]
fn genres_with_control_characters_in_their_names_are_refused() {
    for (name, shown) in [("ro\nck", r#""ro\nck""#), ("ro\rck", r"'\r'"), ("\u{7f}", r"'\u{7f}'")] {
        let dir = tree(&["a/1.wav", &format!("{name}/1.wav")]);
        let text = Dataset::scan(dir.path(), EXTENSIONS).unwrap_err().to_string();
        let words = [dir.path().to_str().unwrap(), shown, "rename the folder"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert!(!text.contains(|c: char| c.is_control()), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tree(&["a/1.wav"]);
    for name in [b"\xff.wav", b"\xfe.wav"] {
        if fs::write(dir.path().join("a").join(OsStr::from_bytes(name)), name).is_err() {
            eprintln!("skipped: this file system takes Unicode names only");
            return;
        }
    }
    let set = scan(&dir);
    assert_eq!(ids(&set), ["a/1.wav", r"a/\xfe.wav", r"a/\xff.wav"]);
    assert_eq!(fs::read(&set.tracks[2].path).unwrap(), b"\xff.wav");
    assert!(set.skipped.is_empty(), "{:?}", set.skipped);
}

#[cfg(unix)]
#[test]
fn an_unreadable_folder_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tree(&["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"]);
    let closed = dir.path().join("b");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        eprintln!("skipped: permissions do not bind this user");
        return;
    }
    let set = scan(&dir);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(set.skipped[0].path, closed);
    let text = data_error(set.check());
    assert!(text.contains("\"b\" has 0") && text.contains("denied"), "{text}");
}

#[test]
fn what_is_no_collection_is_refused_by_name_and_with_advice() {
    let dir = tree(&["a/1.wav", "a/2.wav"]);
    let refuse = |path: &Path| data_error(Dataset::scan(path, EXTENSIONS));
    let missing = dir.path().join("missing");
    let text = refuse(&missing);
    assert!(text.contains("missing: no such folder; give"), "{text}");
    assert!(refuse(&dir.path().join("a/1.wav")).contains("1.wav: not a folder"));

    let text = data_error(scan(&dir).check());
    assert!(text.contains("1 genre folder(s) found") && text.contains("put the"), "{text}");

    fs::create_dir(dir.path().join("polka")).unwrap();
    let text = data_error(scan(&dir).check());
    assert!(text.contains("1 genre folder(s) found"), "{text}");
    assert!(text.contains("left out: polka: a genre without recordings"), "{text}");

    fs::write(dir.path().join("polka/1.wav"), "x").unwrap();
    assert!(data_error(scan(&dir).check()).contains("\"polka\" has 1"));
}

/// A split of a small collection as JSON text, `change`d and loaded again.
fn load_changed(from: &str, to: &str) -> (PathBuf, Result<Split, Error>, TempDir) {
    let dir = tree(&["a/1.wav", "a/2.wav", "a/3.wav", "b/1.wav", "b/2.wav", "b/3.wav"]);
    let path = dir.path().join("split.json");
    Split::stratified(&scan(&dir), 1, 0.2, 0.2).unwrap().save(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let result = Split::load(&path);
    (path, result, dir)
}

#[test]
fn damaged_splits_are_refused_by_file_and_fault() {
    let (_, good, _dir) = load_changed("\"seed\": 1", "\"seed\": 2");
    assert_eq!(good.unwrap().seed, 2);
    for (from, to, fault) in [
        ("\"a/", "\"polka/", "is of the genre \"polka\", which is not listed"),
        ("\"a\",", "", "is of the genre \"a\", which is not listed"),
        ("\"train\": [", "\"train\": [\"a/1.wav\", \"a/1.wav\",", "\"a/1.wav\" is twice"),
        ("\"train\": [", "\"train\": [\"a\",", "\"a\" is not a track id"),
        ("\"train\"", "\"trian\"", "unknown field `trian`"),
        ("\"stratified\"", "\"random\"", "unknown variant `random`"),
        ("\"stratified\"", "\"fold\"", "\"method\" and \"fold\" contradict"),
        ("\"test_fraction\": 0.2", "\"test_fraction\": 20", "test_fraction is 20"),
        ("{", "", "line 2"),
        ("}", "", "EOF"),
    ] {
        let (path, result, _dir) = load_changed(from, to);
        let text = match result {
            Err(Error::Format { path: at, reason }) if at == path => reason,
            other => panic!("{from} to {to}: {other:?}"),
        };
        assert!(text.to_string().contains(fault), "{from} to {to}: {text}");
    }
    let missing = Split::load(Path::new("no/split.json")).unwrap_err();
    assert!(matches!(&missing, Error::Io { .. }) && missing.to_string().contains("split.json"));
}

#[test]
fn a_collection_with_two_tracks_a_genre_has_nothing_to_validate_on() {
    let dir = tree(&["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"]);
    let set = scan(&dir);
    let split = Split::stratified(&set, 1, 0.2, 0.2).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (2, 0, 2));
    let text = data_error(split.assign(&set));
    assert!(text.contains("validation part has no track"), "{text}");
}

#[test]
fn fault_filtered_lists_are_read_and_their_absence_explained() {
    let dir = tree(&["blues/1.wav", "blues/2.wav", "rock/1.wav", "rock/2.wav", "rock/3.wav"]);
    let (set, lists) = (scan(&dir), dir.path().join("lists"));
    let text = data_error(Split::fault_filtered(&set, &lists));
    assert!(text.contains("train_filtered.txt: no such file"), "{text}");
    assert!(text.contains("Kereliuk") && text.contains("\"splits\""), "{text}");

    fs::create_dir(&lists).unwrap();
    let write = |part: &str, text: &str| {
        fs::write(lists.join(format!("{part}_filtered.txt")), text).unwrap();
    };
    write("train", "rock/1.wav\r\nblues/1.wav\r\nblues/9.wav\r\n\r\n");
    write("valid", "rock/2.wav\npolka/1.wav\n");
    write("test", "blues/2.wav");
    let split = Split::fault_filtered(&set, &lists).unwrap();
    assert_eq!(split.train, ["blues/1.wav", "blues/9.wav", "rock/1.wav"]);
    assert_eq!(split.validation, ["rock/2.wav"], "genres that are not there do not count");
    let parts = split.assign(&set).unwrap();
    assert_eq!((parts.train, parts.validation, parts.test), (vec![0, 2], vec![3], vec![1]));
    assert_eq!((parts.missing, parts.unlisted), (1, 1));

    write("test", "blues/1.wav");
    let error = Split::fault_filtered(&set, &lists).unwrap_err().to_string();
    assert!(error.contains("\"blues/1.wav\" is twice"), "{error}");
    write("test", "blues/2.wav\nno id\n");
    let error = Split::fault_filtered(&set, &lists).unwrap_err().to_string();
    assert!(error.contains("test_filtered.txt: line 2: \"no id\""), "{error}");
}

#[test]
fn gtzan_is_found_and_split() {
    let Some(folder) = test_data().map(|data| data.join("gtzan")) else { return };
    let set = Dataset::resolve(Some(&folder)).unwrap();
    set.check().unwrap();
    assert_eq!(set.genres.len(), 10);
    assert!(set.tracks.len() >= 100, "{} tracks", set.tracks.len());

    let split = Split::fault_filtered(&set, &folder.join("splits")).unwrap();
    assert_eq!(split.method, Method::FaultFiltered);
    let listed = [split.train.len(), split.validation.len(), split.test.len()];
    assert_eq!(listed, [443, 197, 290]);
    let parts = split.assign(&set).unwrap();
    let present = parts.train.len() + parts.validation.len() + parts.test.len();
    assert_eq!(present + parts.missing, 930);
    assert_eq!(present + parts.unlisted, set.tracks.len());

    let split = Split::stratified(&set, 1, 0.2, 0.125).unwrap();
    let parts = split.assign(&set).unwrap();
    assert_eq!((parts.missing, parts.unlisted), (0, 0));
    let share = parts.test.len() as f64 / set.tracks.len() as f64;
    assert!((share - 0.2).abs() < 0.01, "{share}");
}
