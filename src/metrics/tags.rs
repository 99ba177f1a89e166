//! Any number of labels a track: how well each label's probabilities rank the tracks, and how right
//! they are from a threshold on.

use serde::{Deserialize, Serialize};

/// The threshold of a label for which none can be chosen.
pub const HALF: f32 = 0.5;

/// Figures of a set of predictions, several labels a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagEvaluation {
    /// Mean area under the ROC curve over the labels that some tracks have and some have not;
    /// none if there is no such label.
    pub macro_roc_auc: Option<f64>,
    /// Mean average precision over the labels that some track has; none if there is none.
    pub macro_average_precision: Option<f64>,
    /// Mean F1 at the thresholds, over the same labels.
    pub macro_f1: f64,
    /// One entry per label.
    pub per_tag: Vec<TagScore>,
    /// Number of tracks.
    pub count: usize,
}

/// Figures of one label; a ratio whose denominator is 0 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TagScore {
    /// Number of tracks that have it.
    pub support: usize,
    /// Area under the ROC curve; none if all tracks have the label or none has.
    pub roc_auc: Option<f64>,
    /// Average precision; none if no track has the label.
    pub average_precision: Option<f64>,
    /// The probability from which on a track is given the label.
    pub threshold: f32,
    /// Of the tracks given the label, the share that has it.
    pub precision: f64,
    /// Of the tracks that have the label, the share given it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

impl TagEvaluation {
    /// Labels that no track has: no macro mean counts them.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.per_tag.iter().filter(|tag| tag.support == 0).count()
    }
}

