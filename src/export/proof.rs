//! The proof that an exported file answers as the trained model does.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array3, ArrayD, ArrayView3, Axis};

use super::clip;
use super::input::Input;
use super::probe_input::{ProbeInput, recordings};
use super::trust::{Doubt, Source, Trusted};
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::metrics::mean_probabilities;
use crate::model::{Head, graph};
use crate::onnx;
use crate::onnx::names::{OUTPUTS, OUTSIDER, PATCH_PROBABILITIES, PROJECTION, SET};
use crate::run::{Agreement, Feed, Run, Trust};
use crate::runtime::{self, Runtime, Session};
use crate::train::{OnBackbone, Trained};

/// The largest difference of a probability between a runtime and the trained model.
pub const TOLERANCE: f32 = 1e-4;

/// The largest difference of an embedding or a logit, relative to the largest of them: that
/// of an import. It shows what a probability near 0 or 1 hides.
pub const RELATIVE_TOLERANCE: f32 = graph::TOLERANCE;

/// What a run's exported file is held to.
pub(super) struct Proof {
    task: Task,
    probes: Vec<Probe>,
    /// The backbone's own file: a runtime that does not run that need not run ours.
    file: Option<BackboneFile>,
    /// What the file's sets and outsiders are held to.
    trusted: Option<Trusted>,
}

/// As [`TOLERANCE`] and [`RELATIVE_TOLERANCE`], where the backbone's own arithmetic has 11 bits or
/// fewer: every runtime rounds elsewhere, and the trained model computes in 32-bit floats.
const COARSE_TOLERANCE: f32 = 1e-2;

/// Where a sigmoid is so flat that runtimes tell no logits apart.
const FLAT: f32 = 0.01;

/// What is put into an exported file, and what the trained model itself answers, behind the
/// native front end where the file carries its own.
struct Probe {
    input: ArrayD<f32>,
    wanted: Answers,
}

/// Values of the outputs.
struct Answers {
    probabilities: Vec<f32>,
    embeddings: Vec<f32>,
    /// Where the file has them: of each patch, `probabilities` being their mean.
    patch_probabilities: Vec<f32>,
    /// What the file says of how far they can be trusted; of the trained model nothing.
    doubt: Doubt,
}

impl Proof {
    /// For patches two batch sizes, so that a batch frozen into the graph shows; one where
    /// the backbone itself takes no other. For recordings some of different lengths.
    ///
    /// # Errors
    /// [`Error::Onnx`] if recordings are asked for and the backbone takes only so many
    /// patches; errors of the model.
    pub fn of(
        trained: &Trained,
        run: &Run,
        preprocessor: &Preprocessor,
        (input, coverage): (Input, Option<f64>),
        trust: Option<&Trust>,
    ) -> Result<Self> {
        let file = BackboneFile::of(trained, run, preprocessor.patch())?;
        let fixed = file.as_ref().and_then(|file| file.feed.input.batch);
        let mut reference = Reference::of(trained, file.as_ref())?;
        let inputs = match (input, preprocessor) {
            (Input::Clip, Preprocessor::Audio(_) | Preprocessor::Samples(_)) => {
                clip::check_batch(fixed, run.folder())?;
                recordings(preprocessor)?
            }
            _ => {
                let counts = fixed.map_or(vec![1, 4], |batch| vec![batch]);
                let patches = |count| ProbeInput::patches(count, preprocessor, input);
                counts.into_iter().map(patches).collect::<Result<_>>()?
            }
        };
        let probe = |ProbeInput { input: array, log_mels }| {
            let answers = reference.answers(log_mels.view())?;
            let wanted = if input == Input::Clip {
                answers.averaged(log_mels.len_of(Axis(0)), trust)
            } else {
                answers
            };
            Ok(Probe { input: array, wanted })
        };
        let probes = inputs.into_iter().map(probe).collect::<Result<_>>()?;
        let trusted = trust.zip(coverage).map(|(trust, coverage)| Trusted {
            trust: trust.clone(),
            coverage,
            source: Source::of(input),
        });
        Ok(Self { task: trained.task(), probes, file, trusted })
    }

