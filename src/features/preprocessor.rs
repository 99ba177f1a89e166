//! How a model's input is made from a file: from audio or from a picture.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Extractor, FrontEnd, LogMel, PictureFrontEnd};
use crate::audio::Audio;
use crate::{Error, Result, files};

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
        let value: serde_json::Value = files::read_json(path)?;
        match value.get("kind").is_some() {
            true => serde_json::from_value(value).map(Self::Picture),
            // By its own reader, for its own error messages.
            false => return FrontEnd::load(path).map(Self::Audio),
        }
        .map_err(|e| Error::format(path, e))
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
