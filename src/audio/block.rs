//! What the reader of one kind of file takes and gives.

use std::io::{self, Read, SeekFrom};

use symphonia::core::io::MediaSource;

use super::failure::Failure;
use super::note::Note;

/// Frames in a block, about: packets stay whole.
pub(super) const FRAMES: usize = 1 << 15;

/// The bytes of an audio file.
pub(super) type ByteSource<'a> = Box<dyn MediaSource + 'a>;

/// Opens the bytes of a file anew, from the first on.
pub(super) type Open<'a, 'b> = &'b dyn Fn() -> io::Result<ByteSource<'a>>;

/// A stretch of a recording, all of it in one form.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Samples per second.
    pub rate: u32,
    /// Channels, at least 1.
    pub channels: usize,
    /// Samples, nominally in [-1, 1]: those of the first frame, then of the second; `[frames,
    /// channels]`.
    pub samples: Vec<f32>,
}

impl Block {
    /// Empties the block and sets its form.
    pub fn begin(&mut self, rate: u32, channels: usize) {
        (self.rate, self.channels) = (rate, channels.max(1));
        self.samples.clear();
    }

    /// The number of frames.
    pub fn frames(&self) -> usize {
        self.samples.len() / self.channels.max(1)
    }

    /// Whether `other` continues this block in the same form.
    pub fn fits(&self, other: &Self) -> bool {
        (self.rate, self.channels) == (other.rate, other.channels)
    }
}

/// What reads one kind of file.
pub(super) trait Blocks: Send {
    /// Puts the next stretch of the recording into `block`, and what is odd about it into
    /// `notes`; returns false behind the last.
    fn read(&mut self, block: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure>;
}

/// The first `most` bytes from `start` on, or what there is of them.
pub(super) fn bytes_at(source: &mut dyn MediaSource, start: u64, most: u64) -> io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![];
    Read::take(source, most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length of the file in bytes.
pub(super) fn length(source: &mut dyn MediaSource) -> io::Result<u64> {
    source.seek(SeekFrom::End(0))
}
