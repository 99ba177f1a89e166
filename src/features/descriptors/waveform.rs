//! Descriptors of frames of samples.

use super::frames::{FRAME, HOP};
use super::stft::Padded;

/// The root mean square of each frame.
pub(super) fn loudness(padded: &Padded) -> Vec<f32> {
    let rms = |index| {
        let squares = padded.frame(index).iter().map(|&x| f64::from(x).powi(2));
        (squares.sum::<f64>() / FRAME as f64).sqrt() as f32
    };
    (0..padded.frames()).map(rms).collect()
}

/// The share of each frame's samples that have another sign than the one before. Beyond
/// its ends the signal stays as it is there.
pub(super) fn zero_crossings(samples: &[f32]) -> Vec<f32> {
    // What is nearer to zero than this counts as zero, and zero as positive.
    let is_negative = |x: f32| x < -1e-10;
    let mut crossings = vec![0u32; samples.len() + 1];
    for i in 1..samples.len() {
        let crosses = is_negative(samples[i]) != is_negative(samples[i - 1]);
        crossings[i + 1] = crossings[i] + u32::from(crosses);
    }
    // A crossing is counted where the later sample is; before a frame's first there is none.
    let rate = |index: usize| {
        let start = (index * HOP + 1).saturating_sub(FRAME / 2);
        let end = (index * HOP + FRAME / 2).min(samples.len());
        (crossings[end] - crossings[start.min(end)]) as f32 / FRAME as f32
    };
    (0..1 + samples.len() / HOP).map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself: pad, cut into frames, count.
    fn slowly(samples: &[f32]) -> Vec<f32> {
        let half = FRAME / 2;
        let mut padded = vec![samples[0]; half];
        padded.extend(samples);
        padded.extend(vec![samples[samples.len() - 1]; half]);
        let sign = |x: f32| if x.abs() <= 1e-10 { false } else { x < 0.0 };
        let count = |frame: &[f32]| frame.windows(2).filter(|w| sign(w[0]) != sign(w[1])).count();
        let frame = |i: usize| count(&padded[i * HOP..][..FRAME]) as f32 / FRAME as f32;
        (0..1 + samples.len() / HOP).map(frame).collect()
    }

    #[test]
    fn crossings_are_counted_within_frames() {
        let samples: Vec<f32> =
            (0..10_000).map(|i| [0.1, -0.2, 0.0, -0.0, 1e-11, -3.0][i * i % 6]).collect();
        assert_eq!(zero_crossings(&samples), slowly(&samples));
    }
}
