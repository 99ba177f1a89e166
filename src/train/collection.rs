//! What every kind of training does with a collection: split it, say what it found, score it.

use std::path::{Path, PathBuf};

use super::config;
use super::fit::TrackPrediction;
use crate::dataset::{Dataset, Origin, Parts, Split};
use crate::error::{Error, Result};
use crate::metrics::{argmax, evaluate};
use crate::run::{PartMetrics, Prediction, TrainingData};
use crate::text::counted;

/// What the collection is called in reports and in the names of runs.
pub(super) fn name(dataset: &Dataset) -> String {
    match dataset.origin {
        Origin::Demo => "demo".to_owned(),
        Origin::Folder => {
            let name = dataset.root.file_name();
            name.map_or("data".to_owned(), |name| name.to_string_lossy().into_owned())
        }
    }
}

/// The collection as a run's metrics name it.
pub(super) fn training_data(dataset: &Dataset) -> TrainingData {
    TrainingData {
        name: name(dataset),
        fingerprint: dataset.fingerprint(),
        tracks: dataset.tracks.len(),
        skipped: dataset.skipped.len(),
    }
}

/// The split that `kind` names: `stratified`, `fault-filtered` or a file. `shares` are
/// those of the test part, and of the validation part in the rest.
pub(super) fn split(
    kind: &str,
    [test, validation]: [f64; 2],
    seed: u64,
    dataset: &Dataset,
) -> Result<Split> {
    match kind {
        "stratified" => Split::stratified(dataset, seed, test, validation),
        "fault-filtered" => {
            // Beside the folder of pictures or recordings, where the data was given as that.
            let inside = dataset.root.join("splits");
            let beside = dataset.root.parent().map(|parent| parent.join("splits"));
            let lists = beside.filter(|beside| !inside.is_dir() && beside.is_dir());
            Split::fault_filtered(dataset, &lists.unwrap_or(inside))
        }
        file => Split::load(Path::new(file)),
    }
}

/// The folds to test a head on.
pub(super) enum Folds {
    /// So many, to be drawn.
    Count(usize),
    /// Lists of tracks, and the file they are from.
    Lists(Vec<Vec<String>>, PathBuf),
}

impl Folds {
    /// What was asked for; lists are read from `kept` if a run that is resumed has them there.
    pub fn read(asked: &config::Folds, kept: Option<PathBuf>) -> Result<Self> {
        match asked {
            config::Folds::Count(count) => Ok(Self::Count(*count)),
            config::Folds::File(file) => {
                let path = kept.filter(|kept| kept.is_file()).unwrap_or_else(|| file.clone());
                Ok(Self::Lists(Split::load_folds(&path)?, path))
            }
        }
    }

    /// The splits; says what only the lists or only the collection knows.
    pub fn splits(&self, validation: f64, seed: u64, dataset: &Dataset) -> Result<Vec<Split>> {
        let (lists, file) = match self {
            Self::Count(count) => return Split::folds(dataset, *count, seed, validation),
            Self::Lists(lists, file) => (lists, file),
        };
        let splits = Split::given_folds(dataset, lists, seed, validation).map_err(|e| match e {
            e @ (Error::TooFew(_) | Error::Mismatch(_) | Error::InvalidInput(_)) => {
                Error::format(file, e)
            }
            other => other,
        })?;
        let tested = splits.iter().map(|split| split.test.len()).sum::<usize>();
        let (listed, tracks) = (lists.iter().map(Vec::len).sum::<usize>(), dataset.tracks.len());
        if listed > tested || tracks > tested {
            tracing::info!(
                "note: tracks of the folds that are not in the data: {}; tracks of the data that \
                 are in no fold: {}",
                listed - tested,
                tracks - tested
            );
        }
        Ok(splits)
    }
}

/// Says so if the collection is the synthesized one, whether `given` or for want of another.
pub(super) fn report_origin(dataset: &Dataset, given: bool) {
    if dataset.origin == Origin::Demo {
        tracing::info!(
            "{}the synthesized demo set in {}; its accuracy says nothing about real music",
            if given { "" } else { "no data given and no data/gtzan: using " },
            dataset.root.display()
        );
    }
}

/// Says which files were left out; an error if `strict`.
pub(super) fn report_skipped(dataset: &Dataset, strict: bool) -> Result<()> {
    let count = dataset.skipped.len();
    for skipped in dataset.skipped.iter().take(20) {
        tracing::info!("skipped: {}: {}", skipped.path.display(), skipped.reason);
    }
    match (count, strict) {
        (0, _) => Ok(()),
        (_, false) => {
            tracing::info!(
                "{count} of {} were skipped",
                counted(count + dataset.tracks.len(), "file")
            );
            Ok(())
        }
        (_, true) => Err(Error::Data(format!(
            "{}: {} cannot be read (--strict); leave out --strict to skip what cannot",
            dataset.root.display(),
            counted(count, "file")
        ))),
    }
}

/// Says how many tracks each part has.
pub(super) fn report_parts(parts: &Parts) {
    tracing::info!(
        "split by track: {} to train, {} to validate, {} to test",
        parts.train.len(),
        parts.validation.len(),
        parts.test.len()
    );
    if parts.missing > 0 || parts.unlisted > 0 {
        tracing::info!(
            "note: tracks of the split that are not in the data: {}; tracks of the data that are \
             not in the split: {}",
            parts.missing,
            parts.unlisted
        );
    }
}

/// Figures of the predictions for `tracks`, indices into the collection.
pub(super) fn part_metrics(
    dataset: &Dataset,
    predictions: &[TrackPrediction],
    tracks: &[usize],
    seed: u64,
) -> PartMetrics {
    let classes = dataset.genres.len();
    let labels: Vec<usize> = tracks.iter().map(|t| dataset.tracks[*t].label).collect();
    let genres: Vec<usize> =
        predictions.iter().map(|p| argmax(&p.mean).unwrap_or_default()).collect();
    let (mut right, mut patches) = (0, 0);
    for (prediction, label) in predictions.iter().zip(&labels) {
        for patch in prediction.patches.chunks_exact(classes) {
            right += usize::from(argmax(patch) == Some(*label));
            patches += 1;
        }
    }
    PartMetrics {
        tracks: evaluate(&labels, &genres, classes, seed),
        patch_accuracy: right as f64 / patches.max(1) as f64,
        patches,
    }
}

/// The predictions for `tracks` as a run lists them.
pub(super) fn predictions(
    dataset: &Dataset,
    predictions: &[TrackPrediction],
    tracks: &[usize],
) -> Vec<Prediction> {
    let one = |(track, prediction): (&usize, &TrackPrediction)| {
        let track = &dataset.tracks[*track];
        Prediction {
            track: track.id.clone(),
            genre: dataset.genres[track.label].clone(),
            predicted: dataset.genres[argmax(&prediction.mean).unwrap_or_default()].clone(),
            probabilities: prediction.mean.clone(),
        }
    };
    tracks.iter().zip(predictions).map(one).collect()
}
