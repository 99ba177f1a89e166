//! A whole recording in memory.

use std::path::Path;

use super::decoder::Decoder;
use super::rate;
use super::resample::Resampler;
use crate::error::Result;

/// A recording: one channel of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples, nominally in [-1, 1]; finite, and never none at all when decoded from a file.
    pub samples: Vec<f32>,
    /// Samples per second, in Hz.
    pub rate: u32,
}

impl Audio {
    /// Reads and decodes the file at `path`; see [`Audio::decode`].
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be read, otherwise as [`Audio::decode`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(Decoder::open(path)?)
    }

    /// Reads the file at `path` and converts it to `rate` Hz: [`Audio::open`] and
    /// [`Audio::resampled`].
    ///
    /// # Errors
    /// Those of the two.
    pub fn open_at(path: &Path, rate: u32) -> Result<Self> {
        Self::open(path)?.resampled(rate)
    }

    /// Decodes the contents of an audio file to mono, the mean of its channels.
    ///
    /// Integer samples are divided by 2^(bits-1); floats are taken as they are.
    /// Encoder delay and padding of MP3 are cut where the file states them; an MP4's edit
    /// list is not applied.
    /// `path` appears in errors only.
    ///
    /// # Errors
    /// [`Error::Audio`](crate::Error::Audio) if the bytes are empty, not audio, cut short,
    /// hold no samples or samples that are not finite, or state a rate outside
    /// [`MIN_RATE`](super::MIN_RATE) to [`MAX_RATE`](super::MAX_RATE).
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::read(Decoder::of_bytes(bytes, path)?)
    }

    fn read(mut decoder: Decoder) -> Result<Self> {
        let mut samples = vec![];
        while decoder.read(&mut samples)? {}
        Ok(Self { samples, rate: decoder.rate() })
    }

    /// Converts the recording to `rate` Hz: `ceil(n * rate / self.rate)` samples, the
    /// first of which lies where the first one lay. Nothing is done if the rates agree.
    ///
    /// A linear-phase FFT resampler (`rubato`), its delay taken out; from 48 kHz or
    /// less to 16 kHz it is flat to 97 % of the Nyquist frequency.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) if either rate is outside
    /// [`MIN_RATE`](super::MIN_RATE) to [`MAX_RATE`](super::MAX_RATE).
    pub fn resampled(self, rate: u32) -> Result<Self> {
        for rate in [self.rate, rate] {
            rate::check(rate)?;
        }
        if self.rate == rate {
            return Ok(self);
        }
        let mut resampler = Resampler::new(self.rate, rate)?;
        let mut samples = vec![];
        resampler.push(&self.samples, &mut samples)?;
        resampler.finish(&mut samples)?;
        Ok(Self { samples, rate })
    }

    /// The duration in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rate::{MAX_RATE, MIN_RATE};
    use super::*;
    use crate::error::Error;

    #[test]
    fn insane_rates_are_refused() {
        let audio = |rate| Audio { samples: vec![0.0], rate };
        for rate in [0, MIN_RATE - 1, MAX_RATE + 1] {
            let text = rate::check(rate).unwrap_err().to_string();
            assert!(text.contains(&rate.to_string()), "{text}");
            assert!(matches!(audio(rate).resampled(16_000), Err(Error::InvalidInput(_))));
            assert!(matches!(audio(16_000).resampled(rate), Err(Error::InvalidInput(_))));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_but_never_panic(
            magic in prop::sample::select(vec![
                &b""[..], b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0", b"FORM\0\0\x01\0AIFFCOMM",
                b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\0\0\0\x20ftypM4A ", b"ID3\x04\0\0",
                b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"caff\0\x01\0\0desc",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let bytes = [magic, &rest].concat();
            if let Ok(audio) = Audio::decode(&bytes, Path::new("x")) {
                prop_assert!(!audio.samples.is_empty());
            }
        }
    }
}
