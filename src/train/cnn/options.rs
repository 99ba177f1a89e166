//! Options of a CNN's training: those of the command line, saved with the run.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::dataset::Task;
use crate::dataset::source::Source;
use crate::error::{Error, Result};
use crate::features::{FrontEnd, Wanted};
use crate::files;
use crate::run::{CnnConfig, Preset};
use crate::runtime::Device;
use crate::train::check;
use crate::train::config::{SplitOptions, absolute, name_or_absolute};
use crate::train::schedule::Schedule;

/// How the weights are fitted.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitOptions {
    /// Passes over the training tracks [with --preset simple: 60]
    #[arg(long, default_value_t = 150, default_value_if("preset", "simple", "60"))]
    #[arg(value_name = "N")]
    pub epochs: usize,
    /// Patches a step
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub batch: usize,
    /// Largest learning rate [with --preset simple: 0.001]
    #[arg(long = "lr", default_value_t = 3e-3, default_value_if("preset", "simple", "0.001"))]
    #[arg(value_name = "RATE")]
    pub learning_rate: f64,
    /// How the learning rate moves
    #[arg(long, value_enum, default_value_t = Schedule::Cosine)]
    pub schedule: Schedule,
    /// Share of the steps over which the rate rises, for the cosine schedule
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub warm_up: f64,
    /// AdamW's decoupled weight decay
    #[arg(long, default_value_t = 0.05, value_name = "RATE")]
    pub weight_decay: f64,
    /// Probability taken from the right genre and given to all alike
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub label_smoothing: f64,
    /// Largest norm of a parameter's gradient
    #[arg(long, default_value_t = 1.0, value_name = "NORM")]
    pub clip: f64,
    /// Decay of the moving average of the weights, which is what is kept; 0 for none
    #[arg(long, default_value_t = 0.99, value_name = "DECAY")]
    pub ema: f64,
    /// Stop after N epochs without a lower validation loss [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
}

/// How patches are varied while training.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Alpha of mixup's Beta distribution (Zhang et al. 2018); 0 for none
    #[arg(long, default_value_t = 0.0, value_name = "ALPHA")]
    pub mixup: f64,
    /// Masks over time and over frequency in each patch (SpecAugment, Park et al. 2019) [with
    /// --preset simple: 0]
    #[arg(long, default_value_t = 1, default_value_if("preset", "simple", "0"))]
    #[arg(value_name = "N")]
    pub masks: usize,
    /// Widest mask, as a share of the patch in its direction
    #[arg(long, default_value_t = 0.15, value_name = "SHARE")]
    pub mask_width: f64,
    /// Stretch time by up to this share, slower or faster [with --preset simple: 0]
    #[arg(long, default_value_t = 0.1, default_value_if("preset", "simple", "0"))]
    #[arg(value_name = "SHARE")]
    pub stretch: f64,
    /// Shift the pitch by up to this many mel bands, up or down [with --preset simple: 0]
    #[arg(long, default_value_t = 2, default_value_if("preset", "simple", "0"))]
    #[arg(value_name = "BANDS")]
    pub shift: usize,
    /// Change the level by up to this share of the standard deviation of the data [with --preset
    /// simple: 0]
    #[arg(long, default_value_t = 0.2, default_value_if("preset", "simple", "0"))]
    #[arg(value_name = "SHARE")]
    pub gain: f64,
}

impl Augmentation {
    /// Patches as they are.
    pub(super) fn none() -> Self {
        Self { mixup: 0.0, masks: 0, mask_width: 0.0, stretch: 0.0, shift: 0, gain: 0.0 }
    }
}

/// How architectures are searched for.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// Search for an architecture on training and validation part, then train the winner and
    /// test it once
    #[arg(long)]
    pub search: bool,
    /// A search of a few minutes, to see that everything works
    #[arg(long, requires = "search")]
    pub quick: bool,
    /// Architectures to begin with [default: 27, with --quick 8]
    #[arg(long, value_name = "N", requires = "search")]
    pub configurations: Option<usize>,
    /// Architectures tried at the same time
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub jobs: usize,
    /// Use a test part that an earlier search was tested on once more, and count it
    #[arg(long, requires = "search")]
    pub again: bool,
}

