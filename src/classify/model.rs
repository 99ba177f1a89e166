//! An exported file: what it takes, what it answers, and how it is asked.

use std::path::{Path, PathBuf};

use super::cutter::{Cutter, Piece};
use crate::error::{Error, Result};
use crate::features::{Extractor, FrontEnd, Preprocessor};
use crate::onnx::names::{CLIP, LOG_MEL, PATCH_PROBABILITIES, PROBABILITIES, WAVEFORM, key};
use crate::runtime::{PatchInput, RUN_MODEL, Session, Tensor, check_batch, model_file};

/// Values in a batch of log-mels, about: the first layers of a network make a hundred times as
/// many, and all threads do so at the same time.
const BATCH_VALUES: usize = 1 << 15;

/// What a file takes.
enum Input {
    /// `[batch, frames, mels]`, or another order of axes.
    LogMel(PatchInput, Box<Extractor>),
    /// `[batch, samples]`, a patch each; a fixed batch is filled up with silence.
    Waveform(Option<usize>),
    /// `[1, samples]`, any number.
    Clip,
}

/// A model that tells genres from sound.
pub(super) struct Model {
    pub path: PathBuf,
    pub labels: Vec<String>,
    pub front_end: FrontEnd,
    /// Patches it is given at a time.
    pub batch: usize,
    input: Input,
    /// The output that holds a row of probabilities for every patch.
    output: usize,
}

/// The ONNX file that `path` is or, being a run or a bundle, holds.
pub(super) fn find(path: &Path) -> Result<PathBuf> {
    let model = model_file(path);
    if model.is_file() || !path.is_dir() {
        Ok(model)
    } else {
        Err(Error::Config(format!(
            "{}: there is no {RUN_MODEL} in this folder; give an exported .onnx file, a bundle, or \
             a run that finetune or train-cnn has written",
            path.display()
        )))
    }
}

impl Model {
    /// Reads what `session`, opened from the file at `path`, says of itself.
    pub fn new(path: &Path, session: &mut dyn Session) -> Result<Self> {
        let front_end = front_end(path, session)?;
        let labels = labels(path, session)?;
        let refuse = |reason: String| Error::onnx(path, reason);
        let port = session.input();
        let span = front_end.waveform_samples();
        let kind = session.metadata(key::INPUT).unwrap_or_else(|| LOG_MEL.to_owned());
        let (input, output) = match kind.as_str() {
            LOG_MEL => {
                let FrontEnd { patch_frames, mels, .. } = front_end;
                let input = PatchInput::new(&port.dims, patch_frames, mels).map_err(refuse)?;
                // Silence beyond the ends is put there before the extractor sees it.
                let inside = FrontEnd { centred: false, ..front_end.clone() };
                (Input::LogMel(input, Box::new(Extractor::new(&inside)?)), PROBABILITIES)
            }
            WAVEFORM => match port.dims[..] {
                [batch, samples] if samples.is_none_or(|n| n == span) => {
                    check_batch(batch).map_err(refuse)?;
                    (Input::Waveform(batch), PROBABILITIES)
                }
                _ => {
                    return Err(refuse(format!(
                        "it takes {port}, but its front end's patches are {span} samples"
                    )));
                }
            },
            CLIP => (Input::Clip, PATCH_PROBABILITIES),
            other => {
                return Err(refuse(format!(
                    "its metadata say that it takes \"{other}\"; this program knows log_mel, \
                     waveform and clip"
                )));
            }
        };
        let output = session.outputs().iter().position(|name| name == output).ok_or_else(|| {
            refuse(format!("it has no output \"{output}\"; export it with export-onnx"))
        })?;
        let fitting = BATCH_VALUES / (front_end.patch_frames * front_end.mels);
        let fixed = match &input {
            Input::LogMel(input, _) => input.batch,
            Input::Waveform(batch) => *batch,
            Input::Clip => None,
        };
        // Every piece of a clip with frames around its beginning repeats a patch: two at least,
        // or the half of all work would be for nothing.
        let least = match &input {
            Input::Clip if front_end.lead_samples() > 0 => 2,
            _ => 1,
        };
        let batch = fixed.unwrap_or(fitting).clamp(least, 32);
        Ok(Self { path: path.to_owned(), labels, front_end, batch, input, output })
    }

