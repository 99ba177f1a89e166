//! The arguments of `classify`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::classify::{Classifier, Options, View};
use crate::runtime::{self, Runtime};

/// What to classify, with what, and where the results go.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Recordings (pictures for a model that looks at these), playlists, folders, patterns in quotes,
    /// or - for standard input
    #[arg(required_unless_present = "verify", value_name = "FILE|DIR|GLOB")]
    pub paths: Vec<PathBuf>,
    /// What to classify with; by name yamnet-genres, yamnet (521 sounds) or musicnn (50 tags), as
    /// they were trained by others [default: yamnet-genres]
    #[arg(short, long, value_name = "FILE|RUN|BUNDLE|NAME")]
    pub model: Option<PathBuf>,
    /// Genres to show for each recording, as text; a model that tells several labels shows all that
    /// reach their threshold, and these besides over time. JSON always has all
    #[arg(long, default_value_t = 3, value_name = "K")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// Call a recording unknown if no probability reaches this one, and only then; 0 to always name
    /// a genre [default: what the model's file says, where it has been calibrated]
    #[arg(long, value_name = "P", value_parser = probability)]
    pub min_confidence: Option<f32>,
    /// Show the probabilities over time, second by second
    #[arg(long)]
    pub timeline: bool,
    /// A line of JSON for each recording
    #[arg(long)]
    pub json: bool,
    /// Write the probabilities of every second as CSV, with - to standard output
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
    /// Draw one recording's probabilities over time
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub picture: Option<PathBuf>,
    /// Keep a table with a row for each recording: given again, only what is new, has changed or
    /// failed is classified; with - lines of JSON on standard output
    #[arg(short, long, value_name = "FILE.parquet|csv|jsonl|sqlite|-")]
    #[arg(conflicts_with_all = ["timeline", "csv", "picture"])]
    pub output: Option<PathBuf>,
    /// Test whether this program, or with --answers another one, feeds the model rightly, by the
    /// probes in its file
    #[arg(long, value_name = "FILE|RUN|BUNDLE")]
    #[arg(conflicts_with_all = ["paths", "model", "timeline", "csv", "picture", "output"])]
    pub verify: Option<PathBuf>,
    /// What another program has answered to the probes: {"long": {"rock": 0.9, ...}, ...}
    #[arg(long, value_name = "FILE.json", requires = "verify")]
    pub answers: Option<PathBuf>,
    /// Write the probes as wavs, for another program to classify
    #[arg(long, value_name = "DIR", requires = "verify")]
    pub probes: Option<PathBuf>,
    /// Make a recording of which part is missing an error
    #[arg(long)]
    pub strict: bool,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// ort or tract [default: ort if it is installed]
    #[arg(long)]
    pub runtime: Option<Runtime>,
}

/// A number from 0 to 1.
fn probability(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "give a number from 0 to 1".to_owned())
}

impl Arguments {
    /// Whether the lines of a table or of CSV take standard output.
    pub(super) fn takes_stdout(&self) -> bool {
        [&self.csv, &self.output].into_iter().flatten().any(|path| is_stdout(path))
    }

    /// The table to keep up, if there is one.
    pub(super) fn catalogue(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| !is_stdout(path))
    }

    /// How the model is to be run.
    pub(super) fn options(&self) -> Options {
        let runtime::Options { device, threads } = runtime::Options::default();
        Options {
            // Asked for only then: it says what is wrong with the other one.
            runtime: self.runtime.unwrap_or_else(runtime::preferred),
            device,
            threads: self.threads.map_or(threads, usize::from),
            strict: self.strict,
            min_confidence: self.min_confidence,
        }
    }

    /// How answers are shown, with the labels of the model.
    pub(super) fn view<'a>(&self, classifier: &'a Classifier) -> View<'a> {
        View {
            labels: classifier.labels(),
            thresholds: classifier.thresholds(),
            top: self.top.into(),
            timeline: self.timeline,
        }
    }
}

/// Whether a file's name stands for standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}
