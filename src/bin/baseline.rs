//! Trains classical models on hand-made features.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use genre_transfer::baseline::{self, Config, RunFolders};
use genre_transfer::cli;
use genre_transfer::train::check_name;

const EXAMPLES: &str = "Examples:
  baseline --data data/gtzan                        all models on features_30_sec.csv
  baseline --data data/gtzan --features 3           a row for each 3 seconds
  baseline --features 3 --leaky --model knn,svm     what splitting by window does
  baseline --features my.csv --split runs/yamnet-gtzan/split.json

my.csv may come from extract-features. Hyper-parameters are chosen by cross-validation
within the training part, with all windows of a song on the same side. Each model is
exported to RUN/model.onnx: input features [batch, 57], output probabilities.";

/// Train k-NN, logistic regression, SVM, random forest, gradient boosting and an MLP on
/// hand-made features.
#[derive(Parser)]
#[command(name = "baseline", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    config: Config,
    /// Folder for the runs
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,
    /// How the run folders begin: NAME-svm [default: the model and the table, numbered if taken]
    #[arg(long)]
    name: Option<String>,
    /// Replace runs of that name
    #[arg(long, requires = "name")]
    force: bool,
    /// Print the results as JSON on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main("baseline", || run(cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    cli::stop_on_ctrl_c()?;
    if let Some(name) = &cli.name {
        check_name(name)?;
    }
    let folders = RunFolders { runs: cli.runs, name: cli.name, force: cli.force };
    let runs = baseline::train(&cli.config, &folders)?;
    if cli.json {
        cli::println(cli::baseline_summary::json(&runs)?)
    } else {
        cli::print(cli::baseline_summary::text(&runs))
    }
}
