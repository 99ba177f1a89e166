//! Patches with known answers.

use ndarray::ArrayD;

use super::outputs::{columns, share};
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::metrics::{Average, argmax, macro_average_precision, mean_probabilities};

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
    /// The mean over a track's patches, where it has one class.
    pub average: Average,
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

    /// The share of tracks with patches whose class is the one of the highest mean; `None` if
    /// the output has too few columns to be one per class, or a track may have several.
    pub(super) fn accuracy(&self, output: &ArrayD<f32>) -> Option<f64> {
        if !self.task.is_single() {
            return None;
        }
        let (rows, columns) = self.rows(output)?;
        let judged = rows.iter().zip(&self.labels).filter(|(rows, _)| !rows.is_empty());
        let right = judged.map(|(rows, labels)| {
            argmax(&self.average.of(rows, columns)).as_ref() == labels.first()
        });
        Some(share(right.collect::<Vec<bool>>().into_iter()))
    }

    /// The macro average precision of the tracks' mean outputs; `None` where a track has one
    /// label, no track has any, a value is not a number, and as for the accuracy.
    pub(super) fn average_precision(&self, output: &ArrayD<f32>) -> Option<f64> {
        if self.task.is_single() {
            return None;
        }
        let (rows, columns) = self.rows(output)?;
        let mean = |rows: Vec<f32>| {
            if rows.is_empty() { rows } else { mean_probabilities(&rows, columns) }
        };
        let means: Vec<Vec<f32>> = rows.into_iter().map(mean).collect();
        let judged = means.iter().zip(&self.labels).filter(|(mean, _)| !mean.is_empty());
        let (rows, labels): (Vec<&[f32]>, Vec<&[usize]>) =
            judged.map(|(mean, labels)| (mean.as_slice(), labels.as_slice())).unzip();
        if rows.iter().copied().flatten().any(|value| !value.is_finite()) {
            return None;
        }
        macro_average_precision(&labels, &rows, rows.first()?.len())
    }

    /// The outputs of each track's patches, row by row, and the columns of a row.
    fn rows(&self, output: &ArrayD<f32>) -> Option<(Vec<Vec<f32>>, usize)> {
        let columns = columns(output)?;
        if self.labels.iter().flatten().any(|&label| label >= columns) {
            return None;
        }
        let mut rows = vec![Vec::new(); self.labels.len()];
        for (row, &track) in output.as_slice()?.chunks(columns).zip(&self.track_of_patch) {
            rows[track].extend_from_slice(row);
        }
        Some((rows, columns))
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
            average: Average::Arithmetic,
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
    fn either_mean_over_patches_is_taken() {
        let set = |average| EvaluationSet {
            patches: ArrayD::zeros(&[3, 1, 1][..]),
            track_of_patch: vec![0, 0, 0],
            task: Task::SingleLabel,
            labels: vec![vec![1]],
            average,
            patch_hop_seconds: Some(1.0),
        };
        // Two patches are for class 1, one rules it out.
        let (_, answers) = output("probabilities", [3, 2], &[0.2, 0.8, 0.2, 0.8, 0.9999, 0.0001]);
        assert_eq!(set(Average::Arithmetic).accuracy(&answers), Some(1.0));
        assert_eq!(set(Average::Geometric).accuracy(&answers), Some(0.0));
    }

    #[test]
    fn several_labels_a_track_are_judged_by_their_ranks() {
        let set = EvaluationSet {
            patches: ArrayD::zeros(&[4, 1, 1][..]),
            track_of_patch: vec![0, 0, 1, 2],
            task: Task::MultiLabel,
            labels: vec![vec![0, 1], vec![], vec![1]],
            average: Average::Arithmetic,
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
