//! What a smaller variant costs, on the clips of its own run.

use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayViewD, Axis, IxDyn, Slice};
use rayon::prelude::*;

use super::super::input::Input;
use super::int8_static::{Ranges, Watched};
use crate::dataset::source;
use crate::dataset::{Dataset, Parts, Track};
use crate::error::{Cause, Error, Result};
use crate::features::{Preprocessor, Reader};
use crate::metrics::{Average, Rule, argmax, quantile};
use crate::onnx::names::{OUTPUTS, PATCH_PROBABILITIES};
use crate::onnx::write::Part;
use crate::progress;
use crate::run::{Checked, Run, Validation};
use crate::runtime::{self, Batch, Runtime, Session};

/// Training clips that the ranges of activations are taken from.
const CALIBRATION_TRACKS: usize = 40;
/// Patches of each of them.
const CALIBRATION_PATCHES: usize = 8;
/// Share of the patches whose values all lie inside a tensor's range. With all of them a few
/// loud patches make the steps coarse for the others: of YAMNet's patches 94 % keep their genre
/// with this share, 82 % with all.
const COVERED: f64 = 0.9;
/// Tracks that are in memory at a time.
const TRACKS_AT_ONCE: usize = 16;
/// Patches that a model with a free batch is given at a time.
const BATCH: usize = 32;

impl Validation {
    /// Whether some runtime ran the variant and it is good enough in all that did; the reason if
    /// not.
    ///
    /// Patches count as tracks do: their mean hides much, most of all for tracks that a refitted
    /// head has learned from.
    fn check(&self, max_drop: f64) -> Result<(), Cause> {
        let mut reasons = vec![];
        for Checked { runtime, accuracy, patch_accuracy, reason, .. } in &self.runtimes {
            let (Some(accuracy), Some(patch_accuracy)) = (accuracy, patch_accuracy) else {
                reasons.push(reason.as_deref().unwrap_or_default());
                continue;
            };
            let falls = [
                (self.tracks, "tracks", self.fp32_accuracy, accuracy),
                (self.patches, "patches", self.fp32_patch_accuracy, patch_accuracy),
            ];
            for (count, what, before, after) in falls {
                let drop = (before - after) * 100.0;
                // Counts of tracks do not divide evenly.
                if drop > max_drop + 1e-9 {
                    return Err(format!(
                        "refused: in {runtime}, accuracy on the {count} {what} of the validation \
                         part falls by {drop:.1} points, from {before:.3} to {after:.3}; allow it \
                         with ‹max-drop›, or choose another ‹precision›"
                    )
                    .into());
                }
            }
        }
        if reasons.len() < self.runtimes.len() {
            Ok(())
        } else {
            Err(format!("no runtime here can run it: {}", reasons.join("; ")).into())
        }
    }
}

/// The collection of a run, to try variants on.
pub(in super::super) struct Trial<'a> {
    preprocessor: &'a Preprocessor,
    reader: Reader,
    dataset: Dataset,
    parts: Parts,
    /// The mean over a track's patches.
    average: Average,
    /// The file in 32-bit floats that takes log-mels.
    fp32: &'a Path,
}

/// A track as models are given it.
struct TrackInput {
    label: usize,
    /// `[patches, frames, mels]`.
    log_mels: ArrayD<f32>,
    /// What the variant takes, if it does not take the log-mels.
    input: Option<ArrayD<f32>>,
}

impl<'a> Trial<'a> {
    /// Finds the collection that `run` learned from, or the one in `data`; `fp32` is where the
    /// model in 32-bit floats will stand.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the collection is not there, or not the run's.
    pub fn open(
        run: &Run,
        preprocessor: &'a Preprocessor,
        data: Option<&Path>,
        fp32: &'a Path,
    ) -> Result<Self> {
        let recorded = run.options()?.data();
        let find = || {
            let data = data.or(recorded.as_deref());
            let split = run.split()?;
            let dataset = source::resolve_for(data, preprocessor, Some(split.task))?;
            let parts = split.assign(&dataset)?;
            Ok((dataset, parts))
        };
        let (dataset, parts) = find().map_err(|error: Error| {
            let reason = format!(
                "a smaller variant is tried on the clips that the run learned from, which are not \
                 at hand ({error}); say with ‹data› where they are now"
            );
            Error::not_found(run.folder(), reason)
        })?;
        let average = run.trust()?.map(|trust| trust.average).unwrap_or_default();
        Ok(Self { preprocessor, reader: preprocessor.reader()?, dataset, parts, average, fp32 })
    }

