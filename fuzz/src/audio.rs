//! Recordings in every container and codec, and their tags.

use std::path::Path;

use genre_transfer::audio::{Container, Decoder, EXTENSIONS, sniff};
use genre_transfer::dataset::Dataset;

use crate::scratch;

/// Samples that are decoded of an input: a few bytes may stand for hours of silence.
const MOST: usize = 1 << 18;
/// Bytes of a FLAC frame: its header's fixed ones, their checksum and that of the frame.
const SHORTEST_FRAME: usize = 8;

/// A file as it is.
pub fn read(data: &[u8]) {
    let Ok(mut decoder) = Decoder::of_bytes(data, Path::new("input")) else { return };
    let (mut block, mut samples) = (vec![], 0);
    while samples < MOST && decoder.read(&mut block).is_ok_and(|more| more) {
        assert!(block.iter().all(|sample| sample.abs() <= 1e10), "a sample beyond all bounds");
        samples += block.len();
        block.clear();
    }
    for note in decoder.notes() {
        let _ = note.to_string();
    }
}

/// The same once its checksums are right, without which no reader looks at the rest.
pub fn read_sealed(data: &[u8]) {
    let mut data = data.to_vec();
    match sniff(&data) {
        Some(Container::Ogg) => seal_ogg(&mut data),
        Some(Container::Flac) => seal_flac(&mut data),
        _ => {}
    }
    read(&data);
}

/// Ogg's checksum of every page (RFC 3533).
fn seal_ogg(data: &mut [u8]) {
    let mut at = 0;
    while let Some(page) = data.get(at..).filter(|rest| rest.len() >= 27) {
        if !page.starts_with(b"OggS") {
            at += 1;
            continue;
        }
        let segments = usize::from(page[26]);
        let Some(table) = page.get(27..27 + segments) else { return };
        let length = 27 + segments + table.iter().map(|size| usize::from(*size)).sum::<usize>();
        let Some(page) = data.get_mut(at..at + length) else { return };
        page[22..26].fill(0);
        let sum = page.iter().fold(0u32, |sum, byte| crc(sum, *byte, 32, 0x04c1_1db7));
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += length;
    }
}

/// FLAC's checksum of every frame's header and, where the next one shows its end, of the frame.
fn seal_flac(data: &mut [u8]) {
    let starts: Vec<usize> = (0..data.len().saturating_sub(16))
        .filter(|at| data[*at] == 0xff && data[at + 1] & 0xfe == 0xf8)
        .collect();
    for (number, start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(data.len());
        let frame = &mut data[*start..end];
        if frame.len() < SHORTEST_FRAME {
            continue;
        }
        let head = flac_header(frame);
        if head + 3 > frame.len() {
            continue;
        }
        frame[head] = frame[..head].iter().fold(0, |sum, byte| crc(sum, *byte, 8, 0x07)) as u8;
        let body = frame.len() - 2;
        let sum = frame[..body].iter().fold(0, |sum, byte| crc(sum, *byte, 16, 0x8005));
        frame[body..].copy_from_slice(&(sum as u16).to_be_bytes());
    }
}

/// Bytes of a FLAC frame's header without its checksum (RFC 9639, section 9.1).
fn flac_header(frame: &[u8]) -> usize {
    let number = match frame[4].leading_ones() {
        0 => 1,
        ones => ones as usize,
    };
    let size = match frame[2] >> 4 {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let rate = match frame[2] & 15 {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    };
    4 + number + size + rate
}

/// One byte more of a checksum of this width and polynomial, the highest bit first.
fn crc(sum: u32, byte: u8, width: u32, polynomial: u32) -> u32 {
    let top = 1u32 << (width - 1);
    let mask = u32::MAX >> (32 - width);
    let first = sum ^ u32::from(byte) << (width - 8);
    (0..8).fold(first, |sum, _| {
        let shifted = sum << 1 & mask;
        if sum & top != 0 { shifted ^ polynomial } else { shifted }
    })
}

/// The tags of a recording, by which a collection is grouped.
pub fn tags(data: &[u8]) {
    scratch::file("tags/a/track.mp3", data);
    scratch::file("tags/b/other.mp3", b"other");
    let root = scratch::folder().join("tags");
    if let Ok(mut dataset) = Dataset::scan(&root, EXTENSIONS) {
        let _ = dataset.read_tags("artist");
    }
}
