//! Audio files to mono samples.
//!
//! [`Audio::open`] takes WAV, MP3, FLAC, Ogg Vorbis, MP4/M4A (AAC, ALAC), ADTS,
//! AIFF and CAF; what a file is, its content decides and never its name. PCM in
//! WAV is read by `hound`, everything else by `symphonia`.
//!
//! A recording either comes back whole and finite or not at all: a file that
//! holds fewer samples than it promises is an error, because a model trained on
//! half-copied files learns where the copy stopped.

mod blocks;
mod compressed;
mod container;
mod decoder;
mod failure;
mod rate;
mod recording;
mod resample;
mod wav;

pub use container::EXTENSIONS;
#[doc(hidden)]
pub use container::{Container, sniff};
pub use decoder::Decoder;
pub use rate::{MAX_RATE, MIN_RATE};
pub use recording::Audio;
pub use resample::Resampler;
