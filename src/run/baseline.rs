//! `metrics.json` of a baseline.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::exported::Exported;
use super::records::{Kind, PartMetrics, TrainingData};
use super::trust::CalibrationMetrics;

/// A classical model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaselineModel {
    /// k nearest neighbours, all with the same weight.
    Knn,
    /// Multinomial logistic regression with an L2 penalty.
    Logistic,
    /// Support vector machine with a Gaussian kernel.
    Svm,
    /// Random forest.
    Forest,
    /// Gradient boosting of trees.
    Boosting,
    /// Multi-layer perceptron with one hidden layer, in burn.
    Mlp,
}

impl BaselineModel {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 6] =
        [Self::Knn, Self::Logistic, Self::Svm, Self::Forest, Self::Boosting, Self::Mlp];

    /// What the command line and the run folders call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Knn => "knn",
            Self::Logistic => "logistic",
            Self::Svm => "svm",
            Self::Forest => "forest",
            Self::Boosting => "boosting",
            Self::Mlp => "mlp",
        }
    }

    /// What a report calls it.
    #[must_use]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Knn => "k-NN",
            Self::Logistic => "logistic regression",
            Self::Svm => "SVM",
            Self::Forest => "random forest",
            Self::Boosting => "gradient boosting",
            Self::Mlp => "MLP",
        }
    }
}

impl fmt::Display for BaselineModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The hyper-parameters of a model.
///
/// They are written bare, since `metrics.json` says once whose they are, and read with the
/// model's name around them: `{"svm": {"c": 1.0, "gamma": 0.01}}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Settings {
    /// k-NN.
    Knn {
        /// Neighbours that vote.
        neighbors: usize,
    },
    /// SVM.
    Svm {
        /// The price of an error, against that of a narrow margin.
        c: f64,
        /// Of the kernel `exp(-gamma · |x - y|²)` of standardized features.
        gamma: f64,
    },
    /// Logistic regression.
    Logistic {
        /// The inverse of the penalty's weight: `C · loss + |w|² / 2`.
        c: f64,
    },
    /// Random forest.
    Forest {
        /// Trees, grown until their leaves are pure.
        trees: usize,
        /// Features drawn at each split.
        features_per_split: usize,
    },
    /// Gradient boosting.
    Boosting {
        /// Trees a genre.
        rounds: usize,
        /// Splits from root to leaf.
        depth: usize,
        /// What is taken of each tree.
        learning_rate: f64,
    },
    /// MLP.
    Mlp {
        /// Units of the hidden layer.
        hidden: usize,
        /// AdamW's decoupled weight decay.
        weight_decay: f64,
        /// Passes over the rows; found by early stopping in the cross-validation.
        epochs: Option<usize>,
    },
}

/// How [`Settings`] are read.
#[derive(Deserialize)]
#[serde(remote = "Settings", rename_all = "lowercase")]
enum NamedSettings {
    Knn { neighbors: usize },
    Logistic { c: f64 },
    Svm { c: f64, gamma: f64 },
    Forest { trees: usize, features_per_split: usize },
    Boosting { rounds: usize, depth: usize, learning_rate: f64 },
    Mlp { hidden: usize, weight_decay: f64, epochs: Option<usize> },
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NamedSettings::deserialize(deserializer)
    }
}

impl fmt::Display for Settings {
    /// `neighbors=5`, say: the JSON in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        let fields = json.as_object().into_iter().flatten();
        let words: Vec<String> = fields.map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&words.join(" "))
    }
}

/// Hyper-parameters and how they did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The hyper-parameters.
    pub settings: Settings,
    /// Share of the songs given the right genre while held out.
    pub accuracy: f64,
}

/// `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct BaselineMetrics {
    /// [`Kind::Baseline`], by which the file is told from a network's.
    pub kind: Kind,
    /// The model.
    pub model: BaselineModel,
    /// The table: `30s`, `3s` or a file's name.
    #[serde(default)]
    pub features: String,
    /// Whether a row is a window of a song.
    #[serde(default)]
    pub windows: bool,
    /// Whether windows of one song are in training and test, so that the figures are
    /// better than the model.
    #[serde(default)]
    pub leaky: bool,
    /// The chosen hyper-parameters; always there in what is written.
    #[serde(default)]
    pub hyper_parameters: Option<Settings>,
    /// All hyper-parameters that were tried, with their cross-validated accuracy.
    #[serde(default)]
    pub search: Vec<Candidate>,
    /// Folds of that cross-validation.
    #[serde(default)]
    pub folds: usize,
    /// The table's songs.
    #[serde(default)]
    pub data: TrainingData,
    /// Rows trained on.
    #[serde(default)]
    pub train_rows: usize,
    /// Rows left out since the split does not list their songs.
    #[serde(default)]
    pub skipped_rows: usize,
    /// Numbers that make up the model.
    #[serde(default)]
    pub parameters: usize,
    /// The test part: by song, and by row.
    pub test: PartMetrics,
    /// What the test part says of the probabilities; none of a leaky split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationMetrics>,
    /// Wall-clock seconds of search and fit.
    #[serde(default)]
    pub seconds: f64,
    /// The exported file, as it was checked.
    #[serde(default)]
    pub export: Option<Exported>,
}