/// Everything a CNN's run depends on besides the files it reads.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CnnRunConfig {
    /// Folder with one folder of recordings or pictures a genre, or GTZAN's with
    /// images_original and genres_original; without it data/gtzan if present, else the
    /// synthesized demo set
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to tell of a track: its one genre, or all of its labels, each with a probability of its
    /// own [default: multi-label where tracks of a list have several labels]
    #[arg(long, value_enum, value_name = "TASK")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Learn from pictures or from audio [default: pictures if there are any]
    #[arg(long, value_enum)]
    pub source: Option<Source>,
    /// Front end for audio: a preset's name or a JSON file
    #[arg(long, default_value = "spectrogram", value_name = "PRESET|FILE")]
    pub front_end: String,
    /// Mel bands that a picture's rows are averaged down to [default: 192, for simple 96, or the
    /// rows if there are fewer]
    #[arg(long, value_name = "N")]
    pub mels: Option<usize>,
    /// Frames of a patch [default: for pictures 64, for simple 128, or the columns if there are
    /// fewer; for audio the front end's own, 128]
    #[arg(long, value_name = "N")]
    pub patch_frames: Option<usize>,
    /// Colour map of the pictures, by matplotlib's name, where it is not the one recognized: a
    /// reversed one (gray_r) has the colours of the other
    #[arg(long, value_name = "NAME")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour_map: Option<String>,
    /// How the collection is split.
    #[command(flatten)]
    #[serde(flatten)]
    pub split: SplitOptions,
    /// Train K networks, each without one of K folds of the 80 %, and average them
    #[arg(long, value_name = "K")]
    pub folds: Option<usize>,
    /// Train each network once more, on training and validation part together (with folds on all
    /// of them), for as many epochs as were best: more to learn from, for twice the time
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refit: bool,
    /// Architecture, and how it is trained where nothing else is said
    #[arg(long, value_enum, default_value_t = Preset::Searched)]
    pub preset: Preset,
    /// The architecture in full, from --config FILE.
    #[arg(skip)]
    pub cnn: Option<CnnConfig>,
    /// Learn from this run's probabilities too, where it knows a track
    #[arg(long, value_name = "RUN")]
    pub teacher: Option<PathBuf>,
    /// The teacher's share of the target
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub teacher_share: f64,
    /// Seed of split, weights, order and augmentation
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Make an unreadable file an error instead of skipping it
    #[arg(long)]
    pub strict: bool,
    /// Device for training: cpu or cuda
    #[arg(long, default_value = "cpu", value_name = "NAME")]
    pub device: Device,
    /// How architectures are searched for.
    #[command(flatten)]
    pub search: SearchOptions,
    /// How the weights are fitted.
    #[command(flatten)]
    pub fit: FitOptions,
    /// How patches are varied.
    #[command(flatten)]
    pub augmentation: Augmentation,
}

/// Largest shift of the pitch, in mel bands: far more than front ends have, and the sum of a
/// band and a shift stays far from overflow.
const MAX_SHIFT: usize = 4096;

impl CnnRunConfig {
    /// The architecture.
    pub fn architecture(&self) -> CnnConfig {
        self.cnn.clone().unwrap_or_else(|| self.preset.config())
    }

    /// Mel bands and frames of a picture's patch.
    pub(super) fn picture_patch(&self) -> [Wanted; 2] {
        let of_preset = match self.preset {
            Preset::Simple if self.cnn.is_none() => [96, 128],
            _ => [192, 64],
        };
        let wanted =
            |given: Option<usize>, most| given.map_or(Wanted::AtMost(most), Wanted::Exactly);
        [wanted(self.mels, of_preset[0]), wanted(self.patch_frames, of_preset[1])]
    }

    /// These options with absolute paths, so that a run can be resumed from any folder; `data`
    /// is the collection that was found, whether given or not.
    pub(super) fn absolute(&self, data: &Path) -> Self {
        Self {
            data: Some(absolute(data)),
            front_end: name_or_absolute(&self.front_end, &FrontEnd::PRESETS),
            split: self.split.absolute(),
            teacher: self.teacher.as_deref().map(absolute),
            ..self.clone()
        }
    }

    /// Refuses what is not there for a task, before anything is computed.
    pub(super) fn check_task(&self, task: Task) -> Result<()> {
        check::single(task, "folds", self.folds.is_some())?;
        check::single(task, "search", self.search.search)
    }

    /// Refuses what a new run is not to be asked for; of older versions there may be such runs.
    pub(super) fn check_new(&self) -> Result<()> {
        if self.search.search && self.preset != Preset::Searched {
            let advice = "a search draws its own architectures; leave it out";
            return Err(Error::out_of_range("preset", self.preset, advice));
        }
        Ok(())
    }

