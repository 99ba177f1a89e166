//! Compares burn, ONNX Runtime and tract on the same models.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use genre_transfer::bench::{self, EvaluationSet, Plan};
use genre_transfer::cli;
use genre_transfer::runtime::{Device, Runtime};

/// That of `classify`, whose speed this is to tell.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
Examples:
  bench-runtimes models/yamnet.onnx
  bench-runtimes runs/first runs/second --data data/gtzan --split runs/first/split.json
  bench-runtimes models/*.onnx --runtimes ort,tract --batch 1,8,32 --threads 1,2
  bench-runtimes runs/first runs/first/model-*.onnx     a run and its smaller variants
  bench-runtimes models/yamnet.onnx --quick --json
  bench-runtimes models/yamnet.onnx --operators --threads 1     where the time of a patch goes

Writes bench.json, bench.md and bench.svg. A case that cannot run keeps its row, with
the reason. Exits with 1 if no case ran, with 2 if the command line is wrong.";

/// Compare inference runtimes: speed, memory, and whether they agree.
#[derive(Parser)]
#[command(name = "bench-runtimes", version, after_help = EXAMPLES)]
struct Arguments {
    /// ONNX files, run folders or bundles
    #[arg(required = true, value_name = "MODEL.onnx|RUN|BUNDLE")]
    models: Vec<PathBuf>,
    /// Runtimes; the first that runs is what the others are compared with
    #[arg(long, value_delimiter = ',', default_value = "burn,ort,tract")]
    runtimes: Vec<Runtime>,
    /// Devices: cpu, cuda
    #[arg(long, value_delimiter = ',', default_value = "cpu")]
    devices: Vec<Device>,
    /// Patches per run
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    batch: Vec<usize>,
    /// Threads per run [default: 1 and all cores]
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,
    /// Collection to measure accuracy on
    #[arg(long, requires = "split", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Split whose test part is used
    #[arg(long, requires = "data", value_name = "FILE")]
    split: Option<PathBuf>,
    /// The most seconds of timed runs for each case
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    seconds: f64,
    /// A rough answer soon: 0.3 seconds for each case
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// Where the time of one patch goes, operator by operator, instead of the comparison; nothing
    /// is written
    #[arg(long, conflicts_with_all = ["data", "split", "batch", "output"])]
    operators: bool,
    /// Where the report goes
    #[arg(long, default_value = "runs/bench", value_name = "DIR")]
    output: PathBuf,
    /// Seed of the random patches
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Print the report as JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn plan(&self) -> anyhow::Result<Plan> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut threads = match self.threads.as_slice() {
            [] => vec![1, cores],
            given => given.to_vec(),
        };
        threads.dedup();
        Ok(Plan {
            models: self.models.clone(),
            runtimes: self.runtimes.clone(),
            devices: self.devices.clone(),
            batches: self.batch.clone(),
            threads,
            seconds: if self.quick { 0.3 } else { self.seconds },
            seed: self.seed,
            program: std::env::current_exe().context("cannot find this program's own file")?,
        })
    }
}

fn main() -> ExitCode {
    cli::main("bench-runtimes", || {
        // The child of a benchmark: see genre_transfer::bench::serve.
        if std::env::args_os().skip(1).eq(["--case"]) {
            return Ok(bench::serve(cli::flag)?);
        }
        run(&cli::parse::<Arguments>())
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.operators {
        return operators(arguments);
    }
    bench::prepare_output(&arguments.output)?;
    let report = bench::run(&arguments.plan()?, |model| {
        match EvaluationSet::of(model, arguments.data.as_deref(), arguments.split.as_deref()) {
            // What is wrong with the model, its rows say.
            Err(error) if arguments.data.is_none() => {
                let error = error.naming_options(cli::flag);
                genre_transfer::say!("warning: accuracy stays unknown: {error}");
                Ok(None)
            }
            found => found,
        }
    })?;
    report.write(&arguments.output)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        report.to_text()
    };
    cli::print(text)?;
    genre_transfer::note!("written: {}/bench.{{json,md,svg}}", arguments.output.display());
    ensure!(report.any_ran(), "no case ran; the table gives each one's reason");
    Ok(())
}

fn operators(arguments: &Arguments) -> anyhow::Result<()> {
    let report = bench::operators(&arguments.plan()?, cli::flag)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        report.to_text()
    };
    cli::print(text)?;
    ensure!(report.any_ran(), "no model ran; the tables give each one's reason");
    Ok(())
}
