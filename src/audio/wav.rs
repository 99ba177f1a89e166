//! PCM and float WAV through `hound`.

use std::io::Cursor;

use hound::{Error as Hound, Sample, SampleFormat, WavReader};

use super::{Audio, cut_short};

/// Why a WAV file was not decoded.
pub(super) enum Failure {
    /// A kind of WAV that `hound` does not read, though another decoder may.
    Unsupported(String),
    /// A damaged file, whoever reads it.
    Damaged(String),
}

/// Decodes a WAV file of 8 to 32-bit integers or 32-bit floats.
pub(super) fn decode(bytes: &[u8]) -> Result<Audio, Failure> {
    // `new` reads the headers alone. It also trips over chunks of odd length, whose padding
    // byte it does not skip, so no error here proves the file damaged.
    let reader =
        WavReader::new(Cursor::new(bytes)).map_err(|e| Failure::Unsupported(e.to_string()))?;
    let spec = reader.spec();
    let samples = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, _) => mix_down(reader, 1.0, |x: f32| x)?,
        // A power of two: dividing by it is exact, so 16-bit samples survive unchanged.
        (SampleFormat::Int, bits @ 1..=32) => {
            mix_down(reader, 0.5f32.powi(i32::from(bits) - 1), |x: i32| x as f32)?
        }
        (SampleFormat::Int, bits) => {
            return Err(Failure::Unsupported(format!("{bits} bits per sample")));
        }
    };
    Ok(Audio { samples, rate: spec.sample_rate })
}

/// The mean over channels of every frame, each sample made a float and scaled.
fn mix_down<S: Sample>(
    mut reader: WavReader<Cursor<&[u8]>>,
    scale: f32,
    to_f32: impl Fn(S) -> f32,
) -> Result<Vec<f32>, Failure> {
    let (channels, promised) = (u32::from(reader.spec().channels), reader.duration());
    let share = scale / channels as f32;
    // No capacity reserved: the number of samples is the header's claim.
    let mut mono = Vec::new();
    let (mut sum, mut mixed) = (0.0, 0);
    for sample in reader.samples::<S>() {
        sum += to_f32(sample.map_err(|e| match e {
            Hound::IoError(_) => Failure::Damaged(cut_short(promised.into(), mono.len() as u64)),
            other => Failure::Unsupported(other.to_string()),
        })?);
        mixed += 1;
        if mixed == channels {
            mono.push(sum * share);
            (sum, mixed) = (0.0, 0);
        }
    }
    Ok(mono)
}
