//! PCM and float WAV through `hound`.

use std::io::BufReader;

use hound::{Error as Hound, Sample, SampleFormat, WavReader};

use super::blocks::{BLOCK, Blocks, ByteSource};
use super::failure::Failure;

/// A WAV file of 8 to 32-bit integers or 32-bit floats, being read.
pub(super) struct Wav<'a> {
    reader: WavReader<BufReader<ByteSource<'a>>>,
    found: u64,
}

impl<'a> Wav<'a> {
    pub(super) fn new(source: ByteSource<'a>) -> Result<Self, Failure> {
        // `new` reads the headers alone. It also trips over chunks of odd length, whose padding
        // byte it does not skip, so no error here proves the file damaged.
        let reader = WavReader::new(BufReader::with_capacity(1 << 16, source))?;
        Ok(Self { reader, found: 0 })
    }

    /// Appends the mean over channels of every frame, each sample made a float and scaled.
    fn mix_down<S: Sample>(
        &mut self,
        scale: f32,
        to_f32: impl Fn(S) -> f32,
        mono: &mut Vec<f32>,
    ) -> Result<(), Failure> {
        let (channels, promised) = (self.reader.spec().channels, self.reader.duration());
        let (before, found) = (mono.len(), self.found);
        let share = scale / f32::from(channels);
        let (mut sum, mut mixed) = (0.0, 0);
        for sample in self.reader.samples::<S>().take(BLOCK * usize::from(channels)) {
            sum += to_f32(sample.map_err(|e| match e {
                Hound::IoError(_) => {
                    let found = found + (mono.len() - before) as u64;
                    Failure::CutShort { promised: promised.into(), found }
                }
                other => Failure::Hound(other),
            })?);
            mixed += 1;
            if mixed == channels {
                mono.push(sum * share);
                (sum, mixed) = (0.0, 0);
            }
        }
        Ok(())
    }
}

impl Blocks for Wav<'_> {
    fn rate(&self) -> u32 {
        self.reader.spec().sample_rate
    }

    fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool, Failure> {
        let spec = self.reader.spec();
        let before = samples.len();
        match (spec.sample_format, spec.bits_per_sample) {
            (SampleFormat::Float, _) => self.mix_down(1.0, |x: f32| x, samples)?,
            // A power of two: dividing by it is exact, so 16-bit samples survive unchanged.
            (SampleFormat::Int, bits @ 1..=32) => {
                self.mix_down(0.5f32.powi(i32::from(bits) - 1), |x: i32| x as f32, samples)?;
            }
            (SampleFormat::Int, bits) => return Err(Failure::BitsPerSample(bits)),
        }
        self.found += (samples.len() - before) as u64;
        Ok(samples.len() > before)
    }
}
