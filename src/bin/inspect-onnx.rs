//! Tells what an ONNX file is and what can be done with it.

use std::process::ExitCode;

use clap::Parser;
use genre_transfer::cli;
use genre_transfer::cli::inspect::{Arguments, run};
use genre_transfer::inspect::serve;

const EXAMPLES: &str = "Examples:
  inspect-onnx models/yamnet.onnx
  inspect-onnx resnet18.onnx                        which front ends fit, and how to fine-tune it
  inspect-onnx net.onnx --front-end net.json        with the front end it was trained with
  inspect-onnx net.onnx --output features           layers counted from another output
  inspect-onnx runs/yamnet-gtzan/model.onnx         genres, front end, accuracy of an export
  inspect-onnx net.onnx --json | jq .layers

Shows inputs and outputs, opset and producer, parameters and multiply-adds, the layers that
finetune --unfreeze N would train, operators, what fits the input, in which of ort, tract and
burn the file runs (opened and run on seeded values, in processes of their own), the licence
if the file says one, and the command to use it. A file that is damaged or no ONNX file is one
line on standard error and exit code 1. Exits with 2 if the command line is wrong.";

/// Tell what an ONNX file is and what can be done with it.
#[derive(Parser)]
#[command(name = "inspect-onnx", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    cli::main("inspect-onnx", || {
        // The child that tries a runtime: see genre_transfer::inspect.
        if std::env::args_os().skip(1).eq(["--answer"]) {
            return Ok(serve(cli::flag)?);
        }
        run(&cli::parse::<Cli>().arguments)
    })
}
