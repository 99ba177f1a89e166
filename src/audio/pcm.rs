//! Samples that are stored as they are: PCM, floats and the two telephone laws.

use std::io::{self, Read};

use super::block::{Block, Blocks, FRAMES};
use super::failure::Failure;
use super::note::Note;

/// Bytes that are read at a time, at most: a header that claims many channels costs no more.
const MOST: usize = 1 << 20;

/// How a sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// One byte, 128 in the middle.
    Unsigned,
    /// An integer of this many bytes, 1 to 4.
    Signed(usize, Order),
    /// A float of 4 or 8 bytes.
    Float(usize, Order),
    /// G.711.
    MuLaw,
    /// G.711.
    ALaw,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Encoding {
    /// Bytes that a sample takes.
    fn size(self) -> usize {
        match self {
            Self::Unsigned | Self::MuLaw | Self::ALaw => 1,
            Self::Signed(size, _) | Self::Float(size, _) => size,
        }
    }

    /// Integers of `bits`, in whole bytes, where there are such.
    pub fn signed(bits: u32, order: Order) -> Option<Self> {
        matches!(bits, 1..=32).then(|| Self::Signed(bits.div_ceil(8) as usize, order))
    }

    /// Appends the samples that `bytes` hold, integers divided by 2^(bits-1).
    fn decode(self, bytes: &[u8], samples: &mut Vec<f32>) {
        use Order::{Big, Little};
        match self {
            Self::Unsigned => {
                samples.extend(bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0));
            }
            Self::Signed(1, _) => {
                samples.extend(bytes.iter().map(|byte| f32::from(byte.cast_signed()) / 128.0));
            }
            Self::Signed(2, Little) => each(bytes, samples, |b| int16(i16::from_le_bytes(b))),
            Self::Signed(2, Big) => each(bytes, samples, |b| int16(i16::from_be_bytes(b))),
            Self::Signed(3, Little) => each(bytes, samples, |[a, b, c]| int32([0, a, b, c])),
            Self::Signed(3, Big) => each(bytes, samples, |[a, b, c]| int32([0, c, b, a])),
            Self::Signed(_, Little) => each(bytes, samples, int32),
            Self::Signed(_, Big) => each(bytes, samples, |[a, b, c, d]| int32([d, c, b, a])),
            Self::Float(4, Little) => each(bytes, samples, f32::from_le_bytes),
            Self::Float(4, Big) => each(bytes, samples, f32::from_be_bytes),
            Self::Float(_, Little) => each(bytes, samples, |b| f64::from_le_bytes(b) as f32),
            Self::Float(_, Big) => each(bytes, samples, |b| f64::from_be_bytes(b) as f32),
            Self::MuLaw => samples.extend(bytes.iter().map(|byte| mu_law(*byte))),
            Self::ALaw => samples.extend(bytes.iter().map(|byte| a_law(*byte))),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], samples: &mut Vec<f32>, one: impl Fn([u8; N]) -> f32) {
    samples.extend(bytes.as_chunks().0.iter().map(|bytes| one(*bytes)));
}

fn int16(value: i16) -> f32 {
    f32::from(value) / 32_768.0
}

fn int32(little: [u8; 4]) -> f32 {
    i32::from_le_bytes(little) as f32 / 2_147_483_648.0
}

/// ITU-T G.711, table 2.
fn mu_law(byte: u8) -> f32 {
    let bits = !byte;
    let exponent = (bits >> 4) & 7;
    let magnitude = (((i32::from(bits & 15) << 3) + 0x84) << exponent) - 0x84;
    (if bits & 0x80 == 0 { magnitude } else { -magnitude }) as f32 / 32_768.0
}

/// ITU-T G.711, table 1.
fn a_law(byte: u8) -> f32 {
    let bits = byte ^ 0x55;
    let (exponent, mantissa) = ((bits >> 4) & 7, i32::from(bits & 15) << 4);
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    (if bits & 0x80 != 0 { magnitude } else { -magnitude }) as f32 / 32_768.0
}

/// What a header says of the samples behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    /// Samples per second.
    pub rate: u32,
    /// Channels.
    pub channels: usize,
    /// How a sample is stored.
    pub encoding: Encoding,
    /// Where in the file the first one stands.
    pub start: u64,
    /// Bytes of samples, where the header knows it: else they go on to the end of the file.
    pub bytes: Option<u64>,
}

