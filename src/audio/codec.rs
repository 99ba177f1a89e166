//! Packets to samples.

use opus_pure::{MAX_PACKET_SAMPLES, OpusMSDecoder};
use rusty_aac::AacDecoder;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::packet::{Packet, PacketRef};
use symphonia::core::units::{Duration, Timestamp};

use super::block::Block;
use super::chunks::At;
use super::mpeg::Form;
use crate::panics::{Panicked, caught};

/// A decoder of packets.
pub(super) enum Codec {
    Library(Box<dyn AudioDecoder>),
    Aac(Box<AacDecoder>),
    Opus(Box<Opus>),
}

/// Why a packet gave no samples.
pub(super) enum Undecoded {
    /// It is damaged; the next may be well.
    Malformed,
    /// Nothing here decodes its kind.
    Unsupported(String),
    /// The decoder panicked, and is not to be used again.
    Panicked(Panicked),
}

impl Codec {
    /// The decoder for a track with these parameters.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(params: &AudioCodecParameters) -> Result<Self, String> {
        // Decoders of other crates are given a stranger's headers and packets, and some panic.
        caught(|| Self::made(params)).unwrap_or_else(|panic| Err(format!("panicked: {panic}")))
    }

    fn made(params: &AudioCodecParameters) -> Result<Self, String> {
        let extra = params.extra_data.as_deref();
        match (params.codec, extra) {
            (CODEC_ID_AAC, Some(config)) => {
                let decoder = AacDecoder::with_config_bytes(config).map_err(|e| e.to_string())?;
                Ok(Self::Aac(Box::new(decoder)))
            }
            (CODEC_ID_OPUS, Some(head)) => Ok(Self::Opus(Box::new(Opus::new(head)?))),
            _ => symphonia::default::get_codecs()
                .make_audio_decoder(params, &Default::default())
                .map(Self::Library)
                .map_err(|e| e.to_string()),
        }
    }

    /// The decoder for frames of this form.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of_form(form: Form) -> Result<Self, String> {
        let mut params = AudioCodecParameters::new();
        params.for_codec(match form.layer {
            1 => CODEC_ID_MP1,
            2 => CODEC_ID_MP2,
            3 => CODEC_ID_MP3,
            _ => return Ok(Self::Aac(Box::default())),
        });
        Self::of(&params)
    }

    /// Puts what `packet` holds into `block`.
    ///
    /// # Errors
    /// Why there is nothing; `block` is as it was then.
    pub fn decode(&mut self, packet: &Packet, block: &mut Block) -> Result<(), Undecoded> {
        caught(|| self.decode_packet(packet, block)).map_err(Undecoded::Panicked)?
    }

    fn decode_packet(&mut self, packet: &Packet, block: &mut Block) -> Result<(), Undecoded> {
        match self {
            Self::Library(decoder) => library(decoder.as_mut(), &packet.as_packet_ref(), block),
            Self::Aac(decoder) => aac(decoder, &packet.data, block),
            Self::Opus(decoder) => {
                decoder.decode(&packet.data, block)?;
                let trim = packet.trim_end.get() as usize * block.channels;
                block.samples.truncate(block.samples.len().saturating_sub(trim));
                Ok(())
            }
        }
    }

    /// Puts what the frame `data` of an elementary stream holds into `block`.
    ///
    /// # Errors
    /// As [`Codec::decode`].
    pub fn decode_frame(&mut self, data: &[u8], block: &mut Block) -> Result<(), Undecoded> {
        let decoded = caught(|| match self {
            Self::Library(decoder) => {
                let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, data);
                library(decoder.as_mut(), &packet, block)
            }
            Self::Aac(decoder) => aac(decoder, data, block),
            Self::Opus(decoder) => decoder.decode(data, block),
        });
        decoded.map_err(Undecoded::Panicked)?
    }

    /// Samples of each channel to leave out at the beginning: what an Opus stream says of itself.
    pub fn delay(&self) -> usize {
        match self {
            Self::Opus(decoder) => decoder.pre_skip,
            _ => 0,
        }
    }
}

fn library(
    decoder: &mut dyn AudioDecoder,
    packet: &PacketRef,
    block: &mut Block,
) -> Result<(), Undecoded> {
    let buffer = decoder.decode_ref(packet).map_err(|error| match error {
        Symphonia::Unsupported(what) => Undecoded::Unsupported(what.to_owned()),
        _ => Undecoded::Malformed,
    })?;
    block.begin(buffer.spec().rate(), buffer.num_planes());
    buffer.copy_to_vec_interleaved(&mut block.samples);
    Ok(())
}

fn aac(decoder: &mut AacDecoder, data: &[u8], block: &mut Block) -> Result<(), Undecoded> {
    let decoded = decoder.decode(data, None).map_err(|error| match error {
        rusty_aac::Error::Unsupported(what) => Undecoded::Unsupported(what.to_string()),
        _ => Undecoded::Malformed,
    })?;
    block.begin(decoded.sample_rate, decoded.channels.into());
    block.samples = decoded.samples;
    Ok(())
}

/// Opus, which is always decoded at 48 kHz.
pub(super) struct Opus {
    decoder: OpusMSDecoder,
    channels: usize,
    pre_skip: usize,
    gain: f32,
}

impl Opus {
    const RATE: u32 = 48_000;

    /// The decoder of a stream with this identification header (RFC 7845, section 5.1), in whose
    /// form in MP4, version 0, numbers begin with the highest byte.
    fn new(head: &[u8]) -> Result<Self, String> {
        let bytes = At(head);
        let fields = || {
            let (channels, family) = (*head.get(9)?, *head.get(18)?);
            let (pre_skip, gain) = match head[8] {
                0 => (bytes.be16(10)?, bytes.be16(16)?),
                _ => (bytes.le16(10)?, bytes.le16(16)?),
            };
            Some((usize::from(channels), family, usize::from(pre_skip), gain.cast_signed()))
        };
        let (channels, family, pre_skip, gain) = fields().ok_or("its header is cut short")?;
        let decoder = OpusMSDecoder::new(Self::RATE.cast_signed(), channels, family)
            .map_err(|e| e.to_string())?;
        // In decibels, eight bits behind the point.
        let gain = 10f32.powf(f32::from(gain) / (20.0 * 256.0));
        Ok(Self { decoder, channels, pre_skip, gain })
    }

    fn decode(&mut self, packet: &[u8], block: &mut Block) -> Result<(), Undecoded> {
        let mut samples = std::mem::take(&mut block.samples);
        samples.resize(MAX_PACKET_SAMPLES * self.channels, 0.0);
        let frames = self
            .decoder
            .decode(packet, MAX_PACKET_SAMPLES, &mut samples)
            .map_err(|_| Undecoded::Malformed)?;
        samples.truncate(frames * self.channels);
        if self.gain != 1.0 {
            samples.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        (block.rate, block.channels, block.samples) = (Self::RATE, self.channels, samples);
        Ok(())
    }
}
