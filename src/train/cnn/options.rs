//! What a CNN's training is told to do: command-line options, saved with the run.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::dataset::source::Source;
use crate::error::{Error, Result};
use crate::features::FrontEnd;
use crate::files;
use crate::run::{CnnConfig, Preset};
use crate::runtime::Device;
use crate::train::config::{SPLITS, absolute, name_or_absolute};

/// How the learning rate moves over the steps of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Up linearly over the warm-up, then down to nothing as a half cosine.
    Cosine,
    /// Up and down as half cosines, over 30 % and 70 % of the steps (Smith & Topin 2018).
    OneCycle,
}

/// How the weights are fitted.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitOptions {
    /// Passes over the training tracks
    #[arg(long, default_value_t = 150, value_name = "N")]
    pub epochs: usize,
    /// Patches a step
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub batch: usize,
    /// Largest learning rate
    #[arg(long = "lr", default_value_t = 3e-3, value_name = "RATE")]
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
    /// Stop after so many epochs without a lower validation loss [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
}

/// How patches are varied while training.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Alpha of mixup's Beta distribution (Zhang et al. 2018); 0 for none
    #[arg(long, default_value_t = 0.0, value_name = "ALPHA")]
    pub mixup: f64,
    /// Masks over time and over frequency in each patch (SpecAugment, Park et al. 2019)
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub masks: usize,
    /// Widest mask, as a share of the patch in its direction
    #[arg(long, default_value_t = 0.15, value_name = "SHARE")]
    pub mask_width: f64,
    /// Stretch time by up to this share, slower or faster
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub stretch: f64,
    /// Shift the pitch by up to so many mel bands, up or down
    #[arg(long, default_value_t = 2, value_name = "BANDS")]
    pub shift: usize,
    /// Change the level by up to so many standard deviations of the data
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub gain: f64,
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
    /// Learn from pictures or from audio [default: pictures if there are any]
    #[arg(long, value_enum)]
    pub source: Option<Source>,
    /// Front end for audio: a preset's name or a JSON file
    #[arg(long, default_value = "spectrogram", value_name = "PRESET|FILE")]
    pub front_end: String,
    /// Mel bands that a picture's rows are averaged down to [default: 192, or the rows if there
    /// are fewer]
    #[arg(long, value_name = "N")]
    pub mels: Option<usize>,
    /// Frames of a patch [default: for pictures 64, or the columns if there are fewer; for audio
    /// the front end's own, 128]
    #[arg(long, value_name = "N")]
    pub patch_frames: Option<usize>,
    /// Split: "stratified" (shuffled 80/20 by track), "fault-filtered" (GTZAN's published
    /// lists, in DATA/splits) or a split.json
    #[arg(long, default_value = "stratified", value_name = "KIND|FILE")]
    pub split: String,
    /// Share of the tracks in the test part
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub test_fraction: f64,
    /// Share of the rest that is held out while training
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub validation_fraction: f64,
    /// Train K networks, each without one of K folds of the 80 %, and average them
    #[arg(long, value_name = "K")]
    pub folds: Option<usize>,
    /// Architecture
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

/// More mel bands than any front end has.
const MAX_SHIFT: usize = 4096;

impl CnnRunConfig {
    /// The architecture.
    pub fn architecture(&self) -> CnnConfig {
        self.cnn.clone().unwrap_or_else(|| self.preset.config())
    }

    /// The same options with absolute paths, so that a run can be resumed from any
    /// folder; `data` is the collection that was found, whether given or not.
    pub fn absolute(&self, data: &Path) -> Self {
        Self {
            data: Some(absolute(data)),
            front_end: name_or_absolute(&self.front_end, &FrontEnd::PRESETS),
            split: name_or_absolute(&self.split, &SPLITS),
            teacher: self.teacher.as_deref().map(absolute),
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
        let (fit, vary) = (&self.fit, &self.augmentation);
        for (option, share) in [
            ("test-fraction", self.test_fraction),
            ("validation-fraction", self.validation_fraction),
        ] {
            if !(share > 0.0 && share < 1.0) {
                return wrong(option, &share, "give a share between 0 and 1");
            }
        }
        for (option, share) in [
            ("warm-up", fit.warm_up),
            ("label-smoothing", fit.label_smoothing),
            ("ema", fit.ema),
            ("mask-width", vary.mask_width),
            ("stretch", vary.stretch),
            ("teacher-share", self.teacher_share),
        ] {
            if !(0.0..1.0).contains(&share) {
                return wrong(option, &share, "give 0 up to, not including, 1");
            }
        }
        for (option, rate, least) in [
            ("lr", fit.learning_rate, f64::MIN_POSITIVE),
            ("clip", fit.clip, f64::MIN_POSITIVE),
            ("weight-decay", fit.weight_decay, 0.0),
            ("mixup", vary.mixup, 0.0),
            ("gain", vary.gain, 0.0),
        ] {
            if !(rate >= least && rate < 1e3) {
                return wrong(option, &rate, "give a positive number below 1000");
            }
        }
        for (option, count) in [
            ("epochs", fit.epochs),
            ("patience", fit.patience.unwrap_or(1)),
            ("batch", fit.batch),
            ("mels", self.mels.unwrap_or(1)),
            ("patch-frames", self.patch_frames.unwrap_or(1)),
            ("jobs", self.search.jobs),
            ("configurations", self.search.configurations.unwrap_or(1)),
        ] {
            if count == 0 {
                return wrong(option, &count, "give at least 1");
            }
        }
        if vary.shift > MAX_SHIFT {
            return wrong("shift", &vary.shift, "give at most 4096");
        }
        files::check_unicode(Some("data"), self.data.as_deref())?;
        match self.folds {
            Some(folds @ 0..2) => wrong("folds", &folds, "give at least 2"),
            _ => Ok(()),
        }
    }
}
