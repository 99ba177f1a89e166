//! Mel spectra in decibels, and their cosine transform.

use std::f64::consts::PI;

use super::super::filterbank::Bands;
use super::frames::{FRAME, RATE};

/// Mel-frequency cepstral coefficients.
pub(super) const MFCCS: usize = 20;
/// Mel bands.
pub(super) const MELS: usize = 128;
/// The least power that a decibel is taken of.
const LEAST: f32 = 1e-10;
/// Decibels below the loudest that are kept.
const RANGE: f32 = 80.0;

/// A filterbank and a cosine transform.
pub(super) struct Cepstrum {
    bands: Bands,
    /// Orthonormal DCT-II, `[coefficients, bands]`.
    cosines: Vec<f32>,
}

impl Cepstrum {
    pub(super) fn new() -> Self {
        let cosine = |i: usize| {
            let (coefficient, band) = (i / MELS, i % MELS);
            let scale = if coefficient == 0 { 1.0 } else { 2.0 } / MELS as f64;
            let angle = PI * coefficient as f64 * (band as f64 + 0.5) / MELS as f64;
            (scale.sqrt() * angle.cos()) as f32
        };
        let cosines = (0..MFCCS * MELS).map(cosine).collect();
        Self { bands: Bands::slaney(RATE, FRAME, MELS), cosines }
    }

    /// The bands of a power spectrum.
    pub(super) fn mel<'a>(&'a self, power: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.bands.energies(power)
    }

    /// Powers `[frames, bands]` in decibels, none more than 80 below the highest.
    pub(super) fn decibels(&self, mut mel: Vec<f32>) -> Vec<f32> {
        mel.iter_mut().for_each(|power| *power = 10.0 * power.max(LEAST).log10());
        let floor = mel.iter().copied().fold(f32::NEG_INFINITY, f32::max) - RANGE;
        mel.iter_mut().for_each(|decibel| *decibel = decibel.max(floor));
        mel
    }

    /// Each coefficient over the frames.
    pub(super) fn coefficients(&self, decibels: &[f32]) -> Vec<Vec<f32>> {
        let dot = |a: &[f32], b: &[f32]| -> f32 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
        };
        let series =
            |cosines| decibels.chunks_exact(MELS).map(|bands| dot(bands, cosines)).collect();
        self.cosines.chunks_exact(MELS).map(series).collect()
    }
}
