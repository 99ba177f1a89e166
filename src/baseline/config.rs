//! What `baseline` is told to do: command-line options, saved with every run.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::error::{Error, Result};
use crate::run::{BaselineModel, Run};
use crate::train::config::{SPLITS, absolute, name_or_absolute};

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
    /// Split: "stratified" (shuffled 80/20 by song), "fault-filtered" (GTZAN's published
    /// lists, in DATA/splits) or a split.json
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

/// Where runs go.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The folder for runs.
    pub runs: PathBuf,
    /// How run folders begin, `NAME-svm`; by default from table and split.
    pub name: Option<String>,
    /// Whether to replace runs of that name.
    pub force: bool,
}

impl Config {
    /// Checks every value before any work is done.
    ///
    /// # Errors
    /// [`Error::Config`] naming the option and the value.
    pub fn check(&self) -> Result<()> {
        let wrong = |text: String| Err(Error::Config(text));
        for name in &self.model {
            if name != "all" && BaselineModel::ALL.iter().all(|kind| kind.name() != name) {
                let names = BaselineModel::ALL.map(BaselineModel::name).join(", ");
                return wrong(format!("--model {name}: choose of {names}, or all"));
            }
        }
        if !(self.test_fraction > 0.0 && self.test_fraction < 1.0) {
            let share = self.test_fraction;
            return wrong(format!("--test-fraction {share}: give a share between 0 and 1"));
        }
        if self.leaky && self.split != "stratified" {
            return wrong(format!(
                "--leaky splits windows at random; it cannot follow --split {}",
                self.split
            ));
        }
        Ok(())
    }

    /// The models, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<BaselineModel> {
        let named = |kind: &BaselineModel| {
            self.model.iter().any(|name| name == "all" || name == kind.name())
        };
        BaselineModel::ALL.into_iter().filter(named).collect()
    }

    /// The table's file.
    ///
    /// # Errors
    /// [`Error::Data`] if it is not there, saying what to do.
    pub fn table(&self) -> Result<PathBuf> {
        let folder = self.data_folder();
        let path = match self.features.as_str() {
            seconds @ ("30" | "3") => folder.join(format!("features_{seconds}_sec.csv")),
            file => PathBuf::from(file),
        };
        if path.is_file() {
            Ok(path)
        } else {
            Err(Error::Data(format!(
                "{}: no such file; give --data a folder with Kaggle's tables, or --features a CSV \
                 file such as extract-features writes",
                path.display()
            )))
        }
    }

    /// The same options with absolute paths, so that the run's table is found from any folder.
    #[must_use]
    pub fn absolute(&self) -> Self {
        Self {
            data: Some(absolute(self.data_folder())),
            features: name_or_absolute(&self.features, &["30", "3"]),
            split: name_or_absolute(&self.split, &SPLITS),
            ..self.clone()
        }
    }

    /// The folder of the collection.
    #[must_use]
    pub fn data_folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("data/gtzan"))
    }

    /// A short name of the table: `30s`, `3s` or the file's stem.
    #[must_use]
    pub fn features_name(&self) -> String {
        match self.features.as_str() {
            seconds @ ("30" | "3") => format!("{seconds}s"),
            file => {
                let stem = Path::new(file).file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
        }
    }
}

impl Destination {
    /// A folder for every model, and whether to replace what is there.
    ///
    /// # Errors
    /// [`Error::Config`] if one is taken and is not to be replaced.
    pub(super) fn folders(
        &self,
        kinds: &[BaselineModel],
        problem: &Problem,
    ) -> Result<Vec<(PathBuf, bool)>> {
        let one = |kind: &BaselineModel| {
            let Some(name) = &self.name else {
                let stem = format!("{kind}-{}", problem.name);
                return Ok((Run::free_folder(&self.runs, &stem), false));
            };
            let folder = self.runs.join(format!("{name}-{kind}"));
            // Only a run is ever replaced.
            if folder.exists() && !(self.force && Run::at(&folder).is_run()) {
                Err(Error::Config(format!(
                    "{}: already there; choose another --name, or --force to replace a run",
                    folder.display()
                )))
            } else {
                Ok((folder, self.force))
            }
        };
        kinds.iter().map(one).collect()
    }
}
