//! What a classifier answers.

use serde::Serialize;

use super::judge::{Judge, Judged};
use super::model::Scored;
use crate::audio::Note;
use crate::features::{Seen, Windows};
use crate::metrics::above;

/// What is told of a recording that is none of the genres.
const UNKNOWN: &str = "unknown";

/// What a recording sounds like.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// The length of the recording; 0 of a picture, which does not say it.
    pub seconds: f64,
    /// Whether it was shorter than a patch and silence made up for the rest; of a picture, whether it
    /// was stretched.
    pub padded: bool,
    /// Whether nothing in it moves by more than -80 dB of full scale, be it silence or a constant
    /// voltage: its probabilities say nothing, and it has no genre.
    pub silent: bool,
    /// What is odd about the recording.
    pub notes: Vec<Note>,
    /// A probability for every label of the model: the mean over the patches, calibrated where the
    /// model's file says how.
    pub probabilities: Vec<f32>,
    /// What another program gets that averages what the file answers for the patches, or asks a
    /// file for whole recordings: calibrated in the second case only.
    pub averaged: Vec<f32>,
    /// The labels, as indices, among which the right one is with the probability that the file
    /// promises; none if it promises nothing.
    pub set: Option<Vec<usize>>,
    /// The share of known recordings that are more like those the model has learned from; none if
    /// its file does not tell.
    pub outsider: Option<f32>,
    /// Whether it is none of the genres, as far as that can be told: it is less like what was
    /// learned from than 95 % of known recordings, or no genre is in its set; or with a
    /// [least confidence](super::options::Options::min_confidence), no probability reaches it.
    pub unknown: bool,
    /// The probabilities over time, not calibrated; of a picture, which does not say its time, one row.
    pub timeline: Timeline,
    /// How a picture was read; none of a recording.
    pub picture: Option<Seen>,
}

#[cfg(test)]
impl Default for Classification {
    fn default() -> Self {
        Self {
            seconds: 0.0,
            padded: false,
            silent: false,
            notes: vec![],
            probabilities: vec![],
            averaged: vec![],
            set: None,
            outsider: None,
            unknown: false,
            timeline: Timeline::of(1.0, 1.0, 1, &[]),
            picture: None,
        }
    }
}

/// A stretch of a recording, as long as the model takes at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Patch {
    /// Where it begins, in seconds.
    pub start: f64,
    /// How long it is, in seconds.
    pub seconds: f64,
    /// A probability for every label of the model.
    pub probabilities: Vec<f32>,
}

/// Probabilities over time, a row for every patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Seconds from one patch to the next.
    pub hop: f64,
    /// Seconds that a patch is long.
    pub patch: f64,
    classes: usize,
    /// `[patches, classes]`.
    probabilities: Vec<f32>,
}

impl Classification {
    /// The same of a picture that was read so.
    pub(super) fn of_picture(self, seen: Seen) -> Self {
        // It does not say its time.
        let probabilities = self.averaged.clone();
        let timeline = Timeline { probabilities, ..self.timeline };
        Self { timeline, picture: Some(seen), ..self }
    }

    /// The most probable label, as an index.
    pub fn best(&self) -> usize {
        self.ranking().first().copied().unwrap_or(0)
    }

    /// The most probable label, as an index; none of a silent recording, and of an unknown one.
    pub fn genre(&self) -> Option<usize> {
        (!self.silent && !self.unknown).then(|| self.best())
    }

    /// What is told of one genre: its label, or `unknown`; none of a silent recording.
    pub(super) fn told<'a>(&self, label: impl Fn(usize) -> &'a str) -> Option<&'a str> {
        match self {
            Self { silent: true, .. } => None,
            Self { unknown: true, .. } => Some(UNKNOWN),
            _ => Some(label(self.best())),
        }
    }

    /// The labels whose probabilities reach their thresholds, as indices, the most probable first:
    /// what a model with [thresholds](crate::Classifier::thresholds) tells. None of a silent
    /// recording.
    pub fn above(&self, thresholds: &[f32]) -> Vec<usize> {
        if self.silent { vec![] } else { above(&self.probabilities, thresholds) }
    }

    /// All labels as indices, the most probable one first.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        order.sort_by(|&a, &b| self.probabilities[b].total_cmp(&self.probabilities[a]));
        order
    }

    /// The probabilities of every whole or begun second, `[seconds][classes]`: means over the
    /// patches that lie in it, by how much of it they cover. Where no patch reaches, it has those
    /// of the patch before. Empty if there is no timeline.
    pub fn by_second(&self) -> Vec<Vec<f32>> {
        self.timeline.by_second(self.seconds)
    }
}

impl Timeline {
    #[cfg(test)]
    pub(super) fn of(hop: f64, patch: f64, classes: usize, rows: &[f32]) -> Self {
        Self { hop, patch, classes, probabilities: rows.to_vec() }
    }

    /// The number of patches.
    pub fn len(&self) -> usize {
        self.probabilities.len() / self.classes
    }

    /// Whether there is no patch: every classifier answers with at least one, and what was kept
    /// of an earlier run has none.
    pub fn is_empty(&self) -> bool {
        self.probabilities.is_empty()
    }

    /// The patches, one after the other.
    pub fn patches(&self) -> impl ExactSizeIterator<Item = Patch> {
        self.probabilities.chunks_exact(self.classes).enumerate().map(|(place, row)| Patch {
            start: place as f64 * self.hop,
            seconds: self.patch,
            probabilities: row.to_vec(),
        })
    }

