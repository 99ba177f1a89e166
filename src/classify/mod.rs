//! Audio in, genres out: what an application does with an exported model.
//!
//! A [`Classifier`] takes samples, files of any length and live audio. Recordings are decoded,
//! resampled, cut into patches and given to the model in pieces of bounded size, so memory does
//! not grow with their length, and the answer depends neither on the number of threads nor on
//! what else is classified.
//!
//! ```no_run
//! use genre_transfer::Classifier;
//! use genre_transfer::classify::Options;
//!
//! let classifier = Classifier::open("genres.onnx".as_ref(), &Options::default())?;
//! let song = classifier.classify_file("song.mp3".as_ref())?;
//! println!("{}: {:.2}", classifier.labels()[song.best()], song.probabilities[song.best()]);
//!
//! // Live audio, as it comes from a microphone.
//! let mut stream = classifier.stream(48_000)?;
//! for patch in stream.push(&[0.0; 96_000])? {
//!     println!("{:.2} s: {:?}", patch.start, patch.probabilities);
//! }
//! # Ok::<(), genre_transfer::Error>(())
//! ```

mod answer;
mod collection;
mod cutter;
mod files;
mod journal;
mod model;
mod parquet;
mod picture;
mod render;
mod sessions;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::audio::{Decoder, Resampler};
use crate::error::{Error, Result};
use crate::runtime::{self, Device, Runtime};

pub use answer::{Classification, Patch, Timeline};
pub use collection::{Collection, find};
pub use journal::Journal;
pub use picture::{is_png, picture};
pub use render::{TimelineCsv, View};
pub use stream::Stream;

use answer::Scores;
use cutter::{Cutter, Piece};
use model::Model;
use sessions::Sessions;

/// How a [`Classifier`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What runs the model: ort or tract.
    pub runtime: Runtime,
    /// Where it runs.
    pub device: Device,
    /// Threads to use, at least 1.
    pub threads: usize,
}

impl Default for Options {
    /// ort if its library is found, else tract, on all cores this process may use.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, |n| n.get());
        Self { runtime: runtime::preferred(), device: Device::Cpu, threads }
    }
}

/// A model made ready to hear music. Clones share it, and threads may.
#[derive(Clone)]
pub struct Classifier {
    shared: Arc<Shared>,
}

struct Shared {
    model: Model,
    sessions: Sessions,
    threads: usize,
    /// Where the pieces of one recording run side by side; `None` with one thread.
    pool: Option<ThreadPool>,
}

