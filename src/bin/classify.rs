//! Tells the genres of recordings.

use std::process::ExitCode;

use clap::Parser;
use genre_transfer::cli;
use genre_transfer::cli::classify::{Arguments, run};

/// Layers' answers come and go: glibc gives large blocks back to the kernel each time, and musl's
/// allocator makes threads wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "Examples:
  classify song.mp3
  classify song.mp3 --model genres.onnx --timeline
  classify ~/music --model runs/yamnet-gtzan --top 1
  classify 'albums/**/*.flac' --model bundle --json > genres.jsonl
  classify /mnt/archive --model genres.onnx --output genres.parquet
  classify song.mp3 --model genres.onnx --csv - | head
  classify concert.wav --model genres.onnx --picture concert.svg --csv concert.csv
  classify party.m3u8 --model genres.onnx
  classify spectrograms --model runs/searched-gtzan
  classify --verify genres.onnx
  ffmpeg -i song.tak -f wav - | classify - --model genres.onnx

Without a model YAMNet's own genres of music are told. A model of your own is an .onnx file that
export-onnx wrote (whatever its input), a run folder or a bundle folder; one that has learned from pictures of spectrograms takes pictures (PNG, JPEG) in
place of recordings. Folders are searched for recordings; a playlist stands for those that it names.
A recording that cannot be read is named on standard error, the others go on, and the exit
code is then 1. One that is cut short is used as far as it goes, with a warning (--strict: an
error). What nothing here decodes is read through ffmpeg, if it is on the PATH. Exits with 2
if the command line is wrong.

With --output a table is kept up: the ending (.parquet, .csv, .jsonl, .sqlite) says what it is, and
failures have rows with their reason. Given again, only what is new, has changed, is another
model's or failed is classified; rows of recordings that are gone stay. The results so far are in
FILE.part: a run that was killed goes on after the last recording it had finished.";

/// Tell the genres of recordings.
#[derive(Parser)]
#[command(name = "classify", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    cli::main("classify", || run(&cli::parse::<Cli>().arguments))
}
