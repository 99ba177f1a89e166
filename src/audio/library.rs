//! Containers that `symphonia` takes apart: FLAC, Ogg, MP4, Matroska, CAF, and WAV of other codecs.

use std::io::ErrorKind;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::{FormatReader, Track, TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::packet::Packet;

use super::block::{Block, ByteSource};
use super::codec::{Codec, Undecoded};
use super::container::Container;
use super::failure::Failure;
use super::gather::{Health, Packets};
use super::mp4::Edits;
use super::note::Note;
use crate::panics::caught;

/// The first audio track of a file, being decoded.
///
/// A malformed packet becomes as much silence as the one before it held samples.
pub(super) struct Library<'a> {
    container: Container,
    format: Box<dyn FormatReader + 'a>,
    decoder: Codec,
    track: u32,
    /// How many samples the header states, and per second of what rate.
    promised: Option<(u64, f64)>,
    edits: Option<Edits>,
    /// Samples of the codec's delay that are still to come.
    delay: usize,
    health: Health,
    ends: Ends,
    /// The last packet, where there is padding.
    held: Option<Block>,
    /// When the next packet of an Ogg should begin, in its samples.
    due: Option<i64>,
    /// Frames decoded, and how many of them the last packet held.
    decoded: u64,
    last: usize,
    seconds: f64,
}

/// Seconds between two packets that are no matter of rounding.
const GAP: f64 = 0.1;

/// How a file ends, where its demuxer does not say so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Seconds at the end that are none of the recording.
    pub padding: f64,
    /// Whether the file is as long as it says.
    pub whole: bool,
}

/// What of a track is needed to decode it.
struct Chosen {
    track: u32,
    decoder: Codec,
    promised: Option<(u64, f64)>,
}

impl<'a> Library<'a> {
    /// Reads the headers of `source`; `edits` are those of a track of an MP4.
    ///
    /// # Errors
    /// [`Failure::Undecodable`], [`Failure::NoTrack`] and [`Failure::Codec`].
    pub fn new(
        source: ByteSource<'a>,
        container: Container,
        ends: Ends,
        edits: impl FnOnce(u32) -> Option<Edits>,
    ) -> Result<Self, Failure> {
        let stream = MediaSourceStream::new(source, Default::default());
        let probe = || {
            let (hint, options) = (Hint::new(), Default::default());
            symphonia::default::get_probe().probe(&hint, stream, options, Default::default())
        };
        let format = caught(probe)
            .map_err(|source| Failure::Panicked { kind: container.name(), source })?
            .map_err(|e| damaged(container, e))?;
        let Chosen { track, decoder, promised } = choose(format.as_ref(), container)?;
        let edits = edits(track);
        // An edit list counts from before the delay.
        let delay = if edits.is_some() { 0 } else { decoder.delay() };
        Ok(Self {
            container,
            format,
            decoder,
            track,
            promised,
            edits,
            delay,
            health: Health::default(),
            ends,
            held: None,
            due: None,
            decoded: 0,
            last: 0,
            seconds: 0.0,
        })
    }

    /// The next packet, of whatever track; none at the end, wherever that is.
    fn packet(&mut self, notes: &mut Vec<Note>) -> Result<Option<Packet>, Failure> {
        let found = self.seconds;
        let mut next = self.next_packet()?;
        // Another stream follows in the same file, with a header of its own.
        while let Err(Symphonia::ResetRequired) = next {
            let Chosen { track, decoder, .. } = choose(self.format.as_ref(), self.container)?;
            self.delay = decoder.delay();
            (self.track, self.decoder, self.promised, self.due) = (track, decoder, None, None);
            next = self.next_packet()?;
        }
        match next {
            Ok(packet) => Ok(packet),
            Err(error) if self.decoded == 0 => Err(damaged(self.container, error)),
            Err(Symphonia::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                // What is missing is noted with its length where there is a length.
                self.ends.whole &= self.promised.is_some();
                Ok(None)
            }
            Err(error) => {
                notes.push(Note::Stops { found, reason: error.to_string() });
                Ok(None)
            }
        }
    }

    /// What the demuxer gives next.
    fn next_packet(&mut self) -> Result<Result<Option<Packet>, Symphonia>, Failure> {
        let kind = self.container.name();
        caught(|| self.format.next_packet()).map_err(|source| Failure::Panicked { kind, source })
    }

    fn decode(&mut self, packet: &Packet, block: &mut Block) -> Result<(), Failure> {
        let decoded = self.decoder.decode(packet, block);
        self.health.count(decoded.is_ok());
        match decoded {
            Ok(()) => self.last = block.frames(),
            Err(Undecoded::Unsupported(reason)) => {
                return Err(Failure::Codec { kind: self.container.name(), reason });
            }
            Err(Undecoded::Panicked(source)) => {
                return Err(Failure::Panicked { kind: self.container.name(), source });
            }
            Err(Undecoded::Malformed) if self.last > 0 => {
                let (rate, channels) = (block.rate, block.channels);
                block.begin(rate, channels);
                block.samples.resize(self.last * block.channels, 0.0);
            }
            Err(Undecoded::Malformed) => block.begin(1, 1),
        }
        let first = self.decoded;
        self.decoded += block.frames() as u64;
        self.seconds += block.frames() as f64 / f64::from(block.rate.max(1));
        let delay = self.delay.min(block.frames());
        self.delay -= delay;
        block.samples.drain(..delay * block.channels);
        if let Some(edits) = &mut self.edits {
            edits.apply(block, first);
        }
        Ok(())
    }

