//! What of a Matroska or WebM file the demuxer does not read: padding at its end, and a file that
//! is cut short.
//!
//! Sources: RFC 8794, section 6; RFC 9559, section 5.1.3.5.7.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::block::{ByteSource, bytes_at, length};

/// Bytes at the end of the file in which its last block begins.
const TAIL: u64 = 1 << 16;

/// The identifier of `DiscardPadding`.
const PADDING: [u8; 2] = [0x75, 0xa2];

/// The most that can be padding, in seconds: a packet of Opus.
const MOST: f64 = 0.12;

/// How many seconds at the end are padding of the last packet.
///
/// # Errors
/// Those of reading.
pub(super) fn end_padding(source: &mut dyn MediaSource) -> io::Result<f64> {
    let start = length(source)?.saturating_sub(TAIL);
    let tail = bytes_at(source, start, TAIL)?;
    let found = (0..tail.len()).rev().find_map(|at| nanoseconds(&tail[at..]));
    Ok(found.map_or(0.0, |nanoseconds| nanoseconds as f64 / 1e9))
}

/// The identifier of the segment, which holds all of a recording.
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// `source` with the segment's length made unknown, if the file ends before the segment does.
///
/// # Errors
/// Those of reading.
pub(super) fn shortened(mut source: ByteSource) -> io::Result<Result<ByteSource, ByteSource>> {
    let (end, head) = (length(source.as_mut())?, bytes_at(source.as_mut(), 0, 4096)?);
    source.seek(SeekFrom::Start(0))?;
    let Some(at) = head.windows(4).position(|window| window == SEGMENT) else {
        return Ok(Err(source));
    };
    let size = &head[at + 4..];
    let width = size.first().map_or(9, |first| first.leading_zeros() as usize + 1);
    let Some(size) = size.get(..width).filter(|_| width <= 8) else { return Ok(Err(source)) };
    let marker = 0x80 >> (width - 1);
    let value =
        size[1..].iter().fold(u64::from(size[0] & (marker - 1)), |v, b| v << 8 | u64::from(*b));
    let start = (at + 4 + width) as u64;
    let unknown = value == (1 << (7 * width)) - 1;
    if unknown || start.saturating_add(value) <= end {
        return Ok(Err(source));
    }
    let bytes = std::iter::once(marker | (marker - 1)).chain(std::iter::repeat(0xff));
    let patch = Patch { at: (at + 4) as u64, bytes: bytes.take(width).collect() };
    Ok(Ok(Box::new(Patched { source, patch, position: 0 })))
}

/// Other bytes for a place.
struct Patch {
    at: u64,
    bytes: Vec<u8>,
}

/// A file with other bytes at a place.
struct Patched<'a> {
    source: ByteSource<'a>,
    patch: Patch,
    position: u64,
}

impl Read for Patched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        for (place, byte) in (self.patch.at..).zip(&self.patch.bytes) {
            let inside = place.checked_sub(self.position).filter(|offset| *offset < count as u64);
            if let Some(offset) = inside {
                buffer[offset as usize] = *byte;
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Patched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.source.seek(to)?;
        Ok(self.position)
    }
}

impl MediaSource for Patched<'_> {
    /// What stands in the index may be behind the end.
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}

/// The value of the element that `bytes` begins with, if it is this one.
fn nanoseconds(bytes: &[u8]) -> Option<u64> {
    let size = *bytes.strip_prefix(&PADDING)?.first()?;
    let value = bytes.get(3..)?.get(..usize::from(size & 0x7f))?;
    let plausible = matches!(size, 0x81..=0x88) && value[0] < 0x80;
    let value = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (plausible && value > 0 && value as f64 <= MOST * 1e9).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_told_from_other_bytes() {
        assert_eq!(nanoseconds(b"\x75\xa2\x84\x00\xcd\xfe\x60"), Some(13_500_000));
        assert_eq!(nanoseconds(b"\x75\xa2\x84\x7f\xcd\xfe\x60"), None, "two seconds");
        assert_eq!(nanoseconds(b"\x75\xa2\x84\x00\xcd"), None, "cut short");
        assert_eq!(nanoseconds(b"\x75\xa3\x81\x01"), None);
    }
}
