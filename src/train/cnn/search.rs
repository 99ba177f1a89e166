//! Search for an architecture by successive halving (Jamieson & Talwalkar 2016).
//!
//! Many architectures are trained for a few epochs, the better third of them longer, and
//! so on; each time from scratch, since a learning rate that has gone down to nothing
//! cannot go on. They are compared by their loss on the validation part, which lies
//! inside the 80 %: the test part is not touched.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::time::Instant;

use burn::module::Module;
use indicatif::ProgressBar;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::batches::Sample;
use super::chart;
use super::options::{CnnRunConfig, FitOptions};
use super::session::CnnSession;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{BlockPooling, CnnConfig, GlobalPooling, Preset, Standardization};
use crate::progress;
use crate::train::fit::Score;
use crate::train::interrupt;
use crate::train::run::Run;

/// Multiplications that an architecture of the search may take for a patch, so that the
/// search ends: two cores learn from 240 patches a second at 24 million.
const DEAREST: usize = 30_000_000;

/// Of the architectures of one rung, one in so many goes on to the next.
const KEPT: usize = 3;

/// One architecture with its training, and how it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counted from one.
    pub number: usize,
    /// The architecture.
    pub cnn: CnnConfig,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Alpha of mixup.
    pub mixup: f64,
    /// Parameters.
    pub parameters: usize,
    /// Multiplications a patch takes.
    pub multiply_adds: usize,
    /// Results, one for each rung it came to.
    pub rungs: Vec<Rung>,
}

/// One training of a [`Trial`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Epochs trained.
    pub epochs: usize,
    /// Score on the validation part; the loss is infinite where training diverged.
    pub validation: Score,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// `search.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// Seed of the sampler.
    pub seed: u64,
    /// Architectures and epochs of each rung.
    pub plan: Vec<(usize, usize)>,
    /// All trials.
    pub trials: Vec<Trial>,
    /// Number of the best one, once the search is complete.
    pub winner: Option<usize>,
    /// Wall-clock seconds, summed up over interruptions.
    pub seconds: f64,
}

impl Trial {
    /// `config` with this trial's architecture and training.
    pub fn apply(&self, config: &CnnRunConfig) -> CnnRunConfig {
        let mut config = config.clone();
        config.cnn = Some(self.cnn.clone());
        config.fit.learning_rate = self.learning_rate;
        config.augmentation.mixup = self.mixup;
        if config.search.quick {
            config.fit.epochs = config.fit.epochs.min(QUICK_EPOCHS);
        }
        config
    }

    /// The last score: that of the longest training.
    pub fn last(&self) -> Option<&Rung> {
        self.rungs.last()
    }

    fn loss(&self) -> f64 {
        self.last().map_or(f64::INFINITY, |rung| rung.validation.loss)
    }
}

/// Epochs of the winner's training after a quick search.
const QUICK_EPOCHS: usize = 10;

/// Architectures and epochs of each rung.
fn plan(config: &CnnRunConfig) -> Vec<(usize, usize)> {
    let (first, epochs): (usize, &[usize]) =
        if config.search.quick { (8, &[1, 4]) } else { (27, &[5, 20, 60]) };
    let mut count = config.search.configurations.unwrap_or(first);
    let mut plan = vec![];
    for epochs in epochs {
        plan.push((count, *epochs));
        count = count.div_ceil(KEPT);
    }
    plan
}

/// The first `count` trials of `seed`: the presets, then sampled architectures.
fn trials(count: usize, seed: u64, config: &CnnRunConfig, input: [usize; 2]) -> Vec<Trial> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let presets = [Preset::Simple, Preset::Vgg, Preset::Resnet, Preset::Searched];
    let (rate, mixup) = (config.fit.learning_rate, config.augmentation.mixup);
    let mut found: Vec<(CnnConfig, f64, f64)> =
        presets.map(|preset| (preset.config(), rate, mixup)).to_vec();
    let mut seen: HashSet<String> = HashSet::new();
    let fits = |cnn: &CnnConfig| cnn.check(input).is_ok() && cnn.multiply_adds(input) <= DEAREST;
    found.retain(|(cnn, ..)| fits(cnn) && seen.insert(format!("{cnn:?}")));
    // Patches may be so small that few architectures fit them.
    for _ in 0..count * 1000 {
        if found.len() >= count {
            break;
        }
        let sampled = sample(&mut random);
        if fits(&sampled.0) && seen.insert(format!("{:?}", sampled.0)) {
            found.push(sampled);
        }
    }
    let trial = |(at, (cnn, learning_rate, mixup)): (usize, (CnnConfig, f64, f64))| Trial {
        number: at + 1,
        learning_rate,
        mixup,
        parameters: parameters(&cnn, input),
        multiply_adds: cnn.multiply_adds(input),
        cnn,
        rungs: vec![],
    };
    found.into_iter().take(count).enumerate().map(trial).collect()
}

/// Parameters but for those of the output, which depend on the number of genres.
fn parameters(cnn: &CnnConfig, input: [usize; 2]) -> usize {
    let device = burn::tensor::Device::flex();
    cnn.init(input, 1, &Standardization::none(input[1]), 0, &device).num_params()
}

