//! What a Matroska or WebM file says of its end, and the demuxer does not pass on.
//!
//! Source: RFC 9559, section 5.1.3.5.7.

use std::io;

use symphonia::core::io::MediaSource;

use super::block::{bytes_at, length};

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
