//! Describes recordings by hand-made features.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use genre_transfer::audio::EXTENSIONS;
use genre_transfer::dataset::{Dataset, Recording, Skipped, Task, extract_features};
use genre_transfer::text::counted;
use genre_transfer::{cli, files};
use serde_json::json;

const EXAMPLES: &str = "Examples:
  extract-features data/gtzan --output features.csv
  extract-features data/gtzan --window 3 --output windows.csv    a row for each 3 seconds
  extract-features song.mp3 other.flac --output songs.csv        without a label

The 57 descriptors are those of GTZAN's features_30_sec.csv, as librosa defines them:
chroma, RMS, spectral centroid, bandwidth and roll-off, zero crossings, harmonic and
percussive parts, tempo and 20 MFCCs. A table with labels can be given to baseline.";

/// Compute GTZAN's 57 hand-made features from audio.
#[derive(Parser)]
#[command(name = "extract-features", version, after_help = EXAMPLES)]
struct Cli {
    /// A folder with one folder of recordings a genre, or recordings
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// The table to write
    #[arg(short, long, default_value = "features.csv", value_name = "FILE")]
    output: PathBuf,
    /// Cut recordings into windows of this many seconds, a row each
    #[arg(long, value_name = "SECONDS")]
    window: Option<f64>,
    /// Make an unreadable recording an error instead of skipping it
    #[arg(long)]
    strict: bool,
    /// Print what was written as JSON on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main("extract-features", || run(&cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    let (recordings, unlisted) = recordings(cli)?;
    files::check_output(&cli.output, recordings.iter().map(|recording| &*recording.path))?;
    let started = Instant::now();
    let extracted = extract_features(&recordings, cli.window, cli.strict, &cli.output)?;
    for skipped in &extracted.skipped {
        genre_transfer::say!("skipped: {}: {}", skipped.path.display(), skipped.reason);
    }
    let seconds = started.elapsed().as_secs_f64();
    let speed = extracted.seconds / seconds;
    if cli.json {
        cli::println(serde_json::to_string_pretty(&json!({
            "output": cli.output,
            "rows": extracted.rows,
            "skipped": unlisted.iter().chain(&extracted.skipped).collect::<Vec<_>>(),
            "audio_seconds": extracted.seconds,
            "seconds": seconds,
        }))?)
    } else {
        cli::println(format_args!(
            "{}: {} from {:.0} s of audio in {seconds:.1} s ({speed:.0}x real time)",
            cli.output.display(),
            counted(extracted.rows, "row"),
            extracted.seconds
        ))
    }
}

/// What to describe, and what cannot be.
fn recordings(cli: &Cli) -> Result<(Vec<Recording>, Vec<Skipped>)> {
    match &cli.paths[..] {
        [folder] if folder.is_dir() => in_folder(folder, cli.strict),
        files => Ok((alone(files)?, vec![])),
    }
}

/// The recordings in the genre folders of `folder`.
fn in_folder(folder: &Path, strict: bool) -> Result<(Vec<Recording>, Vec<Skipped>)> {
    let dataset = Dataset::scan_for(folder, EXTENSIONS, Some(Task::SingleLabel))?;
    for skipped in &dataset.skipped {
        genre_transfer::say!("skipped: {}: {}", skipped.path.display(), skipped.reason);
    }
    if strict && let Some(first) = dataset.skipped.first() {
        bail!("{}: {} (--strict)", first.path.display(), first.reason);
    }
    let found = dataset.recordings();
    let what = "no recordings in genre folders; give the files themselves";
    ensure!(!found.is_empty(), "{}: {what}", folder.display());
    Ok((found, dataset.skipped))
}

/// Recordings without a genre.
fn alone(files: &[PathBuf]) -> Result<Vec<Recording>> {
    if let Some(folder) = files.iter().find(|path| path.is_dir()) {
        bail!("{}: a folder among other paths; give one folder, or files", folder.display());
    }
    let one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        // Files of the same name must not look alike.
        let unique = files.iter().filter(|other| other.file_name() == Some(name)).count() == 1;
        let name = if unique { Path::new(name) } else { path };
        Recording { name: name.to_string_lossy().into_owned(), path: path.clone(), genre: None }
    };
    Ok(files.iter().map(one).collect())
}
