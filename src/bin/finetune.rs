//! Trains a genre head on a pretrained backbone, and the backbone's last layers if asked to.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use genre_transfer::cli::{self, RunArgs};
use genre_transfer::run::Run;
use genre_transfer::train::{Config, finetune};

#[global_allocator]
static ALLOCATOR: cli::Allocator = cli::Allocator;

const EXAMPLES: &str = "Examples:
  finetune                                  on data/gtzan, or on the synthesized demo set
  finetune --data ~/music/genres            any folder with one folder a genre
  finetune --data autotagging.tsv           a list; tracks with several labels are told all of them
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
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    cli::main("finetune", || run(cli::parse_resumable(&["json"])))
}

fn run(cli: Cli) -> Result<()> {
    cli::stop_on_ctrl_c()?;
    let (config, destination) = cli.run.start(cli.config, Run::config)?;
    cli.run.finish(&finetune(&config, destination)?)
}