    /// What cuts a recording for this model.
    pub fn cutter(&self) -> Cutter {
        match self.input {
            Input::LogMel(..) | Input::Waveform(_) => Cutter::patches(&self.front_end),
            Input::Clip => Cutter::clips(&self.front_end),
        }
    }

    /// The probabilities of a piece's patches, `[patches, classes]`.
    pub fn score(&self, session: &mut dyn Session, piece: &Piece) -> Result<Vec<f32>> {
        let tensor = match &self.input {
            Input::LogMel(input, extractor) => {
                let FrontEnd { patch_frames, patch_hop, .. } = self.front_end;
                let log_mel = extractor.log_mel(&piece.samples);
                let rows = log_mel.patches(patch_frames, patch_hop);
                let (data, count) = batch(rows.skip(piece.ignored), piece.patches, input.batch);
                input.arrange(&data, count)
            }
            Input::Waveform(fixed) => {
                let size = self.front_end.waveform_samples();
                let rows = piece.samples.windows(size).step_by(self.front_end.patch_hop_samples());
                let (data, count) = batch(rows.skip(piece.ignored), piece.patches, *fixed);
                Tensor { shape: vec![count, size], data }
            }
            Input::Clip => {
                // Few lengths, for tract plans anew for each; silence fills up the rest.
                let full = piece.patches.next_power_of_two().min(self.batch);
                let more = full.saturating_sub(piece.patches);
                let mut data = piece.samples.clone();
                data.resize(data.len() + more * self.front_end.patch_hop_samples(), 0.0);
                Tensor { shape: vec![1, data.len()], data }
            }
        };
        let Tensor { shape, data: answer } = session.run(&tensor)?.swap_remove(self.output);
        let classes = self.labels.len();
        if shape.last() != Some(&classes) {
            let reason = format!(
                "it answers {shape:?}, but its metadata name {classes} genres; export it again"
            );
            return Err(self.wrong(&reason));
        }
        let ignored = match self.input {
            Input::Clip => piece.ignored,
            _ => 0,
        };
        let wanted = answer.get(ignored * classes..(ignored + piece.patches) * classes);
        match wanted {
            Some(rows) if rows.iter().all(|p| p.is_finite()) => Ok(rows.to_vec()),
            Some(_) => Err(self.wrong("its probabilities are not finite numbers")),
            None => Err(self.wrong(&format!(
                "it answered {} values for {} patches of {classes} genres",
                answer.len(),
                piece.patches
            ))),
        }
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::onnx(&self.path, reason)
    }
}

/// `count` rows one after the other, and how many there are once a fixed batch is filled up.
fn batch<'a>(
    rows: impl Iterator<Item = &'a [f32]>,
    count: usize,
    fixed: Option<usize>,
) -> (Vec<f32>, usize) {
    let mut data = vec![];
    rows.take(count).for_each(|row| data.extend_from_slice(row));
    let full = fixed.map_or(count, |batch| count.next_multiple_of(batch));
    data.resize(data.len() / count * full, 0.0);
    (data, full)
}

fn front_end(path: &Path, session: &dyn Session) -> Result<FrontEnd> {
    let refuse = |reason: String| Error::onnx(path, reason);
    let Some(json) = session.metadata(key::FRONT_END) else {
        let reason = match session.metadata(key::FEATURES) {
            Some(_) => {
                "it judges tables of hand-made features, not sound; give a model of finetune or \
                 train-cnn"
            }
            None => "its metadata have no front_end, so how it hears is unknown; export it again",
        };
        return Err(refuse(reason.to_owned()));
    };
    match Preprocessor::parse(&json) {
        Ok(Preprocessor::Audio(front_end)) => Ok(front_end),
        Ok(Preprocessor::Picture(_)) => Err(refuse(
            "it looks at pictures of spectrograms, not at sound; train with --source audio".into(),
        )),
        Err(reason) => Err(refuse(format!("front_end in its metadata: {reason}"))),
    }
}

fn labels(path: &Path, session: &dyn Session) -> Result<Vec<String>> {
    let refuse = |reason: &str| Error::onnx(path, format!("labels in its metadata: {reason}"));
    let json = session.metadata(key::LABELS).ok_or_else(|| refuse("there are none"))?;
    let labels: Vec<String> = serde_json::from_str(&json).map_err(|e| refuse(&e.to_string()))?;
    if labels.is_empty() { Err(refuse("the list is empty")) } else { Ok(labels) }
}
