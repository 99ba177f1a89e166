//! Exports a trained run to one self-contained ONNX file.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use genre_transfer::baseline::BaselineRun;
use genre_transfer::export::Input;
use genre_transfer::run::{Exported, Precision, Run};
use genre_transfer::{cli, export, files};
use serde::Serialize;

const EXAMPLES: &str = "Examples:
  export-onnx runs/yamnet-gtzan                      writes runs/yamnet-gtzan/waveform.onnx
  export-onnx runs/yamnet-gtzan --input clip -o genres.onnx
  export-onnx runs/yamnet-gtzan --input log-mel      writes runs/yamnet-gtzan/model.onnx
  export-onnx runs/yamnet-gtzan --precision fp16     writes runs/yamnet-gtzan/waveform-fp16.onnx
  export-onnx runs/yamnet-gtzan --bundle genres      writes the folder genres

--input   what the file takes                       what it answers
waveform  waveform [batch, samples], a patch each   probabilities [batch, classes],
          (0.975 s for yamnet)                      embeddings [batch, features]
clip      waveform [1, samples], any length         probabilities [1, classes] (the mean),
                                                    patch_probabilities [patches, classes],
                                                    embeddings [patches, features]
log-mel   log_mel [batch, frames, mels]             as waveform
image     image [batch, channels, height, width],   as waveform
          of networks that look at pictures

Models of one genre a track also answer set [batch, classes] (1 for the genres among which the
right one is with probability --coverage), outsider [batch, 1] (the share of known sounds that
are more like those learned from; above 0.95 classify says unknown) and projection, which it
is computed from; of a clip the first two are of the recording.

Samples are mono, -1 to 1, at sample_rate. That and the other numbers, labels, front end,
training data, metrics and the backbone's licence are in the file's metadata. The file appears
only once it agrees with the trained model in tract, and in ort where that is installed.";

/// Export a trained run to ONNX.
#[derive(Parser)]
#[command(name = "export-onnx", version, after_help = EXAMPLES)]
struct Cli {
    /// Run folder written by finetune or train-cnn (a baseline's is only copied)
    run: PathBuf,
    /// What the file takes: waveform, clip, log-mel or image [default: waveform; for models
    /// trained on pictures log-mel or image, whichever they take]
    #[arg(long, value_name = "INPUT")]
    input: Option<Input>,
    /// The numbers the file is made of: fp32, fp16 (half the size), int8-weights (a quarter),
    /// int8 (and arithmetic with bytes) or int8-static (that, calibrated: the fastest in
    /// ONNX Runtime); inputs and outputs stay fp32
    #[arg(long, default_value = "fp32", value_name = "PRECISION")]
    precision: Precision,
    /// The most points that accuracy on the run's validation part may fall for a smaller
    /// precision
    #[arg(long, default_value_t = export::Options::MAX_DROP, value_name = "POINTS")]
    max_drop: f64,
    /// Where the collection that the run learned from is now, for a smaller precision
    /// [default: where it was]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The probability with which the right genre is in the output set, where the run has been
    /// calibrated
    #[arg(long, default_value_t = export::COVERAGE, value_name = "SHARE")]
    coverage: f64,
    /// Labels whose tracks are none of the genres, so that classify answers unknown; none where all
    /// are genres
    #[arg(long, value_delimiter = ',', default_values = genre_transfer::dataset::NEGATIVES)]
    #[arg(value_name = "LABEL,...|none")]
    negatives: Vec<String>,
    /// Write a new folder with the model and all that goes with it: labels, front end,
    /// figures, a model card, a configuration for Triton, digests
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    bundle: Option<PathBuf>,
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
    if let Some(baseline) = BaselineRun::find(&cli.run)? {
        return show(&export_baseline(&cli, &baseline)?, cli.json);
    }
    let run = Run::open(&cli.run)?;
    let input = match cli.input {
        Some(input) => input,
        None => Input::default_for(&run.preprocessor()?),
    };
    let Cli { precision, max_drop, data, coverage, negatives, .. } = cli;
    let options = export::Options { input, precision, max_drop, data, coverage, negatives };
    match cli.bundle {
        Some(folder) => show(&export::bundle(&run, &folder, &options)?, cli.json),
        None => {
            let output = cli.output.unwrap_or_else(|| run.folder().join(options.file_name()));
            check_output(run.folder(), &output)?;
            show(&export::export(&run, &output, &options)?, cli.json)
        }
    }
}

/// A baseline's file has been there since it was fitted.
fn export_baseline(cli: &Cli, run: &BaselineRun) -> Result<Exported> {
    let model = Run::at(&cli.run).onnx_path();
    let there = format!(
        "{} is a baseline, and its model is already there: {}, input features [batch, 57]",
        cli.run.display(),
        model.display()
    );
    if let Some(output) = &cli.output {
        check_output(&cli.run, output)?;
    }
    let made_anew = cli.input.is_some() || cli.bundle.is_some() || cli.precision != Precision::Fp32;
    ensure!(!made_anew, "{there}; only -o applies to it, which copies the file");
    genre_transfer::say!("{there}");
    Ok(run.export(cli.output.as_ref().unwrap_or(&model))?)
}

/// Refuses to replace what the run in `folder` consists of.
fn check_output(folder: &Path, output: &Path) -> Result<()> {
    let files = Run::files_in(folder)?;
    Ok(files::check_output(output, files.iter().map(PathBuf::as_path))?)
}

fn show(written: &(impl Display + Serialize), json: bool) -> Result<()> {
    if json { cli::println(serde_json::to_string_pretty(written)?) } else { cli::print(written) }
}
