//! Recordings made of integers, the same to the bit in every language.

use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::files;

/// The most samples of all channels that a file may ask for: a minute of stereo at 192 kHz.
const MAX_SAMPLES: usize = 2 * 60 * 192_000;

/// How a recording is made: three decaying triangle waves, noise, and one high tone.
///
/// All numbers are integers; `phase`, `high_phase` and `state` wrap at 2^32, `>>` rounds down also
/// below zero. For every frame `i`, and in it for every channel `c` from 0 on:
///
/// ```text
/// level = (note - i % note) * 256 / note
/// value = 0
/// for v in 0, 1, 2:
///     phase[c][v] += steps[(i / note + 2 * v + 3 * c) % length of steps]
///     value += abs((phase[c][v] >> 16) - 32768) - 16384
/// value = (value * level) >> (9 + c)
/// state = state * 1664525 + 1013904223
/// value += (((state >> 16) - 32768) * level) >> (noise - 2 * c)
/// high_phase[c] += high
/// if high > 0: value += (abs((high_phase[c] >> 16) - 32768) - 16384) >> 2
/// ```
///
/// `value` is the 16-bit sample; phases begin at 0, `state` at `seed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Samples a second.
    pub sample_rate: u32,
    /// 1, or 2 for left and right, which are different.
    pub channels: usize,
    /// Samples of each channel.
    pub frames: usize,
    /// Where the noise begins.
    pub seed: u32,
    /// How quiet the noise is, 13 to 24: a bit less for each.
    pub noise: u32,
    /// Frames of a note.
    pub note: usize,
    /// What the phases of the three waves grow by in a frame; 2^32 is a whole wave.
    pub steps: Vec<u32>,
    /// The same of the high tone; 0 for none.
    pub high: u32,
}

impl Recipe {
    /// The samples, those of a frame together (left, right, left, right).
    pub fn samples(&self) -> Vec<i16> {
        // 3 * 16384 * 256 >> 9, 32768 * 256 >> 11 and 16384 >> 2 together are below 32768.
        self.values().into_iter().map(|value| value as i16).collect()
    }

    fn values(&self) -> Vec<i32> {
        let mut phases = [[0u32; 3]; 2];
        let mut high = [0u32; 2];
        let (mut state, noise) = (self.seed, self.noise as usize);
        let mut values = Vec::with_capacity(self.frames * self.channels);
        for frame in 0..self.frames {
            let level = ((self.note - frame % self.note) * 256 / self.note) as i32;
            for channel in 0..self.channels {
                let mut value = 0;
                for (voice, phase) in phases[channel].iter_mut().enumerate() {
                    let step = (frame / self.note + 2 * voice + 3 * channel) % self.steps.len();
                    *phase = phase.wrapping_add(self.steps[step]);
                    value += triangle(*phase);
                }
                value = (value * level) >> (9 + channel);
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                value += (((state >> 16) as i32 - 32_768) * level) >> (noise - 2 * channel);
                high[channel] = high[channel].wrapping_add(self.high);
                if self.high > 0 {
                    value += triangle(high[channel]) >> 2;
                }
                values.push(value);
            }
        }
        values
    }

    /// The SHA-256, in hexadecimal, of the samples as little-endian bytes: what a host checks its
    /// own recipe by.
    pub fn sha256(&self) -> String {
        let bytes: Vec<u8> = self.samples().into_iter().flat_map(i16::to_le_bytes).collect();
        files::hex(&Sha256::digest(bytes))
    }

    /// Writes the recording as a 16-bit wav.
    ///
    /// # Errors
    /// [`Error::Audio`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let spec = WavSpec {
            channels: self.channels as u16,
            sample_rate: self.sample_rate,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let write = || -> hound::Result<()> {
            let mut wav = WavWriter::create(path, spec)?;
            self.samples().into_iter().try_for_each(|sample| wav.write_sample(sample))?;
            wav.finalize()
        };
        write().map_err(|error| Error::audio(path, error))
    }

    /// What is wrong with a recipe of a file that may say anything.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let size = self.frames.checked_mul(self.channels);
        match () {
            () if !matches!(self.channels, 1 | 2) => Err("channels must be 1 or 2"),
            () if size.is_none_or(|size| size == 0 || size > MAX_SAMPLES) => {
                Err("frames must be from 1 to a minute's")
            }
            () if self.note == 0 || self.note > MAX_SAMPLES => Err("note must be 1 or more"),
            () if !(13..=24).contains(&self.noise) => Err("noise must be from 13 to 24"),
            () if self.steps.is_empty() => Err("steps must not be empty"),
            () if crate::audio::Resampler::new(self.sample_rate, 16_000).is_err() => {
                Err("sample_rate is none")
            }
            () => Ok(()),
        }
    }
}

/// A triangle wave, from -16384 to 16384, where a whole wave is 2^32.
fn triangle(phase: u32) -> i32 {
    ((phase >> 16) as i32 - 32_768).abs() - 16_384
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "618f9c91fc2c48b2aa01465972c4286a4685b47d693a75db6fc9303d72dd4115";

    fn recipe() -> Recipe {
        let steps = vec![118_111_601, 132_875_551, 147_639_501, 177_167_401];
        Recipe {
            sample_rate: 16_000,
            channels: 2,
            frames: 5000,
            seed: 1,
            noise: 13,
            note: 1333,
            steps,
            high: 7,
        }
    }

    /// Programs in other languages are held to these numbers.
    #[test]
    fn the_recipe_of_the_documentation_stays_as_it_is() {
        let samples = recipe().samples();
        assert_eq!(samples.len(), 10_000);
        assert_eq!(samples[..6], [25204, 13454, 22750, 14304, 18908, 9717]);
        assert_eq!(recipe().sha256(), DIGEST);
        let docs = include_str!("../../docs/verify.md");
        assert!(docs.contains(DIGEST));
    }

    proptest! {
        /// Nothing is cut off at 16 bits, whatever the numbers.
        #[test]
        fn samples_fit_into_16_bits(
            channels in 1usize..3,
            seed: u32,
            noise in 13u32..25,
            note in 1usize..3000,
            steps in prop::collection::vec(any::<u32>(), 1..9),
            high: u32,
        ) {
            let recipe = Recipe { sample_rate: 8_000, channels, frames: 3000, seed, noise, note, steps, high };
            recipe.check().unwrap();
            prop_assert!(recipe.values().iter().all(|value| i16::try_from(*value).is_ok()));
        }
    }
}
