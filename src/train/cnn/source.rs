//! Spectrograms of a collection's tracks, from pictures or from audio.

use rayon::prelude::*;

use super::batches::Sample;
use super::options::CnnRunConfig;
use crate::dataset::source::{Source, resolve};
use crate::dataset::{Dataset, Skipped, Task, Track};
use crate::error::{Error, Result};
use crate::features::{FrontEnd, LogMel, PictureFrontEnd, Preprocessor, Reader, Recognized};
use crate::progress;

/// A collection with the spectrogram of every track.
#[derive(Debug)]
pub struct Spectrograms {
    /// The tracks, named as their recordings are, so that every command shares a split.
    pub dataset: Dataset,
    /// One a track.
    pub samples: Vec<Sample>,
    /// How they were made.
    pub preprocessor: Preprocessor,
    /// What pictures were recognized as.
    pub recognized: Vec<Recognized>,
}

impl Spectrograms {
    /// Reads all of the collection that `config` names, for this task where it is known.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::TooFew`] if there is nothing to learn from; errors of the
    /// front end.
    pub fn open(config: &CnnRunConfig, task: Option<Task>) -> Result<Self> {
        let (mut dataset, source) = resolve(config.data.as_deref(), config.source, task)?;
        config.check_task(dataset.task)?;
        let preprocessor = preprocessor(config, &dataset, source)?;
        let (mut samples, mut skipped) = (vec![], vec![]);
        let reader = preprocessor.reader()?.first(config.strict);
        for (track, read) in dataset.tracks.iter().zip(read(&dataset.tracks, &reader)) {
            match read {
                Ok(log_mel) => {
                    let labels = track.labels.clone();
                    samples.push(Sample { labels, log_mel, teacher: None });
                }
                Err(error) => skipped.push(Skipped {
                    path: track.path.clone(),
                    reason: error.reason_at(&track.path),
                }),
            }
        }
        dataset.exclude(skipped);
        dataset.check()?;
        let recognized = reader.recognized();
        recognized.report();
        Ok(Self { dataset, samples, preprocessor, recognized: recognized.kinds() })
    }
}

/// Spectrograms of `tracks`, in parallel.
fn read(tracks: &[Track], reader: &Reader) -> Vec<Result<LogMel>> {
    let bar = progress::begin(tracks.len(), "spectrograms", "tracks");
    let one = |track: &Track| {
        let read = reader.read(&track.path);
        bar.advance(1);
        read
    };
    tracks.par_iter().map(one).collect()
}

fn preprocessor(config: &CnnRunConfig, dataset: &Dataset, source: Source) -> Result<Preprocessor> {
    if source == Source::Pictures {
        let mut first = Err(Error::not_found(&dataset.root, "no pictures"));
        // The first may be damaged; what is wrong with it is said when all are read.
        for track in &dataset.tracks {
            let [mels, frames] = config.picture_patch();
            let map = config.colour_map.as_deref();
            first = PictureFrontEnd::like(&track.path, mels, frames, map);
            if first.is_ok() {
                break;
            }
        }
        return first.map(Preprocessor::Picture);
    }
    if let Some(mels) = config.mels {
        tracing::warn!("‹mels› {mels} is of pictures; recordings have those of ‹front-end›");
    }
    let front_end = FrontEnd::resolve(&config.front_end)?;
    let patch_frames = config.patch_frames.unwrap_or(front_end.patch_frames);
    let front_end = FrontEnd { patch_frames, patch_hop: patch_frames, ..front_end };
    front_end.validate()?;
    Ok(Preprocessor::Audio(front_end))
}
