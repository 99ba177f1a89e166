//! Runs made up for tests.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::group::{Group, groups};
use super::titles::Titles;
use crate::dataset::{Method, Split, Task};
use crate::metrics::evaluate;
use crate::run::{Kind, PartMetrics, Prediction, TrainingData};

/// A run of this name that gives track `n` of three genres the genre `given[n]`, where
/// the true one is `n % 3`.
pub(super) fn entry(run: &str, kind: Kind, given: &[usize]) -> Entry {
    let genres: Vec<String> = ["dub", "folk", "ska"].map(String::from).to_vec();
    let truth: Vec<usize> = (0..given.len()).map(|track| track % 3).collect();
    let prediction = |track: usize| Prediction {
        track: format!("{}/{track:02}.wav", genres[truth[track]]),
        genre: genres[truth[track]].clone(),
        predicted: genres[given[track]].clone(),
        probabilities: (0..3).map(|g| if g == given[track] { 0.8 } else { 0.1 }).collect(),
    };
    let mut predictions: Vec<Prediction> = (0..given.len()).map(prediction).collect();
    predictions.sort_by(|a, b| a.track.cmp(&b.track));
    let test = predictions.iter().map(|p| p.track.clone()).collect();
    let tracks = evaluate(&truth, given, 3, 0);
    Entry {
        folder: run.into(),
        run: run.to_owned(),
        label: run.to_owned(),
        kind,
        baseline: None,
        data: TrainingData {
            name: "music".into(),
            fingerprint: "f".into(),
            tracks: 40,
            ..TrainingData::default()
        },
        data_folder: None,
        split: Split {
            method: Method::Stratified,
            seed: 0,
            test_fraction: 0.2,
            validation_fraction: 0.2,
            fold: None,
            task: Task::default(),
            genres,
            train: vec!["dub/a.wav".into()],
            validation: vec!["dub/b.wav".into()],
            test,
        },
        test: PartMetrics { patch_accuracy: tracks.accuracy, patches: 2 * tracks.count, tracks },
        predictions,
        calibration: None,
        cross_validation: None,
        tuning: None,
        history: vec![],
        search: None,
        what: String::new(),
        parameters: Some(1000),
        onnx_bytes: Some(2_000_000),
        seconds: Some(3.0),
        is_of_pictures: false,
        test_uses: None,
        seed: 0,
        recipe: String::new(),
        latency: BTreeMap::new(),
    }
}

/// Genres of `tracks` tracks, of which the first `wrong` are mistaken.
pub(super) fn given(tracks: usize, wrong: usize) -> Vec<usize> {
    (0..tracks).map(|track| (track + usize::from(track < wrong)) % 3).collect()
}

/// What `say` says of runs that all stand in one table.
pub(super) fn said(entries: &[Entry], say: fn(&Group, &Titles) -> Vec<String>) -> String {
    let groups = groups(entries);
    assert_eq!(groups.len(), 1);
    say(&groups[0], &Titles::new(entries)).join(" ")
}
