//! Tells the genres of recordings.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use genre_transfer::classify::{
    self, Classification, Collection, Journal, Options, TimelineCsv, View,
};
use genre_transfer::runtime::Runtime;
use genre_transfer::{Classifier, Error, cli};
use indicatif::ProgressBar;
use tempfile::NamedTempFile;

/// musl's own allocator makes threads wait for each other.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "Examples:
  classify song.mp3 --model genres.onnx --timeline
  classify ~/music --model runs/yamnet-gtzan --top 1
  classify 'albums/**/*.flac' --model bundle --json > genres.jsonl
  classify /mnt/archive --model genres.onnx --output genres.parquet
  classify concert.wav --model genres.onnx --picture concert.svg --csv concert.csv
  ffmpeg -i song.opus -f wav - | classify - --model genres.onnx

The model is an .onnx file that export-onnx wrote (whatever its input), a run folder or a
bundle folder. Folders are searched for recordings. A recording that cannot be read is named
on standard error, the others go on, and the exit code is then 1. Exits with 2 if the
command line is wrong.

With --output the results so far are in FILE.part: a run that was killed, given the same
command again, goes on after the last recording it had finished.";

const NO_MODEL: &str = "no model given: train one with `finetune --data FOLDER` (which holds a \
    folder of recordings a genre) and give its run with --model runs/NAME, or give an .onnx file \
    that export-onnx has written";

/// Tell the genres of recordings.
#[derive(Parser)]
#[command(name = "classify", version, after_help = EXAMPLES)]
struct Cli {
    /// Recordings, folders of them, patterns in quotes, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|GLOB")]
    paths: Vec<PathBuf>,
    /// What to classify with
    #[arg(short, long, value_name = "FILE|RUN|BUNDLE")]
    model: Option<PathBuf>,
    /// Genres to show for each recording
    #[arg(long, default_value_t = 3, value_name = "K")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Show the probabilities over time, second by second
    #[arg(long)]
    timeline: bool,
    /// A line of JSON for each recording
    #[arg(long)]
    json: bool,
    /// Write the probabilities of every second as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw one recording's probabilities over time
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    picture: Option<PathBuf>,
    /// Write a row for each recording as Parquet, and go on where a killed run stopped
    #[arg(short, long, value_name = "FILE.parquet")]
    #[arg(conflicts_with_all = ["timeline", "csv", "picture"])]
    output: Option<PathBuf>,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// ort or tract [default: ort if it is installed]
    #[arg(long)]
    runtime: Option<Runtime>,
}

fn main() -> ExitCode {
    cli::main("classify", || run(&cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    let Some(model) = &cli.model else { bail!(NO_MODEL) };
    cli.picture.as_deref().map(classify::is_png).transpose()?;
    let defaults = Options::default();
    let options = Options {
        runtime: cli.runtime.unwrap_or(defaults.runtime),
        threads: cli.threads.map_or(defaults.threads, usize::from),
        ..defaults
    };
    let classifier = Classifier::open(model, &options)?;
    let input = StandardInput::read(cli)?;
    let Collection { files, missing, loops } = classify::find(&input.paths(cli));
    for skipped in &loops {
        genre_transfer::say!("not followed: {}: {}", skipped.path.display(), skipped.reason);
    }
    for missing in &missing {
        genre_transfer::say!("{}: {}", missing.path.display(), missing.reason);
    }
    let one = cli.picture.is_none() || files.len() <= 1;
    ensure!(one, "--picture shows one recording, but {} were named", files.len());
    // Before what an earlier run has written is replaced.
    ensure!(!files.is_empty(), "no recording to classify");

    let started = Instant::now();
    let read = files.iter().map(PathBuf::as_path).chain([classifier.model()]);
    for output in [&cli.csv, &cli.picture, &cli.output].into_iter().flatten() {
        genre_transfer::files::check_output(output, read.clone())?;
    }
    let mut report = Report::new(cli, &classifier, &files, input)?;
    let rest = report.known()?;
    let paths: Vec<PathBuf> = rest.iter().map(|&place| files[place].clone()).collect();
    classifier.classify_files(&paths, |number, result| report.add(rest[number], result))?;
    let (failed, seconds) = report.finish()?;
    let took = started.elapsed().as_secs_f64();
    let (failed, total) = (failed + missing.len(), files.len() + missing.len());
    genre_transfer::say!(
        "{} of {total} recordings, {seconds:.0} s of audio in {took:.1} s ({:.0}x real time)",
        total - failed,
        seconds / took
    );
    ensure!(failed == 0, "{failed} of {total} recordings could not be classified");
    Ok(())
}

/// A recording from standard input, in a file while it is needed.
struct StandardInput(Option<NamedTempFile>);

impl StandardInput {
    fn read(cli: &Cli) -> Result<Self> {
        if !cli.paths.iter().any(|path| path == Path::new("-")) {
            return Ok(Self(None));
        }
        ensure!(cli.output.is_none(), "--output cannot go on with standard input; name a file");
        let mut file = NamedTempFile::new().context("standard input")?;
        io::copy(&mut io::stdin().lock(), &mut file).context("standard input")?;
        Ok(Self(Some(file)))
    }

    /// What to look for.
    fn paths(&self, cli: &Cli) -> Vec<PathBuf> {
        let path = |path: &PathBuf| match &self.0 {
            Some(file) if path == Path::new("-") => file.path().to_owned(),
            _ => path.clone(),
        };
        cli.paths.iter().map(path).collect()
    }

    /// What the user calls the recording at `path`.
    fn name<'a>(&self, path: &'a Path) -> &'a Path {
        match &self.0 {
            Some(file) if file.path() == path => Path::new("-"),
            _ => path,
        }
    }

    /// An error as the user is to read it.
    fn explain(&self, error: &Error) -> String {
        let text = error.to_string();
        match &self.0 {
            Some(file) => text.replace(&*file.path().to_string_lossy(), "standard input"),
            None => text,
        }
    }
}

