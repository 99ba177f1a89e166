//! The 57 hand-made descriptors of the GTZAN feature tables: means and variances of
//! chroma, loudness, spectral shape, harmonic and percussive parts and MFCCs, and the tempo.
//!
//! Definitions are librosa's (McFee et al., "librosa: Audio and music signal analysis in
//! Python", SciPy 2015), at 22,050 Hz with frames of 2048 samples every 512. The tables
//! were made with a version before 0.10, which mirrors the signal at its ends.

mod cepstrum;
mod chroma;
mod describe;
mod frames;
mod hpss;
mod median;
mod spectral;
mod stft;
mod tempo;
mod waveform;

#[doc(hidden)]
pub use describe::COUNT;
pub use describe::{Descriptors, names};
#[doc(hidden)]
pub use frames::{MIN_SAMPLES, RATE};
