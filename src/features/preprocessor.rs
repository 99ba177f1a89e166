//! How a model's input is made from a file: from audio or from a picture.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::extractor::{Extractor, LogMel};
use super::front_end::FrontEnd;
use super::picture::PictureFrontEnd;
use crate::audio::Audio;
use crate::error::{Error, Result};

/// What `preprocessor.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Preprocessor {
    /// From pictures.
    Picture(PictureFrontEnd),
    /// From audio.
    Audio(FrontEnd),
}

/// A [`Preprocessor`] made ready; one is enough for any number of threads.
pub struct Reader<'a> {
    preprocessor: &'a Preprocessor,
    extractor: Option<Extractor>,
}

impl Preprocessor {
    /// Reads a description from a JSON file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is neither kind of front end.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|reason| Error::format(path, reason))
    }

    /// Reads a description from JSON.
    ///
    /// # Errors
    /// What is wrong, with line and column where the JSON is at fault.
    pub fn parse(json: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
        // Not left to serde's `untagged`, which would not say what is wrong.
        if value.get("kind").is_some() {
            let front_end: PictureFrontEnd =
                serde_json::from_str(json).map_err(|e| e.to_string())?;
            front_end.validate()?;
            return Ok(Self::Picture(front_end));
        }
        let front_end: FrontEnd = serde_json::from_str(json).map_err(|e| e.to_string())?;
        front_end.validate().map_err(|e| e.to_string())?;
        Ok(Self::Audio(front_end))
    }

    /// Frames and mel bands of a patch.
    pub fn patch(&self) -> [usize; 2] {
        match self {
            Self::Picture(front_end) => [front_end.patch_frames, front_end.mels],
            Self::Audio(front_end) => [front_end.patch_frames, front_end.mels],
        }
    }

    /// Frames from one patch to the next when a track is scored.
    pub fn hop(&self) -> usize {
        match self {
            Self::Picture(front_end) => front_end.patch_hop,
            Self::Audio(front_end) => front_end.patch_hop,
        }
    }

    /// Seconds from one patch to the next; none for pictures, which do not say.
    pub fn hop_seconds(&self) -> Option<f64> {
        match self {
            Self::Picture(_) => None,
            Self::Audio(front_end) => Some(front_end.patch_hop_seconds()),
        }
    }

    /// Makes it ready.
    ///
    /// # Errors
    /// [`Error::Config`] if the front end is not possible.
    pub fn reader(&self) -> Result<Reader<'_>> {
        let extractor = match self {
            Self::Picture(_) => None,
            Self::Audio(front_end) => Some(Extractor::new(front_end)?),
        };
        Ok(Reader { preprocessor: self, extractor })
    }
}

impl Reader<'_> {
    /// The spectrogram of the file at `path`, at least a patch long.
    ///
    /// # Errors
    /// Those of [`Audio::open`] or [`PictureFrontEnd::read`].
    pub fn read(&self, path: &Path) -> Result<LogMel> {
        match (self.preprocessor, &self.extractor) {
            (Preprocessor::Audio(front_end), Some(extractor)) => {
                let audio = Audio::open(path)?.resampled(front_end.sample_rate)?;
                Ok(extractor.padded_log_mel(&audio.samples).0)
            }
            (Preprocessor::Picture(front_end), _) => front_end.read(path),
            (Preprocessor::Audio(_), None) => Err(Error::format(path, "no extractor")),
        }
    }
}
