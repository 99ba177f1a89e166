//! Audio files to mono samples.
//!
//! [`Audio::open`] takes WAV (RF64, BW64, W64), MP3 (MP2, MP1), FLAC, Ogg (Vorbis, Opus, FLAC),
//! MP4/M4A (AAC, HE-AAC, ALAC, Opus), Matroska and WebM, ADTS, AIFF, AU and CAF; what a file is,
//! its content decides and never its name. Samples that are stored as they are and streams of
//! frames are read here, other containers by `symphonia`; AAC is decoded by `rusty_aac`, Opus by
//! `opus-pure`, all else by `symphonia`, and what none of them decodes by the program `ffmpeg`,
//! if there is one.
//!
//! A recording is as long as what can be decoded: what headers say of its length is a hint. What
//! is odd about it, such as an end that is missing, comes with it as [`Note`]s.

mod block;
mod chunks;
mod codec;
mod container;
mod decoder;
mod elementary;
mod failure;
mod ffmpeg;
mod gather;
mod headers;
mod library;
mod matroska;
mod mix;
mod mp4;
mod mpeg;
mod note;
mod ogg;
mod open;
mod pcm;
mod rate;
mod recording;
mod resample;
mod window;

#[doc(hidden)]
pub use container::{Container, sniff};
pub use container::{EXTENSIONS, is_recording};
pub use decoder::Decoder;
pub use note::Note;
pub use rate::{MAX_RATE, MIN_RATE};
pub use recording::{Audio, Level};
pub use resample::Resampler;
