//! What hosts do wrong, as ways to make the wrong input, or the wrong answer, of a right one.

use ndarray::{Array3, Axis};

use super::resample::{linear, nearest, short};
use crate::audio::Audio;
use crate::features::{FrontEnd, LogKind, Spectrum, Windows};
use crate::metrics::Average;

/// A probe as a host reads it: samples from -1 to 1.
pub(super) struct Heard {
    /// As in the file: left, right, left, right.
    pub interleaved: Vec<f32>,
    pub channels: Vec<Vec<f32>>,
    /// The mean over the channels.
    pub mono: Vec<f32>,
    pub rate: u32,
    pub windows: Windows,
}

/// The name of a mistake, and what to say of it.
pub(super) type Named = (&'static str, &'static str);

/// Samples, and the rate at which they are given to the model's way in; none if the mistake changes
/// nothing about this probe.
type Samples = fn(&Heard) -> Option<(Vec<f32>, u32)>;

/// Mistakes on the way from a file to samples.
pub(super) const OF_SAMPLES: [(Named, Samples); 22] = [
    (("unscaled", "16-bit samples are fed as they are; divide them by 32768"), |h| {
        h.every(|x| x * 32_768.0)
    }),
    (("unsigned", "samples lie between 0 and 1; they must lie between -1 and 1 around 0"), |h| {
        h.every(|x| (x + 1.0) / 2.0)
    }),
    (("byte-swapped", "the two bytes of each sample are swapped; wavs are little-endian"), |h| {
        let swapped = |x: &f32| f32::from(((x * 32_768.0) as i16).swap_bytes()) / 32_768.0;
        Some((h.mixed(h.interleaved.iter().map(swapped).collect()), h.rate))
    }),
    (("peak-normalized", "each recording is made as loud as it can be; feed it as it is"), |h| {
        let peak = h.mono.iter().fold(f32::MIN_POSITIVE, |peak, x| peak.max(x.abs()));
        h.every(|x| x / peak)
    }),
    (("standardized", "each recording is given mean 0 and deviation 1; feed it as it is"), |h| {
        let count = h.mono.len() as f32;
        let mean = h.mono.iter().sum::<f32>() / count;
        let deviation = (h.mono.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count).sqrt();
        h.every(|x| (x - mean) / deviation.max(f32::MIN_POSITIVE))
    }),
    (("at-8000", "recordings are brought to 8000 Hz; see sample_rate in the metadata"), |h| {
        h.at(8_000)
    }),
    (("at-16000", "recordings are brought to 16000 Hz; see sample_rate in the metadata"), |h| {
        h.at(16_000)
    }),
    (("at-22050", "recordings are brought to 22050 Hz; see sample_rate in the metadata"), |h| {
        h.at(22_050)
    }),
    (("at-44100", "recordings are brought to 44100 Hz; see sample_rate in the metadata"), |h| {
        h.at(44_100)
    }),
    (("at-48000", "recordings are brought to 48000 Hz; see sample_rate in the metadata"), |h| {
        h.at(48_000)
    }),
    (("not-resampled", "a recording at another rate is fed as if it were at the model's"), |h| {
        h.foreign()?;
        Some((h.mono.clone(), h.windows.sample_rate))
    }),
    (("nearest", "the resampler leaves samples out, without a filter before it"), |h| {
        h.foreign()?;
        let to = h.windows.sample_rate;
        Some((nearest(&h.mono, h.rate, to), to))
    }),
    (("linear", "the resampler interpolates linearly, without a filter before it"), |h| {
        h.foreign()?;
        let to = h.windows.sample_rate;
        Some((linear(&h.mono, h.rate, to), to))
    }),
    (
        (
            "short-filter",
            "the resampler's filter is short, as a browser's own: it dulls the end of the band, and \
             answers differ by as much as here",
        ),
        |h| {
            h.foreign()?;
            let to = h.windows.sample_rate;
            Some((short(&h.mono, h.rate, to), to))
        },
    ),
    (("interleaved", "left and right samples in turn are fed as one channel; average them"), |h| {
        h.stereo()?;
        Some((h.interleaved.clone(), h.rate))
    }),
    (
        (
            "interleaved-not-resampled",
            "left and right samples in turn are fed as one channel, and at the recording's own rate",
        ),
        |h| {
            h.stereo()?;
            h.foreign()?;
            Some((h.interleaved.clone(), h.windows.sample_rate))
        },
    ),
    (("one-after-the-other", "the right channel is fed behind the left; average them"), |h| {
        h.stereo()?;
        Some((h.channels.concat(), h.rate))
    }),
    (("left-only", "only the left channel is fed; average both"), |h| h.channel(0)),
    (("right-only", "only the right channel is fed; average both"), |h| h.channel(1)),
    (("added", "the channels are added; average them"), |h| {
        h.stereo()?;
        h.every(|x| 2.0 * x)
    }),
    (("repeated", "a recording shorter than a patch is repeated; silence must follow it"), |h| {
        let least = h.least()?;
        Some((h.mono.iter().copied().cycle().take(least).collect(), h.rate))
    }),
    (
        (
            "padded-in-front",
            "a recording shorter than a patch has silence before it; silence must follow it",
        ),
        |h| {
            let mut samples = vec![0.0; h.least()? - h.mono.len()];
            samples.extend(&h.mono);
            Some((samples, h.rate))
        },
    ),
];

