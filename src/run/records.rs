//! What runs of every kind say of themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::Evaluation;

/// What kind of model a run has trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A classical model on hand-made features.
    Baseline,
    /// A convolutional network trained from scratch.
    Cnn,
    /// A head on a pretrained network.
    FineTuned,
}

impl Kind {
    /// All kinds, in the order of the report.
    #[doc(hidden)]
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Cnn, Self::FineTuned];

    /// The kind in the plural, for captions.
    #[must_use]
    #[doc(hidden)]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baselines on hand-made features",
            Self::Cnn => "CNNs trained from scratch",
            Self::FineTuned => "pretrained backbones",
        }
    }
}

/// Which network a run has kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// The head on the backbone as it came.
    #[default]
    #[serde(rename = "frozen")]
    Frozen,
    /// The one whose last layers were trained too.
    #[serde(rename = "unfrozen")]
    Unfrozen,
    /// A CNN, which had no other to be compared with.
    #[serde(rename = "trained from scratch")]
    FromScratch,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Frozen => "frozen",
            Self::Unfrozen => "unfrozen",
            Self::FromScratch => "trained from scratch",
        })
    }
}

/// The collection a model was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingData {
    /// The folder's name, or `demo` for the synthesized set; of a baseline, its table's.
    pub name: String,
    /// Digest over all file names and contents.
    pub fingerprint: String,
    /// Tracks used.
    pub tracks: usize,
    /// Files left out because they could not be read.
    pub skipped: usize,
    /// Tracks that are copies of one recording, in pairs: the same under other tags, or near
    /// copies that sound alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<[String; 2]>,
    /// Tested tracks of which a copy was learned from, where that was allowed.
    #[serde(skip_serializing_if = "is_zero")]
    pub leaks: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Results of one part of the split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartMetrics {
    /// By track, a track being the mean of its patches' probabilities.
    pub tracks: Evaluation,
    /// The share of single patches (of a baseline: rows) given the right genre.
    #[serde(default)]
    pub patch_accuracy: f64,
    /// Patches.
    #[serde(default)]
    pub patches: usize,
}

/// Results of a cross-validation, every track tested once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// What was trained on each fold: a head on the frozen backbone, even where the run's own
    /// model has unfrozen layers.
    #[serde(default)]
    pub model: Kept,
    /// Track accuracy of each fold.
    pub folds: Vec<f64>,
    /// All folds' test tracks together.
    pub pooled: PartMetrics,
}

/// One test track's prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The track.
    pub track: String,
    /// Its genre.
    pub genre: String,
    /// The genre it was given.
    pub predicted: String,
    /// Mean probabilities, in the order of the labels.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// Whether the genre was found.
    #[must_use]
    pub(crate) fn is_right(&self) -> bool {
        self.genre == self.predicted
    }

    /// The probability of the genre it was given.
    #[must_use]
    pub(crate) fn confidence(&self) -> f32 {
        self.probabilities.iter().copied().fold(0.0, f32::max)
    }
}

/// Loss and accuracy over tracks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean of minus the log of the right genre's probability.
    pub loss: f64,
    /// The share of tracks given the right genre.
    pub accuracy: f64,
}

impl Score {
    /// The loss to compare by: infinite where there is no score, so that every score is better.
    #[must_use]
    #[doc(hidden)]
    pub fn loss_of(score: Option<Self>) -> f64 {
        score.map_or(f64::INFINITY, |score| score.loss)
    }

    /// The score of several groups of tracks together, from theirs and their sizes; none if
    /// there are no tracks.
    #[must_use]
    pub(crate) fn pooled(groups: &[(Self, usize)]) -> Option<Self> {
        let count = groups.iter().map(|(_, tracks)| *tracks as f64).sum::<f64>();
        let mean = |value: fn(&Self) -> f64| {
            groups.iter().map(|(score, n)| value(score) * *n as f64).sum::<f64>() / count
        };
        let pooled = Self { loss: mean(|score| score.loss), accuracy: mean(|s| s.accuracy) };
        (count > 0.0).then_some(pooled)
    }
}
