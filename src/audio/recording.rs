//! A whole recording in memory.

use std::path::Path;

use super::decoder::Decoder;
use super::note::Note;
use super::rate;
use super::resample::Resampler;
use crate::error::{Error, Result};

/// A recording: one channel of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples, nominally in [-1, 1]; finite, and never none at all when decoded from a file.
    pub samples: Vec<f32>,
    /// Samples per second, in Hz.
    pub rate: u32,
}

impl Audio {
    /// Reads and decodes the file at `path`; see [`Audio::decode`]. What is odd about it goes to
    /// `tracing` as a warning.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be read, otherwise as [`Audio::decode`].
    pub fn open(path: &Path) -> Result<Self> {
        let (audio, notes) = Self::open_with_notes(path, false)?;
        notes.iter().for_each(|note| tracing::warn!("{}: {note}", path.display()));
        Ok(audio)
    }

    /// [`Audio::open`] with what is odd about the recording; with `strict` damage is an error.
    ///
    /// # Errors
    /// As [`Audio::open`]; [`Error::Audio`](crate::Error::Audio) for what
    /// [`Note::is_damage`] says, if `strict`.
    pub fn open_with_notes(path: &Path, strict: bool) -> Result<(Self, Vec<Note>)> {
        let mut decoder = Decoder::open(path)?.strict(strict);
        let audio = Self::read(&mut decoder)?;
        Ok((audio, decoder.notes().to_vec()))
    }

    /// [`Audio::open_with_notes`] for a model to learn from, at `rate` Hz: a recording that is
    /// silent or constant is refused, because it is an example of nothing.
    ///
    /// # Errors
    /// As [`Audio::open_with_notes`]; [`Error::Audio`](crate::Error::Audio) for silence.
    pub fn open_to_learn(path: &Path, rate: u32, strict: bool) -> Result<(Self, Vec<Note>)> {
        let (audio, notes) = Self::open_with_notes(path, strict)?;
        if audio.is_silent() {
            return Err(Error::audio(path, SILENT));
        }
        Ok((audio.resampled(rate)?, notes))
    }

    /// Decodes the contents of an audio file to mono: the mean of its channels, but for one that
    /// is another turned over, which is turned back.
    ///
    /// Integer samples are divided by 2^(bits-1); floats are taken as they are. What encoders put
    /// in front and behind is cut where the file states it: the tag of an MP3, an MP4's edit
    /// list, the header of an Opus stream. A part at another rate than the beginning's is
    /// resampled to that.
    /// `path` appears in errors only.
    ///
    /// # Errors
    /// [`Error::Audio`](crate::Error::Audio) if the bytes are empty, not audio or of a kind that
    /// nothing at hand decodes, hold no samples or samples that are not finite, state a rate
    /// outside [`MIN_RATE`](super::MIN_RATE) to [`MAX_RATE`](super::MAX_RATE), or more than one
    /// packet of twenty is malformed.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::read(&mut Decoder::of_bytes(bytes, path)?)
    }

    fn read(decoder: &mut Decoder) -> Result<Self> {
        let mut samples = vec![];
        while decoder.read(&mut samples)? {}
        if samples.is_empty() {
            return Err(decoder.empty());
        }
        Ok(Self { samples, rate: decoder.rate() })
    }

    /// Whether the recording is silent, or constant: see [`Level`].
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let mut level = Level::default();
        level.push(&self.samples);
        level.is_silent()
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

/// What is wrong with a recording that is an example of nothing.
const SILENT: &str = "silent or constant throughout: nothing can be learned from it; export it again \
    or remove it";

/// -80 dB of full scale: what moves less than this says nothing of music.
const SILENCE: f32 = 1e-4;

/// The range of samples that were heard so far.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    least: f32,
    most: f32,
}

impl Default for Level {
    fn default() -> Self {
        Self { least: f32::INFINITY, most: f32::NEG_INFINITY }
    }
}

impl Level {
    /// Takes more samples.
    pub fn push(&mut self, samples: &[f32]) {
        // Eight at a time, which need not wait for each other.
        let (eights, rest) = samples.as_chunks::<8>();
        let (mut least, mut most) = ([self.least; 8], [self.most; 8]);
        for eight in eights {
            for lane in 0..8 {
                least[lane] = least[lane].min(eight[lane]);
                most[lane] = most[lane].max(eight[lane]);
            }
        }
        self.least = rest.iter().chain(&least).fold(self.least, |least, x| least.min(*x));
        self.most = rest.iter().chain(&most).fold(self.most, |most, x| most.max(*x));
    }

    /// Whether they never moved further than -80 dB of full scale around some constant: silence
    /// or a constant voltage.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.most - self.least < 2.0 * SILENCE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rate::{MAX_RATE, MIN_RATE};
    use super::*;

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

    #[test]
    fn silence_is_what_does_not_move() {
        let is_silent = |samples: Vec<f32>| Audio { samples, rate: 8_000 }.is_silent();
        assert!(is_silent(vec![0.0; 9]) && is_silent(vec![0.25; 9]) && is_silent(vec![-1.0]));
        assert!(is_silent(vec![0.25, 0.250_05, 0.249_95]));
        assert!(!is_silent(vec![0.0, 0.001]) && !is_silent([0.0, 0.0, 0.001].repeat(7)));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_but_never_panic(
            magic in prop::sample::select(vec![
                &b""[..], b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0", b"FORM\0\0\x01\0AIFFCOMM",
                b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\0\0\0\x20ftypM4A ", b"ID3\x04\0\0",
                b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"caff\0\x01\0\0desc", b".snd\0\0\0\x18",
                b"\x1a\x45\xdf\xa3", b"RF64\xff\xff\xff\xffWAVEds64", b"OggS\0\x02OpusHead",
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
