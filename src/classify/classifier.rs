//! The interface of an application to a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answer::Classification;
use super::catalogue::Teller;
use super::engine::Engine;
use super::files;
use super::options::Options;
use super::ready_made::ReadyMade;
use super::recording::{self, Recording};
use super::stream::Stream;
use crate::error::{Error, Result};
#[cfg(feature = "train")]
use crate::features::Windows;
use crate::files::sha256;
use crate::metrics::Average;

/// Samples that a recording in memory is taken in at a time, so that a copy at another rate
/// does not double the memory.
const BLOCK: usize = 1 << 16;

/// A model made ready to classify recordings. Clones share it, and threads may.
#[derive(Clone)]
pub struct Classifier {
    engine: Arc<Engine>,
}

impl Classifier {
    /// Opens an exported `.onnx` file of any input (`log_mel`, `waveform`, `clip`, `image`),
    /// a run folder or a bundle folder; or by its [name](super::ready_made::ReadyMade::name) a
    /// pretrained network as it is.
    ///
    /// # Errors
    /// Those of [`runtime::open`](crate::runtime::open), and [`Error::InvalidInput`] for
    /// [`Runtime::Burn`](crate::runtime::Runtime::Burn), which runs no ONNX files;
    /// [`Error::Onnx`] if the file does not say how its input is made (`labels` and `front_end` in
    /// its metadata); [`Error::NotFound`] for a folder without a model; [`Error::Unsupported`] for a
    /// least confidence where it tells any number of labels.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        Ok(Self { engine: Arc::new(Engine::open(path, options)?) })
    }

    /// A pretrained network as it is, with the classes that it was trained to tell.
    ///
    /// # Errors
    /// [`Error::NotFound`] if its file is not there; those of [`Classifier::open`].
    pub fn ready_made(ready_made: ReadyMade, options: &Options) -> Result<Self> {
        Ok(Self { engine: Arc::new(Engine::ready_made(ready_made, options)?) })
    }

    /// The genres, in the order of every list of probabilities.
    pub fn labels(&self) -> &[String] {
        &self.engine.model.labels
    }

    /// The probability from which on a recording has each of the labels, where the model tells any
    /// number of them: see [`Classification::above`]. None where it tells one genre.
    pub fn thresholds(&self) -> Option<&[f32]> {
        self.engine.model.thresholds.as_deref()
    }

    /// Whether it takes pictures of spectrograms, and no recordings.
    pub fn looks_at_pictures(&self) -> bool {
        self.engine.model.reader().is_some()
    }

    /// The mean over a recording's patches that the file means.
    pub(crate) fn average(&self) -> Average {
        self.engine.model.judge.average()
    }

    /// What the file's metadata say under `key`.
    pub(crate) fn metadata(&self, key: &str) -> Option<String> {
        self.engine.metadata(key)
    }

    /// Where patches lie in a recording.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model looks at pictures.
    #[cfg(feature = "train")]
    pub(crate) fn windows(&self) -> Result<Windows> {
        self.engine.model.windows()
    }

    /// The ONNX file that was opened.
    pub(crate) fn model(&self) -> &Path {
        &self.engine.model.path
    }

    /// Whose answers it gives.
    ///
    /// # Errors
    /// [`Error::Io`] if the model's file cannot be read.
    #[doc(hidden)]
    pub fn teller(&self) -> Result<Teller> {
        let (labels, thresholds) = (self.labels().to_vec(), self.thresholds().map(<[f32]>::to_vec));
        let min_confidence = self.engine.model.judge.min_confidence;
        Ok(Teller { sha256: self.sha256()?, labels, thresholds, min_confidence })
    }

    /// The SHA-256 of that file, in hexadecimal; of a ready-made one with what is told of it.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub(crate) fn sha256(&self) -> Result<String> {
        let file = sha256(self.model())?;
        Ok(match self.engine.ready_made {
            Some(ready_made) => ready_made.digest(&file),
            None => file,
        })
    }

    /// The genres of a recording: mono samples, nominally in [-1, 1], at `rate` Hz. One shorter
    /// than a patch is padded with silence.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there are no samples, one is not finite or the rate is out of
    /// range; [`Error::Runtime`] if the model fails.
    pub fn classify(&self, samples: &[f32], rate: u32) -> Result<Classification> {
        if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::InvalidInput(format!("sample {at} is {}", samples[at])));
        }
        if samples.is_empty() {
            return Err(Error::InvalidInput("there are no samples to classify".into()));
        }
        let mut recording = Recording::new(&self.engine, rate, self.engine.threads)?;
        for block in samples.chunks(BLOCK) {
            recording.push(block)?;
        }
        recording.finish(vec![])
    }

    /// The genres of the recording in the file at `path`, or of the picture there if the model
    /// [looks at pictures](Self::looks_at_pictures).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the other of the two; [`Error::Format`] of a picture; those of [`Audio::open`](crate::audio::Audio::open); [`Error::Runtime`] if the model fails.
    pub fn classify_file(&self, path: &Path) -> Result<Classification> {
        recording::classify_file(&self.engine, path, self.engine.threads)
    }

    /// The genres of many recordings, on all threads: `done` is called with each as it is ready,
    /// by its place in `paths`, in the order they are finished. A recording that cannot be read
    /// is an error given to `done`, and the others go on.
    ///
    /// # Errors
    /// The first error of `done`, after which no more recordings are begun.
    pub fn classify_files(
        &self,
        paths: &[PathBuf],
        done: impl FnMut(usize, Result<Classification>) -> Result<()>,
    ) -> Result<()> {
        let classify =
            |path: &Path, width: usize| recording::classify_file(&self.engine, path, width);
        files::on_threads(self.engine.threads, paths, classify, done)
    }

    /// Live audio at `rate` Hz, classified as it comes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the rate is out of range.
    pub fn stream(&self, rate: u32) -> Result<Stream> {
        Stream::new(Arc::clone(&self.engine), rate)
    }
}
