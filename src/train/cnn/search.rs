//! Search for an architecture by successive halving (Jamieson & Talwalkar 2016).
//!
//! Many architectures are trained for a few epochs, the better third of them longer, and
//! so on; each time from scratch, since a learning rate that has gone down to nothing
//! cannot go on. They are compared by their loss on the validation part, which lies
//! inside the 80 %: the test part is not touched.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use burn::module::Module;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::batches::Sample;
use super::chart;
use super::fit::FittedCnn;
use super::options::{Augmentation, CnnRunConfig, FitOptions};
use super::prepare::CnnTraining;
use crate::error::{Error, Result};
use crate::files;
use crate::interrupt;
use crate::model::Standardization;
use crate::progress;
use crate::progress::Bar;
use crate::run::{
    BlockPooling, CnnConfig, GlobalPooling, Leaderboard, Preset, Run, Rung, Score, Trial, names,
};

/// Multiplications that an architecture of the search may take for a patch, so that the
/// search ends: two cores learn from 240 patches a second at 24 million.
const MAX_MULTIPLY_ADDS: usize = 30_000_000;

/// The share of architectures that goes on from one rung to the next: one in three.
const HALVING_FACTOR: usize = 3;

impl Trial {
    /// `config` with this trial's architecture and training.
    pub(super) fn apply(&self, config: &CnnRunConfig) -> CnnRunConfig {
        let mut config = config.clone();
        config.cnn = Some(self.cnn.clone());
        config.fit.learning_rate = self.learning_rate;
        config.augmentation.mixup = self.mixup;
        if !self.varied {
            config.augmentation = Augmentation::none();
        }
        if config.search.quick {
            config.fit.epochs = config.fit.epochs.min(QUICK_EPOCHS);
        }
        config
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
        count = count.div_ceil(HALVING_FACTOR);
    }
    plan
}

/// An architecture with what of its training is searched for, too.
#[derive(Clone, Debug, PartialEq)]
struct Draw {
    cnn: CnnConfig,
    learning_rate: f64,
    mixup: f64,
    /// Whether patches are varied as the options say.
    varied: bool,
}

impl Draw {
    /// As the preset is trained by itself.
    fn of(preset: Preset, config: &CnnRunConfig) -> Self {
        let (learning_rate, mixup) = (config.fit.learning_rate, config.augmentation.mixup);
        let cnn = preset.config();
        match preset {
            // By itself it learns at a third of the others' rate.
            Preset::Simple => {
                Self { cnn, learning_rate: learning_rate / 3.0, mixup: 0.0, varied: false }
            }
            _ => Self { cnn, learning_rate, mixup, varied: true },
        }
    }

    fn sample(random: &mut ChaCha8Rng) -> Self {
        let is_shallow = random.random_bool(0.25);
        let cnn = if is_shallow { shallow(random) } else { deep(random) };
        // Where there is little to learn with, variation is more to learn.
        let varied = !is_shallow || random.random_bool(0.5);
        let learning_rate = one(random, &[1e-3, 2e-3, 4e-3, 8e-3]);
        let mixup = one(random, &[0.0, 0.2, 0.4]);
        Self { cnn, learning_rate, mixup: if varied { mixup } else { 0.0 }, varied }
    }
}

