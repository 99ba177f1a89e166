//! How a model's input is made from a file: from audio or from a picture.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::extractor::{Extractor, LogMel, Patches, patches};
use super::front_end::FrontEnd;
use super::invalid::InvalidFrontEnd;
use super::patch_kind::PatchKind;
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

/// A [`Preprocessor`] made ready: the one way from a file to a model's input. One is enough
/// for any number of threads.
pub struct Reader(Prepared);

enum Prepared {
    Picture(PictureFrontEnd),
    Audio(Box<Extractor>),
}

impl Preprocessor {
    /// Reads a description from a JSON file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is neither kind of front end.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|invalid| Error::format(path, invalid))
    }

    /// Reads a description from JSON.
    ///
    /// # Errors
    /// [`InvalidFrontEnd`], with line and column where the JSON is at fault.
    pub fn parse(json: &str) -> Result<Self, InvalidFrontEnd> {
        let value: serde_json::Value = serde_json::from_str(json)?;
        // Not left to serde's `untagged`, which would not say what is wrong.
        if value.get("kind").is_some() {
            let front_end: PictureFrontEnd = serde_json::from_str(json)?;
            front_end.validate()?;
            return Ok(Self::Picture(front_end));
        }
        let front_end: FrontEnd = serde_json::from_str(json)?;
        front_end.check_named()?;
        Ok(Self::Audio(front_end))
    }

    /// Frames and mel bands of a patch.
    pub fn patch(&self) -> [usize; 2] {
        match self {
            Self::Picture(front_end) => [front_end.patch_frames, front_end.mels],
            Self::Audio(front_end) => [front_end.patch_frames, front_end.mels],
        }
    }

    /// What a patch is.
    #[doc(hidden)]
    pub fn patch_kind(&self) -> PatchKind {
        match self {
            Self::Picture(_) => self.patch().into(),
            Self::Audio(front_end) => front_end.patch_kind(),
        }
    }

    /// Frames from one patch to the next when a track is scored.
    pub(crate) fn hop(&self) -> usize {
        match self {
            Self::Picture(front_end) => front_end.patch_hop,
            Self::Audio(front_end) => front_end.patch_hop,
        }
    }

    /// Seconds from one patch to the next; none for pictures, which do not say.
    pub(crate) fn hop_seconds(&self) -> Option<f64> {
        match self {
            Self::Picture(_) => None,
            Self::Audio(front_end) => Some(front_end.patch_hop_seconds()),
        }
    }

    /// A reader of such files.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the front end is not possible.
    #[doc(hidden)]
    pub fn reader(&self) -> Result<Reader> {
        match self {
            Self::Picture(front_end) => Ok(Reader(Prepared::Picture(front_end.clone()))),
            Self::Audio(front_end) => Reader::audio(front_end),
        }
    }
}

impl Reader {
    /// For recordings behind `front_end`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the front end is not possible.
    pub fn audio(front_end: &FrontEnd) -> Result<Self> {
        Ok(Self(Prepared::Audio(Box::new(Extractor::new(front_end)?))))
    }

    /// What makes log-mels of samples; none where pictures are read.
    pub(crate) fn extractor(&self) -> Option<&Extractor> {
        match &self.0 {
            Prepared::Audio(extractor) => Some(extractor),
            Prepared::Picture(_) => None,
        }
    }

    /// The spectrogram of the file at `path`, at least a patch long.
    ///
    /// # Errors
    /// Those of [`Audio::open`] or [`PictureFrontEnd::read`].
    pub fn read(&self, path: &Path) -> Result<LogMel> {
        Ok(self.padded(path)?.0)
    }

    /// The patches of the file at `path`, for a model that takes log-mels.
    ///
    /// # Errors
    /// Those of [`Reader::read`].
    pub fn patches(&self, path: &Path) -> Result<Patches> {
        let (log_mel, padded) = self.padded(path)?;
        let (frames, hop) = match &self.0 {
            Prepared::Picture(front_end) => (front_end.patch_frames, front_end.patch_hop),
            Prepared::Audio(extractor) => {
                (extractor.front_end().patch_frames, extractor.front_end().patch_hop)
            }
        };
        Ok(Patches { values: patches(&log_mel, frames, hop).into_owned(), padded })
    }

    /// The samples of every patch of the recording at `path`, `[patches, samples]`, for a model
    /// that carries its front end.
    ///
    /// # Errors
    /// Those of [`Reader::samples`].
    #[doc(hidden)]
    pub fn waveforms(&self, path: &Path) -> Result<Array2<f32>> {
        let extractor = self.for_samples(path)?;
        Ok(extractor.front_end().waveforms(&samples(extractor, path)?))
    }

    /// The whole recording at `path`, at the front end's rate.
    ///
    /// # Errors
    /// Those of [`Audio::open`]; [`Error::Unsupported`] if this reads pictures.
    pub(crate) fn samples(&self, path: &Path) -> Result<Vec<f32>> {
        samples(self.for_samples(path)?, path)
    }

    fn padded(&self, path: &Path) -> Result<(LogMel, bool)> {
        match &self.0 {
            Prepared::Picture(front_end) => Ok((front_end.read(path)?, false)),
            Prepared::Audio(extractor) => Ok(extractor.padded_log_mel(&samples(extractor, path)?)),
        }
    }

    fn for_samples(&self, path: &Path) -> Result<&Extractor> {
        self.extractor().ok_or_else(|| {
            Error::unsupported(path, "a model that takes samples cannot be given a picture")
        })
    }
}

fn samples(extractor: &Extractor, path: &Path) -> Result<Vec<f32>> {
    Ok(Audio::open(path)?.resampled(extractor.front_end().sample_rate)?.samples)
}
