//! A run of `train-cnn`: from the collection to the trained network and its figures.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::batches::Sample;
use super::calibration;
use super::calibration::Judges;
use super::fit::{CnnTask, FittedCnn};
use super::options::{CnnRunConfig, FitOptions};
use super::prepare::{CnnTraining, Fold};
use super::search;
use crate::charts::curves;
use crate::dataset::source::Source;
use crate::error::{Error, Result};
use crate::files;
use crate::metrics::Epoch;
use crate::model::{CnnEnsemble, Standardization};
use crate::run::{
    CalibrationMetrics, CnnMetrics, EnsembleSpec, Kept, Ledger, Look, MemberMetrics, Metrics,
    Predictions, Run, Score, Spec, names,
};
use crate::train::checkpoint::{Checkpoints, load_module, save_module};
use crate::train::collection;
use crate::train::destination::Destination;
use crate::train::prediction::TrackPrediction;
use crate::train::trained::Trained;
use crate::train::trust::calibrated;

/// Trains as `config` says, after a search if it says so; the finished run.
///
/// # Errors
/// [`Error::OutOfRange`] for a wrong option, [`Error::TooFew`] or [`Error::Mismatch`] for a wrong
/// collection or split and [`Error::TestPartUsed`] for a second search, before anything is
/// written; [`Error::Occupied`] for a taken folder; [`Error::Diverged`]; [`Error::Interrupted`]
/// on Ctrl-C, after which the run can be resumed.
pub fn train_cnn(config: &CnnRunConfig, destination: Destination) -> Result<Run> {
    let started = Instant::now();
    let resumed = destination.resumed().map(Run::split).transpose()?;
    let is_new = resumed.is_none();
    let mut training = CnnTraining::prepare(config.clone(), resumed)?;
    if is_new && config.search.search {
        Ledger::open(destination.runs())?.check_search(&training.split, config.search.again)?;
    }
    let run = training.open_run(&destination)?;
    let trained = training.search_and_train(&run);
    if is_new && matches!(&trained, Err(error) if !matches!(error, Error::Interrupted(_))) {
        run.give_up();
    }
    let Networks { stopped, refit, validation } = trained?;
    let members: Vec<MemberMetrics> = stopped.iter().map(FittedCnn::metrics).collect();
    let task = training.dataset.task;
    let ensemble = |networks: &[FittedCnn]| CnnEnsemble {
        members: networks.iter().map(|cnn| cnn.model.clone()).collect(),
        task,
    };
    let judge = ensemble(&stopped);
    let ensemble = ensemble(refit.as_deref().unwrap_or(&stopped));
    let tested = training.predict(&ensemble, &training.parts.test);
    let held_out = &training.parts.validation;
    let said = || Ok(training.predict(&judge, held_out));
    let thresholds = collection::thresholds(&training.dataset, said, held_out)?;
    let judges = Judges { stopped: &judge, are_kept: refit.is_none() };
    let trust = calibration::trust(&training, judges, &tested)?;
    let (trust, calibration) = trust.unzip();
    let found = calibrated(tested, trust.as_ref());
    let tested = Tested { found, thresholds, calibration };
    let test_uses = training.count_look(&run, is_new)?;
    let parameters = ensemble.num_params();
    run.save_model(Spec::Custom(training.spec(&ensemble)), &Trained::Custom(ensemble))?;
    trust.iter().try_for_each(|trust| run.save_trust(trust))?;
    let cnn = training.cnn_metrics(members, validation, test_uses);
    let metrics = training.metrics(cnn, parameters, &tested, started.elapsed().as_secs_f64())?;
    run.save_results(&metrics, &training.predictions(&tested))?;
    run.checkpoints().remove()?;
    run.remove_replaced()?;
    Ok(run)
}

/// Trains as `config` says and scores the validation tracks; the test part is not looked
/// at, and nothing is written.
///
/// # Errors
/// Those of [`train_cnn`].
pub fn validate_cnn(config: &CnnRunConfig) -> Result<(Vec<MemberMetrics>, Option<Score>)> {
    let training = CnnTraining::prepare(config.clone(), None)?;
    let Networks { stopped, validation, .. } = training.train(None)?;
    Ok((stopped.iter().map(FittedCnn::metrics).collect(), validation))
}