    /// Compares the exported file with the trained model in every runtime at hand.
    ///
    /// # Errors
    /// [`Error::Onnx`] if one answers otherwise; [`Error::Runtime`] if one that is there and runs
    /// the backbone's own file cannot run it, or none can.
    pub fn verify(&self, path: &Path) -> Result<Vec<Agreement>> {
        let may_fail = |runtime: Runtime| {
            let refuses = |file: &BackboneFile| {
                file.open(runtime).is_err() || runtime == Runtime::Tract && file.splits()
            };
            runtime.version().is_none() || self.file.as_ref().is_some_and(refuses)
        };
        let agreement = self.compare(path, may_fail)?;
        if agreement.iter().any(|found| found.max_abs_difference.is_some()) {
            return Ok(agreement);
        }
        let reasons = agreement.into_iter().filter_map(|found| found.reason);
        let reason = format!(
            "no runtime here can run the file, so nothing proves it: {}",
            reasons.collect::<Vec<_>>().join("; ")
        );
        Err(Error::onnx(path, reason))
    }

    /// The differences in every runtime at hand.
    fn compare(&self, path: &Path, may_fail: impl Fn(Runtime) -> bool) -> Result<Vec<Agreement>> {
        compare_in_runtimes(path, may_fail, |runtime, session| {
            let (mut absolute, mut relative) = (0f32, 0f32);
            for probe in &self.probes {
                let (given, wanted) = (answers(session, path, probe)?, &probe.wanted);
                if let Some(trusted) = &self.trusted {
                    let Answers { probabilities, embeddings, doubt, .. } = &given;
                    trusted
                        .check(probabilities, embeddings, doubt)
                        .map_err(|reason| Error::onnx(path, format!("in {runtime} {reason}")))?;
                }
                let [one, other] = given.differences(wanted, self.task);
                (absolute, relative) = (worse(absolute, one), worse(relative, other));
            }
            // Written so that NaN fails.
            let keeps = |allowed: [f32; 2]| absolute <= allowed[0] && relative <= allowed[1];
            let fine = [TOLERANCE, RELATIVE_TOLERANCE];
            if keeps(fine) {
                return Ok((absolute, Some(relative)));
            }
            let is_coarse = self.file.as_ref().map_or(Ok(false), BackboneFile::is_coarse)?;
            let allowed = if is_coarse { [COARSE_TOLERANCE; 2] } else { fine };
            if keeps(allowed) {
                return Ok((absolute, Some(relative)));
            }
            if runtime == Runtime::Tract && self.file.as_ref().is_some_and(BackboneFile::splits) {
                let reason = "it computes the backbone's own file otherwise than ort";
                return Err(Error::runtime(runtime.name(), reason));
            }
            let reason = format!(
                "exported, its probabilities in {runtime} differ by {absolute:e} from the trained \
                 model's (allowed: {:e}), its embeddings or logits by {relative:e} of the largest \
                 (allowed: {:e})",
                allowed[0], allowed[1]
            );
            Err(Error::onnx(path, reason))
        })
    }
}

/// Opens the file at `path` in tract and in ort and lets `differences` find the largest
/// difference of a probability there, and the relative one of embeddings and logits where
/// there are any. A runtime that `may_fail` and does is listed with its reason.
///
/// # Errors
/// Those of `differences`, and of a runtime that may not fail.
pub(crate) fn compare_in_runtimes(
    path: &Path,
    may_fail: impl Fn(Runtime) -> bool,
    differences: impl Fn(Runtime, &mut dyn Session) -> Result<(f32, Option<f32>)>,
) -> Result<Vec<Agreement>> {
    let compare = |runtime| {
        let opened = runtime::open(runtime, path, &runtime::Options::default());
        match opened.and_then(|mut session| differences(runtime, &mut *session)) {
            Ok((absolute, relative)) => Ok(Agreement {
                runtime,
                max_abs_difference: Some(absolute),
                max_relative_difference: relative,
                reason: None,
            }),
            Err(error @ Error::Runtime { .. }) if may_fail(runtime) => {
                // The file has another name in the end.
                let file = format!("{}: ", path.display());
                Ok(Agreement {
                    runtime,
                    max_abs_difference: None,
                    max_relative_difference: None,
                    reason: Some(error.to_string().replace(&file, "")),
                })
            }
            Err(error) => Err(error),
        }
    };
    [Runtime::Tract, Runtime::Ort].into_iter().map(compare).collect()
}

impl Answers {
    /// Of a recording, from those of its patches, calibrated as `trust` says.
    fn averaged(self, patches: usize, trust: Option<&Trust>) -> Self {
        let patch_probabilities = self.probabilities;
        let classes = patch_probabilities.len() / patches;
        let probabilities = match trust {
            Some(trust) => trust.probabilities(&patch_probabilities, classes),
            None => mean_probabilities(&patch_probabilities, classes),
        };
        Self { probabilities, patch_probabilities, ..self }
    }

