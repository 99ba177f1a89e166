//! The one way from a file to a model's input.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3};

use super::extractor::{Extractor, LogMel, Patches, patches};
use super::front_end::FrontEnd;
use super::plot::Seen;
use super::preprocessor::Preprocessor;
use super::recognized::Tally;
use super::windows::Windows;
use crate::audio::Audio;
use crate::error::{Error, Result};

/// A [`Preprocessor`] made ready: the one way from a file to a model's input. One is enough
/// for any number of threads.
pub struct Reader {
    preprocessor: Preprocessor,
    /// Where log-mels are made.
    extractor: Option<Box<Extractor>>,
    /// Whether it says what is odd about recordings.
    says: bool,
    strict: bool,
    /// What the pictures were recognized as.
    tally: Mutex<Tally>,
}

impl Preprocessor {
    /// A reader of such files.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the front end is not possible.
    #[doc(hidden)]
    pub fn reader(&self) -> Result<Reader> {
        let extractor = match self {
            Self::Audio(front_end) => Some(Box::new(Extractor::new(front_end)?)),
            Self::Picture(_) | Self::Image(_) | Self::Samples(_) => None,
        };
        let tally = Mutex::default();
        Ok(Reader { preprocessor: self.clone(), extractor, says: false, strict: false, tally })
    }
}

impl Reader {
    /// For recordings behind `front_end`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the front end is not possible.
    pub fn audio(front_end: &FrontEnd) -> Result<Self> {
        Preprocessor::Audio(front_end.clone()).reader()
    }

    /// The first that reads a collection: it says what is odd about a recording, so that those
    /// after it need not, and refuses damaged ones if `strict`.
    #[must_use]
    pub(crate) fn first(self, strict: bool) -> Self {
        Self { says: true, strict, ..self }
    }

    /// The spectrogram of the file at `path`, at least a patch long; of a picture for a vision
    /// network its columns, of a recording for a network that takes samples these:
    /// `[frames, features]`.
    ///
    /// # Errors
    /// Those of [`Audio::open_to_learn`]; [`Error::Io`] and [`Error::Format`] of a picture.
    pub fn read(&self, path: &Path) -> Result<LogMel> {
        Ok(self.padded(path)?.0.0)
    }

    /// The patches of the file at `path`, `[patches, frames, features]`.
    ///
    /// # Errors
    /// Those of [`Reader::read`].
    pub fn patches(&self, path: &Path) -> Result<Patches> {
        let ((frames, padded), noted) = self.padded(path)?;
        Ok(Patches { values: self.cut(&frames), padded, noted })
    }

    /// The patches of what [`Reader::read`] gives.
    fn cut(&self, frames: &LogMel) -> Array3<f32> {
        patches(frames, self.preprocessor.patch()[0], self.preprocessor.hop()).into_owned()
    }

    /// The samples of every patch of the recording at `path`, `[patches, samples]`, for a model
    /// that takes these.
    ///
    /// # Errors
    /// Those of [`Reader::samples`].
    #[doc(hidden)]
    pub fn waveforms(&self, path: &Path) -> Result<Array2<f32>> {
        Ok(self.windows(path)?.cut(&self.samples(path)?))
    }

    /// The whole recording at `path`, at the front end's rate.
    ///
    /// # Errors
    /// Those of [`Audio::open_to_learn`]; [`Error::Unsupported`] if this reads pictures.
    pub(crate) fn samples(&self, path: &Path) -> Result<Vec<f32>> {
        Ok(self.noted(path)?.0)
    }

    /// The same, and whether something about it is odd.
    fn noted(&self, path: &Path) -> Result<(Vec<f32>, bool)> {
        let rate = self.windows(path)?.sample_rate;
        let (audio, notes) = Audio::open_to_learn(path, rate, self.strict)?;
        if self.says {
            notes.iter().for_each(|note| tracing::warn!("{}: {note}", path.display()));
        }
        Ok((audio.samples, !notes.is_empty()))
    }

    /// The patches of a recording's samples, `[patches, frames, features]`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if this reads pictures.
    pub(crate) fn patches_of(&self, samples: &[f32], path: &Path) -> Result<Array3<f32>> {
        Ok(self.cut(&self.heard(samples, self.windows(path)?).0))
    }

    /// A spectrogram, whether it was made longer, and whether something about its file is odd.
    fn padded(&self, path: &Path) -> Result<((LogMel, bool), bool)> {
        match &self.preprocessor {
            Preprocessor::Picture(_) | Preprocessor::Image(_) => {
                let (values, stretched, seen) = self.look(path)?;
                self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(&seen);
                Ok(((values, stretched), false))
            }
            Preprocessor::Samples(_) | Preprocessor::Audio(_) => {
                let (samples, noted) = self.noted(path)?;
                Ok((self.heard(&samples, self.windows(path)?), noted))
            }
        }
    }

    /// The columns of a picture, whether these were stretched to a patch, and what the picture was
    /// recognized as.
    fn look(&self, path: &Path) -> Result<(LogMel, bool, Seen)> {
        match &self.preprocessor {
            Preprocessor::Picture(front_end) => {
                front_end.look(path).map(|(values, seen)| (values, false, seen))
            }
            Preprocessor::Image(front_end) => {
                front_end.read(path).map(|pixels| (pixels.values, pixels.stretched, pixels.seen))
            }
            Preprocessor::Samples(_) | Preprocessor::Audio(_) => {
                Err(Error::unsupported(path, "a model that hears cannot be given a picture"))
            }
        }
    }

    /// The patches of a picture, and what it was recognized as.
    ///
    /// # Errors
    /// Those of [`Reader::read`]; [`Error::Unsupported`] if this reads recordings.
    #[doc(hidden)]
    pub fn picture(&self, path: &Path) -> Result<(Patches, Seen)> {
        let (values, padded, seen) = self.look(path)?;
        Ok((Patches { values: self.cut(&values), padded, noted: false }, seen))
    }

    /// What the pictures read so far were recognized as.
    pub(crate) fn recognized(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Samples as a model hears them, at least a patch long, and whether silence made up for
    /// what was missing.
    fn heard(&self, samples: &[f32], windows: Windows) -> (LogMel, bool) {
        if let Some(extractor) = &self.extractor {
            return extractor.padded_log_mel(samples);
        }
        let length = samples.len().max(windows.size);
        let column = |(at, _)| samples.get(at).copied().unwrap_or_default();
        (LogMel::from_shape_fn((length, 1), column), samples.len() < windows.least)
    }

    fn windows(&self, path: &Path) -> Result<Windows> {
        self.preprocessor.windows().ok_or_else(|| {
            Error::unsupported(path, "a model that takes samples cannot be given a picture")
        })
    }
}