/// The first `count` trials of `seed`: the presets, then sampled architectures.
fn trials(count: usize, seed: u64, config: &CnnRunConfig, input: [usize; 2]) -> Vec<Trial> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let presets = [Preset::Simple, Preset::Vgg, Preset::Resnet, Preset::Searched];
    let mut found = presets.map(|preset| Draw::of(preset, config)).to_vec();
    let mut seen: HashSet<String> = HashSet::new();
    let fits =
        |cnn: &CnnConfig| cnn.check(input).is_ok() && cnn.multiply_adds(input) <= MAX_MULTIPLY_ADDS;
    found.retain(|Draw { cnn, .. }| fits(cnn) && seen.insert(format!("{cnn:?}")));
    // Patches may be so small that few architectures fit them.
    for _ in 0..count * 1000 {
        if found.len() >= count {
            break;
        }
        let sampled = Draw::sample(&mut random);
        if fits(&sampled.cnn) && seen.insert(format!("{:?}", sampled.cnn)) {
            found.push(sampled);
        }
    }
    let trial = |(at, Draw { cnn, learning_rate, mixup, varied }): (usize, Draw)| Trial {
        number: at + 1,
        learning_rate,
        mixup,
        varied,
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

fn one<T: Copy>(random: &mut ChaCha8Rng, from: &[T]) -> T {
    *from.choose(random).unwrap_or(&from[0])
}

/// Filters that double from block to block up to `widest`.
fn doubling(blocks: usize, first: usize, widest: usize) -> Vec<usize> {
    (0..blocks).map(|block| (first << block).min(widest)).collect()
}

/// Blocks in the manner of VGG or of residual networks, and a pooling of the whole map.
fn deep(random: &mut ChaCha8Rng) -> CnnConfig {
    let blocks = random.random_range(3..=5);
    let first = one(random, &[16, 24, 32, 48]);
    CnnConfig {
        filters: doubling(blocks, first, one(random, &[96, 128, 192, 256])),
        convolutions: one(random, &[1, 2]),
        kernel: one(random, &[3, 3, 5]),
        stem_stride: one(random, &[None, Some(2), Some(2)]),
        batch_norm: random.random_bool(0.9),
        residual: random.random_bool(0.5),
        squeeze_excitation: random.random_bool(0.5),
        pooling: one(random, &[BlockPooling::Max, BlockPooling::Average]),
        pool_size: 2,
        global_pooling: one(
            random,
            &[GlobalPooling::Average, GlobalPooling::Max, GlobalPooling::AverageMax],
        ),
        keep_bands: random.random_bool(0.7),
        dense: None,
        head: one(random, &[None, None, Some(64), Some(128)]),
        dropout: one(random, &[0.2, 0.4, 0.6]),
    }
}

/// A few convolutions, each with much pooling, and a dense layer on what is left of the map.
fn shallow(random: &mut ChaCha8Rng) -> CnnConfig {
    let blocks = random.random_range(1..=3);
    let first = one(random, &[16, 32, 48, 64]);
    CnnConfig {
        filters: doubling(blocks, first, 128),
        convolutions: one(random, &[1, 1, 2]),
        kernel: one(random, &[3, 3, 5]),
        batch_norm: random.random_bool(0.5),
        pool_size: one(random, &[2, 4, 4]),
        global_pooling: GlobalPooling::Flatten,
        dense: one(random, &[Some(32), Some(64), Some(128)]),
        dropout: one(random, &[0.2, 0.4, 0.6]),
        ..CnnConfig::default()
    }
}

/// Runs or goes on with the search of `run`; its winner.
///
/// # Errors
/// [`Error::Interrupted`] on Ctrl-C, [`Error::InvalidInput`] if no architecture can be trained,
/// errors of the run's folder.
pub(super) fn run(training: &CnnTraining, run: &Run) -> Result<Trial> {
    let mut board = match run.leaderboard()? {
        Some(board) => board,
        None => begin(&training.config, training.preprocessor.patch()),
    };
    let epochs = board.plan.iter().map(|(count, epochs)| count * epochs).sum::<usize>();
    let bar = progress::begin(epochs, "search", "epochs");
    let (train, validation) = training.train_and_validation();
    let search = Search { training, run, train, validation, bar };
    for rung in 0..board.plan.len() {
        search.train_rung(&mut board, rung)?;
    }
    drop(search);
    let winner = winner(&board)?;
    board.winner = Some(winner.number);
    save(&board, run)?;
    tracing::info!("{}", board.table(10).trim_end());
    Ok(winner)
}

/// A search under way.
struct Search<'a> {
    training: &'a CnnTraining,
    run: &'a Run,
    train: Vec<Sample>,
    validation: Vec<Sample>,
    bar: Bar,
}

impl Search<'_> {
    /// Trains what is left to do of a rung.
    fn train_rung(&self, board: &mut Leaderboard, rung: usize) -> Result<()> {
        let (count, epochs) = board.plan[rung];
        let (before, started) = (board.seconds, Instant::now());
        let todo = board.due(rung, count);
        let board = Mutex::new(board);
        in_parallel(self.training.config.search.jobs, &todo, |trial| {
            let result = self.evaluate(trial, epochs)?;
            let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
            board.trials[trial.number - 1].rungs.push(result);
            board.seconds = before + started.elapsed().as_secs_f64();
            save(&board, self.run)
        })
    }

    /// Trains one architecture for so many epochs.
    fn evaluate(&self, trial: &Trial, epochs: usize) -> Result<Rung> {
        interrupt::check("the search so far is saved; go on with ‹resume›")?;
        let started = Instant::now();
        let config = trial.apply(&self.training.config);
        let options = FitOptions { epochs, patience: None, ..config.fit };
        let mut task = self.training.task(&trial.cnn, config.seed);
        (task.options, task.augmentation, task.quiet) = (&options, &config.augmentation, true);
        let mut watch = |_: &[_]| {
            self.bar.advance(1);
            Ok(())
        };
        let fitted = task.fit("search", &self.train, &self.validation, None, &mut watch);
        let validation = outcome(fitted)?;
        Ok(Rung { epochs, validation, seconds: started.elapsed().as_secs_f64() })
    }
}

