//! The arguments of `inspect-onnx`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::inspect::Options;

/// What is looked at, and how.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The ONNX file
    #[arg(value_name = "FILE.onnx")]
    pub file: PathBuf,
    /// The front end its input is made by, if you know it: vggish, yamnet, musicnn, spectrogram
    /// or a JSON file [default: all that fit are tried]
    #[arg(long, value_name = "PRESET|FILE")]
    pub front_end: Option<String>,
    /// The output that embeddings are taken from [default: "embeddings", else the last]
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// The most seconds that one runtime may take
    #[arg(long, default_value_t = 120, value_name = "S")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// Print all of it as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

impl Arguments {
    pub(super) fn options(&self) -> anyhow::Result<Options> {
        Ok(Options {
            front_end: self.front_end.clone(),
            output: self.output.clone(),
            program: std::env::current_exe().context("cannot find this program's own file")?,
            seconds: self.seconds,
        })
    }
}