fn sample(random: &mut ChaCha8Rng) -> (CnnConfig, f64, f64) {
    fn one<T: Copy>(random: &mut ChaCha8Rng, from: &[T]) -> T {
        *from.choose(random).unwrap_or(&from[0])
    }
    let blocks = random.random_range(3..=5);
    let first = one(random, &[16, 24, 32, 48]);
    let widest = one(random, &[96, 128, 192, 256]);
    let filters = (0..blocks).map(|block| (first << block).min(widest)).collect();
    let cnn = CnnConfig {
        filters,
        convolutions: one(random, &[1, 2]),
        kernel: one(random, &[3, 3, 5]),
        stem_stride: one(random, &[None, Some(2), Some(2)]),
        batch_norm: random.random_bool(0.9),
        residual: random.random_bool(0.5),
        squeeze_excitation: random.random_bool(0.5),
        pooling: one(random, &[BlockPooling::Max, BlockPooling::Average]),
        global_pooling: one(
            random,
            &[GlobalPooling::Average, GlobalPooling::Max, GlobalPooling::AverageMax],
        ),
        keep_bands: random.random_bool(0.7),
        head: one(random, &[None, None, Some(64), Some(128)]),
        dropout: one(random, &[0.2, 0.4, 0.6]),
    };
    (cnn, one(random, &[1e-3, 2e-3, 4e-3, 8e-3]), one(random, &[0.0, 0.2, 0.4]))
}

/// Runs or goes on with the search of `run`; its winner.
///
/// # Errors
/// [`Error::Interrupted`] on Ctrl-C, errors of the run's folder.
pub(super) fn run(session: &CnnSession, run: &Run) -> Result<Trial> {
    let path = run.folder().join("search.json");
    let config = &session.config;
    let mut board = if path.exists() {
        files::read_json(&path)?
    } else {
        let plan = plan(config);
        let trials = trials(plan[0].0, config.seed, config, session.preprocessor.patch());
        Leaderboard { seed: config.seed, plan, trials, winner: None, seconds: 0.0 }
    };
    let epochs = board.plan.iter().map(|(count, epochs)| count * epochs).sum::<usize>();
    let bar = progress::bar(epochs as u64, "search", "epochs");
    let (train, validation) = session.train_and_validation();
    let rungs: Vec<usize> = board.plan.iter().map(|(_, epochs)| *epochs).collect();
    for (rung, epochs) in rungs.into_iter().enumerate() {
        let count = board.plan[rung].0;
        let before = board.seconds;
        let started = Instant::now();
        let todo = board.next(rung, count);
        let board_cell = Mutex::new(&mut board);
        in_parallel(config.search.jobs, todo.len(), |at| {
            let trial = &todo[at];
            let score = evaluate(session, trial, epochs, &train, &validation, &bar)?;
            let mut board = board_cell.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            board.trials[trial.number - 1].rungs.push(score);
            board.seconds = before + started.elapsed().as_secs_f64();
            board.save(run)
        })?;
    }
    bar.finish_and_clear();
    let winner = board.ranked().first().map(|trial| (*trial).clone());
    let winner = winner.ok_or_else(|| {
        Error::Config("no architecture fits; use larger --patch-frames or --mels".to_owned())
    })?;
    if !winner.loss().is_finite() {
        return Err(Error::Config("every architecture diverged; use a smaller --lr".to_owned()));
    }
    board.winner = Some(winner.number);
    board.save(run)?;
    eprint!("{}", board.table(10));
    Ok(winner)
}

/// Calls `each` with 0 to `count`, `jobs` at a time, and stops at the first error.
fn in_parallel(jobs: usize, count: usize, each: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let error = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(count) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Atomic::SeqCst);
                    if at >= count {
                        return;
                    }
                    if let Err(e) = each(at) {
                        next.store(count, Atomic::SeqCst);
                        let mut error = error.lock().unwrap_or_else(|e| e.into_inner());
                        error.get_or_insert(e);
                        return;
                    }
                }
            });
        }
    });
    match error.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn evaluate(
    session: &CnnSession,
    trial: &Trial,
    epochs: usize,
    train: &[Sample],
    validation: &[Sample],
    bar: &ProgressBar,
) -> Result<Rung> {
    interrupt::check("the search so far is saved; go on with --resume")?;
    let started = Instant::now();
    let config = trial.apply(&session.config);
    let options = FitOptions { epochs, patience: None, ..config.fit };
    let mut task = session.task(&trial.cnn, session.config.seed);
    (task.options, task.augmentation, task.quiet) = (&options, &config.augmentation, true);
    let mut watch = |_: &[_]| {
        bar.inc(1);
        Ok(())
    };
    let diverged = Score { loss: f64::MAX, accuracy: 0.0 };
    let validation = match task.fit("search", train, validation, None, &mut watch) {
        Ok(fitted) => fitted.validation.unwrap_or(diverged),
        // A loss that stopped being a number: this architecture is out.
        Err(Error::Config(_)) => diverged,
        Err(error) => return Err(error),
    };
    Ok(Rung { epochs, validation, seconds: started.elapsed().as_secs_f64() })
}

