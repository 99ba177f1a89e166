//! What every kind of training does with a collection: split it, say what it found, score it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::config::{Folds, SplitOptions};
use super::copies::Copies;
use super::prediction::{NOT_NUMBERS, TrackPrediction};
use super::tags;
use crate::dataset::{self, Dataset, NEGATIVES, Origin, Parts, Split, Task, label_counts};
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::metrics::{argmax, evaluate};
use crate::run::{PartMetrics, Prediction, Predictions, TaskMetrics, TrainingData};
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

/// The collection as a run's metrics name it, with the copies in it.
pub(super) fn training_data(dataset: &Dataset, copies: &Copies, parts: &Parts) -> TrainingData {
    TrainingData {
        name: name(dataset),
        fingerprint: dataset.fingerprint(),
        tracks: dataset.tracks.len(),
        skipped: dataset.skipped.len(),
        copies: copies.ids(dataset),
        copies_allowed: copies.allowed,
        leaks: copies.leaks(parts),
    }
}

/// The split that the options ask for.
pub(super) fn split(options: &SplitOptions, seed: u64, dataset: &Dataset) -> Result<Split> {
    let SplitOptions { test_fraction, validation_fraction, .. } = *options;
    match options.kind.as_str() {
        "stratified" if dataset.tracks.iter().any(|track| track.part.is_some()) => {
            tracing::info!(
                "note: the collection brings its own split, which is used; for another one say \
                 ‹split› shuffled"
            );
            Split::given(dataset, seed, validation_fraction)
        }
        "stratified" | "shuffled" => {
            Split::stratified(dataset, seed, test_fraction, validation_fraction)
        }
        "rehearsal" => {
            let whole = SplitOptions { kind: "stratified".to_owned(), ..options.clone() };
            split(&whole, seed, dataset)?.rehearsal(dataset)
        }
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
pub(super) enum FoldPlan {
    /// This many, to be drawn.
    Drawn(usize),
    /// Those that a file gives.
    Given {
        /// The tracks of each.
        lists: Vec<Vec<String>>,
        /// The file.
        file: PathBuf,
    },
}

impl FoldPlan {
    /// What `folds` asks for; lists are read from `kept` if a run that is resumed has them there.
    pub fn read(folds: &Folds, kept: Option<PathBuf>) -> Result<Self> {
        match folds {
            Folds::Count(count) => Ok(Self::Drawn(*count)),
            Folds::File(file) => {
                let file = kept.filter(|kept| kept.is_file()).unwrap_or_else(|| file.clone());
                Ok(Self::Given { lists: Split::load_folds(&file)?, file })
            }
        }
    }

    /// The splits; says what only the lists or only the collection knows.
    pub fn splits(&self, validation: f64, seed: u64, dataset: &Dataset) -> Result<Vec<Split>> {
        let (lists, file) = match self {
            Self::Drawn(count) => return Split::folds(dataset, *count, seed, validation),
            Self::Given { lists, file } => (lists, file),
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

/// Says so if the collection is the synthesized one, be it the folder that was `given` or what
/// is taken where none was.
pub(super) fn report_origin(dataset: &Dataset, given: Option<&Path>) {
    if dataset.origin == Origin::Demo {
        let why = given.map_or("no data given and no data/gtzan: using ", |_| "");
        tracing::info!(
            "{why}the synthesized demo set in {}; its accuracy says nothing about real music",
            dataset.root.display()
        );
    }
}

/// Says what the collection was understood to be: how many tracks of which genres, where they
/// come from, and what is in its folders besides.
pub(super) fn report_understood(dataset: &Dataset) {
    let labels = dataset.tracks.iter().flat_map(|track| &track.labels);
    let counts = label_counts(labels, dataset.genres.len());
    let genres = dataset.genres.iter().zip(&counts);
    let mut listed: Vec<String> =
        genres.take(LISTED).map(|(genre, count)| format!("{genre} {count}")).collect();
    if dataset.genres.len() > LISTED {
        listed.push(format!("and {} more", dataset.genres.len() - LISTED));
    }
    let mut text = format!(
        "{} of {} ({})",
        counted(dataset.tracks.len(), "track"),
        counted(dataset.genres.len(), if dataset.task.is_single() { "genre" } else { "label" }),
        listed.join(", ")
    );
    if dataset.task == Task::MultiLabel {
        let several = dataset.tracks.iter().filter(|track| track.labels.len() > 1).count();
        let none = dataset.tracks.iter().filter(|track| track.labels.is_empty()).count();
        text = format!("multi-label, {text}, {several} of them with several, {none} with none");
    }
    if !dataset.about.is_empty() {
        text += &format!(", from {}", dataset.about);
    }
    if !dataset.others.is_empty() {
        let others = dataset.others.iter().map(|(ending, count)| format!("{count} {ending}"));
        text += &format!("; passed over: {}", others.collect::<Vec<String>>().join(", "));
    }
    tracing::info!("data: {text}");
    let mut names: HashMap<String, &str> = HashMap::new();
    for genre in &dataset.genres {
        if let Some(other) = names.insert(genre.to_lowercase(), genre) {
            tracing::warn!(
                "\"{other}\" and \"{genre}\" are two genres; their names differ in case only"
            );
        }
    }
}

/// Genres that are listed with their counts.
const LISTED: usize = 20;

/// Says which files were left out; an error if `strict`.
pub(super) fn report_skipped(dataset: &Dataset, strict: bool) -> Result<()> {
    let count = dataset.skipped.len();
    for skipped in dataset.skipped.iter().take(20) {
        tracing::info!("skipped: {}: {}", skipped.path.display(), skipped.reason);
    }
    if count > 0 && strict {
        let files = counted(count, "file");
        let reason =
            format!("{files} cannot be read (‹strict›); leave out ‹strict› to skip what cannot");
        return Err(Error::unsupported(&dataset.root, reason));
    }
    if count > 0 {
        let files = counted(count + dataset.tracks.len(), "file");
        tracing::info!("{count} of {files} were skipped");
    }
    Ok(())
}

/// Says how many tracks were shorter than a patch of their front end, and what became of them.
pub(super) fn report_padded(count: usize, front_end: &Preprocessor) {
    match front_end.windows() {
        Some(windows) => tracing::warn!(
            "{count} recordings are shorter than a patch ({:.2} s) and were padded with silence",
            windows.patch_seconds
        ),
        None => tracing::warn!(
            "{count} pictures are narrower than a patch ({} columns) and were stretched",
            front_end.patch()[0]
        ),
    }
}

/// Says how many tracks each part has, and whether what was to stay together does: a split that was
/// not drawn here may know nothing of it.
pub(super) fn report_parts(parts: &Parts, dataset: &Dataset) {
    let parted = parted_groups(parts, dataset);
    if let Some(first) = parted.first() {
        tracing::warn!(
            "the split has {} in two parts (\"{first}\" for one), for it was not drawn by \
             ‹group-by›",
            counted(parted.len(), "group")
        );
    }
    tracing::info!(
        "split by track: {} to train, {} to validate, {} to test",
        parts.train.len(),
        parts.validation.len(),
        parts.test.len()
    );
    let negatives = dataset::negatives(&dataset.genres, &NEGATIVES);
    if !negatives.is_empty() && dataset.task.is_single() {
        tracing::info!(
            "note: {} holds what is none of the genres: it is learned from and told apart, and \
             classify answers unknown for it; if it is a genre, export with ‹negatives› none",
            negatives.join(", ")
        );
    }
    if dataset.task == Task::MultiLabel {
        tags::report_weights(dataset, &parts.train);
    }
    if parts.missing > 0 || parts.unlisted > 0 {
        tracing::info!(
            "note: tracks of the split that are not in the data: {}; tracks of the data that are \
             not in the split: {}",
            parts.missing,
            parts.unlisted
        );
    }
}

/// The groups that are in more than one part.
fn parted_groups<'a>(parts: &Parts, dataset: &'a Dataset) -> BTreeSet<&'a str> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let parts = [&parts.train, &parts.validation, &parts.test];
    let tracks = parts
        .into_iter()
        .enumerate()
        .flat_map(|(part, tracks)| tracks.iter().map(move |track| (part, *track)));
    let group =
        |(part, track): (usize, usize)| Some((part, dataset.tracks[track].group.as_deref()?));
    tracks
        .filter_map(group)
        .filter(|(part, group)| *seen.entry(group).or_insert(*part) != *part)
        .map(|(_, group)| group)
        .collect()
}

/// Figures of the predictions for `tracks`, indices into the collection; several labels a track
/// at their `thresholds`.
///
/// # Errors
/// [`Error::Fit`] if a prediction is not a number.
pub(super) fn task_metrics(
    dataset: &Dataset,
    found: &[TrackPrediction],
    tracks: &[usize],
    thresholds: Option<&[f32]>,
    seed: u64,
) -> Result<TaskMetrics> {
    match thresholds {
        None => part_metrics(dataset, found, tracks, seed).map(TaskMetrics::SingleLabel),
        Some(thresholds) => {
            tags::metrics(dataset, found, tracks, thresholds).map(TaskMetrics::MultiLabel)
        }
    }
}

/// The predictions for `tracks` as a run lists them; several labels a track by their
/// `thresholds`.
pub(super) fn task_predictions(
    dataset: &Dataset,
    found: &[TrackPrediction],
    tracks: &[usize],
    thresholds: Option<&[f32]>,
) -> Predictions {
    match thresholds {
        None => Predictions::SingleLabel(predictions(dataset, found, tracks)),
        Some(thresholds) => {
            Predictions::MultiLabel(tags::predictions(dataset, found, tracks, thresholds))
        }
    }
}

/// The labels' thresholds, by what a network says of the validation tracks that it has not
/// learned from; none where a track has one label.
pub(super) fn thresholds(
    dataset: &Dataset,
    found: impl FnOnce() -> Result<Vec<TrackPrediction>>,
    validation: &[usize],
) -> Result<Option<Vec<f32>>> {
    match dataset.task {
        Task::SingleLabel => Ok(None),
        Task::MultiLabel => Ok(Some(tags::thresholds(dataset, &found()?, validation))),
    }
}

/// Figures of the predictions for `tracks`, indices into the collection.
///
/// # Errors
/// [`Error::Fit`] if a prediction is not a number: it would count as some genre.
pub(super) fn part_metrics(
    dataset: &Dataset,
    predictions: &[TrackPrediction],
    tracks: &[usize],
    seed: u64,
) -> Result<PartMetrics> {
    let classes = dataset.genres.len();
    let labels: Vec<usize> = tracks.iter().map(|t| dataset.tracks[*t].label()).collect();
    let genres = predictions.iter().map(|p| argmax(&p.mean)).collect::<Option<Vec<usize>>>();
    let genres = genres.ok_or_else(|| Error::Fit(NOT_NUMBERS.into()))?;
    let (mut right, mut patches) = (0, 0);
    for (prediction, label) in predictions.iter().zip(&labels) {
        for patch in prediction.patches.chunks_exact(classes) {
            right += usize::from(argmax(patch) == Some(*label));
            patches += 1;
        }
    }
    Ok(PartMetrics {
        tracks: evaluate(&labels, &genres, classes, seed),
        patch_accuracy: right as f64 / patches.max(1) as f64,
        patches,
    })
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
            genre: dataset.genres[track.label()].clone(),
            predicted: dataset.genres[argmax(&prediction.mean).unwrap_or_default()].clone(),
            probabilities: prediction.mean.clone(),
        }
    };
    tracks.iter().zip(predictions).map(one).collect()
}
