//! An exported file: what it takes, and its probabilities for a piece of a recording.

use std::path::{Path, PathBuf};

use ndarray::{Array3, ArrayD, ArrayView1, ArrayView2, Axis, ShapeBuilder, ShapeError, Slice};

use super::cutter::{Cutter, Piece};
use super::judge::Judge;
use super::metadata::in_metadata;
use super::options::Options;
use crate::dataset::Task;
use crate::error::{Cause, Error, Result};
use crate::features::{Extractor, FrontEnd, Preprocessor, Reader, Windows, patches};
use crate::onnx::names::{
    CLIP, IMAGE, LOG_MEL, PATCH_PROBABILITIES, PROBABILITIES, PROJECTION, WAVEFORM, key,
};
use crate::run::{model_file, names};
use crate::runtime::{Batch, PatchInput, Session, check_patches};

/// Values in a batch of log-mels, about: the first layers of a network make a hundred times as
/// many, and all threads do so at the same time.
const BATCH_VALUES: usize = 1 << 15;
/// The most patches it is given at a time.
const MAX_BATCH: usize = 32;

/// What a file takes.
enum ModelInput {
    /// `[batch, frames, mels]`, or another order of axes.
    LogMel(PatchInput, Box<Extractor>),
    /// `[batch, samples]`, a patch each; a fixed batch is filled up with silence.
    Waveform(Option<usize>),
    /// `[1, samples]`, any number.
    Clip,
    /// Patches of a picture, as its reader cuts them.
    Picture(PatchInput, Box<Reader>),
}

/// A model that tells genres from sound, or from pictures of it.
pub(super) struct Model {
    pub path: PathBuf,
    pub labels: Vec<String>,
    /// The probability from which on a recording has each label, where it may have any number of
    /// them; none where it has one.
    pub thresholds: Option<Vec<f32>>,
    /// Where patches lie in a recording; none if it looks at pictures.
    windows: Option<Windows>,
    /// Patches it is given at a time.
    pub batch: usize,
    input: ModelInput,
    /// The output that holds a row of probabilities for every patch.
    output: usize,
    /// The output with a row for every patch that tells outsiders, if there is one.
    projection: Option<usize>,
    /// What an answer is judged by.
    pub judge: Judge,
}

/// What a model says of patches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scored {
    /// `[patches, classes]`.
    pub probabilities: Vec<f32>,
    /// `[patches, directions]`; empty if the model has no such output.
    pub projected: Vec<f32>,
}

impl Scored {
    fn extend(&mut self, more: Self) {
        self.probabilities.extend(more.probabilities);
        self.projected.extend(more.projected);
    }
}

/// The ONNX file that `path` is or, being a run or a bundle, holds.
pub(super) fn find(path: &Path) -> Result<PathBuf> {
    let model = model_file(path);
    if model.is_file() || !path.is_dir() {
        return Ok(model);
    }
    let reason = format!(
        "there is no {} in this folder; give an exported .onnx file, a bundle, or a run that \
         finetune or train-cnn has written",
        names::MODEL
    );
    Err(Error::not_found(path, reason))
}

