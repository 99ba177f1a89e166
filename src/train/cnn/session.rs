//! A run of `train-cnn`: from the collection to the trained network and its figures.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::batches::Sample;
use super::fit::{CnnTask, FittedCnn, Speed, predict};
use super::ledger::Ledger;
use super::options::CnnRunConfig;
use super::source::Spectrograms;
use super::{search, teacher};
use crate::charts::curves;
use crate::dataset::{Dataset, Parts, Split};
use crate::error::{Error, Result};
use crate::features::{LogMel, Preprocessor};
use crate::files;
use crate::model::{CnnConfig, CnnEnsemble, EnsembleSpec, burn_device};
use crate::train::checkpoint::{load_module, module_bytes};
use crate::train::fit::{Epoch, Score, TrackPrediction};
use crate::train::run::{Metrics, Run, Spec, Trained};
use crate::train::{Destination, collection};

/// What is to be said of CNNs of our own, in `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CnnMetrics {
    /// What the model is called in reports: the preset's name, or `cnn`.
    pub name: String,
    /// `pictures` or `audio`.
    pub source: String,
    /// The architecture.
    pub architecture: CnnConfig,
    /// The networks, one for each fold.
    pub members: Vec<MemberMetrics>,
    /// Score on all validation tracks; with folds, on all of the 80 %, each track scored by
    /// the network that has not seen it.
    pub validation: Option<Score>,
    /// The run whose probabilities were learned from.
    pub teacher: Option<String>,
    /// How often the test part of this split was looked at, this time included.
    pub test_uses: usize,
}

/// What is to be said of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberMetrics {
    /// Score on its validation tracks.
    pub validation: Option<Score>,
    /// The epoch it was taken from.
    pub epoch: usize,
    /// How fast it learned.
    pub speed: Speed,
}

/// Trains as `config` says, after a search if it says so; the finished run.
///
/// # Errors
/// [`Error::Config`] and [`Error::Data`] before anything is written;
/// [`Error::Interrupted`] on Ctrl-C, after which the run can be resumed.
pub fn train_cnn(config: &CnnRunConfig, destination: Destination) -> Result<Run> {
    let started = Instant::now();
    let resumed = match &destination {
        Destination::Resume(run) => Some(run.split()?),
        _ => None,
    };
    let is_new = resumed.is_none();
    let mut session = CnnSession::prepare(config.clone(), resumed)?;
    if is_new && config.search.search {
        Ledger::open(destination.runs())?.check_search(&session.split, config.search.again)?;
    }
    let run = session.open_run(destination)?;
    let trained = session.search_and_train(&run);
    if is_new && matches!(&trained, Err(error) if !matches!(error, Error::Interrupted(_))) {
        run.give_up();
    }
    session.finish(&run, trained?, started, !is_new)?;
    Ok(run)
}

/// Trains as `config` says and scores the validation tracks; the test part is not looked
/// at, and nothing is written.
///
/// # Errors
/// Those of [`train_cnn`].
pub fn validate_cnn(config: &CnnRunConfig) -> Result<(Vec<MemberMetrics>, Option<Score>)> {
    let session = CnnSession::prepare(config.clone(), None)?;
    let (members, validation) = session.train(None)?;
    Ok((members.iter().map(FittedCnn::metrics).collect(), validation))
}

/// A collection with its split, ready to learn from.
#[derive(Debug)]
pub struct CnnSession {
    pub(super) config: CnnRunConfig,
    pub(super) device: Device,
    pub(super) dataset: Dataset,
    samples: Vec<Sample>,
    pub(super) preprocessor: Preprocessor,
    pub(super) split: Split,
    parts: Parts,
}

/// One network's share of the 80 %.
struct Fold {
    train: Vec<usize>,
    validation: Vec<usize>,
}

impl CnnSession {
    /// Reads the collection; `split` where there already is one.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Data`].
    pub fn prepare(config: CnnRunConfig, split: Option<Split>) -> Result<Self> {
        config.check()?;
        let device = burn_device(config.device)?;
        let Spectrograms { dataset, mut samples, preprocessor } = Spectrograms::open(&config)?;
        collection::report_origin(&dataset, config.data.is_some());
        collection::report_skipped(&dataset, config.strict)?;
        if !config.search.search {
            config.architecture().check(preprocessor.patch())?;
        }
        let shares = [config.test_fraction, config.validation_fraction];
        let make = || collection::split(&config.split, shares, config.seed, &dataset);
        let split = split.map_or_else(make, Ok)?;
        let parts = split.assign(&dataset)?;
        collection::report_parts(&parts);
        if let Some(run) = &config.teacher {
            let learned: Vec<usize> = [&parts.train[..], &parts.validation[..]].concat();
            teacher::ask(run, &split, &dataset, &learned, &mut samples)?;
        }
        Ok(Self { config, device, dataset, samples, preprocessor, split, parts })
    }

