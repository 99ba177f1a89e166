//! Which of an MP4's samples are to be heard: edit lists, and what iTunes wrote before it had them.
//!
//! Sources: ISO/IEC 14496-12, 8.6.6; Apple, *QuickTime File Format*, appendix G.

use std::io;

use symphonia::core::io::MediaSource;

use super::block::{Block, bytes_at, length};
use super::chunks::At;

/// The most bytes of headers: those of a recording of a day are smaller.
const MOST: u64 = 1 << 26;

/// Stretches of a track that are to be heard.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edits {
    /// From and to, in seconds of the track, one behind the other.
    ranges: Vec<(f64, f64)>,
    left_out: u64,
}

/// An atom's contents.
struct Atom<'a> {
    name: [u8; 4],
    body: &'a [u8],
}

/// The atoms in `bytes`.
fn atoms(mut bytes: &[u8]) -> impl Iterator<Item = Atom<'_>> {
    std::iter::from_fn(move || {
        let at = At(bytes);
        let (size, name) = (at.be32(0)?, at.name(4)?);
        let (header, size) = match size {
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(at.be64(8)?).ok()?),
            size => (8, size as usize),
        };
        let body = bytes.get(header..size.min(bytes.len()))?;
        bytes = bytes.get(size..).unwrap_or_default();
        Some(Atom { name, body })
    })
}

/// The first atom of each name in the one before: `mdia`, `mdhd`.
fn inside<'a>(bytes: &'a [u8], names: &[&[u8; 4]]) -> Option<&'a [u8]> {
    names.iter().try_fold(bytes, |bytes, name| {
        atoms(bytes).find(|atom| atom.name == **name).map(|atom| atom.body)
    })
}

/// The headers of the file, the contents of `moov`.
///
/// # Errors
/// Those of reading.
pub(super) fn headers(source: &mut dyn MediaSource) -> io::Result<Vec<u8>> {
    let (end, mut at) = (length(source)?, 0);
    while at < end {
        let head = bytes_at(source, at, 16)?;
        let head = At(&head);
        let (Some(size), Some(name)) = (head.be32(0), head.name(4)) else { break };
        let (header, size) = match size {
            0 => (8, end - at),
            1 => (16, head.be64(8).unwrap_or(0)),
            size => (8, size.into()),
        };
        if name == *b"moov" {
            return bytes_at(source, at + header, size.min(MOST));
        }
        let Some(next) = at.checked_add(size).filter(|_| size >= header) else { break };
        at = next;
    }
    Ok(vec![])
}

impl Edits {
    /// Those of the track `id`, with the file's `headers`.
    pub fn of(headers: &[u8], id: u32) -> Option<Self> {
        let is_track = |atom: &Atom| {
            let header = inside(atom.body, &[b"tkhd"]);
            atom.name == *b"trak"
                && header.and_then(|header| number(header, 12, 20)) == Some(id.into())
        };
        let track = atoms(headers).find(is_track)?.body;
        let per_second = |header: &[u8]| scale(header).map(f64::from).filter(|scale| *scale > 0.0);
        let media = per_second(inside(track, &[b"mdia", b"mdhd"])?)?;
        let movie = per_second(inside(headers, &[b"mvhd"])?)?;
        let ranges = match inside(track, &[b"edts", b"elst"]) {
            Some(list) => listed(list, media, movie),
            None => vec![gapless(headers, media)?],
        };
        // Repeated or reordered stretches are left as they were recorded.
        let ordered = ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
            && ranges.iter().all(|(from, to)| from <= to);
        (ordered && !ranges.is_empty()).then_some(Self { ranges, left_out: 0 })
    }

    /// Cuts from a block of the track, whose first frame is the one numbered `first`, what is
    /// not to be heard.
    pub fn apply(&mut self, block: &mut Block, first: u64) {
        let (frames, rate) = (block.frames(), f64::from(block.rate));
        let place = |seconds: f64| {
            let frame = (seconds * rate).round() - first as f64;
            frame.clamp(0.0, frames as f64) as usize
        };
        let mut kept = 0;
        for (from, to) in &self.ranges {
            let (from, to) = (place(*from), place(*to));
            block.samples.copy_within(from * block.channels..to * block.channels, kept);
            kept += (to - from) * block.channels;
        }
        self.left_out += frames as u64 - (kept / block.channels) as u64;
        block.samples.truncate(kept);
    }

    /// Seconds that were cut, at `rate` samples per second.
    pub fn left_out(&self, rate: u32) -> f64 {
        self.left_out as f64 / f64::from(rate.max(1))
    }
}

