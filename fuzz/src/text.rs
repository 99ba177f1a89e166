//! Readers of text: JSON, TOML, tables and playlists.

use std::path::PathBuf;

use genre_transfer::audio::EXTENSIONS;
use genre_transfer::classify;
use genre_transfer::dataset::{Dataset, FeatureTable, Split};
use genre_transfer::features::Preprocessor;
use genre_transfer::run::{CnnConfig, Run};
use genre_transfer::train::cnn::{CnnRunConfig, validate_cnn};

use crate::{limits, opens, scratch};

/// The most samples of silence that a front end is given to work on: the longest patch that is
/// allowed would take a gigabyte.
const HEARD: usize = 1 << 14;

/// A front end of any kind, and what it makes of a short recording.
pub fn front_end(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = scratch::file("front-end.json", data);
    let axes = || Ok(vec![None, Some(3), Some(32), Some(48)]);
    let _ = Preprocessor::resolve(&path.to_string_lossy(), axes);
    let Ok(front_end) = Preprocessor::parse(text) else { return };
    let again = serde_json::to_string(&front_end).expect("JSON");
    assert_eq!(Preprocessor::parse(&again).ok(), Some(front_end.clone()), "it is not kept");
    let [frames, features] = front_end.patch();
    if frames.saturating_mul(features) < HEARD
        && let Preprocessor::Audio(front_end) = front_end
        && front_end.hop.saturating_mul(front_end.patch_frames) < HEARD
        && let Ok(extractor) = genre_transfer::features::Extractor::new(&front_end)
    {
        // What a second of silence takes is the front end's own matter: overlap and FFT.
        limits::allow_seconds(4.0);
        let _ = extractor.log_mel(&vec![0.1; HEARD]);
    }
}

/// A split, applied to a small collection.
pub fn split(data: &[u8]) {
    let path = scratch::file("split/split.json", data);
    let Ok(split) = Split::load(&path) else { return };
    let copy = scratch::folder().join("split/copy.json");
    split.save(&copy).expect("a split to write");
    assert_eq!(Split::load(&copy).ok(), Some(split.clone()), "it is not kept");
    let root = collection();
    if let Ok(dataset) = Dataset::scan(&root, EXTENSIONS) {
        let _ = split.assign(&dataset);
    }
}

/// A collection of two genres and three recordings each, made once.
fn collection() -> PathBuf {
    let root = scratch::folder().join("collection");
    if !root.exists() {
        for (genre, number) in [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5)] {
            scratch::file(&format!("collection/{genre}/{number}.wav"), &[number; 8]);
        }
    }
    root
}

/// The architecture of `train-cnn --config`, and the options in a run's folder, of every program.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    scratch::file("config/config.json", data);
    let run = Run::at(&scratch::folder().join("config"));
    let _ = run.options();
    let _ = run.config();
    let options = run.cnn_config();
    let architecture = toml::from_str::<CnnConfig>(text).ok();
    let mut tried = options.unwrap_or_else(|_| defaults());
    tried.cnn = architecture.or(tried.cnn);
    // Checked, and then refused for there is nothing there to learn from.
    tried.data = Some(scratch::folder().join("nothing"));
    (tried.teacher, tried.split.kind) = (None, "stratified".to_owned());
    assert!(validate_cnn(&tried).is_err(), "it learned from nothing");
    let _ = tried.architecture().to_string();
}

fn defaults() -> CnnRunConfig {
    use clap::{Args, FromArgMatches};
    let command = CnnRunConfig::augment_args(clap::Command::new("train-cnn"));
    let matches = command.get_matches_from(["train-cnn"]);
    CnnRunConfig::from_arg_matches(&matches).expect("defaults")
}

/// A table of features.
pub fn features(data: &[u8]) {
    let path = scratch::file("features.csv", data);
    if let Ok(table) = FeatureTable::read(&path, None) {
        let values = table.rows.iter().flat_map(|row| &row.values);
        assert!(values.into_iter().all(|value| value.is_finite()), "a value that is no number");
        assert!(table.rows.iter().all(|row| row.label < table.genres.len()), "no such genre");
        let genres = Some(&table.genres[..]);
        let again = FeatureTable::read(&path, genres).expect("the same table");
        assert_eq!(again, table, "it reads otherwise with its own genres");
    }
}

/// A list of recordings, of the kind that its first byte says.
pub fn labels(data: &[u8]) {
    // A list may name files anywhere; they are only hashed.
    opens::allow_anywhere();
    let Some((kind, text)) = data.split_first() else { return };
    let kinds = ["metadata.csv", "metadata.tsv", "metadata.jsonl"];
    let name = format!("labels/{}", kinds[usize::from(*kind) % kinds.len()]);
    scratch::clear("labels");
    for (track, bytes) in [("a.wav", b"1"), ("b/c.mp3", b"2"), ("d.ogg", b"3")] {
        scratch::file(&format!("labels/{track}"), bytes);
    }
    scratch::file(&name, text);
    let root = scratch::folder().join("labels");
    if let Ok(dataset) = Dataset::scan(&root, EXTENSIONS) {
        let labels = dataset.tracks.iter().flat_map(|track| &track.labels);
        assert!(labels.into_iter().all(|label| *label < dataset.genres.len()), "no such label");
        let _ = Split::stratified(&dataset, 0, 0.2, 0.2);
    }
}

/// A playlist of the kind that its first byte says.
pub fn playlist(data: &[u8]) {
    opens::allow_anywhere();
    let Some((kind, text)) = data.split_first() else { return };
    let kinds = ["list.m3u", "list.m3u8", "list.pls", "list.xspf"];
    let name = format!("playlist/{}", kinds[usize::from(*kind) % kinds.len()]);
    let path = scratch::file(&name, text);
    let found = classify::find(std::slice::from_ref(&path), false);
    for file in &found.files {
        assert!(file.symlink_metadata().is_ok(), "{} is not there", file.display());
    }
    let _ = std::fs::remove_file(path);
}
