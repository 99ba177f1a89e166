//! Whether probabilities mean what they say: reliability, temperature, and sets that keep a
//! promise.
//!
//! Temperature scaling and the expected calibration error are Guo et al.'s (2017, "On Calibration
//! of Modern Neural Networks"); the sets are those of split conformal prediction, class by class
//! (Vovk 2012, "Conditional validity of inductive conformal predictors").

use serde::{Deserialize, Serialize};

use super::evaluation::argmax;

/// Bins of equal width of a [`Reliability`].
const BINS: usize = 10;
/// The least and the greatest temperature that is tried.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];
/// Steps of the search for it: each leaves 0.618 of what was there.
const STEPS: usize = 30;
/// Probabilities below are taken for this one.
pub const LEAST: f32 = 1e-30;

/// How often answers of a certain confidence are right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The expected calibration error: the mean over the answers of how far the share of right
    /// ones in their bin is from the mean confidence there; 0 to 1.
    pub error: f64,
    /// Ten bins of equal width, from confidence 0 to 1.
    pub bins: Vec<ReliabilityBin>,
}

/// The answers whose confidence falls into one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Answers.
    pub count: usize,
    /// Their mean confidence; 0 without any.
    pub confidence: f64,
    /// The share of right ones; 0 without any.
    pub accuracy: f64,
}

impl Reliability {
    /// Of answers, probabilities `[classes]` each with the right class.
    #[must_use]
    pub fn of<'a>(answers: impl IntoIterator<Item = (&'a [f32], usize)>) -> Self {
        let mut bins = vec![ReliabilityBin::default(); BINS];
        let mut total = 0;
        for (probabilities, label) in answers {
            let Some(best) = argmax(probabilities) else { continue };
            let confidence = f64::from(probabilities[best]);
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.count += 1;
            bin.confidence += confidence;
            bin.accuracy += f64::from(u8::from(best == label));
            total += 1;
        }
        let off: f64 = bins.iter().map(|bin| (bin.confidence - bin.accuracy).abs()).sum();
        for bin in &mut bins {
            let count = bin.count.max(1) as f64;
            (bin.confidence, bin.accuracy) = (bin.confidence / count, bin.accuracy / count);
        }
        Self { error: off / f64::from(total.max(1)), bins }
    }
}

/// Probabilities `[classes]` at a temperature: what a softmax gives for their logits divided by it.
/// Of a track these are the mean over its patches, which is less sure than the track deserves.
#[must_use]
pub fn tempered(probabilities: &[f32], temperature: f64) -> Vec<f32> {
    // Below 1e-30, where f32 ends, all are one.
    let logits = probabilities.iter().map(|p| f64::from(p.max(LEAST)).ln() / temperature);
    let logits: Vec<f64> = logits.collect();
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / sum) as f32).collect()
}

/// How surprising answers, probabilities `[classes]` each with the right class, are at a temperature:
/// the sum of minus the log of the right class's probability.
#[must_use]
pub fn surprise(answers: &[(&[f32], usize)], temperature: f64) -> f64 {
    let one = |(probabilities, label): &(&[f32], usize)| {
        -f64::from(tempered(probabilities, temperature)[*label].max(1e-12)).ln()
    };
    answers.iter().map(one).sum()
}

/// How far a temperature usually is from 1, in its logarithm, before any answer was seen.
const USUAL_SPREAD: f64 = 0.5;

/// The temperature at which answers, probabilities `[classes]` each with the right class, are least
/// surprising: the sum of minus the log of the right class's probability, and of what the temperature
/// itself surprises by. A few answers that all happen to be right would else make a model certain of
/// everything; of a hundred that second part is hardly to be seen. 1 without any.
#[must_use]
pub fn best_temperature(answers: &[(&[f32], usize)]) -> f64 {
    if answers.is_empty() {
        return 1.0;
    }
    let surprise = |log: f64| surprise(answers, log.exp()) + (log / USUAL_SPREAD).powi(2) / 2.0;
    // Golden section, in the logarithm.
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    let mut inner = [high - ratio * (high - low), low + ratio * (high - low)];
    let mut values = inner.map(surprise);
    for _ in 0..STEPS {
        if values[0] <= values[1] {
            high = inner[1];
            inner = [high - ratio * (high - low), inner[0]];
            values = [surprise(inner[0]), values[0]];
        } else {
            low = inner[0];
            inner = [inner[1], low + ratio * (high - low)];
            values = [values[1], surprise(inner[1])];
        }
    }
    ((low + high) / 2.0).exp()
}

/// The probability from which on a class is in the set of an answer, by class, such that the right
/// class is in it with probability `coverage`. `scores` are, by class, the probabilities that
/// tracks of it, not learned from, were given of being it.
///
/// A class with too few tracks to promise this takes the threshold of all tracks together, whose
/// coverage holds on average over the classes; if these are too few as well it is 0, and every set
/// has it.
#[must_use]
pub fn set_thresholds(scores: &[Vec<f32>], coverage: f64) -> Vec<f32> {
    let pooled: Vec<f32> = scores.concat();
    let of_all = set_threshold(&pooled, coverage).unwrap_or(0.0);
    scores.iter().map(|scores| set_threshold(scores, coverage).unwrap_or(of_all)).collect()
}

