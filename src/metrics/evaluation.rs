//! One genre a track: accuracy with its uncertainty, F1, confusion; and what curves and means need.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap behind [`Evaluation::interval`].
const RESAMPLES: usize = 10_000;

/// Figures of a set of predictions, one per track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Recorded")]
pub struct Evaluation {
    /// Share of the tracks that were predicted right; 0 if there are none.
    pub accuracy: f64,
    /// Mean F1 over the genres that occur in the truth or the predictions, as
    /// scikit-learn's `f1_score(average="macro", zero_division=0)` has it.
    pub macro_f1: f64,
    /// Counts, `[true genre][predicted genre]`.
    pub confusion: Vec<Vec<usize>>,
    /// One entry per genre.
    pub per_genre: Vec<GenreScore>,
    /// 95 % interval of the accuracy: percentiles of a bootstrap over the tracks, 10,000
    /// resamples; Clopper and Pearson's if all tracks are right, or all wrong, for then every
    /// resample is like the others.
    pub interval: [f64; 2],
    /// Number of tracks.
    pub count: usize,
}

/// An [`Evaluation`] as a file holds it: one of an older version has an interval without a width
/// where all tracks are right or all wrong.
#[derive(Deserialize)]
struct Recorded {
    accuracy: f64,
    macro_f1: f64,
    confusion: Vec<Vec<usize>>,
    per_genre: Vec<GenreScore>,
    interval: [f64; 2],
    count: usize,
}

impl From<Recorded> for Evaluation {
    fn from(recorded: Recorded) -> Self {
        let Recorded { accuracy, macro_f1, confusion, per_genre, interval, count } = recorded;
        let interval = of_extremes(accuracy, count).unwrap_or(interval);
        Self { accuracy, macro_f1, confusion, per_genre, interval, count }
    }
}

/// One epoch of training, as kept in `history.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Which part of the training it belongs to: `head`, `refit`, `unfreeze` or a network of
    /// an ensemble.
    #[serde(default)]
    pub stage: String,
    /// Counted from one within the stage.
    #[serde(default)]
    pub epoch: usize,
    /// Mean cross-entropy over the training patches.
    pub train_loss: f64,
    /// Mean over the validation tracks of minus the log of the right genre's probability.
    #[serde(default)]
    pub validation_loss: Option<f64>,
    /// The share of validation tracks given the right genre.
    #[serde(default)]
    pub validation_accuracy: Option<f64>,
    /// The macro average precision on the validation tracks, several labels a track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_average_precision: Option<f64>,
    /// Wall-clock time.
    #[serde(default)]
    pub seconds: f64,
}

impl Epoch {
    /// What the validation tracks come to, and what that figure is.
    #[must_use]
    pub(crate) fn quality(&self) -> Option<(&'static str, f64)> {
        let accuracy = self.validation_accuracy.map(|value| ("accuracy", value));
        accuracy.or(self.validation_average_precision.map(|value| ("macro AP", value)))
    }
}

/// Figures of one genre; a ratio whose denominator is 0 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GenreScore {
    /// Of the tracks predicted as this genre, the share that is.
    pub precision: f64,
    /// Of the tracks of this genre, the share predicted so.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Number of tracks of this genre.
    pub support: usize,
}

