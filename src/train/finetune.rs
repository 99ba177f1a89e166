//! A fine-tuning run, from the collection to the trained model and its figures.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use rayon::prelude::*;

use super::collection;
use super::config::{Config, HeadOptions, Unfreeze};
use super::deep::{DeepTask, Recording, Tuned};
use super::destination::Destination;
use super::embeddings::{Embeddings, embed};
use super::fit::{Example, Fitted, TrackPrediction, fit_head};
use super::trained::Trained;
use crate::dataset::{Dataset, Parts, Split};
use crate::error::{Error, Result};
use crate::features::Reader;
use crate::metrics::Epoch;
use crate::model::import::{Imported, import};
use crate::model::{Backbone, GenreModel, burn_device};
use crate::progress;
use crate::run::{
    CrossValidation, HeadSpec, Kept, Metrics, ModelSpec, Prediction, Run, Score, Spec, names,
};
use crate::runtime;

/// Where embeddings are kept between runs.
pub const CACHE: &str = "data/cache/embeddings";

/// Trains as `config` says; the finished run.
///
/// # Errors
/// [`Error::Config`] and [`Error::Data`] before anything is written; errors of the
/// backbone; [`Error::Interrupted`] on Ctrl-C.
pub fn finetune(config: &Config, destination: Destination) -> Result<Run> {
    config.check()?;
    let started = Instant::now();
    let is_new = destination.resumed().is_none();
    let session = Session::prepare(config, destination.resumed())?;
    let run = session.open_run(&destination)?;
    let mut history = vec![];
    let trained = session.train(&run, &mut history);
    if is_new && trained.is_err() {
        // If it was interrupted with a checkpoint, that stays.
        run.give_up();
    }
    let Outcome { model, spec, metrics, predictions } = trained?;
    run.save_history(&history)?;
    run.save_model(Spec::Backbone(spec), &model)?;
    let metrics = Metrics { seconds: started.elapsed().as_secs_f64(), ..metrics };
    run.save_results(&metrics, &predictions)?;
    run.checkpoints().remove()?;
    run.forget_replaced()?;
    Ok(run)
}

/// What a training comes to, before it is saved.
struct Outcome {
    model: Trained,
    spec: ModelSpec,
    metrics: Metrics,
    predictions: Vec<Prediction>,
}

/// Data, backbone and embeddings, ready to learn from.
struct Session<'a> {
    config: &'a Config,
    device: burn::tensor::Device,
    dataset: Dataset,
    backbone: Backbone,
    embeddings: Vec<Embeddings>,
    split: Split,
    parts: Parts,
    folds: Option<collection::Folds>,
    fold_splits: Vec<Split>,
}

impl<'a> Session<'a> {
    /// With split and folds of the run that is resumed, if one is.
    fn prepare(config: &'a Config, resumed: Option<&Run>) -> Result<Self> {
        let split = resumed.map(Run::split).transpose()?;
        let asked = config.folds.as_ref();
        let folds = asked
            .map(|asked| collection::Folds::read(asked, resumed.map(|run| run.path(names::FOLDS))))
            .transpose()?;
        let device = burn_device(config.device)?;
        let backbone = Backbone::resolve(&config.backbone, config.front_end.as_deref())?;
        let runtime = config.runtime.unwrap_or_else(runtime::preferred);
        let mut dataset = Dataset::resolve(config.data.as_deref())?;
        collection::report_origin(&dataset, config.data.is_some());
        let embedded =
            embed(&dataset, &backbone, config.output.as_deref(), runtime, Path::new(CACHE))?;
        let embeddings = embedded.tracks.into_iter().flatten().collect();
        dataset.exclude(embedded.skipped);
        collection::report_skipped(&dataset, config.strict)?;
        if embedded.padded > 0 {
            tracing::warn!(
                "{} recordings are shorter than a patch ({:.2} s) and were padded with silence",
                embedded.padded,
                backbone.front_end.patch_seconds()
            );
        }
        dataset.check()?;
        let split = split.map_or_else(
            || {
                collection::split(
                    &config.split,
                    [config.test_fraction, config.validation_fraction],
                    config.seed,
                    &dataset,
                )
            },
            Ok,
        )?;
        let parts = split.assign(&dataset)?;
        collection::report_parts(&parts);
        let fold_splits = match &folds {
            Some(folds) => folds.splits(config.validation_fraction, config.seed, &dataset)?,
            None => vec![],
        };
        Ok(Self { config, device, dataset, backbone, embeddings, split, parts, folds, fold_splits })
    }