/// The threshold that these alone allow; none if they are too few.
#[must_use]
pub fn set_threshold(scores: &[f32], coverage: f64) -> Option<f32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    // Of n + 1 tracks in any order, this one among them, so many are in the set.
    let rank = ((sorted.len() + 1) as f64 * coverage - 1e-9).ceil() as usize;
    sorted.len().checked_sub(rank).and_then(|place| sorted.get(place).copied())
}

/// The classes in the set of an answer, as indices.
#[must_use]
pub fn prediction_set(probabilities: &[f32], thresholds: &[f32]) -> Vec<usize> {
    let pairs = probabilities.iter().zip(thresholds).enumerate();
    pairs.filter(|(_, (p, least))| p >= least).map(|(class, _)| class).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_error_is_the_gap_between_confidence_and_accuracy() {
        let sure = [0.95f32, 0.05];
        let answers = [(&sure[..], 0), (&sure, 0), (&sure, 1), (&sure, 1)];
        let found = Reliability::of(answers);
        assert!((found.error - 0.45).abs() < 1e-6, "{found:?}");
        assert_eq!(found.bins[9].count, 4);
        assert!((found.bins[9].accuracy - 0.5).abs() < 1e-9);
        assert_eq!(Reliability::of([]).error, 0.0);
    }

    #[test]
    fn the_temperature_that_was_put_in_is_found() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for wanted in [0.5, 1.0, 3.0] {
            let mut tracks = vec![];
            for _ in 0..4000 {
                let logits: Vec<f32> = (0..4).map(|_| random.random_range(-3.0..3.0)).collect();
                let powers: Vec<f32> = logits.iter().map(|logit| logit.exp()).collect();
                let honest: Vec<f32> =
                    powers.iter().map(|p| p / powers.iter().sum::<f32>()).collect();
                let mut draw = random.random_range(0.0..1.0);
                let label = honest.iter().position(|p| {
                    draw -= p;
                    draw < 0.0
                });
                // What a network says that is too sure, or not sure enough.
                tracks.push((tempered(&honest, 1.0 / wanted), label.unwrap_or(3)));
            }
            let tracks: Vec<_> = tracks.iter().map(|(rows, label)| (&rows[..], *label)).collect();
            let found = best_temperature(&tracks);
            assert!((found / wanted - 1.0).abs() < 0.08, "{found} for {wanted}");
        }
        assert_eq!(best_temperature(&[]), 1.0);
    }

    /// Three tracks to calibrate on are no reason to be certain of all others.
    #[test]
    fn a_few_right_answers_make_nobody_certain() {
        let sure = [0.6f32, 0.4];
        let answers = |count| vec![(&sure[..], 0); count];
        let (few, many) = (best_temperature(&answers(3)), best_temperature(&answers(300)));
        assert!(few > 0.5 && many < 0.2, "{few} {many}");
    }

    #[test]
    fn temperature_one_changes_nothing() {
        let rows = [0.7f32, 0.3, 0.0];
        for (given, wanted) in tempered(&rows, 1.0).iter().zip(rows) {
            assert!((given - wanted).abs() < 1e-6);
        }
        let flat = tempered(&rows, 2.0);
        assert!(flat[0] < 0.7 && flat[0] > flat[1], "{flat:?}");
    }

    #[test]
    fn a_threshold_promises_only_what_its_tracks_allow() {
        let nine: Vec<f32> = (1..=9).map(|p| p as f32 / 10.0).collect();
        assert_eq!(set_threshold(&nine, 0.9), Some(0.1), "the least of nine");
        assert_eq!(set_threshold(&nine[..8], 0.9), None, "eight cannot promise 90 %");
        assert_eq!(set_threshold(&nine, 0.5), Some(0.5));
        assert_eq!(set_threshold(&[], 0.9), None);
        let thresholds = set_thresholds(&[nine.clone(), vec![0.9]], 0.9);
        assert_eq!(thresholds, [0.1, 0.1], "too few take that of all");
        assert_eq!(set_thresholds(&[vec![0.5], vec![0.9]], 0.9), [0.0, 0.0]);
        assert_eq!(prediction_set(&[0.3, 0.05], &[0.1, 0.1]), [0]);
    }

    /// On tracks like those it was made from, the promise holds.
    #[test]
    fn the_stated_coverage_is_kept() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (mut held, mut asked) = (0, 0);
        for _ in 0..300 {
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| random.random_range(0.0f32..1.0).sqrt()).collect()
            };
            let least = set_threshold(&draw(40), 0.9).unwrap();
            let tested = draw(20);
            held += tested.iter().filter(|p| **p >= least).count();
            asked += tested.len();
        }
        let coverage = held as f64 / asked as f64;
        assert!((0.885..0.925).contains(&coverage), "{coverage}");
    }
}
