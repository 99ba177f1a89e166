//! Whether an Ogg file is whole: a demuxer need not notice the beginning of a stream that is cut.
//!
//! Source: RFC 3533, section 6.

use std::io;

use symphonia::core::io::MediaSource;

use super::block::{bytes_at, length};

/// More than the largest page.
const TAIL: u64 = 1 << 17;

/// Whether the last page of the file is whole and says that it is the last of its stream.
///
/// # Errors
/// Those of reading.
pub(super) fn is_whole(source: &mut dyn MediaSource) -> io::Result<bool> {
    let start = length(source)?.saturating_sub(TAIL);
    let tail = bytes_at(source, start, TAIL)?;
    let last = tail.windows(4).rposition(|window| window == b"OggS");
    Ok(last.is_some_and(|last| is_last_page(&tail[last..])))
}

fn is_last_page(page: &[u8]) -> bool {
    let Some((header, rest)) = page.split_at_checked(27) else { return false };
    let Some((sizes, body)) = rest.split_at_checked(header[26].into()) else { return false };
    let size: usize = sizes.iter().map(|size| usize::from(*size)).sum();
    header[5] & 4 != 0 && size <= body.len()
}
