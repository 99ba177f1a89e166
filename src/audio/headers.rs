//! Headers of files whose samples are stored as they are, or that wrap another kind of file.
//!
//! Lengths in them are hints: programs that write into a pipe, or are killed, leave 0 or the
//! largest number, and the samples then go on to the end of the file.

use std::io;

use symphonia::core::io::MediaSource;

use super::block::{bytes_at, length};
use super::chunks::{At, Chunk, Chunked, named};
use super::container::Container;
use super::failure::Failure;
use super::pcm::{Encoding, Layout, Order};

/// What a header leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lead {
    /// Samples.
    Samples(Layout),
    /// Frames of MPEG audio from one place to another.
    Mpeg(u64, Option<u64>),
    /// Something else, for a library to read.
    Other,
}

/// Reads the header of a file of kind `container`.
///
/// # Errors
/// [`Failure::Header`] if it lacks what it must hold; those of reading.
pub(super) fn read(container: Container, source: &mut dyn MediaSource) -> Result<Lead, Failure> {
    let kind = container.name();
    match container {
        Container::Wav => wav(source, Chunked::Riff, 12),
        Container::W64 => wav(source, Chunked::W64, 40),
        Container::Au => au(source),
        Container::Aiff => aiff(source),
        Container::Caf => caf(source),
        _ => return Ok(Lead::Other),
    }?
    .ok_or(Failure::Header { kind })
}

/// A lead, or none if the header lacks something.
type Found = io::Result<Option<Lead>>;

/// RIFF, RF64, BW64 and W64.
fn wav(source: &mut dyn MediaSource, chunked: Chunked, start: u64) -> Found {
    let chunks = chunked.walk(source, start, b"data")?;
    let (Some(format), Some(data)) = (named(&chunks, b"fmt "), named(&chunks, b"data")) else {
        return Ok(None);
    };
    let bytes = wav_bytes(source, chunked, &chunks, data)?;
    Ok(wav_lead(&At(&format.head), data.start, bytes))
}

fn wav_lead(format: &At, start: u64, bytes: Option<u64>) -> Option<Lead> {
    let (tag, channels) = (format.le16(0)?, format.le16(2)?);
    // WAVE_FORMAT_EXTENSIBLE has the tag at the beginning of an identifier.
    let tag = if tag == 0xfffe { format.le16(24)? } else { tag };
    let (align, bits) = (format.le16(12)?, format.le16(14)?);
    // Samples of 20 bits, say, stand in 3 or 4 bytes: how many, the size of a frame tells.
    let size = u32::from(align.checked_div(channels)?) * 8;
    let bits = if size >= u32::from(bits) { size } else { u32::from(bits).next_multiple_of(8) };
    let encoding = match (tag, bits) {
        (1, 8) => Encoding::Unsigned,
        (1, bits) => Encoding::signed(bits, Order::Little)?,
        (3, 32 | 64) => Encoding::Float(bits as usize / 8, Order::Little),
        (6, _) => Encoding::ALaw,
        (7, _) => Encoding::MuLaw,
        (0x50 | 0x55, _) => {
            return Some(Lead::Mpeg(start, bytes.map(|bytes| start.saturating_add(bytes))));
        }
        _ => return Some(Lead::Other),
    };
    let (rate, channels) = (format.le32(4)?, channels.into());
    Some(Lead::Samples(Layout { rate, channels, encoding, start, bytes }))
}

/// How many bytes of samples a WAV holds, if its header knows it.
fn wav_bytes(
    source: &mut dyn MediaSource,
    chunked: Chunked,
    chunks: &[Chunk],
    data: &Chunk,
) -> io::Result<Option<u64>> {
    let file = length(source)?;
    let whole = At(&bytes_at(source, 0, 8)?).le32(4).map_or(0, u64::from) + 8;
    let large = named(chunks, b"ds64").and_then(|chunk| At(&chunk.head).le64(8));
    let bytes = match (large, data.length) {
        (Some(large), 0xffff_ffff) => large,
        (_, bytes) => bytes,
    };
    // What programs write before they know better: sox, arecord, ffmpeg and others.
    let unknown = chunked == Chunked::Riff
        && (matches!(bytes, 0x7fff_f000..=0x7fff_ffff | 0xffff_f000..=0xffff_ffff)
            || bytes == 0 && whole != file);
    let end = data.start.saturating_add(bytes);
    if unknown || end < file && !chunks_follow(source, chunked, end, file)? {
        return Ok(None);
    }
    Ok(Some(bytes))
}

/// Whether what is behind the samples is more chunks, or padding: else the header says too
/// little, and it is more samples.
fn chunks_follow(
    source: &mut dyn MediaSource,
    chunked: Chunked,
    end: u64,
    file: u64,
) -> io::Result<bool> {
    let rest = bytes_at(source, end, 4096)?;
    let is_name = |at: usize| {
        rest.get(at..at + 4)
            .is_some_and(|name| name.iter().all(|b| b.is_ascii_graphic() || *b == b' '))
    };
    // A tag that was put behind the file, too, begins with letters.
    let few = file - end < 64;
    Ok(few || chunked == Chunked::W64 || is_name(0) || is_name(1) || rest.iter().all(|b| *b == 0))
}

