//! Audio files to mono samples.
//!
//! [`Audio::open`] takes WAV, MP3, FLAC, Ogg Vorbis, MP4/M4A (AAC, ALAC), ADTS,
//! AIFF and CAF; what a file is, its content decides and never its name. PCM in
//! WAV is read by `hound`, everything else by `symphonia`.
//!
//! A recording either comes back whole and finite or not at all: a file that
//! holds fewer samples than it promises is an error, because a model trained on
//! half-copied files learns where the copy stopped.

mod compressed;
mod decoder;
mod resample;
mod wav;

use std::path::Path;

use crate::error::{Error, Result};

pub use decoder::Decoder;
pub use resample::Resampler;

/// The lowest sample rate taken for real, in Hz. Resampling multiplies the length
/// by the ratio of rates, so a header that lies here would ask for terabytes.
pub const MIN_RATE: u32 = 1_000;

/// The highest sample rate taken for real, in Hz; nothing records faster.
pub const MAX_RATE: u32 = 1_000_000;

/// File name extensions, in lower case, worth opening when a folder is scanned.
pub const EXTENSIONS: &[&str] = &[
    "wav", "wave", "mp3", "flac", "ogg", "oga", "m4a", "m4b", "mp4", "aac", "aif", "aiff", "aifc",
    "caf",
];

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
    /// [`Error::Io`] if it cannot be read, otherwise as [`Audio::decode`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(Decoder::open(path)?)
    }

    /// Decodes the contents of an audio file to mono, the mean of its channels.
    ///
    /// Integer samples are divided by 2^(bits-1); floats are taken as they are.
    /// Encoder delay and padding of MP3 are cut where the file states them; an MP4's edit
    /// list is not applied.
    /// `path` appears in errors only.
    ///
    /// # Errors
    /// [`Error::Audio`] if the bytes are empty, not audio, cut short, hold no
    /// samples or samples that are not finite, or state a rate outside
    /// [`MIN_RATE`] to [`MAX_RATE`].
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::read(Decoder::of_bytes(bytes, path)?)
    }

    fn read(mut decoder: Decoder) -> Result<Self> {
        let mut samples = vec![];
        while decoder.read(&mut samples)? {}
        Ok(Self { samples, rate: decoder.rate() })
    }

    /// The same recording at `rate` Hz: `ceil(n * rate / self.rate)` samples, the
    /// first of which lies where the first one lay. Nothing is done if the rates agree.
    ///
    /// A linear-phase FFT resampler (`rubato`), its delay taken out; from 48 kHz or
    /// less to 16 kHz it is flat to 97 % of the Nyquist frequency.
    ///
    /// # Errors
    /// [`Error::Config`] if either rate is outside [`MIN_RATE`] to [`MAX_RATE`].
    pub fn resampled(self, rate: u32) -> Result<Self> {
        for rate in [self.rate, rate] {
            check_rate(rate).map_err(Error::Config)?;
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
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// A kind of audio file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// RIFF/WAVE.
    Wav,
    /// MPEG-1/2/2.5 layer III, bare or behind an ID3v2 tag.
    Mp3,
    /// Native FLAC.
    Flac,
    /// Ogg, whatever codec it holds.
    Ogg,
    /// ISO base media: MP4, M4A, M4B, MOV.
    Mp4,
    /// AAC in an ADTS stream.
    Adts,
    /// AIFF and AIFF-C.
    Aiff,
    /// Apple's Core Audio Format.
    Caf,
}

impl Container {
    /// The name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Mp3 => "MP3",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Mp4 => "MP4",
            Self::Adts => "ADTS",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
        }
    }
}

/// What kind of audio file begins with `head`, judged by its magic bytes.
///
/// Twelve bytes are enough; `None` if they fit no kind that can be decoded.
pub fn sniff(head: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    if at(0, b"RIFF") && at(8, b"WAVE") {
        Some(Container::Wav)
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Some(Container::Aiff)
    } else if at(0, b"fLaC") {
        Some(Container::Flac)
    } else if at(0, b"OggS") {
        Some(Container::Ogg)
    } else if at(0, b"caff") {
        Some(Container::Caf)
    } else if at(4, b"ftyp") {
        Some(Container::Mp4)
    } else if at(0, b"ID3") {
        Some(Container::Mp3)
    } else {
        sniff_mpeg_header(head)
    }
}

