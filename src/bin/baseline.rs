//! Trains classical models on hand-made features.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use genre_transfer::baseline::{self, Config, RunFolders};
use genre_transfer::cli::{self, NewRunArgs};
use genre_transfer::train::check_name;

const EXAMPLES: &str = "Examples:
  baseline --data data/gtzan                        all models on features_30_sec.csv
  baseline --data data/gtzan --features 3           a row for each 3 seconds
  baseline --features 3 --leaky --model knn,svm     what splitting by window does
  baseline --features my.csv --split runs/yamnet-gtzan/split.json

my.csv may come from extract-features. Hyper-parameters are chosen by cross-validation
within the training part, with all windows of a song on the same side. Each model is
exported to RUN/model.onnx: input features [batch, 57], output probabilities.";

const NAME: &str = "How the run folders begin: NAME-svm [default: the model and the table, \
                    numbered if taken]";
const FORCE: &str = "Replace runs of that name";

/// Train k-NN, logistic regression, SVM, random forest, gradient boosting and an MLP on
/// hand-made features.
#[derive(Parser)]
#[command(name = "baseline", version, after_help = EXAMPLES)]
#[command(mut_arg("name", |arg| arg.help(NAME)), mut_arg("force", |arg| arg.help(FORCE)))]
struct Cli {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    run: NewRunArgs,
    /// Print the results as JSON on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main("baseline", || run(cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    cli::stop_on_ctrl_c()?;
    let NewRunArgs { runs, name, force } = cli.run;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let folders = RunFolders { runs, name, force };
    let runs = baseline::train(&cli.config, &folders)?;
    if cli.json {
        cli::println(cli::baseline_summary::json(&runs)?)
    } else {
        cli::print(cli::baseline_summary::text(&runs))
    }
}
