//! A recording's descriptors, and their names.

use super::cepstrum::{Cepstrum, MFCCS};
use super::chroma::{Chroma, Peaks};
use super::frames::MIN_SAMPLES;
use super::hpss;
use super::spectral;
use super::stft::{Padded, Stft};
use super::tempo;
use super::waveform;

/// Number of descriptors.
pub const COUNT: usize = 57;

/// Descriptors that have a mean and a variance, in the order of the table, before the tempo.
const BEFORE_TEMPO: [&str; 8] = [
    "chroma_stft",
    "rms",
    "spectral_centroid",
    "spectral_bandwidth",
    "rolloff",
    "zero_crossing_rate",
    "harmony",
    "perceptr",
];

/// The descriptors' names, the columns of the Kaggle table, in its order.
#[must_use]
pub fn names() -> Vec<String> {
    let pair = |name: &str| [format!("{name}_mean"), format!("{name}_var")];
    let before = BEFORE_TEMPO.iter().flat_map(|name| pair(name));
    let after = (1..=MFCCS).flat_map(|number| pair(&format!("mfcc{number}")));
    before.chain(["tempo".to_owned()]).chain(after).collect()
}

/// Windows, planned FFTs and filterbanks, made once for any number of recordings.
pub struct Descriptors {
    stft: Stft,
    cepstrum: Cepstrum,
}

impl Default for Descriptors {
    fn default() -> Self {
        Self { stft: Stft::new(), cepstrum: Cepstrum::new() }
    }
}

impl Descriptors {
    /// The descriptors of `samples` at [`RATE`](super::frames::RATE), in the order of [`names`]; none if there
    /// are fewer than [`MIN_SAMPLES`].
    #[must_use]
    pub fn describe(&self, samples: &[f32]) -> Option<Vec<f64>> {
        if samples.len() < MIN_SAMPLES {
            return None;
        }
        let padded = Padded::mirrored(samples);
        let chroma = Chroma::new(self.tuning(&padded));
        let mut frames = Frames::default();
        let mut mel = vec![];
        self.stft.for_each(&padded, |spectrum| {
            let power: Vec<f32> = spectrum.iter().map(|bin| bin.norm_sqr()).collect();
            let magnitude: Vec<f32> = power.iter().map(|power| power.sqrt()).collect();
            frames.chroma.extend(chroma.semitones(&power));
            let shape = spectral::shape(&magnitude);
            frames.centroid.push(shape.centroid);
            frames.bandwidth.push(shape.bandwidth);
            frames.rolloff.push(shape.rolloff);
            mel.extend(self.cepstrum.mel(&power));
        });
        let decibels = self.cepstrum.decibels(mel);
        let (harmonic, percussive) = hpss::separate(&self.stft, &padded);
        let [rms, crossings] = [waveform::loudness(&padded), waveform::zero_crossings(samples)];
        let mut values = vec![];
        for series in [&frames.chroma, &rms, &frames.centroid, &frames.bandwidth, &frames.rolloff] {
            values.extend(mean_and_variance(series));
        }
        for series in [&crossings, &harmonic, &percussive] {
            values.extend(mean_and_variance(series));
        }
        values.push(tempo::tempo(&decibels));
        for series in self.cepstrum.coefficients(&decibels) {
            values.extend(mean_and_variance(&series));
        }
        Some(values)
    }

    /// By how much the recording is out of tune, in semitones.
    fn tuning(&self, padded: &Padded) -> f64 {
        let mut peaks = Peaks::default();
        self.stft.for_each(padded, |spectrum| {
            let power: Vec<f32> = spectrum.iter().map(|bin| bin.norm_sqr()).collect();
            peaks.add(&power);
        });
        peaks.tuning()
    }
}

/// Descriptors of each frame.
#[derive(Default)]
struct Frames {
    chroma: Vec<f32>,
    centroid: Vec<f32>,
    bandwidth: Vec<f32>,
    rolloff: Vec<f32>,
}

/// Mean and variance (of a population, as numpy has it).
fn mean_and_variance(series: &[f32]) -> [f64; 2] {
    let count = series.len().max(1) as f64;
    let mean = series.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares = series.iter().map(|&value| (f64::from(value) - mean).powi(2));
    [mean, squares.sum::<f64>() / count]
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::super::frames::{FRAME, RATE};
    use super::*;

    fn sine(hz: f64, seconds: f64) -> Vec<f32> {
        let sample = |i: usize| (0.5 * (TAU * hz * i as f64 / f64::from(RATE)).sin()) as f32;
        (0..(seconds * f64::from(RATE)) as usize).map(sample).collect()
    }

    fn value(values: &[f64], name: &str) -> f64 {
        values[names().iter().position(|n| n == name).unwrap()]
    }

    #[test]
    fn there_are_as_many_names_as_descriptors() {
        let names = names();
        assert_eq!(names.len(), COUNT);
        assert_eq!((names[0].as_str(), names[16].as_str()), ("chroma_stft_mean", "tempo"));
        assert_eq!(names[COUNT - 1], "mfcc20_var");
    }

    #[test]
    fn a_sine_is_described_as_one() {
        let values = Descriptors::default().describe(&sine(1000.0, 3.0)).unwrap();
        assert_eq!(values.len(), COUNT);
        let near = |name, wanted: f64, share: f64| {
            let found = value(&values, name);
            assert!((found / wanted - 1.0).abs() < share, "{name}: {found}, not {wanted}");
        };
        near("rms_mean", 0.5 / 2f64.sqrt(), 0.01);
        near("spectral_centroid_mean", 1000.0, 0.01);
        near("rolloff_mean", 1000.0, 0.02);
        // The ends of the padded signal cross nowhere.
        near("zero_crossing_rate_mean", 2000.0 / 22050.0, 0.02);
        near("harmony_var", 0.125, 0.05);
        assert!(value(&values, "perceptr_var") < 1e-3);
    }

    #[test]
    fn clicks_set_the_tempo_and_are_percussive() {
        let mut samples = vec![0.0; 10 * RATE as usize];
        for click in (0..samples.len()).step_by(RATE as usize / 2) {
            let noise = |i: usize| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * 0.9f32.powi(i as i32);
            samples[click..].iter_mut().take(100).enumerate().for_each(|(i, s)| *s = noise(i));
        }
        let values = Descriptors::default().describe(&samples).unwrap();
        let tempo = value(&values, "tempo");
        assert!((tempo / 120.0 - 1.0).abs() < 0.03, "{tempo}");
        assert!(value(&values, "perceptr_var") > 10.0 * value(&values, "harmony_var"));
    }

    #[test]
    fn silence_and_short_recordings_are_no_trouble() {
        let descriptors = Descriptors::default();
        assert_eq!(descriptors.describe(&vec![0.1; MIN_SAMPLES - 1]), None);
        for length in [MIN_SAMPLES, 5 * FRAME + 3] {
            let values = descriptors.describe(&vec![0.0; length]).unwrap();
            assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
            assert_eq!(value(&values, "tempo"), 0.0);
        }
    }
}