/// The networks of a run.
struct Networks {
    /// Those that early stopping chose, each with tracks that it has not learned from.
    stopped: Vec<FittedCnn>,
    /// The ones to use, trained again on all that may be learned from; none if the others are.
    refit: Option<Vec<FittedCnn>>,
    /// The score of the first on all tracks that were held out.
    validation: Option<Score>,
}

/// Training.
impl CnnTraining {
    fn search_and_train(&mut self, run: &Run) -> Result<Networks> {
        if self.config.search.search {
            let winner = search::run(self, run)?;
            self.config = winner.apply(&self.config);
        }
        self.train(Some(run))
    }

    /// Trains every network that is not yet trained. Without a run none is trained again.
    fn train(&self, run: Option<&Run>) -> Result<Networks> {
        let (mut stopped, mut history, mut scores) = (vec![], vec![], vec![]);
        let folds = self.folds()?;
        let cnn = self.config.architecture();
        let name = |number: usize| match folds.len() {
            1 => "network".to_owned(),
            _ => format!("network {}", number + 1),
        };
        let seed = |number: usize| self.config.seed.wrapping_add(number as u64);
        for (number, Fold { train, validation }) in folds.iter().enumerate() {
            let member = Member {
                stage: name(number),
                task: self.task(&cnn, seed(number)),
                train: self.pick(train),
                validation: self.pick(validation),
                is_again: false,
            };
            let fitted = match run {
                Some(run) => member.fit_in(run, &format!("member-{number}"), &mut history)?,
                None => member.fit(None, &mut |_| Ok(()))?,
            };
            scores.extend(fitted.validation.map(|score| (score, validation.len())));
            stopped.push(fitted);
        }
        let again = |run| {
            let both = [&self.parts.train[..], &self.parts.validation].concat();
            let one = |(number, stopped): (usize, &FittedCnn)| {
                let fit = FitOptions { epochs: stopped.epoch, ..self.config.fit.clone() };
                let task = CnnTask { options: &fit, ..self.task(&cnn, seed(number)) };
                let stage = format!("{} again", name(number));
                let (train, validation) = (self.pick(&both), vec![]);
                let member = Member { stage, task, train, validation, is_again: true };
                member.fit_in(run, &format!("member-{number}-again"), &mut history)
            };
            stopped.iter().enumerate().map(one).collect::<Result<_>>()
        };
        // Without held-out tracks the networks have learned from all already.
        let is_more = folds.iter().any(|fold| !fold.validation.is_empty());
        let refit = run.filter(|_| self.config.refit && is_more).map(again).transpose()?;
        Ok(Networks { stopped, refit, validation: Score::pooled(&scores) })
    }
}

/// What a finished run has.
impl CnnTraining {
    /// Writes down that the run has looked at the test part; how often that has happened.
    fn count_look(&self, run: &Run, is_new: bool) -> Result<usize> {
        // Given as ".", it would have no parent.
        let folder = run.folder().canonicalize().map_err(Error::io(run.folder()))?;
        let mut ledger = Ledger::open(folder.parent().unwrap_or(Path::new(".")))?;
        let look = Look::new(&self.split, &folder, self.config.search.search);
        if is_new { ledger.record(look) } else { ledger.record_once(look) }
    }

    fn spec(&self, ensemble: &CnnEnsemble) -> EnsembleSpec {
        EnsembleSpec {
            cnn: self.config.architecture(),
            members: ensemble.members.len(),
            input: self.preprocessor.patch(),
            classes: self.classes(),
            task: self.dataset.task,
        }
    }

    fn cnn_metrics(
        &self,
        members: Vec<MemberMetrics>,
        validation: Option<Score>,
        test_uses: usize,
    ) -> CnnMetrics {
        CnnMetrics {
            name: self.name(),
            source: Source::of(&self.preprocessor),
            pictures: self.recognized.clone(),
            architecture: self.config.architecture(),
            members,
            validation,
            teacher: self.config.teacher.as_ref().map(|run| run.display().to_string()),
            test_uses,
        }
    }

