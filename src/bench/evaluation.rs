//! The test part of a collection as patches with known answers.

use std::path::Path;

use ndarray::{ArrayD, Axis, concatenate};
use rayon::prelude::*;

use super::set::EvaluationSet;
use crate::dataset::source;
use crate::dataset::{Split, Task, Track};
use crate::error::{Cause, Error, Result};
use crate::features::Preprocessor;
use crate::metrics::Average;
use crate::onnx;
use crate::onnx::names::{IMAGE, LOG_MEL, WAVEFORM, key};
use crate::run::{Promise, Run, model_file, names};

impl EvaluationSet {
    /// The test patches for `model`, an ONNX file that we exported, a run folder or a bundle.
    ///
    /// A run folder knows its own collection and split, for the files in it too; `data` and
    /// `split` override them, and other files need both. None where they are not known, or where
    /// the file has no labels and front end in its metadata (a bare backbone).
    ///
    /// # Errors
    /// Errors of the model, the split and the collection; [`Error::Mismatch`] if the
    /// model's genres are not the split's.
    pub fn of(model: &Path, data: Option<&Path>, split: Option<&Path>) -> Result<Option<Self>> {
        #[cfg(feature = "train")]
        if let Some(set) = super::baseline_set::evaluation_set(model)? {
            return Ok(Some(set));
        }
        let given = data.is_some();
        let file = model_file(model);
        let run = file.parent().map(Run::at).filter(Run::is_run);
        let (data, split) = match &run {
            Some(run) => (
                match data {
                    Some(data) => Some(data.to_owned()),
                    None => run.options()?.data(),
                },
                Some(split.map_or(run.path(names::SPLIT), Path::to_owned)),
            ),
            None => (data.map(Path::to_owned), split.map(Path::to_owned)),
        };
        let Some(split) = split.filter(|_| run.is_some() || data.is_some()) else {
            return Ok(None);
        };
        let Some(Description { preprocessor, task, labels, input, average }) = description(&file)?
        else {
            return Ok(None);
        };
        let split_genres = Split::load(&split)?;
        if split_genres.genres != labels {
            return Err(Error::Mismatch(format!(
                "{}: the split's genres are {}, the model's {}",
                split.display(),
                split_genres.genres.join(", "),
                labels.join(", ")
            )));
        }
        if split_genres.task != task {
            return Err(Error::Mismatch(format!(
                "{}: the split is of a {} collection, the model {}",
                split.display(),
                split_genres.task,
                task
            )));
        }
        let dataset = match source::resolve_for(data.as_deref(), &preprocessor, Some(task)) {
            // A run outlives the folder it was trained on; only what was asked for must be there.
            Err(error) if !given => {
                tracing::warn!("accuracy stays unknown: {error}");
                return Ok(None);
            }
            found => found?,
        };
        let test = split_genres.assign(&dataset)?.test;
        let tracks: Vec<&Track> = test.iter().map(|track| &dataset.tracks[*track]).collect();
        let reader = preprocessor.reader()?;
        let waveforms = |path: &Path| Ok(reader.waveforms(path)?.into_dyn());
        let patches = |path: &Path| Ok(reader.patches(path)?.values.into_dyn());
        let images = |path: &Path| Ok(preprocessor.natural(reader.patches(path)?.values));
        match (&*input, &preprocessor) {
            (WAVEFORM, Preprocessor::Audio(_) | Preprocessor::Samples(_)) => {
                Self::read(&tracks, (task, average), &preprocessor, waveforms).map(Some)
            }
            (IMAGE, Preprocessor::Image(_)) => {
                Self::read(&tracks, (task, average), &preprocessor, images).map(Some)
            }
            (LOG_MEL, _) => Self::read(&tracks, (task, average), &preprocessor, patches).map(Some),
            // Its rows say why it does not run on patches.
            _ => Ok(None),
        }
    }

    /// Of the `tracks` that can be read: `read` makes the model's input of the file of one,
    /// patches along the first axis.
    fn read(
        tracks: &[&Track],
        (task, average): (Task, Average),
        preprocessor: &Preprocessor,
        read: impl Fn(&Path) -> Result<ArrayD<f32>> + Sync,
    ) -> Result<Self> {
        let (tracks, inputs): (Vec<&Track>, Vec<ArrayD<f32>>) =
            readable(tracks, |track| read(&track.path))?;
        if inputs.is_empty() {
            return Err(Error::TooFew("no track of the test part can be read".to_owned()));
        }
        let counts = inputs.iter().map(|input| input.len_of(Axis(0)));
        let of_track = |(track, count)| std::iter::repeat_n(track, count);
        let track_of_patch = counts.enumerate().flat_map(of_track).collect();
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        let patches = concatenate(Axis(0), &views).map_err(|e| Error::Mismatch(e.to_string()))?;
        Ok(Self {
            patches,
            track_of_patch,
            task,
            labels: tracks.iter().map(|track| track.labels.clone()).collect(),
            average,
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
            Err(error) if error.is_about_input_file() => tracing::info!("skipped: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok((left, found))
}

/// What the metadata of an exported file say.
struct Description {
    preprocessor: Preprocessor,
    /// Files that do not say it tell one genre a track.
    task: Task,
    labels: Vec<String>,
    /// `log_mel`, `waveform`, `clip` or `image`.
    input: String,
    /// The mean over a track's patches.
    average: Average,
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
        |key: &str, error: Cause| Error::onnx(model, format!("metadata \"{key}\": {error}"));
    let preprocessor =
        Preprocessor::parse(front_end).map_err(|e| wrong(key::FRONT_END, e.into()))?;
    let labels = serde_json::from_str(labels).map_err(|e| wrong(key::LABELS, e.into()))?;
    let task = metadata.get(key::TASK).and_then(|name| Task::named(name)).unwrap_or_default();
    let promise = metadata.get(key::TRUST).map(|json| serde_json::from_str::<Promise>(json));
    let promise = promise.transpose().map_err(|e| wrong(key::TRUST, e.into()))?;
    let average = promise.map(|promise| promise.average).unwrap_or_default();
    Ok(Some(Description { preprocessor, task, labels, input, average }))
}
