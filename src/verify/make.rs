//! Probes of a file that has been exported, by running it.

use std::path::Path;

use ndarray::{Array3, Axis};

use super::mistakes::{
    Heard, Named, OF_ANSWERS, OF_FRONT_ENDS, OF_LOG_MELS, OF_PATCHES, OF_SAMPLES,
};
use super::own::classified;
use super::probes::{Mistake, Probe, Probes};
use super::recipe::Recipe;
use super::resample;
use crate::audio::Audio;
use crate::classify::{Classification, Classifier, Options};
use crate::error::{Error, Result};
use crate::features::{Extractor, FrontEnd, Preprocessor, Windows};
use crate::metrics::Average;
use crate::onnx::names::{CLIP, LOG_MEL, PROBABILITIES, key};
use crate::progress;
use crate::run::Precision;
use crate::runtime::{self, Batch, PatchInput, Runtime, Session};

/// How far any probability may be off: hosts scale by 32767 or 32768, and runtimes round.
const TOLERANCE: f32 = 1e-3;
/// What of a good resampler's difference from ours others may have, and a little more.
const RESAMPLERS: f32 = 3.0;
/// Recordings to choose from, by the lowest note in Hz: the one that the model is least sure of
/// shows most.
const LOWEST: [u32; 8] = [98, 131, 175, 233, 311, 415, 554, 740];
/// The notes above it, as ratios.
const SCALE: [(u32, u32); 5] = [(1, 1), (9, 8), (5, 4), (3, 2), (5, 3)];

/// The probes of the file at `path`; none if it looks at pictures. `fp32` is the model in 32-bit
/// floats that a smaller one was made from.
///
/// # Errors
/// Those of [`Classifier::open`] and of the runtimes, if no one runs the file.
pub(crate) fn probes_of(path: &Path, fp32: Option<&Path>) -> Result<Option<Probes>> {
    let made = Maker::open(path, runtime::preferred(), fp32).and_then(Maker::make);
    match made {
        Err(Error::Runtime { .. }) if runtime::preferred() != Runtime::Tract => {
            Maker::open(path, Runtime::Tract, fp32).and_then(Maker::make)
        }
        other => other,
    }
}

struct Maker<'a> {
    path: &'a Path,
    fp32: Option<&'a Path>,
    classifier: Classifier,
    options: Options,
}

/// A probe and what is known of the right answer to it.
struct Right {
    heard: Heard,
    answer: Classification,
}

impl<'a> Maker<'a> {
    fn open(path: &'a Path, runtime: Runtime, fp32: Option<&'a Path>) -> Result<Self> {
        let options = Options { runtime, ..Options::default() };
        Ok(Self { path, fp32, classifier: Classifier::open(path, &options)?, options })
    }

    fn make(self) -> Result<Option<Probes>> {
        if self.classifier.looks_at_pictures() {
            return Ok(None);
        }
        let windows = self.classifier.windows()?;
        let (mut probes, mut right) = (vec![], vec![]);
        for (name, tests, recipe) in self.recipes(&windows)? {
            let answer = classified(&self.classifier, &recipe)?;
            let interleaved = recipe.samples().iter().map(|x| f32::from(*x) / 32_768.0).collect();
            let heard = Heard::new(interleaved, recipe.channels, recipe.sample_rate, windows);
            probes.push(Probe {
                name: name.to_owned(),
                tests: tests.to_owned(),
                sha256: recipe.sha256(),
                patches: answer.timeline.len(),
                tolerance: self.tolerance(&recipe, &heard, &answer)?,
                probabilities: rounded(&answer.averaged, 1e6),
                recipe,
            });
            right.push(Right { heard, answer });
        }
        let metadata = |key| self.classifier.metadata(key).unwrap_or_default();
        let labels = metadata(key::LABELS);
        let mut made = Probes::new(&labels, &metadata(key::PRECISION), probes);
        for mistake in self.mistakes(&right)? {
            made.add(mistake);
        }
        Ok(Some(made))
    }

    /// The recordings: of several the one that the model is least sure of.
    fn recipes(&self, windows: &Windows) -> Result<[(&'static str, &'static str, Recipe); 3]> {
        let mut best: Option<(f32, Recipe)> = None;
        // A large network takes seconds for each.
        let count = if runtime::is_shared(self.path)? { 1 } else { LOWEST.len() };
        for number in 0..count {
            let recipe = recipe(number, windows.sample_rate, length(windows), 1, 0);
            let answer = classified(&self.classifier, &recipe)?;
            let doubt: f32 = answer.averaged.iter().map(|p| p * (1.0 - p)).sum();
            if best.as_ref().is_none_or(|(most, _)| doubt > *most) {
                best = Some((doubt, recipe));
            }
        }
        let (_, long) = best.ok_or_else(|| Error::onnx(self.path, "no probe"))?;
        let number = long.seed as usize - 1;
        let rate = if windows.sample_rate < 40_000 { 44_100 } else { 96_000 };
        let frames = long.frames as u64 * u64::from(rate) / u64::from(windows.sample_rate);
        // Between what the model hears and what the recording holds: gone behind a good filter.
        let high = (windows.sample_rate + rate) / 4;
        let short = Recipe { frames: (windows.least * 2 / 3).max(1), ..long.clone() };
        Ok([
            ("long", "scale, rate, patches, labels", long),
            ("short", "what becomes of a recording shorter than a patch", short),
            ("stereo", "channels and resampling", recipe(number, rate, frames as usize, 2, high)),
        ])
    }

