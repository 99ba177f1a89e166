//! Sample rate conversion.

use rubato::audioadapter_buffers::direct::SequentialSliceOfSlices;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Input samples per FFT block, at least. A block is as long as the anti-aliasing
/// filter, so it sets how much of the band below the Nyquist frequency is lost.
const BLOCK: usize = 4096;

/// `ceil(n * to / from)` samples at `to` Hz from `n` at `from` Hz, aligned at the first.
pub(super) fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>, String> {
    let (from, to) = (from as usize, to as usize);
    let mut resampler = Fft::<f32>::new_custom(
        from,
        to,
        block(from, to),
        1,
        1,
        WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .map_err(|e| e.to_string())?;
    let channels = [samples];
    let input =
        SequentialSliceOfSlices::new(&channels, 1, samples.len()).map_err(|e| e.to_string())?;
    let mut output =
        resampler.process_all(&input, samples.len(), None).map_err(|e| e.to_string())?.take_data();
    // rubato rounds n * ratio up in floating point, which can be one too many.
    output.truncate((samples.len() as u64 * to as u64).div_ceil(from as u64) as usize);
    Ok(output)
}

/// An even number of the smallest blocks that are whole on both sides, so that
/// the filter's delay of half a block is a whole number of samples on both sides
/// and can be cut off exactly.
fn block(from: usize, to: usize) -> usize {
    let smallest = 2 * from / gcd(from, to);
    smallest * BLOCK.div_ceil(smallest)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn sine(hz: f64, rate: u32, n: usize) -> Vec<f32> {
        (0..n).map(|i| (TAU * hz * i as f64 / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn a_sine_stays_in_place_at_every_rate() {
        for (from, to) in [
            (22_050, 16_000),
            (44_100, 16_000),
            (48_000, 16_000),
            (8_000, 16_000),
            (16_000, 22_050),
            (11_025, 16_000),
            (44_101, 16_000),
        ] {
            let n = from as usize + 7;
            let out = resample(&sine(997.0, from, n), from, to).unwrap();
            assert_eq!(out.len(), (n * to as usize).div_ceil(from as usize), "{from} -> {to}");
            let expected = sine(997.0, to, out.len());
            let edge = to as usize / 5; // Beyond the ends the resampler sees silence.
            let worst = (edge..out.len() - edge)
                .map(|i| (out[i] - expected[i]).abs())
                .fold(0.0f32, f32::max);
            assert!(worst < 1e-4, "{from} -> {to}: {worst}");
        }
    }

    #[test]
    fn an_impulse_keeps_its_place() {
        let mut impulse = vec![0.0; 22_050];
        impulse[11_025] = 1.0;
        let out = resample(&impulse, 22_050, 16_000).unwrap();
        let peak = (0..out.len()).max_by(|&a, &b| out[a].total_cmp(&out[b])).unwrap();
        assert_eq!(peak, 8_000);
        assert!((out[7_999] - out[8_001]).abs() < 1e-5, "linear phase");
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_removed() {
        let out = resample(&sine(9_000.0, 22_050, 22_050), 22_050, 16_000).unwrap();
        let worst = out[2_000..14_000].iter().fold(0.0f32, |a, x| a.max(x.abs()));
        assert!(worst < 1e-4, "{worst}");
    }

    #[test]
    fn the_passband_is_flat_to_97_percent() {
        for from in [22_050, 44_100, 48_000] {
            let out = resample(&sine(7_760.0, from, from as usize), from, 16_000).unwrap();
            let middle = &out[2_000..14_000];
            let power = middle.iter().map(|x| x * x).sum::<f32>() / middle.len() as f32;
            assert!((power - 0.5).abs() < 1e-3, "{from}: {power}");
        }
    }

    #[test]
    fn short_and_odd_inputs_work() {
        for (n, from, to) in [
            (0, 22_050, 16_000),
            (1, 22_050, 16_000),
            (5, 16_000, 999_983),
            (1000, 1000, 2000),
            (100_000, 1_000_000, 8_000),
        ] {
            let out = resample(&vec![0.25; n], from, to).unwrap();
            assert_eq!(out.len(), (n as u64 * u64::from(to)).div_ceil(from.into()) as usize);
        }
    }
}
