//! Headers of MPEG audio frames, and the tag that encoders put into the first.
//!
//! Sources: ISO/IEC 11172-3 and 13818-3; Gabriel Bouvigne, *MP3 Info Tag, revision 1*.

use super::chunks::At;

/// A frame of an elementary stream, as its header has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes, the header among them.
    pub length: usize,
    /// Samples of each channel.
    pub samples: usize,
    /// What must not change within a decoder.
    pub form: Form,
}

/// What a decoder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Samples per second.
    pub rate: u32,
    /// Channels.
    pub channels: usize,
    /// The layer, 1 to 3; 0 for AAC.
    pub layer: u8,
}

/// Bit rates in kbit/s by their index less 1: layers I, II, III of version 1, layer I of
/// versions 2 and 2.5, their layers II and III.
const BIT_RATES: [[u32; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Whether `head` begins with a header of MPEG audio.
pub(super) fn could_begin(head: &[u8]) -> bool {
    frame(head).is_some()
}

/// The frame whose header `head` begins with, if it is one.
pub(super) fn frame(head: &[u8]) -> Option<Frame> {
    let &[0xff, b1, b2, b3, ..] = head else { return None };
    let (version, layer) = ((b1 >> 3) & 3, 4 - ((b1 >> 1) & 3));
    let (bit_rate, rate, padding) = (b2 >> 4, (b2 >> 2) & 3, usize::from((b2 >> 1) & 1));
    if b1 >> 5 != 7 || version == 1 || layer == 4 || matches!(bit_rate, 0 | 15) || rate == 3 {
        return None;
    }
    let first = version == 3;
    let table = match (first, layer) {
        (true, layer) => usize::from(layer) - 1,
        (false, 1) => 3,
        (false, _) => 4,
    };
    let bits = BIT_RATES[table][usize::from(bit_rate) - 1] * 1_000;
    let rate = [44_100, 48_000, 32_000][usize::from(rate)] >> [2, 0, 1, 0][usize::from(version)];
    let (samples, slot) = match (layer, first) {
        (1, _) => (384, 4),
        (3, false) => (576, 1),
        _ => (1_152, 1),
    };
    // `samples` at `bits` per second, in whole slots.
    let length = ((samples as u32 / 8 / slot * bits / rate) as usize + padding) * slot as usize;
    let channels = if b3 >> 6 == 3 { 1 } else { 2 };
    (length > 4).then_some(Frame { length, samples, form: Form { rate, channels, layer } })
}

/// The frame of AAC whose ADTS header `head` begins with, if it is one.
pub(super) fn adts(head: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];
    let &[0xff, b1, b2, b3, b4, b5, b6, ..] = head else { return None };
    if b1 & 0xf6 != 0xf0 {
        return None;
    }
    let rate = *RATES.get(usize::from((b2 >> 2) & 15))?;
    let channels = usize::from((b2 & 1) << 2 | b3 >> 6);
    let length = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5) >> 5;
    let samples = 1_024 * (usize::from(b6 & 3) + 1);
    (length > 7).then_some(Frame { length, samples, form: Form { rate, channels, layer: 0 } })
}

/// What the first frame of an MP3 may say of the others, instead of sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag {
    /// Frames besides this one.
    pub frames: Option<u64>,
    /// Samples that encoder and decoder put in front.
    pub delay: usize,
    /// Samples that fill up the last frame.
    pub padding: usize,
}

/// The delay of a decoder itself, in samples.
const DECODER_DELAY: usize = 529;

/// The tag in `data`, the frame `frame`, if it is one.
pub(super) fn tag(data: &[u8], frame: &Frame) -> Option<Tag> {
    if frame.form.layer != 3 {
        return None;
    }
    let side = match (frame.samples, frame.form.channels) {
        (1_152, 1) | (576, 2) => 17,
        (1_152, _) => 32,
        _ => 9,
    };
    let data = At(data);
    if data.name(4 + 32) == Some(*b"VBRI") {
        let frames = data.be32(4 + 32 + 14).map(u64::from);
        return Some(Tag { frames, ..Tag::default() });
    }
    let at = 4 + side;
    if !matches!(&data.name(at)?, b"Xing" | b"Info") {
        return None;
    }
    let flags = data.be32(at + 4)?;
    let frames = (flags & 1 != 0).then(|| data.be32(at + 8).map(u64::from)).flatten();
    let fields = [4, 4, 100, 4].into_iter().enumerate();
    let length: usize =
        fields.filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, length)| length).sum();
    let encoder = at + 8 + length;
    let named = matches!(data.name(encoder).as_ref(), Some(b"LAME" | b"Lavf" | b"Lavc"));
    let trim = data.be32(encoder + 21).filter(|_| named).map_or((0, 0), |trim| {
        let (delay, padding) = (trim as usize >> 20, trim as usize >> 8 & 0xfff);
        (delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY))
    });
    Some(Tag { frames, delay: trim.0, padding: trim.1 })
}

/// The length of a tag for players that `head` begins with; 10 or more bytes of it are needed.
pub(super) fn player_tag(head: &[u8]) -> Option<u64> {
    let at = At(head);
    match head {
        // Its length is in four bytes of seven bits each.
        [b'I', b'D', b'3', 0..=0xfe, 0..=0xfe, flags, length @ ..]
            if length.len() >= 4 && length[..4].iter().all(|byte| *byte < 0x80) =>
        {
            let bytes = length[..4].iter();
            let footer = if flags & 0x10 != 0 { 10 } else { 0 };
            Some(10 + footer + bytes.fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f)))
        }
        // Its length is that of the items and the footer; the header, if there is one, comes on
        // top.
        _ if head.starts_with(b"APETAGEX") => {
            let (length, flags) = (u64::from(at.le32(12)?), at.le32(20)?);
            Some(if flags & 1 << 29 != 0 { length + 32 } else { 32 })
        }
        [b'T', b'A', b'G', ..] => Some(128),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_how_long_frames_are() {
        for (head, length, samples, rate, channels, layer) in [
            ([0xff, 0xfb, 0x90, 0x64], 417, 1_152, 44_100, 2, 3),
            ([0xff, 0xfb, 0x92, 0xc4], 418, 1_152, 44_100, 1, 3),
            ([0xff, 0xf3, 0x84, 0x64], 192, 576, 24_000, 2, 3),
            ([0xff, 0xfd, 0x80, 0x04], 417, 1_152, 44_100, 2, 2),
            ([0xff, 0xff, 0x14, 0xc4], 32, 384, 48_000, 1, 1),
        ] {
            let form = Form { rate, channels, layer };
            assert_eq!(frame(&head), Some(Frame { length, samples, form }), "{head:x?}");
        }
        assert_eq!(frame(b"\xff\xfb\x00\x64"), None, "no bit rate");
        assert_eq!(frame(b"\xff\xe9\x90\x64"), None, "no such version");
    }
}