/// Mistakes in cutting patches, for files that take them.
pub(super) const OF_PATCHES: [(Named, Samples); 2] = [
    (("rest-padded", "the rest behind the last whole patch is filled up; leave it out"), |h| {
        let hop = h.at_own_rate(h.windows.hop);
        let rest = h.mono.len().checked_sub(h.at_own_rate(h.windows.least))?;
        (rest % hop > hop / 8).then_some(())?;
        let silence = std::iter::repeat_n(0.0, hop);
        Some((h.mono.iter().copied().chain(silence).collect(), h.rate))
    }),
    (("no-lead", "the silence before the recording is missing; see lead_samples"), |h| {
        let lead = h.at_own_rate(h.windows.lead);
        (lead > 0 && h.mono.len() > lead).then(|| (h.mono[lead..].to_vec(), h.rate))
    }),
];

/// The answer made of the rows of the patches, `[patches][classes]`, where patches are so many hops
/// long.
type Rows = fn(&[Vec<f32>], usize, Average) -> Vec<f32>;

/// Mistakes in what is made of the answers.
pub(super) const OF_ANSWERS: [(Named, Rows); 7] = [
    (
        ("first-patch", "only the first patch counts; a recording is the mean over its patches"),
        |rows, _, _| rows[0].clone(),
    ),
    (
        ("last-patch", "only the last patch counts; a recording is the mean over its patches"),
        |rows, _, _| rows[rows.len() - 1].clone(),
    ),
    (
        ("no-overlap", "patches do not overlap as patch_hop_samples has it"),
        |rows, long, average| {
            let some: Vec<Vec<f32>> = rows.iter().step_by(long.max(1)).cloned().collect();
            average.of(&some.concat(), rows[0].len())
        },
    ),
    (
        (
            "other-mean",
            "the arithmetic mean of the patches is taken in place of the geometric, or the other way \
             round; see average in trust",
        ),
        |rows, _, average| {
            let other = match average {
                Average::Arithmetic => Average::Geometric,
                Average::Geometric => Average::Arithmetic,
            };
            other.of(&rows.concat(), rows[0].len())
        },
    ),
    (
        ("maximum", "the largest of the patches is taken; a recording is the mean over them"),
        |rows, _, _| over(rows, |column| column.iter().copied().fold(0.0, f32::max)),
    ),
    (
        ("median", "the median of the patches is taken; a recording is the mean over them"),
        |rows, _, _| {
            over(rows, |column| {
                let mut sorted = column.to_vec();
                sorted.sort_by(f32::total_cmp);
                (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
            })
        },
    ),
    (
        ("softmax-twice", "a softmax is taken of the probabilities, which are some already"),
        |rows, _, average| {
            let mean = average.of(&rows.concat(), rows[0].len());
            let sum: f32 = mean.iter().map(|p| p.exp()).sum();
            mean.into_iter().map(|p| p.exp() / sum).collect()
        },
    ),
];

/// Front ends built a little wrong; none if this one is the same with it.
type FrontEnds = fn(FrontEnd) -> Option<FrontEnd>;

/// Mistakes in a front end, for files that take log-mels.
pub(super) const OF_FRONT_ENDS: [(Named, FrontEnds); 4] = [
    (
        ("spectrum", "the spectrum is of powers in place of magnitudes, or the other way round"),
        |f| {
            let spectrum = match f.spectrum {
                Spectrum::Power => Spectrum::Magnitude,
                Spectrum::Magnitude => Spectrum::Power,
            };
            Some(FrontEnd { spectrum, ..f })
        },
    ),
    (
        ("logarithm", "the logarithm is to base 10 in place of e, or the other way round"),
        |mut f| {
            f.log.kind = match f.log.kind {
                LogKind::Natural => LogKind::Log10,
                LogKind::Log10 => LogKind::Natural,
            };
            Some(f)
        },
    ),
    (
        ("centred", "frames are centred where they begin at their sample, or the other way round"),
        |f| Some(FrontEnd { centred: !f.centred, ..f }),
    ),
    (
        ("range", "the mel bands reach from 0 Hz to half the sample rate; see min_hz and max_hz"),
        |f| {
            let whole = f64::from(f.sample_rate) / 2.0;
            (f.min_hz > 0.0 || f.max_hz < whole).then_some(FrontEnd {
                min_hz: 0.0,
                max_hz: whole,
                ..f
            })
        },
    ),
];

/// Patches `[patches, frames, mels]` made wrong; the logarithm's base of the front end is given.
type LogMels = fn(Array3<f32>, LogKind) -> Array3<f32>;

/// Mistakes in feeding log-mels.
pub(super) const OF_LOG_MELS: [(Named, LogMels); 5] = [
    (
        ("swapped", "frames and mel bands are swapped; the file takes [batch, frames, mels]"),
        |x, _| {
            let (shape, turned) = (x.raw_dim(), x.permuted_axes([0, 2, 1]));
            let values: Vec<f32> = turned.iter().copied().collect();
            Array3::from_shape_vec(shape, values).unwrap_or_default()
        },
    ),
    (("no-logarithm", "the mel bands are energies; the file takes their logarithms"), |x, kind| {
        x.mapv_into(|x| if kind == LogKind::Log10 { 10f32.powf(x) } else { x.exp() })
    }),
    (("decibels", "the mel bands are in decibels; see log in the front end"), |x, kind| {
        let bel = if kind == LogKind::Log10 { 1.0 } else { std::f32::consts::LOG10_E };
        x.mapv_into(|x| 10.0 * bel * x)
    }),
    (
        ("bands-reversed", "the mel bands go from high to low; the lowest must be the first"),
        |mut x, _| {
            x.invert_axis(Axis(2));
            x.as_standard_layout().into_owned()
        },
    ),
    (
        ("patch-normalized", "each patch is given mean 0 and deviation 1; feed it as it is"),
        |mut x, _| {
            for mut patch in x.outer_iter_mut() {
                let mean = patch.mean().unwrap_or_default();
                let deviation = patch.std(0.0).max(f32::MIN_POSITIVE);
                patch.mapv_inplace(|x| (x - mean) / deviation);
            }
            x
        },
    ),
];

/// One value for each class.
fn over(rows: &[Vec<f32>], value: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let column = |class| rows.iter().map(|row| row[class]).collect::<Vec<f32>>();
    (0..rows[0].len()).map(|class| value(&column(class))).collect()
}

impl Heard {
    /// Of samples with those of a frame together.
    pub fn new(interleaved: Vec<f32>, channels: usize, rate: u32, windows: Windows) -> Self {
        let one = |channel| interleaved.iter().skip(channel).step_by(channels).copied().collect();
        let mut heard = Self {
            channels: (0..channels).map(one).collect(),
            interleaved,
            mono: vec![],
            rate,
            windows,
        };
        heard.mono = heard.mixed(heard.interleaved.clone());
        heard
    }

    fn mixed(&self, interleaved: Vec<f32>) -> Vec<f32> {
        let count = self.channels.len();
        interleaved.chunks(count).map(|frame| frame.iter().sum::<f32>() / count as f32).collect()
    }

    fn every(&self, change: impl Fn(f32) -> f32) -> Option<(Vec<f32>, u32)> {
        Some((self.mono.iter().map(|x| change(*x)).collect(), self.rate))
    }

    fn channel(&self, channel: usize) -> Option<(Vec<f32>, u32)> {
        self.stereo()?;
        Some((self.channels[channel].clone(), self.rate))
    }

    /// As if the model were at this rate.
    fn at(&self, rate: u32) -> Option<(Vec<f32>, u32)> {
        let own = self.windows.sample_rate;
        let audio = Audio { samples: self.mono.clone(), rate: self.rate };
        (rate != own).then_some(())?;
        Some((audio.resampled(rate).ok()?.samples, own))
    }

    /// Samples of the model as samples of the recording.
    fn at_own_rate(&self, samples: usize) -> usize {
        let all = samples as u64 * u64::from(self.rate);
        all.div_ceil(self.windows.sample_rate.into()) as usize
    }

    /// How many samples a patch needs, where there are fewer.
    fn least(&self) -> Option<usize> {
        let least = self.at_own_rate(self.windows.least);
        (self.mono.len() < least).then_some(least)
    }

    fn stereo(&self) -> Option<()> {
        (self.channels.len() > 1).then_some(())
    }

    fn foreign(&self) -> Option<()> {
        (self.rate != self.windows.sample_rate).then_some(())
    }
}
