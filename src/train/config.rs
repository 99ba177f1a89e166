//! Options of a fine-tuning run: those of the command line, saved with the run.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{self, Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::check;
use super::schedule::Schedule;
use super::variation::Variation;
#[cfg(doc)]
use crate::dataset::Split;
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::files;
use crate::model::Backbone;
use crate::runtime::{Device, Pool, Runtime};

/// Which layers of the backbone learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfreeze {
    /// None: only the head learns.
    #[default]
    None,
    /// This many layers with weights, counted from the end.
    Last(NonZeroUsize),
    /// All of them.
    All,
}

impl fmt::Display for Unfreeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("0"),
            Self::Last(layers) => layers.fmt(f),
            Self::All => f.write_str("all"),
        }
    }
}

impl FromStr for Unfreeze {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "all" {
            return Ok(Self::All);
        }
        let layers = text
            .parse()
            .map_err(|_| Error::InvalidInput("give a number of layers, or \"all\"".to_owned()))?;
        Ok(NonZeroUsize::new(layers).map_or(Self::None, Self::Last))
    }
}

/// The folds of a cross-validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Folds {
    /// This many, drawn with the run's seed.
    Count(usize),
    /// Those that a file lists; see [`Split::load_folds`].
    File(PathBuf),
}

impl FromStr for Folds {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason: &str| Err(Error::InvalidInput(reason.to_owned()));
        match text.parse() {
            Ok(count) => Ok(Self::Count(count)),
            Err(_) if Path::new(text).is_dir() => {
                refuse("a folder; give a number of folds, or a JSON file that lists them")
            }
            Err(_) if Path::new(text).exists() => Ok(Self::File(text.into())),
            Err(_) => refuse("neither a number of folds nor a file that is there"),
        }
    }
}

/// How the head learns.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadOptions {
    /// Units of a hidden layer; without it the head is linear
    #[arg(long, value_name = "UNITS")]
    pub hidden: Option<NonZeroUsize>,
    /// Learning rate of the head
    #[arg(long = "lr", default_value_t = HeadOptions::default().learning_rate, value_name = "RATE")]
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay
    #[arg(long, default_value_t = HeadOptions::default().weight_decay, value_name = "RATE")]
    pub weight_decay: f64,
    /// Patches a step while the head learns
    #[arg(long, default_value_t = HeadOptions::default().batch, value_name = "N")]
    pub batch: usize,
    /// Largest number of passes over the training patches
    #[arg(long, default_value_t = HeadOptions::default().epochs, value_name = "N")]
    pub epochs: usize,
    /// Stop after N epochs without a lower validation loss
    #[arg(long, default_value_t = HeadOptions::default().patience, value_name = "N")]
    pub patience: usize,
}

impl Default for HeadOptions {
    fn default() -> Self {
        Self {
            hidden: None,
            learning_rate: 1e-3,
            weight_decay: 0.01,
            batch: 256,
            epochs: 100,
            patience: 10,
        }
    }
}

/// How unfrozen layers of the backbone learn.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeepOptions {
    /// Train the last N layers of the backbone too (convolutions and fully connected
    /// layers counted from the end), or "all"
    #[arg(long, default_value_t, value_name = "N|all")]
    pub unfreeze: Unfreeze,
    /// Learning rate of the unfrozen layers
    #[arg(long, default_value_t = 1e-4, value_name = "RATE")]
    pub backbone_lr: f64,
    /// Largest number of epochs with unfrozen layers
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub deep_epochs: usize,
    /// Patches a step with unfrozen layers
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub deep_batch: usize,
    /// Patches of each track in one epoch, one at random in each of as many stretches of it
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub patches_per_track: usize,
    /// Factor on the backbone's learning rate from each unfrozen layer to the one before it
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub layer_decay: f64,
    /// Move unfrozen layers back towards the weights that they came with, by this share of the way
    /// after every epoch: a decay towards the pretrained weights (Li et al. 2018)
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull_back: f64,
    /// Statistics of unfrozen batch normalizations: "fixed", as they came, or "train", those of
    /// the batches
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub batch_norm: BatchNorm,
    /// How the rates of unfrozen layers and of the head beside them move: "cosine" rises over
    /// one epoch
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub schedule: Schedule,
    /// Largest norm of a parameter's gradient, for unfrozen layers [default: any]
    #[arg(long, value_name = "NORM")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// How patches are varied.
    #[command(flatten)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub vary: Variation,
    /// Model to keep: "best" of tuned, frozen and weights between them by validation loss, or
    /// always "tuned" or "frozen"
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep: Keep,
}

