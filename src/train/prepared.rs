//! What a fine-tuning run learns from: collection, split, backbone and embeddings.

use std::path::Path;

use burn::tensor::Device;
use rayon::prelude::*;

use super::collection;
use super::collection::FoldPlan;
use super::config::Config;
use super::copies::Copies;
use super::deep::TrackLogMel;
use super::embeddings::{Embeddings, Wanted, embed};
use super::fit::Example;
use crate::dataset::{Dataset, Method, Parts, Split, Task, source};
use crate::error::{Error, Result};
use crate::model::{Backbone, Feed, burn_device};
use crate::progress;
use crate::run::{HeadSpec, Run, names};

/// Where embeddings are kept between runs.
const CACHE: &str = "data/cache/embeddings";

/// Data, backbone and embeddings, ready to learn from.
pub(super) struct FineTuning<'a> {
    pub config: &'a Config,
    pub device: Device,
    pub dataset: Dataset,
    pub copies: Copies,
    pub backbone: Backbone,
    pub embeddings: Vec<Embeddings>,
    /// How the backbone's file was fed for them.
    pub feed: Feed,
    pub split: Split,
    pub parts: Parts,
    pub folds: Option<FoldPlan>,
    pub fold_splits: Vec<Split>,
}

impl<'a> FineTuning<'a> {
    /// With split and folds of the run that is resumed, if one is.
    pub fn prepare(config: &'a Config, resumed: Option<&Run>) -> Result<Self> {
        let split = resumed.map(Run::split).transpose()?;
        let kept = resumed.map(|run| run.path(names::FOLDS));
        let folds = config.folds.as_ref();
        let folds = folds.map(|folds| FoldPlan::read(folds, kept)).transpose()?;
        let device = burn_device(config.device)?;
        let backbone = Backbone::resolve_all(&config.backbone, config.front_end.as_deref())?;
        let task = split.as_ref().map(|split| split.task).or(config.task);
        let (mut dataset, embeddings, feed) = embedded(config, &backbone, task)?;
        let values = embeddings.iter().map(|embeddings| &embeddings.data);
        let are_recordings = !backbone.front_end.is_of_pictures();
        let copies = Copies::put_together(&config.split, &mut dataset, values, are_recordings)?;
        let make = || collection::split(&config.split, config.seed, &dataset);
        let split = split.map_or_else(make, Ok)?;
        let parts = split.assign(&dataset)?;
        collection::report_parts(&parts, &dataset);
        copies.report_leaks(&parts);
        if folds.is_some() && split.method == Method::Rehearsal {
            let reason = "‹folds› tests every track, those too that a rehearsal leaves alone; leave \
                          one of them out";
            return Err(Error::InvalidInput(reason.to_owned()));
        }
        let fold_splits = match &folds {
            Some(folds) => folds.splits(config.split.validation_fraction, config.seed, &dataset)?,
            None => vec![],
        };
        Ok(Self {
            config,
            device,
            dataset,
            copies,
            backbone,
            embeddings,
            feed,
            split,
            parts,
            folds,
            fold_splits,
        })
    }

    pub fn classes(&self) -> usize {
        self.dataset.genres.len()
    }

    pub fn examples(&self, tracks: &[usize]) -> Vec<Example<'_>> {
        let embeddings = tracks.iter().map(|track| &self.embeddings[*track]);
        Example::of_tracks(&self.dataset, tracks, embeddings)
    }

    pub fn head_spec(&self) -> HeadSpec {
        HeadSpec {
            features: self.embeddings[0].features,
            hidden: self.config.head.hidden.map(Into::into),
            classes: self.classes(),
            task: self.dataset.task,
        }
    }

    /// Log-mels of tracks, in parallel.
    pub fn log_mels(&self, tracks: &[usize]) -> Result<Vec<TrackLogMel>> {
        let reader = self.backbone.front_end.reader()?;
        let bar = progress::begin(tracks.len(), "patches", "tracks");
        let one = |track: &usize| {
            let track = &self.dataset.tracks[*track];
            let log_mel = reader.read(&track.path)?;
            bar.advance(1);
            Ok(TrackLogMel { labels: track.labels.clone(), log_mel })
        };
        tracks.par_iter().map(one).collect()
    }
}

/// The collection without what cannot be read, the embeddings of its tracks, and how the
/// backbone was fed for them.
fn embedded(
    config: &Config,
    backbone: &Backbone,
    task: Option<Task>,
) -> Result<(Dataset, Vec<Embeddings>, Feed)> {
    let mut dataset = source::resolve_for(config.data.as_deref(), &backbone.front_end, task)?;
    config.check_task(dataset.task)?;
    collection::report_origin(&dataset, config.data.as_deref());
    let Config { pool, runtime, .. } = *config;
    let (output, strict) = (config.output.as_deref(), config.strict);
    let wanted = Wanted { output, pool, runtime, strict };
    let embedded = embed(&dataset, backbone, wanted, Path::new(CACHE))?;
    let feed = embedded.feed;
    dataset.exclude(embedded.skipped);
    collection::report_understood(&dataset);
    collection::report_skipped(&dataset, config.strict)?;
    if embedded.padded > 0 {
        collection::report_padded(embedded.padded, &backbone.front_end);
    }
    dataset.check()?;
    Ok((dataset, embedded.tracks.into_iter().flatten().collect(), feed))
}