    fn open_run(&self, destination: Destination) -> Result<Run> {
        let stem = format!("{}-{}", self.name(), collection::name(&self.dataset));
        let run = match destination {
            Destination::Free(runs) => Run::create(&Run::free_folder(&runs, &stem), false)?,
            Destination::Named(folder, force) => Run::create(&folder, force)?,
            Destination::Resume(run) => return Ok(run),
        };
        let config = self.config.absolute(&self.dataset.root);
        run.save_start(&config, &self.split, &self.preprocessor)?;
        Ok(run)
    }

    fn name(&self) -> String {
        let name = match self.config.cnn {
            _ if self.config.search.search => "searched".to_owned(),
            Some(_) => "cnn".to_owned(),
            None => format!("{:?}", self.config.preset).to_lowercase(),
        };
        match self.config.folds {
            Some(folds) => format!("{name}-{folds}-folds"),
            None => name,
        }
    }

    fn pick(&self, tracks: &[usize]) -> Vec<Sample> {
        tracks.iter().map(|track| self.samples[*track].clone()).collect()
    }

    fn classes(&self) -> usize {
        self.dataset.genres.len()
    }

    /// The task for an architecture, the rest being as this session is told.
    pub(super) fn task<'b>(&'b self, cnn: &'b CnnConfig, seed: u64) -> CnnTask<'b> {
        CnnTask {
            cnn,
            patch: [self.preprocessor.patch()[0], self.preprocessor.hop()],
            classes: self.classes(),
            options: &self.config.fit,
            augmentation: &self.config.augmentation,
            teacher_share: self.config.teacher_share,
            seed,
            device: &self.device,
            quiet: false,
        }
    }

    fn search_and_train(&mut self, run: &Run) -> Result<(Vec<FittedCnn>, Option<Score>)> {
        if self.config.search.search {
            let winner = search::run(self, run)?;
            self.config = winner.apply(&self.config);
        }
        self.train(Some(run))
    }

    /// Training and validation tracks of the split: what a search may look at.
    pub(super) fn train_and_validation(&self) -> (Vec<Sample>, Vec<Sample>) {
        (self.pick(&self.parts.train), self.pick(&self.parts.validation))
    }

