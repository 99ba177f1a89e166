//! Files made of chunks, each behind its name and length, and what walks over them.

use std::io;

use symphonia::core::io::MediaSource;

use super::block::bytes_at;

/// The most bytes of a chunk that are looked at: no header needs more.
const MOST: u64 = 4096;

/// The most chunks of a file that are looked at.
const COUNT: usize = 10_000;

/// A kind of file made of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Four bytes of name, four of length, the lowest first; chunks begin at even places.
    Riff,
    /// The same with the highest byte of the length first.
    Iff,
    /// Sony's: sixteen bytes of name, eight of length, which counts these 24 too; chunks begin
    /// at multiples of eight.
    W64,
    /// Apple's: four bytes of name, eight of length, the highest first.
    Caf,
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The first four bytes of its name.
    pub name: [u8; 4],
    /// Where its contents begin.
    pub start: u64,
    /// How long its header says they are.
    pub length: u64,
    /// The first of its contents, 4096 bytes at most.
    pub head: Vec<u8>,
}

/// Names that chunks have: what is none of them may be the padding of the one before.
const NAMES: [&[u8; 4]; 16] = [
    b"fmt ", b"data", b"LIST", b"fact", b"bext", b"cue ", b"id3 ", b"ID3 ", b"JUNK", b"junk",
    b"smpl", b"PEAK", b"COMM", b"SSND", b"FVER", b"iXML",
];

impl Chunked {
    /// Bytes of a chunk's name and length.
    fn header(self) -> u64 {
        match self {
            Self::Riff | Self::Iff => 8,
            Self::W64 => 24,
            Self::Caf => 12,
        }
    }

    fn length(self, header: &[u8]) -> Option<u64> {
        let four = || header.get(4..8)?.try_into().ok();
        Some(match self {
            Self::Riff => u32::from_le_bytes(four()?).into(),
            Self::Iff => u32::from_be_bytes(four()?).into(),
            Self::W64 => {
                u64::from_le_bytes(header.get(16..24)?.try_into().ok()?).checked_sub(24)?
            }
            Self::Caf => u64::from_be_bytes(header.get(4..12)?.try_into().ok()?),
        })
    }

    /// Where the next chunk begins, behind one that ends at `end`.
    fn next(self, source: &mut dyn MediaSource, end: u64) -> io::Result<u64> {
        match self {
            Self::Caf => Ok(end),
            Self::W64 => Ok(end.checked_next_multiple_of(8).unwrap_or(u64::MAX)),
            // Some writers forget the byte that makes a length even.
            Self::Riff | Self::Iff if end % 2 == 1 => {
                let bytes = bytes_at(source, end, 5)?;
                let named = |at: usize| NAMES.iter().any(|name| bytes[at..].starts_with(*name));
                let forgotten = bytes.len() == 5 && named(0) && !named(1);
                Ok(if forgotten { end } else { end + 1 })
            }
            Self::Riff | Self::Iff => Ok(end),
        }
    }

    /// The chunks from `start` on, up to and with the one named `last` (what is behind the
    /// samples is not looked at), or to the end of the file.
    ///
    /// # Errors
    /// Those of reading.
    pub fn walk(
        self,
        source: &mut dyn MediaSource,
        start: u64,
        last: &[u8; 4],
    ) -> io::Result<Vec<Chunk>> {
        let (mut chunks, mut at) = (vec![], start);
        while chunks.len() < COUNT {
            let bytes = bytes_at(source, at, self.header() + MOST)?;
            let Some((header, head)) = bytes.split_at_checked(self.header() as usize) else {
                break;
            };
            let Some(name) = header.first_chunk::<4>() else { break };
            let Some(length) = self.length(header) else { break };
            let start = at + self.header();
            // The length of the last is not to be believed.
            let most = if name == last { MOST } else { length };
            let head = head[..(head.len() as u64).min(most) as usize].to_vec();
            chunks.push(Chunk { name: *name, start, length, head });
            if name == last {
                break;
            }
            let Some(end) = start.checked_add(length) else { break };
            at = self.next(source, end)?;
        }
        Ok(chunks)
    }
}

/// The chunk of this name.
pub(super) fn named<'a>(chunks: &'a [Chunk], name: &[u8; 4]) -> Option<&'a Chunk> {
    chunks.iter().find(|chunk| chunk.name == *name)
}

/// Numbers at a place, or none beyond the end.
pub(super) struct At<'a>(pub &'a [u8]);

impl At<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    pub fn le16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    pub fn le32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    pub fn le64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    pub fn be16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_be_bytes)
    }

    pub fn be32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_be_bytes)
    }

    pub fn be64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_be_bytes)
    }

    pub fn name(&self, at: usize) -> Option<[u8; 4]> {
        self.bytes(at)
    }
}
