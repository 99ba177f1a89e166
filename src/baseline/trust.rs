//! How far a baseline can be trusted: by what models of the same settings say of songs that they
//! have not learned from, and by how far songs lie from those learned from.

use std::collections::HashMap;

use super::groups::rows_of;
use super::problem::{FoldRows, Problem};
use super::samples::Samples;
use crate::error::Result;
use crate::metrics::Average;
use crate::run::{Calibrated, CalibrationMetrics, Settings, Trust};
use crate::train::{Distances, Embeddings, Example, Judged, TrackPrediction, outsiders, trust};

/// Songs with their rows.
struct Songs {
    labels: Vec<usize>,
    rows: Vec<Embeddings>,
    /// The place of each unit.
    places: HashMap<usize, usize>,
}

impl Songs {
    fn of(samples: &Samples) -> Self {
        let mut songs = Self { labels: vec![], rows: vec![], places: HashMap::new() };
        for ((row, label), unit) in samples.rows().zip(&samples.labels).zip(&samples.units) {
            let place = *songs.places.entry(*unit).or_insert_with(|| {
                songs.labels.push(*label);
                let (data, features) = (vec![], samples.features);
                songs.rows.push(Embeddings { data, features, padded: false });
                songs.labels.len() - 1
            });
            songs.rows[place].data.extend(row);
        }
        songs
    }

    /// The songs whose rows are held out.
    fn held_out(&self, samples: &Samples, fold: &FoldRows) -> Vec<usize> {
        let mut places: Vec<usize> =
            fold.held_out.iter().map(|row| self.places[&samples.units[*row]]).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

fn examples<'a>(labels: &'a [usize], rows: &'a [Embeddings]) -> Vec<Example<'a>> {
    labels.iter().zip(rows).map(|(label, rows)| Example::single(label, rows)).collect()
}

/// How far a model of these settings can be trusted, by the folds of the part to learn from; none
/// where windows of a song are on both sides.
///
/// # Errors
/// Errors of the fits.
pub(super) fn cross_trust(
    problem: &Problem,
    settings: &Settings,
    seed: u64,
) -> Result<Option<Trust>> {
    if problem.is_leaky() {
        return Ok(None);
    }
    let (samples, classes) = (&problem.train, problem.train.classes);
    let songs = Songs::of(samples);
    let examples = examples(&songs.labels, &songs.rows);
    let parts: Vec<Vec<usize>> =
        problem.folds.iter().map(|fold| songs.held_out(samples, fold)).collect();
    let (whole, without) = outsiders(&examples, classes, &parts);
    let mut judged = vec![];
    for (number, fold) in problem.folds.iter().enumerate() {
        let inner = inner_folds(&problem.folds, number);
        let model = settings.fit(&samples.select(&fold.train), &inner, seed)?;
        let held_out = samples.select(&fold.held_out);
        let probabilities = model.probabilities(&held_out.values);
        for (unit, rows) in rows_of(&probabilities, &held_out.units, classes) {
            judged.push((songs.places[&unit], number, TrackPrediction::new(rows, classes)));
        }
    }
    let judged: Vec<Judged> = judged
        .iter()
        .map(|(place, number, said)| Judged {
            label: songs.labels[*place],
            said,
            distances: (without.get(*number).and_then(Option::as_ref))
                .map(|outsider| Distances::of(outsider, &songs.rows[*place])),
        })
        .collect();
    // Whoever averages rows of windows takes the arithmetic mean.
    let averages = [Average::Arithmetic];
    Ok(Some(trust(Calibrated::CrossValidation, &judged, classes, &averages, whole)))
}

/// The other folds, as rows of what fold `number` is learned from.
fn inner_folds(folds: &[FoldRows], number: usize) -> Vec<FoldRows> {
    let rows = &folds[number].train;
    let place: HashMap<usize, usize> =
        rows.iter().enumerate().map(|(place, row)| (*row, place)).collect();
    let within = |rows: &[usize]| -> Vec<usize> {
        rows.iter().filter_map(|row| place.get(row).copied()).collect()
    };
    let others = folds.iter().enumerate().filter(|(other, _)| *other != number);
    others
        .map(|(_, fold)| FoldRows { train: within(&fold.train), held_out: within(&fold.held_out) })
        .collect()
}

/// What test songs show of it: the label of each, its rows, and what the model says of it without
/// calibration.
pub(super) fn tested(
    trust: &Trust,
    labels: &[usize],
    rows: &[Embeddings],
    said: &[TrackPrediction],
) -> CalibrationMetrics {
    trust.test(&examples(labels, rows), said)
}
