//! Everything that is not plain WAV, through `symphonia`.
//!
//! What is cut short is refused where the file says how long it should be: FLAC, AIFF and
//! MP4 do, Ogg marks its last page, and most encoders of MP3 leave a tag with the number of
//! frames (Xing, Info or VBRI). An MP3 without one, and ADTS cut exactly between two
//! frames, are whole files as far as anyone can tell.

use std::io::ErrorKind;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::{FormatReader, Track, TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;

use super::blocks::{BLOCK, Blocks, ByteSource};
use super::container::Container;
use super::failure::Failure;

/// The first audio track of a file, being decoded.
///
/// Packets that do not decode are left out, as players do: an MP3 cut out of a
/// longer one begins with frames that refer to data before the cut. A stream
/// that is malformed in more than one packet of twenty is refused.
pub(super) struct Compressed<'a> {
    container: Container,
    format: Box<dyn FormatReader + 'a>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// The number of samples the header states, where its statement is exact.
    promised: Option<u64>,
    /// Whether it is a WAV written into a pipe, whose header could not say how long it would
    /// be: it ends where its bytes do.
    streamed: bool,
    rate: u32,
    found: u64,
    packets: u64,
    malformed: u64,
    interleaved: Vec<f32>,
}

impl<'a> Compressed<'a> {
    /// Reads the headers of `source`; `tagged` says whether an MP3 states its length.
    pub(super) fn new(
        source: ByteSource<'a>,
        container: Container,
        tagged: bool,
    ) -> Result<Self, Failure> {
        let kind = container.name();
        let stream = MediaSourceStream::new(source, Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, Default::default(), Default::default())
            .map_err(|e| damaged(kind, e))?;
        let track =
            format.default_track(TrackType::Audio).ok_or(Failure::NoTrack { kind })?.clone();
        let decoder = decoder_for(&track).map_err(|source| Failure::Codec { kind, source })?;
        Ok(Self {
            container,
            format,
            decoder,
            track: track.id,
            promised: promised(&track, container, tagged),
            streamed: container == Container::Wav && track.num_frames.is_none(),
            rate: 0,
            found: 0,
            packets: 0,
            malformed: 0,
            interleaved: vec![],
        })
    }

    /// The next packet's samples, mixed down; false if there are no more packets.
    fn read_packet(&mut self, samples: &mut Vec<f32>) -> Result<bool, Failure> {
        let kind = self.container.name();
        let packet = match self.format.next_packet() {
            Err(Symphonia::IoError(e)) if self.streamed && e.kind() == UNEXPECTED => None,
            packet => packet.map_err(|e| damaged(kind, e))?,
        };
        let Some(packet) = packet else { return Ok(false) };
        if packet.track_id != self.track {
            return Ok(true);
        }
        self.packets += 1;
        let buffer = match self.decoder.decode(&packet) {
            Ok(buffer) => buffer,
            Err(Symphonia::DecodeError(_)) => {
                self.malformed += 1;
                return Ok(true);
            }
            Err(e) => return Err(damaged(kind, e)),
        };
        let (rate, channels) = (buffer.spec().rate(), buffer.num_planes());
        if self.rate != 0 && rate != self.rate {
            return Err(Failure::RateChanges { from: self.rate, to: rate, at: self.found });
        }
        self.rate = rate;
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        let before = samples.len();
        mix_down(&self.interleaved, channels.max(1), samples);
        self.found += (samples.len() - before) as u64;
        Ok(true)
    }

    /// What the whole file must be, once it has been read.
    fn check_end(&self) -> Result<(), Failure> {
        let Self { malformed, packets, found, .. } = *self;
        if malformed * 20 > packets {
            return Err(Failure::Malformed { malformed, packets });
        }
        if found == 0 {
            return Err(Failure::NoSamples);
        }
        let slack = match self.container {
            // Some encoders count the frame that holds the tag.
            Container::Mp3 => (malformed + 2) * MP3_FRAME,
            _ => 0,
        };
        match self.promised {
            Some(promised) if found + slack < promised => {
                Err(Failure::CutShort { promised, found })
            }
            _ => Ok(()),
        }
    }
}

impl Blocks for Compressed<'_> {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool, Failure> {
        let before = samples.len();
        while samples.len() - before < BLOCK {
            if !self.read_packet(samples)? {
                self.check_end()?;
                break;
            }
        }
        Ok(samples.len() > before)
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

const UNEXPECTED: ErrorKind = ErrorKind::UnexpectedEof;

/// The most samples in a frame of MP3.
const MP3_FRAME: u64 = 1152;

/// The number of samples the header states, for the kinds whose statement is
/// exact: MP3's is an estimate where it has no tag, and MP4's edit lists
/// count in other units.
fn promised(track: &Track, container: Container, tagged: bool) -> Option<u64> {
    use Container::{Aiff, Flac, Mp3, Wav};
    track.num_frames.filter(|_| match container {
        Aiff | Flac | Wav => true,
        Mp3 => tagged,
        _ => false,
    })
}

/// What a demuxer or decoder complained of.
fn damaged(kind: &'static str, source: Symphonia) -> Failure {
    match source {
        Symphonia::IoError(ref e) if e.kind() == UNEXPECTED => Failure::EndsEarly { kind, source },
        source => Failure::Undecodable { kind, source },
    }
}

/// Appends the mean of every frame of `channels` interleaved samples to `mono`.
fn mix_down(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    if channels == 1 {
        mono.extend_from_slice(interleaved);
    } else {
        let share = 1.0 / channels as f32;
        mono.extend(interleaved.chunks_exact(channels).map(|x| x.iter().sum::<f32>() * share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_averaged() {
        let mut mono = vec![9.0];
        mix_down(&[0.5, -0.5, 1.0, 0.0], 2, &mut mono);
        assert_eq!(mono, [9.0, 0.0, 0.5]);
    }
}
