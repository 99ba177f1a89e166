//! A collection with its split, ready for CNNs to learn from.

use std::collections::{HashMap, HashSet};

use burn::tensor::Device;

use super::batches::Sample;
use super::fit::{CnnTask, embed, predict};
use super::options::CnnRunConfig;
use super::source::Spectrograms;
use super::teacher::teacher_probabilities;
use crate::dataset::{Dataset, Parts, Split};
use crate::error::Result;
use crate::features::{LogMel, Preprocessor, Recognized};
use crate::model::{CnnEnsemble, burn_device};
use crate::run::{CnnConfig, Run};
use crate::train::collection;
use crate::train::copies::Copies;
use crate::train::destination::Destination;
use crate::train::embeddings::Embeddings;
use crate::train::prediction::TrackPrediction;

/// A collection with its split, ready to learn from.
#[derive(Debug)]
pub(super) struct CnnTraining {
    pub(super) config: CnnRunConfig,
    pub(super) device: Device,
    pub(super) dataset: Dataset,
    pub(super) copies: Copies,
    samples: Vec<Sample>,
    pub(super) preprocessor: Preprocessor,
    pub(super) recognized: Vec<Recognized>,
    pub(super) split: Split,
    pub(super) parts: Parts,
}

/// One network's share of the 80 %.
pub(super) struct Fold {
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
}

impl CnnTraining {
    /// Reads the collection; `split` where there already is one.
    ///
    /// # Errors
    /// Of the options, the collection and the teacher.
    pub(super) fn prepare(config: CnnRunConfig, split: Option<Split>) -> Result<Self> {
        config.check()?;
        if split.is_none() {
            config.check_new()?;
        }
        let device = burn_device(config.device)?;
        let task = split.as_ref().map(|split| split.task).or(config.task);
        let spectrograms = Spectrograms::open(&config, task)?;
        let Spectrograms { mut dataset, mut samples, preprocessor, recognized } = spectrograms;
        collection::report_origin(&dataset, config.data.as_deref());
        collection::report_understood(&dataset);
        collection::report_skipped(&dataset, config.strict)?;
        let values = samples.iter().map(|sample| &sample.log_mel);
        let are_recordings = !preprocessor.is_of_pictures();
        let copies = Copies::put_together(&config.split, &mut dataset, values, are_recordings)?;
        if !config.search.search {
            config.architecture().check(preprocessor.patch())?;
        }
        let make = || collection::split(&config.split, config.seed, &dataset);
        let split = split.map_or_else(make, Ok)?;
        let parts = split.assign(&dataset)?;
        collection::report_parts(&parts, &dataset);
        copies.report_leaks(&parts);
        if let Some(run) = &config.teacher {
            let learned = [&parts.train[..], &parts.validation].concat();
            for (track, probabilities) in teacher_probabilities(run, &split, &dataset, &learned)? {
                samples[track].teacher = Some(probabilities);
            }
        }
        Ok(Self {
            config,
            device,
            dataset,
            copies,
            samples,
            preprocessor,
            recognized,
            split,
            parts,
        })
    }

    pub(super) fn open_run(&self, destination: &Destination) -> Result<Run> {
        let stem = format!("{}-{}", self.name(), collection::name(&self.dataset));
        let run = destination.create(&stem)?;
        if destination.resumed().is_some() {
            return Ok(run);
        }
        let config = self.config.absolute(&self.dataset.root);
        run.save_start(&config, &self.split, &self.preprocessor, None::<&[Vec<String>]>)?;
        Ok(run)
    }

    pub(super) fn name(&self) -> String {
        let name = match self.config.cnn {
            _ if self.config.search.search => "searched".to_owned(),
            Some(_) => "cnn".to_owned(),
            None => self.config.preset.to_string(),
        };
        let name = match self.config.folds {
            Some(folds) => format!("{name}-{folds}-folds"),
            None => name,
        };
        if self.config.refit { name + "-refit" } else { name }
    }

    pub(super) fn pick(&self, tracks: &[usize]) -> Vec<Sample> {
        tracks.iter().map(|track| self.samples[*track].clone()).collect()
    }

    pub(super) fn classes(&self) -> usize {
        self.dataset.genres.len()
    }

    /// The task for an architecture, the rest being as the options say.
    pub(super) fn task<'b>(&'b self, cnn: &'b CnnConfig, seed: u64) -> CnnTask<'b> {
        CnnTask {
            cnn,
            patch: [self.preprocessor.patch()[0], self.preprocessor.hop()],
            classes: self.classes(),
            task: self.dataset.task,
            options: &self.config.fit,
            augmentation: &self.config.augmentation,
            teacher_share: self.config.teacher_share,
            seed,
            device: &self.device,
            quiet: false,
        }
    }

    /// Training and validation tracks of the split: what a search may look at.
    pub(super) fn train_and_validation(&self) -> (Vec<Sample>, Vec<Sample>) {
        (self.pick(&self.parts.train), self.pick(&self.parts.validation))
    }

    /// The split's own training and validation part, or folds of both together.
    pub(super) fn folds(&self) -> Result<Vec<Fold>> {
        let Parts { train, validation, .. } = &self.parts;
        let Some(count) = self.config.folds else {
            return Ok(vec![Fold { train: train.clone(), validation: validation.clone() }]);
        };
        let learned: HashSet<usize> = train.iter().chain(validation).copied().collect();
        let kept = |(index, track)| learned.contains(&index).then_some(track);
        let tracks = self.dataset.tracks.iter().cloned().enumerate().filter_map(kept).collect();
        let inner = Dataset { tracks, ..self.dataset.clone() };
        let places: HashMap<&str, usize> =
            self.dataset.tracks.iter().enumerate().map(|(at, track)| (&*track.id, at)).collect();
        let fold = |split: Split| {
            let at = |ids: &[String]| ids.iter().map(|id| places[&**id]).collect::<Vec<_>>();
            Fold {
                train: [at(&split.train), at(&split.validation)].concat(),
                validation: at(&split.test),
            }
        };
        let folds = Split::folds(&inner, count, self.config.seed, 0.5)?;
        Ok(folds.into_iter().map(fold).collect())
    }

    pub(super) fn predict(&self, ensemble: &CnnEnsemble, tracks: &[usize]) -> Vec<TrackPrediction> {
        let log_mels: Vec<&LogMel> = tracks.iter().map(|t| &self.samples[*t].log_mel).collect();
        let patch = [self.preprocessor.patch()[0], self.preprocessor.hop()];
        let device = &self.device;
        predict(&log_mels, patch, self.classes(), device, |x| ensemble.probabilities(x).0)
    }

    /// Embeddings of tracks over the same grid of patches.
    pub(super) fn embed(&self, ensemble: &CnnEnsemble, tracks: &[usize]) -> Vec<Embeddings> {
        let log_mels: Vec<&LogMel> = tracks.iter().map(|t| &self.samples[*t].log_mel).collect();
        let patch = [self.preprocessor.patch()[0], self.preprocessor.hop()];
        embed(&log_mels, patch, &self.device, |x| ensemble.probabilities(x).1)
    }
}