    /// The largest difference of a probability, and that of an embedding or a logit relative
    /// to the largest of them.
    fn differences(&self, wanted: &Self, task: Task) -> [f32; 2] {
        let embeddings = relative_difference(&self.embeddings, &wanted.embeddings);
        let logits = relative_difference(&self.logits(task), &wanted.logits(task));
        let probabilities = difference(&self.probabilities, &wanted.probabilities);
        let patches = difference(&self.patch_probabilities, &wanted.patch_probabilities);
        [worse(probabilities, patches), worse(embeddings, logits)]
    }

    /// Logarithms of the probabilities: the logits, but for one number added to a row of
    /// them. Below 1e-30, where f32 ends, all are one. Of several labels a track the logits
    /// themselves, where the sigmoid has not flattened them: runtimes compute its ends differently.
    fn logits(&self, task: Task) -> Vec<f32> {
        let probabilities = self.probabilities.iter().chain(&self.patch_probabilities);
        let logit = |p: f32| match task {
            Task::SingleLabel if p < 1e-30 => 1e-30f32.ln(),
            Task::SingleLabel => p.ln(),
            Task::MultiLabel => {
                let p = p.clamp(FLAT, 1.0 - FLAT);
                (p / (1.0 - p)).ln()
            }
        };
        probabilities.map(|p| logit(*p)).collect()
    }
}