    fn open_run(&self, destination: &Destination) -> Result<Run> {
        let stem = format!("{}-{}", self.backbone.source.name, collection::name(&self.dataset));
        let run = destination.create(&stem)?;
        if destination.resumed().is_some() {
            return Ok(run);
        }
        let config = self.config.absolute(&self.dataset.root);
        run.save_start(&config, &self.split, &self.backbone.front_end)?;
        if let Some(collection::Folds::Lists(lists, _)) = &self.folds {
            run.save_folds(lists).inspect_err(|_| run.give_up())?;
        }
        Ok(run)
    }

    fn classes(&self) -> usize {
        self.dataset.genres.len()
    }

    fn examples(&self, tracks: &[usize]) -> Vec<Example<'_>> {
        let example = |track: &usize| Example {
            label: self.dataset.tracks[*track].label,
            embeddings: &self.embeddings[*track],
        };
        tracks.iter().map(example).collect()
    }

    fn head_spec(&self) -> HeadSpec {
        HeadSpec {
            features: self.embeddings[0].features,
            hidden: self.config.head.hidden.map(Into::into),
            classes: self.classes(),
        }
    }

    /// The head that early stopping chose, and the one to use: trained again on both
    /// parts for as many epochs, unless told otherwise.
    fn heads(&self, parts: &Parts, history: &mut Vec<Epoch>) -> Result<(Fitted, Fitted)> {
        let (train, validation) = (self.examples(&parts.train), self.examples(&parts.validation));
        let options = &self.config.head;
        let mut fit =
            |stage: &str, train: &[Example], validation: &[Example], options: &HeadOptions| {
                let (spec, seed, device) = (self.head_spec(), self.config.seed, &self.device);
                fit_head(stage, spec, train, validation, options, seed, device, history)
            };
        let stopped = fit("head", &train, &validation, options)?;
        if self.config.no_refit || validation.is_empty() {
            return Ok((stopped.clone(), stopped));
        }
        let both: Vec<Example> = train.into_iter().chain(validation).collect();
        let refit =
            fit("refit", &both, &[], &HeadOptions { epochs: stopped.epoch, ..options.clone() })?;
        Ok((stopped, refit))
    }

    fn train(&self, run: &Run, history: &mut Vec<Epoch>) -> Result<Outcome> {
        let cross_validation = self.cross_validation(run)?;
        let (stopped, refit) = self.heads(&self.parts, history)?;
        run.save_history(history)?;
        let imported = self.import()?;
        let spec = ModelSpec {
            backbone: imported.as_ref().map(|imported| imported.spec.clone()),
            head: self.head_spec(),
        };
        let proof = imported.as_ref().map(|imported| imported.proof);
        let layers = match (self.config.deep.unfreeze, &spec.backbone) {
            (Unfreeze::Last(layers), Some(backbone)) => backbone.depth().min(layers.into()),
            (Unfreeze::All, Some(backbone)) => backbone.depth(),
            _ => 0,
        };
        let tuned = match &imported {
            Some(imported) if layers > 0 => {
                Some(self.tune(imported, layers, &stopped, run, history)?)
            }
            _ => None,
        };
        let loss = |score: Option<Score>| score.map_or(f64::INFINITY, |score| score.loss);
        let better = |tuned: &&(Tuned, Vec<TrackPrediction>)| {
            loss(tuned.0.validation) < loss(stopped.validation)
        };
        let unfrozen_validation = tuned.as_ref().and_then(|(tuned, _)| tuned.validation);
        let kept = tuned.as_ref().filter(better);
        let is_unfrozen = kept.is_some();
        let found = match kept {
            Some((_, predictions)) => predictions.clone(),
            None => refit.predict(&self.examples(&self.parts.test), &self.device),
        };
        let (model, parameters) = match (tuned, imported) {
            (Some((tuned, _)), _) if is_unfrozen => burn_model(tuned.model),
            (_, Some(Imported { cnn, .. })) => {
                burn_model(GenreModel { backbone: cnn, head: refit.folded() })
            }
            (_, None) => {
                let head = refit.folded();
                let parameters = head.num_params();
                (Trained::OnnxBackbone(self.backbone.path.clone(), Box::new(head)), parameters)
            }
        };
        let metrics = Metrics {
            data: collection::training_data(&self.dataset),
            backbone: Some(self.backbone.source.clone()),
            cnn: None,
            unfrozen_layers: if is_unfrozen { layers } else { 0 },
            parameters,
            import: proof,
            frozen_validation: stopped.validation,
            unfrozen_validation,
            kept: if is_unfrozen { Kept::Unfrozen } else { Kept::Frozen },
            test: collection::part_metrics(
                &self.dataset,
                &found,
                &self.parts.test,
                self.config.seed,
            ),
            cross_validation,
            // Known when the run is complete.
            seconds: 0.0,
        };
        let predictions = collection::predictions(&self.dataset, &found, &self.parts.test);
        Ok(Outcome { model, spec, metrics, predictions })
    }

    /// The backbone in burn; none if the importer cannot take it over and no layer is to be
    /// trained.
    fn import(&self) -> Result<Option<Imported>> {
        let output = self.config.output.as_deref();
        match import(&self.backbone.path, self.backbone.patch(), output, &self.device) {
            Ok(imported) => Ok(Some(imported)),
            Err(error @ (Error::UnsupportedOperator { .. } | Error::Onnx { .. }))
                if self.config.deep.unfreeze == Unfreeze::None =>
            {
                tracing::info!("note: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn tune(
        &self,
        imported: &Imported,
        layers: usize,
        stopped: &Fitted,
        run: &Run,
        history: &mut Vec<Epoch>,
    ) -> Result<(Tuned, Vec<TrackPrediction>)> {
        let (train, validation) =
            (self.recordings(&self.parts.train)?, self.recordings(&self.parts.validation)?);
        let front_end = &self.backbone.front_end;
        let task = DeepTask {
            train: &train,
            validation: &validation,
            classes: self.classes(),
            patch: [front_end.patch_frames, front_end.patch_hop],
            options: &self.config.deep,
            head: &self.config.head,
            seed: self.config.seed,
            device: &self.device,
        };
        let tuned = task.run(imported.cnn.clone(), layers, stopped, &run.checkpoints(), history)?;
        run.save_history(history)?;
        let folded = GenreModel {
            backbone: tuned.model.backbone,
            head: tuned.model.head.fold(&stopped.standardization),
        };
        let test = self.recordings(&self.parts.test)?;
        let predictions = task.predict(&folded, None, &test);
        Ok((Tuned { model: folded, ..tuned }, predictions))
    }

    /// Log-mels of tracks, in parallel.
    fn recordings(&self, tracks: &[usize]) -> Result<Vec<Recording>> {
        let reader = Reader::audio(&self.backbone.front_end)?;
        let bar = progress::begin(tracks.len(), "log-mels", "tracks");
        let one = |track: &usize| {
            let track = &self.dataset.tracks[*track];
            let log_mel = reader.read(&track.path)?;
            bar.advance(1);
            Ok(Recording { label: track.label, log_mel })
        };
        let recordings = tracks.par_iter().map(one).collect();
        drop(bar);
        recordings
    }

    /// Trains and tests a frozen head on every fold.
    fn cross_validation(&self, run: &Run) -> Result<Option<CrossValidation>> {
        if self.fold_splits.is_empty() {
            return Ok(None);
        }
        if self.config.deep.unfreeze != Unfreeze::None {
            tracing::info!(
                "note: the folds are those of the frozen head; --unfreeze is left out of them"
            );
        }
        let mut tested = vec![];
        let mut predictions = vec![];
        let mut accuracies = vec![];
        let mut listed = vec![];
        for split in &self.fold_splits {
            let parts = split.assign(&self.dataset)?;
            let (_, head) = self.heads(&parts, &mut vec![])?;
            let found = head.predict(&self.examples(&parts.test), &self.device);
            accuracies.push(
                collection::part_metrics(&self.dataset, &found, &parts.test, self.config.seed)
                    .tracks
                    .accuracy,
            );
            listed.push(collection::predictions(&self.dataset, &found, &parts.test));
            tested.extend(parts.test);
            predictions.extend(found);
        }
        run.save_folds(&listed)?;
        let pooled =
            collection::part_metrics(&self.dataset, &predictions, &tested, self.config.seed);
        Ok(Some(CrossValidation { model: Kept::Frozen, folds: accuracies, pooled }))
    }
}

fn burn_model(model: GenreModel) -> (Trained, usize) {
    let parameters = model.num_params();
    (Trained::Burn(Box::new(model)), parameters)
}
