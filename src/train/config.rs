//! What a fine-tuning run is told to do: command-line options, saved with the run.

use std::num::NonZeroUsize;
use std::path::{self, Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::features::FrontEnd;
use crate::files;
use crate::model::Backbone;
use crate::runtime::{Device, Runtime};

/// Which layers of the backbone learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfreeze {
    /// None: only the head learns.
    #[default]
    None,
    /// The last so many layers with weights.
    Last(NonZeroUsize),
    /// All of them.
    All,
}

impl FromStr for Unfreeze {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<usize>() {
            _ if text == "all" => Ok(Self::All),
            Ok(layers) => Ok(NonZeroUsize::new(layers).map_or(Self::None, Self::Last)),
            Err(_) => Err("give a number of layers, or \"all\"".to_owned()),
        }
    }
}

/// The folds of a cross-validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Folds {
    /// So many, drawn with the run's seed.
    Count(usize),
    /// Those that a file lists; see [`Split::load_folds`].
    File(PathBuf),
}

impl FromStr for Folds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count) => Ok(Self::Count(count)),
            Err(_) if Path::new(text).is_dir() => {
                Err("a folder; give a number of folds, or a JSON file that lists them".to_owned())
            }
            Err(_) if Path::new(text).exists() => Ok(Self::File(text.into())),
            Err(_) => Err("neither a number of folds nor a file that is there".to_owned()),
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
    #[arg(long = "lr", default_value_t = 1e-3, value_name = "RATE")]
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay
    #[arg(long, default_value_t = 0.01, value_name = "RATE")]
    pub weight_decay: f64,
    /// Patches a step while the head learns
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub batch: usize,
    /// At most so many passes over the training patches
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub epochs: usize,
    /// Stop after so many epochs without a lower validation loss
    #[arg(long, default_value_t = 10, value_name = "N")]
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
    #[arg(long, default_value = "0", value_name = "N|all")]
    pub unfreeze: Unfreeze,
    /// Learning rate of the unfrozen layers
    #[arg(long, default_value_t = 1e-4, value_name = "RATE")]
    pub backbone_lr: f64,
    /// At most so many epochs with unfrozen layers
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub deep_epochs: usize,
    /// Patches a step with unfrozen layers
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub deep_batch: usize,
    /// Randomly placed patches of each track in one epoch
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub patches_per_track: usize,
}

impl Default for DeepOptions {
    fn default() -> Self {
        Self {
            unfreeze: Unfreeze::None,
            backbone_lr: 1e-4,
            deep_epochs: 10,
            deep_batch: 32,
            patches_per_track: 8,
        }
    }
}

/// Names that `--split` takes instead of a file.
pub(crate) const SPLITS: [&str; 2] = ["stratified", "fault-filtered"];

/// Everything a fine-tuning run depends on besides the files it reads.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Folder with one folder of recordings a genre (GTZAN's layout); without it data/gtzan
    /// if present, else a synthesized demo set
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Pretrained network: yamnet, musicnn, vggish or the path of an ONNX file
    #[arg(long, default_value = "yamnet", value_name = "NAME|PATH")]
    pub backbone: String,
    /// Front end the backbone was trained with: vggish, yamnet, musicnn or a JSON file
    #[arg(long, value_name = "PRESET|FILE")]
    pub front_end: Option<String>,
    /// Output of the ONNX file to use as embeddings [default: "embeddings", else the last]
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// Runtime for the embeddings: ort or tract [default: ort if it is found]
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<Runtime>,
    /// Split: "stratified" (shuffled 80/20 by track), "fault-filtered" (GTZAN's published
    /// lists, in DATA/splits) or a split.json
    #[arg(long, default_value = "stratified", value_name = "KIND|FILE")]
    pub split: String,
    /// Share of the tracks in the test part
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub test_fraction: f64,
    /// Share of the rest that early stopping looks at
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub validation_fraction: f64,
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

/// Units that a head on one embedding can make use of, and more.
const MAX_HIDDEN: usize = 1 << 16;

/// `path` from the root on, if it is there and no reader of JSON would choke on it.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let found = path::absolute(path).ok().filter(|found| found.exists());
    found.filter(|found| found.to_str().is_some()).unwrap_or_else(|| path.to_owned())
}

/// The same of what may also be one of `names`, which stays as it is.
pub(crate) fn name_or_absolute(given: &str, names: &[&str]) -> String {
    if names.contains(&given) {
        given.to_owned()
    } else {
        absolute(Path::new(given)).to_string_lossy().into_owned()
    }
}

impl Config {
    /// The same options with absolute paths, so that a run can be resumed from any
    /// folder; `data` is the collection that was found, whether given or not.
    pub fn absolute(&self, data: &Path) -> Self {
        Self {
            data: Some(absolute(data)),
            backbone: name_or_absolute(&self.backbone, &Backbone::NAMES),
            front_end: self.front_end.as_deref().map(|f| name_or_absolute(f, &FrontEnd::PRESETS)),
            split: name_or_absolute(&self.split, &SPLITS),
            folds: self.folds.as_ref().map(|folds| match folds {
                Folds::Count(count) => Folds::Count(*count),
                Folds::File(file) => Folds::File(absolute(file)),
            }),
            ..self.clone()
        }
    }

    /// Checks every value before any work is done.
    ///
    /// # Errors
    /// [`Error::Config`] naming the option and the value.
    pub fn check(&self) -> Result<()> {
        let wrong = |option: &str, value: &dyn std::fmt::Display, wanted: &str| {
            Err(Error::Config(format!("--{option} {value}: {wanted}")))
        };
        for (option, share) in [
            ("test-fraction", self.test_fraction),
            ("validation-fraction", self.validation_fraction),
        ] {
            if !(share > 0.0 && share < 1.0) {
                return wrong(option, &share, "give a share between 0 and 1");
            }
        }
        for (option, rate, least) in [
            ("lr", self.head.learning_rate, f64::MIN_POSITIVE),
            ("backbone-lr", self.deep.backbone_lr, f64::MIN_POSITIVE),
            ("weight-decay", self.head.weight_decay, 0.0),
        ] {
            if !(rate >= least && rate < 1e3) {
                return wrong(option, &rate, "give a positive rate below 1000");
            }
        }
        for (option, count) in [
            ("batch", self.head.batch),
            ("epochs", self.head.epochs),
            ("patience", self.head.patience),
            ("deep-batch", self.deep.deep_batch),
            ("deep-epochs", self.deep.deep_epochs),
            ("patches-per-track", self.deep.patches_per_track),
        ] {
            if count == 0 {
                return wrong(option, &count, "give at least 1");
            }
        }
        if let Some(hidden) = self.head.hidden.filter(|hidden| hidden.get() > MAX_HIDDEN) {
            return wrong("hidden", &hidden, "give at most 65536");
        }
        files::check_unicode(Some("data"), self.data.as_deref())?;
        match self.folds {
            Some(Folds::Count(folds @ 0..2)) => wrong("folds", &folds, "give at least 2"),
            _ => Ok(()),
        }
    }
}
