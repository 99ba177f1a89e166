//! How other programs change a sample rate, well and badly.

use std::collections::BTreeMap;
use std::f64::consts::PI;

/// The sample before: no filter, no interpolation.
pub(super) fn nearest(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    each(samples, from, to, |at| samples[(at as usize).min(samples.len() - 1)])
}

/// On the straight line between two samples: no filter.
pub(super) fn linear(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    each(samples, from, to, |at| {
        let low = (at as usize).min(samples.len() - 1);
        let high = (low + 1).min(samples.len() - 1);
        samples[low] + (samples[high] - samples[low]) * (at - low as f64) as f32
    })
}

/// A filter as good programs have it, other than ours: a sinc of 32 zeros on each side under a Hann
/// window, that ends at 0.94 of the lower Nyquist frequency.
pub(super) fn good(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let cut = 0.94 * f64::from(from.min(to)) / f64::from(from);
    filtered(samples, [from, to], cut, 32.0 / cut, |x| 0.5 + 0.5 * (PI * x).cos())
}

/// The filter of browsers (Chromium's `SincResampler`): 16 samples on each side under a Blackman
/// window, however much lower the new rate is.
pub(super) fn short(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let cut = 0.9 * f64::from(from.min(to)) / f64::from(from);
    let blackman = |x: f64| 0.42 + 0.5 * (PI * x).cos() + 0.08 * (2.0 * PI * x).cos();
    filtered(samples, [from, to], cut, 16.0, blackman)
}

/// Sums of samples under a windowed sinc. `cut` is a share of the samples' own Nyquist frequency;
/// `window` falls to 0 at 1, which is `reach` samples away.
fn filtered(
    samples: &[f32],
    [from, to]: [u32; 2],
    cut: f64,
    reach: f64,
    window: impl Fn(f64) -> f64,
) -> Vec<f32> {
    let weight = |away: f64| {
        let x = PI * away * cut;
        let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
        let inside = away.abs() < reach;
        if inside { (cut * sinc * window(away / reach)) as f32 } else { 0.0 }
    };
    let around = reach.ceil() as i64;
    let (from, to) = (u64::from(from), u64::from(to));
    let count = (samples.len() as u64 * to).div_ceil(from);
    // Places between two samples come again and again: 160 of them from 44,100 Hz to 16,000 Hz.
    let mut kernels: BTreeMap<u64, Vec<f32>> = BTreeMap::new();
    let one = |i: u64| {
        let (at, between) = ((i * from / to) as i64, i * from % to);
        let kernel = kernels.entry(between).or_insert_with(|| {
            let behind = between as f64 / to as f64;
            (-around..=around).map(|k| weight(k as f64 - behind)).collect()
        });
        let near = (at - around..=at + around).map(|k| usize::try_from(k).ok());
        let values = near.map(|k| k.and_then(|k| samples.get(k)).copied().unwrap_or(0.0));
        values.zip(kernel).map(|(sample, weight)| sample * *weight).sum()
    };
    (0..count).map(one).collect()
}

/// A value at each place of the new rate, in samples of the old.
fn each(samples: &[f32], from: u32, to: u32, value: impl Fn(f64) -> f32) -> Vec<f32> {
    let count = if samples.is_empty() { 0 } else { samples.len() as u64 * u64::from(to) };
    let count = count.div_ceil(from.into());
    (0..count).map(|i| value(i as f64 * f64::from(from) / f64::from(to))).collect()
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::audio::Audio;

    fn sine(hz: f32, rate: u32) -> Vec<f32> {
        (0..rate / 2).map(|i| (TAU * hz * i as f32 / rate as f32).sin()).collect()
    }

    fn loudest(samples: &[f32]) -> f32 {
        samples[500..7_000].iter().fold(0.0, |a, b| a.max(b.abs()))
    }

    /// The good one keeps what is below 7 kHz as ours does and drops 10 kHz; the bad ones let that
    /// come back as 6 kHz.
    #[test]
    fn only_bad_ones_fold_what_is_too_high() {
        let audio = Audio { samples: sine(1_000.0, 44_100), rate: 44_100 };
        let ours = audio.resampled(16_000).unwrap().samples;
        let theirs = good(&sine(1_000.0, 44_100), 44_100, 16_000);
        assert_eq!(ours.len(), theirs.len());
        let off: Vec<f32> = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
        assert!(loudest(&off) < 2e-3, "{}", loudest(&off));
        let high = sine(10_000.0, 44_100);
        assert!(loudest(&good(&high, 44_100, 16_000)) < 1e-2);
        for bad in [nearest, linear] {
            assert!(loudest(&bad(&high, 44_100, 16_000)) > 0.2);
        }
    }
}