impl Serialize for BaselineMetrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for BaselineMetrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = Value::deserialize(deserializer)?;
        name_settings(&mut json);
        Self::deserialize(json).map_err(D::Error::custom)
    }
}

/// Puts the name of the model around its settings in the JSON of [`BaselineMetrics`].
fn name_settings(metrics: &mut Value) {
    // Left as it is, a name that is none is reported when it is read.
    let Some(model) = metrics["model"].as_str().map(str::to_owned) else { return };
    let name = |settings: &mut Value| *settings = json!({ &model: settings.take() });
    let chosen = metrics.get_mut("hyper_parameters");
    chosen.filter(|settings| !settings.is_null()).into_iter().for_each(name);
    let tried = metrics.get_mut("search").and_then(Value::as_array_mut).into_iter().flatten();
    tried.filter_map(|candidate| candidate.get_mut("settings")).for_each(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_of_an_old_version_opens() {
        let text = r#"{"kind": "baseline", "model": "svm", "features": "3s", "test": {"tracks":
            {"accuracy": 0.5, "macro_f1": 0.5, "confusion": [[1]], "per_genre": [],
            "interval": [0.5, 0.5], "count": 1}}}"#;
        let metrics: BaselineMetrics = serde_json::from_str(text).unwrap();
        assert_eq!((metrics.kind, metrics.model), (Kind::Baseline, BaselineModel::Svm));
        let figures = (metrics.hyper_parameters, metrics.parameters, metrics.seconds);
        assert_eq!(figures, (None, 0, 0.0));
        let written = serde_json::to_string(&metrics).unwrap();
        assert!(written.starts_with(r#"{"kind":"baseline","model":"svm","#), "{written}");
    }

    /// `metrics.json` of a model with these settings.
    fn written(model: &str, settings: &str) -> String {
        format!(
            r#"{{"kind":"baseline","model":"{model}","features":"3s","windows":true,"leaky":false,"hyper_parameters":{settings},"search":[{{"settings":{settings},"accuracy":0.75}}],"folds":5,"data":{{"name":"features_3_sec.csv","fingerprint":"ab","tracks":10,"skipped":0}},"train_rows":8,"skipped_rows":0,"parameters":7,"test":{{"tracks":{{"accuracy":0.5,"macro_f1":0.5,"confusion":[[1]],"per_genre":[],"interval":[0.25,0.75],"count":1}},"patch_accuracy":0.5,"patches":2}},"seconds":1.5,"export":null}}"#
        )
    }

    #[test]
    fn settings_are_read_by_the_model_beside_them_and_written_as_ever() {
        let cases = [
            ("knn", r#"{"neighbors":5}"#, Settings::Knn { neighbors: 5 }),
            ("logistic", r#"{"c":0.1}"#, Settings::Logistic { c: 0.1 }),
            ("svm", r#"{"c":3.0,"gamma":0.02}"#, Settings::Svm { c: 3.0, gamma: 0.02 }),
            (
                "forest",
                r#"{"trees":300,"features_per_split":8}"#,
                Settings::Forest { trees: 300, features_per_split: 8 },
            ),
            (
                "boosting",
                r#"{"rounds":100,"depth":3,"learning_rate":0.1}"#,
                Settings::Boosting { rounds: 100, depth: 3, learning_rate: 0.1 },
            ),
            (
                "mlp",
                r#"{"hidden":64,"weight_decay":0.01,"epochs":17}"#,
                Settings::Mlp { hidden: 64, weight_decay: 0.01, epochs: Some(17) },
            ),
            (
                "mlp",
                r#"{"hidden":64,"weight_decay":0.01,"epochs":null}"#,
                Settings::Mlp { hidden: 64, weight_decay: 0.01, epochs: None },
            ),
        ];
        for (model, settings, wanted) in cases {
            let text = written(model, settings);
            let metrics: BaselineMetrics = serde_json::from_str(&text).unwrap();
            assert_eq!(metrics.model.name(), model);
            assert_eq!(
                (metrics.hyper_parameters, metrics.search[0].settings),
                (Some(wanted), wanted)
            );
            assert_eq!(serde_json::to_string(&metrics).unwrap(), text);
        }
    }

    #[test]
    fn settings_of_another_model_are_refused() {
        for (model, settings) in [("svm", r#"{"c":1.0}"#), ("tree", r#"{"c":1.0}"#)] {
            let found: Result<BaselineMetrics, _> = serde_json::from_str(&written(model, settings));
            let error = found.unwrap_err().to_string();
            let wanted = if model == "svm" { "gamma" } else { "unknown variant `tree`" };
            assert!(error.contains(wanted), "{error}");
        }
    }
}
