//! `metrics.json` of a baseline.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::exported::Exported;
use super::records::{Kind, PartMetrics, TrainingData};

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
    pub fn title(self) -> &'static str {
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Settings {
    /// k-NN.
    Knn {
        /// Neighbours that vote.
        neighbors: usize,
    },
    /// SVM; before logistic regression, whose one field it has too.
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
    /// Wall-clock seconds of search and fit.
    #[serde(default)]
    pub seconds: f64,
    /// The exported file, as it was checked.
    #[serde(default)]
    pub export: Option<Exported>,
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
}