    /// How far a host may be off: by what runtimes do differently with small numbers, and by what
    /// good resamplers do.
    fn tolerance(&self, recipe: &Recipe, heard: &Heard, right: &Classification) -> Result<f32> {
        let mut tolerance = TOLERANCE;
        if heard.rate != heard.windows.sample_rate {
            let to = heard.windows.sample_rate;
            let answer =
                self.classifier.classify(&resample::good(&heard.mono, heard.rate, to), to)?;
            tolerance += RESAMPLERS * distance(&answer.averaged, &right.averaged);
        }
        let precision = self.classifier.metadata(key::PRECISION).unwrap_or_default();
        if precision != Precision::Fp32.name() && self.options.runtime != Runtime::Tract {
            let options = Options { runtime: Runtime::Tract, ..self.options };
            let other = Classifier::open(self.path, &options);
            // What tract does not run has been said elsewhere.
            if let Ok(answer) = other.and_then(|other| classified(&other, recipe)) {
                tolerance += 2.0 * distance(&answer.averaged, &right.averaged);
            }
        }
        Ok(rounded(&[tolerance], 1e6)[0])
    }

    fn mistakes(&self, right: &[Right]) -> Result<Vec<Mistake>> {
        let input = self.classifier.metadata(key::INPUT).unwrap_or_else(|| LOG_MEL.to_owned());
        let of_samples = OF_SAMPLES.iter();
        let of_patches = OF_PATCHES.iter().filter(|_| input != CLIP);
        let mut mistakes = vec![];
        let bar = progress::begin(OF_SAMPLES.len() + OF_PATCHES.len(), "probing", "mistakes");
        for (named, samples) in of_samples.chain(of_patches) {
            mistakes.push(mistake(*named, right, |right| {
                let Some((samples, rate)) = samples(&right.heard) else { return Ok(None) };
                finite(self.classifier.classify(&samples, rate).map(|answer| answer.averaged))
            })?);
            bar.advance(1);
        }
        drop(bar);
        let average = self.classifier.average();
        for (named, made) in OF_ANSWERS {
            mistakes.push(mistake(named, right, |Right { heard, answer }| {
                let is_of_mean = named.0 == "softmax-twice";
                let rows: Vec<Vec<f32>> = if is_of_mean {
                    vec![answer.averaged.clone()]
                } else {
                    answer.timeline.patches().map(|patch| patch.probabilities).collect()
                };
                let many = rows.len() > 1 || is_of_mean;
                Ok(many.then(|| made(&rows, heard.windows.size / heard.windows.hop, average)))
            })?);
        }
        if input == LOG_MEL {
            mistakes.extend(self.of_log_mels(right)?);
        }
        if let Some(fp32) = self.fp32 {
            let whole = Classifier::open(fp32, &self.options)?;
            let named = (
                "fp32",
                "the answers are those of the model in 32-bit floats; this file is a smaller one, and \
                 its own answers differ",
            );
            mistakes.push(mistake(named, right, |Right { heard, .. }| {
                finite(whole.classify(&heard.mono, heard.rate).map(|answer| answer.averaged))
            })?);
        }
        Ok(mistakes)
    }

    /// Of hosts that make the log-mels themselves.
    fn of_log_mels(&self, right: &[Right]) -> Result<Vec<Mistake>> {
        let json = self.classifier.metadata(key::FRONT_END).unwrap_or_default();
        let Ok(Preprocessor::Audio(front_end)) = Preprocessor::parse(&json) else {
            return Ok(vec![]);
        };
        let mut file = LogMelFile::open(self, &front_end)?;
        let patches = |heard: &Heard, front_end: &FrontEnd| -> Result<Array3<f32>> {
            let audio = Audio { samples: heard.mono.clone(), rate: heard.rate };
            let samples = audio.resampled(front_end.sample_rate)?.samples;
            Ok(Extractor::new(front_end)?.patches(&samples).values)
        };
        let mut mistakes = vec![];
        for (named, change) in OF_FRONT_ENDS {
            let Some(other) = change(front_end.clone()) else { continue };
            // A front end that cannot be is nobody's mistake.
            if other.validate().is_err() {
                continue;
            }
            mistakes.push(mistake(named, right, |Right { heard, .. }| {
                finite(file.answer(patches(heard, &other)?))
            })?);
        }
        for (named, change) in OF_LOG_MELS {
            mistakes.push(mistake(named, right, |Right { heard, .. }| {
                finite(file.answer(change(patches(heard, &front_end)?, front_end.log.kind)))
            })?);
        }
        Ok(mistakes)
    }
}