/// Sun's and NeXT's.
fn au(source: &mut dyn MediaSource) -> Found {
    let head = bytes_at(source, 0, 24)?;
    let (head, file) = (At(&head), length(source)?);
    let layout = || {
        let encoding = match head.be32(12)? {
            1 => Encoding::MuLaw,
            2 => Encoding::Signed(1, Order::Big),
            bytes @ 3..=5 => Encoding::Signed(bytes as usize - 1, Order::Big),
            6 => Encoding::Float(4, Order::Big),
            7 => Encoding::Float(8, Order::Big),
            27 => Encoding::ALaw,
            _ => return Some(Lead::Other),
        };
        let (start, bytes) = (u64::from(head.be32(4)?), u64::from(head.be32(8)?));
        let known = bytes != 0xffff_ffff && (bytes != 0 || start == file);
        let (rate, channels) = (head.be32(16)?, head.be32(20)? as usize);
        let bytes = known.then_some(bytes);
        Some(Lead::Samples(Layout { rate, channels, encoding, start, bytes }))
    };
    Ok(layout())
}

/// AIFF and AIFF-C.
fn aiff(source: &mut dyn MediaSource) -> Found {
    let compressed = bytes_at(source, 8, 4)? == b"AIFC";
    let chunks = Chunked::Iff.walk(source, 12, b"SSND")?;
    let layout = || {
        let (common, data) = (named(&chunks, b"COMM")?, named(&chunks, b"SSND")?);
        let (common, offset) = (At(&common.head), At(&data.head).be32(0)?);
        let (channels, bits) = (common.be16(0)?, u32::from(common.be16(6)?));
        let kind = if compressed { common.name(18)? } else { *b"NONE" };
        let encoding = match &kind {
            b"NONE" | b"twos" | b"in24" | b"in32" => Encoding::signed(bits, Order::Big)?,
            b"sowt" | b"42ni" | b"23ni" => Encoding::signed(bits, Order::Little)?,
            b"raw " => Encoding::Unsigned,
            b"fl32" | b"FL32" => Encoding::Float(4, Order::Big),
            b"fl64" | b"FL64" => Encoding::Float(8, Order::Big),
            b"ulaw" | b"ULAW" => Encoding::MuLaw,
            b"alaw" | b"ALAW" => Encoding::ALaw,
            _ => return Some(Lead::Other),
        };
        let rate = extended(common.0.get(8..18)?.try_into().ok()?);
        let bytes = data.length.checked_sub(8 + u64::from(offset));
        let known = !matches!(data.length, 0 | 0x7fff_f000..=0x7fff_ffff | 0xffff_f000..);
        let start = data.start + 8 + u64::from(offset);
        let bytes = bytes.filter(|_| known);
        Some(Lead::Samples(Layout { rate, channels: channels.into(), encoding, start, bytes }))
    };
    Ok(layout())
}

/// A float of 80 bits, as AIFF has the rate, as a whole number; 0 if it is none of a rate.
fn extended(bytes: [u8; 10]) -> u32 {
    let exponent = i32::from(u16::from_be_bytes([bytes[0], bytes[1]])) - 16_383;
    let mantissa = bytes[2..].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    if (0..32).contains(&exponent) { (mantissa >> (63 - exponent)) as u32 } else { 0 }
}

/// Apple's.
fn caf(source: &mut dyn MediaSource) -> Found {
    let file = length(source)?;
    let chunks = Chunked::Caf.walk(source, 8, b"data")?;
    let layout = || {
        let (description, data) = (named(&chunks, b"desc")?, named(&chunks, b"data")?);
        let description = At(&description.head);
        let (channels, bits) = (description.be32(24)?, description.be32(28)?);
        let flags = description.be32(12)?;
        let order = if flags & 2 != 0 { Order::Little } else { Order::Big };
        let encoding = match (&description.name(8)?, flags & 1) {
            (b"lpcm", 0) => Encoding::signed(bits, order)?,
            (b"lpcm", _) if matches!(bits, 32 | 64) => Encoding::Float(bits as usize / 8, order),
            (b"ulaw", _) => Encoding::MuLaw,
            (b"alaw", _) => Encoding::ALaw,
            // What a library would allocate, or loop over, because the header says so.
            _ if description.be32(16)? > 1 << 20 => return None,
            _ => return Some(Lead::Other),
        };
        // The samples stand behind a count of edits.
        let (start, bytes) = (data.start + 4, data.length.checked_sub(4));
        let known = data.length != u64::MAX && (data.length > 4 || start == file);
        let rate = f64::from_bits(description.be64(0)?) as u32;
        let bytes = bytes.filter(|_| known);
        Some(Lead::Samples(Layout { rate, channels: channels as usize, encoding, start, bytes }))
    };
    Ok(layout())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_80_bits_are_read() {
        let bytes = |exponent: u16, mantissa: u64| {
            let mut bytes = exponent.to_be_bytes().to_vec();
            bytes.extend(mantissa.to_be_bytes());
            bytes.try_into().unwrap()
        };
        assert_eq!(extended(bytes(0x400e, 44_100 << 48)), 44_100);
        assert_eq!(extended(bytes(0x400d, 22_050 << 49)), 22_050);
        assert_eq!(extended(bytes(0x7fff, u64::MAX)), 0);
        assert_eq!(extended([0; 10]), 0);
    }
}