impl Classifier {
    /// Opens an exported `.onnx` file of any of the three inputs (`log_mel`, `waveform`, `clip`),
    /// a run folder or a bundle folder.
    ///
    /// # Errors
    /// Those of [`runtime::open`]; [`Error::Onnx`] if the file does not say what it hears
    /// (`labels` and `front_end` in its metadata) or looks at pictures; [`Error::Config`] for a
    /// folder without a model.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        if options.threads == 0 {
            return Err(Error::Config("threads must be at least 1".into()));
        }
        if options.runtime == Runtime::Burn {
            return Err(Error::Config("burn runs no ONNX files; choose ort or tract".into()));
        }
        let path = model::find(path)?;
        let sessions = Sessions::open(&path, options)?;
        let model = sessions.with(|session| Model::new(&path, session))?;
        let pool = (options.threads > 1)
            .then(|| ThreadPoolBuilder::new().num_threads(options.threads).build())
            .transpose()
            .map_err(|e| Error::Config(format!("--threads {}: {e}", options.threads)))?;
        let threads = options.threads;
        Ok(Self { shared: Arc::new(Shared { model, sessions, threads, pool }) })
    }

    /// The genres, in the order of every list of probabilities.
    pub fn labels(&self) -> &[String] {
        &self.shared.model.labels
    }

    /// The ONNX file that was opened.
    pub fn model(&self) -> &Path {
        &self.shared.model.path
    }

    /// The SHA-256 of that file, in hexadecimal.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn sha256(&self) -> Result<String> {
        crate::files::sha256(self.model())
    }

    /// The genres of a recording: mono samples, nominally in [-1, 1], at `rate` Hz. One shorter
    /// than a patch is padded with silence.
    ///
    /// # Errors
    /// [`Error::Config`] if there are no samples, one is not finite or the rate is out of range;
    /// [`Error::Runtime`] if the model fails.
    pub fn classify(&self, samples: &[f32], rate: u32) -> Result<Classification> {
        if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::Config(format!("sample {at} is {}", samples[at])));
        }
        if samples.is_empty() {
            return Err(Error::Config("there are no samples to classify".into()));
        }
        let mut recording = Recording::new(self, rate, self.shared.threads)?;
        // In blocks, so that a copy at another rate does not double the memory.
        for block in samples.chunks(1 << 16) {
            recording.push(block)?;
        }
        recording.finish()
    }

    /// The genres of the recording in the file at `path`.
    ///
    /// # Errors
    /// Those of [`Audio::open`](crate::audio::Audio::open); [`Error::Runtime`] if the model fails.
    pub fn classify_file(&self, path: &Path) -> Result<Classification> {
        self.classify_wide(path, self.shared.threads)
    }

    /// The genres of many recordings, on all threads: `done` hears of each as it is ready, by
    /// its place in `paths`, in the order they are finished. A recording that cannot be read is
    /// an error given to `done`, and the others go on.
    ///
    /// # Errors
    /// The first error of `done`, after which no more recordings are begun.
    pub fn classify_files(
        &self,
        paths: &[PathBuf],
        done: impl FnMut(usize, Result<Classification>) -> Result<()>,
    ) -> Result<()> {
        files::classify(self, paths, done)
    }

    /// Live audio at `rate` Hz, classified as it comes.
    ///
    /// # Errors
    /// [`Error::Config`] if the rate is out of range.
    pub fn stream(&self, rate: u32) -> Result<Stream> {
        Stream::new(self, rate)
    }

    /// Classifies a file with so many of its pieces at a time.
    fn classify_wide(&self, path: &Path, width: usize) -> Result<Classification> {
        let mut decoder = Decoder::open(path)?;
        let mut recording = Recording::new(self, decoder.rate(), width)?;
        let mut block = vec![];
        while decoder.read(&mut block)? {
            recording.push(&block)?;
            block.clear();
        }
        recording.finish()
    }

    /// The probabilities of a piece's patches, `[patches, classes]`.
    fn score(&self, piece: &Piece) -> Result<Vec<f32>> {
        self.shared.sessions.with(|session| self.shared.model.score(session, piece))
    }
}

/// -80 dB: a recording nowhere louder is silent, whatever a model thinks of it.
const SILENCE: f32 = 1e-4;

/// A recording on its way through a classifier.
struct Recording<'a> {
    classifier: &'a Classifier,
    resampler: Resampler,
    cutter: Cutter,
    /// Pieces that wait to be run at the same time, at most `width`.
    pieces: Vec<Piece>,
    width: usize,
    scores: Scores,
    resampled: Vec<f32>,
    samples: u64,
    peak: f32,
    rate: u32,
}

impl<'a> Recording<'a> {
    fn new(classifier: &'a Classifier, rate: u32, width: usize) -> Result<Self> {
        let model = &classifier.shared.model;
        Ok(Self {
            classifier,
            resampler: Resampler::new(rate, model.front_end.sample_rate)?,
            cutter: model.cutter(),
            pieces: vec![],
            width,
            scores: Scores::new(model),
            resampled: vec![],
            samples: 0,
            peak: 0.0,
            rate,
        })
    }

    fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.samples += samples.len() as u64;
        self.peak = samples.iter().fold(self.peak, |peak, sample| peak.max(sample.abs()));
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled)?;
        self.cutter.push(&self.resampled);
        let batch = self.classifier.shared.model.batch;
        while let Some(piece) = self.cutter.take(batch, batch) {
            self.pieces.push(piece);
            if self.pieces.len() == self.width {
                self.run()?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Classification> {
        self.resampled.clear();
        self.resampler.finish(&mut self.resampled)?;
        self.cutter.push(&self.resampled);
        let padded = self.cutter.end();
        let batch = self.classifier.shared.model.batch;
        while let Some(piece) = self.cutter.take(1, batch) {
            self.pieces.push(piece);
        }
        self.run()?;
        let seconds = self.samples as f64 / f64::from(self.rate);
        Ok(self.scores.finish(seconds, padded, self.peak < SILENCE))
    }

    fn run(&mut self) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        let score = |piece: &Piece| self.classifier.score(piece);
        let scored: Vec<Vec<f32>> = match &self.classifier.shared.pool {
            Some(pool) if self.width > 1 && pieces.len() > 1 => {
                pool.install(|| pieces.par_iter().map(score).collect::<Result<_>>())?
            }
            _ => pieces.iter().map(score).collect::<Result<_>>()?,
        };
        scored.iter().for_each(|probabilities| self.scores.add(probabilities));
        Ok(())
    }
}
