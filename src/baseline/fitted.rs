//! What every baseline can do once it is fitted.

use super::graph::Graph;
use crate::export::TOLERANCE;

/// A fitted model.
pub(super) trait FittedModel: Send + Sync {
    /// Probabilities `[rows, classes]` of rows of raw features, row by row.
    fn probabilities(&self, rows: &[f32]) -> Vec<f32>;

    /// Numbers that make up the model.
    fn parameters(&self) -> usize;

    /// The model as an ONNX graph.
    fn graph(&self) -> Graph;

    /// Whether the model's answer for a row of raw features survives the rounding of
    /// single precision; a neighbour among others at the same distance may not.
    fn is_decided(&self, _row: &[f32]) -> bool {
        true
    }

    /// The largest difference of a probability that an exported file may show.
    fn tolerance(&self) -> f32 {
        TOLERANCE
    }
}

/// Probabilities from logits, in double precision: the sums of hundreds of trees or features.
pub(super) fn softmax(logits: &[f64]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / sum) as f32).collect()
}
