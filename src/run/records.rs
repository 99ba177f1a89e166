//! What runs of every kind say of themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::{Evaluation, TagEvaluation};

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
    /// Whether copies were allowed on both sides of the split, to see what that does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub copies_allowed: bool,
    /// Tested tracks of which a copy was learned from.
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
    /// By track, a track being the mean over its patches, arithmetic or geometric as it was chosen
    /// on held-out tracks.
    pub tracks: Evaluation,
    /// The share of single patches (of a baseline: rows) given the right genre.
    #[serde(default)]
    pub patch_accuracy: f64,
    /// Patches.
    #[serde(default)]
    pub patches: usize,
}

/// Results of one part of the split, several labels a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagMetrics {
    /// By track, a track being the mean over its patches, arithmetic or geometric as it was chosen
    /// on held-out tracks.
    pub tags: TagEvaluation,
    /// Patches.
    #[serde(default)]
    pub patches: usize,
}

/// Results of one part of the split, whatever is told of a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Written")]
pub enum TaskMetrics {
    /// Its one genre.
    SingleLabel(PartMetrics),
    /// All labels that it has.
    MultiLabel(TagMetrics),
}

impl TaskMetrics {
    /// Of one genre a track.
    #[must_use]
    pub fn single_label(&self) -> Option<&PartMetrics> {
        match self {
            Self::SingleLabel(metrics) => Some(metrics),
            Self::MultiLabel(_) => None,
        }
    }

    /// Of several labels a track.
    #[must_use]
    pub fn multi_label(&self) -> Option<&TagMetrics> {
        match self {
            Self::SingleLabel(_) => None,
            Self::MultiLabel(metrics) => Some(metrics),
        }
    }

    /// How many tracks it is about.
    #[must_use]
    pub fn tracks(&self) -> usize {
        match self {
            Self::SingleLabel(metrics) => metrics.tracks.count,
            Self::MultiLabel(metrics) => metrics.tags.count,
        }
    }
}

/// Either kind of results as a file has them.
#[derive(Deserialize)]
struct Written {
    tracks: Option<Evaluation>,
    tags: Option<TagEvaluation>,
    #[serde(default)]
    patch_accuracy: f64,
    #[serde(default)]
    patches: usize,
}

impl TryFrom<Written> for TaskMetrics {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { tracks, tags, patch_accuracy, patches } = written;
        match (tracks, tags) {
            (_, Some(tags)) => Ok(Self::MultiLabel(TagMetrics { tags, patches })),
            (Some(tracks), None) => {
                Ok(Self::SingleLabel(PartMetrics { tracks, patch_accuracy, patches }))
            }
            (None, None) => Err("missing field `tracks`"),
        }
    }
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

/// One test track's prediction, several labels a track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagPrediction {
    /// The track.
    pub track: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The labels whose probability reaches their threshold, the most probable first.
    pub predicted: Vec<String>,
    /// Mean probabilities, in the order of the labels.
    pub probabilities: Vec<f32>,
}

/// The predictions of all test tracks, whatever is told of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Predictions {
    /// One genre each.
    SingleLabel(Vec<Prediction>),
    /// All labels of each.
    MultiLabel(Vec<TagPrediction>),
}

/// Loss and quality over tracks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean of minus the log of the right genre's probability; of several labels a track, the
    /// binary cross-entropy that is learned from, of the tracks' mean probabilities.
    pub loss: f64,
    /// What it comes to.
    #[serde(flatten)]
    pub quality: Quality,
}

/// How good predictions are, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// The share of tracks given the right genre.
    Accuracy(f64),
    /// The macro average precision over labels.
    AveragePrecision(f64),
}

impl Quality {
    /// The figure.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Accuracy(value) | Self::AveragePrecision(value) => value,
        }
    }

    /// What the figure is.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "accuracy",
            Self::AveragePrecision(_) => "macro AP",
        }
    }

    fn with(self, value: f64) -> Self {
        match self {
            Self::Accuracy(_) => Self::Accuracy(value),
            Self::AveragePrecision(_) => Self::AveragePrecision(value),
        }
    }
}

impl Score {
    /// Of one genre a track.
    #[must_use]
    pub fn of_genres(loss: f64, accuracy: f64) -> Self {
        Self { loss, quality: Quality::Accuracy(accuracy) }
    }

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
        let (first, _) = groups.first()?;
        let quality = first.quality.with(mean(|score| score.quality.value()));
        (count > 0.0).then(|| Self { loss: mean(|score| score.loss), quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_says_what_its_quality_is() {
        let accuracy = r#"{"loss":0.25,"accuracy":1.0}"#;
        let precision = r#"{"loss":0.25,"average_precision":0.5}"#;
        for (text, quality) in
            [(accuracy, Quality::Accuracy(1.0)), (precision, Quality::AveragePrecision(0.5))]
        {
            let score = Score { loss: 0.25, quality };
            assert_eq!(serde_json::to_string(&score).unwrap(), text);
            assert_eq!(serde_json::from_str::<Score>(text).unwrap(), score);
        }
        let old = r#"{"loss":1,"accuracy":1}"#;
        assert_eq!(serde_json::from_str::<Score>(old).unwrap(), Score::of_genres(1.0, 1.0));
    }

    #[test]
    fn results_are_of_genres_or_of_labels() {
        let error = serde_json::from_str::<TaskMetrics>("{}").unwrap_err().to_string();
        assert!(error.contains("missing field `tracks`"), "{error}");
        let text = r#"{"tags":{"macro_roc_auc":null,"macro_average_precision":0.5,"macro_f1":0.25,"per_tag":[{"support":1,"roc_auc":null,"average_precision":0.5,"threshold":0.3,"precision":0.0,"recall":0.0,"f1":0.0}],"count":1},"patches":3}"#;
        let metrics: TaskMetrics = serde_json::from_str(text).unwrap();
        assert_eq!(metrics.multi_label().unwrap().tags.per_tag[0].threshold, 0.3);
        assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
    }
}