/// The board before anything is trained.
fn begin(config: &CnnRunConfig, input: [usize; 2]) -> Leaderboard {
    let plan = plan(config);
    let trials = trials(plan[0].0, config.seed, config, input);
    Leaderboard { seed: config.seed, plan, trials, winner: None, seconds: 0.0 }
}

/// Saves the board, then draws it.
fn save(board: &Leaderboard, run: &Run) -> Result<()> {
    run.save_leaderboard(board)?;
    files::write(&run.path(names::SEARCH_CHART), chart::leaderboard(board)?.as_bytes())
}

/// The best trial of a search that is complete.
fn winner(board: &Leaderboard) -> Result<Trial> {
    board.best().cloned().ok_or_else(|| {
        if board.trials.is_empty() {
            let reason = "no architecture fits; use larger ‹patch-frames› or ‹mels›";
            Error::InvalidInput(reason.to_owned())
        } else {
            Error::AllDiverged
        }
    })
}

/// Calls `each` with every item, `jobs` at a time, and stops at the first error.
///
/// Threads of our own and no pool of rayon's: the networks compute with rayon, and inside such a
/// pool they would get no more than its `jobs` threads.
fn in_parallel<T: Sync>(
    jobs: usize,
    items: &[T],
    each: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let left = Mutex::new(items.iter());
    let queue = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || queue().next();
    let work = || {
        while let Some(item) = next() {
            each(item).inspect_err(|_| *queue() = [].iter())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(items.len())).map(|_| scope.spawn(work)).collect();
        let join = |worker: ScopedJoinHandle<'_, Result<()>>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        workers.into_iter().try_for_each(join)
    })
}

/// The score of a fit, none if it diverged: then this architecture is out. Any other error
/// would meet the other architectures, too.
fn outcome(fitted: Result<FittedCnn>) -> Result<Option<Score>> {
    match fitted {
        Ok(fitted) => Ok(fitted.validation),
        Err(Error::Diverged { .. }) => Ok(None),
        Err(error) => Err(error),
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
            assert!(trial.multiply_adds <= MAX_MULTIPLY_ADDS, "{trial:?}");
        }
        let simple = found[0].apply(&config);
        assert_eq!((simple.fit.learning_rate, simple.augmentation), (1e-3, Augmentation::none()));
        let is_flat = |t: &&Trial| t.cnn.global_pooling == GlobalPooling::Flatten;
        let flat: Vec<&Trial> = found.iter().filter(is_flat).collect();
        assert!(flat.len() > 2 && flat.iter().any(|t| t.varied), "{flat:?}");
        assert!(found.iter().all(|t| t.varied || t.mixup == 0.0));
    }

    #[test]
    fn a_third_goes_on() {
        assert_eq!(plan(&config(&["--configurations", "9"])), [(9, 5), (3, 20), (1, 60)]);
    }

    #[test]
    fn what_diverged_has_no_score_and_other_errors_end_the_search() {
        let diverged =
            || Error::Diverged { step: 3, loss: f64::NAN, options: "‹lr›", rate: 0.1 };
        assert_eq!(outcome(Err(diverged())).unwrap(), None);
        let wrong = outcome(Err(Error::InvalidInput("kernel is 4".into())));
        assert_eq!(wrong.unwrap_err().to_string(), "kernel is 4");
    }

    #[test]
    fn a_search_in_which_everything_diverged_has_no_winner() {
        let mut board = Leaderboard {
            seed: 0,
            plan: vec![(2, 1)],
            trials: trials(2, 0, &config(&[]), [128, 128]),
            winner: None,
            seconds: 0.0,
        };
        for trial in &mut board.trials {
            trial.rungs.push(Rung { epochs: 1, validation: None, seconds: 1.0 });
        }
        let error = winner(&board).unwrap_err().to_string();
        assert!(error.starts_with("every architecture diverged; "), "{error}");
        board.trials.clear();
        assert!(winner(&board).unwrap_err().to_string().contains("no architecture fits"));
    }

    #[test]
    fn jobs_cover_everything_and_stop_at_an_error() {
        let items: Vec<usize> = (0..10).collect();
        let done = Mutex::new(vec![]);
        in_parallel(3, &items, |at| {
            done.lock().unwrap().push(*at);
            Ok(())
        })
        .unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, items);
        let seen = Mutex::new(vec![]);
        let refuse = |at: &usize| {
            seen.lock().unwrap().push(*at);
            if *at == 2 { Err(Error::TooFew("two".into())) } else { Ok(()) }
        };
        assert_eq!(in_parallel(1, &items, refuse).unwrap_err().to_string(), "two");
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2]);
    }
}