fn one() -> f64 {
    1.0
}

// Without them the options of older runs stay byte for byte what they were.
fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What unfrozen batch normalizations normalize with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BatchNorm {
    /// The statistics of the original training: a few hundred songs are too few to estimate
    /// them anew.
    #[default]
    Fixed,
    /// Those of each batch, of which a moving average is kept.
    Train,
}

/// Which model a run with unfrozen layers keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The one with the lower validation loss.
    #[default]
    Best,
    /// The one whose layers were trained.
    Tuned,
    /// The head on the backbone as it came.
    Frozen,
}

/// Names that the option `split` takes instead of a file.
pub(crate) const SPLITS: [&str; 4] = ["stratified", "shuffled", "rehearsal", "fault-filtered"];

/// How a collection is split into training, validation and test part.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitOptions {
    /// Split: "stratified" (the collection's own if it brings one along, else shuffled 80/20 by
    /// track), "shuffled" (80/20 whatever it brings along), "rehearsal" (as stratified, but its
    /// test part is left out and its validation part tested), "fault-filtered" (GTZAN's published
    /// lists, in DATA/splits) or a split.json
    #[arg(long = "split", id = "split", default_value = "stratified", value_name = "KIND|FILE")]
    #[serde(rename = "split")]
    pub kind: String,
    /// Share of the tracks in the test part
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub test_fraction: f64,
    /// Share of the rest that is held out while training, to choose the best epoch by
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub validation_fraction: f64,
    /// Keep tracks of one artist, album or folder (those below a genre's) in one part, or those
    /// with the same value in this column of a list
    #[arg(long, value_name = "artist|album|folder|COLUMN")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// Let copies of a recording (other tags, format, level, a second cut off) be on both sides:
    /// only to see how much that flatters a model. Without it they stay together
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_copies: bool,
}

impl SplitOptions {
    pub(super) fn check(&self) -> Result<()> {
        check::share_within("test-fraction", self.test_fraction)?;
        check::share_within("validation-fraction", self.validation_fraction)
    }

    /// With the path of a file from the root on.
    pub(super) fn absolute(&self) -> Self {
        Self { kind: name_or_absolute(&self.kind, &SPLITS), ..self.clone() }
    }
}

/// Everything a fine-tuning run depends on besides the files it reads.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Folder with one folder of recordings a genre (GTZAN's layout), be it in train and test, or
    /// of pictures for a network that looks at these; a list (.csv, .tsv, .jsonl) of paths and
    /// genres; an archive (.tar.gz, .zip) of such a folder; a data set of Hugging Face (.parquet);
    /// without it data/gtzan if present, else a synthesized demo set
    #[arg(long, value_name = "DIR|LIST|ARCHIVE")]
    pub data: Option<PathBuf>,
    /// What to tell of a track: its one genre, or all of its labels, each with a probability of its
    /// own [default: multi-label where tracks of a list have several labels]
    #[arg(long, value_enum, value_name = "TASK")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Pretrained network: yamnet, musicnn, vggish or the path of an ONNX file; or several side by
    /// side, as in yamnet,musicnn, with one head on the embeddings of all of them
    #[arg(long, default_value = "yamnet", value_name = "NAME|PATH")]
    pub backbone: String,
    /// Front end the backbone was trained with: vggish, yamnet, musicnn, spectrogram, for
    /// pictures imagenet or efficientnet-lite, or a JSON file; of several backbones one each
    #[arg(long, value_name = "PRESET|FILE")]
    pub front_end: Option<String>,
    /// Output of the ONNX file to use as embeddings [default: "embeddings", else the last]
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// How an output with several values of each feature for a patch (tokens, a map) becomes
    /// one embedding: mean, max or first [default: mean]
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Runtime for the embeddings: ort or tract [default: ort if it is found]
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<Runtime>,
    /// How the collection is split.
    #[command(flatten)]
    #[serde(flatten)]
    pub split: SplitOptions,
    /// Also cross-validate the head on the frozen backbone (without --unfreeze) over K
    /// folds, every track tested once, or over those of a JSON file: a run's folds.json, or
    /// an array of arrays of tracks such as "blues/blues.00000.wav"
    #[arg(long, value_name = "K|FILE")]
    pub folds: Option<Folds>,
    /// Seed of split, weights and shuffling
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Make an unreadable recording an error instead of skipping it
    #[arg(long)]
    pub strict: bool,
    /// Keep the early-stopped head as it is, instead of training it again for as many
    /// epochs on training and validation part together
    #[arg(long)]
    pub no_refit: bool,
    /// Device for training: cpu or cuda
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: Device,
    /// How the head learns.
    #[command(flatten)]
    pub head: HeadOptions,
    /// How unfrozen layers learn.
    #[command(flatten)]
    pub deep: DeepOptions,
}

