//! Patches with known answers.

use ndarray::ArrayD;

use super::outputs::{columns, share};
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::metrics::{argmax, macro_average_precision};

/// Patches with known answers, for one model.
#[derive(Clone, Debug)]
pub struct EvaluationSet {
    /// All patches, [patches, frames, mels] or [patches, samples].
    pub patches: ArrayD<f32>,
    /// For each patch, the track it comes from: an index into `labels`.
    pub track_of_patch: Vec<usize>,
    /// What is told of a track.
    pub task: Task,
    /// For each track, its classes: columns of the model's primary output, one unless the task is
    /// to tell several.
    pub labels: Vec<Vec<usize>>,
    /// Seconds of audio from one patch to the next.
    pub patch_hop_seconds: Option<f64>,
}

impl EvaluationSet {
    /// Whether its three lists fit each other.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming what does not.
    pub(super) fn check(&self) -> Result<()> {
        let patches = self.patches.shape().first().copied().unwrap_or(0);
        if self.patches.is_empty() || patches == 0 {
            return Err(Error::Mismatch("the evaluation set has no patches".into()));
        }
        if self.track_of_patch.len() != patches {
            return Err(Error::Mismatch(format!(
                "the evaluation set has {patches} patches but names the track of {}",
                self.track_of_patch.len()
            )));
        }
        if self.track_of_patch.iter().any(|&track| track >= self.labels.len()) {
            return Err(Error::Mismatch("the evaluation set names a track without a label".into()));
        }
        Ok(())
    }

    /// The share of tracks with patches whose class has the highest mean output; `None` if
    /// the output has too few columns to be one per class, or a track may have several.
    pub(super) fn accuracy(&self, output: &ArrayD<f32>) -> Option<f64> {
        if !self.task.is_single() {
            return None;
        }
        let sums = self.sums(output)?;
        let judged = sums.iter().zip(&self.labels).filter(|(sum, _)| !sum.is_empty());
        let right: Vec<bool> =
            judged.map(|(sum, labels)| argmax(sum).as_ref() == labels.first()).collect();
        Some(share(right.into_iter()))
    }

    /// The macro average precision of the tracks' mean outputs; `None` where a track has one
    /// label, no track has any, a value is not a number, and as for the accuracy.
    pub(super) fn average_precision(&self, output: &ArrayD<f32>) -> Option<f64> {
        if self.task.is_single() {
            return None;
        }
        let mut means = self.sums(output)?;
        let mut counts = vec![0f32; means.len()];
        self.track_of_patch.iter().for_each(|track| counts[*track] += 1.0);
        for (mean, count) in means.iter_mut().zip(counts) {
            mean.iter_mut().for_each(|value| *value /= count);
        }
        let judged = means.iter().zip(&self.labels).filter(|(mean, _)| !mean.is_empty());
        let (rows, labels): (Vec<&[f32]>, Vec<&[usize]>) =
            judged.map(|(mean, labels)| (mean.as_slice(), labels.as_slice())).unzip();
        if rows.iter().copied().flatten().any(|value| !value.is_finite()) {
            return None;
        }
        macro_average_precision(&labels, &rows, rows.first()?.len())
    }

    /// The sums of the tracks' outputs, none for those without a patch.
    fn sums(&self, output: &ArrayD<f32>) -> Option<Vec<Vec<f32>>> {
        let columns = columns(output)?;
        if self.labels.iter().flatten().any(|&label| label >= columns) {
            return None;
        }
        let mut sums = vec![Vec::new(); self.labels.len()];
        for (row, &track) in output.as_slice()?.chunks(columns).zip(&self.track_of_patch) {
            sums[track].resize(columns, 0.0);
            for (sum, value) in sums[track].iter_mut().zip(row) {
                *sum += value;
            }
        }
        Some(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::super::outputs::tests::output;
    use super::*;

    #[test]
    fn accuracy_is_of_tracks_and_by_the_mean() {
        let set = EvaluationSet {
            patches: ArrayD::zeros(&[3, 1, 1][..]),
            track_of_patch: vec![0, 0, 1],
            task: Task::SingleLabel,
            labels: vec![vec![1], vec![0]],
            patch_hop_seconds: Some(1.0),
        };
        // Track 0: one patch is sure of class 1, one weakly of class 0. Track 1: wrong.
        let (_, answers) = output("probabilities", [3, 2], &[0.1, 0.9, 0.6, 0.4, 0.3, 0.7]);
        assert_eq!(set.accuracy(&answers), Some(0.5));
        let (_, narrow) = output("probabilities", [3, 1], &[0.1, 0.9, 0.6]);
        assert_eq!(set.accuracy(&narrow), None);
        assert_eq!(set.average_precision(&answers), None);
    }

    #[test]
    fn several_labels_a_track_are_judged_by_their_ranks() {
        let set = EvaluationSet {
            patches: ArrayD::zeros(&[4, 1, 1][..]),
            track_of_patch: vec![0, 0, 1, 2],
            task: Task::MultiLabel,
            labels: vec![vec![0, 1], vec![], vec![1]],
            patch_hop_seconds: Some(1.0),
        };
        // Of the first label track 0 is above the others, of the second track 1 is above track 2.
        let values = [0.5, 0.9, 0.7, 0.9, 0.5, 0.8, 0.1, 0.3];
        let (_, answers) = output("probabilities", [4, 2], &values);
        let wanted = (1.0 + (1.0 + 2.0 / 3.0) / 2.0) / 2.0;
        assert!((set.average_precision(&answers).unwrap() - wanted).abs() < 1e-12);
        assert_eq!(set.accuracy(&answers), None);
    }
}
