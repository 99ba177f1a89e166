//! A recording on its way through a model, of any length in bounded memory.

use std::path::Path;

use super::answer::{Classification, Scores};
use super::cutter::{Cutter, Piece};
use super::engine::Engine;
use crate::audio::{self, Decoder, Level, Note, Resampler};
use crate::error::{Error, Result};
use crate::features::{Reader, is_picture};

/// What is wrong with a picture for a model that hears.
const PICTURE: &str = "a picture, and the model hears recordings; give it a recording, or take a \
    model that has learned from pictures";
/// What is wrong with a recording for a model that looks.
const RECORDING: &str = "a recording, and the model looks at pictures; give it a picture of a \
    spectrogram (PNG, JPEG), or take a model that has learned from recordings";

/// Classifies the recording at `path`, `width` of its pieces at a time, or the picture there if
/// that is what the model takes.
pub(super) fn classify_file(engine: &Engine, path: &Path, width: usize) -> Result<Classification> {
    if let Some(reader) = engine.model.reader() {
        return classify_picture(engine, reader, path);
    }
    // Only what does not open is looked at again: a pipe gives its bytes once.
    let decoder = Decoder::open(path).map_err(|error| {
        if is_picture(path) { Error::unsupported(path, PICTURE) } else { error }
    })?;
    let mut decoder = decoder.strict(engine.strict);
    let mut recording = Recording::new(engine, decoder.rate(), width)?;
    let mut block = vec![];
    while decoder.read(&mut block)? {
        recording.push(&block)?;
        block.clear();
    }
    recording.finish(decoder.notes().to_vec())
}

fn classify_picture(engine: &Engine, reader: &Reader, path: &Path) -> Result<Classification> {
    let (patches, seen) = reader.picture(path).map_err(|error| {
        let is_recording = !is_picture(path) && audio::is_recording(path);
        if is_recording { Error::unsupported(path, RECORDING) } else { error }
    })?;
    let scored = engine.look(&patches.values)?;
    let scores = Scores::of_picture(engine.model.labels.len(), &scored);
    let answer = scores.finish(&engine.model.judge, 0.0, patches.padded, false);
    Ok(answer.of_picture(seen))
}

/// Samples in, from the first to the last; the answer out.
pub(super) struct Recording<'a> {
    engine: &'a Engine,
    resampler: Resampler,
    cutter: Cutter,
    /// Pieces that wait to be run at the same time, at most `width`.
    pieces: Vec<Piece>,
    width: usize,
    scores: Scores,
    resampled: Vec<f32>,
    samples: u64,
    level: Level,
    rate: u32,
}

impl<'a> Recording<'a> {
    /// A recording at `rate` Hz, of which `width` pieces are run at a time.
    pub fn new(engine: &'a Engine, rate: u32, width: usize) -> Result<Self> {
        let model = &engine.model;
        let windows = model.windows()?;
        Ok(Self {
            engine,
            resampler: Resampler::new(rate, windows.sample_rate)?,
            cutter: model.cutter()?,
            pieces: vec![],
            width,
            scores: Scores::new(&windows, model.labels.len()),
            resampled: vec![],
            samples: 0,
            level: Level::default(),
            rate,
        })
    }

    /// Takes the next samples and runs the pieces that they complete.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        self.samples += samples.len() as u64;
        self.level.push(samples);
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled)?;
        self.cutter.push(&self.resampled);
        let batch = self.engine.model.batch;
        while let Some(piece) = self.cutter.take(batch, batch) {
            self.pieces.push(piece);
            if self.pieces.len() == self.width {
                self.run()?;
            }
        }
        Ok(())
    }

    /// Runs what is left. `notes` say what is odd about the recording.
    pub fn finish(mut self, notes: Vec<Note>) -> Result<Classification> {
        self.resampled.clear();
        self.resampler.finish(&mut self.resampled)?;
        self.cutter.push(&self.resampled);
        let padded = self.cutter.end();
        let batch = self.engine.model.batch;
        while let Some(piece) = self.cutter.take(1, batch) {
            self.pieces.push(piece);
        }
        self.run()?;
        let seconds = self.samples as f64 / f64::from(self.rate);
        let (judge, silent) = (&self.engine.model.judge, self.level.is_silent());
        Ok(Classification { notes, ..self.scores.finish(judge, seconds, padded, silent) })
    }

    fn run(&mut self) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        let scored = self.engine.score_all(&pieces, self.width)?;
        scored.iter().for_each(|scored| self.scores.add(scored));
        Ok(())
    }
}
