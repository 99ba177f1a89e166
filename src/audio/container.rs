//! What kind of audio file some bytes are.

/// File name extensions, in lower case, worth opening when a folder is scanned.
pub const EXTENSIONS: &[&str] = &[
    "wav", "wave", "mp3", "flac", "ogg", "oga", "m4a", "m4b", "mp4", "aac", "aif", "aiff", "aifc",
    "caf",
];

/// A kind of audio file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// RIFF/WAVE.
    Wav,
    /// MPEG-1/2/2.5 layer III, bare or behind an ID3v2 tag.
    Mp3,
    /// Native FLAC.
    Flac,
    /// Ogg, whatever codec it holds.
    Ogg,
    /// ISO base media: MP4, M4A, M4B, MOV.
    Mp4,
    /// AAC in an ADTS stream.
    Adts,
    /// AIFF and AIFF-C.
    Aiff,
    /// Apple's Core Audio Format.
    Caf,
}

impl Container {
    /// The name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Mp3 => "MP3",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Mp4 => "MP4",
            Self::Adts => "ADTS",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
        }
    }
}

/// What kind of audio file begins with `head`, judged by its magic bytes.
///
/// Twelve bytes are enough; `None` if they fit no kind that can be decoded.
pub fn sniff(head: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    if at(0, b"RIFF") && at(8, b"WAVE") {
        Some(Container::Wav)
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Some(Container::Aiff)
    } else if at(0, b"fLaC") {
        Some(Container::Flac)
    } else if at(0, b"OggS") {
        Some(Container::Ogg)
    } else if at(0, b"caff") {
        Some(Container::Caf)
    } else if at(4, b"ftyp") {
        Some(Container::Mp4)
    } else if at(0, b"ID3") {
        Some(Container::Mp3)
    } else {
        sniff_mpeg_header(head)
    }
}

/// MPEG audio has no magic number, only a frame header: 11 bits of sync, then
/// version, layer, bit rate and sample rate with values that may not occur.
fn sniff_mpeg_header(head: &[u8]) -> Option<Container> {
    let [0xff, b1, b2, ..] = *head else { return None };
    let (sync, version, layer) = (b1 >> 5, (b1 >> 3) & 3, (b1 >> 1) & 3);
    let (bit_rate, rate) = (b2 >> 4, (b2 >> 2) & 3);
    if sync == 7 && version != 1 && layer == 1 && !matches!(bit_rate, 0 | 15) && rate != 3 {
        return Some(Container::Mp3);
    }
    // ADTS: 12 bits of sync and a layer of 0; the sample rate's index is 4 bits, 13 and up unused.
    let adts = b1 >> 4 == 15 && layer == 0 && (b2 >> 2) & 15 < 13;
    adts.then_some(Container::Adts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_bytes_decide() {
        for (head, kind) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], Some(Container::Wav)),
            (b"RIFF\x24\0\0\0AVI LIST", None),
            (b"FORM\0\0\0\0AIFFCOMM", Some(Container::Aiff)),
            (b"FORM\0\0\0\0AIFCFVER", Some(Container::Aiff)),
            (b"fLaC\0\0\0\x22", Some(Container::Flac)),
            (b"OggS\0\x02", Some(Container::Ogg)),
            (b"\0\0\0\x20ftypM4A ", Some(Container::Mp4)),
            (b"ID3\x04\0\0", Some(Container::Mp3)),
            (b"\xff\xfb\x90\x64", Some(Container::Mp3)),
            (b"\xff\xf1\x50\x80", Some(Container::Adts)),
            (b"caff\0\x01", Some(Container::Caf)),
            (b"\xff\xfe<\0h\0", None), // UTF-16 text: its byte order mark looks like MPEG sync.
            (b"\xff\xd8\xff\xe0", None), // JPEG.
            (b"hello", None),
            (b"RIFF", None),
            (b"", None),
        ] {
            assert_eq!(sniff(head), kind, "{}", head.escape_ascii());
        }
    }
}
