//! What a track's patches come to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evaluation::mean_probabilities;

/// What is added to a patch's probability before its logarithm is taken, so that a single patch
/// cannot rule a genre out for good.
pub const FLOOR: f32 = 1e-9;

/// The mean over a track's patches that is taken for what is said of the track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Average {
    /// Of the probabilities: one patch that is sure counts as much as it is sure.
    #[default]
    Arithmetic,
    /// Of the logarithms of the probabilities, which is that of the logits: a patch that doubts a
    /// genre counts as much as one that is sure of it (a logarithmic opinion pool, Genest & Zidek
    /// 1986).
    Geometric,
}

impl Average {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Arithmetic, Self::Geometric];

    /// A track's probabilities `[classes]` from those of its patches, `[patches, classes]` row by
    /// row. All 0 if there is no patch.
    ///
    /// # Panics
    /// If `classes` is 0 or the length is no multiple of it.
    #[must_use]
    pub fn of(self, patches: &[f32], classes: usize) -> Vec<f32> {
        if self == Self::Arithmetic || patches.is_empty() {
            return mean_probabilities(patches, classes);
        }
        assert_eq!(patches.len() % classes, 0, "one probability per patch and class");
        let mut logs = vec![0.0; classes];
        for row in patches.chunks_exact(classes) {
            logs.iter_mut().zip(row).for_each(|(sum, p)| *sum += f64::from(p + FLOOR).ln());
        }
        let count = (patches.len() / classes) as f64;
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logs.iter().map(|log| ((log - most) / count).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| (power / sum) as f32).collect()
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Arithmetic => "arithmetic mean",
            Self::Geometric => "geometric mean",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_those_of_the_definition() {
        let patches = [0.8, 0.2, 0.1, 0.9];
        let is = |found: Vec<f32>, wanted: [f64; 2]| {
            found.iter().zip(wanted).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6)
        };
        assert!(is(Average::Arithmetic.of(&patches, 2), [0.45, 0.55]));
        let products = [0.08f64.sqrt(), 0.18f64.sqrt()];
        let sum = products[0] + products[1];
        assert!(is(Average::Geometric.of(&patches, 2), products.map(|product| product / sum)));
    }

    #[test]
    fn means_are_probabilities_of_whatever_there_is() {
        for average in Average::ALL {
            assert_eq!(average.of(&[], 2), [0.0, 0.0]);
            let one = average.of(&[0.25, 0.75], 2);
            assert!((one[0] - 0.25).abs() < 1e-6, "{one:?}");
            // What no patch could tell apart from nothing is no reason for what is no number.
            let ruled_out = average.of(&[1.0, 0.0, 0.0, 1.0], 2);
            assert!((ruled_out[0] - 0.5).abs() < 1e-6, "{ruled_out:?}");
            let many = [0.9f32, 0.1].repeat(10_000);
            assert!((average.of(&many, 2)[0] - 0.9).abs() < 1e-5);
        }
        assert!(Average::Geometric.of(&[f32::NAN, 0.5], 2)[0].is_nan());
    }
}
