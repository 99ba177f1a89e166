//! From a table of features to a run for every model.

use std::time::Instant;

use super::config::{Config, Destination};
use super::problem::Problem;
use super::run::{self, BaselineRun};
use super::search::search;
use crate::error::Result;
use crate::run::BaselineModel;

/// Searches, fits, tests and exports every model that `config` names; the runs, in order.
///
/// # Errors
/// [`crate::error::Error::Config`] and [`crate::error::Error::Data`] before anything is written, errors
/// of the table, and [`crate::error::Error::Interrupted`] on Ctrl-C. Models that were complete
/// before stay; of the others nothing is left.
pub fn train(config: &Config, destination: &Destination) -> Result<Vec<BaselineRun>> {
    config.check()?;
    let problem = Problem::read(config)?;
    let kinds = config.kinds();
    let folders = destination.folders(&kinds, &problem)?;
    let one = |(kind, folder): (&BaselineModel, _)| {
        let started = Instant::now();
        let found = search(*kind, &problem, config.seed, config.quick)?;
        let seconds = started.elapsed().as_secs_f64();
        run::write(config, &problem, &found, seconds, folder)
    };
    kinds.iter().zip(&folders).map(one).collect()
}
