//! Chroma: how strong each of the twelve semitones is, whatever the octave.

use super::frames::{BINS, FRAME, RATE, hertz};
use super::median::median;

const SEMITONES: usize = 12;

/// Peaks of spectra, from which the tuning is estimated: librosa's `piptrack`.
#[derive(Default)]
pub(super) struct Peaks {
    /// In Hz.
    pitches: Vec<f32>,
    heights: Vec<f32>,
}

impl Peaks {
    /// Adds the peaks between 150 and 4000 Hz that are above a tenth of the highest.
    pub(super) fn add(&mut self, power: &[f32]) {
        let least = 0.1 * power.iter().copied().fold(0.0, f32::max);
        let above = |bin: usize| if power[bin] > least { power[bin] } else { 0.0 };
        for bin in 1..BINS - 1 {
            let (before, here, after) = (power[bin - 1], power[bin], power[bin + 1]);
            let in_range = (150.0..4000.0).contains(&hertz(bin));
            let is_peak = above(bin) > above(bin - 1) && above(bin) >= above(bin + 1);
            if !(in_range && is_peak) {
                continue;
            }
            // The vertex of the parabola through the three.
            let curvature = after + before - 2.0 * here;
            let slope = (after - before) / 2.0;
            let shift = if slope.abs() >= curvature.abs() { 0.0 } else { -slope / curvature };
            self.pitches.push((bin as f32 + shift) * RATE as f32 / FRAME as f32);
            self.heights.push(here + 0.5 * slope * shift);
        }
    }

    /// The most frequent deviation from the equal temperament at A = 440 Hz among the
    /// higher half of the peaks, in semitones from -0.5 to 0.5; 0 if there are no peaks.
    pub(super) fn tuning(self) -> f64 {
        const STEPS: usize = 100;
        let Some(least) = median(&self.heights) else { return 0.0 };
        let mut counts = [0u32; STEPS];
        for (&pitch, _) in
            self.pitches.iter().zip(&self.heights).filter(|&(_, &h)| f64::from(h) >= least)
        {
            let residual = (SEMITONES as f64 * octaves(f64::from(pitch), 0.0)).rem_euclid(1.0);
            let residual = if residual >= 0.5 { residual - 1.0 } else { residual };
            let step = ((residual + 0.5) * STEPS as f64) as usize;
            counts[step.min(STEPS - 1)] += 1;
        }
        let most = counts.iter().max().copied().unwrap_or(0);
        let place = counts.iter().position(|&count| count == most).unwrap_or(0);
        place as f64 / STEPS as f64 - 0.5
    }
}

/// Octaves above the A of 27.5 Hz, with that A out of tune by `tuning` semitones.
fn octaves(hz: f64, tuning: f64) -> f64 {
    (hz / (27.5 * (tuning / SEMITONES as f64).exp2())).log2()
}

/// librosa's filterbank, one row a bin: `[bins, 12]`.
pub(super) struct Chroma(Vec<[f32; SEMITONES]>);

impl Chroma {
    pub(super) fn new(tuning: f64) -> Self {
        let semitones = |bin: usize| SEMITONES as f64 * octaves(hertz(bin), tuning);
        // The bin at 0 Hz is put an octave and a half below the next.
        let place = |bin: usize| {
            if bin == 0 { semitones(1) - 1.5 * SEMITONES as f64 } else { semitones(bin) }
        };
        let row = |bin: usize| weights(place(bin), (place(bin + 1) - place(bin)).max(1.0));
        Self((0..BINS).map(row).collect())
    }

    /// The twelve semitones of a power spectrum, C first, the strongest being 1.
    pub(super) fn semitones(&self, power: &[f32]) -> [f32; SEMITONES] {
        let mut chroma = [0f32; SEMITONES];
        for (row, power) in self.0.iter().zip(power) {
            chroma.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight * power);
        }
        let most = chroma.iter().copied().fold(0.0, f32::max);
        if most >= f32::MIN_POSITIVE {
            chroma.iter_mut().for_each(|value| *value /= most);
        }
        chroma
    }
}

/// Gaussian bumps around the semitones, of length 1, and weaker away from the fifth octave.
fn weights(place: f64, width: f64) -> [f32; SEMITONES] {
    const OCTAVE: f64 = 5.0;
    const WIDTH: f64 = 2.0;
    /// From A, where octaves begin here, to C.
    const TO_C: usize = 3;
    let half = SEMITONES as f64 / 2.0;
    let bump = |semitone: usize| {
        let distance = (place - semitone as f64 + half).rem_euclid(SEMITONES as f64) - half;
        (-0.5 * (2.0 * distance / width).powi(2)).exp()
    };
    let bumps: [f64; SEMITONES] = std::array::from_fn(bump);
    let length = bumps.iter().map(|bump| bump * bump).sum::<f64>().sqrt();
    let height = (-0.5 * ((place / SEMITONES as f64 - OCTAVE) / WIDTH).powi(2)).exp();
    std::array::from_fn(|i| (bumps[(i + TO_C) % SEMITONES] / length * height) as f32)
}
