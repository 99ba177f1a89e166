//! The 57 hand-made descriptors of the GTZAN feature tables: means and variances of
//! chroma, loudness, spectral shape, harmonic and percussive parts and MFCCs, and the tempo.
//!
//! Definitions are librosa's (McFee et al., "librosa: Audio and music signal analysis in
//! Python", SciPy 2015), at 22,050 Hz with frames of 2048 samples every 512.

/// Samples per second that the definitions are for, in Hz.
pub const RATE: u32 = 22_050;

/// Number of descriptors.
pub const COUNT: usize = 57;

/// Descriptors that have a mean and a variance, in the order of the table, before the tempo.
const BEFORE_TEMPO: [&str; 8] = [
    "chroma_stft",
    "rms",
    "spectral_centroid",
    "spectral_bandwidth",
    "rolloff",
    "zero_crossing_rate",
    "harmony",
    "perceptr",
];

/// Mel-frequency cepstral coefficients.
const MFCCS: usize = 20;

/// The descriptors' names, the columns of the Kaggle table, in its order.
#[must_use]
pub fn names() -> Vec<String> {
    let pair = |name: &str| [format!("{name}_mean"), format!("{name}_var")];
    let before = BEFORE_TEMPO.iter().flat_map(|name| pair(name));
    let after = (1..=MFCCS).flat_map(|number| pair(&format!("mfcc{number}")));
    before.chain(["tempo".to_owned()]).chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_names_as_descriptors() {
        let names = names();
        assert_eq!(names.len(), COUNT);
        assert_eq!((names[0].as_str(), names[16].as_str()), ("chroma_stft_mean", "tempo"));
        assert_eq!(names[COUNT - 1], "mfcc20_var");
    }
}
