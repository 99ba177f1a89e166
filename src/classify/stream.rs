//! Live audio.

use std::sync::Arc;

use super::answer::Patch;
use super::cutter::Cutter;
use super::engine::Engine;
use crate::audio::Resampler;
use crate::error::{Error, Result};

/// Live audio being classified: see [`Classifier::stream`](super::classifier::Classifier::stream).
///
/// It keeps what patches overlap, at most a patch and a block of the resampler, and may be sent
/// to the thread that records.
pub struct Stream {
    engine: Arc<Engine>,
    resampler: Resampler,
    cutter: Cutter,
    resampled: Vec<f32>,
    taken: u64,
    given: usize,
}

impl Stream {
    pub(super) fn new(engine: Arc<Engine>, rate: u32) -> Result<Self> {
        Ok(Self {
            resampler: Resampler::new(rate, engine.model.windows()?.sample_rate)?,
            cutter: engine.model.cutter()?,
            engine,
            resampled: vec![],
            taken: 0,
            given: 0,
        })
    }

    /// Takes the next samples, mono and nominally in [-1, 1], and returns the patches that they
    /// complete, perhaps none.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a sample is not finite; [`Error::Runtime`] if the model fails.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<Patch>> {
        if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
            let at = self.taken + at as u64;
            return Err(Error::InvalidInput(format!("sample {at} of the stream is not finite")));
        }
        self.taken += samples.len() as u64;
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled)?;
        self.cutter.push(&self.resampled);
        self.patches()
    }

    /// Ends the stream and returns the patches that were waiting for more; a stream shorter
    /// than a patch is padded with silence to one.
    ///
    /// # Errors
    /// [`Error::Runtime`] if the model fails.
    pub fn finish(mut self) -> Result<Vec<Patch>> {
        self.resampled.clear();
        self.resampler.finish(&mut self.resampled)?;
        self.cutter.push(&self.resampled);
        self.cutter.end();
        self.patches()
    }

    fn patches(&mut self) -> Result<Vec<Patch>> {
        let model = &self.engine.model;
        let windows = model.windows()?;
        let (hop, seconds) = (windows.hop_seconds(), windows.patch_seconds);
        let mut patches = vec![];
        while let Some(piece) = self.cutter.take(1, model.batch) {
            let probabilities = self.engine.score(&piece)?.probabilities;
            for row in probabilities.chunks_exact(model.labels.len()) {
                let start = self.given as f64 * hop;
                patches.push(Patch { start, seconds, probabilities: row.to_vec() });
                self.given += 1;
            }
        }
        Ok(patches)
    }
}
