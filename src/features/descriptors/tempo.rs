//! Tempo, by the autocorrelation of the onset strength: Ellis, "Beat tracking by dynamic
//! programming", 2007, as in librosa's `beat.beat_track`.

use realfft::RealFftPlanner;

use super::super::extractor::hann;
use super::cepstrum::MELS;
use super::frames::{FRAME, HOP, RATE};
use super::median::median;

/// Frames that are correlated with each other: 8 seconds.
const WINDOW: usize = 8 * RATE as usize / HOP;
/// The tempo that is most likely where nothing is known, in beats a minute.
const LIKELIEST: f64 = 120.0;
/// Every tempo is below this.
const FASTEST: f64 = 320.0;

/// Beats a minute of a recording's mel spectra in decibels, `[frames, bands]`; 0 if
/// nothing ever gets louder.
pub(super) fn tempo(decibels: &[f32]) -> f64 {
    let onsets = onset_strength(decibels);
    if onsets.iter().all(|&onset| onset == 0.0) {
        return 0.0;
    }
    let correlation = mean_autocorrelation(&onsets);
    let bpm = |lag: usize| 60.0 * f64::from(RATE) / (HOP * lag) as f64;
    let score = |lag: usize| {
        let prior = -0.5 * (bpm(lag) / LIKELIEST).log2().powi(2);
        (1e6 * correlation[lag]).ln_1p() + prior
    };
    let lags = (1..WINDOW).filter(|&lag| bpm(lag) < FASTEST);
    // Of equals the first.
    let best = lags.reduce(|best, lag| if score(lag) > score(best) { lag } else { best });
    best.map_or(0.0, bpm)
}

/// The median over bands of how much louder each frame is than the one before; a frame's
/// onset is put where the frame begins.
fn onset_strength(decibels: &[f32]) -> Vec<f64> {
    let frames: Vec<&[f32]> = decibels.chunks_exact(MELS).collect();
    let rise = |pair: &[&[f32]]| {
        let rises: Vec<f32> = pair[1].iter().zip(pair[0]).map(|(b, a)| (b - a).max(0.0)).collect();
        median(&rises).unwrap_or(0.0)
    };
    let delay = 1 + FRAME / (2 * HOP);
    let silence = std::iter::repeat_n(0.0, delay);
    silence.chain(frames.windows(2).map(rise)).take(frames.len()).collect()
}

/// The autocorrelation of the windows around all frames, each relative to its power, on
/// average.
fn mean_autocorrelation(onsets: &[f64]) -> Vec<f64> {
    let padded = ramped(onsets, WINDOW / 2);
    let window: Vec<f64> = hann(WINDOW).collect();
    let size = (2 * WINDOW).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let (mut signal, mut spectrum) = (forward.make_input_vec(), forward.make_output_vec());
    let mut sum = vec![0.0; WINDOW];
    for frame in padded.windows(WINDOW).take(onsets.len()) {
        signal.fill(0.0);
        signal.iter_mut().zip(frame).zip(&window).for_each(|((out, x), w)| *out = x * w);
        // They fail for buffers of other sizes only.
        let _ = forward.process(&mut signal, &mut spectrum);
        spectrum.iter_mut().for_each(|bin| *bin = bin.norm_sqr().into());
        let _ = inverse.process(&mut spectrum, &mut signal);
        let power = signal[..WINDOW].iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let scale = if power < f64::MIN_POSITIVE { 1.0 } else { power };
        sum.iter_mut().zip(&signal).for_each(|(sum, x)| *sum += x / scale);
    }
    sum.iter().map(|sum| sum / onsets.len() as f64).collect()
}

/// `values` with straight lines from and to zero at the ends, each `width` long.
fn ramped(values: &[f64], width: usize) -> Vec<f64> {
    let ramp = |edge: f64| (0..width).map(move |i| edge * i as f64 / width as f64);
    let first = values.first().copied().unwrap_or(0.0);
    let last = values.last().copied().unwrap_or(0.0);
    ramp(first).chain(values.iter().copied()).chain(ramp(last).rev()).collect()
}