impl ModelInput {
    /// What the metadata and the input of the file at `path` say that it takes.
    fn read(path: &Path, session: &dyn Session, heard: &Heard) -> Result<Self> {
        let refuse = |reason: String| Error::onnx(path, reason);
        let kind = session.metadata(key::INPUT).unwrap_or_else(|| LOG_MEL.to_owned());
        let port = session.input();
        let arranged = || {
            PatchInput::of(port, heard.preprocessor.patch_kind())
                .map_err(|reason| Error::onnx(path, reason))
        };
        match (kind.as_str(), &heard.preprocessor) {
            (LOG_MEL, Preprocessor::Picture(_)) | (IMAGE, Preprocessor::Image(_)) => {
                Ok(Self::Picture(arranged()?, Box::new(heard.preprocessor.reader()?)))
            }
            (LOG_MEL, Preprocessor::Audio(front_end)) => {
                let &FrontEnd { patch_frames, mels, .. } = front_end;
                let input = PatchInput::of(port, [patch_frames, mels].into())
                    .map_err(|reason| Error::onnx(path, reason))?;
                // Silence beyond the ends is put there before the extractor sees it.
                let inside = FrontEnd { centred: false, ..front_end.clone() };
                Ok(Self::LogMel(input, Box::new(Extractor::new(&inside)?)))
            }
            (LOG_MEL, _) => Err(refuse(
                "it takes log-mels, but its front end makes none; export it again".to_owned(),
            )),
            (WAVEFORM, _) if heard.windows.is_some() => {
                let span = heard.windows.map_or(0, |windows| windows.size);
                let batch = match port.dims[..] {
                    [batch, samples] if samples.is_none_or(|n| n == span) => batch,
                    _ => {
                        return Err(refuse(format!(
                            "it takes {port}, but its front end's patches are {span} samples"
                        )));
                    }
                };
                check_patches(batch, span).map_err(|reason| Error::onnx(path, reason))?;
                Ok(Self::Waveform(batch))
            }
            (CLIP, _) if heard.windows.is_some() => Ok(Self::Clip),
            (other, _) => Err(refuse(format!(
                "its metadata say that it takes \"{other}\" behind front end \"{}\"; this program \
                 knows log_mel, waveform, clip and image",
                heard.preprocessor.name()
            ))),
        }
    }

    /// The output with a row of probabilities for every patch.
    fn output(&self) -> &'static str {
        match self {
            Self::LogMel(..) | Self::Waveform(_) | Self::Picture(..) => PROBABILITIES,
            Self::Clip => PATCH_PROBABILITIES,
        }
    }

    /// Patches to give it at a time.
    fn batch(&self, heard: &Heard) -> usize {
        let fitting = BATCH_VALUES / heard.values.max(1);
        let fixed = match self {
            Self::LogMel(input, _) | Self::Picture(input, _) => input.batch,
            Self::Waveform(batch) => *batch,
            Self::Clip => None,
        };
        // Every piece of a clip with frames around its beginning repeats a patch: two at least,
        // or the half of all work would be for nothing.
        let least = match self {
            Self::Clip if heard.windows.is_some_and(|windows| windows.lead > 0) => 2,
            _ => 1,
        };
        fixed.unwrap_or(fitting).clamp(least, MAX_BATCH)
    }
}

impl Model {
    /// Reads what `session`, opened from the file at `path`, says of itself.
    pub fn new(path: &Path, session: &dyn Session, options: &Options) -> Result<Self> {
        let heard = Heard::of(path, session)?;
        let labels = labels(path, session)?;
        let thresholds = thresholds(path, session, labels.len())?;
        if thresholds.is_some() && options.min_confidence.is_some() {
            let reason = "it tells any number of labels, each from a threshold of its own on, and \
                          says unknown of none; leave ‹min-confidence› out";
            return Err(Error::unsupported(path, reason));
        }
        let input = ModelInput::read(path, session, &heard)?;
        let place = |wanted: &str| {
            session.outputs().iter().position(|name| name == wanted).ok_or_else(|| {
                let reason = format!("it has no output \"{wanted}\"; export it with export-onnx");
                Error::onnx(path, reason)
            })
        };
        let output = place(input.output())?;
        let judge = Judge {
            promise: Judge::read(path, session, labels.len())?,
            negatives: Judge::read_negatives(path, session, &labels)?,
            is_calibrated: matches!(input, ModelInput::Clip),
            min_confidence: options.min_confidence,
        };
        let projection = (judge.directions() > 0).then(|| place(PROJECTION)).transpose()?;
        let batch = input.batch(&heard);
        let (path, windows) = (path.to_owned(), heard.windows);
        Ok(Self { path, labels, thresholds, windows, batch, input, output, projection, judge })
    }

    /// What reads pictures for this model; none if it hears recordings.
    pub fn reader(&self) -> Option<&Reader> {
        match &self.input {
            ModelInput::Picture(_, reader) => Some(reader),
            _ => None,
        }
    }

