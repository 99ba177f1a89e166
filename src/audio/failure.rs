//! Why the contents of an audio file are refused.

use std::io;

use super::rate::ImplausibleRate;
use crate::panics::Panicked;

/// What is wrong with a file, and what to do about it. Its text comes after the file's name,
/// which [`Error::Audio`](crate::Error::Audio) adds.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file is empty (0 bytes); re-copy or remove it")]
    Empty,
    #[error(
        "not an audio file: it is {what}, perhaps what came in place of a download; re-copy or \
         remove it"
    )]
    Page { what: &'static str },
    #[error(
        "not an audio file: it begins with \"{}\", which is none of WAV, MP3, FLAC, Ogg, MP4/M4A, \
         Matroska/WebM, ADTS, AIFF, AU, W64 or CAF; re-copy it, or convert it (ffmpeg -i IN \
         OUT.wav)",
        .head.escape_ascii()
    )]
    NotAudio { head: Vec<u8> },
    #[error(
        "this is {kind}, which is read through ffmpeg only, and there is no ffmpeg on the PATH; \
         install it, or convert the file (ffmpeg -i IN OUT.wav)"
    )]
    Foreign { kind: &'static str },
    #[error("ffmpeg cannot decode it: {said}; re-copy or remove it")]
    Ffmpeg { said: String },
    #[error("the file holds 0 samples; re-copy or remove it")]
    NoSamples,
    #[error("the header says 0 channels; re-copy or remove the file")]
    NoChannels,
    #[error(transparent)]
    Rate(#[from] ImplausibleRate),
    #[error("{0} (‹strict›); leave out ‹strict› to use what is there")]
    Damaged(super::note::Note),
    #[error("sample {at} ({seconds:.3} s) is {value:?}; export the recording again or remove it")]
    WildSample { at: u64, seconds: f64, value: f32 },
    #[error("this {kind} file's header is damaged or cut short; re-copy it from its source")]
    Header { kind: &'static str },
    #[error("this {kind} file holds no audio track; remove it")]
    NoTrack { kind: &'static str },
    #[error(
        "this {kind} file's codec cannot be decoded ({reason}), and there is no ffmpeg on the \
         PATH to do it; install it, or convert the file (ffmpeg -i IN OUT.wav)"
    )]
    Codec { kind: &'static str, reason: String },
    #[error("this {kind} file ends in the middle of its data; re-copy it from its source")]
    EndsEarly { kind: &'static str, source: symphonia::core::errors::Error },
    #[error("this {kind} file cannot be decoded ({source}); re-copy or convert it")]
    Undecodable { kind: &'static str, source: symphonia::core::errors::Error },
    #[error("the decoder of {kind} files panicked over it ({source}); re-copy or convert it")]
    Panicked { kind: &'static str, source: Panicked },
    #[error("resampling: {0}")]
    Resampling(Box<crate::error::Error>),
    #[error("{malformed} of {packets} packets are malformed; re-copy the file from its source")]
    Malformed { malformed: u64, packets: u64 },
}

impl Failure {
    /// Whether another decoder may read what was refused so.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::Codec { .. })
    }
}