    /// The ranges of tensors in patches of some of the training clips, evenly spread.
    pub(super) fn ranges(&self, watched: Watched) -> Result<Ranges> {
        let Watched { mut model, names } = watched;
        let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
        let file = folder.path().join("watched.onnx");
        let part = Part::beside(&file)?;
        part.write(&mut model)?;
        drop(model);
        let mut session =
            runtime::open(runtime::preferred(), part.path(), &runtime::Options::default())?;
        let train = &self.parts.train;
        let step = train.len().div_ceil(CALIBRATION_TRACKS).max(1);
        let tracks: Vec<usize> = train.iter().copied().step_by(step).collect();
        let mut ends = vec![vec![]; 2 * names.len()];
        self.each(&tracks, Input::LogMel, "calibrating", |track| {
            in_batches(&mut *session, spread(&track.log_mels), 1, |outputs, _| {
                let found = outputs.iter().flat_map(|output| output.first());
                ends.iter_mut().zip(found).for_each(|(ends, end)| ends.push(*end));
                Ok(())
            })
        })?;
        if ends.iter().any(Vec::is_empty) {
            return Err(Error::TooFew("no track of the training part can be read".to_owned()));
        }
        let ranges = ends.as_chunks_mut::<2>().0.iter_mut();
        let ranges = ranges.map(|[a, b]| (share_below(a, 1.0 - COVERED), share_below(b, COVERED)));
        Ok(names.into_iter().zip(ranges).collect())
    }

    /// The variant at `path`, which takes `input`, beside the model in 32-bit floats.
    ///
    /// # Errors
    /// [`Error::Onnx`] if the accuracy falls by more than `max_drop` points in some runtime, or
    /// an answer is not a number; [`Error::Runtime`] if ONNX Runtime is there and cannot run
    /// the variant, or no runtime can.
    pub fn judge(&self, path: &Path, input: Input, max_drop: f64) -> Result<Validation> {
        let options = runtime::Options::default();
        let mut fp32 = runtime::open(runtime::preferred(), self.fp32, &options)?;
        let runtimes = [Runtime::Ort, Runtime::Tract].into_iter();
        let mut candidates: Vec<Candidate> = runtimes
            .map(|runtime| Candidate::open(runtime, self.average, path))
            .collect::<Result<_>>()?;
        let (mut all, mut correct) = (Counts::default(), Counts::default());
        self.each(&self.parts.validation, input, "checking", |track| {
            let wanted = Answer::of(&mut *fp32, &track.log_mels, self.average, self.fp32)?;
            all.add(&wanted, |_| true);
            correct.add(&wanted, |given| argmax(given) == Some(track.label));
            let given = track.input.as_ref().unwrap_or(&track.log_mels);
            candidates.iter_mut().try_for_each(|c| c.score(given, track.label, &wanted, path))
        })?;
        if all.tracks == 0 {
            return Err(Error::TooFew("no track of the validation part can be read".to_owned()));
        }
        let [fp32_accuracy, fp32_patch_accuracy] = correct.of(&all);
        let validation = Validation {
            tracks: all.tracks,
            fp32_accuracy,
            patches: all.patches,
            fp32_patch_accuracy,
            runtimes: candidates.into_iter().map(|c| c.checked(&all)).collect(),
        };
        validation.check(max_drop).map_err(|reason| Error::onnx(path, reason))?;
        Ok(validation)
    }

    /// Calls `visit` with every one of the tracks that can be read, in order.
    fn each(
        &self,
        tracks: &[usize],
        input: Input,
        what: &'static str,
        mut visit: impl FnMut(&TrackInput) -> Result<()>,
    ) -> Result<()> {
        let bar = progress::begin(tracks.len(), what, "tracks");
        for tracks in tracks.chunks(TRACKS_AT_ONCE) {
            let read = |track: &usize| self.read(&self.dataset.tracks[*track], input);
            let inputs: Vec<Result<TrackInput>> = tracks.par_iter().map(read).collect();
            for input in inputs {
                match input {
                    Ok(input) => visit(&input)?,
                    // Left out when the run was trained, too.
                    Err(error) if error.is_about_input_file() => {}
                    Err(error) => return Err(error),
                }
                bar.advance(1);
            }
        }
        drop(bar);
        Ok(())
    }

