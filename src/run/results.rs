//! `metrics.json` of a network, fine-tuned or trained from scratch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::architecture::CnnConfig;
use super::records::{CrossValidation, Kept, Kind, Score, TaskMetrics, TrainingData};
use super::trust::CalibrationMetrics;
use crate::dataset::source::Source;
use crate::features::Recognized;

/// `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The collection.
    #[serde(default)]
    pub data: TrainingData,
    /// The backbone; none for CNNs of our own.
    #[serde(default)]
    pub backbone: Option<BackboneSource>,
    /// What is to be said of CNNs of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnn: Option<CnnMetrics>,
    /// Layers of the backbone that were trained; none for a frozen one.
    #[serde(default)]
    pub unfrozen_layers: usize,
    /// Parameters of backbone and head (of the head alone where the backbone stays an ONNX
    /// file).
    #[serde(default)]
    pub parameters: usize,
    /// The proof of the import into burn, where there was one.
    #[serde(default)]
    pub import: Option<Proof>,
    /// Validation score of the trained head on the frozen backbone.
    #[serde(default)]
    pub frozen_validation: Option<Score>,
    /// Validation score with unfrozen layers, where they were trained.
    #[serde(default)]
    pub unfrozen_validation: Option<Score>,
    /// How fast the unfrozen layers learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfrozen_speed: Option<Speed>,
    /// How far the weights of the unfrozen network lie from those that it started with, 0, to those
    /// that it learned, 1; none in runs older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfrozen_share: Option<f64>,
    /// Which of the two was kept.
    #[serde(default)]
    pub kept: Kept,
    /// Whether it was said which of the two to keep; if not, it was the one with the lower
    /// validation loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_as_asked: bool,
    /// The test part.
    pub test: TaskMetrics,
    /// The cross-validation, where one was asked for.
    #[serde(default)]
    pub cross_validation: Option<CrossValidation>,
    /// What the test part says of the probabilities; none of several labels a track, and where there
    /// were too few tracks to calibrate on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationMetrics>,
    /// Wall-clock seconds from the first file to the trained model.
    #[serde(default)]
    pub seconds: f64,
}

impl Metrics {
    /// What the model is called in reports: its backbone, or `cnn` with the preset's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match (&self.backbone, &self.cnn) {
            (Some(backbone), _) => &backbone.name,
            (None, Some(cnn)) => &cnn.name,
            (None, None) => "model",
        }
    }

    /// Whether it is a CNN of our own or a head on a backbone.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        if self.cnn.is_some() { Kind::Cnn } else { Kind::FineTuned }
    }
}

/// Name, licence and digest of a backbone, carried along into everything trained from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackboneSource {
    /// `vggish`, `yamnet`, `musicnn`, or the file's name.
    pub name: String,
    /// The licence as an SPDX identifier, or what is known of it.
    #[serde(default)]
    pub license: String,
    /// SHA-256 of the file.
    #[serde(default)]
    pub sha256: String,
}

/// How well an imported module agrees with the file it came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The largest absolute difference over the probe batch's outputs.
    pub max_abs_difference: f32,
    /// The output's largest absolute value.
    pub largest_value: f32,
}

impl Proof {
    /// How far `ours` is from `theirs`, output by output.
    #[must_use]
    pub(crate) fn of(ours: &[f32], theirs: &[f32]) -> Self {
        let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
        Self {
            // `f32::max` would swallow a NaN, which must fail the proof instead.
            max_abs_difference: differences
                .fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m }),
            largest_value: theirs.iter().fold(0.0, |m, v| m.max(v.abs())),
        }
    }

    /// The difference relative to the largest value.
    #[must_use]
    #[doc(hidden)]
    pub fn relative(&self) -> f32 {
        self.max_abs_difference / self.largest_value.max(f32::MIN_POSITIVE)
    }
}

