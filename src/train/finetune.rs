//! A fine-tuning run, from the collection to the trained model and its figures.

use std::time::Instant;

use burn::module::Module;

use super::collection;
use super::collection::FoldPlan;
use super::config::{BatchNorm, Config, HeadOptions, Keep, Unfreeze};
use super::cross::Cross;
use super::deep::{DeepTask, TrackLogMel, Tuned};
use super::destination::Destination;
use super::embeddings::Embeddings;
use super::fit::{Example, Fitted, HeadTask, predict_raw};
use super::prediction::TrackPrediction;
use super::prepared::FineTuning;
use super::trained::{OnBackbone, Trained};
use super::trust::{HeldOut, average_of, calibrated};
use crate::dataset::Parts;
use crate::error::{Error, Result};
use crate::metrics::Epoch;
use crate::model::graph::{Imported, import_fed};
use crate::model::{GenreModel, Head};
use crate::run::{
    Calibrated, CalibrationMetrics, CrossValidation, Kept, Metrics, ModelSpec, PartMetrics,
    Predictions, Proof, Run, Score, Spec, Speed, Trust,
};

/// Trains as `config` says; the finished run.
///
/// # Errors
/// [`Error::OutOfRange`] for a wrong option and [`Error::TooFew`] or [`Error::Mismatch`] for a
/// wrong collection or split, before anything is written; [`Error::Occupied`] for a taken folder;
/// errors of the backbone; [`Error::Diverged`]; [`Error::Interrupted`] on Ctrl-C.
pub fn finetune(config: &Config, destination: Destination) -> Result<Run> {
    config.check()?;
    let started = Instant::now();
    let is_new = destination.resumed().is_none();
    let tuning = FineTuning::prepare(config, destination.resumed())?;
    let run = tuning.open_run(&destination)?;
    let mut history = vec![];
    let outcome = tuning.train(&run, &mut history);
    if is_new && outcome.is_err() {
        // If it was interrupted with a checkpoint, that stays.
        run.give_up();
    }
    let outcome = outcome?;
    run.save_history(&history)?;
    run.save_model(Spec::Backbone(outcome.spec.clone()), &outcome.network.model)?;
    outcome.network.trust.iter().try_for_each(|trust| run.save_trust(trust))?;
    let predictions = tuning.predictions(&outcome);
    let metrics = tuning.metrics(outcome, started.elapsed().as_secs_f64())?;
    run.save_results(&metrics, &predictions)?;
    run.checkpoints().remove()?;
    run.remove_replaced()?;
    Ok(run)
}

/// The heads that are fitted on the frozen backbone.
struct Heads {
    /// The one that early stopping chose.
    stopped: Fitted,
    /// The one to use: trained again on training and validation part together, for as many
    /// epochs; with `no_refit` the same as `stopped`.
    refit: Fitted,
}

/// A network that can be kept, and what it says of the test part.
struct Network {
    model: Trained,
    parameters: usize,
    kept: Kept,
    unfrozen_layers: usize,
    /// Of the labels, where a track has several.
    thresholds: Option<Vec<f32>>,
    /// How far it can be trusted; none of several labels a track, and where nothing tells.
    trust: Option<Trust>,
    calibration: Option<CalibrationMetrics>,
    test: Vec<TrackPrediction>,
}

/// What a training comes to, before it is saved.
struct Outcome {
    network: Network,
    spec: ModelSpec,
    import: Option<Proof>,
    frozen_validation: Option<Score>,
    unfrozen_validation: Option<Score>,
    unfrozen_speed: Option<Speed>,
    unfrozen_share: Option<f64>,
    cross_validation: Option<CrossValidation>,
}