/// The greater of both, or NaN, which `f32::max` would swallow.
fn worse(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// The largest difference, relative to the largest wanted value.
fn relative_difference(given: &[f32], wanted: &[f32]) -> f32 {
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    difference(given, wanted) / largest
}

/// The largest difference; NaN if any value is not a number or the lengths differ.
fn difference(given: &[f32], wanted: &[f32]) -> f32 {
    if given.len() != wanted.len() {
        return f32::NAN;
    }
    given.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}

fn answers(session: &mut dyn Session, path: &Path, probe: &Probe) -> Result<Answers> {
    let mut outputs = session.run(probe.input.view())?;
    let names = session.outputs();
    let mut take = |name: &str| {
        let at = names.iter().position(|output| output == name)?;
        Some(std::mem::take(&mut outputs[at]).into_iter().collect())
    };
    let [probabilities, embeddings] = OUTPUTS.map(&mut take);
    let (Some(probabilities), Some(embeddings)) = (probabilities, embeddings) else {
        return Err(Error::onnx(path, format!("it does not have the outputs {OUTPUTS:?}")));
    };
    let patch_probabilities = take(PATCH_PROBABILITIES).unwrap_or_default();
    let [set, outsider, projection] = [SET, OUTSIDER, PROJECTION].map(take);
    let doubt = Doubt { set, outsider, projection };
    Ok(Answers { probabilities, embeddings, patch_probabilities, doubt })
}

/// The file of a run's backbone.
struct BackboneFile {
    path: PathBuf,
    feed: Feed,
    /// Frames and mel bands.
    patch: [usize; 2],
    splits: OnceCell<bool>,
}

impl BackboneFile {
    /// None where there is no such file.
    fn of(trained: &Trained, run: &Run, patch: [usize; 2]) -> Result<Option<Self>> {
        let Trained::Backbone(OnBackbone { path, .. }) = trained else { return Ok(None) };
        let splits = OnceCell::new();
        Ok(Some(Self { path: path.clone(), feed: run.feed(path)?, patch, splits }))
    }

    /// Whether it computes with fewer bits than 32.
    fn is_coarse(&self) -> Result<bool> {
        Ok(onnx::has_small_numbers(&onnx::read(&self.path)?))
    }

    /// Whether tract and ort, both there, answer otherwise to one patch: then tract is wrong, as
    /// with recurrent layers that run backwards.
    fn splits(&self) -> bool {
        *self.splits.get_or_init(|| self.compare())
    }

    fn compare(&self) -> bool {
        let [frames, features] = self.patch;
        let count = self.feed.input.batch.unwrap_or(1);
        let patch = Array3::from_shape_fn((count, frames, features), |(_, frame, feature)| {
            ((frame * 7 + feature * 3) % 11) as f32 / 4.0 - 1.0
        });
        let answer = |runtime| -> Result<Vec<f32>> {
            let mut session = self.open(runtime)?;
            Ok(self.feed.embed(&mut *session, patch.view(), false)?.into_iter().collect())
        };
        match (answer(Runtime::Tract), answer(Runtime::Ort)) {
            (Ok(given), Ok(wanted)) => relative_difference(&given, &wanted) > RELATIVE_TOLERANCE,
            _ => false,
        }
    }

    /// A session that has run once: tract plans then, and not before.
    fn open(&self, runtime: Runtime) -> Result<Box<dyn Session>> {
        let [frames, mels] = self.patch;
        let silence = Array3::zeros((self.feed.input.batch.unwrap_or(1), frames, mels));
        let mut session = runtime::open(runtime, &self.path, &runtime::Options::default())?;
        session.run(self.feed.input.arrange(silence.view()).view())?;
        Ok(session)
    }
}

/// The trained model itself.
enum Reference<'a> {
    /// All of it in burn.
    Burn(&'a Trained),
    /// The head in burn, the backbone's file in a runtime.
    File { head: &'a Head, session: Box<dyn Session>, feed: &'a Feed },
}

impl<'a> Reference<'a> {
    fn of(trained: &'a Trained, file: Option<&'a BackboneFile>) -> Result<Self> {
        let (head, file) = match (trained, file) {
            (Trained::Backbone(OnBackbone { graph: None, head, .. }), Some(file)) => (head, file),
            _ => return Ok(Self::Burn(trained)),
        };
        let session = match file.open(Runtime::Tract) {
            Err(Error::Runtime { .. }) if Runtime::Ort.version().is_some() => {
                file.open(Runtime::Ort)?
            }
            Ok(_) if file.splits() => file.open(Runtime::Ort)?,
            other => other?,
        };
        Ok(Self::File { head, session, feed: &file.feed })
    }

    /// What it answers to patches `[patches, frames, mels]`.
    fn answers(&mut self, patches: ArrayView3<'_, f32>) -> Result<Answers> {
        let device = Device::flex();
        let values = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        let (probabilities, embeddings) = match self {
            Self::Burn(trained) => {
                let (count, frames, mels) = patches.dim();
                let x = patches.iter().copied().collect::<Vec<f32>>();
                let x = TensorData::new(x, [count, frames, mels]);
                let answers = trained.forward(Tensor::from_data(x, &device))?;
                let answers =
                    answers.ok_or_else(|| Error::runtime("burn", "it is an ONNX file"))?;
                (values(answers.0), values(answers.1))
            }
            Self::File { head, session, feed } => {
                let answer = feed.embed(&mut **session, patches, false)?;
                let embeddings: Vec<f32> = answer.into_iter().collect();
                let count = patches.len_of(Axis(0));
                let probabilities = head_probabilities(head, embeddings.clone(), count, &device);
                (values(probabilities), embeddings)
            }
        };
        Ok(Answers {
            probabilities,
            embeddings,
            patch_probabilities: vec![],
            doubt: Doubt::default(),
        })
    }
}

fn head_probabilities(head: &Head, rows: Vec<f32>, count: usize, device: &Device) -> Tensor<2> {
    let shape = [count, rows.len() / count];
    head.probabilities(Tensor::from_data(TensorData::new(rows, shape), device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FrontEnd;

    fn answers(probabilities: &[f32], embeddings: &[f32]) -> Answers {
        let [probabilities, embeddings] = [probabilities, embeddings].map(<[f32]>::to_vec);
        Answers { probabilities, embeddings, patch_probabilities: vec![], doubt: Doubt::default() }
    }

    #[test]
    fn what_a_confident_head_hides_is_found() {
        let wanted = answers(&[1.0, 1e-9], &[5.0, -50.0]);
        assert_eq!(wanted.differences(&wanted, Task::SingleLabel), [0.0, 0.0]);
        let logit = answers(&[1.0, 1.1e-9], &[5.0, -50.0]);
        let embedding = answers(&[1.0, 1e-9], &[5.1, -50.0]);
        for given in [logit, embedding] {
            let [absolute, relative] = given.differences(&wanted, Task::SingleLabel);
            assert!(absolute <= TOLERANCE && relative > RELATIVE_TOLERANCE, "{relative}");
        }
        for given in [answers(&[1.0, f32::NAN], &[5.0, -50.0]), answers(&[1.0, 1e-9], &[5.0])] {
            assert!(
                given
                    .differences(&wanted, Task::SingleLabel)
                    .iter()
                    .any(|difference| difference.is_nan())
            );
        }
    }

    #[test]
    fn probes_are_music_as_the_front_end_hears_it() {
        for name in FrontEnd::PRESETS {
            let front_end = FrontEnd::preset(name).unwrap();
            let shape = [12, front_end.patch_frames, front_end.mels];
            let preprocessor = Preprocessor::Audio(front_end);
            let probes = || ProbeInput::patches(12, &preprocessor, Input::LogMel).unwrap().input;
            let patches = probes();
            assert_eq!(patches.shape(), shape);
            assert_eq!(patches, probes());
            let [first, tenth] = [0, 10].map(|patch| patches.index_axis(Axis(0), patch));
            assert_ne!(first, tenth, "one style, another clip");
        }
    }
}