impl Probes {
    /// With a mistake, if the answers show it.
    fn add(&mut self, mistake: Mistake) {
        let shown = self.probes.iter().zip(&mistake.answers).any(|(probe, wrong)| {
            let far = |wrong: &Vec<f32>| distance(wrong, &probe.probabilities);
            wrong.as_ref().is_some_and(|wrong| far(wrong) > probe.tolerance)
        });
        match (shown, mistake.answers.iter().any(Option::is_some)) {
            (true, _) => self.mistakes.push(mistake),
            (false, true) => self.not_shown.push(mistake.name),
            (false, false) => {}
        }
    }
}

/// A file that takes log-mels, opened to be fed wrongly.
struct LogMelFile {
    session: Box<dyn Session>,
    input: PatchInput,
    output: usize,
    average: Average,
}

impl LogMelFile {
    fn open(maker: &Maker<'_>, front_end: &FrontEnd) -> Result<Self> {
        let (path, average) = (maker.path, maker.classifier.average());
        let session = runtime::open(maker.options.runtime, path, &runtime::Options::default())?;
        let kind = [front_end.patch_frames, front_end.mels].into();
        let input =
            PatchInput::of(session.input(), kind).map_err(|reason| Error::onnx(path, reason))?;
        let output = session.outputs().iter().position(|name| name == PROBABILITIES);
        let output = output.ok_or_else(|| Error::onnx(path, "it has no probabilities"))?;
        Ok(Self { session, input, output, average })
    }

    /// The mean over the patches.
    fn answer(&mut self, patches: Array3<f32>) -> Result<Vec<f32>> {
        let (mut rows, mut classes) = (vec![], 1);
        let size = self.input.batch.unwrap_or(patches.len_of(Axis(0))).max(1);
        for chunk in patches.axis_chunks_iter(Axis(0), size) {
            let batch = Batch::new(chunk, self.input.batch);
            let answers = self.session.run(self.input.arrange(batch.rows()).view())?;
            let answer = &answers[self.output];
            classes = answer.shape().last().copied().unwrap_or(1).max(1);
            rows.extend(answer.iter().take(chunk.len_of(Axis(0)) * classes));
        }
        Ok(self.average.of(&rows, classes))
    }
}

fn mistake(
    (name, what): Named,
    right: &[Right],
    answer: impl FnMut(&Right) -> Result<Option<Vec<f32>>>,
) -> Result<Mistake> {
    let answers = right.iter().map(answer).collect::<Result<Vec<_>>>()?;
    let answers = answers.into_iter().map(|answer| answer.map(|p| rounded(&p, 1e4))).collect();
    Ok(Mistake { name: name.to_owned(), what: what.to_owned(), answers })
}

/// An answer that is none where the input was too wrong for the model: whoever hears of NaN needs
/// no name for the mistake.
fn finite(answer: Result<Vec<f32>>) -> Result<Option<Vec<f32>>> {
    match answer {
        Ok(answer) => Ok(answer.iter().all(|p| p.is_finite()).then_some(answer)),
        Err(Error::Runtime { .. } | Error::InvalidInput(_) | Error::Onnx { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Samples of the long probe: a few patches and a rest, as few as long patches allow.
fn length(windows: &Windows) -> usize {
    let seconds = windows.least as f64 / f64::from(windows.sample_rate);
    let more = match seconds {
        short if short <= 4.0 => 2,
        middle if middle <= 10.0 => 1,
        _ => 0,
    };
    windows.least + more * windows.hop + windows.hop / 3
}

fn recipe(number: usize, rate: u32, frames: usize, channels: usize, high_hz: u32) -> Recipe {
    let step = |hz: u64, up: u64, down: u64| ((hz * up) << 32) / (down * u64::from(rate));
    let lowest = u64::from(LOWEST[number % LOWEST.len()]);
    Recipe {
        sample_rate: rate,
        channels,
        frames,
        seed: number as u32 + 1,
        noise: 13,
        note: (rate as usize / (3 + number % 5)).max(1),
        steps: SCALE
            .iter()
            .map(|&(up, down)| step(lowest, up.into(), down.into()) as u32)
            .collect(),
        high: step(high_hz.into(), 1, 1) as u32,
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn rounded(values: &[f32], unit: f64) -> Vec<f32> {
    values.iter().map(|value| ((f64::from(*value) * unit).round() / unit) as f32).collect()
}
