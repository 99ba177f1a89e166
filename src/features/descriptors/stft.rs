//! The short-time Fourier transform and its inverse.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::super::extractor::periodic_hann;
use super::frames::{BINS, FRAME, HOP};

/// A signal with half a frame more at each end, so that frames are centred.
pub(super) struct Padded {
    /// The samples of the signal, and around them the padding.
    pub(super) samples: Vec<f32>,
}

impl Padded {
    /// Pads with the signal's mirror image; the sample at the end is not repeated.
    ///
    /// # Panics
    /// If there is no more than half a frame.
    pub(super) fn mirrored(samples: &[f32]) -> Self {
        let half = FRAME / 2;
        assert!(samples.len() > half, "too short to mirror");
        let before = samples[1..=half].iter().rev();
        let after = samples[samples.len() - 1 - half..samples.len() - 1].iter().rev();
        Self { samples: before.chain(samples).chain(after).copied().collect() }
    }

    /// The signal's own length.
    pub(super) fn length(&self) -> usize {
        self.samples.len() - FRAME
    }

    /// Number of frames.
    pub(super) fn frames(&self) -> usize {
        1 + self.length() / HOP
    }

    /// The samples of a frame.
    pub(super) fn frame(&self, index: usize) -> &[f32] {
        &self.samples[index * HOP..][..FRAME]
    }
}

/// A Hann window and planned transforms.
pub(super) struct Stft {
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Stft {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        Self {
            window: periodic_hann(FRAME),
            forward: planner.plan_fft_forward(FRAME),
            inverse: planner.plan_fft_inverse(FRAME),
        }
    }

    /// Calls `work` with the spectrum of every frame.
    pub(super) fn for_each(&self, padded: &Padded, mut work: impl FnMut(&[Complex<f32>])) {
        let mut spectrum = vec![Complex::default(); BINS];
        for index in 0..padded.frames() {
            self.spectrum(padded.frame(index), &mut spectrum);
            work(&spectrum);
        }
    }

    /// The spectrum of one frame.
    pub(super) fn spectrum(&self, frame: &[f32], spectrum: &mut [Complex<f32>]) {
        let mut windowed: Vec<f32> = frame.iter().zip(&self.window).map(|(x, w)| x * w).collect();
        // It fails for buffers of other sizes only.
        let _ = self.forward.process(&mut windowed, spectrum);
    }

    /// Adds the frame with this spectrum to `signal`, where overlapping frames meet.
    pub(super) fn overlap_add(&self, spectrum: &mut [Complex<f32>], signal: &mut [f32]) {
        // The transform is of a real signal; rounding must not say otherwise.
        spectrum[0].im = 0.0;
        spectrum[BINS - 1].im = 0.0;
        let mut frame = vec![0.0; FRAME];
        let _ = self.inverse.process(spectrum, &mut frame);
        for ((out, x), w) in signal.iter_mut().zip(&frame).zip(&self.window) {
            *out += x * w / FRAME as f32;
        }
    }

    /// The signal that overlapping frames were added up to: without padding, and with the
    /// windows' weight taken out.
    pub(super) fn finish(&self, mut signal: Vec<f32>, frames: usize, length: usize) -> Vec<f32> {
        let mut weight = vec![0f32; signal.len()];
        for index in 0..frames {
            let covered = weight[index * HOP..].iter_mut().zip(&self.window);
            covered.for_each(|(sum, w)| *sum += w * w);
        }
        for (sample, weight) in signal.iter_mut().zip(weight) {
            if weight > f32::MIN_POSITIVE {
                *sample /= weight;
            }
        }
        signal.drain(..FRAME / 2);
        signal.truncate(length);
        signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_gives_the_signal_back() {
        let samples: Vec<f32> = (0..9_001).map(|i| ((i * 37 % 101) as f32) / 50.0 - 1.0).collect();
        let padded = Padded::mirrored(&samples);
        let stft = Stft::new();
        let mut signal = vec![0.0; padded.samples.len()];
        let mut index = 0;
        stft.for_each(&padded, |spectrum| {
            stft.overlap_add(&mut spectrum.to_vec(), &mut signal[index * HOP..]);
            index += 1;
        });
        let signal = stft.finish(signal, padded.frames(), padded.length());
        assert_eq!(signal.len(), samples.len());
        // The last samples may lie beyond the last frame's middle.
        for (a, b) in signal.iter().zip(&samples) {
            assert!((a - b).abs() < 1e-3, "{a} is not {b}");
        }
    }

    #[test]
    fn the_mirror_does_not_repeat_the_ends() {
        let samples: Vec<f32> = (0..2000).map(|i| i as f32).collect();
        let padded = Padded::mirrored(&samples).samples;
        assert_eq!((padded[0], padded[1023], padded[1024]), (1024.0, 1.0, 0.0));
        assert_eq!((padded[3024], padded[4047]), (1998.0, 975.0));
    }
}