/// Far more units than a head on one embedding can use; each costs memory.
const MAX_HIDDEN: usize = 1 << 16;

/// `path` from the root on, if it is there and no reader of JSON would choke on it.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let found = path::absolute(path).ok().filter(|found| found.exists());
    found.filter(|found| found.to_str().is_some()).unwrap_or_else(|| path.to_owned())
}

/// What is `given` if it is one of `names`, else the path it is, from the root on.
pub(crate) fn name_or_absolute(given: &str, names: &[&str]) -> String {
    if names.contains(&given) {
        given.to_owned()
    } else {
        absolute(Path::new(given)).to_string_lossy().into_owned()
    }
}

impl Config {
    /// Refuses what is not there for a task, before anything is computed.
    pub(super) fn check_task(&self, task: Task) -> Result<()> {
        check::single(task, "folds", self.folds.is_some())
    }

    /// These options with absolute paths, so that a run can be resumed from any folder; `data`
    /// is the collection that was found, whether given or not.
    pub(super) fn absolute(&self, data: &Path) -> Self {
        Self {
            data: Some(absolute(data)),
            backbone: self.each(&self.backbone, &Backbone::NAMES),
            front_end: self.front_end.as_deref().map(|f| self.each(f, &Preprocessor::PRESETS)),
            split: self.split.absolute(),
            folds: self.folds.as_ref().map(|folds| match folds {
                Folds::Count(count) => Folds::Count(*count),
                Folds::File(file) => Folds::File(absolute(file)),
            }),
            ..self.clone()
        }
    }

    /// What is given for the one backbone, or for each of several: names as they are, else paths
    /// from the root on.
    fn each(&self, given: &str, names: &[&str]) -> String {
        if Backbone::listed(&self.backbone).is_none() {
            return name_or_absolute(given, names);
        }
        let one = |given: &str| match given.trim() {
            "" => String::new(),
            given => name_or_absolute(given, names),
        };
        given.split(',').map(one).collect::<Vec<_>>().join(",")
    }

    /// Refuses what is there for one backbone only.
    fn check_backbones(&self) -> Result<()> {
        if Backbone::listed(&self.backbone).is_none() {
            return Ok(());
        }
        let refuse = |option, value: &str| {
            let advice =
                "several backbones stay as they are, each with its own output; leave it out";
            Err(Error::out_of_range(option, value, advice))
        };
        if let Some(output) = &self.output {
            return refuse("output", output);
        }
        if let Some(pool) = self.pool {
            return refuse("pool", &pool.to_string());
        }
        match self.deep.unfreeze {
            Unfreeze::None => Ok(()),
            layers => refuse("unfreeze", &layers.to_string()),
        }
    }