    fn read(&self, track: &Track, input: Input) -> Result<TrackInput> {
        let (label, path) = (track.label(), &track.path);
        if matches!(input, Input::LogMel | Input::Image) {
            let patches = self.reader.patches(path)?.values;
            let natural =
                (input == Input::Image).then(|| self.preprocessor.natural(patches.clone()));
            return Ok(TrackInput { label, log_mels: patches.into_dyn(), input: natural });
        }
        // Decoded once for both.
        let samples = self.reader.samples(path)?;
        let log_mels = self.reader.patches_of(&samples, path)?.into_dyn();
        let input = match self.preprocessor.windows() {
            Some(windows) if input == Input::Waveform => windows.cut(&samples),
            _ => Array2::from_shape_vec((1, samples.len()), samples)
                .map_err(|error| Error::audio(path, error))?,
        };
        Ok(TrackInput { label, log_mels, input: Some(input.into_dyn()) })
    }
}

/// What a model says of a track.
struct Answer {
    classes: usize,
    /// The mean over the patches.
    track: Vec<f32>,
    /// `[patches, classes]`.
    patches: Vec<f32>,
}

impl Answer {
    /// The probabilities for the rows: patches, or one clip that the model cuts up itself.
    fn of(
        session: &mut dyn Session,
        rows: &ArrayD<f32>,
        average: Average,
        path: &Path,
    ) -> Result<Self> {
        let find = |wanted: &str| session.outputs().iter().position(|name| name == wanted);
        let missing = || Error::onnx(path, format!("it has no output \"{}\"", OUTPUTS[0]));
        let (at, of_patches) = (find(OUTPUTS[0]).ok_or_else(missing)?, find(PATCH_PROBABILITIES));
        let (mut given, mut patches, mut classes) = (vec![], vec![], 1);
        in_batches(session, rows.view(), BATCH, |outputs, batch| {
            if let Some(at) = of_patches {
                patches.extend(&outputs[at]);
            }
            let answer = &outputs[at];
            classes = answer.shape().last().copied().unwrap_or(1).max(1);
            let answers = batch.answers(answer).map_err(|wrong| Error::onnx(path, wrong))?;
            given.extend_from_slice(&answers);
            Ok(())
        })?;
        if !given.iter().chain(&patches).all(|value: &f32| value.is_finite()) {
            return Err(Error::onnx(path, "its probabilities are not numbers"));
        }
        let track = average.of(&given, classes);
        let patches = if of_patches.is_some() { patches } else { given };
        Ok(Self { classes, track, patches })
    }
}

/// Tracks, and patches of them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    tracks: usize,
    patches: usize,
}

impl Counts {
    /// Counts what of an answer, the whole or patches, is `right`.
    fn add(&mut self, answer: &Answer, right: impl Fn(&[f32]) -> bool) {
        self.tracks += usize::from(right(&answer.track));
        self.patches += answer.patches.chunks(answer.classes).filter(|given| right(given)).count();
    }

    /// The shares of tracks and of patches.
    fn of(&self, all: &Self) -> [f64; 2] {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        [share(self.tracks, all.tracks), share(self.patches, all.patches)]
    }
}

/// A variant in one runtime, while it is tried.
struct Candidate {
    runtime: Runtime,
    session: Result<Box<dyn Session>>,
    average: Average,
    correct: Counts,
    difference: f32,
}

impl Candidate {
    /// A runtime that cannot open the file is out, with its reason, unless it must run it.
    fn open(runtime: Runtime, average: Average, path: &Path) -> Result<Self> {
        let session = runtime::open(runtime, path, &runtime::Options::default());
        let correct = Counts::default();
        let candidate = Self { runtime, session, average, correct, difference: 0.0 };
        match candidate.session {
            Err(error) if !is_optional(runtime) => Err(error),
            _ => Ok(candidate),
        }
    }