    fn by_second(&self, seconds: f64) -> Vec<Vec<f32>> {
        let count = if self.is_empty() { 0 } else { (seconds.ceil() as usize).max(1) };
        (0..count).map(|second| self.mean_in(second as f64, second as f64 + 1.0)).collect()
    }

    /// The mean over the patches between two times.
    fn mean_in(&self, from: f64, to: f64) -> Vec<f32> {
        let last = self.len().saturating_sub(1);
        // The first patch that ends after `from`.
        let mut place = (((from - self.patch) / self.hop).floor().max(0.0) as usize).min(last);
        let (mut sums, mut weight) = (vec![0.0; self.classes], 0.0);
        while place <= last && place as f64 * self.hop < to {
            let start = place as f64 * self.hop;
            let inside = (start + self.patch).min(to) - start.max(from);
            // An absolute floor keeps rounding from making a patch that only touches count.
            if inside > 1e-9 {
                let row = &self.probabilities[place * self.classes..][..self.classes];
                sums.iter_mut().zip(row).for_each(|(sum, p)| *sum += inside * f64::from(*p));
                weight += inside;
            }
            place += 1;
        }
        if weight > 0.0 {
            sums.into_iter().map(|sum| (sum / weight) as f32).collect()
        } else {
            let begun = ((to / self.hop).ceil() as usize).clamp(1, last + 1);
            self.probabilities[(begun - 1) * self.classes..][..self.classes].to_vec()
        }
    }
}

/// What a model says of patches, being gathered.
pub(super) struct Scores {
    timeline: Timeline,
    /// The sum of the patches' projections.
    projected: Vec<f64>,
}

impl Scores {
    pub fn new(windows: &Windows, classes: usize) -> Self {
        let timeline = Timeline {
            hop: windows.hop_seconds(),
            patch: windows.patch_seconds,
            classes,
            probabilities: vec![],
        };
        Self { timeline, projected: vec![] }
    }

    /// Of a picture's patches.
    pub fn of_picture(classes: usize, scored: &Scored) -> Self {
        let timeline = Timeline { hop: 1.0, patch: 1.0, classes, probabilities: vec![] };
        let mut scores = Self { timeline, projected: vec![] };
        scores.add(scored);
        scores
    }

    /// Takes what is said of the next patches.
    pub fn add(&mut self, Scored { probabilities, projected }: &Scored) {
        let patches = probabilities.len() / self.timeline.classes;
        let directions = projected.len() / patches.max(1);
        self.projected.resize(directions.max(self.projected.len()), 0.0);
        for row in projected.chunks_exact(directions.max(1)) {
            self.projected.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        self.timeline.probabilities.extend_from_slice(probabilities);
    }

    pub fn finish(self, judge: &Judge, seconds: f64, padded: bool, silent: bool) -> Classification {
        let Self { timeline, projected } = self;
        let count = timeline.len().max(1) as f64;
        let projected: Vec<f32> = projected.into_iter().map(|sum| (sum / count) as f32).collect();
        let judged = judge.judge(&timeline.probabilities, timeline.classes, &projected);
        let Judged { probabilities, averaged, set, outsider, unknown } = judged;
        // What is heard of nothing promises nothing.
        let (set, outsider) = (set.filter(|_| !silent), outsider.filter(|_| !silent));
        Classification {
            seconds,
            padded,
            silent,
            notes: vec![],
            probabilities,
            averaged,
            set,
            outsider,
            unknown,
            timeline,
            picture: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(hop: f64, patch: f64, rows: &[[f32; 2]]) -> Timeline {
        Timeline::of(hop, patch, 2, &rows.concat())
    }

    #[test]
    fn a_second_is_the_mean_of_the_patches_in_it() {
        // Patches of 2 s without overlap over 5 s: the last second has none.
        let long = timeline(2.0, 2.0, &[[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(
            long.by_second(4.5),
            [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
        );
        // Patches of 1 s every third second: the gaps have the patch before them.
        let gaps = timeline(3.0, 1.0, &[[1.0, 0.0], [0.0, 1.0]]);
        let wanted = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        assert_eq!(gaps.by_second(5.0), wanted);
        // Patches of 1 s every half second: the second one covers half of seconds 0 and 1.
        let short = timeline(0.5, 1.0, &[[1.0, 0.0], [0.4, 0.6], [0.0, 1.0]]);
        let seconds = short.by_second(2.0);
        assert!((seconds[0][0] - (1.0 + 0.5 * 0.4) / 1.5).abs() < 1e-6, "{seconds:?}");
        assert!((seconds[1][0] - 0.5 * 0.4 / 1.5).abs() < 1e-6, "{seconds:?}");
    }

    #[test]
    fn shorter_than_a_second_is_a_second() {
        assert_eq!(timeline(0.48, 0.96, &[[0.3, 0.7]]).by_second(0.01), [[0.3, 0.7]]);
    }

    #[test]
    fn the_ranking_puts_the_most_probable_first() {
        let timeline = timeline(1.0, 1.0, &[[0.2, 0.4], [0.4, 0.2]]);
        let answer =
            Scores { timeline, projected: vec![] }.finish(&Judge::default(), 2.0, false, false);
        assert_eq!(answer.best(), 0, "of equals the first");
        assert_eq!(answer.ranking(), [0, 1]);
        assert!((answer.probabilities[0] - 0.3).abs() < 1e-6);
    }
}