    /// Checks every value before any work is done.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the option and the value.
    pub(super) fn check(&self) -> Result<()> {
        let (fit, vary) = (&self.fit, &self.augmentation);
        self.split.check()?;
        check::below_one("warm-up", fit.warm_up)?;
        check::below_one("label-smoothing", fit.label_smoothing)?;
        check::below_one("ema", fit.ema)?;
        check::below_one("mask-width", vary.mask_width)?;
        check::below_one("stretch", vary.stretch)?;
        check::below_one("teacher-share", self.teacher_share)?;
        check::positive("lr", fit.learning_rate, "number")?;
        check::positive("clip", fit.clip, "number")?;
        check::not_negative("weight-decay", fit.weight_decay, "number")?;
        check::not_negative("mixup", vary.mixup, "number")?;
        check::not_negative("gain", vary.gain, "number")?;
        check::at_least_one("epochs", fit.epochs)?;
        check::at_least_one("patience", fit.patience.unwrap_or(1))?;
        check::at_least_one("batch", fit.batch)?;
        check::at_least_one("mels", self.mels.unwrap_or(1))?;
        check::at_least_one("patch-frames", self.patch_frames.unwrap_or(1))?;
        check::at_least_one("jobs", self.search.jobs)?;
        check::at_least_one("configurations", self.search.configurations.unwrap_or(1))?;
        if vary.shift > MAX_SHIFT {
            return Err(Error::out_of_range("shift", vary.shift, "give at most 4096"));
        }
        files::check_unicode(Some("data"), self.data.as_deref())?;
        if let Some(count) = self.folds {
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
        config: CnnRunConfig,
    }

    fn config(arguments: &[&str]) -> CnnRunConfig {
        Cli::parse_from([&["train-cnn"], arguments].concat()).config
    }

    /// Runs of older versions are resumed from it, and reports compare it.
    const SAVED: &str = r#"{
  "data": null,
  "source": null,
  "front_end": "spectrogram",
  "mels": null,
  "patch_frames": null,
  "split": "stratified",
  "test_fraction": 0.2,
  "validation_fraction": 0.2,
  "folds": 5,
  "preset": "searched",
  "cnn": null,
  "teacher": null,
  "teacher_share": 0.5,
  "seed": 0,
  "strict": false,
  "device": "cpu",
  "search": {
    "search": false,
    "quick": false,
    "configurations": null,
    "jobs": 2,
    "again": false
  },
  "fit": {
    "epochs": 150,
    "batch": 32,
    "learning_rate": 0.003,
    "schedule": "cosine",
    "warm_up": 0.1,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "clip": 1.0,
    "ema": 0.99,
    "patience": null
  },
  "augmentation": {
    "mixup": 0.0,
    "masks": 1,
    "mask_width": 0.15,
    "stretch": 0.1,
    "shift": 2,
    "gain": 0.2
  }
}"#;

    #[test]
    fn config_json_has_its_old_keys_in_their_old_order() {
        let config = config(&["--folds", "5"]);
        assert_eq!(serde_json::to_string_pretty(&config).unwrap(), SAVED);
        assert_eq!(serde_json::from_str::<CnnRunConfig>(SAVED).unwrap(), config);
    }

    /// A recipe that fits a large network does not fit a small one.
    #[test]
    fn a_preset_brings_its_recipe_and_gives_way_to_what_is_said() {
        let simple = config(&["--preset", "simple"]);
        assert_eq!((simple.fit.epochs, simple.fit.learning_rate), (60, 1e-3));
        let Augmentation { masks, stretch, shift, gain, .. } = simple.augmentation;
        assert_eq!((masks, stretch, shift, gain), (0, 0.0, 0, 0.0));
        assert_eq!(simple.picture_patch(), [Wanted::AtMost(96), Wanted::AtMost(128)]);
        let said = config(&["--preset", "simple", "--epochs", "9", "--masks", "2", "--mels", "64"]);
        assert_eq!((said.fit.epochs, said.augmentation.masks), (9, 2));
        assert_eq!(said.picture_patch(), [Wanted::Exactly(64), Wanted::AtMost(128)]);
        let other = config(&["--preset", "vgg"]);
        assert_eq!(other.picture_patch(), [Wanted::AtMost(192), Wanted::AtMost(64)]);
        assert_eq!((other.fit, other.augmentation), (config(&[]).fit, config(&[]).augmentation));
    }

    #[test]
    fn a_search_takes_no_preset() {
        config(&["--search"]).check_new().unwrap();
        let error = config(&["--search", "--preset", "simple"]).check_new().unwrap_err();
        assert!(error.to_string().starts_with("‹preset› simple: a search draws"), "{error}");
    }

    #[test]
    fn what_takes_0_says_so() {
        config(&["--weight-decay=0", "--mixup=0", "--gain=0", "--ema=0"]).check().unwrap();
        for (option, value, expected) in [
            ("weight-decay", "-1", "give a number from 0 to below 1000"),
            ("mixup", "1000", "give a number from 0 to below 1000"),
            ("gain", "-0.5", "give a number from 0 to below 1000"),
            ("ema", "1", "give a number from 0 to below 1"),
            ("lr", "0", "give a positive number below 1000"),
            ("clip", "0", "give a positive number below 1000"),
        ] {
            let error = config(&[&format!("--{option}={value}")]).check().unwrap_err();
            assert_eq!(error.to_string(), format!("‹{option}› {value}: {expected}"));
        }
    }
}
