//! Audio files decoded block by block, so that memory does not grow with their length.

use std::fs::File;
use std::io::{self, Cursor, Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use symphonia::core::io::MediaSource;

use super::blocks::{Blocks, ByteSource};
use super::compressed::Compressed;
use super::container::{Container, sniff};
use super::failure::Failure;
use super::rate;
use super::wav::Wav;
use crate::error::{Error, Result};

/// An audio file on its way to mono samples, block by block.
///
/// What comes out is what [`Audio::open`](super::Audio::open) gives, and what that refuses is
/// refused here; but a file that is cut short shows this only at its end.
///
/// ```no_run
/// use genre_transfer::audio::Decoder;
///
/// let mut decoder = Decoder::open("song.mp3".as_ref())?;
/// println!("{} Hz", decoder.rate());
/// let mut block = vec![];
/// while decoder.read(&mut block)? {
///     println!("{} more samples", block.len());
///     block.clear();
/// }
/// # Ok::<(), genre_transfer::Error>(())
/// ```
pub struct Decoder<'a> {
    path: PathBuf,
    rate: u32,
    blocks: Box<dyn Blocks + 'a>,
    /// The first block, which was read to know the rate and whether the file decodes at all.
    first: Vec<f32>,
    /// Samples given out.
    found: u64,
}

impl<'a> Decoder<'a> {
    /// Opens the file at `path` and decodes its first block.
    ///
    /// # Errors
    /// As [`Audio::open`](super::Audio::open), of what shows at the beginning of the file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let regular = file.metadata().map_err(Error::io(path))?.is_file();
        let mut head = vec![];
        // A pipe can be read only once, so all of it is kept.
        let most = if regular { HEAD } else { u64::MAX };
        file.by_ref().take(most).read_to_end(&mut head).map_err(Error::io(path))?;
        if !regular {
            let bytes: Arc<[u8]> = head.into();
            let source = Arc::clone(&bytes);
            let open =
                move || -> io::Result<ByteSource> { Ok(Box::new(Cursor::new(source.clone()))) };
            return Self::new(&bytes, &open, path).map_err(|reason| Error::audio(path, reason));
        }
        let open = || -> io::Result<ByteSource> { Ok(Box::new(File::open(path)?)) };
        Self::new(&head, &open, path).map_err(|reason| Error::audio(path, reason))
    }

    /// The decoder of a file's contents; `path` appears in errors only.
    ///
    /// # Errors
    /// As [`Audio::decode`](super::Audio::decode), of what shows at the beginning.
    pub fn of_bytes(bytes: &'a [u8], path: &Path) -> Result<Self> {
        let open = || -> io::Result<ByteSource> { Ok(Box::new(Cursor::new(bytes))) };
        Self::new(bytes, &open, path).map_err(|reason| Error::audio(path, reason))
    }

    fn new(
        head: &[u8],
        open: &dyn Fn() -> io::Result<ByteSource<'a>>,
        path: &Path,
    ) -> Result<Self, Failure> {
        if head.is_empty() {
            return Err(Failure::Empty);
        }
        let shown = || head[..head.len().min(SHOWN)].to_vec();
        let container = sniff(head).ok_or_else(|| Failure::NotAudio { head: shown() })?;
        let mut first = vec![];
        let blocks = open_blocks(container, open, &mut first)?;
        let rate = blocks.rate();
        rate::check(rate)?;
        if first.is_empty() {
            return Err(Failure::NoSamples);
        }
        Ok(Self { path: path.to_owned(), rate, blocks, first, found: 0 })
    }

    /// Samples per second, in Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Appends the next samples, the mean of the channels, nominally in [-1, 1] and never
    /// above 1e10; returns false when there are no more.
    ///
    /// # Errors
    /// As [`Audio::open`](super::Audio::open): [`Error::Audio`] if the file is damaged here, or
    /// at its end if it is cut short.
    pub fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool> {
        let before = samples.len();
        let more = if self.first.is_empty() {
            self.blocks.read(samples).map_err(|reason| Error::audio(&self.path, reason))?
        } else {
            samples.append(&mut self.first);
            true
        };
        let new = &samples[before..];
        if let Some(i) = new.iter().position(|x| x.is_nan() || x.abs() > LARGEST) {
            let at = self.found + i as u64;
            let seconds = at as f64 / f64::from(self.rate);
            let wild = Failure::WildSample { at, seconds, value: new[i] };
            return Err(Error::audio(&self.path, wild));
        }
        self.found += new.len() as u64;
        Ok(more)
    }
}

/// No recording is louder, and no spectrum's power overflows below it; full scale is 1, and
/// 32768 in files whose writer has forgotten to scale.
const LARGEST: f32 = 1e10;

/// Bytes that tell what a file is, and enough to show the user.
const HEAD: u64 = 64;

/// Bytes of a file of no known kind that the error shows.
const SHOWN: usize = 12;

/// Opens the reader of a file and reads its first block into `first`.
fn open_blocks<'a>(
    container: Container,
    open: &dyn Fn() -> io::Result<ByteSource<'a>>,
    first: &mut Vec<f32>,
) -> Result<Box<dyn Blocks + 'a>, Failure> {
    let mut refused = None;
    if container == Container::Wav {
        let opened = Wav::new(open()?).and_then(|mut wav| {
            wav.read(first)?;
            Ok(wav)
        });
        match opened {
            Ok(wav) => return Ok(Box::new(wav)),
            // `hound` reads fewer kinds of WAV than there are, so its refusal proves nothing.
            Err(failure @ (Failure::Hound(_) | Failure::BitsPerSample(_))) => {
                first.clear();
                refused = Some(Box::new(failure));
            }
            Err(damaged) => return Err(damaged),
        }
    }
    let tagged = container == Container::Mp3 && has_length_tag(open()?.as_mut())?;
    let opened = Compressed::new(open()?, container, tagged).and_then(|mut compressed| {
        compressed.read(first)?;
        Ok(compressed)
    });
    match (opened, refused) {
        (Ok(compressed), _) => Ok(Box::new(compressed)),
        (Err(failure), None) => Err(failure),
        (Err(failure), Some(hound)) => {
            Err(Failure::NeitherReader { symphonia: Box::new(failure), hound })
        }
    }
}

/// Whether the first frame of an MP3 is a tag that states the number of frames.
fn has_length_tag(source: &mut dyn MediaSource) -> io::Result<bool> {
    let mut start = vec![];
    Read::take(&mut *source, 10).read_to_end(&mut start)?;
    let id3 = match start[..] {
        // Its length is in four bytes of seven bits each.
        [b'I', b'D', b'3', _, _, _, ref length @ ..] if length.len() == 4 => {
            10 + length.iter().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
        }
        _ => 0,
    };
    source.seek(SeekFrom::Start(id3))?;
    // The tag lies within the first 60 bytes of a frame; before it there may be padding.
    let mut head = vec![];
    Read::take(&mut *source, 4096).read_to_end(&mut head)?;
    let tags = [b"Xing", b"Info", b"VBRI"];
    Ok(head.windows(4).any(|window| tags.iter().any(|tag| window == *tag)))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use symphonia::core::errors::Error as Symphonia;

    use super::*;

    #[test]
    fn the_cause_of_a_refusal_is_kept() {
        let error = Decoder::of_bytes(b"fLaC\0\0\0\x22", Path::new("a.flac")).err().unwrap();
        assert!(error.to_string().contains("a.flac: this FLAC file"), "{error}");
        let cause = error.source().and_then(|failure| failure.source()).unwrap();
        assert!(cause.is::<Symphonia>(), "{cause:?}");
    }
}
