//! What heads say of tracks that they have not learned from: each is fitted on four fifths of the
//! part to learn from, and judges the rest.

use std::collections::HashMap;

use super::config::HeadOptions;
use super::fit::{Example, HeadTask};
use super::trust::{Distances, Judged, outsiders, trust};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::metrics::Average;
use crate::run::{Calibrated, Trust};

/// Folds, where there are recordings enough.
const FOLDS: usize = 5;
/// What each fold's split keeps aside; here it is learned from.
const VALIDATION: f64 = 0.2;

/// The tracks to learn from, and how a head learns from them.
pub(super) struct Cross<'a> {
    /// The collection, all of it.
    pub dataset: &'a Dataset,
    /// The part to learn from.
    pub tracks: Vec<usize>,
    /// The same, each with its embeddings.
    pub examples: Vec<Example<'a>>,
    /// How the head itself was fitted; its tracks are not looked at.
    pub task: HeadTask<'a>,
    /// For how many epochs.
    pub epochs: usize,
}

impl Cross<'_> {
    /// How far a head can be trusted; none if there are too few tracks of a genre for two folds.
    ///
    /// # Errors
    /// Those of [`HeadTask::fit`].
    pub fn trust(&self) -> Result<Option<Trust>> {
        let Some(folds) = self.folds()? else {
            tracing::info!(
                "note: a genre has too few tracks to calibrate probabilities by cross-validation, so \
                 they stay as they are, without sets of genres and without outsiders"
            );
            return Ok(None);
        };
        let examples = &self.examples;
        let (whole, without) = outsiders(examples, self.task.spec.classes, &folds);
        let mut said = vec![None; self.tracks.len()];
        for (fold, outsider) in folds.iter().zip(&without) {
            let held_out: Vec<Example> = fold.iter().map(|place| examples[*place]).collect();
            let mut is_learned = vec![true; examples.len()];
            fold.iter().for_each(|place| is_learned[*place] = false);
            let rest = examples.iter().zip(is_learned).filter(|(_, is_learned)| *is_learned);
            let rest: Vec<Example> = rest.map(|(example, _)| *example).collect();
            let options = HeadOptions { epochs: self.epochs, ..self.task.options.clone() };
            let task = HeadTask { train: &rest, validation: &[], options: &options, ..self.task };
            let fitted = task.fit("calibration", &mut vec![])?;
            let found = fitted.predict(&held_out, self.task.device);
            for ((place, example), found) in fold.iter().zip(held_out).zip(found) {
                let distances =
                    outsider.as_ref().map(|outsider| Distances::of(outsider, example.embeddings));
                said[*place] = Some((found, distances));
            }
        }
        let judged: Vec<Judged> = examples
            .iter()
            .zip(&said)
            .filter_map(|(example, said)| {
                let (said, distances) = said.as_ref()?;
                Some(Judged { label: example.labels[0], said, distances: distances.clone() })
            })
            .collect();
        let classes = self.task.spec.classes;
        Ok(Some(trust(Calibrated::CrossValidation, &judged, classes, &Average::ALL, whole)))
    }

    /// The folds, as places in [`Self::tracks`].
    fn folds(&self) -> Result<Option<Vec<Vec<usize>>>> {
        let tracks = self.tracks.iter().map(|track| self.dataset.tracks[*track].clone()).collect();
        let part = Dataset { tracks, ..self.dataset.clone() };
        let place: HashMap<&str, usize> =
            part.tracks.iter().enumerate().map(|(place, track)| (&*track.id, place)).collect();
        let places = |split: &Split| -> Vec<usize> {
            split.test.iter().filter_map(|id| place.get(&**id).copied()).collect()
        };
        for count in (2..=FOLDS).rev() {
            match Split::folds(&part, count, self.task.seed, VALIDATION) {
                Ok(splits) => return Ok(Some(splits.iter().map(places).collect())),
                Err(Error::TooFew(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
