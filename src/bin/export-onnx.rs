//! Exports a trained run to one self-contained ONNX file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use genre_transfer::export::Input;
use genre_transfer::train::Run;
use genre_transfer::{cli, export};

const EXAMPLES: &str = "Examples:
  export-onnx runs/yamnet-gtzan                      writes runs/yamnet-gtzan/waveform.onnx
  export-onnx runs/yamnet-gtzan --input clip -o genres.onnx
  export-onnx runs/yamnet-gtzan --input log-mel      writes runs/yamnet-gtzan/model.onnx

--input   what the file takes                       what it answers
waveform  waveform [batch, samples], a patch each   probabilities [batch, classes],
          (0.975 s for yamnet)                      embeddings [batch, features]
clip      waveform [1, samples], any length         probabilities [1, classes] (the mean),
                                                    patch_probabilities [patches, classes],
                                                    embeddings [patches, features]
log-mel   log_mel [batch, frames, mels]             as waveform

Samples are mono, -1 to 1, at sample_rate. That and the other numbers, labels, front end,
training data, metrics and the backbone's licence are in the file's metadata. The file appears
only once it agrees with the trained model in tract, and in ort where that is installed.";

/// Export a trained run to ONNX.
#[derive(Parser)]
#[command(name = "export-onnx", version, after_help = EXAMPLES)]
struct Cli {
    /// Run folder written by finetune or train-cnn
    run: PathBuf,
    /// What the file takes: waveform, clip or log-mel [default: waveform; log-mel for models
    /// trained on pictures]
    #[arg(long, value_name = "INPUT")]
    input: Option<Input>,
    /// Where to write the model [default: RUN/waveform.onnx, clip.onnx or model.onnx]
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
    let input = match cli.input {
        Some(input) => input,
        None => Input::default_for(&run.preprocessor()?),
    };
    let output = cli.output.unwrap_or_else(|| run.folder().join(input.file_name()));
    let exported = export::export(&run, &output, &export::Options { input })?;
    match cli.json {
        true => println!("{}", serde_json::to_string_pretty(&exported)?),
        false => print!("{exported}"),
    }
    Ok(())
}
