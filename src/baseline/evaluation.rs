//! Predictions by song.

use std::collections::BTreeMap;

use super::fitted::FittedModel;
use super::groups::rows_of;
use super::problem::Problem;
use super::trust;
use crate::dataset::FeatureTable;
use crate::error::{Error, Result};
use crate::features::descriptors;
use crate::metrics::{argmax, evaluate};
use crate::run::{CalibrationMetrics, PartMetrics, Prediction, Trust};
use crate::train::{Embeddings, TrackPrediction, calibrated};

/// The values of rows of a table, one after the other.
pub(crate) fn values(table: &FeatureTable, rows: &[usize]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &table.rows[row].values).copied().collect()
}

/// What the test part shows.
pub(super) struct Tested {
    pub metrics: PartMetrics,
    pub calibration: Option<CalibrationMetrics>,
    pub predictions: Vec<Prediction>,
}

/// How `model` does on the test part, by song and by row.
///
/// # Errors
/// [`Error::Fit`] if an answer is not a number: it would count as some genre.
pub(super) fn test(
    model: &dyn FittedModel,
    problem: &Problem,
    trust: Option<&Trust>,
    seed: u64,
) -> Result<Tested> {
    let (table, rows) = (&problem.table, &problem.test_rows);
    let classes = table.genres.len();
    let features = values(table, rows);
    let probabilities = model.probabilities(&features);
    let songs: Vec<&str> = rows.iter().map(|&row| table.rows[row].song.as_str()).collect();
    let label_of: BTreeMap<&str, usize> =
        rows.iter().map(|&row| (table.rows[row].song.as_str(), table.rows[row].label)).collect();
    let prediction = |(song, mean): (&str, Vec<f32>)| Prediction {
        genre: table.genres[label_of[song]].clone(),
        track: song.to_owned(),
        predicted: table.genres[argmax(&mean).unwrap_or_default()].clone(),
        probabilities: mean,
    };
    let (of_song, said): (Vec<&str>, Vec<TrackPrediction>) =
        rows_of(&probabilities, &songs, classes)
            .into_iter()
            .map(|(song, rows)| (song, TrackPrediction::new(rows, classes)))
            .unzip();
    let labels: Vec<usize> = of_song.iter().map(|song| label_of[song]).collect();
    let calibration = trust.map(|found| {
        let of_songs = rows_of(&features, &songs, descriptors::COUNT);
        let embeddings =
            |(_, data)| Embeddings { data, features: descriptors::COUNT, padded: false };
        let of_songs: Vec<Embeddings> = of_songs.into_iter().map(embeddings).collect();
        trust::tested(found, &labels, &of_songs, &said)
    });
    let means = calibrated(said, trust).into_iter().map(|said| said.mean);
    let by_song: Vec<(&str, Vec<f32>)> = of_song.into_iter().zip(means).collect();
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
    let predictions = by_song.into_iter().map(prediction).collect();
    Ok(Tested { metrics, calibration, predictions })
}
