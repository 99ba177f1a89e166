//! Why the contents of an audio file are refused.

use std::io;

use super::rate::ImplausibleRate;

/// What is wrong with a file, and what to do about it. Its text comes after the file's name,
/// which [`Error::Audio`](crate::Error::Audio) adds.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file is empty (0 bytes); re-copy or remove it")]
    Empty,
    #[error(
        "not an audio file: it begins with \"{}\", which is none of WAV, MP3, FLAC, Ogg, MP4/M4A, \
         ADTS, AIFF or CAF; re-copy it, or convert it (ffmpeg -i IN OUT.wav)",
        .head.escape_ascii()
    )]
    NotAudio { head: Vec<u8> },
    #[error("the file holds 0 samples; re-copy or remove it")]
    NoSamples,
    #[error(transparent)]
    Rate(#[from] ImplausibleRate),
    #[error(
        "cut short: the header promises {promised} samples, the file holds {found}; re-copy the \
         file from its source"
    )]
    CutShort { promised: u64, found: u64 },
    #[error("sample {at} ({seconds:.3} s) is {value:?}; export the recording again or remove it")]
    WildSample { at: u64, seconds: f64, value: f32 },
    // These two are of WAV files that `symphonia` may still read.
    #[error(transparent)]
    Hound(#[from] hound::Error),
    #[error("{0} bits per sample")]
    BitsPerSample(u16),
    #[error("{symphonia} (the plain WAV reader: {hound})")]
    NeitherReader {
        #[source]
        symphonia: Box<Failure>,
        hound: Box<Failure>,
    },
    #[error("this {kind} file holds no audio track; remove it")]
    NoTrack { kind: &'static str },
    #[error(
        "this {kind} file's codec cannot be decoded ({source}); convert it (ffmpeg -i IN OUT.wav)"
    )]
    Codec { kind: &'static str, source: symphonia::core::errors::Error },
    #[error("this {kind} file ends in the middle of its data; re-copy it from its source")]
    EndsEarly { kind: &'static str, source: symphonia::core::errors::Error },
    #[error("this {kind} file cannot be decoded ({source}); re-copy or convert it")]
    Undecodable { kind: &'static str, source: symphonia::core::errors::Error },
    #[error(
        "the sample rate changes from {from} Hz to {to} Hz at sample {at}; convert the file to one \
         rate (ffmpeg -i IN OUT.wav)"
    )]
    RateChanges { from: u32, to: u32, at: u64 },
    #[error("{malformed} of {packets} packets are malformed; re-copy the file from its source")]
    Malformed { malformed: u64, packets: u64 },
}
