//! Bytes seen through a window that moves forward.

use std::io::{self, Read, SeekFrom};

use super::block::ByteSource;

/// Bytes that are read at a time.
const STEP: usize = 1 << 16;

/// Part of a file, from which one looks ahead.
pub(super) struct Window<'a> {
    source: ByteSource<'a>,
    /// Bytes of the part that are not in the buffer yet.
    left: u64,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes that were passed.
    position: u64,
}

impl<'a> Window<'a> {
    /// A window on `source` from `start` to `end`, or to its end.
    pub fn new(mut source: ByteSource<'a>, start: u64, end: Option<u64>) -> io::Result<Self> {
        source.seek(SeekFrom::Start(start))?;
        let left = end.map_or(u64::MAX, |end| end.saturating_sub(start));
        Ok(Self { source, left, buffer: vec![], at: 0, position: 0 })
    }

    /// The next `count` bytes, or all there are.
    pub fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.at < count {
            self.buffer.drain(..self.at);
            self.at = 0;
            let wanted = (count.max(STEP) as u64).min(self.left);
            let read = self.source.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
            self.left -= read as u64;
        }
        let rest = &self.buffer[self.at..];
        Ok(&rest[..rest.len().min(count)])
    }

    /// Bytes from where it began to where it stands.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves on by `count` bytes, or to the end; returns by how many.
    pub fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let step = self.peek(left.min(STEP as u64) as usize)?.len();
            if step == 0 {
                break;
            }
            self.at += step;
            self.position += step as u64;
            left -= step as u64;
        }
        Ok(count - left)
    }
}
