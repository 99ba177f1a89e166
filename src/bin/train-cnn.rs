//! Trains a CNN from scratch on spectrograms, or searches for the best one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use genre_transfer::cli::{self, RunArgs};
use genre_transfer::run::Run;
use genre_transfer::train::cnn::{CnnRunConfig, train_cnn, validate_cnn};

// Maps of every layer come and go at each step; glibc gives such large blocks back to the
// kernel, which clears them page by page: a tenth of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "Examples:
  train-cnn --data gtzan --preset simple        a first notebook's network on GTZAN's pictures
  train-cnn --data gtzan --folds 5              five networks, averaged
  train-cnn --data ~/music --source audio       on log-mels of recordings
  train-cnn --data gtzan --config cnn.toml      an architecture of your own
  train-cnn --data gtzan --validate --lr 0.002  look at the validation part only
  train-cnn --data gtzan --search               27 architectures, then the winner's test
  train-cnn --resume runs/searched-gtzan        go on after Ctrl-C or a crash

An architecture in TOML, with what a field is where it is left out:
  filters = [16, 32]              # of each block
  convolutions = 1                # in each block
  kernel = 3                      # height and width of a convolution
  batch_norm = true               # after every convolution
  residual = false                # adds a block's input to its output
  squeeze_excitation = false      # weighs channels at the end of a block
  pooling = 'max'                 # of each block: max, average
  pool_size = 2                   # height and width of its windows: 2, 4
  global_pooling = 'average-max'  # of the last map: average, max, average-max, flatten
  keep_bands = false              # pools over time only
  dropout = 0.2                   # of the pooled values
and, off where left out: stem_stride (a convolution before the blocks), dense (units between
map and embedding; flatten needs it), head (units between embedding and output).

The trained model is exported to RUN/model.onnx and checked in ort and tract.";

const NAME: &str = "Name of the run [default: architecture and data, numbered if taken]";
const RESUME: &str = "Go on with an interrupted run or search, with its own options";

/// Train a CNN from scratch to tell music genres apart.
#[derive(Parser)]
#[command(name = "train-cnn", version, after_help = EXAMPLES)]
#[command(mut_arg("name", |arg| arg.help(NAME)), mut_arg("resume", |arg| arg.help(RESUME)))]
struct Cli {
    #[command(flatten)]
    config: CnnRunConfig,
    /// TOML file with the architecture, instead of a preset
    #[arg(long = "config", value_name = "FILE", conflicts_with = "preset")]
    architecture: Option<PathBuf>,
    /// Train and score the validation part only: no look at the test part, no run
    #[arg(long, conflicts_with_all = ["search", "name", "refit"])]
    validate: bool,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    cli::main("train-cnn", || run(cli::parse_resumable(&["json"])))
}

fn run(mut cli: Cli) -> Result<()> {
    cli::stop_on_ctrl_c()?;
    if let Some(path) = &cli.architecture {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let cnn = toml::from_str(&text).with_context(|| path.display().to_string())?;
        cli.config.cnn = Some(cnn);
    }
    if cli.validate {
        return validate(&cli);
    }
    let (config, destination) = cli.run.start(cli.config, Run::cnn_config)?;
    cli.run.finish(&train_cnn(&config, destination)?)
}

fn validate(cli: &Cli) -> Result<()> {
    let (members, score) = validate_cnn(&cli.config)?;
    if cli.run.json {
        let json = serde_json::json!({
            "validation": score,
            "members": members,
            "architecture": cli.config.architecture(),
        });
        return cli::println(serde_json::to_string_pretty(&json)?);
    }
    for (number, member) in members.iter().enumerate() {
        let speed = &member.speed;
        cli::println(format_args!(
            "network {}: epoch {}, {:.0} examples a second, {:.1} % of the time waiting for data",
            number + 1,
            member.epoch,
            speed.examples_per_second(),
            100.0 * speed.waiting_share()
        ))?;
    }
    let Some(score) = score else { return Ok(()) };
    let (name, value) = (score.quality.name(), score.quality.value());
    cli::println(format_args!("validation: loss {:.3}, {name} {value:.3}", score.loss))
}
