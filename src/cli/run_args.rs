//! The flags by which training programs say where a run goes.

use std::path::PathBuf;

use clap::Args;

use super::network_summary;
use super::program::{print, println};
use crate::error::Result;
use crate::export::{Input, Options, export};
use crate::run::Run;
use crate::train::Destination;

/// Where a new run goes.
#[derive(Args, Clone, Debug)]
pub struct NewRunArgs {
    /// Folder for the runs
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub runs: PathBuf,
    /// Name of the run [default: backbone and data, numbered if taken]
    #[arg(long)]
    pub name: Option<String>,
    /// Replace a run of that name
    #[arg(long, requires = "name")]
    pub force: bool,
}

/// Where a network's run goes, or which one goes on, and how it is reported.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where a new run goes.
    #[command(flatten)]
    pub new: NewRunArgs,
    /// Go on with an interrupted run, with its own options
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Print the results as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

impl RunArgs {
    /// What to train with, and where the run goes: the options `given`, or those that `saved`
    /// reads of the run that is to be resumed.
    ///
    /// # Errors
    /// Those of [`Run::resume`], of `saved` and of [`Destination::of`].
    pub fn start<C>(
        &self,
        given: C,
        saved: impl FnOnce(&Run) -> Result<C>,
    ) -> Result<(C, Destination)> {
        let NewRunArgs { runs, name, force } = &self.new;
        match &self.resume {
            Some(folder) => {
                let run = Run::resume(folder)?;
                Ok((saved(&run)?, Destination::Resume(run)))
            }
            None => Ok((given, Destination::of(runs, name.as_deref(), *force)?)),
        }
    }

    /// Exports a finished run as `model.onnx` in its folder, and prints the program's last lines.
    ///
    /// # Errors
    /// Those of the export and of the run's files.
    pub fn finish(&self, run: &Run) -> anyhow::Result<()> {
        let options = Options::new(Input::native_to(&run.preprocessor()?));
        let exported = export(run, &run.onnx_path(), &options)?;
        if self.json {
            println(network_summary::json(run, &exported)?)
        } else {
            print(network_summary::text(run, &exported)?)
        }
    }
}