    fn metrics(
        &self,
        cnn: CnnMetrics,
        parameters: usize,
        tested: &Tested,
        seconds: f64,
    ) -> Result<Metrics> {
        let (test, seed) = (&self.parts.test, self.config.seed);
        Ok(Metrics {
            data: collection::training_data(&self.dataset, &self.copies, &self.parts),
            backbone: None,
            cnn: Some(cnn),
            unfrozen_layers: 0,
            parameters,
            import: None,
            frozen_validation: None,
            unfrozen_validation: None,
            unfrozen_speed: None,
            unfrozen_share: None,
            kept_as_asked: false,
            kept: Kept::FromScratch,
            test: collection::task_metrics(
                &self.dataset,
                &tested.found,
                test,
                tested.thresholds.as_deref(),
                seed,
            )?,
            cross_validation: None,
            calibration: tested.calibration.clone(),
            seconds,
        })
    }

    fn predictions(&self, tested: &Tested) -> Predictions {
        let Tested { found, thresholds, .. } = tested;
        let (tracks, thresholds) = (&self.parts.test, thresholds.as_deref());
        collection::task_predictions(&self.dataset, found, tracks, thresholds)
    }
}

/// What the networks say of the test tracks.
struct Tested {
    found: Vec<TrackPrediction>,
    /// Of the labels, where a track has several.
    thresholds: Option<Vec<f32>>,
    /// What they show of how far the networks can be trusted.
    calibration: Option<CalibrationMetrics>,
}

/// One network of a run, with the tracks it learns from and is scored on.
struct Member<'a> {
    stage: String,
    task: CnnTask<'a>,
    train: Vec<Sample>,
    validation: Vec<Sample>,
    /// Whether it learns once more.
    is_again: bool,
}

/// What is kept of a network that is fitted while the others are not.
#[derive(Serialize, Deserialize)]
struct Done {
    metrics: MemberMetrics,
    history: Vec<Epoch>,
}

impl Member<'_> {
    fn fit(
        &self,
        checkpoints: Option<&Checkpoints>,
        watch: &mut dyn FnMut(&[Epoch]) -> Result<()>,
    ) -> Result<FittedCnn> {
        self.task.fit(&self.stage, &self.train, &self.validation, checkpoints, watch)
    }

    /// Fits it as a network of `run` that has checkpoints of this `name`, or reads it if an
    /// interrupted run has finished it; adds its epochs to `history`.
    fn fit_in(&self, run: &Run, name: &str, history: &mut Vec<Epoch>) -> Result<FittedCnn> {
        let folder = run.path(names::CHECKPOINT).join(name);
        let (done, weights) = (folder.join("done.json"), folder.join("done.bpk"));
        if done.is_file() {
            let saved: Done = files::read_json(&done)?;
            history.extend(saved.history);
            return self.read(saved.metrics, &weights);
        }
        let before = history.clone();
        let mut own = vec![];
        let mut watch = |epochs: &[Epoch]| {
            own = epochs.to_vec();
            let all = [&before[..], epochs].concat();
            run.save_history(&all)?;
            if self.is_again {
                // The curves that led to the choice of the epochs stay.
                return Ok(());
            }
            files::write(&run.path(names::CURVES), curves(&self.stage, &all)?.as_bytes())
        };
        let fitted = self.fit(Some(&Checkpoints::new(folder)), &mut watch)?;
        save_module(&fitted.model, &weights)?;
        history.extend(own.iter().cloned());
        files::write_json(&done, &Done { metrics: fitted.metrics(), history: own })?;
        Ok(fitted)
    }

    fn read(&self, metrics: MemberMetrics, weights: &Path) -> Result<FittedCnn> {
        let CnnTask { cnn, patch: [frames, _], classes, device, .. } = self.task;
        let mels = self.train.first().map_or(0, |sample| sample.log_mel.ncols());
        // Its statistics are in the file, too.
        let neutral = Standardization::none(mels);
        let model = cnn.init([frames, mels], classes, &neutral, 0, device);
        let MemberMetrics { validation, epoch, speed } = metrics;
        Ok(FittedCnn { model: load_module(weights, model)?, validation, epoch, speed })
    }
}
