//! Everything that is not plain WAV, through `symphonia`.
//!
//! What is cut short is refused where the file says how long it should be: FLAC, AIFF and
//! MP4 do, Ogg marks its last page, and most encoders of MP3 leave a tag with the number of
//! frames (Xing, Info or VBRI). An MP3 without one, and ADTS cut exactly between two
//! frames, are whole files as far as anyone can tell.

use std::io::{Cursor, ErrorKind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::{FormatReader, Track, TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;

use super::{Audio, Container, cut_short, mix_down};

/// Decodes the first audio track.
pub(super) fn decode(bytes: &[u8], container: Container) -> Result<Audio, String> {
    let kind = container.name();
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, Default::default(), Default::default())
        .map_err(|e| damaged(kind, &e))?;
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| format!("this {kind} file holds no audio track; remove it"))?
        .clone();
    let mut decoder = decoder_for(&track).map_err(|e| {
        format!(
            "this {kind} file's codec cannot be decoded ({e}); convert it (ffmpeg -i IN OUT.wav)"
        )
    })?;
    let (audio, malformed) =
        read_track(&mut *format, &mut *decoder, track.id).map_err(|e| match e {
            Stop::Reason(reason) => reason,
            Stop::Symphonia(e) => damaged(kind, &e),
        })?;
    let found = audio.samples.len() as u64;
    let slack = match container {
        // Some encoders count the frame that holds the tag.
        Container::Mp3 => (malformed + 2) * MP3_FRAME,
        _ => 0,
    };
    match promised(&track, container, bytes) {
        Some(promised) if found + slack < promised => Err(cut_short(promised, found)),
        _ => Ok(audio),
    }
}

fn decoder_for(track: &Track) -> Result<Box<dyn AudioDecoder>, Symphonia> {
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => {
            symphonia::default::get_codecs().make_audio_decoder(params, &Default::default())
        }
        _ => Err(Symphonia::Unsupported("unknown codec")),
    }
}

/// The most samples in a frame of MP3.
const MP3_FRAME: u64 = 1152;

/// The number of samples the header states, for the kinds whose statement is
/// exact: MP3's is an estimate where it has no tag, and MP4's edit lists
/// count in other units.
fn promised(track: &Track, container: Container, bytes: &[u8]) -> Option<u64> {
    use Container::{Aiff, Flac, Mp3, Wav};
    track.num_frames.filter(|_| match container {
        Aiff | Flac | Wav => true,
        Mp3 => has_length_tag(bytes),
        _ => false,
    })
}

/// Whether the first frame of an MP3 is a tag that states the number of frames.
fn has_length_tag(bytes: &[u8]) -> bool {
    let id3 = match bytes {
        // Its length is in four bytes of seven bits each.
        [b'I', b'D', b'3', _, _, _, length @ ..] if length.len() >= 4 => {
            10 + length[..4].iter().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f))
        }
        _ => 0,
    };
    // The tag lies within the first 60 bytes of a frame; before it there may be padding.
    let head = bytes.get(id3..).unwrap_or_default();
    let head = &head[..head.len().min(4096)];
    head.windows(4).any(|window| [b"Xing", b"Info", b"VBRI"].iter().any(|tag| window == *tag))
}

/// Why decoding stopped.
enum Stop {
    Symphonia(Symphonia),
    Reason(String),
}

/// Decodes every packet of one track into mono, and counts those that do not decode.
///
/// Packets that do not decode are left out, as players do: an MP3 cut out of a
/// longer one begins with frames that refer to data before the cut. A stream
/// that is malformed in more than one packet of twenty is refused.
fn read_track(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: u32,
) -> Result<(Audio, u64), Stop> {
    let mut audio = Audio { samples: Vec::new(), rate: 0 };
    let mut interleaved: Vec<f32> = Vec::new();
    let (mut packets, mut malformed) = (0u64, 0u64);
    while let Some(packet) = format.next_packet().map_err(Stop::Symphonia)? {
        if packet.track_id != track {
            continue;
        }
        packets += 1;
        let buffer = match decoder.decode(&packet) {
            Ok(buffer) => buffer,
            Err(Symphonia::DecodeError(_)) => {
                malformed += 1;
                continue;
            }
            Err(e) => return Err(Stop::Symphonia(e)),
        };
        let (rate, channels) = (buffer.spec().rate(), buffer.num_planes());
        if audio.rate != 0 && rate != audio.rate {
            return Err(Stop::Reason(format!(
                "the sample rate changes from {} Hz to {rate} Hz at sample {}; convert the file to \
                 one rate (ffmpeg -i IN OUT.wav)",
                audio.rate,
                audio.samples.len()
            )));
        }
        audio.rate = rate;
        buffer.copy_to_vec_interleaved(&mut interleaved);
        mix_down(&interleaved, channels.max(1), &mut audio.samples);
    }
    if malformed * 20 > packets {
        return Err(Stop::Reason(format!(
            "{malformed} of {packets} packets are malformed; re-copy the file from its source"
        )));
    }
    if audio.samples.is_empty() {
        return Err(Stop::Reason("the file holds 0 samples; re-copy or remove it".into()));
    }
    Ok((audio, malformed))
}

/// What a demuxer or decoder complained of, and what to do.
fn damaged(kind: &str, error: &Symphonia) -> String {
    match error {
        Symphonia::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            format!("this {kind} file ends in the middle of its data; re-copy it from its source")
        }
        other => format!("this {kind} file cannot be decoded ({other}); re-copy or convert it"),
    }
}
