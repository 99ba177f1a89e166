//! Outputs of one runtime beside those of another.

use ndarray::ArrayD;

use crate::metrics::argmax;
use crate::onnx::names::{OUTSIDER, PROBABILITIES, PROJECTION, SET};

/// A model's outputs by name.
pub(super) type Outputs = Vec<(String, ArrayD<f32>)>;

/// The output that names classes: `probabilities` if there is one, else the first.
pub(super) fn primary(outputs: &Outputs) -> Option<&ArrayD<f32>> {
    let named = outputs.iter().find(|(name, _)| name == PROBABILITIES);
    named.or(outputs.first()).map(|(_, tensor)| tensor)
}

/// Columns of an output `[rows, columns]`, whatever its further axes.
pub(super) fn columns(output: &ArrayD<f32>) -> Option<usize> {
    let rows = *output.shape().first()?;
    output.len().checked_div(rows).filter(|&columns| columns > 0)
}

/// The share of hits.
pub(super) fn share(hits: impl ExactSizeIterator<Item = bool>) -> f64 {
    let total = hits.len() as f64;
    hits.filter(|&hit| hit).count() as f64 / total
}

/// The share of patches on whose highest primary output both agree.
pub(super) fn agreement(reference: &Outputs, outputs: &Outputs) -> Option<f64> {
    let (a, b) = (primary(reference)?, primary(outputs)?);
    if a.shape() != b.shape() {
        return None;
    }
    let (a, b) = (a.as_slice()?.chunks(columns(a)?), b.as_slice()?.chunks(columns(b)?));
    Some(share(a.zip(b).map(|(a, b)| argmax(a).is_some() && argmax(a) == argmax(b))))
}

/// What follows from probabilities and embeddings: counts, and steps that the last digit decides.
const DERIVED: [&str; 3] = [SET, OUTSIDER, PROJECTION];

/// The largest difference between outputs of the same name; `None` if there are none or
/// anything is not a number. Those that follow from others are not looked at: an export proves them.
pub(super) fn max_difference(reference: &Outputs, outputs: &Outputs) -> Option<f64> {
    let mut largest = None;
    for (name, tensor) in outputs.iter().filter(|(name, _)| !DERIVED.contains(&&**name)) {
        let Some((_, other)) = reference.iter().find(|(other, _)| other == name) else { continue };
        if other.shape() != tensor.shape() {
            return None;
        }
        for (a, b) in tensor.iter().zip(other) {
            let difference = f64::from((a - b).abs());
            if difference.is_nan() {
                return None;
            }
            largest = Some(difference.max(largest.unwrap_or(0.0)));
        }
    }
    largest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A named output of rows and columns.
    pub(in crate::bench) fn output(
        name: &str,
        shape: [usize; 2],
        data: &[f32],
    ) -> (String, ArrayD<f32>) {
        (name.into(), ArrayD::from_shape_vec(&shape[..], data.to_vec()).unwrap())
    }

    #[test]
    fn runtimes_are_compared_on_the_probabilities() {
        let a = vec![
            output("x", [2, 2], &[0.0; 4]),
            output("probabilities", [2, 2], &[1., 0., 1., 0.]),
        ];
        let b = vec![
            output("x", [2, 2], &[0.5; 4]),
            output("probabilities", [2, 2], &[1., 0., 0., 1.]),
        ];
        assert_eq!(agreement(&a, &b), Some(0.5));
        let with_set = |value| vec![a[1].clone(), output("set", [2, 2], &[value; 4])];
        assert_eq!(max_difference(&with_set(0.0), &with_set(1.0)), Some(0.0));
        assert_eq!(max_difference(&a, &b), Some(1.0));
        let nan = vec![output("probabilities", [2, 2], &[f32::NAN; 4])];
        assert_eq!((agreement(&a, &nan), max_difference(&a, &nan)), (Some(0.0), None));
    }
}
