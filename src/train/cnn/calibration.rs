//! How far CNNs can be trusted: by what each says of the tracks that it has not learned from.

use super::prepare::CnnTraining;
use crate::error::Result;
use crate::model::CnnEnsemble;
use crate::run::{Calibrated, CalibrationMetrics, Trust};
use crate::train::embeddings::Embeddings;
use crate::train::fit::Example;
use crate::train::prediction::TrackPrediction;
use crate::train::trust::HeldOut;

/// Networks that have not learned from all tracks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judges<'a> {
    /// They, one for each fold.
    pub stopped: &'a CnnEnsemble,
    /// Whether they are what is used in the end, and not networks that were trained again.
    pub are_kept: bool,
}

/// How far the networks can be trusted, and what their test tracks, of which they say this, show of
/// it; none of several labels a track, and without tracks that were not learned from.
///
/// Networks of different folds, and those trained again, have embeddings of their own, which cannot be
/// compared: outsiders are told with a single one that is kept.
///
/// # Errors
/// Those of the folds.
pub(super) fn trust(
    training: &CnnTraining,
    Judges { stopped: ensemble, are_kept }: Judges,
    tested: &[TrackPrediction],
) -> Result<Option<(Trust, CalibrationMetrics)>> {
    if !training.dataset.task.is_single() {
        return Ok(None);
    }
    let folds = training.folds()?;
    let (mut held_out, mut said) = (vec![], vec![]);
    for (member, fold) in ensemble.members.iter().zip(&folds) {
        let one = CnnEnsemble { members: vec![member.clone()], task: ensemble.task };
        said.extend(training.predict(&one, &fold.validation));
        held_out.extend(&fold.validation);
    }
    if held_out.is_empty() {
        return Ok(None);
    }
    let embed = |tracks: &[usize]| match &ensemble.members[..] {
        [_] if are_kept => training.embed(ensemble, tracks),
        _ => vec![Embeddings { data: vec![], features: 1, padded: false }; tracks.len()],
    };
    let learned: &[usize] = match &folds[..] {
        [fold] if are_kept => &fold.train,
        _ => &[],
    };
    let [of_learned, of_held_out] = [learned, &held_out].map(embed);
    let of_test = embed(&training.parts.test);
    let (single, dataset) = (folds.len() == 1, &training.dataset);
    let found = HeldOut {
        calibrated: if single { Calibrated::Validation } else { Calibrated::CrossValidation },
        classes: training.classes(),
        learned: Example::of_tracks(dataset, learned, &of_learned),
        held_out: Example::of_tracks(dataset, &held_out, &of_held_out),
        said: &said,
    };
    let found = found.trust();
    let metrics = found.test(&Example::of_tracks(dataset, &training.parts.test, &of_test), tested);
    Ok(Some((found, metrics)))
}
