//! Sample rate conversion.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::rate;
use crate::error::{Error, Result};

/// Input samples per FFT block, at least. A block is as long as the anti-aliasing
/// filter, so it sets how much of the band below the Nyquist frequency is lost.
const BLOCK: usize = 4096;

/// Samples from one rate to another, block by block: what
/// [`Audio::resampled`](super::Audio::resampled) does to a whole recording.
pub struct Resampler {
    from: u32,
    to: u32,
    /// `None` if the rates are equal.
    fft: Option<Fft<f32>>,
    /// Input that does not fill a block yet.
    pending: Vec<f32>,
    /// One block of output.
    block: Vec<f32>,
    /// Samples of the filter's delay that are still to be cut off.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A resampler from `from` Hz to `to` Hz.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if either is outside [`MIN_RATE`](super::MIN_RATE) to
    /// [`MAX_RATE`](super::MAX_RATE).
    pub fn new(from: u32, to: u32) -> Result<Self> {
        for rate in [from, to] {
            rate::check(rate)?;
        }
        let make = || {
            let (from, to) = (from as usize, to as usize);
            let (size, window) = (block(from, to), WindowFunction::BlackmanHarris2);
            Fft::<f32>::new_custom(from, to, size, 1, 1, window, FixedSync::Both)
        };
        let fft = (from != to).then(make).transpose().map_err(|e| failed(from, to, &e))?;
        let delay = fft.as_ref().map_or(0, |fft| fft.output_delay());
        let block = vec![0.0; fft.as_ref().map_or(0, |fft| fft.output_frames_next())];
        Ok(Self { from, to, fft, pending: vec![], block, delay, taken: 0, given: 0 })
    }

    /// Takes more samples and appends to `output` those that they complete.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the resampler fails.
    pub fn push(&mut self, mut samples: &[f32], output: &mut Vec<f32>) -> Result<()> {
        self.taken += samples.len() as u64;
        let Some(fft) = &self.fft else {
            self.given += samples.len() as u64;
            output.extend_from_slice(samples);
            return Ok(());
        };
        let size = fft.input_frames_next();
        if !self.pending.is_empty() {
            let (head, rest) = samples.split_at(samples.len().min(size - self.pending.len()));
            self.pending.extend_from_slice(head);
            samples = rest;
            if self.pending.len() < size {
                return Ok(());
            }
            self.flush(output)?;
        }
        let blocks = samples.chunks_exact(size);
        self.pending.extend_from_slice(blocks.remainder());
        for samples in blocks {
            self.process(samples, output)?;
        }
        Ok(())
    }

    /// Appends what is left, so that `ceil(n * to / from)` samples have come of `n`; the next
    /// sample begins another recording.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the resampler fails.
    pub fn finish(&mut self, output: &mut Vec<f32>) -> Result<()> {
        let expected = (self.taken * u64::from(self.to)).div_ceil(self.from.into());
        let size = self.fft.as_ref().map_or(0, |fft| fft.input_frames_next());
        while self.given < expected {
            self.pending.resize(size, 0.0);
            self.flush(output)?;
        }
        output.truncate(output.len() - (self.given - expected) as usize);
        if let Some(fft) = &mut self.fft {
            fft.reset();
            self.delay = fft.output_delay();
        }
        (self.taken, self.given) = (0, 0);
        self.pending.clear();
        Ok(())
    }

    /// Processes the pending block.
    fn flush(&mut self, output: &mut Vec<f32>) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        self.process(&pending, output)?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Processes one block and appends what is behind the delay.
    fn process(&mut self, samples: &[f32], output: &mut Vec<f32>) -> Result<()> {
        let Some(fft) = &mut self.fft else { return Ok(()) };
        let size = self.block.len();
        let (from, to) = (self.from, self.to);
        let input =
            InterleavedSlice::new(samples, 1, samples.len()).map_err(|e| failed(from, to, &e))?;
        let mut block = InterleavedSlice::new_mut(&mut self.block, 1, size)
            .map_err(|e| failed(from, to, &e))?;
        fft.process_into_buffer(&input, &mut block, None).map_err(|e| failed(from, to, &e))?;
        let late = self.delay.min(size);
        self.delay -= late;
        self.given += (size - late) as u64;
        output.extend_from_slice(&self.block[late..]);
        Ok(())
    }
}

fn failed(from: u32, to: u32, error: &dyn std::fmt::Display) -> Error {
    Error::InvalidInput(format!("resampling {from} Hz to {to} Hz: {error}"))
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

    use proptest::prelude::*;
    use rubato::audioadapter_buffers::direct::SequentialSliceOfSlices;

    use super::*;

    fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
        let (mut resampler, mut output) = (Resampler::new(from, to)?, vec![]);
        resampler.push(samples, &mut output)?;
        resampler.finish(&mut output)?;
        Ok(output)
    }

    /// The whole recording at once, by rubato's own way.
    fn at_once(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
        let (from, to) = (from as usize, to as usize);
        let (size, window) = (block(from, to), WindowFunction::BlackmanHarris2);
        let mut fft =
            Fft::<f32>::new_custom(from, to, size, 1, 1, window, FixedSync::Both).unwrap();
        let channels = [samples];
        let input = SequentialSliceOfSlices::new(&channels, 1, samples.len()).unwrap();
        let mut output = fft.process_all(&input, samples.len(), None).unwrap().take_data();
        // rubato rounds n * ratio up in floating point, which can be one too many.
        output.truncate((samples.len() as u64 * to as u64).div_ceil(from as u64) as usize);
        output
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn blocks_of_any_size_give_the_same_bits_as_all_at_once(
            length in 0usize..30_000,
            sizes in prop::collection::vec(1usize..9_000, 1..6),
            from in prop::sample::select(vec![8_000, 16_000, 22_050, 44_100, 48_000, 44_101]),
        ) {
            let noise: Vec<f32> = (0..length as u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5)
                .collect();
            let (mut resampler, mut given) = (Resampler::new(from, 16_000).unwrap(), vec![]);
            let (mut rest, mut sizes) = (&noise[..], sizes.into_iter().cycle());
            while !rest.is_empty() {
                let (block, more) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                resampler.push(block, &mut given).unwrap();
                rest = more;
            }
            resampler.finish(&mut given).unwrap();
            let wanted = if from == 16_000 { noise } else { at_once(&noise, from, 16_000) };
            prop_assert!(given == wanted);
        }
    }

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
