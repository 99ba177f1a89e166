//! From a table of features to a run for every model.

use std::time::Instant;

use super::config::Config;
use super::problem::Problem;
use super::run::{self, BaselineRun};
use super::run_folders::RunFolders;
use super::search::search;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::run::BaselineModel;

/// Searches, fits, tests and exports every model that `config` names; the runs, in order.
///
/// # Errors
/// Before anything is written those of [`Config::check`], of the table and its split, and
/// [`Error::Occupied`] for a folder that is taken; then [`Error::Fit`], those of the export, and
/// [`Error::Interrupted`] on Ctrl-C. Models that were complete before stay; of the others
/// nothing is left.
pub fn train(config: &Config, folders: &RunFolders) -> Result<Vec<BaselineRun>> {
    config.check()?;
    let problem = Problem::read(config)?;
    let models = config.models();
    let targets = folders.targets(&models, &problem.name)?;
    let one = |(model, target): (&BaselineModel, _)| {
        let started = Instant::now();
        let found = search(*model, &problem, config)?;
        let seconds = started.elapsed().as_secs_f64();
        run::write(config, &problem, &found, seconds, target)
    };
    models.iter().zip(&targets).map(one).collect()
}