impl FineTuning<'_> {
    fn open_run(&self, destination: &Destination) -> Result<Run> {
        let stem = format!("{}-{}", self.backbone.source.name, collection::name(&self.dataset));
        let run = destination.create(&stem)?;
        if destination.resumed().is_some() {
            return Ok(run);
        }
        let config = self.config.absolute(&self.dataset.root);
        let lists = match &self.folds {
            Some(FoldPlan::Given { lists, .. }) => Some(&lists[..]),
            _ => None,
        };
        run.save_start(&config, &self.split, &self.backbone.front_end, lists)?;
        Ok(run)
    }

    fn train(&self, run: &Run, history: &mut Vec<Epoch>) -> Result<Outcome> {
        // First, so that what cannot be done is known before anything is trained.
        let imported = self.import()?;
        let cross_validation = self.cross_validation(run)?;
        let Heads { stopped, refit } = self.heads(&self.parts, history)?;
        run.save_history(history)?;
        let spec = ModelSpec {
            backbone: None,
            imported: imported.is_some(),
            head: self.head_spec(),
            feed: Some(self.feed.clone()),
        };
        let import = imported.as_ref().map(|imported| imported.proof);
        let tuned = match &imported {
            Some(imported) => self.tune(imported, &stopped, run, history)?,
            None => None,
        };
        let frozen_validation = stopped.validation;
        let unfrozen_validation = tuned.as_ref().and_then(|tuned| tuned.validation);
        let unfrozen_speed = tuned.as_ref().map(|tuned| tuned.speed);
        let unfrozen_share = tuned.as_ref().map(|tuned| tuned.share);
        let is_kept = match self.config.deep.keep {
            Keep::Best => Score::loss_of(unfrozen_validation) < Score::loss_of(frozen_validation),
            Keep::Tuned => true,
            Keep::Frozen => false,
        };
        let network = match tuned {
            Some(tuned) if is_kept => self.unfrozen(tuned, &stopped)?,
            _ => self.frozen(imported, &stopped, &refit)?,
        };
        Ok(Outcome {
            network,
            spec,
            import,
            frozen_validation,
            unfrozen_validation,
            unfrozen_speed,
            unfrozen_share,
            cross_validation,
        })
    }

    fn heads(&self, parts: &Parts, history: &mut Vec<Epoch>) -> Result<Heads> {
        let (train, validation) = (self.examples(&parts.train), self.examples(&parts.validation));
        let task = HeadTask {
            spec: self.head_spec(),
            train: &train,
            validation: &validation,
            options: &self.config.head,
            seed: self.config.seed,
            device: &self.device,
        };
        let stopped = task.fit("head", history)?;
        if self.config.no_refit || validation.is_empty() {
            return Ok(Heads { refit: stopped.clone(), stopped });
        }
        let both = [&train[..], &validation].concat();
        let options = HeadOptions { epochs: stopped.epoch, ..self.config.head.clone() };
        let task = HeadTask { train: &both, validation: &[], options: &options, ..task };
        Ok(Heads { refit: task.fit("refit", history)?, stopped })
    }

    /// The backbone in burn; none if the importer cannot take it over and no layer is to be
    /// trained.
    fn import(&self) -> Result<Option<Imported>> {
        let (kind, feed) = (self.backbone.front_end.patch_kind(), self.feed.clone());
        match import_fed(&self.backbone.path, kind, feed, &self.device) {
            Ok(imported) => {
                if imported.graph.depth() == 0 && self.config.deep.unfreeze != Unfreeze::None {
                    let reason = "it has no layer with float weights that ‹unfreeze› could train; \
                                  leave it out";
                    return Err(Error::onnx(&self.backbone.path, reason));
                }
                let learns_statistics = self.config.deep.batch_norm == BatchNorm::Train;
                if let Some(batch) = self.feed.input.batch.filter(|_| learns_statistics) {
                    let reason = format!(
                        "it takes {batch} patches at a time, whose statistics ‹batch-norm› train \
                         would learn from; leave it out"
                    );
                    return Err(Error::onnx(&self.backbone.path, reason));
                }
                Ok(Some(imported))
            }
            Err(error @ (Error::UnsupportedOperator { .. } | Error::Onnx { .. }))
                if self.config.deep.unfreeze == Unfreeze::None =>
            {
                tracing::info!("note: {error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How many of the backbone's layers are to learn.
    fn unfrozen_layers(&self, imported: &Imported) -> usize {
        let depth = imported.graph.depth();
        match self.config.deep.unfreeze {
            Unfreeze::None => 0,
            Unfreeze::Last(layers) => depth.min(layers.into()),
            Unfreeze::All => depth,
        }
    }

    /// The network with its last layers trained too, if any are to be.
    fn tune(
        &self,
        imported: &Imported,
        stopped: &Fitted,
        run: &Run,
        history: &mut Vec<Epoch>,
    ) -> Result<Option<Tuned>> {
        let layers = self.unfrozen_layers(imported);
        if layers == 0 {
            return Ok(None);
        }
        let train = self.log_mels(&self.parts.train)?;
        let validation = self.log_mels(&self.parts.validation)?;
        let task = self.deep_task(&train, &validation);
        let tuned =
            task.run(imported.graph.clone(), layers, stopped, &run.checkpoints(), history)?;
        run.save_history(history)?;
        Ok(Some(tuned))
    }

    fn deep_task<'t>(
        &'t self,
        train: &'t [TrackLogMel],
        validation: &'t [TrackLogMel],
    ) -> DeepTask<'t> {
        DeepTask {
            train,
            validation,
            classes: self.classes(),
            task: self.dataset.task,
            patch: [self.backbone.patch()[0], self.backbone.front_end.hop()],
            depth: self.feed.input.parts[2],
            level: mean_level(train),
            options: &self.config.deep,
            head: &self.config.head,
            seed: self.config.seed,
            device: &self.device,
        }
    }

    /// The network whose layers were trained with the head `stopped`. It is calibrated on the
    /// validation part.
    fn unfrozen(&self, tuned: Tuned, stopped: &Fitted) -> Result<Network> {
        let head = tuned.model.head.fold(&stopped.standardization);
        let model = GenreModel { backbone: tuned.model.backbone, head };
        let task = self.deep_task(&[], &[]);
        let embed = |tracks: &[usize]| task.embeddings(&model, &self.log_mels(tracks)?);
        let Parts { train, validation, test, .. } = &self.parts;
        let (of_validation, of_test) = (embed(validation)?, embed(test)?);
        let judge = |head: &Head, embeddings: &[Embeddings]| -> Vec<TrackPrediction> {
            embeddings.iter().map(|one| predict_raw(head, one, &self.device)).collect()
        };
        let judged = || Ok(judge(&model.head, &of_validation));
        let thresholds = collection::thresholds(&self.dataset, judged, validation)?;
        let said = judge(&model.head, &of_test);
        let (mut trust, mut calibration) = (None, None);
        if self.dataset.task.is_single() && !validation.is_empty() {
            let of_train = embed(train)?;
            let dataset = &self.dataset;
            let held_out = HeldOut {
                calibrated: Calibrated::Validation,
                classes: self.classes(),
                learned: Example::of_tracks(dataset, train, &of_train),
                held_out: Example::of_tracks(dataset, validation, &of_validation),
                said: &judge(&model.head, &of_validation),
            };
            let found = held_out.trust();
            calibration = Some(found.test(&Example::of_tracks(dataset, test, &of_test), &said));
            trust = Some(found);
        }
        Ok(Network {
            parameters: model.num_params(),
            model: Trained::Backbone(OnBackbone::tuned(self.backbone.path.clone(), model)),
            kept: Kept::Unfrozen,
            unfrozen_layers: tuned.layers,
            thresholds,
            test: calibrated(said, trust.as_ref()),
            trust,
            calibration,
        })
    }

    /// The network of the backbone as it came, which stays an ONNX file where it could not be
    /// imported. The head `refit` has learned from the validation tracks: thresholds are those of
    /// `stopped`, which has not. It is calibrated by cross-validation.
    fn frozen(
        &self,
        imported: Option<Imported>,
        stopped: &Fitted,
        refit: &Fitted,
    ) -> Result<Network> {
        let test = self.examples(&self.parts.test);
        let said = refit.predict(&test, &self.device);
        let trust = self.cross_trust(stopped)?;
        let calibration = trust.as_ref().map(|trust| trust.test(&test, &said));
        let test = calibrated(said, trust.as_ref());
        let head = Box::new(refit.folded());
        let graph = imported.map(|imported| Box::new(imported.graph));
        let learned = graph.as_ref().map_or(0, |graph| graph.num_params());
        let parameters = head.num_params() + learned;
        let path = self.backbone.path.clone();
        let model = Trained::Backbone(OnBackbone { path, graph, is_tuned: false, head });
        let validation = &self.parts.validation;
        let judge = || Ok(stopped.predict(&self.examples(validation), &self.device));
        let thresholds = collection::thresholds(&self.dataset, judge, validation)?;
        let (kept, unfrozen_layers) = (Kept::Frozen, 0);
        Ok(Network {
            model,
            parameters,
            kept,
            unfrozen_layers,
            thresholds,
            trust,
            calibration,
            test,
        })
    }

    /// How far a head can be trusted that is fitted as `stopped` was.
    fn cross_trust(&self, stopped: &Fitted) -> Result<Option<Trust>> {
        if !self.dataset.task.is_single() {
            return Ok(None);
        }
        let task = HeadTask {
            spec: self.head_spec(),
            train: &[],
            validation: &[],
            options: &self.config.head,
            seed: self.config.seed,
            device: &self.device,
        };
        let tracks = [&self.parts.train[..], &self.parts.validation].concat();
        let examples = self.examples(&tracks);
        Cross { dataset: &self.dataset, tracks, examples, task, epochs: stopped.epoch }.trust()
    }

    /// Trains and tests a frozen head on every fold.
    fn cross_validation(&self, run: &Run) -> Result<Option<CrossValidation>> {
        if self.fold_splits.is_empty() {
            return Ok(None);
        }
        if self.config.deep.unfreeze != Unfreeze::None {
            tracing::info!(
                "note: the folds are those of the frozen head; ‹unfreeze› is left out of them"
            );
        }
        let mut tested = vec![];
        let mut predictions = vec![];
        let mut accuracies = vec![];
        let mut listed = vec![];
        for split in &self.fold_splits {
            let parts = split.assign(&self.dataset)?;
            let Heads { stopped, refit } = self.heads(&parts, &mut vec![])?;
            let mut found = refit.predict(&self.examples(&parts.test), &self.device);
            if self.dataset.task.is_single() {
                let held_out = self.examples(&parts.validation);
                let said = stopped.predict(&held_out, &self.device);
                let average = average_of(&held_out, &said);
                found.iter_mut().for_each(|found| found.mean = found.averaged(average));
            }
            accuracies.push(self.part_metrics(&found, &parts.test)?.tracks.accuracy);
            listed.push(collection::predictions(&self.dataset, &found, &parts.test));
            tested.extend(parts.test);
            predictions.extend(found);
        }
        run.save_folds(&listed)?;
        let pooled = self.part_metrics(&predictions, &tested)?;
        Ok(Some(CrossValidation { model: Kept::Frozen, folds: accuracies, pooled }))
    }

    fn part_metrics(&self, found: &[TrackPrediction], tracks: &[usize]) -> Result<PartMetrics> {
        collection::part_metrics(&self.dataset, found, tracks, self.config.seed)
    }

    fn predictions(&self, outcome: &Outcome) -> Predictions {
        let Network { test, thresholds, .. } = &outcome.network;
        let (tracks, thresholds) = (&self.parts.test, thresholds.as_deref());
        collection::task_predictions(&self.dataset, test, tracks, thresholds)
    }

    fn metrics(&self, outcome: Outcome, seconds: f64) -> Result<Metrics> {
        let network = outcome.network;
        let (tracks, seed) = (&self.parts.test, self.config.seed);
        let thresholds = network.thresholds.as_deref();
        Ok(Metrics {
            data: collection::training_data(&self.dataset, &self.copies, &self.parts),
            backbone: Some(self.backbone.source.clone()),
            cnn: None,
            unfrozen_layers: network.unfrozen_layers,
            parameters: network.parameters,
            import: outcome.import,
            frozen_validation: outcome.frozen_validation,
            unfrozen_validation: outcome.unfrozen_validation,
            unfrozen_speed: outcome.unfrozen_speed,
            unfrozen_share: outcome.unfrozen_share,
            kept: network.kept,
            kept_as_asked: self.config.deep.keep != Keep::Best,
            test: collection::task_metrics(&self.dataset, &network.test, tracks, thresholds, seed)?,
            cross_validation: outcome.cross_validation,
            calibration: network.calibration,
            seconds,
        })
    }
}

/// The mean of all values of `tracks`.
fn mean_level(tracks: &[TrackLogMel]) -> f32 {
    let sum: f64 =
        tracks.iter().flat_map(|track| &track.log_mel).map(|value| f64::from(*value)).sum();
    let count: usize = tracks.iter().map(|track| track.log_mel.len()).sum();
    (sum / count.max(1) as f64) as f32
}
