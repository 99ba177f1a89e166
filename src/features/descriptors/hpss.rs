//! Harmonic and percussive parts: Fitzgerald, "Harmonic/percussive separation using median
//! filtering", DAFx 2010, as in librosa's `effects.hpss`.

use realfft::num_complex::Complex;

use super::frames::{BINS, HOP};
use super::median::sliding;
use super::stft::{Padded, Stft};

/// Frames and bins that a median is taken over.
const WIDTH: usize = 31;
const REACH: usize = WIDTH / 2;

/// Frames whose spectra are in memory at the same time, so that hours need no more than
/// minutes.
const BLOCK: usize = 256;

/// The harmonic and the percussive part, each as long as the signal.
pub(super) fn separate(stft: &Stft, padded: &Padded) -> (Vec<f32>, Vec<f32>) {
    let frames = padded.frames();
    let mut parts = [vec![0.0; padded.samples.len()], vec![0.0; padded.samples.len()]];
    for start in (0..frames).step_by(BLOCK) {
        let block = Block::new(stft, padded, start, BLOCK.min(frames - start));
        block.add_to(stft, &mut parts, start);
    }
    let [harmonic, percussive] = parts.map(|part| stft.finish(part, frames, padded.length()));
    (harmonic, percussive)
}

/// Where scipy's `reflect` finds the value at `index`: `… b a | a b c | c b …`.
fn reflected(index: isize, count: usize) -> usize {
    let period = 2 * count as isize;
    let within = index.rem_euclid(period);
    (if within < count as isize { within } else { period - 1 - within }) as usize
}

/// Consecutive frames, and as many on both sides as the medians reach.
struct Block {
    /// Spectra of the frames, `[frames, bins]`.
    spectra: Vec<Complex<f32>>,
    /// Medians over frames, `[frames, bins]`.
    harmonic: Vec<f32>,
    /// Medians over bins, `[frames, bins]`.
    percussive: Vec<f32>,
}

impl Block {
    fn new(stft: &Stft, padded: &Padded, start: usize, count: usize) -> Self {
        let mut spectra = vec![Complex::default(); (count + 2 * REACH) * BINS];
        for (place, spectrum) in spectra.chunks_exact_mut(BINS).enumerate() {
            let index = reflected((start + place) as isize - REACH as isize, padded.frames());
            stft.spectrum(padded.frame(index), spectrum);
        }
        let magnitudes: Vec<f32> = spectra.iter().map(|bin| bin.norm_sqr().sqrt()).collect();
        let own = REACH * BINS..(REACH + count) * BINS;
        let mut harmonic = vec![0.0; count * BINS];
        let mut line = vec![0.0; count + 2 * REACH];
        for bin in 0..BINS {
            let column = magnitudes[bin..].iter().step_by(BINS);
            line.iter_mut().zip(column).for_each(|(out, &m)| *out = m);
            sliding::<WIDTH>(&line, |frame, median| harmonic[frame * BINS + bin] = median);
        }
        let mut percussive = vec![0.0; count * BINS];
        let mut line = vec![0.0; BINS + 2 * REACH];
        let rows = magnitudes[own.clone()].chunks_exact(BINS);
        for (row, out) in rows.zip(percussive.chunks_exact_mut(BINS)) {
            for (place, value) in line.iter_mut().enumerate() {
                *value = row[reflected(place as isize - REACH as isize, BINS)];
            }
            sliding::<WIDTH>(&line, |bin, median| out[bin] = median);
        }
        spectra.drain(own.end..);
        spectra.drain(..own.start);
        Self { spectra, harmonic, percussive }
    }

    fn add_to(self, stft: &Stft, parts: &mut [Vec<f32>; 2], start: usize) {
        let mut masked = [vec![Complex::default(); BINS], vec![Complex::default(); BINS]];
        for (frame, spectrum) in self.spectra.chunks_exact(BINS).enumerate() {
            for (bin, &value) in spectrum.iter().enumerate() {
                let at = frame * BINS + bin;
                let share = soft_mask(self.harmonic[at], self.percussive[at]);
                masked[0][bin] = value * share;
                masked[1][bin] = value * (1.0 - share);
            }
            for (masked, part) in masked.iter_mut().zip(parts.iter_mut()) {
                stft.overlap_add(masked, &mut part[(start + frame) * HOP..]);
            }
        }
    }
}

/// The share of a bin that is harmonic (Wiener's, with squares); half where neither is
/// anything.
fn soft_mask(harmonic: f32, percussive: f32) -> f32 {
    let most = harmonic.max(percussive);
    if most < f32::MIN_POSITIVE {
        return 0.5;
    }
    let [h, p] = [harmonic / most, percussive / most].map(|x| x * x);
    h / (h + p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_repeats_the_ends() {
        let places: Vec<usize> = (-4..7).map(|i| reflected(i, 3)).collect();
        assert_eq!(places, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0][..].to_vec());
    }

    #[test]
    fn the_parts_add_up_to_the_signal_across_blocks() {
        let samples: Vec<f32> =
            (0..(BLOCK + 40) * HOP).map(|i| ((i * i % 977) as f32) / 488.0 - 1.0).collect();
        let (harmonic, percussive) = separate(&Stft::new(), &Padded::mirrored(&samples));
        for ((h, p), x) in harmonic.iter().zip(&percussive).zip(&samples) {
            assert!((h + p - x).abs() < 1e-3, "{h} and {p} are not {x}");
        }
    }
}
