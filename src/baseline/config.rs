//! The options of `baseline`, saved with every run.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::run::BaselineModel;
use crate::train::config::{SPLITS, absolute, name_or_absolute};

/// What `features` says for Kaggle's tables: the seconds that their rows are computed from.
const KAGGLE_SECONDS: [&str; 2] = ["30", "3"];

/// Everything a baseline depends on besides the files it reads.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Folder with features_30_sec.csv and features_3_sec.csv [default: data/gtzan]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Table of features: 30 (a row a song), 3 (a row for each 3 seconds) or a CSV file
    #[arg(long, default_value = "30", value_name = "30|3|FILE")]
    pub features: String,
    /// Models, separated by commas, or "all"
    #[arg(long, default_value = "all", value_delimiter = ',', value_name = "NAME")]
    pub model: Vec<String>,
    /// Split: "stratified" (shuffled 80/20 by song), "rehearsal" (the same, but its test part is
    /// left out and its validation part tested), "fault-filtered" (GTZAN's published lists, in
    /// DATA/splits) or a split.json
    #[arg(long, default_value = "stratified", value_name = "KIND|FILE")]
    pub split: String,
    /// Share of the songs in the test part
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub test_fraction: f64,
    /// Split windows and not songs, so that windows of one song are in training and test: a
    /// common mistake, to show what it does to the figures
    #[arg(long)]
    pub leaky: bool,
    /// Seed of split, folds, forest and perceptron
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Take the default hyper-parameters instead of searching
    #[arg(long)]
    pub quick: bool,
}

impl Config {
    /// Checks every value before any work is done.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::InvalidInput`] naming the option and the value.
    pub(super) fn check(&self) -> Result<()> {
        for name in &self.model {
            if name != "all" && BaselineModel::ALL.iter().all(|kind| kind.name() != name) {
                let names = BaselineModel::ALL.map(BaselineModel::name).join(", ");
                return Err(Error::out_of_range(
                    "model",
                    name,
                    format!("choose of {names}, or all"),
                ));
            }
        }
        if !(self.test_fraction > 0.0 && self.test_fraction < 1.0) {
            let share = self.test_fraction;
            let expected = "give a share between 0 and 1";
            return Err(Error::out_of_range("test-fraction", share, expected));
        }
        if self.leaky && self.split != "stratified" {
            return Err(Error::InvalidInput(format!(
                "‹leaky› splits windows at random; it cannot follow ‹split› {}",
                self.split
            )));
        }
        Ok(())
    }

    /// The models, each once.
    pub(super) fn models(&self) -> Vec<BaselineModel> {
        let named = |kind: &BaselineModel| {
            self.model.iter().any(|name| name == "all" || name == kind.name())
        };
        BaselineModel::ALL.into_iter().filter(named).collect()
    }

    /// The table's file.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not there, saying what to do.
    pub(super) fn table(&self) -> Result<PathBuf> {
        let folder = self.data_folder();
        let path = match self.kaggle_seconds() {
            Some(seconds) => folder.join(format!("features_{seconds}_sec.csv")),
            None => PathBuf::from(&self.features),
        };
        if path.is_file() {
            Ok(path)
        } else {
            Err(Error::not_found(
                path,
                "no such file; give ‹data› a folder with Kaggle's tables, or ‹features› a CSV file \
                 such as extract-features writes",
            ))
        }
    }

    /// These options with absolute paths, so that the run's table is found from any folder.
    pub(super) fn absolute(&self) -> Self {
        Self {
            data: Some(absolute(self.data_folder())),
            features: name_or_absolute(&self.features, &KAGGLE_SECONDS),
            split: name_or_absolute(&self.split, &SPLITS),
            ..self.clone()
        }
    }

    /// The folder of the collection.
    pub(super) fn data_folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("data/gtzan"))
    }

    /// A short name of the table: `30s`, `3s` or the file's stem.
    pub(super) fn features_name(&self) -> String {
        match self.kaggle_seconds() {
            Some(seconds) => format!("{seconds}s"),
            None => {
                let stem = Path::new(&self.features).file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
        }
    }

    /// The seconds of a row, if `features` names one of Kaggle's tables by them.
    fn kaggle_seconds(&self) -> Option<&str> {
        Some(&*self.features).filter(|name| KAGGLE_SECONDS.contains(name))
    }
}