    /// Where patches lie in a recording.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model looks at pictures.
    pub fn windows(&self) -> Result<Windows> {
        self.windows.ok_or_else(|| {
            let reason = "the model looks at pictures of spectrograms, not at sound; give it PNG \
                          or JPEG files";
            Error::unsupported(&self.path, reason)
        })
    }

    /// What cuts a recording for this model.
    ///
    /// # Errors
    /// Those of [`Model::windows`].
    pub fn cutter(&self) -> Result<Cutter> {
        let windows = self.windows()?;
        Ok(match self.input {
            ModelInput::Clip => Cutter::clips(&windows),
            _ => Cutter::patches(&windows),
        })
    }

    /// What the model says of a picture's patches `[patches, columns, features]`.
    pub fn score_picture(
        &self,
        session: &mut dyn Session,
        patches: &Array3<f32>,
    ) -> Result<Scored> {
        let ModelInput::Picture(input, _) = &self.input else {
            return Err(self.wrong("the model hears recordings and takes no pictures"));
        };
        let mut rows = Scored::default();
        for chunk in patches.axis_chunks_iter(Axis(0), self.batch) {
            let batch = Batch::new(chunk, input.batch);
            let answers = session.run(input.arrange(batch.rows()).view())?;
            rows.extend(self.rows(answers, 0, chunk.len_of(Axis(0)))?);
        }
        Ok(rows)
    }

    /// What the model says of a piece's patches.
    pub fn score(&self, session: &mut dyn Session, piece: &Piece) -> Result<Scored> {
        // Other models are given the wanted patches alone.
        let ignored = match self.input {
            ModelInput::Clip => piece.ignored,
            _ => 0,
        };
        let answers = self.run(session, piece)?;
        self.rows(answers, ignored, piece.patches)
    }

    /// What is said of `patches` patches behind those that are ignored.
    fn rows(&self, answers: Vec<ArrayD<f32>>, ignored: usize, patches: usize) -> Result<Scored> {
        let wanted = [ignored, patches];
        let classes = (self.labels.len(), "genres");
        let probabilities = self.wanted(&answers[self.output], classes, wanted)?;
        let directions = (self.judge.directions(), "directions of a projection");
        let projected = match self.projection {
            Some(place) => self.wanted(&answers[place], directions, wanted)?,
            None => vec![],
        };
        Ok(Scored { probabilities, projected })
    }

    /// Rows of `width` values of an output, one for each of what the metadata name: so many,
    /// behind so many.
    fn wanted(
        &self,
        answer: &ArrayD<f32>,
        (width, named): (usize, &str),
        [ignored, patches]: [usize; 2],
    ) -> Result<Vec<f32>> {
        if answer.shape().last() != Some(&width) {
            let reason = format!(
                "it answers {:?}, but its metadata name {width} {named}; export it again",
                answer.shape()
            );
            return Err(self.wrong(reason));
        }
        let wanted = ignored * width..(ignored + patches) * width;
        match answer.as_slice().and_then(|values| values.get(wanted)) {
            Some(rows) if rows.iter().all(|p| p.is_finite()) => Ok(rows.to_vec()),
            Some(_) => Err(self.wrong("its answers are not finite numbers")),
            None => Err(self.wrong(format!(
                "it answered {} values for {patches} patches of {width} each",
                answer.len()
            ))),
        }
    }

    /// All outputs for a piece, which the model sees through views: neither patches that overlap
    /// nor samples are copied for it.
    fn run(&self, session: &mut dyn Session, piece: &Piece) -> Result<Vec<ArrayD<f32>>> {
        let wanted = Slice::from(piece.ignored..piece.ignored + piece.patches);
        let Windows { size, hop, .. } = self.windows()?;
        match &self.input {
            ModelInput::LogMel(input, extractor) => {
                let &FrontEnd { patch_frames, patch_hop, .. } = extractor.front_end();
                let log_mel = extractor.log_mel(&piece.samples);
                let patches = patches(&log_mel, patch_frames, patch_hop);
                let batch = Batch::new(patches.slice_axis(Axis(0), wanted), input.batch);
                session.run(input.arrange(batch.rows()).view())
            }
            ModelInput::Waveform(fixed) => {
                let waveforms =
                    windows(&piece.samples, size, hop).map_err(|error| self.wrong(error))?;
                let batch = Batch::new(waveforms.slice_axis(Axis(0), wanted), *fixed);
                session.run(batch.rows().into_dyn())
            }
            ModelInput::Clip => {
                // Few lengths, for tract makes a plan for each; silence fills up the rest.
                let full = piece.patches.next_power_of_two().min(self.batch);
                let more = full.saturating_sub(piece.patches) * hop;
                let samples = ArrayView1::from(&piece.samples);
                let clip = Batch::new(samples, Some(piece.samples.len() + more));
                session.run(clip.rows().insert_axis(Axis(0)).into_dyn())
            }
            ModelInput::Picture(..) => Err(self.wrong("the model looks at pictures")),
        }
    }

