//! What an exported file takes.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::onnx::names::{CLIP, IMAGE, LOG_MEL, WAVEFORM, key};
use crate::run::names;

/// What an exported file takes, and so how much of the way from samples to genres it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// `log_mel` `[batch, frames, mels]`: what the native front end makes, or another
    /// program's. Outputs `probabilities` `[batch, classes]`, `embeddings` `[batch, features]`.
    LogMel,
    /// `waveform` `[batch, samples]`: the samples of one patch each, -1 to 1, as
    /// [`crate::features::FrontEnd::waveforms`] cuts them. The same outputs.
    Waveform,
    /// `waveform` `[1, samples]`: a recording of any length. Outputs `probabilities`
    /// `[1, classes]`, the mean over its patches (see [`crate::metrics::Average`]), `patch_probabilities` `[patches, classes]`
    /// and `embeddings` `[patches, features]`. A recording shorter than a patch is filled up
    /// with silence; one without a single sample makes any runtime fail, as `classify` does.
    Clip,
    /// `image` `[batch, channels, height, width]`: normalized pixels as the `front_end` in the
    /// metadata says (`(value - mean) / deviation` of values from 0 to `white`). The same outputs.
    Image,
}

impl Input {
    /// What models behind this front end are exported for unless another is asked for: a patch
    /// of samples; log-mels or pixels where the front end reads pictures.
    pub fn default_for(preprocessor: &Preprocessor) -> Self {
        match preprocessor {
            Preprocessor::Audio(_) => Self::Waveform,
            _ => Self::native_to(preprocessor),
        }
    }

    /// What models behind this front end take without anything before them, as `model.onnx` of
    /// their run does.
    pub fn native_to(preprocessor: &Preprocessor) -> Self {
        match preprocessor {
            Preprocessor::Audio(_) | Preprocessor::Picture(_) => Self::LogMel,
            Preprocessor::Samples(_) => Self::Waveform,
            Preprocessor::Image(_) => Self::Image,
        }
    }

    /// `log_mel`, `waveform`, `clip` or `image`, as `input` in a file's metadata says.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogMel => LOG_MEL,
            Self::Waveform => WAVEFORM,
            Self::Clip => CLIP,
            Self::Image => IMAGE,
        }
    }

    /// What the file is called in a run's folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::LogMel | Self::Image => names::MODEL,
            Self::Waveform => names::WAVEFORM,
            Self::Clip => names::CLIP,
        }
    }

    /// What a file's metadata say of its samples, as decimal numbers: `sample_rate` and
    /// `patch_hop_samples`, for patches also `patch_samples` and `lead_samples` (the zeros
    /// before a recording whose patch `k` begins at `k * patch_hop_samples`).
    pub(super) fn metadata(self, preprocessor: &Preprocessor) -> Vec<(&'static str, String)> {
        let Some(windows) = preprocessor.windows() else { return vec![] };
        let recording = [
            (key::SAMPLE_RATE, windows.sample_rate as usize),
            (key::PATCH_HOP_SAMPLES, windows.hop),
        ];
        let patch = [(key::PATCH_SAMPLES, windows.size), (key::LEAD_SAMPLES, windows.lead)];
        let numbers = match self {
            Self::LogMel | Self::Image => vec![],
            Self::Waveform => [recording, patch].concat(),
            Self::Clip => recording.to_vec(),
        };
        numbers.into_iter().map(|(key, number)| (key, number.to_string())).collect()
    }

    /// Checks that the model in `run` can be exported for this.
    pub(super) fn check(self, preprocessor: &Preprocessor, run: &Path) -> Result<()> {
        let reason = match (self, preprocessor) {
            (Self::LogMel, Preprocessor::Audio(_) | Preprocessor::Picture(_))
            | (Self::Waveform | Self::Clip, Preprocessor::Audio(_) | Preprocessor::Samples(_))
            | (Self::Image, Preprocessor::Image(_)) => return Ok(()),
            (Self::Waveform | Self::Clip, Preprocessor::Picture(_)) => {
                "the model was trained on pictures, and how those were drawn from samples is not \
                 known; use ‹input› log-mel, or train with ‹source› audio"
            }
            (Self::LogMel | Self::Waveform | Self::Clip, Preprocessor::Image(_)) => {
                "the model looks at pictures, and how those were drawn from samples is not known; \
                 use ‹input› image"
            }
            (Self::LogMel, Preprocessor::Samples(_)) => {
                "the model takes samples and no log-mels; use ‹input› waveform or clip"
            }
            (Self::Image, Preprocessor::Picture(_)) => {
                "the model takes the intensities of plots and no colours; use ‹input› log-mel"
            }
            (Self::Image, Preprocessor::Audio(_) | Preprocessor::Samples(_)) => {
                "the model hears recordings; use ‹input› waveform or clip"
            }
        };
        Err(Error::unsupported(run, reason))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Input {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "log-mel" | LOG_MEL => Ok(Self::LogMel),
            WAVEFORM => Ok(Self::Waveform),
            CLIP => Ok(Self::Clip),
            IMAGE => Ok(Self::Image),
            _ => Err(Error::Unknown {
                what: "input",
                name: text.to_owned(),
                choices: "waveform, clip, log-mel or image".to_owned(),
            }),
        }
    }
}
