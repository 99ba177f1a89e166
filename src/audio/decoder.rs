//! Audio files decoded block by block, so that memory does not grow with their length.

use std::fs::File;
use std::io::{self, Cursor, Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use symphonia::core::io::MediaSource;

use super::compressed::Compressed;
use super::wav::{self, Wav};
use super::{Container, check_rate, sniff, unknown};
use crate::error::{Error, Result};

/// Frames in a block, about: packets stay whole.
pub(super) const BLOCK: usize = 1 << 15;

/// Bytes of an audio file.
pub(super) type Source<'a> = Box<dyn MediaSource + 'a>;

/// What reads one kind of file.
pub(super) trait Blocks: Send {
    /// Samples per second.
    fn rate(&self) -> u32;

    /// Appends the next block of mono samples, or returns false at the end of a file that
    /// holds as much as it promised.
    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool, String>;
}

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
        // A pipe can be read but once.
        let most = if regular { HEAD } else { u64::MAX };
        file.by_ref().take(most).read_to_end(&mut head).map_err(Error::io(path))?;
        if !regular {
            let bytes: Arc<[u8]> = head.into();
            let source = Arc::clone(&bytes);
            let open = move || -> io::Result<Source> { Ok(Box::new(Cursor::new(source.clone()))) };
            return Self::new(&bytes, &open, path).map_err(|reason| Error::audio(path, reason));
        }
        let open = || -> io::Result<Source> { Ok(Box::new(File::open(path)?)) };
        Self::new(&head, &open, path).map_err(|reason| Error::audio(path, reason))
    }

    /// The decoder of a file's contents; `path` appears in errors only.
    ///
    /// # Errors
    /// As [`Audio::decode`](super::Audio::decode), of what shows at the beginning.
    pub fn of_bytes(bytes: &'a [u8], path: &Path) -> Result<Self> {
        let open = || -> io::Result<Source> { Ok(Box::new(Cursor::new(bytes))) };
        Self::new(bytes, &open, path).map_err(|reason| Error::audio(path, reason))
    }

    fn new(
        head: &[u8],
        open: &dyn Fn() -> io::Result<Source<'a>>,
        path: &Path,
    ) -> Result<Self, String> {
        if head.is_empty() {
            return Err("the file is empty (0 bytes); re-copy or remove it".into());
        }
        let container = sniff(head).ok_or_else(|| unknown(head))?;
        let mut first = vec![];
        let blocks = blocks(container, open, &mut first)?;
        let rate = blocks.rate();
        check_rate(rate)?;
        if first.is_empty() {
            return Err("the file holds 0 samples; re-copy or remove it".into());
        }
        Ok(Self { path: path.to_owned(), rate, blocks, first, found: 0 })
    }

    /// Samples per second, in Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Appends the next samples, nominally in [-1, 1] and never above 1e10, the mean of the
    /// channels;
    /// returns false when there are no more.
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
            let reason = format!(
                "sample {at} ({seconds:.3} s) is {:?}; export the recording again or remove it",
                new[i]
            );
            return Err(Error::audio(&self.path, reason));
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

/// The reader of a file and, in `first`, its first block.
fn blocks<'a>(
    container: Container,
    open: &dyn Fn() -> io::Result<Source<'a>>,
    first: &mut Vec<f32>,
) -> Result<Box<dyn Blocks + 'a>, String> {
    let source = || open().map_err(|e| e.to_string());
    let mut note = String::new();
    if container == Container::Wav {
        let opened = Wav::new(source()?).and_then(|mut wav| {
            wav.read_block(first)?;
            Ok(wav)
        });
        match opened {
            Ok(wav) => return Ok(Box::new(wav)),
            Err(wav::Failure::Damaged(reason)) => return Err(reason),
            Err(wav::Failure::Unsupported(reason)) => {
                first.clear();
                note = format!(" (the plain WAV reader: {reason})");
            }
        }
    }
    let tagged = container == Container::Mp3
        && has_length_tag(source()?.as_mut()).map_err(|e| e.to_string())?;
    let opened = Compressed::new(source()?, container, tagged).and_then(|mut compressed| {
        compressed.read(first)?;
        Ok(compressed)
    });
    match opened {
        Ok(compressed) => Ok(Box::new(compressed)),
        Err(reason) => Err(reason + &note),
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
