//! What trainings do where a track has any number of labels: weights, thresholds, figures.

use super::objective::{BinaryLoss, MOST_WEIGHT};
use super::prediction::{NOT_NUMBERS, TrackPrediction};
use crate::dataset::{Dataset, label_counts};
use crate::error::{Error, Result};
use crate::metrics::{HALF, above, best_threshold, evaluate_tags};
use crate::run::{TagMetrics, TagPrediction};
use crate::text::counted;

/// Labels that a note lists.
const LISTED: usize = 10;

/// Says how the labels of the training part are weighted, and which no track there has.
pub(super) fn report_weights(dataset: &Dataset, train: &[usize]) {
    let labels = train.iter().flat_map(|track| &dataset.tracks[*track].labels);
    let counts = label_counts(labels, dataset.genres.len());
    let capped = BinaryLoss::new(&counts, train.len()).capped();
    tracing::info!(
        "multi-label: a sigmoid for each of {}; its positives count as much as its negatives, up \
         to {MOST_WEIGHT} times each ({} at that limit)",
        counted(counts.len(), "label"),
        counted(capped, "label")
    );
    let unseen = |label: &usize| counts[*label] == 0;
    let unseen = listed(dataset, (0..counts.len()).filter(unseen));
    if !unseen.is_empty() {
        tracing::warn!(
            "labels that no track to learn from has, so that they stay unknown: {unseen}"
        );
    }
}

/// For every label the threshold with the highest F1 on the validation tracks; a half for those
/// that none of them or all have in the same measure, which is said.
pub(super) fn thresholds(
    dataset: &Dataset,
    predictions: &[TrackPrediction],
    validation: &[usize],
) -> Vec<f32> {
    let of_label = |label: usize| {
        let scores: Vec<f32> = predictions.iter().map(|p| p.mean[label]).collect();
        let has = validation.iter().map(|track| dataset.tracks[*track].labels.contains(&label));
        best_threshold(&scores, &has.collect::<Vec<bool>>())
    };
    let found: Vec<Option<f32>> = (0..dataset.genres.len()).map(of_label).collect();
    let open = listed(dataset, (0..found.len()).filter(|label| found[*label].is_none()));
    if !open.is_empty() {
        tracing::info!(
            "note: thresholds are chosen on the validation part; {HALF} for labels that none of its \
             tracks has, or whose probabilities are all equal there: {open}"
        );
    }
    found.into_iter().map(|threshold| threshold.unwrap_or(HALF)).collect()
}

/// Figures of the predictions for `tracks`, indices into the collection.
///
/// # Errors
/// [`Error::Fit`] if a probability is not a number.
pub(super) fn metrics(
    dataset: &Dataset,
    predictions: &[TrackPrediction],
    tracks: &[usize],
    thresholds: &[f32],
) -> Result<TagMetrics> {
    if predictions.iter().flat_map(|p| &p.mean).any(|p| !p.is_finite()) {
        return Err(Error::Fit(NOT_NUMBERS.into()));
    }
    let truth: Vec<&[usize]> = tracks.iter().map(|t| &*dataset.tracks[*t].labels).collect();
    let rows: Vec<&[f32]> = predictions.iter().map(|p| p.mean.as_slice()).collect();
    let tags = evaluate_tags(&truth, &rows, thresholds);
    let absent = (0..tags.per_tag.len()).filter(|label| tags.per_tag[*label].support == 0);
    let absent = listed(dataset, absent);
    if !absent.is_empty() {
        tracing::info!(
            "note: labels that no test track has, which the macro means leave out: {absent}"
        );
    }
    let values: usize = predictions.iter().map(|p| p.patches.len()).sum();
    Ok(TagMetrics { tags, patches: values / thresholds.len().max(1) })
}

/// The predictions for `tracks` as a run lists them.
pub(super) fn predictions(
    dataset: &Dataset,
    predictions: &[TrackPrediction],
    tracks: &[usize],
    thresholds: &[f32],
) -> Vec<TagPrediction> {
    let names = |labels: &[usize]| labels.iter().map(|at| dataset.genres[*at].clone()).collect();
    let one = |(track, prediction): (&usize, &TrackPrediction)| {
        let track = &dataset.tracks[*track];
        TagPrediction {
            track: track.id.clone(),
            labels: names(&track.labels),
            predicted: names(&above(&prediction.mean, thresholds)),
            probabilities: prediction.mean.clone(),
        }
    };
    tracks.iter().zip(predictions).map(one).collect()
}

/// Names of labels for a note, not too many.
fn listed(dataset: &Dataset, labels: impl Iterator<Item = usize>) -> String {
    let names: Vec<&str> = labels.map(|label| dataset.genres[label].as_str()).collect();
    let (first, rest) = names.split_at(names.len().min(LISTED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    format!("{}{more}", first.join(", "))
}
