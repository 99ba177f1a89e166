//! Trains a genre head on a pretrained backbone, and the backbone's last layers if asked to.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use genre_transfer::run::Run;
use genre_transfer::train::{Config, Destination, finetune};
use genre_transfer::{cli, export};

const EXAMPLES: &str = "Examples:
  finetune                                  on data/gtzan, or on the synthesized demo set
  finetune --data ~/music/genres            any folder with one folder a genre
  finetune --backbone musicnn --folds 5     also cross-validate
  finetune --unfreeze 2 --backbone-lr 1e-4  train the last two layers too
  finetune --resume runs/yamnet-gtzan       go on after Ctrl-C or a crash

The trained model is exported to RUN/model.onnx and checked in ort and tract.";

/// Fine-tune a pretrained audio network to tell music genres apart.
#[derive(Parser)]
#[command(name = "finetune", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    config: Config,
    /// Folder for the runs
    #[arg(long, default_value = "runs", value_name = "DIR")]
    runs: PathBuf,
    /// Name of the run [default: backbone and data, numbered if taken]
    #[arg(long)]
    name: Option<String>,
    /// Replace a run of that name
    #[arg(long, requires = "name")]
    force: bool,
    /// Go on with an interrupted run, with its own options
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Print the results as JSON on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main("finetune", || run(cli::parse_resumable(&["json"])))
}

fn run(cli: Cli) -> Result<()> {
    cli::stop_on_ctrl_c()?;
    let (config, destination) = match &cli.resume {
        Some(folder) => {
            let run = Run::resume(folder)?;
            (run.config()?, Destination::Resume(run))
        }
        None => (cli.config, Destination::of(&cli.runs, cli.name.as_deref(), cli.force)?),
    };
    let run = finetune(&config, destination)?;
    let exported = export::export(&run, &run.onnx_path(), &export::Options::LOG_MEL)?;
    if cli.json {
        cli::println(cli::finetune_summary::json(&run, &exported)?)
    } else {
        cli::print(cli::finetune_summary::text(&run, &exported)?)
    }
}
