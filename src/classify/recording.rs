//! A recording on its way through a model, of any length in bounded memory.

use std::path::Path;

use super::answer::{Classification, Scores};
use super::cutter::{Cutter, Piece};
use super::engine::Engine;
use crate::audio::{Decoder, Level, Note, Resampler};
use crate::error::Result;

/// Classifies the file at `path`, `width` of its pieces at a time.
pub(super) fn classify_file(engine: &Engine, path: &Path, width: usize) -> Result<Classification> {
    let mut decoder = Decoder::open(path)?.strict(engine.strict);
    let mut recording = Recording::new(engine, decoder.rate(), width)?;
    let mut block = vec![];
    while decoder.read(&mut block)? {
        recording.push(&block)?;
        block.clear();
    }
    recording.finish(decoder.notes().to_vec())
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
        Ok(Self {
            engine,
            resampler: Resampler::new(rate, model.windows.sample_rate)?,
            cutter: model.cutter(),
            pieces: vec![],
            width,
            scores: Scores::new(&model.windows, model.labels.len()),
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
        Ok(Classification { notes, ..self.scores.finish(seconds, padded, self.level.is_silent()) })
    }

    fn run(&mut self) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        let scored = self.engine.score_all(&pieces, self.width)?;
        scored.iter().for_each(|probabilities| self.scores.add(probabilities));
        Ok(())
    }
}
