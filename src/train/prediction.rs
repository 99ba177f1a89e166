//! What a network says of a track, and the score that it earns.

use crate::metrics::{Average, argmax, mean_probabilities};
use crate::run::Score;

/// What is wrong with a model whose answer is no genre.
pub const NOT_NUMBERS: &str = "its probabilities are not numbers; use a smaller learning rate";

/// A track's probabilities: of each patch, and their mean.
#[derive(Clone, Debug)]
pub struct TrackPrediction {
    /// `[patches, classes]`, row-major.
    pub patches: Vec<f32>,
    /// The mean over patches, `[classes]`; perhaps another one than the arithmetic, and calibrated.
    pub mean: Vec<f32>,
}

impl TrackPrediction {
    /// From the probabilities of a track's patches.
    pub fn new(patches: Vec<f32>, classes: usize) -> Self {
        Self { mean: mean_probabilities(&patches, classes), patches }
    }

    /// Another mean over the patches.
    pub fn averaged(&self, average: Average) -> Vec<f32> {
        average.of(&self.patches, self.mean.len())
    }
}

impl Score {
    /// The score of `predictions` against `labels`, one each; none if there are no tracks.
    pub fn of(predictions: &[TrackPrediction], labels: &[&[usize]]) -> Option<Self> {
        if labels.is_empty() {
            return None;
        }
        let count = labels.len() as f64;
        let pairs = || predictions.iter().zip(labels.iter().map(|labels| labels[0]));
        let loss = pairs().map(|(p, label)| -f64::from(p.mean[label].max(1e-12)).ln()).sum::<f64>();
        let right = pairs().filter(|(p, label)| argmax(&p.mean) == Some(*label)).count();
        Some(Self::of_genres(loss / count, right as f64 / count))
    }
}
