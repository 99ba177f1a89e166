//! How other programs change a sample rate, well and badly.

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
    const ZEROS: f64 = 32.0;
    let cut = 0.94 * f64::from(from.min(to)) / f64::from(from);
    let reach = ZEROS / cut;
    each(samples, from, to, |at| {
        let first = (at - reach).ceil().max(0.0) as usize;
        let last = ((at + reach) as usize).min(samples.len() - 1);
        let one = |i: usize| {
            let x = (at - i as f64) * cut;
            let sinc = if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
            let window = 0.5 + 0.5 * (PI * x / ZEROS).cos();
            f64::from(samples[i]) * cut * sinc * window
        };
        (first..=last).map(one).sum::<f64>() as f32
    })
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