    /// Checks every value before any work is done.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the option and the value.
    pub(super) fn check(&self) -> Result<()> {
        let (head, deep) = (&self.head, &self.deep);
        self.split.check()?;
        self.check_backbones()?;
        check::positive("lr", head.learning_rate, "rate")?;
        check::positive("backbone-lr", deep.backbone_lr, "rate")?;
        check::not_negative("weight-decay", head.weight_decay, "rate")?;
        check::at_least_one("batch", head.batch)?;
        check::at_least_one("epochs", head.epochs)?;
        check::at_least_one("patience", head.patience)?;
        check::at_least_one("deep-batch", deep.deep_batch)?;
        check::at_least_one("deep-epochs", deep.deep_epochs)?;
        check::at_least_one("patches-per-track", deep.patches_per_track)?;
        check::factor("layer-decay", deep.layer_decay)?;
        check::below_one("pull-back", deep.pull_back)?;
        if deep.pull_back > 0.0 && deep.batch_norm == BatchNorm::Train {
            let advice = "the statistics of ‹batch-norm› train would not fit weights that are moved; \
                          leave one of the two out";
            return Err(Error::out_of_range("pull-back", deep.pull_back, advice));
        }
        check::positive("clip", deep.clip.unwrap_or(1.0), "number")?;
        deep.vary.check()?;
        if deep.vary.masks == 0 && deep.vary.mask_width != Variation::default().mask_width {
            let advice = "nothing is masked; say how often with ‹masks›";
            return Err(Error::out_of_range("mask-width", deep.vary.mask_width, advice));
        }
        if deep.unfreeze == Unfreeze::None {
            let advice = "no layer is to be trained; say how many with ‹unfreeze›";
            let refuse = |option, value: &str| Err(Error::out_of_range(option, value, advice));
            if deep.keep == Keep::Tuned {
                return refuse("keep", "tuned");
            }
            if deep.batch_norm == BatchNorm::Train {
                return refuse("batch-norm", "train");
            }
            if !is_one(&deep.layer_decay) {
                return refuse("layer-decay", &deep.layer_decay.to_string());
            }
            if deep.schedule == Schedule::OneCycle {
                return refuse("schedule", "one-cycle");
            }
            let Variation { mixup, masks, label_smoothing, .. } = deep.vary;
            let clip = deep.clip.unwrap_or(0.0);
            let given = [mixup, masks as f64, label_smoothing, clip, deep.pull_back];
            let options = ["mixup", "masks", "label-smoothing", "clip", "pull-back"];
            if let Some((option, value)) = options.into_iter().zip(given).find(|(_, v)| *v != 0.0) {
                return refuse(option, &value.to_string());
            }
        }
        if let Some(hidden) = head.hidden.filter(|hidden| hidden.get() > MAX_HIDDEN) {
            return Err(Error::out_of_range("hidden", hidden, "give at most 65536"));
        }
        files::check_unicode(Some("data"), self.data.as_deref())?;
        if let Some(Folds::Count(count)) = self.folds {
            check::folds(count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    fn config(arguments: &[&str]) -> Config {
        Cli::parse_from([&["finetune"], arguments].concat()).config
    }

    /// Runs of older versions are resumed from it, and reports compare it.
    const SAVED: &str = r#"{
  "data": null,
  "backbone": "yamnet",
  "front_end": null,
  "output": null,
  "runtime": null,
  "split": "stratified",
  "test_fraction": 0.2,
  "validation_fraction": 0.2,
  "folds": 5,
  "seed": 0,
  "strict": false,
  "no_refit": false,
  "device": "cpu",
  "head": {
    "hidden": null,
    "learning_rate": 0.001,
    "weight_decay": 0.01,
    "batch": 256,
    "epochs": 100,
    "patience": 10
  },
  "deep": {
    "unfreeze": "none",
    "backbone_lr": 0.0001,
    "deep_epochs": 10,
    "deep_batch": 32,
    "patches_per_track": 8
  }
}"#;

    #[test]
    fn config_json_has_its_old_keys_in_their_old_order() {
        let config = config(&["--folds", "5"]);
        assert_eq!(serde_json::to_string_pretty(&config).unwrap(), SAVED);
        assert_eq!(serde_json::from_str::<Config>(SAVED).unwrap(), config);
        let pooled = Config { pool: Some(Pool::Max), ..config.clone() };
        let json = serde_json::to_string_pretty(&pooled).unwrap();
        assert_eq!(json.replace("\n  \"pool\": \"max\",", ""), SAVED);
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), pooled);
        assert_eq!(config.head, HeadOptions::default());
    }

    #[test]
    fn what_takes_0_says_so() {
        config(&["--weight-decay", "0"]).check().unwrap();
        for (option, value, expected) in [
            ("weight-decay", "-1", "give a rate from 0 to below 1000"),
            ("lr", "0", "give a positive rate below 1000"),
            ("backbone-lr", "NaN", "give a positive rate below 1000"),
        ] {
            let error = config(&[&format!("--{option}={value}")]).check().unwrap_err();
            assert_eq!(error.to_string(), format!("‹{option}› {value}: {expected}"));
        }
    }
}
