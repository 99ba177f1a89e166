//! Whether two models differ on the same tracks: McNemar's exact test.
//!
//! Q. McNemar, "Note on the sampling error of the difference between correlated
//! proportions or percentages", Psychometrika 12, 1947. Tracks that both models get right,
//! or both wrong, say nothing; of the others each model wins half, if they are equally
//! good, so that the wins are binomial.

use std::collections::HashMap;

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

use super::entry::Entry;

/// Below this a difference is called significant.
pub(super) const LEVEL: f64 = 0.05;

/// Two models on the tracks that both were tested on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// Which model, as an index into the compared ones.
    pub(super) first: usize,
    /// Which other one.
    pub(super) second: usize,
    /// Tracks that both were tested on.
    pub(super) tracks: usize,
    /// Tracks that only the first got right.
    pub(super) only_first: usize,
    /// Tracks that only the second got right.
    pub(super) only_second: usize,
    /// Two-sided p-value of McNemar's exact test.
    pub(super) p: f64,
    /// `p` corrected for the number of comparisons (Holm 1979).
    pub(super) p_holm: f64,
}

impl Comparison {
    /// Whether the difference is significant after correction.
    pub(super) fn is_significant(&self) -> bool {
        self.p_holm < LEVEL
    }
}

/// Two-sided p-value of McNemar's exact test, for the tracks that only one of two models
/// got right; 1 if there are none.
pub(super) fn mcnemar(only_first: usize, only_second: usize) -> f64 {
    let tracks = (only_first + only_second) as u64;
    let fewer = only_first.min(only_second) as u64;
    match Binomial::new(0.5, tracks) {
        Ok(binomial) if tracks > 0 => (2.0 * binomial.cdf(fewer)).min(1.0),
        _ => 1.0,
    }
}

/// Every pair of `entries` on the tracks they share, corrected for their number.
pub(super) fn compare(entries: &[&Entry]) -> Vec<Comparison> {
    compare_on(entries, |_| true)
}

/// Every pair of `entries` on those of the tracks they share that count, corrected for their
/// number.
pub(super) fn compare_on(entries: &[&Entry], counts: impl Fn(&str) -> bool) -> Vec<Comparison> {
    let mut found = vec![];
    for second in 0..entries.len() {
        for first in 0..second {
            found.push(pair(entries, first, second, &counts));
        }
    }
    found.sort_by_key(|comparison| (comparison.first, comparison.second));
    let corrected = holm(&found.iter().map(|comparison| comparison.p).collect::<Vec<_>>());
    found.iter_mut().zip(corrected).for_each(|(comparison, p)| comparison.p_holm = p);
    found
}

fn pair(
    entries: &[&Entry],
    first: usize,
    second: usize,
    counts: impl Fn(&str) -> bool,
) -> Comparison {
    let other: HashMap<&str, bool> =
        entries[second].predictions.iter().map(|p| (p.track.as_str(), p.is_right())).collect();
    let (mut tracks, mut only_first, mut only_second) = (0, 0, 0);
    for prediction in entries[first].predictions.iter().filter(|p| counts(&p.track)) {
        let Some(&second_right) = other.get(prediction.track.as_str()) else { continue };
        tracks += 1;
        only_first += usize::from(prediction.is_right() && !second_right);
        only_second += usize::from(!prediction.is_right() && second_right);
    }
    let p = mcnemar(only_first, only_second);
    Comparison { first, second, tracks, only_first, only_second, p, p_holm: p }
}

/// Holm's correction: S. Holm, "A simple sequentially rejective multiple test procedure",
/// Scandinavian Journal of Statistics 6, 1979.
fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut corrected, mut least) = (vec![0.0; p.len()], 0f64);
    for (rank, &index) in order.iter().enumerate() {
        least = least.max((p[index] * (p.len() - rank) as f64).min(1.0));
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.binomtest(min(b, c), b + c).pvalue`.
    #[test]
    fn p_values_are_those_of_the_exact_binomial_test() {
        for (b, c, p) in [
            (0, 0, 1.0),
            (3, 3, 1.0),
            (1, 0, 1.0),
            (0, 5, 0.0625),
            (0, 6, 0.03125),
            (2, 10, 0.03857421875),
            (15, 5, 0.04138946533203125),
            (25, 12, 0.04703102743951604),
        ] {
            assert!((mcnemar(b, c) - p).abs() < 1e-12, "{b} {c}: {}", mcnemar(b, c));
            assert_eq!(mcnemar(b, c), mcnemar(c, b));
        }
    }

    /// `statsmodels.stats.multitest.multipletests(p, method="holm")`.
    #[test]
    fn holm_multiplies_the_smallest_most() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, wanted) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - wanted).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
