//! Predictions by song, and the test part for `bench-runtimes`.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;

use super::run::BaselineRun;
use super::{Classifier, Problem};
use crate::bench::EvaluationSet;
use crate::dataset::FeatureTable;
use crate::error::{Error, Result};
use crate::metrics::{argmax, evaluate, mean_probabilities};
use crate::train::{PartMetrics, Prediction};

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
pub(super) fn values(table: &FeatureTable, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &table.rows[row].values).copied().collect()
}

/// How `model` does on the test part, by song and by row.
pub(super) fn test(
    model: &dyn Classifier,
    problem: &Problem,
    seed: u64,
) -> (PartMetrics, Vec<Prediction>) {
    let (table, rows) = (&problem.table, &problem.test_rows);
    let classes = table.genres.len();
    let probabilities = model.probabilities(&values(table, rows));
    let songs: Vec<&str> = rows.iter().map(|&row| table.rows[row].song.as_str()).collect();
    let label_of: BTreeMap<&str, usize> =
        rows.iter().map(|&row| (table.rows[row].song.as_str(), table.rows[row].label)).collect();
    let prediction = |(song, mean): (&str, Vec<f32>)| Prediction {
        track: song.to_owned(),
        genre: table.genres[label_of[song]].clone(),
        predicted: table.genres[argmax(&mean)].clone(),
        probabilities: mean,
    };
    let by_song = by_group(&probabilities, &songs, classes);
    let labels: Vec<usize> = by_song.iter().map(|(song, _)| label_of[song]).collect();
    let predicted: Vec<usize> = by_song.iter().map(|(_, mean)| argmax(mean)).collect();
    let right =
        |(row, probabilities): &(&usize, &[f32])| table.rows[**row].label == argmax(probabilities);
    let right = rows.iter().zip(probabilities.chunks_exact(classes)).filter(right).count();
    let metrics = PartMetrics {
        tracks: evaluate(&labels, &predicted, classes, seed),
        patch_accuracy: right as f64 / rows.len().max(1) as f64,
        patches: rows.len(),
    };
    (metrics, by_song.into_iter().map(prediction).collect())
}

/// The test rows of the baseline run in `folder`; none if it is no such run, or its table
/// is gone.
///
/// # Errors
/// Errors of the run's files and of its table.
pub fn evaluation_set(folder: &Path) -> Result<Option<EvaluationSet>> {
    let Some(run) = BaselineRun::find(folder)? else { return Ok(None) };
    let problem = match run.problem() {
        Ok(problem) => problem,
        // A run outlives the table it was trained on.
        Err(error @ (Error::Data(_) | Error::Io { .. })) => {
            crate::say!("warning: accuracy stays unknown: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (table, rows) = (&problem.table, &problem.test_rows);
    let mut songs: Vec<&str> = rows.iter().map(|&row| table.rows[row].song.as_str()).collect();
    let of_row = songs.clone();
    songs.sort_unstable();
    songs.dedup();
    let track_of_patch: Vec<usize> =
        of_row.iter().filter_map(|song| songs.binary_search(song).ok()).collect();
    let mut labels = vec![0; songs.len()];
    for (&row, &song) in rows.iter().zip(&track_of_patch) {
        labels[song] = table.rows[row].label;
    }
    let data = values(table, rows);
    let shape = (rows.len(), data.len() / rows.len().max(1));
    let patches = Array2::from_shape_vec(shape, data).map_err(|e| Error::Data(e.to_string()))?;
    Ok(Some(EvaluationSet {
        patches: patches.into_dyn(),
        track_of_patch,
        labels,
        patch_hop_seconds: Some(table.seconds),
    }))
}
