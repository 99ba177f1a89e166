//! What a decoder of one kind of file takes and gives.

use symphonia::core::io::MediaSource;

use super::failure::Failure;

/// Frames in a block, about: packets stay whole.
pub(super) const BLOCK: usize = 1 << 15;

/// The bytes of an audio file.
pub(super) type ByteSource<'a> = Box<dyn MediaSource + 'a>;

/// What reads one kind of file.
pub(super) trait Blocks: Send {
    /// Samples per second.
    fn rate(&self) -> u32;

    /// Appends the next block of mono samples, or returns false at the end of a file that
    /// holds as much as it promised.
    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool, Failure>;
}
