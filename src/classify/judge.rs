//! How far an answer can be trusted: calibrated, with a set of genres that keeps a promise, or
//! `unknown`.

use std::path::Path;

use super::metadata::in_metadata;
use crate::error::Result;
use crate::metrics::{Average, argmax, tempered};
use crate::onnx::names::key;
use crate::run::Promise;
use crate::runtime::Session;

/// What an answer is judged by.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    /// What the file promises; none of several labels a recording, and of older files.
    pub promise: Option<Promise>,
    /// Labels that are no genres, as indices.
    pub negatives: Vec<usize>,
    /// Whether the file itself gives a recording's calibrated probabilities.
    pub is_calibrated: bool,
    /// The probability below which a recording is unknown; none for what the file says.
    pub min_confidence: Option<f32>,
}

/// A recording's probabilities, and what is to be thought of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judged {
    pub probabilities: Vec<f32>,
    pub averaged: Vec<f32>,
    pub set: Option<Vec<usize>>,
    pub outsider: Option<f32>,
    pub unknown: bool,
}

impl Judge {
    /// What the metadata of the file at `path`, of `genres` genres, say.
    pub fn read(path: &Path, session: &dyn Session, genres: usize) -> Result<Option<Promise>> {
        let Some(json) = session.metadata(key::TRUST) else { return Ok(None) };
        let promise: Promise =
            serde_json::from_str(&json).map_err(|error| in_metadata(path, key::TRUST, error))?;
        if promise.fits(genres) {
            return Ok(Some(promise));
        }
        let reason = format!("it does not fit {genres} genres; export the model again");
        Err(in_metadata(path, key::TRUST, reason))
    }

    /// The labels that are no genres, by the metadata of the file at `path`.
    pub fn read_negatives(
        path: &Path,
        session: &dyn Session,
        labels: &[String],
    ) -> Result<Vec<usize>> {
        let Some(json) = session.metadata(key::NEGATIVES) else { return Ok(vec![]) };
        let names: Vec<String> = serde_json::from_str(&json)
            .map_err(|error| in_metadata(path, key::NEGATIVES, error))?;
        let place = |name: &String| {
            labels.iter().position(|label| label == name).ok_or_else(|| {
                in_metadata(path, key::NEGATIVES, format!("\"{name}\" is no label of it"))
            })
        };
        names.iter().map(place).collect()
    }

    /// Directions of the projection that it looks at; 0 if it looks at none.
    pub fn directions(&self) -> usize {
        let promise = self.promise.as_ref();
        promise.and_then(|promise| promise.centers.first()).map_or(0, Vec::len)
    }

    /// The mean over a recording's patches that the file means.
    pub fn average(&self) -> Average {
        self.promise.as_ref().map(|promise| promise.average).unwrap_or_default()
    }

    /// Judges a recording by the probabilities of its patches, `[patches, classes]` row by row, and
    /// the mean of their projections.
    pub fn judge(&self, patches: &[f32], classes: usize, projected: &[f32]) -> Judged {
        let mean = self.average().of(patches, classes);
        let mut judged =
            Judged { probabilities: mean.clone(), averaged: mean, ..Judged::default() };
        if let Some(promise) = &self.promise {
            judged.probabilities = tempered(&judged.averaged, promise.temperature);
            if self.is_calibrated {
                judged.averaged.clone_from(&judged.probabilities);
            }
            let projected = (!projected.is_empty()).then_some(projected);
            let doubt = promise.judge(&judged.probabilities, projected);
            let is_genre = |place: &usize| !self.negatives.contains(place);
            let set: Vec<usize> = doubt.set.into_iter().filter(is_genre).collect();
            judged.unknown = doubt.unknown || set.is_empty();
            (judged.set, judged.outsider) = (Some(set), doubt.outsider);
        }
        let best = argmax(&judged.probabilities);
        if let Some(least) = self.min_confidence {
            judged.unknown = best.is_none_or(|best| judged.probabilities[best] < least);
        }
        // Whatever is asked of it, it is no genre.
        judged.unknown |= best.is_some_and(|best| self.negatives.contains(&best));
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Calibrated;

    fn promise() -> Promise {
        Promise {
            coverage: 0.9,
            tracks: 39,
            average: Average::Arithmetic,
            calibrated: Calibrated::CrossValidation,
            temperature: 0.5,
            set_thresholds: vec![0.2, 0.7],
            centers: vec![vec![0.0], vec![4.0]],
            distances: (1..=39).map(|n| n as f32 / 10.0).collect(),
            refuse_above: 0.95,
            tested: None,
        }
    }

    #[test]
    fn an_answer_is_calibrated_and_doubted() {
        let judge = Judge { promise: Some(promise()), ..Judge::default() };
        let judged = judge.judge(&[0.4, 0.6], 2, &[3.9]);
        assert!((judged.probabilities[1] - 0.36 / 0.52).abs() < 1e-6, "squared");
        assert_eq!(judged.averaged, [0.4, 0.6]);
        assert_eq!((judged.set, judged.unknown), (Some(vec![0]), false));
        assert_eq!(judged.outsider, Some(0.0));
        assert!(judge.judge(&[0.4, 0.6], 2, &[9.0]).unknown, "far");
        assert!(!judge.judge(&[0.4, 0.6], 2, &[]).unknown, "nothing tells");
        let whole = Judge { is_calibrated: true, ..judge };
        let judged = whole.judge(&[0.4, 0.6], 2, &[]);
        assert_eq!(judged.averaged, judged.probabilities);
    }

    #[test]
    fn a_label_that_is_no_genre_is_never_the_answer() {
        let judge = Judge { negatives: vec![1], promise: Some(promise()), ..Judge::default() };
        assert!(judge.judge(&[0.4, 0.6], 2, &[3.9]).unknown);
        let judged = judge.judge(&[0.7, 0.3], 2, &[3.9]);
        assert_eq!((judged.set, judged.unknown), (Some(vec![0]), false));
        let anyhow = Judge { min_confidence: Some(0.0), ..judge };
        assert!(anyhow.judge(&[0.4, 0.6], 2, &[3.9]).unknown);
    }

    #[test]
    fn a_least_confidence_overrides_what_the_file_says() {
        let judge =
            |promise, least| Judge { promise, min_confidence: Some(least), ..Judge::default() };
        assert!(!judge(Some(promise()), 0.0).judge(&[0.4, 0.6], 2, &[9.0]).unknown);
        assert!(judge(None, 0.7).judge(&[0.4, 0.6], 2, &[]).unknown);
        assert!(!judge(None, 0.5).judge(&[0.4, 0.6], 2, &[]).unknown);
    }
}
