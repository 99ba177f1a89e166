//! Multinomial logistic regression.

use smartcore::linalg::basic::arrays::Array;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

use super::fitted::{FittedModel, softmax};
use super::graph::Graph;
use super::samples::{Samples, failed};
use crate::error::Result;

/// One layer of weights for raw features.
pub(super) struct Logistic {
    features: usize,
    classes: usize,
    /// `[features, classes]`, row by row.
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// Fits to standardized `samples` and folds the standardization into the weights:
/// `w·(x - m)/s + b = (w/s)·x + (b - (w/s)·m)`.
pub(super) fn fit(samples: &Samples, c: f64) -> Result<Logistic> {
    let standardization = samples.standardization();
    let labels: Vec<u32> = samples.labels.iter().map(|&label| label as u32).collect();
    let parameters = LogisticRegressionParameters::default().with_alpha(1.0 / c);
    let matrix = samples.clone().standardized(&standardization).matrix()?;
    let fitted = LogisticRegression::fit(&matrix, &labels, parameters).map_err(failed)?;
    let (coefficients, intercept) = (fitted.coefficients(), fitted.intercept());
    let Samples { features, classes, .. } = *samples;
    // Of two classes smartcore gives the second one's logit, the first one's being zero.
    let given = coefficients.shape().0;
    let mut weights = vec![0.0; features * classes];
    let mut bias = vec![0.0; classes];
    for row in 0..given {
        let class = classes - given + row;
        bias[class] = *intercept.get((row, 0));
        let statistics = standardization.mean().iter().zip(standardization.deviation());
        for (feature, (&mean, &deviation)) in statistics.enumerate() {
            let weight = coefficients.get((row, feature)) / f64::from(deviation);
            weights[feature * classes + class] = weight;
            bias[class] -= weight * f64::from(mean);
        }
    }
    Ok(Logistic { features, classes, weights, bias })
}

impl FittedModel for Logistic {
    fn probabilities(&self, rows: &[f32]) -> Vec<f32> {
        let one = |row: &[f32]| {
            let mut logits = self.bias.clone();
            for (value, weights) in row.iter().zip(self.weights.chunks_exact(self.classes)) {
                let terms = logits.iter_mut().zip(weights);
                terms.for_each(|(logit, weight)| *logit += f64::from(*value) * weight);
            }
            softmax(&logits)
        };
        rows.chunks_exact(self.features).flat_map(one).collect()
    }

    fn parameters(&self) -> usize {
        self.weights.len() + self.bias.len()
    }

    fn graph(&self) -> Graph {
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let shape = [self.features, self.classes];
        Graph::network(&[(shape, single(&self.weights), single(&self.bias))])
    }
}