/// Where results go.
struct Report<'a> {
    cli: &'a Cli,
    view: View<'a>,
    files: &'a [PathBuf],
    input: StandardInput,
    journal: Option<Journal>,
    csv: Option<TimelineCsv>,
    /// What is to be printed when its turn has come.
    waiting: BTreeMap<usize, Printed>,
    next: usize,
    /// Whether nobody reads standard output any more.
    unheard: bool,
    bar: ProgressBar,
    failed: usize,
    seconds: f64,
}

/// A recording's line, its rows of the CSV.
#[derive(Default)]
struct Printed {
    line: Option<String>,
    rows: Option<Classification>,
}

impl<'a> Report<'a> {
    fn new(
        cli: &'a Cli,
        classifier: &'a Classifier,
        files: &'a [PathBuf],
        input: StandardInput,
    ) -> Result<Self> {
        let labels = classifier.labels();
        let journal = match &cli.output {
            Some(output) => Some(Journal::open(output, &classifier.sha256()?, labels)?),
            None => None,
        };
        let csv = cli.csv.as_deref().map(|path| TimelineCsv::new(path, labels)).transpose()?;
        Ok(Self {
            cli,
            view: View { labels, top: cli.top.into(), timeline: cli.timeline },
            files,
            input,
            journal,
            csv,
            waiting: BTreeMap::new(),
            next: 0,
            unheard: false,
            bar: cli::bar(files.len() as u64, "classifying", "files"),
            failed: 0,
            seconds: 0.0,
        })
    }

    /// Reports what an earlier run has found out, and returns the places of the other files.
    fn known(&mut self) -> Result<Vec<usize>> {
        let mut rest = vec![];
        for (place, path) in self.files.iter().enumerate() {
            match self.journal.as_mut().map(|journal| journal.get(path)).transpose()?.flatten() {
                Some(answer) => self.print(place, Ok(answer))?,
                None => rest.push(place),
            }
        }
        let known = self.files.len() - rest.len();
        if known > 0 {
            self.say(&format!("{known} recordings were classified by an earlier run"));
        }
        // Those are no measure of the speed from here on.
        self.bar.reset_elapsed();
        self.bar.reset_eta();
        self.seconds = 0.0;
        Ok(rest)
    }

    /// Takes the result of the file at a place.
    fn add(
        &mut self,
        place: usize,
        result: genre_transfer::Result<Classification>,
    ) -> genre_transfer::Result<()> {
        if let (Some(journal), Ok(answer)) = (&mut self.journal, &result) {
            journal.add(&self.files[place], answer)?;
        }
        self.print(place, result)
    }

    fn print(
        &mut self,
        place: usize,
        result: genre_transfer::Result<Classification>,
    ) -> genre_transfer::Result<()> {
        let path = self.input.name(&self.files[place]);
        let result = result.map_err(|error| self.input.explain(&error));
        match &result {
            Ok(answer) => self.seconds += answer.seconds,
            Err(reason) => {
                self.failed += 1;
                self.say(reason);
            }
        }
        if let (Some(picture), Ok(answer)) = (&self.cli.picture, &result) {
            classify::picture(picture, &path.to_string_lossy(), answer, &self.view)?;
        }
        let as_text = !self.cli.json && self.cli.output.is_none();
        let line = match &result {
            _ if self.cli.json => {
                Some(self.view.json(path, result.as_ref().map_err(String::as_str))?)
            }
            Ok(answer) if as_text => Some(self.view.text(path, answer)),
            _ => None,
        };
        let rows = result.ok().filter(|_| self.csv.is_some());
        self.waiting.insert(place, Printed { line, rows });
        self.bar.inc(1);
        while let Some(printed) = self.waiting.remove(&self.next) {
            self.put(printed)?;
            self.next += 1;
        }
        Ok(())
    }

    fn put(&mut self, printed: Printed) -> genre_transfer::Result<()> {
        if let Some(line) = printed.line.filter(|_| !self.unheard) {
            match self.bar.suspend(|| writeln!(io::stdout(), "{line}")) {
                // Its reader has seen enough, but the file is still wanted.
                Err(error) if error.kind() == ErrorKind::BrokenPipe && self.has_file() => {
                    self.unheard = true;
                }
                written => written.map_err(Error::io("standard output"))?,
            }
        }
        match (&mut self.csv, printed.rows) {
            (Some(csv), Some(answer)) => csv.add(self.input.name(&self.files[self.next]), &answer),
            _ => Ok(()),
        }
    }

    fn has_file(&self) -> bool {
        self.journal.is_some() || self.csv.is_some()
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| genre_transfer::say!("{text}"));
    }

    /// Puts the files in their places if there is a result; the number of failures, and seconds
    /// of audio classified.
    fn finish(self) -> Result<(usize, f64)> {
        self.bar.finish_and_clear();
        if let Some(csv) = self.csv.filter(|_| self.failed < self.files.len()) {
            csv.finish()?;
        }
        if let Some(journal) = self.journal {
            journal.finish(self.files)?;
        }
        Ok((self.failed, self.seconds))
    }
}