/// The time scale of a header, which stands behind two dates of 4 or 8 bytes.
fn scale(header: &[u8]) -> Option<u32> {
    u32::try_from(number(header, 12, 20)?).ok()
}

/// A number of four bytes that stands at one place in version 0 of an atom and at another in
/// version 1.
fn number(bytes: &[u8], old: usize, new: usize) -> Option<u64> {
    let at = if bytes.first()? == &0 { old } else { new };
    At(bytes).be32(at).map(u64::from)
}

/// The ranges of an edit list, whose times count `media` and whose lengths `movie` to the
/// second; those that stand for silence are left out.
fn listed(list: &[u8], media: f64, movie: f64) -> Vec<(f64, f64)> {
    let (at, wide) = (At(list), list.first() == Some(&1));
    let count = at.be32(4).unwrap_or(0) as usize;
    let entry = |index: usize| -> Option<(u64, i64)> {
        Some(if wide {
            let place = 8 + 20 * index;
            (at.be64(place)?, at.be64(place + 8)?.cast_signed())
        } else {
            let place = 8 + 12 * index;
            (at.be32(place)?.into(), at.be32(place + 4)?.cast_signed().into())
        })
    };
    let range = |(length, start): (u64, i64)| {
        let from = start as f64 / media;
        // In a file of fragments the length is not known beforehand.
        let to = if length == 0 { f64::INFINITY } else { from + length as f64 / movie };
        (start >= 0).then_some((from, to))
    };
    (0..count).map_while(entry).filter_map(range).collect()
}

/// What iTunes says of delay and length in a comment: hexadecimal numbers, of which the second is
/// the delay and the fourth the number of samples.
fn gapless(headers: &[u8], rate: f64) -> Option<(f64, f64)> {
    const NAME: &[u8] = b"iTunSMPB";
    let at = headers.windows(NAME.len()).position(|bytes| bytes == NAME)?;
    let text = &headers[at + NAME.len()..];
    let text = &text[..text.len().min(160)];
    let data = text.windows(4).position(|bytes| bytes == b"data")?;
    let text = String::from_utf8_lossy(text.get(data + 12..)?);
    let mut numbers = text.split_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
    let (delay, length) = (numbers.nth(1)??, numbers.nth(1)??);
    let (delay, length) = (delay as f64, length as f64);
    (length > 0.0).then(|| (delay / rate, (delay + length) / rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn movie(edits: &[u8], rest: &[u8]) -> Vec<u8> {
        let media = atom(b"mdia", &atom(b"mdhd", &words(&[0, 0, 0, 44_100, 0])));
        let track = [atom(b"tkhd", &words(&[0, 0, 0, 7, 0])), edits.to_vec(), media].concat();
        [atom(b"mvhd", &words(&[0, 0, 0, 1_000, 0])), atom(b"trak", &track), rest.to_vec()].concat()
    }

    fn block(count: usize) -> Block {
        let samples = (0..count).map(|i| i as f32).collect();
        Block { rate: 44_100, channels: 1, samples }
    }

    #[test]
    fn priming_and_padding_go() {
        let list = atom(
            b"edts",
            &atom(b"elst", &words(&[0, 2, 500, u32::MAX, 1 << 16, 100, 1024, 1 << 16])),
        );
        let mut edits = Edits::of(&movie(&list, &[]), 7).unwrap();
        let mut first = block(2_000);
        edits.apply(&mut first, 0);
        assert_eq!((first.samples[0], first.frames()), (1_024.0, 976));
        let mut second = block(5_000);
        edits.apply(&mut second, 2_000);
        assert_eq!(first.frames() + second.frames(), 4_410);
        assert!((edits.left_out(44_100) - (7_000 - 4_410) as f64 / 44_100.0).abs() < 1e-9);
        assert_eq!(Edits::of(&movie(&list, &[]), 8), None);
    }

    #[test]
    fn without_an_edit_list_the_comment_of_itunes_counts() {
        let comment = b"iTunSMPB\0\0\0\x84data\0\0\0\x01\0\0\0\0 00000000 00000840 000001CA 00000000000000FF \
                        00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000";
        let mut edits = Edits::of(&movie(&[], comment), 7).unwrap();
        let mut all = block(4_096);
        edits.apply(&mut all, 0);
        assert_eq!((all.samples[0], all.frames()), (2_112.0, 255));
        assert_eq!(Edits::of(&movie(&[], &[]), 7), None);
    }
}