/// Scores predicted genres against the true ones; `seed` is for the bootstrap.
///
/// # Panics
/// If `truth` and `predictions` differ in length, or hold a genre not below `classes`.
#[must_use]
pub fn evaluate(truth: &[usize], predictions: &[usize], classes: usize, seed: u64) -> Evaluation {
    assert_eq!(truth.len(), predictions.len(), "one prediction per track");
    let mut confusion = vec![vec![0; classes]; classes];
    for (&t, &p) in truth.iter().zip(predictions) {
        confusion[t][p] += 1;
    }
    let (mut per_genre, mut occurring) = (vec![], vec![]);
    for genre in 0..classes {
        let support: usize = confusion[genre].iter().sum();
        let predicted: usize = confusion.iter().map(|row| row[genre]).sum();
        let hits = confusion[genre][genre];
        let f1 = ratio(2 * hits, support + predicted);
        if support + predicted > 0 {
            occurring.push(f1);
        }
        let (precision, recall) = (ratio(hits, predicted), ratio(hits, support));
        per_genre.push(GenreScore { precision, recall, f1, support });
    }
    let right: Vec<bool> = truth.iter().zip(predictions).map(|(t, p)| t == p).collect();
    let accuracy = ratio(count(&right), right.len());
    Evaluation {
        accuracy,
        macro_f1: occurring.iter().sum::<f64>() / occurring.len().max(1) as f64,
        confusion,
        per_genre,
        interval: of_extremes(accuracy, right.len()).unwrap_or_else(|| bootstrap(&right, seed)),
        count: right.len(),
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn count(right: &[bool]) -> usize {
    right.iter().filter(|&&r| r).count()
}

/// Clopper and Pearson's 95 % interval where all of `count` tracks are right, or all wrong: a share
/// of the bound would be so once in forty times. None elsewhere.
fn of_extremes(accuracy: f64, count: usize) -> Option<[f64; 2]> {
    let bound = 0.025f64.powf(1.0 / count as f64);
    match accuracy {
        _ if count == 0 => None,
        1.0 => Some([bound, 1.0]),
        0.0 => Some([0.0, 1.0 - bound]),
        _ => None,
    }
}

/// The 2.5th and 97.5th percentile of the accuracy when as many tracks are drawn with
/// replacement, [`RESAMPLES`] times.
fn bootstrap(right: &[bool], seed: u64) -> [f64; 2] {
    if right.is_empty() {
        return [0.0; 2];
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || (0..right.len()).filter(|_| right[rng.random_range(0..right.len())]).count();
    let mut hits: Vec<f64> = (0..RESAMPLES).map(|_| draw() as f64).collect();
    hits.sort_by(f64::total_cmp);
    let bound = |q| quantile(&hits, q, Rule::Linear).unwrap_or_default();
    [0.025, 0.975].map(|q| bound(q) / right.len() as f64)
}

/// What a quantile is that falls between two values. The names are those of numpy's `method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Linear between the neighbours of `q * (n - 1)`: numpy's default. For intervals.
    Linear,
    /// The smallest value that at least a share `q` of all does not exceed: the nearest rank.
    /// For latencies: a percentile is one that was measured.
    InvertedCdf,
    /// The value nearest to `q * (n - 1)`, the upper of two as near. For the ranges of
    /// quantized tensors; at q and 1 - q it takes values as far from either end.
    Nearest,
}

/// The `q` quantile, 0 to 1, of values sorted in ascending order; `None` if there are none.
#[must_use]
pub fn quantile<T: Copy + Into<f64>>(sorted: &[T], q: f64, rule: Rule) -> Option<f64> {
    let at = |index: usize| sorted.get(index).map(|&value| value.into());
    let position = q * sorted.len().saturating_sub(1) as f64;
    match rule {
        Rule::Linear => {
            let (low, high) = (at(position.floor() as usize)?, at(position.ceil() as usize)?);
            Some(low + position.fract() * (high - low))
        }
        Rule::InvertedCdf => {
            let rank = (q * sorted.len() as f64).ceil() as usize;
            at(rank.saturating_sub(1))
        }
        Rule::Nearest => at(position.round() as usize),
    }
}

/// A track's probabilities `[classes]`: the mean over those of its patches,
/// `[patches, classes]` row by row. All 0 if there is no patch.
///
/// # Panics
/// If `classes` is 0 or the length is no multiple of it.
#[must_use]
pub fn mean_probabilities(patch_probabilities: &[f32], classes: usize) -> Vec<f32> {
    assert_eq!(patch_probabilities.len() % classes, 0, "one probability per patch and class");
    let patches = (patch_probabilities.len() / classes).max(1) as f64;
    // Summed in double precision, so that the order and number of patches do not matter.
    (0..classes)
        .map(|class| {
            let of_class = patch_probabilities.iter().skip(class).step_by(classes);
            (of_class.map(|&p| f64::from(p)).sum::<f64>() / patches) as f32
        })
        .collect()
}

/// Index of the largest value, the lowest of several; `None` if there is no value or any is NaN,
/// because a model that answers NaN has not answered.
#[must_use]
pub fn argmax(values: &[f32]) -> Option<usize> {
    let mut best = None;
    for (index, &value) in values.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|best: usize| value > values[best]) {
            best = Some(index);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    /// scikit-learn 1.9.1, `labels=range(5), zero_division=0`; macro-F1 without `labels`,
    /// so that class 4, which occurs nowhere, does not count, but class 3 does.
    #[test]
    fn figures_are_those_of_scikit_learn() {
        let truth = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3];
        let predictions = [0, 1, 0, 1, 1, 2, 0, 2, 1, 2];
        let e = evaluate(&truth, &predictions, 5, 0);
        near(e.accuracy, 0.6);
        near(e.macro_f1, 0.47619047619047616);
        assert_eq!(e.count, 10);
        assert_eq!(
            e.confusion,
            [[2, 1, 0, 0, 0], [0, 2, 0, 0, 0], [1, 1, 2, 0, 0], [0, 0, 1, 0, 0], [0; 5]]
        );
        let (third, half) = (2.0 / 3.0, 0.5);
        let expected = [
            (third, third, third, 3),
            (half, 1.0, third, 2),
            (third, half, 4.0 / 7.0, 4),
            (0.0, 0.0, 0.0, 1),
            (0.0, 0.0, 0.0, 0),
        ];
        for (score, (precision, recall, f1, support)) in e.per_genre.iter().zip(expected) {
            near(score.precision, precision);
            near(score.recall, recall);
            near(score.f1, f1);
            assert_eq!(score.support, support);
        }
    }

    /// A class that was predicted but never true counts with F1 0: (2/3 + 1 + 0) / 3.
    #[test]
    fn macro_f1_counts_a_class_that_is_only_predicted() {
        near(evaluate(&[0, 0, 1], &[0, 4, 1], 5, 0).macro_f1, 0.5555555555555555);
    }

    /// A resample of n tracks has a binomial number of hits; scipy's
    /// `binom.ppf([0.025, 0.975], 100, 0.8)` is 72 and 88, and numpy's bootstrap agrees.
    #[test]
    fn the_interval_is_the_binomials() {
        let truth = [0; 100];
        let predictions: Vec<_> = (0..100).map(|i| usize::from(i % 5 == 0)).collect();
        let [low, high] = evaluate(&truth, &predictions, 2, 7).interval;
        assert!((low - 0.72).abs() < 0.011 && (high - 0.88).abs() < 0.011, "{low} {high}");
        assert_eq!(evaluate(&truth, &predictions, 2, 7).interval, [low, high]);
    }

    /// `scipy.stats.binomtest(19, 19).proportion_ci(method="exact")` and the same of 0 of 19.
    #[test]
    fn all_right_and_all_wrong_have_an_interval_too() {
        let truth = [0; 19];
        let all = evaluate(&truth, &truth, 2, 7);
        near(all.interval[0], 0.8235330881930346);
        assert_eq!(all.interval[1], 1.0);
        let none = evaluate(&truth, &[1; 19], 2, 7);
        assert_eq!(none.interval[0], 0.0);
        near(none.interval[1], 0.1764669118069654);
        assert_eq!(evaluate(&[0], &[0], 2, 7).interval, [0.025, 1.0]);
        // An older version's file.
        for (now, before) in [(all, [1.0, 1.0]), (none, [0.0, 0.0])] {
            let mut old = serde_json::to_value(&now).unwrap();
            old["interval"] = serde_json::json!(before);
            assert_eq!(serde_json::from_value::<Evaluation>(old).unwrap(), now);
        }
    }

    /// `numpy.quantile(values, q, method=...)`.
    #[test]
    fn quantiles_are_those_of_numpy() {
        let few = [1.0, 2.0, 4.0, 8.0];
        near(quantile(&few, 0.025, Rule::Linear).unwrap(), 1.075);
        near(quantile(&few, 0.975, Rule::Linear).unwrap(), 7.7);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        let ranks = [0.5, 0.9, 0.99].map(|q| quantile(&hundred, q, Rule::InvertedCdf));
        assert_eq!(ranks, [50.0, 90.0, 99.0].map(Some));
        let five = [-1.0f32, 0.0, 1.0, 2.0, 3.0];
        let nearest = [0.0, 0.5, 0.7, 1.0].map(|q| quantile(&five, q, Rule::Nearest));
        assert_eq!(nearest, [-1.0, 1.0, 2.0, 3.0].map(Some));
    }

    #[test]
    fn rules_differ_between_two_values_only() {
        let two = [1.0, 2.0];
        let median = |rule| quantile(&two, 0.5, rule);
        assert_eq!(median(Rule::Linear), Some(1.5));
        assert_eq!(median(Rule::InvertedCdf), Some(1.0));
        assert_eq!(median(Rule::Nearest), Some(2.0));
        for rule in [Rule::Linear, Rule::InvertedCdf, Rule::Nearest] {
            assert_eq!([0.0, 1.0].map(|q| quantile(&two, q, rule)), [Some(1.0), Some(2.0)]);
            assert_eq!(quantile(&[7.0], 0.01, rule), Some(7.0));
            assert_eq!(quantile::<f64>(&[], 0.5, rule), None);
        }
    }

    #[test]
    fn no_tracks_give_zeros_that_survive_json() {
        let e = evaluate(&[], &[], 2, 0);
        assert_eq!((e.accuracy, e.macro_f1, e.interval, e.count), (0.0, 0.0, [0.0; 2], 0));
        let json = serde_json::to_string(&e).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&json).unwrap(), e);
    }

    #[test]
    fn a_track_is_the_mean_of_its_patches() {
        let patches = [0.5, 0.25, 0.25, 0.0, 0.75, 0.25];
        assert_eq!(mean_probabilities(&patches, 3), [0.25, 0.5, 0.25]);
        assert_eq!(mean_probabilities(&[], 2), [0.0, 0.0]);
    }

    #[test]
    fn argmax_takes_the_first_of_equals_and_nothing_beside_nan() {
        assert_eq!(argmax(&[0.1, 0.4, 0.4]), Some(1));
        assert_eq!(argmax(&[-0.0, 0.0]), Some(0));
        assert_eq!(argmax(&[f32::NEG_INFINITY; 2]), Some(0));
        assert_eq!(argmax(&[f32::NAN, 0.1, 0.2]), None);
        assert_eq!(argmax(&[0.1, f32::NAN]), None);
        assert_eq!(argmax(&[]), None);
    }
}