/// Scores `probabilities`, a row for each track, against the labels that tracks have, indices
/// below the number of `thresholds`.
///
/// # Panics
/// If `truth` and `probabilities` differ in length, or a row is shorter than `thresholds`.
#[must_use]
pub fn evaluate_tags(
    truth: &[&[usize]],
    probabilities: &[&[f32]],
    thresholds: &[f32],
) -> TagEvaluation {
    assert_eq!(truth.len(), probabilities.len(), "one row of probabilities per track");
    let tag = |(tag, threshold): (usize, &f32)| {
        let scores: Vec<f32> = probabilities.iter().map(|row| row[tag]).collect();
        let has: Vec<bool> = truth.iter().map(|labels| labels.contains(&tag)).collect();
        score(&scores, &has, *threshold)
    };
    let per_tag: Vec<TagScore> = thresholds.iter().enumerate().map(tag).collect();
    let mean = |of: fn(&TagScore) -> Option<f64>| {
        let values: Vec<f64> = per_tag.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    TagEvaluation {
        macro_roc_auc: mean(|tag| tag.roc_auc),
        macro_average_precision: mean(|tag| tag.average_precision),
        macro_f1: mean(|tag| (tag.support > 0).then_some(tag.f1)).unwrap_or_default(),
        per_tag,
        count: truth.len(),
    }
}

/// The macro average precision of such predictions, for which no threshold is needed.
#[must_use]
pub fn macro_average_precision(
    truth: &[&[usize]],
    probabilities: &[&[f32]],
    labels: usize,
) -> Option<f64> {
    evaluate_tags(truth, probabilities, &vec![HALF; labels]).macro_average_precision
}

fn score(scores: &[f32], truth: &[bool], threshold: f32) -> TagScore {
    let given: Vec<bool> = scores.iter().map(|score| *score >= threshold).collect();
    let count =
        |wanted: fn(&(&bool, &bool)) -> bool| given.iter().zip(truth).filter(wanted).count();
    let (hits, given) = (count(|(given, has)| **given && **has), count(|(given, _)| **given));
    let support = truth.iter().filter(|has| **has).count();
    let ratio = |part: usize, whole: usize| {
        if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
    };
    TagScore {
        support,
        roc_auc: roc_auc(scores, truth),
        average_precision: average_precision(scores, truth),
        threshold,
        precision: ratio(hits, given),
        recall: ratio(hits, support),
        f1: ratio(2 * hits, given + support),
    }
}

/// Places of the labels whose probability reaches their threshold, the most probable first.
#[must_use]
pub fn above(probabilities: &[f32], thresholds: &[f32]) -> Vec<usize> {
    let pairs = probabilities.iter().zip(thresholds).enumerate();
    let mut found: Vec<usize> =
        pairs.filter(|(_, (p, threshold))| p >= threshold).map(|(place, _)| place).collect();
    found.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    found
}

/// Positives and negatives of each group of equal scores, the highest score first.
fn ranked(scores: &[f32], truth: &[bool]) -> Vec<(f32, [usize; 2])> {
    let mut pairs: Vec<(f32, bool)> = scores.iter().copied().zip(truth.iter().copied()).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let group = |group: &[(f32, bool)]| {
        let positives = group.iter().filter(|(_, has)| *has).count();
        (group[0].0, [positives, group.len() - positives])
    };
    pairs.chunk_by(|a, b| a.0 == b.0).map(group).collect()
}

/// The area under the ROC curve: the chance that a positive has a higher score than a negative,
/// equal scores counting half, as scikit-learn's `roc_auc_score`. None where either is missing.
#[must_use]
pub fn roc_auc(scores: &[f32], truth: &[bool]) -> Option<f64> {
    let (mut above, mut area) = (0usize, 0.0);
    for (_, [positives, negatives]) in ranked(scores, truth) {
        area += negatives as f64 * (above as f64 + 0.5 * positives as f64);
        above += positives;
    }
    let pairs = above * (truth.len() - above);
    (pairs > 0).then(|| area / pairs as f64)
}

/// The mean of the precision at every positive, those of equal scores at the end of them, as
/// scikit-learn's `average_precision_score`. None where there is no positive.
#[must_use]
pub fn average_precision(scores: &[f32], truth: &[bool]) -> Option<f64> {
    let (mut hits, mut seen, mut sum) = (0usize, 0usize, 0.0);
    for (_, [positives, negatives]) in ranked(scores, truth) {
        hits += positives;
        seen += positives + negatives;
        sum += positives as f64 * hits as f64 / seen as f64;
    }
    (hits > 0).then(|| sum / hits as f64)
}

/// The threshold with the highest F1 on these tracks: in the middle between two scores, of
/// several the nearest to a half, and a half itself where it is as good. None where nothing can
/// be chosen: without a positive, or where all scores are equal.
#[must_use]
pub fn best_threshold(scores: &[f32], truth: &[bool]) -> Option<f32> {
    let groups = ranked(scores, truth);
    let support = truth.iter().filter(|has| **has).count();
    if support == 0 || groups.len() < 2 {
        return None;
    }
    let (mut hits, mut given) = (0, 0);
    let mut best: Option<(f64, f32)> = None;
    for (place, (score, [positives, negatives])) in groups.iter().enumerate() {
        hits += positives;
        given += positives + negatives;
        let f1 = 2.0 * hits as f64 / (given + support) as f64;
        // Every threshold above the next score, up to this one, gives these tracks the label.
        let below = groups.get(place + 1).map_or(0.0, |(next, _)| *next);
        let is_half = below < HALF && HALF <= *score;
        let threshold = if is_half { HALF } else { middle(below, *score) };
        let distance = |threshold: f32| (threshold - HALF).abs();
        let is_better = best.is_none_or(|(before, chosen)| {
            f1 > before || f1 == before && distance(threshold) < distance(chosen)
        });
        if is_better {
            best = Some((f1, threshold));
        }
    }
    best.map(|(_, threshold)| threshold)
}

/// Between two scores, but never the lower one.
fn middle(low: f32, high: f32) -> f32 {
    let middle = low + (high - low) / 2.0;
    if middle > low { middle } else { high }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scores with many ties, and what scikit-learn says of them; see `tests/fixtures/README.md`.
    #[derive(Deserialize)]
    struct Fixture {
        scores: Vec<Vec<f32>>,
        truth: Vec<Vec<usize>>,
        thresholds: Vec<f32>,
        roc_auc: Vec<Option<f64>>,
        average_precision: Vec<Option<f64>>,
        precision: Vec<f64>,
        recall: Vec<f64>,
        f1: Vec<f64>,
        macro_roc_auc: f64,
        macro_average_precision: f64,
        macro_f1: f64,
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn figures_are_those_of_scikit_learn() {
        let text = include_str!("../../tests/fixtures/multi_label.json");
        let wanted: Fixture = serde_json::from_str(text).unwrap();
        let truth: Vec<&[usize]> = wanted.truth.iter().map(Vec::as_slice).collect();
        let scores: Vec<&[f32]> = wanted.scores.iter().map(Vec::as_slice).collect();
        let found = evaluate_tags(&truth, &scores, &wanted.thresholds);
        for (tag, score) in found.per_tag.iter().enumerate() {
            assert_eq!(score.roc_auc.is_some(), wanted.roc_auc[tag].is_some(), "{tag}");
            near(score.roc_auc.unwrap_or(0.0), wanted.roc_auc[tag].unwrap_or(0.0));
            let average_precision = wanted.average_precision[tag];
            assert_eq!(score.average_precision.is_some(), average_precision.is_some(), "{tag}");
            near(score.average_precision.unwrap_or(0.0), average_precision.unwrap_or(0.0));
            near(score.precision, wanted.precision[tag]);
            near(score.recall, wanted.recall[tag]);
            near(score.f1, wanted.f1[tag]);
        }
        near(found.macro_roc_auc.unwrap(), wanted.macro_roc_auc);
        near(found.macro_average_precision.unwrap(), wanted.macro_average_precision);
        near(found.macro_f1, wanted.macro_f1);
        assert_eq!((found.left_out(), found.count), (1, truth.len()));
    }

    #[test]
    fn without_positives_or_negatives_there_is_nothing_to_rank() {
        assert_eq!(roc_auc(&[0.1, 0.2], &[true, true]), None);
        assert_eq!(average_precision(&[0.1, 0.2], &[true, true]), Some(1.0));
        assert_eq!(roc_auc(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(average_precision(&[0.1, 0.2], &[false, false]), None);
        assert_eq!((roc_auc(&[], &[]), average_precision(&[], &[])), (None, None));
    }

    #[test]
    fn a_threshold_is_a_half_where_that_is_as_good() {
        let of = |scores: &[f32], truth: &[bool]| best_threshold(scores, truth);
        assert_eq!(of(&[0.9, 0.2], &[true, false]), Some(0.5));
        assert_eq!(of(&[0.875, 0.625], &[true, false]), Some(0.75));
        assert_eq!(of(&[0.4, 0.25, 0.125], &[true, true, false]), Some(0.1875));
        assert_eq!(of(&[0.4, 0.2], &[true, true]), Some(0.1));
        assert_eq!(of(&[0.4, 0.2], &[false, false]), None);
        assert_eq!(of(&[0.3, 0.3], &[true, false]), None, "of equal scores nothing can be chosen");
        let next = f32::from_bits(0.7f32.to_bits() + 1);
        assert_eq!(of(&[next, 0.7], &[true, false]), Some(next));
    }

    #[test]
    fn labels_above_their_threshold_are_ranked() {
        assert_eq!(above(&[0.5, 0.9, 0.2, 0.4], &[0.5, 0.95, 0.1, 0.2]), [0, 3, 2]);
        assert!(above(&[0.1], &[0.5]).is_empty());
    }

    proptest! {
        /// No other threshold gives a higher F1.
        #[test]
        fn the_best_threshold_is_the_best(
            pairs in prop::collection::vec((0u8..12, any::<bool>()), 1..30)
        ) {
            let scores: Vec<f32> = pairs.iter().map(|(score, _)| f32::from(*score) / 11.0).collect();
            let truth: Vec<bool> = pairs.iter().map(|(_, has)| *has).collect();
            if let Some(threshold) = best_threshold(&scores, &truth) {
                let best = score(&scores, &truth, threshold).f1;
                for other in (0..=22).map(|at| at as f32 / 22.0) {
                    prop_assert!(score(&scores, &truth, other).f1 <= best + 1e-12);
                }
            }
        }
    }
}
