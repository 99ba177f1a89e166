//! The test part of a collection as patches with known answers.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::EvaluationSet;
use crate::audio::Audio;
use crate::dataset::source::{self, Source};
use crate::dataset::{Split, Track};
use crate::error::{Error, Result};
use crate::features::{FrontEnd, LogMel, Preprocessor};
use crate::files;
use crate::onnx;
use crate::onnx::names::{LOG_MEL, WAVEFORM, key};
use crate::runtime::{Tensor, model_file};

impl EvaluationSet {
    /// The test patches for `model`, an ONNX file that we exported, a run folder or a bundle.
    ///
    /// A run folder knows its own collection and split, for the files in it too; `data` and
    /// `split` override them, and other files need both. None where they are not known, or where
    /// the file has no labels and front end in its metadata (a bare backbone).
    ///
    /// # Errors
    /// Errors of the model, the split and the collection; [`Error::Data`] if the
    /// model's genres are not the split's.
    pub fn of(model: &Path, data: Option<&Path>, split: Option<&Path>) -> Result<Option<Self>> {
        #[cfg(feature = "train")]
        if let Some(set) = super::baseline_set::evaluation_set(model)? {
            return Ok(Some(set));
        }
        let given = data.is_some();
        let file = model_file(model);
        let run = file.parent().filter(|folder| folder.join("config.json").is_file());
        let (data, split) = match run {
            Some(run) => (
                data.map_or_else(|| recorded_data(run), |data| Ok(Some(data.to_owned())))?,
                Some(split.map_or(run.join("split.json"), Path::to_owned)),
            ),
            None => (data.map(Path::to_owned), split.map(Path::to_owned)),
        };
        let Some(split) = split.filter(|_| run.is_some() || data.is_some()) else {
            return Ok(None);
        };
        let Some(Description { preprocessor, labels, input }) = description(&file)? else {
            return Ok(None);
        };
        let split_genres = Split::load(&split)?;
        if split_genres.genres != labels {
            return Err(Error::Data(format!(
                "{}: the split's genres are {}, the model's {}",
                split.display(),
                split_genres.genres.join(", "),
                labels.join(", ")
            )));
        }
        let dataset = match source::resolve(data.as_deref(), Some(Source::of(&preprocessor))) {
            // A run outlives the folder it was trained on; only what was asked for must be there.
            Err(error) if !given => {
                crate::say!("warning: accuracy stays unknown: {error}");
                return Ok(None);
            }
            found => found?.0,
        };
        let test = split_genres.assign(&dataset)?.test;
        let tracks: Vec<&Track> = test.iter().map(|track| &dataset.tracks[*track]).collect();
        match (&*input, &preprocessor) {
            (WAVEFORM, Preprocessor::Audio(front_end)) => {
                Self::of_recordings(&tracks, front_end).map(Some)
            }
            (LOG_MEL, _) => Self::of_tracks(&tracks, &preprocessor).map(Some),
            // Its rows say why it does not run on patches.
            _ => Ok(None),
        }
    }

    /// For a model that takes samples.
    fn of_recordings(tracks: &[&Track], front_end: &FrontEnd) -> Result<Self> {
        let read = |track: &Track| {
            let audio = Audio::open(&track.path)?.resampled(front_end.sample_rate)?;
            Ok(front_end.waveforms(&audio.samples))
        };
        let (tracks, waveforms): (Vec<&Track>, Vec<Vec<f32>>) = readable(tracks, read)?;
        let size = front_end.waveform_samples();
        let patches = waveforms.iter().enumerate();
        let track_of_patch: Vec<usize> = patches
            .flat_map(|(track, waveforms)| std::iter::repeat_n(track, waveforms.len() / size))
            .collect();
        let shape = vec![track_of_patch.len(), size];
        Ok(Self {
            patches: Tensor { shape, data: waveforms.concat() },
            track_of_patch,
            labels: tracks.iter().map(|track| track.label).collect(),
            patch_hop_seconds: Some(front_end.patch_hop_seconds()),
        })
    }

    fn of_tracks(tracks: &[&Track], preprocessor: &Preprocessor) -> Result<Self> {
        let reader = preprocessor.reader()?;
        let (tracks, log_mels): (Vec<&Track>, Vec<LogMel>) =
            readable(tracks, |track| reader.read(&track.path))?;
        let ([frames, mels], hop) = (preprocessor.patch(), preprocessor.hop());
        let (mut data, mut track_of_patch) = (vec![], vec![]);
        for (track, log_mel) in log_mels.iter().enumerate() {
            for patch in log_mel.patches(frames, hop) {
                data.extend_from_slice(patch);
                track_of_patch.push(track);
            }
        }
        Ok(Self {
            patches: Tensor { shape: vec![track_of_patch.len(), frames, mels], data },
            track_of_patch,
            labels: tracks.iter().map(|track| track.label).collect(),
            patch_hop_seconds: preprocessor.hop_seconds(),
        })
    }
}

/// What `read` makes of each track, but for files that are damaged: training leaves those out
/// of its test part, too, and says so.
fn readable<'a, T: Send>(
    tracks: &[&'a Track],
    read: impl Fn(&Track) -> Result<T> + Sync,
) -> Result<(Vec<&'a Track>, Vec<T>)> {
    let results: Vec<Result<T>> = tracks.par_iter().map(|track| read(track)).collect();
    let (mut left, mut found) = (vec![], vec![]);
    for (track, result) in tracks.iter().zip(results) {
        match result {
            Ok(result) => {
                left.push(*track);
                found.push(result);
            }
            Err(error @ (Error::Audio { .. } | Error::Io { .. } | Error::Format { .. })) => {
                crate::say!("skipped: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok((left, found))
}

/// The collection named in a run's `config.json`; none for the default one.
fn recorded_data(run: &Path) -> Result<Option<PathBuf>> {
    let config: serde_json::Value = files::read_json(&run.join("config.json"))?;
    Ok(config["data"].as_str().map(PathBuf::from))
}

/// What the metadata of an exported file say.
struct Description {
    preprocessor: Preprocessor,
    labels: Vec<String>,
    /// `log_mel`, `waveform` or `clip`.
    input: String,
}

fn description(model: &Path) -> Result<Option<Description>> {
    let mut metadata = onnx::metadata(&onnx::read(model)?);
    // Files older than the key take log-mels.
    let input = metadata.remove(key::INPUT).unwrap_or_else(|| LOG_MEL.to_owned());
    let (Some(front_end), Some(labels)) = (metadata.get(key::FRONT_END), metadata.get(key::LABELS))
    else {
        return Ok(None);
    };
    let wrong =
        |key: &str, error: String| Error::onnx(model, format!("metadata \"{key}\": {error}"));
    let preprocessor = Preprocessor::parse(front_end).map_err(|e| wrong(key::FRONT_END, e))?;
    let labels = serde_json::from_str(labels).map_err(|e| wrong(key::LABELS, e.to_string()))?;
    Ok(Some(Description { preprocessor, labels, input }))
}
