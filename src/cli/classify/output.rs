//! Where results go: lines, CSV, a picture, a journal that becomes a Parquet file.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::super::bar::bar;
use super::arguments::Arguments;
use super::in_order::InOrder;
use super::input::StandardInput;
use super::lines::Lines;
use crate::classify::{self, ByEnding, Classification, Classifier, Journal, TimelineCsv, View};
use crate::error::Result;
use crate::files::shown;

/// Everything the results of a run go to.
pub(super) struct Output<'a> {
    arguments: &'a Arguments,
    view: View<'a>,
    files: &'a [PathBuf],
    input: &'a StandardInput,
    lines: Lines,
    csv: Option<TimelineCsv>,
    journal: Option<Journal>,
    waiting: InOrder<Shown>,
    bar: ProgressBar,
    total: Total,
}

/// What a run has come to.
#[derive(Clone, Default)]
pub(super) struct Total {
    /// Recordings that could not be classified.
    pub failed: usize,
    /// The same by their endings.
    pub by_ending: ByEnding,
    /// Seconds of audio classified by this run.
    pub seconds: f64,
}

/// What is shown of a recording when all before it are: its line, its rows of the CSV.
struct Shown {
    line: Option<String>,
    rows: Option<Classification>,
}

impl<'a> Output<'a> {
    /// Begins the files that `arguments` ask for, for the results of `files`.
    ///
    /// # Errors
    /// Those of [`Journal::open`] and [`TimelineCsv::new`].
    pub fn new(
        arguments: &'a Arguments,
        classifier: &'a Classifier,
        files: &'a [PathBuf],
        input: &'a StandardInput,
    ) -> Result<Self> {
        let labels = classifier.labels();
        let journal = match &arguments.output {
            Some(output) => {
                Some(Journal::open(output, &classifier.sha256()?, labels, classifier.thresholds())?)
            }
            None => None,
        };
        let csv =
            arguments.csv.as_deref().map(|path| TimelineCsv::new(path, labels)).transpose()?;
        Ok(Self {
            arguments,
            view: arguments.view(classifier),
            files,
            input,
            lines: Lines::new(journal.is_some() || csv.is_some()),
            csv,
            journal,
            waiting: InOrder::new(),
            bar: bar(files.len() as u64, "classifying", "files"),
            total: Total::default(),
        })
    }

    /// Shows what an earlier run has found out, and returns the places of the other files.
    pub fn resume(&mut self) -> Result<Vec<usize>> {
        let mut rest = vec![];
        for (place, path) in self.files.iter().enumerate() {
            match self.journal.as_mut().map(|journal| journal.get(path)).transpose()?.flatten() {
                Some(answer) => self.show(place, Ok(answer))?,
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
        self.total.seconds = 0.0;
        Ok(rest)
    }

    /// Takes the result of the file at a place.
    pub fn add(&mut self, place: usize, result: Result<Classification>) -> Result<()> {
        if let (Some(journal), Ok(answer)) = (&mut self.journal, &result) {
            journal.add(&self.files[place], answer)?;
        }
        self.show(place, result)
    }

    /// Puts the files in their places if there is a result.
    pub fn finish(self) -> Result<Total> {
        self.bar.finish_and_clear();
        if let Some(csv) = self.csv.filter(|_| self.total.failed < self.files.len()) {
            csv.finish()?;
        }
        if let Some(journal) = self.journal {
            journal.finish(self.files)?;
        }
        Ok(self.total)
    }

    /// Counts and draws a result at once, and prints it when its turn has come.
    fn show(&mut self, place: usize, result: Result<Classification>) -> Result<()> {
        let path = self.input.name(&self.files[place]);
        let result = result.map_err(|error| self.input.explain(&error));
        match &result {
            Ok(answer) => {
                self.total.seconds += answer.seconds;
                for note in &answer.notes {
                    self.say(&format!("{}: {note}", shown(path)));
                }
            }
            Err(reason) => {
                self.total.failed += 1;
                classify::count(&mut self.total.by_ending, path);
                self.say(reason);
            }
        }
        if let (Some(picture), Ok(answer)) = (&self.arguments.picture, &result) {
            classify::picture(picture, &shown(path), answer, &self.view)?;
        }
        let line = self.line(path, &result)?;
        let rows = result.ok().filter(|_| self.csv.is_some());
        self.waiting.insert(place, Shown { line, rows });
        self.bar.inc(1);
        while let Some((place, shown)) = self.waiting.take() {
            self.print(place, shown)?;
        }
        Ok(())
    }

    /// The line of a recording: JSON for every one; text only for one that was classified, and
    /// not beside a Parquet file.
    fn line(&self, path: &Path, result: &Result<Classification, String>) -> Result<Option<String>> {
        let Arguments { json, output, .. } = self.arguments;
        match result {
            _ if *json => self.view.json(path, result.as_ref().map_err(String::as_str)).map(Some),
            Ok(answer) if output.is_none() => Ok(Some(self.view.text(path, answer))),
            _ => Ok(None),
        }
    }

    fn print(&mut self, place: usize, shown: Shown) -> Result<()> {
        if let Some(line) = shown.line {
            self.bar.suspend(|| self.lines.write(&line))?;
        }
        match (&mut self.csv, shown.rows) {
            (Some(csv), Some(answer)) => csv.add(self.input.name(&self.files[place]), &answer),
            _ => Ok(()),
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| crate::say!("{text}"));
    }
}