/// Samples that are stored as they are, being read.
pub(super) struct Pcm<R> {
    layout: Layout,
    source: R,
    found: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Send> Pcm<R> {
    /// Reads `source`, which stands at the first sample.
    pub fn new(source: R, layout: Layout) -> Result<Self, Failure> {
        if layout.channels == 0 {
            return Err(Failure::NoChannels);
        }
        Ok(Self { layout, source, found: 0, bytes: vec![] })
    }

    /// What is missing at the end, if the header says how much there should be.
    fn check_end(&self, frame: usize) -> Option<Note> {
        let promised = self.layout.bytes.filter(|promised| self.found < *promised)?;
        let seconds = |bytes: u64| (bytes / frame as u64) as f64 / f64::from(self.layout.rate);
        let found = seconds(self.found);
        Some(Note::CutShort { found, lost: Some(seconds(promised) - found) })
            .filter(|_| promised - self.found >= frame as u64)
    }
}

impl<R: Read + Send> Blocks for Pcm<R> {
    fn read(&mut self, block: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        let Layout { rate, channels, encoding, bytes: promised, .. } = self.layout;
        block.begin(rate, channels);
        let frame = channels * encoding.size();
        let wanted = (frame * FRAMES.min(MOST / frame).max(1)) as u64;
        let wanted = wanted.min(promised.map_or(u64::MAX, |promised| promised - self.found));
        self.bytes.clear();
        self.source.by_ref().take(wanted).read_to_end(&mut self.bytes)?;
        self.found += self.bytes.len() as u64;
        let whole = self.bytes.len() / frame * frame;
        encoding.decode(&self.bytes[..whole], &mut block.samples);
        if whole == 0 {
            notes.extend(self.check_end(frame));
        }
        Ok(whole > 0)
    }
}

/// `source` at the first sample of `layout`.
pub(super) fn at_samples<S: io::Seek>(mut source: S, layout: Layout) -> io::Result<S> {
    source.seek(io::SeekFrom::Start(layout.start))?;
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<f32> {
        let mut samples = vec![];
        encoding.decode(bytes, &mut samples);
        samples
    }

    #[test]
    fn every_encoding_and_order_gives_the_same_half() {
        use Encoding::{Float, Signed, Unsigned};
        for (encoding, bytes) in [
            (Unsigned, &[192][..]),
            (Signed(1, Order::Big), &[64]),
            (Signed(2, Order::Little), &[0, 64]),
            (Signed(2, Order::Big), &[64, 0]),
            (Signed(3, Order::Little), &[0, 0, 64]),
            (Signed(3, Order::Big), &[64, 0, 0]),
            (Signed(4, Order::Little), &[0, 0, 0, 64]),
            (Signed(4, Order::Big), &[64, 0, 0, 0]),
            (Float(4, Order::Little), &0.5f32.to_le_bytes()),
            (Float(4, Order::Big), &0.5f32.to_be_bytes()),
            (Float(8, Order::Little), &0.5f64.to_le_bytes()),
            (Float(8, Order::Big), &0.5f64.to_be_bytes()),
        ] {
            assert_eq!(decode(encoding, bytes), [0.5], "{encoding:?}");
        }
    }

    #[test]
    fn the_telephone_laws_are_those_of_g_711() {
        let scaled = |samples: Vec<f32>| samples.iter().map(|x| x * 32_768.0).collect::<Vec<_>>();
        // The extremes, and the two zeros of the mu law.
        assert_eq!(
            scaled(decode(Encoding::MuLaw, &[0x00, 0x80, 0xff, 0x7f])),
            [-32_124.0, 32_124.0, 0.0, 0.0]
        );
        assert_eq!(
            scaled(decode(Encoding::ALaw, &[0x2a, 0xaa, 0x55, 0xd5])),
            [-32_256.0, 32_256.0, -8.0, 8.0]
        );
    }

    #[test]
    fn a_header_of_many_channels_costs_little() {
        let layout = Layout {
            rate: 44_100,
            channels: 65_535,
            encoding: Encoding::Float(8, Order::Little),
            start: 0,
            bytes: None,
        };
        let mut pcm = Pcm::new(io::repeat(0), layout).unwrap();
        let mut block = Block::default();
        assert!(pcm.read(&mut block, &mut vec![]).unwrap());
        assert!(pcm.bytes.capacity() <= 2 * MOST);
    }
}