    /// The split's own training and validation part, or folds of both together.
    fn folds(&self) -> Result<Vec<Fold>> {
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

    /// Trains every member that is not yet trained.
    fn train(&self, run: Option<&Run>) -> Result<(Vec<FittedCnn>, Option<Score>)> {
        let (mut members, mut history, mut scores) = (vec![], vec![], vec![]);
        let folds = self.folds()?;
        for (number, Fold { train, validation }) in folds.iter().enumerate() {
            let stage = match folds.len() {
                1 => "network".to_owned(),
                _ => format!("network {}", number + 1),
            };
            let validation = self.pick(validation);
            let cnn = self.config.architecture();
            let task = self.task(&cnn, self.config.seed.wrapping_add(number as u64));
            let fitted = self.member(
                &task,
                &stage,
                run,
                number,
                &self.pick(train),
                &validation,
                &mut history,
            )?;
            scores.extend(fitted.validation.map(|score| (score, validation.len())));
            members.push(fitted);
        }
        Ok((members, Score::pooled(&scores)))
    }

    /// Fits one member, or reads it if an interrupted run has finished it.
    #[allow(clippy::too_many_arguments)]
    fn member(
        &self,
        task: &CnnTask,
        stage: &str,
        run: Option<&Run>,
        number: usize,
        train: &[Sample],
        validation: &[Sample],
        history: &mut Vec<Epoch>,
    ) -> Result<FittedCnn> {
        let Some(run) = run else {
            return task.fit(stage, train, validation, None, &mut |_| Ok(()));
        };
        let folder = run.folder().join("checkpoint").join(format!("member-{number}"));
        let (done, weights) = (folder.join("done.json"), folder.join("done.bpk"));
        if done.is_file() {
            let saved: Done = files::read_json(&done)?;
            history.extend(saved.history);
            let neutral = crate::model::Standardization::none(self.preprocessor.patch()[1]);
            let input = self.preprocessor.patch();
            let model = task.cnn.init(input, task.classes, &neutral, 0, &self.device);
            let MemberMetrics { validation, epoch, speed } = saved.metrics;
            return Ok(FittedCnn {
                model: load_module(&weights, model)?,
                validation,
                epoch,
                speed,
            });
        }
        let before = history.clone();
        let checkpoints = crate::train::Checkpoints::new(folder.clone());
        let mut own = vec![];
        let mut watch = |epochs: &[Epoch]| {
            own = epochs.to_vec();
            let all = [&before[..], epochs].concat();
            run.save_history(&all)?;
            files::write(&run.folder().join("curves.svg"), curves(stage, &all)?.as_bytes())
        };
        let fitted = task.fit(stage, train, validation, Some(&checkpoints), &mut watch)?;
        files::write(&weights, &module_bytes(&fitted.model, &weights)?)?;
        history.extend(own.iter().cloned());
        files::write_json(&done, &Done { metrics: fitted.metrics(), history: own })?;
        Ok(fitted)
    }

    /// Tests the networks, once, and writes what a finished run has.
    fn finish(
        &self,
        run: &Run,
        (members, validation): (Vec<FittedCnn>, Option<Score>),
        started: Instant,
        resumed: bool,
    ) -> Result<()> {
        let cnn = self.config.architecture();
        let metrics: Vec<MemberMetrics> = members.iter().map(FittedCnn::metrics).collect();
        let ensemble =
            CnnEnsemble { members: members.into_iter().map(|fitted| fitted.model).collect() };
        let spec = EnsembleSpec {
            cnn: cnn.clone(),
            members: ensemble.members.len(),
            input: self.preprocessor.patch(),
            classes: self.classes(),
        };
        let parameters = ensemble.num_params();
        let found = self.predict(&ensemble, &self.parts.test);
        // Given as ".", it would have no parent.
        let folder = run.folder().canonicalize().map_err(Error::io(run.folder()))?;
        let runs = folder.parent().unwrap_or(Path::new("."));
        let search = self.config.search.search;
        let test_uses = Ledger::open(runs)?.record(&self.split, &folder, search, resumed)?;
        run.save_model(Spec::Custom(spec), &Trained::Custom(ensemble))?;
        let teacher = self.config.teacher.as_ref().map(|run| run.display().to_string());
        let cnn = CnnMetrics {
            name: self.name(),
            source: match self.preprocessor {
                Preprocessor::Picture(_) => "pictures",
                Preprocessor::Audio(_) => "audio",
            }
            .to_owned(),
            architecture: cnn,
            members: metrics,
            validation,
            teacher,
            test_uses,
        };
        let test = &self.parts.test;
        let metrics = Metrics {
            data: collection::training_data(&self.dataset),
            backbone: None,
            cnn: Some(cnn),
            unfrozen_layers: 0,
            parameters,
            import: None,
            frozen_validation: None,
            unfrozen_validation: None,
            kept: "trained from scratch".to_owned(),
            test: collection::part_metrics(&self.dataset, &found, test, self.config.seed),
            cross_validation: None,
            seconds: started.elapsed().as_secs_f64(),
        };
        run.save_results(&metrics, &collection::predictions(&self.dataset, &found, test))?;
        run.checkpoints().remove()?;
        run.forget_replaced()
    }

    fn predict(&self, ensemble: &CnnEnsemble, tracks: &[usize]) -> Vec<TrackPrediction> {
        let log_mels: Vec<&LogMel> = tracks.iter().map(|t| &self.samples[*t].log_mel).collect();
        let patch = [self.preprocessor.patch()[0], self.preprocessor.hop()];
        let device = &self.device;
        predict(&log_mels, patch, self.classes(), device, |x| ensemble.probabilities(x).0)
    }
}

/// A finished member of a run that is not yet complete.
#[derive(Serialize, Deserialize)]
struct Done {
    metrics: MemberMetrics,
    history: Vec<Epoch>,
}

impl FittedCnn {
    fn metrics(&self) -> MemberMetrics {
        MemberMetrics { validation: self.validation, epoch: self.epoch, speed: self.speed }
    }
}
