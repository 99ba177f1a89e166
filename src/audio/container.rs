//! What kind of audio file some bytes are.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::mpeg;

/// File name extensions, in lower case, worth opening when a folder is scanned: those of kinds
/// that are read here, and then those that ffmpeg may read.
pub const EXTENSIONS: &[&str] = &[
    "wav", "wave", "rf64", "bw64", "bwf", "w64", "mp3", "mp2", "mp1", "mpga", "flac", "ogg", "oga",
    "opus", "spx", "m4a", "m4b", "mp4", "mov", "aac", "adts", "mka", "webm", "mkv", "aif", "aiff",
    "aifc", "caf", "au", "snd", // read here
    "wma", "wv", "ape", "mpc", "tta", "amr", "3gp", "ac3", "eac3", "dts", "ra", "rm", "dsf", "dff",
    "tak", "ofr", "shn", "asf",
];

/// A kind of audio file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// RIFF/WAVE, RF64 and BW64.
    Wav,
    /// Sony's Wave64.
    W64,
    /// Sun's and NeXT's AU.
    Au,
    /// MPEG-1/2/2.5 layers I to III, bare or behind tags.
    Mp3,
    /// Native FLAC.
    Flac,
    /// Ogg, whatever codec it holds.
    Ogg,
    /// Matroska and WebM.
    Matroska,
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
            Self::W64 => "W64",
            Self::Au => "AU",
            Self::Mp3 => "MP3",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
            Self::Matroska => "Matroska",
            Self::Mp4 => "MP4",
            Self::Adts => "ADTS",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
        }
    }
}

/// Sony's identifier of a RIFF.
const W64: &[u8] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";

/// What kind of audio file begins with `head`, judged by its magic bytes.
///
/// Sixteen bytes are enough; `None` if they fit no kind that can be decoded.
pub fn sniff(head: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    let any = |magics: &[&[u8]]| magics.iter().any(|magic| at(0, magic));
    if any(&[b"RIFF", b"RF64", b"BW64"]) && at(8, b"WAVE") {
        Some(Container::Wav)
    } else if at(0, W64) {
        Some(Container::W64)
    } else if at(0, b".snd") {
        Some(Container::Au)
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Some(Container::Aiff)
    } else if at(0, b"fLaC") {
        Some(Container::Flac)
    } else if at(0, b"OggS") {
        Some(Container::Ogg)
    } else if at(0, b"\x1a\x45\xdf\xa3") {
        Some(Container::Matroska)
    } else if at(0, b"caff") {
        Some(Container::Caf)
    } else if at(4, b"ftyp") {
        Some(Container::Mp4)
    } else if at(0, b"ID3") {
        Some(Container::Mp3)
    } else {
        sniff_frame(head)
    }
}

/// MPEG audio has no magic number, only a header in front of every frame.
fn sniff_frame(head: &[u8]) -> Option<Container> {
    if mpeg::could_begin(head) {
        return Some(Container::Mp3);
    }
    // ADTS: 12 bits of sync and a layer of 0; the sample rate's index is 4 bits, 13 and up unused.
    let [0xff, b1, b2, ..] = *head else { return None };
    (b1 & 0xf6 == 0xf0 && (b2 >> 2) & 15 < 13).then_some(Container::Adts)
}

/// Kinds of audio that nothing here decodes: where their magic bytes stand, and their names.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA (ASF)"),
    (28, b"Speex   ", "Speex"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "TTA"),
    (0, b"#!AMR", "AMR"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"tBaK", "TAK"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b".RMF", "RealMedia"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"ajkg", "Shorten"),
    (0, b"FLV\x01", "Flash video"),
    (8, b"AVI ", "AVI"),
    (0, b"\0\0\x01\xba", "MPEG programme stream"),
    (4, b"moov", "QuickTime"),
    (4, b"mdat", "QuickTime"),
    (4, b"wide", "QuickTime"),
];

/// The name of the kind of audio that begins with `head`, where nothing here decodes it.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    let begins = |(at, magic, _): &&(usize, &[u8], &str)| {
        head.get(*at..).is_some_and(|rest| rest.starts_with(magic))
    };
    FOREIGN.iter().find(begins).map(|(_, _, name)| *name)
}

/// Whether the file at `path` begins like a recording, whatever its name: with magic bytes, which
/// frames without a container have none of.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    let mut head = vec![];
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    let framed = head.first() == Some(&0xff);
    read.is_ok() && !framed && (sniff(&head).is_some() || foreign(&head).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_bytes_decide() {
        for (head, kind) in [
            (&b"RIFF\x24\0\0\0WAVEfmt "[..], Some(Container::Wav)),
            (b"BW64\xff\xff\xff\xffWAVEds64", Some(Container::Wav)),
            (b"RIFF\x24\0\0\0AVI LIST", None),
            (W64, Some(Container::W64)),
            (b".snd\0\0\0\x20", Some(Container::Au)),
            (b"FORM\0\0\0\0AIFFCOMM", Some(Container::Aiff)),
            (b"FORM\0\0\0\0AIFCFVER", Some(Container::Aiff)),
            (b"fLaC\0\0\0\x22", Some(Container::Flac)),
            (b"OggS\0\x02", Some(Container::Ogg)),
            (b"\x1a\x45\xdf\xa3\x9f", Some(Container::Matroska)),
            (b"\0\0\0\x20ftypM4A ", Some(Container::Mp4)),
            (b"ID3\x04\0\0", Some(Container::Mp3)),
            (b"\xff\xfb\x90\x64", Some(Container::Mp3)),
            (b"\xff\xfd\x80\x04", Some(Container::Mp3)), // layer II
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
        assert_eq!(foreign(b"wvpk\x10"), Some("WavPack"));
        assert_eq!(foreign(b"RIFF\x24\0\0\0AVI LIST"), Some("AVI"));
        assert_eq!(foreign(b"hello"), None);
    }
}
