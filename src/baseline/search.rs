//! The choice of hyper-parameters, by cross-validation within the part to train on.

use rayon::prelude::*;

use super::config::Config;
use super::fitted::FittedModel;
use super::groups::by_group;
use super::problem::{FoldRows, Problem};
use super::samples::Samples;
use crate::error::Result;
use crate::interrupt;
use crate::metrics::argmax;
use crate::progress;
use crate::progress::Bar;
use crate::run::{BaselineModel, Candidate, Settings};

/// The chosen hyper-parameters and the model fitted with them on all rows to train on.
pub(super) struct Found {
    /// The kind of model.
    pub kind: BaselineModel,
    /// The hyper-parameters.
    pub settings: Settings,
    /// All that were tried.
    pub candidates: Vec<Candidate>,
    /// The model.
    pub model: Box<dyn FittedModel>,
}

/// Tries every hyper-parameter of `kind` on the problem's folds, and fits the best, of
/// equals the first, to all of its rows. If the config says `quick`, takes the defaults; only
/// the epochs of a perceptron still need the folds.
///
/// # Errors
/// Errors of the fits; [`crate::Error::Interrupted`] on Ctrl-C.
pub(super) fn search(kind: BaselineModel, problem: &Problem, config: &Config) -> Result<Found> {
    let mut grid = kind.grid();
    // No grid is empty.
    let default = grid[0];
    if config.quick {
        grid.truncate(usize::from(kind == BaselineModel::Mlp));
    }
    let bar = progress::begin(grid.len() * problem.folds.len(), kind.name(), "fits");
    let candidates = grid
        .iter()
        .map(|settings| cross_validate(settings, problem, config.seed, &bar))
        .collect::<Result<Vec<Candidate>>>()?;
    drop(bar);
    let better = |a: Candidate, b: Candidate| if b.accuracy > a.accuracy { b } else { a };
    let best = candidates.iter().copied().reduce(better);
    let settings = best.map_or(default, |best| best.settings);
    check()?;
    let model = settings.fit(&problem.train, &problem.folds, config.seed)?;
    Ok(Found { kind, settings, candidates, model })
}

/// Stops here if the user has asked to.
fn check() -> Result<()> {
    interrupt::check("a model is fitted in seconds; run it again")
}

/// How often `settings` are right on the songs of each fold that the model was not fitted to.
fn cross_validate(
    settings: &Settings,
    problem: &Problem,
    seed: u64,
    bar: &Bar,
) -> Result<Candidate> {
    let one = |fold: &FoldRows| {
        check()?;
        let held_out = problem.train.select(&fold.held_out);
        let (model, completed) =
            settings.fit_fold(&problem.train.select(&fold.train), &held_out, seed)?;
        let correct = count_correct(&*model, &held_out);
        bar.advance(1);
        Ok((completed, correct))
    };
    let tried: Vec<(Settings, (usize, usize))> = if settings.is_parallel() {
        problem.folds.iter().map(one).collect::<Result<_>>()?
    } else {
        problem.folds.par_iter().map(one).collect::<Result<_>>()?
    };
    let [right, units] =
        tried.iter().fold([0, 0], |sum, (_, (right, units))| [sum[0] + right, sum[1] + units]);
    let settings = with_mean_epochs(settings, tried.iter().map(|(settings, _)| settings));
    Ok(Candidate { settings, accuracy: right as f64 / units.max(1) as f64 })
}

/// Of the held-out songs, how many the model gets right, and how many they are.
fn count_correct(model: &dyn FittedModel, held_out: &Samples) -> (usize, usize) {
    let probabilities = model.probabilities(&held_out.values);
    let units = by_group(&probabilities, &held_out.units, held_out.classes);
    let label = |unit: usize| held_out.units.iter().position(|&u| u == unit);
    let is_correct = |(unit, mean): &&(usize, Vec<f32>)| {
        label(*unit).is_some_and(|row| Some(held_out.labels[row]) == argmax(mean))
    };
    (units.iter().filter(is_correct).count(), units.len())
}

/// `settings` with the epochs that early stopping found, on average over the folds.
fn with_mean_epochs<'a>(
    settings: &Settings,
    found: impl Iterator<Item = &'a Settings>,
) -> Settings {
    let Settings::Mlp { hidden, weight_decay, .. } = *settings else { return *settings };
    let epochs: Vec<usize> = found
        .filter_map(|settings| match settings {
            Settings::Mlp { epochs, .. } => *epochs,
            _ => None,
        })
        .collect();
    let mean = epochs.iter().sum::<usize>().checked_div(epochs.len());
    Settings::Mlp { hidden, weight_decay, epochs: mean.map(|epochs| epochs.max(1)) }
}