    /// Notes what is missing in front of `packet`, where pages of an Ogg are lost.
    fn check_gap(&mut self, packet: &Packet, rate: u32, notes: &mut Vec<Note>) {
        if self.container != Container::Ogg {
            return;
        }
        let begins = packet.pts.get();
        let lost = self.due.map_or(0, |due| begins.saturating_sub(due));
        let gap = lost as f64 / f64::from(rate.max(1));
        if gap > GAP {
            notes.push(Note::Gap { seconds: gap, at: self.seconds });
        }
        self.due = begins.checked_add_unsigned(packet.block_dur().get());
    }

    /// What the whole file must be, once it has been read.
    fn check_end(&self, rate: u32, notes: &mut Vec<Note>) -> Result<(), Failure> {
        self.health.check(notes)?;
        let lost = self.promised.map_or(0.0, |(count, per_second)| {
            count as f64 / per_second - self.decoded as f64 / f64::from(rate.max(1))
        });
        // An MP4 counts its packets' samples, of which the first may give none.
        let slack = if self.container == Container::Mp4 { 0.1 } else { 0.0 };
        if lost > slack {
            notes.push(Note::CutShort { found: self.seconds, lost: Some(lost) });
        }
        let told = notes.iter().any(Note::is_damage);
        if !self.ends.whole && !told {
            notes.push(Note::CutShort { found: self.seconds, lost: None });
        }
        let left_out = self.edits.as_ref().map_or(0.0, |edits| edits.left_out(rate));
        notes.extend((left_out > 0.5).then_some(Note::LeftOut { seconds: left_out }));
        Ok(())
    }
}

impl Library<'_> {
    /// The next packet of the track; the block is left as it is behind the last.
    fn step(&mut self, packet: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        loop {
            let Some(next) = self.packet(notes)? else {
                self.check_end(packet.rate, notes)?;
                return Ok(false);
            };
            if next.track_id == self.track {
                self.check_gap(&next, packet.rate, notes);
                self.decode(&next, packet)?;
                return Ok(true);
            }
        }
    }
}

impl Packets for Library<'_> {
    fn next(&mut self, packet: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        if self.ends.padding == 0.0 {
            return self.step(packet, notes);
        }
        if self.step(packet, notes)? {
            // The first one is held back, and an empty one given in its place.
            let before = self.held.replace(std::mem::take(packet)).unwrap_or_default();
            packet.begin(before.rate.max(1), before.channels);
            packet.samples = before.samples;
            return Ok(true);
        }
        let Some(last) = self.held.take() else { return Ok(false) };
        *packet = last;
        let padding = (self.ends.padding * f64::from(packet.rate)).round() as usize;
        packet.samples.truncate(packet.frames().saturating_sub(padding) * packet.channels);
        Ok(true)
    }
}

/// The first audio track that can be decoded.
fn choose(format: &dyn FormatReader, container: Container) -> Result<Chosen, Failure> {
    let kind = container.name();
    let params = |track: &'_ symphonia::core::formats::Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some(params.clone()),
        _ => None,
    };
    let is_audio = |track: &&Track| track.track_type() == Some(TrackType::Audio);
    let mut refused = Failure::NoTrack { kind };
    for track in format.tracks().iter().filter(is_audio) {
        let codec = params(track).ok_or("unknown codec".to_owned());
        match codec.and_then(|params| Ok((Codec::of(&params)?, params))) {
            Ok((decoder, params)) => {
                let promised = promised(track, &params, container);
                return Ok(Chosen { track: track.id, decoder, promised });
            }
            Err(reason) => refused = Failure::Codec { kind, reason },
        }
    }
    Err(refused)
}

/// The number of samples the header states, for the kinds whose statement is exact, and the
/// rate in which it counts them.
fn promised(
    track: &Track,
    params: &AudioCodecParameters,
    container: Container,
) -> Option<(u64, f64)> {
    match container {
        Container::Flac | Container::Wav => Some((track.num_frames?, params.sample_rate?.into())),
        Container::Mp4 => {
            let base = track.time_base?;
            let per_second = f64::from(base.denom.get()) / f64::from(base.numer.get());
            Some((track.duration?.get(), per_second))
        }
        _ => None,
    }
}

/// What a demuxer complained of.
fn damaged(container: Container, error: Symphonia) -> Failure {
    let kind = container.name();
    match error {
        Symphonia::IoError(ref e) if e.kind() == ErrorKind::UnexpectedEof => {
            Failure::EndsEarly { kind, source: error }
        }
        source => Failure::Undecodable { kind, source },
    }
}