    /// Runs it on a track. A runtime that fails is out, with its reason, unless it is ONNX
    /// Runtime and there, which must run every file.
    fn score(
        &mut self,
        input: &ArrayD<f32>,
        label: usize,
        wanted: &Answer,
        path: &Path,
    ) -> Result<()> {
        let optional = is_optional(self.runtime);
        let answer = match &mut self.session {
            Ok(session) => Answer::of(&mut **session, input, self.average, path),
            Err(_) => return Ok(()),
        };
        match answer {
            Ok(given) => {
                self.correct.add(&given, |given| argmax(given) == Some(label));
                let differences = given.track.iter().zip(&wanted.track).map(|(a, b)| (a - b).abs());
                self.difference = differences.fold(self.difference, f32::max);
                Ok(())
            }
            Err(error @ Error::Runtime { .. }) if optional => {
                self.session = Err(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn checked(self, all: &Counts) -> Checked {
        let ran = self.session.is_ok();
        let [accuracy, patch_accuracy] = self.correct.of(all);
        Checked {
            runtime: self.runtime,
            accuracy: ran.then_some(accuracy),
            patch_accuracy: ran.then_some(patch_accuracy),
            max_abs_difference: ran.then_some(self.difference),
            reason: self.session.err().map(|error| error.to_string()),
        }
    }
}

/// Whether a runtime may be without a variant. ONNX Runtime, where it is there, must run every
/// file.
fn is_optional(runtime: Runtime) -> bool {
    runtime == Runtime::Tract || runtime.version().is_none()
}

/// The value below which a share of the others lies. Sorts them.
fn share_below(values: &mut [f32], share: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    quantile(values, share, Rule::Nearest).unwrap_or_default() as f32
}

/// Some of a track's patches, from all of its length.
fn spread(patches: &ArrayD<f32>) -> ArrayViewD<'_, f32> {
    let step = patches.len_of(Axis(0)).div_ceil(CALIBRATION_PATCHES).max(1);
    patches.slice_axis(Axis(0), Slice::new(0, None, step as isize))
}

/// Runs a model on `batch` rows at a time, where it takes any number; `take` is given its
/// outputs and the batch.
fn in_batches(
    session: &mut dyn Session,
    rows: ArrayViewD<'_, f32>,
    batch: usize,
    mut take: impl FnMut(&[ArrayD<f32>], &Batch<'_, IxDyn>) -> Result<()>,
) -> Result<()> {
    let fixed = session.input().dims.first().copied().flatten();
    for some in rows.axis_chunks_iter(Axis(0), fixed.unwrap_or(batch).max(1)) {
        let batch = Batch::new(some, fixed);
        take(&session.run(batch.rows())?, &batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation(accuracies: [Option<f64>; 2]) -> Validation {
        let checked = |(runtime, accuracy): (Runtime, Option<f64>)| Checked {
            runtime,
            accuracy,
            patch_accuracy: accuracy.map(|_| 0.6),
            max_abs_difference: accuracy.map(|_| 0.0),
            reason: accuracy.is_none().then(|| format!("no {runtime}")),
        };
        let runtimes = [Runtime::Ort, Runtime::Tract].into_iter().zip(accuracies).map(checked);
        Validation {
            tracks: 100,
            fp32_accuracy: 0.85,
            patches: 1000,
            fp32_patch_accuracy: 0.6,
            runtimes: runtimes.collect(),
        }
    }

    #[test]
    fn a_variant_is_refused_where_it_falls_too_far() {
        assert!(validation([Some(0.84), None]).check(1.0).is_ok());
        assert!(validation([Some(0.9), Some(0.85)]).check(0.0).is_ok());
        for worse in [[Some(0.83), None], [Some(0.85), Some(0.83)]] {
            let reason = validation(worse).check(1.0).unwrap_err().to_string();
            assert!(reason.contains("2.0 points") && reason.contains("‹max-drop›"), "{reason}");
            assert!(validation(worse).check(2.0).is_ok());
        }
        let mut of_patches = validation([Some(0.85), None]);
        of_patches.fp32_patch_accuracy = 0.613;
        let reason = of_patches.check(1.0).unwrap_err().to_string();
        assert!(reason.contains("1000 patches") && reason.contains("1.3 points"), "{reason}");
        assert!(of_patches.check(1.3).is_ok());
        let reason = validation([None, None]).check(100.0).unwrap_err().to_string();
        assert!(reason.contains("no ort; no tract"), "{reason}");
    }

    #[test]
    fn ranges_are_of_values_in_any_order() {
        let mut values = [3.0, -1.0, 2.0, 0.0, 1.0];
        assert_eq!(
            [0.0, 0.5, 0.7, 1.0].map(|share| share_below(&mut values, share)),
            [-1., 1., 2., 3.]
        );
    }

    #[test]
    fn calibration_covers_the_whole_track() {
        let data: Vec<f32> = (0..40).map(|value| value as f32).collect();
        let track = ArrayD::from_shape_vec(&[20, 2, 1][..], data).unwrap();
        let some = spread(&track);
        assert_eq!(some.shape(), [7, 2, 1]);
        assert_eq!((some[[0, 0, 0]], some[[6, 1, 0]]), (0.0, 37.0));
        let short = ndarray::array![[[5.0, 6.0]]].into_dyn();
        assert_eq!(spread(&short), short);
    }
}
