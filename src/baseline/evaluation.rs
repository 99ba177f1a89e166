//! Predictions by song.

use std::collections::BTreeMap;

use super::fitted::FittedModel;
use super::problem::Problem;
use crate::dataset::FeatureTable;
use crate::error::{Error, Result};
use crate::metrics::{argmax, evaluate, mean_probabilities};
use crate::run::{PartMetrics, Prediction};

/// The mean of the probabilities `[rows, classes]` of each group's rows, by group.
pub(super) fn by_group<G: Ord + Copy>(
    probabilities: &[f32],
    groups: &[G],
    classes: usize,
) -> Vec<(G, Vec<f32>)> {
    let mut of_group: BTreeMap<G, Vec<f32>> = BTreeMap::new();
    for (row, &group) in probabilities.chunks_exact(classes).zip(groups) {
        of_group.entry(group).or_default().extend(row);
    }
    let mean = |(group, rows): (G, Vec<f32>)| (group, mean_probabilities(&rows, classes));
    of_group.into_iter().map(mean).collect()
}

/// The values of rows of a table, one after the other.
pub(crate) fn values(table: &FeatureTable, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &table.rows[row].values).copied().collect()
}

/// How `model` does on the test part, by song and by row.
///
/// # Errors
/// [`Error::Fit`] if an answer is not a number: it would count as some genre.
pub(super) fn test(
    model: &dyn FittedModel,
    problem: &Problem,
    seed: u64,
) -> Result<(PartMetrics, Vec<Prediction>)> {
    let (table, rows) = (&problem.table, &problem.test_rows);
    let classes = table.genres.len();
    let probabilities = model.probabilities(&values(table, rows));
    let songs: Vec<&str> = rows.iter().map(|&row| table.rows[row].song.as_str()).collect();
    let label_of: BTreeMap<&str, usize> =
        rows.iter().map(|&row| (table.rows[row].song.as_str(), table.rows[row].label)).collect();
    let prediction = |(song, mean): (&str, Vec<f32>)| Prediction {
        track: song.to_owned(),
        genre: table.genres[label_of[song]].clone(),
        predicted: table.genres[argmax(&mean).unwrap_or_default()].clone(),
        probabilities: mean,
    };
    let by_song = by_group(&probabilities, &songs, classes);
    let labels: Vec<usize> = by_song.iter().map(|(song, _)| label_of[song]).collect();
    let predicted = by_song.iter().map(|(_, mean)| argmax(mean)).collect::<Option<Vec<usize>>>();
    let predicted =
        predicted.ok_or_else(|| Error::Fit("its probabilities are not numbers".into()))?;
    let right = |(row, probabilities): &(&usize, &[f32])| {
        Some(table.rows[**row].label) == argmax(probabilities)
    };
    let right = rows.iter().zip(probabilities.chunks_exact(classes)).filter(right).count();
    let metrics = PartMetrics {
        tracks: evaluate(&labels, &predicted, classes, seed),
        patch_accuracy: right as f64 / rows.len().max(1) as f64,
        patches: rows.len(),
    };
    Ok((metrics, by_song.into_iter().map(prediction).collect()))
}
