//! Patches with known answers.

use ndarray::ArrayD;

use super::outputs::{columns, share};
use crate::error::{Error, Result};
use crate::metrics::argmax;

/// Patches with known answers, for one model.
#[derive(Clone, Debug)]
pub struct EvaluationSet {
    /// All patches, [patches, frames, mels] or [patches, samples].
    pub patches: ArrayD<f32>,
    /// For each patch, the track it comes from: an index into `labels`.
    pub track_of_patch: Vec<usize>,
    /// For each track, its class: a column of the model's primary output.
    pub labels: Vec<usize>,
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
    /// the output has too few columns to be one per class.
    pub(super) fn accuracy(&self, output: &ArrayD<f32>) -> Option<f64> {
        let columns = columns(output)?;
        if self.labels.iter().any(|&label| label >= columns) {
            return None;
        }
        let mut sums = vec![Vec::new(); self.labels.len()];
        for (row, &track) in output.as_slice()?.chunks(columns).zip(&self.track_of_patch) {
            sums[track].resize(columns, 0.0);
            for (sum, value) in sums[track].iter_mut().zip(row) {
                *sum += value;
            }
        }
        let judged = sums.iter().zip(&self.labels).filter(|(sum, _)| !sum.is_empty());
        let right: Vec<bool> = judged.map(|(sum, &label)| argmax(sum) == Some(label)).collect();
        Some(share(right.into_iter()))
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
            labels: vec![1, 0],
            patch_hop_seconds: Some(1.0),
        };
        // Track 0: one patch is sure of class 1, one weakly of class 0. Track 1: wrong.
        let (_, answers) = output("probabilities", [3, 2], &[0.1, 0.9, 0.6, 0.4, 0.3, 0.7]);
        assert_eq!(set.accuracy(&answers), Some(0.5));
        let (_, narrow) = output("probabilities", [3, 1], &[0.1, 0.9, 0.6]);
        assert_eq!(set.accuracy(&narrow), None);
    }
}
