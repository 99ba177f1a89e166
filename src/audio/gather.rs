//! Packets gathered into blocks.

use super::block::{Block, Blocks, FRAMES};
use super::failure::Failure;
use super::note::Note;

/// What gives a recording packet by packet.
pub(super) trait Packets: Send {
    /// Puts the next packet's samples into `packet`, perhaps none; returns false behind the last.
    fn next(&mut self, packet: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure>;
}

/// Packets in blocks of about [`FRAMES`] frames, each of one form.
pub(super) struct Gather<P> {
    packets: P,
    /// The last packet, if it did not fit to the block before.
    packet: Block,
    waits: bool,
    ended: bool,
}

impl<P: Packets> Gather<P> {
    pub fn new(packets: P) -> Self {
        Self { packets, packet: Block::default(), waits: false, ended: false }
    }
}

impl<P: Packets> Blocks for Gather<P> {
    fn read(&mut self, block: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        block.begin(0, 1);
        while block.frames() < FRAMES {
            if !self.waits {
                self.ended = self.ended || !self.packets.next(&mut self.packet, notes)?;
            }
            if self.ended {
                break;
            }
            self.waits = false;
            if self.packet.samples.is_empty() {
                continue;
            }
            if block.samples.is_empty() {
                block.begin(self.packet.rate, self.packet.channels);
            }
            if !block.fits(&self.packet) {
                self.waits = true;
                break;
            }
            block.samples.append(&mut self.packet.samples);
        }
        Ok(!block.samples.is_empty())
    }
}

/// How many packets of a stream were malformed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    /// All of them.
    pub packets: u64,
    /// Those that gave no samples, but for the first ones of a stream: in one that was cut out
    /// of a longer one they refer to data before the cut.
    pub malformed: u64,
    well: bool,
}

impl Health {
    /// Counts a packet.
    pub fn count(&mut self, well: bool) {
        self.well |= well;
        self.packets += 1;
        self.malformed += u64::from(!well && self.well);
    }

    /// Refuses a stream malformed in more than one packet of twenty, or in all; notes it of others.
    pub fn check(&self, notes: &mut Vec<Note>) -> Result<(), Failure> {
        let Self { packets, malformed, well } = *self;
        if packets > 0 && !well {
            return Err(Failure::Malformed { malformed: packets, packets });
        }
        if malformed * 20 > packets {
            return Err(Failure::Malformed { malformed, packets });
        }
        notes.extend((malformed > 0).then_some(Note::Malformed { malformed, packets }));
        Ok(())
    }
}