    fn wrong(&self, reason: impl Into<Cause>) -> Error {
        Error::onnx(&self.path, reason)
    }
}

/// Windows of `size` samples, one every `hop`, as a view `[windows, size]` in which they may
/// overlap.
fn windows(samples: &[f32], size: usize, hop: usize) -> Result<ArrayView2<'_, f32>, ShapeError> {
    let count = samples.len().checked_sub(size).map_or(0, |rest| 1 + rest / hop);
    // With a single window the hop does not matter, and may be of any size.
    ArrayView2::from_shape((count, size).strides((hop.min(samples.len()), 1)), samples)
}

/// What the metadata of a file say of how it hears recordings, or looks at pictures.
struct Heard {
    windows: Option<Windows>,
    /// Values of a patch as the network itself takes it.
    values: usize,
    preprocessor: Preprocessor,
}

impl Heard {
    /// What the metadata of the file at `path` describe.
    fn of(path: &Path, session: &dyn Session) -> Result<Self> {
        let Some(json) = session.metadata(key::FRONT_END) else {
            let reason = match session.metadata(key::FEATURES) {
                Some(_) => {
                    "it judges tables of hand-made features, not sound; give a model of finetune \
                     or train-cnn"
                }
                None => {
                    "its metadata have no front_end, so how its input is made is unknown; export \
                     it again"
                }
            };
            return Err(Error::onnx(path, reason));
        };
        let preprocessor = Preprocessor::parse(&json)
            .map_err(|invalid| in_metadata(path, key::FRONT_END, invalid))?;
        let values = preprocessor.patch().iter().product();
        Ok(Self { windows: preprocessor.windows(), values, preprocessor })
    }
}

/// The genres that the metadata of the file at `path` name.
fn labels(path: &Path, session: &dyn Session) -> Result<Vec<String>> {
    let refuse = |reason: Cause| in_metadata(path, key::LABELS, reason);
    let json = session.metadata(key::LABELS).ok_or_else(|| refuse("there are none".into()))?;
    let labels: Vec<String> = serde_json::from_str(&json).map_err(|error| refuse(error.into()))?;
    let twice = labels.iter().enumerate().find(|(at, label)| labels[..*at].contains(label));
    match twice {
        Some((_, label)) => Err(refuse(format!("\"{label}\" stands there twice").into())),
        None if labels.is_empty() => Err(refuse("the list is empty".into())),
        None => Ok(labels),
    }
}

/// The thresholds of the `count` labels, where the metadata of the file at `path` say that a
/// recording may have several.
fn thresholds(path: &Path, session: &dyn Session, count: usize) -> Result<Option<Vec<f32>>> {
    if session.metadata(key::TASK).as_deref() != Some(Task::MultiLabel.name()) {
        return Ok(None);
    }
    let refuse = |reason: Cause| in_metadata(path, key::THRESHOLDS, reason);
    let missing = || refuse("there are none, and the file tells several labels".into());
    let json = session.metadata(key::THRESHOLDS).ok_or_else(missing)?;
    let found: Vec<f32> = serde_json::from_str(&json).map_err(|error| refuse(error.into()))?;
    if found.len() == count {
        Ok(Some(found))
    } else {
        Err(refuse(format!("there are {} for {count} labels", found.len()).into()))
    }
}
