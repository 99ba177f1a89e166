//! Exports a trained run to one self-contained ONNX file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use genre_transfer::train::Run;
use genre_transfer::{cli, export};

const EXAMPLES: &str = "Examples:
  export-onnx runs/yamnet-gtzan                      writes runs/yamnet-gtzan/model.onnx
  export-onnx runs/yamnet-gtzan -o genres.onnx

Input log_mel [batch, frames, mels]; outputs probabilities [batch, classes] and
embeddings [batch, features]. Labels, front end, training data, metrics and the
backbone's licence are in the file's metadata. The file appears only once it
agrees with the trained model in tract, and in ort where that is installed.";

/// Export a trained run to ONNX.
#[derive(Parser)]
#[command(name = "export-onnx", version, after_help = EXAMPLES)]
struct Cli {
    /// Run folder written by finetune
    run: PathBuf,
    /// Where to write the model [default: RUN/model.onnx]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print what was written as JSON on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main("export-onnx", || run(cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    let run = Run::open(&cli.run)?;
    let exported = export::export(&run, &cli.output.unwrap_or(run.onnx_path()))?;
    match cli.json {
        true => println!("{}", serde_json::to_string_pretty(&exported)?),
        false => print!("{exported}"),
    }
    Ok(())
}