impl Leaderboard {
    /// Trials from best to worst: the longer trained first, then by loss.
    pub fn ranked(&self) -> Vec<&Trial> {
        let mut trials: Vec<&Trial> = self.trials.iter().collect();
        trials.sort_by(|a, b| {
            let rungs = b.rungs.len().cmp(&a.rungs.len());
            rungs.then(a.loss().partial_cmp(&b.loss()).unwrap_or(Ordering::Equal))
        });
        trials
    }

    /// The best `count` of the trials that have come to `rung`, without those that have
    /// already passed it.
    fn next(&self, rung: usize, count: usize) -> Vec<Trial> {
        let mut there: Vec<&Trial> =
            self.trials.iter().filter(|trial| trial.rungs.len() >= rung).collect();
        let loss = |trial: &Trial| match rung.checked_sub(1) {
            Some(before) => trial.rungs[before].validation.loss,
            None => 0.0,
        };
        there.sort_by(|a, b| loss(a).partial_cmp(&loss(b)).unwrap_or(Ordering::Equal));
        let first = there.into_iter().take(count);
        first.filter(|trial| trial.rungs.len() == rung).cloned().collect()
    }

    fn save(&self, run: &Run) -> Result<()> {
        let chart = run.folder().join("search.svg");
        files::write(&chart, chart::leaderboard(self)?.as_bytes())?;
        files::write_json(&run.folder().join("search.json"), self)
    }

    /// The best `count` trials as a table.
    pub fn table(&self, count: usize) -> String {
        let mut text = String::new();
        let mut line = |content: std::fmt::Arguments| {
            let _ = writeln!(text, "{content}");
        };
        line(format_args!(
            "{:>5} {:>6} {:>8} {:>8} {:>10} {:>7}  architecture",
            "trial", "epochs", "loss", "accuracy", "parameters", "seconds"
        ));
        for trial in self.ranked().into_iter().take(count) {
            let Some(Rung { epochs, validation, seconds }) = trial.last() else { continue };
            line(format_args!(
                "{:>5} {epochs:>6} {:>8.3} {:>8.3} {:>10} {seconds:>7.1}  {}",
                trial.number, validation.loss, validation.accuracy, trial.parameters, trial.cnn
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        config: CnnRunConfig,
    }

    fn config(arguments: &[&str]) -> CnnRunConfig {
        Cli::parse_from([&["train-cnn", "--search"], arguments].concat()).config
    }

    #[test]
    fn the_same_seed_gives_the_same_architectures_all_of_which_fit() {
        let config = config(&[]);
        let found = trials(27, 1, &config, [128, 128]);
        assert_eq!(found, trials(27, 1, &config, [128, 128]));
        assert_ne!(found[10..], trials(27, 2, &config, [128, 128])[10..]);
        assert_eq!(found.len(), 27);
        for trial in &found {
            trial.cnn.check([128, 128]).unwrap();
            assert!(trial.multiply_adds <= DEAREST, "{trial:?}");
        }
    }

    #[test]
    fn a_third_goes_on_and_what_is_done_is_not_done_again() {
        let config = config(&["--configurations", "9"]);
        assert_eq!(plan(&config), [(9, 5), (3, 20), (1, 60)]);
        let mut board = Leaderboard {
            seed: 0,
            plan: plan(&config),
            trials: trials(9, 0, &config, [128, 128]),
            winner: None,
            seconds: 0.0,
        };
        let rung =
            |loss: f64| Rung { epochs: 5, validation: Score { loss, accuracy: 0.5 }, seconds: 1.0 };
        for (at, trial) in board.trials.iter_mut().enumerate().skip(1) {
            trial.rungs.push(rung(at as f64));
        }
        let numbers = |trials: Vec<Trial>| trials.iter().map(|t| t.number).collect::<Vec<_>>();
        assert_eq!(numbers(board.next(0, 9)), [1], "only the first is left to do");
        board.trials[0].rungs.push(rung(3.5));
        assert_eq!(numbers(board.next(1, 3)), [2, 3, 4]);
        board.trials[2].rungs.push(rung(0.1));
        assert_eq!(numbers(board.next(1, 3)), [2, 4], "an interrupted rung goes on");
        assert_eq!(board.ranked()[0].number, 3);
        assert_eq!(board.table(3).lines().count(), 4);
    }

    #[test]
    fn jobs_cover_everything_and_stop_at_an_error() {
        let done = Mutex::new(vec![]);
        in_parallel(3, 10, |at| {
            done.lock().unwrap().push(at);
            Ok(())
        })
        .unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..10).collect::<Vec<_>>());
        let refuse = |at| if at == 2 { Err(Error::Data("two".into())) } else { Ok(()) };
        assert_eq!(in_parallel(1, 10, refuse).unwrap_err().to_string(), "two");
    }
}