/// What is to be said of CNNs of our own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CnnMetrics {
    /// What the model is called in reports: the preset's name, or `cnn`.
    #[serde(default = "unnamed")]
    pub name: String,
    /// What it learned from.
    pub source: Source,
    /// What its pictures were recognized as, those of the most common kind first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<Recognized>,
    /// The architecture.
    #[serde(default)]
    pub architecture: CnnConfig,
    /// The networks that early stopping chose, one for each fold; where each was trained again, not
    /// those in use.
    #[serde(default)]
    pub members: Vec<MemberMetrics>,
    /// Score on all validation tracks; with folds, on all of the 80 %, each track scored by
    /// the network that has not seen it.
    #[serde(default)]
    pub validation: Option<Score>,
    /// The run whose probabilities were learned from.
    #[serde(default)]
    pub teacher: Option<String>,
    /// How often the test part of this split was looked at, this time included.
    #[serde(default)]
    pub test_uses: usize,
}

fn unnamed() -> String {
    "cnn".to_owned()
}

/// What is to be said of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberMetrics {
    /// Score on its validation tracks.
    pub validation: Option<Score>,
    /// The epoch it was taken from.
    pub epoch: usize,
    /// How fast it learned.
    #[serde(default)]
    pub speed: Speed,
}

/// Where the time of training went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Patches learned from.
    pub examples: usize,
    /// Seconds of training steps, without validation.
    pub seconds: f64,
    /// Of those, seconds spent waiting for data.
    pub waiting: f64,
}

impl Speed {
    /// Patches learned from in a second.
    #[must_use]
    #[doc(hidden)]
    pub fn examples_per_second(&self) -> f64 {
        self.examples as f64 / self.seconds.max(1e-9)
    }

    /// The share of the time spent waiting for data.
    #[must_use]
    #[doc(hidden)]
    pub fn waiting_share(&self) -> f64 {
        self.waiting / self.seconds.max(1e-9)
    }

    /// Counts `examples` learned from in `time`, `waiting` of it for data.
    pub(crate) fn add(&mut self, examples: usize, time: Duration, waiting: Duration) {
        self.examples += examples;
        self.seconds += time.as_secs_f64();
        self.waiting += waiting.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Results of a run of the first version, without what came later.
    fn old(more: Value) -> Metrics {
        let mut metrics = json!({"test": {"tracks": {"accuracy": 0.5, "macro_f1": 0.5,
            "confusion": [[1]], "per_genre": [], "interval": [0.5, 0.5], "count": 1}}});
        metrics.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(metrics).unwrap()
    }

    #[test]
    fn a_fine_tuned_run_of_an_old_version_opens() {
        let tracks = json!({"accuracy": 1.0, "macro_f1": 1.0, "confusion": [[2]], "per_genre": [],
            "interval": [1.0, 1.0], "count": 2});
        let metrics = old(json!({
            "backbone": {"name": "yamnet"},
            // Written before the field `model`.
            "cross_validation": {"folds": [1.0], "pooled": {"tracks": tracks}},
        }));
        assert_eq!((metrics.name(), metrics.kind()), ("yamnet", Kind::FineTuned));
        assert_eq!((metrics.kept, metrics.parameters, metrics.seconds), (Kept::Frozen, 0, 0.0));
        assert_eq!(metrics.cross_validation.unwrap().model, Kept::Frozen);
    }

    #[test]
    fn a_cnn_of_an_old_version_opens() {
        let cnn = json!({"source": "pictures", "members": [{"validation": null, "epoch": 3}]});
        let metrics = old(json!({"cnn": cnn, "kept": "trained from scratch"}));
        assert_eq!((metrics.name(), metrics.kind()), ("cnn", Kind::Cnn));
        let cnn = metrics.cnn.unwrap();
        assert_eq!((cnn.source, cnn.test_uses), (Source::Pictures, 0));
        assert_eq!(cnn.architecture, CnnConfig::default());
    }

    #[test]
    fn what_is_written_has_the_words_and_the_order_of_old() {
        let metrics = old(json!({"kept": "unfrozen", "parameters": 7, "seconds": 1.5}));
        let text = serde_json::to_string(&metrics).unwrap();
        let keys = [
            "data",
            "backbone",
            "unfrozen_layers",
            "parameters",
            "import",
            "frozen_validation",
            "unfrozen_validation",
            "kept",
            "test",
            "cross_validation",
            "seconds",
        ];
        let places = keys.map(|key| text.find(&format!("\"{key}\":")).expect(key));
        assert!(places.is_sorted() && !text.contains("\"cnn\""), "{text}");
        for part in ["\"kept\":\"unfrozen\"", "\"parameters\":7", "\"seconds\":1.5"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
