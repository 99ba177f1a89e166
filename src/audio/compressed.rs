//! Everything that is not plain WAV, through `symphonia`.

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
    let audio = read_track(&mut *format, &mut *decoder, track.id).map_err(|e| match e {
        Stop::Reason(reason) => reason,
        Stop::Symphonia(e) => damaged(kind, &e),
    })?;
    let found = audio.samples.len() as u64;
    match promised(&track, container) {
        Some(promised) if found < promised => Err(cut_short(promised, found)),
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

/// The number of samples the header states, for the kinds whose statement is
/// exact: MP3's is an estimate where it has no Xing tag, and MP4's edit lists
/// count in other units.
fn promised(track: &Track, container: Container) -> Option<u64> {
    use Container::{Aiff, Flac, Wav};
    track.num_frames.filter(|_| matches!(container, Aiff | Flac | Wav))
}

/// Why decoding stopped.
enum Stop {
    Symphonia(Symphonia),
    Reason(String),
}

/// Decodes every packet of one track into mono.
///
/// Packets that do not decode are left out, as players do: an MP3 cut out of a
/// longer one begins with frames that refer to data before the cut. A stream
/// that is malformed in more than one packet of twenty is refused.
fn read_track(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: u32,
) -> Result<Audio, Stop> {
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
    Ok(audio)
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