/// MPEG audio has no magic number, only a frame header: 11 bits of sync, then
/// version, layer, bit rate and sample rate with values that may not occur.
fn sniff_mpeg_header(head: &[u8]) -> Option<Container> {
    let [0xff, b1, b2, ..] = *head else { return None };
    let (sync, version, layer) = (b1 >> 5, (b1 >> 3) & 3, (b1 >> 1) & 3);
    let (bit_rate, rate) = (b2 >> 4, (b2 >> 2) & 3);
    if sync == 7 && version != 1 && layer == 1 && !matches!(bit_rate, 0 | 15) && rate != 3 {
        return Some(Container::Mp3);
    }
    // ADTS: 12 bits of sync and a layer of 0; the sample rate's index is 4 bits, 13 and up unused.
    let adts = b1 >> 4 == 15 && layer == 0 && (b2 >> 2) & 15 < 13;
    adts.then_some(Container::Adts)
}

/// Why bytes without a known magic number are refused, showing how they begin.
fn unknown(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(12)];
    format!(
        "not an audio file: it begins with \"{}\", which is none of WAV, MP3, FLAC, Ogg, MP4/M4A, \
         ADTS, AIFF or CAF; re-copy it, or convert it (ffmpeg -i IN OUT.wav)",
        head.escape_ascii()
    )
}

fn check_rate(rate: u32) -> Result<(), String> {
    if (MIN_RATE..=MAX_RATE).contains(&rate) {
        Ok(())
    } else {
        Err(format!("a sample rate of {rate} Hz; expected {MIN_RATE} to {MAX_RATE} Hz"))
    }
}

/// Appends the mean of every frame of `channels` interleaved samples to `mono`.
fn mix_down(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    if channels == 1 {
        mono.extend_from_slice(interleaved);
    } else {
        let share = 1.0 / channels as f32;
        mono.extend(interleaved.chunks_exact(channels).map(|x| x.iter().sum::<f32>() * share));
    }
}

/// The error of a file that holds fewer samples than its header says.
fn cut_short(promised: u64, found: u64) -> String {
    format!(
        "cut short: the header promises {promised} samples, the file holds {found}; re-copy the \
         file from its source"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn magic_bytes_decide() {
        for (head, kind) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], Some(Container::Wav)),
            (b"RIFF\x24\0\0\0AVI LIST", None),
            (b"FORM\0\0\0\0AIFFCOMM", Some(Container::Aiff)),
            (b"FORM\0\0\0\0AIFCFVER", Some(Container::Aiff)),
            (b"fLaC\0\0\0\x22", Some(Container::Flac)),
            (b"OggS\0\x02", Some(Container::Ogg)),
            (b"\0\0\0\x20ftypM4A ", Some(Container::Mp4)),
            (b"ID3\x04\0\0", Some(Container::Mp3)),
            (b"\xff\xfb\x90\x64", Some(Container::Mp3)),
            (b"\xff\xf1\x50\x80", Some(Container::Adts)),
            (b"caff\0\x01", Some(Container::Caf)),
            (b"\xff\xfe<\0h\0", None), // UTF-16 text: its byte order mark looks like MPEG sync.
            (b"\xff\xd8\xff\xe0", None), // JPEG.
            (b"hello", None),
            (b"RIFF", None),
            (b"", None),
        ] {
            assert_eq!(sniff(head), kind, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn channels_are_averaged() {
        let mut mono = vec![9.0];
        mix_down(&[0.5, -0.5, 1.0, 0.0], 2, &mut mono);
        assert_eq!(mono, [9.0, 0.0, 0.5]);
    }

    #[test]
    fn insane_rates_are_refused() {
        let audio = |rate| Audio { samples: vec![0.0], rate };
        for rate in [0, MIN_RATE - 1, MAX_RATE + 1] {
            let text = check_rate(rate).unwrap_err();
            assert!(text.contains(&rate.to_string()), "{text}");
            assert!(matches!(audio(rate).resampled(16_000), Err(Error::Config(_))));
            assert!(matches!(audio(16_000).resampled(rate), Err(Error::Config(_))));
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
