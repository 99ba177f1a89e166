//! Where results go: lines, CSV, a picture, a catalogue.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::bar::LongWork;
use super::arguments::{Arguments, is_stdout};
use super::in_order::InOrder;
use super::input::StandardInput;
use super::lines::Lines;
use crate::classify::{
    self, ByEnding, Catalogue, Classification, Classifier, Need, Teller, TimelineCsv, View,
};
use crate::error::Result;
use crate::files::shown;
use crate::progress::Task as _;
use crate::text::counted;

/// Everything the results of a run go to.
pub(super) struct Output<'a> {
    arguments: &'a Arguments,
    view: View<'a>,
    files: &'a [PathBuf],
    input: &'a StandardInput,
    lines: Lines,
    csv: Option<TimelineCsv>,
    catalogue: Option<Catalogue>,
    /// Whose rows go to standard output.
    teller: Option<Teller>,
    waiting: InOrder<Shown>,
    bar: LongWork,
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
    /// Recordings that this run had to classify.
    pub classified: usize,
    /// Whether a catalogue was left as it was.
    pub unchanged: bool,
}

/// Why there is no answer: as a table has it beside the recording's name, and as a line on its own.
struct Failure {
    reason: String,
    text: String,
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
    /// Those of [`Catalogue::open`] and [`TimelineCsv::new`].
    pub fn new(
        arguments: &'a Arguments,
        classifier: &'a Classifier,
        files: &'a [PathBuf],
        input: &'a StandardInput,
    ) -> Result<Self> {
        let labels = classifier.labels();
        let catalogue = match arguments.catalogue() {
            Some(output) => {
                Some(Catalogue::open(output, classifier.teller()?, files, arguments.strict)?)
            }
            None => None,
        };
        let to_stdout = arguments.output.as_deref().is_some_and(is_stdout);
        let teller = to_stdout.then(|| classifier.teller()).transpose()?;
        let csv = arguments.csv.as_deref().map(|path| csv(path, labels)).transpose()?;
        let in_file = catalogue.is_some() || csv.is_some() && !arguments.takes_stdout();
        Ok(Self {
            arguments,
            view: arguments.view(classifier),
            files,
            input,
            lines: Lines::new(in_file),
            csv,
            catalogue,
            teller,
            waiting: InOrder::new(),
            bar: LongWork::begin(files.len() as u64, "classifying", "files"),
            total: Total::default(),
        })
    }

    /// Shows what an earlier run has found out, and returns the places of the other files.
    pub fn resume(&mut self) -> Result<Vec<usize>> {
        let Some(catalogue) = &mut self.catalogue else {
            self.total.classified = self.files.len();
            return Ok((0..self.files.len()).collect());
        };
        let mut needs: BTreeMap<Need, usize> = BTreeMap::new();
        let (mut rest, mut done) = (vec![], vec![]);
        for (place, path) in self.files.iter().enumerate() {
            let need = catalogue.need(path);
            *needs.entry(need).or_default() += 1;
            if need == Need::Nothing {
                done.push((place, catalogue.line(path)?));
            } else {
                rest.push(place);
            }
        }
        let gone = catalogue.gone(self.files);
        for (place, line) in done {
            self.bar.advance(1);
            self.insert(place, line.filter(|_| self.arguments.json), None)?;
        }
        self.tell(&needs, &gone);
        self.total.classified = rest.len();
        // What is there already is no measure of the speed from here on.
        self.bar.restart();
        Ok(rest)
    }

    /// Says what the catalogue knows, once.
    fn tell(&self, needs: &BTreeMap<Need, usize>, gone: &[String]) {
        let count = |need| needs.get(&need).copied().unwrap_or(0);
        let known = count(Need::Nothing);
        if known > 0 {
            self.say(&format!("{known} recordings were classified by an earlier run"));
        }
        for (need, why) in [
            (Need::OtherConfidence, "they were told with another --min-confidence"),
            (Need::OtherModel, "another model's answers are in the catalogue"),
            (Need::Changed, "the file has changed since, or was odd (--strict)"),
            (Need::Failed, "it failed before"),
        ] {
            if count(need) > 0 {
                self.say(&format!("classified again: {} ({why})", count(need)));
            }
        }
        if let Some(first) = gone.first() {
            let gone = counted(gone.len(), "recording");
            self.say(&format!(
                "{gone} of the catalogue cannot be found any more, such as {first}; rows stay"
            ));
        }
    }

    /// Takes the result of the file at a place.
    pub fn add(&mut self, place: usize, result: Result<Classification>) -> Result<()> {
        let path = &self.files[place];
        let result = result.map_err(|error| Failure {
            reason: self.input.reason(&error, path),
            text: self.input.explain(&error),
        });
        let kept = result.as_ref().map_err(|failure| &*failure.reason);
        if let Some(catalogue) = &mut self.catalogue {
            catalogue.add(path, kept)?;
        }
        let row = match (&mut self.catalogue, &self.teller) {
            (Some(catalogue), _) if self.arguments.json => catalogue.line(path)?,
            (_, Some(teller)) => {
                let name = shown(self.input.name(path));
                Some(classify::row(teller, path, &name, kept)?)
            }
            _ => None,
        };
        self.show(place, result.map_err(|failure| failure.text), row)
    }

    /// Puts the files in their places if there is a result.
    pub fn finish(self) -> Result<Total> {
        drop(self.bar);
        if let Some(csv) = self.csv.filter(|_| self.total.failed < self.files.len()) {
            csv.finish()?;
        }
        let mut total = self.total;
        if let Some(catalogue) = self.catalogue {
            total.unchanged = !catalogue.finish(self.files)?;
        }
        Ok(total)
    }

    /// Counts and draws a result at once, and prints it, or the `row` of a table in its place, when
    /// its turn has come.
    fn show(
        &mut self,
        place: usize,
        result: Result<Classification, String>,
        row: Option<String>,
    ) -> Result<()> {
        let path = self.input.name(&self.files[place]);
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
        self.bar.advance(1);
        let rows = result.ok().filter(|_| self.csv.is_some());
        self.insert(place, row.or(line), rows)
    }

    /// Prints what there is for a place when its turn has come.
    fn insert(
        &mut self,
        place: usize,
        line: Option<String>,
        rows: Option<Classification>,
    ) -> Result<()> {
        self.waiting.insert(place, Shown { line, rows });
        while let Some((place, shown)) = self.waiting.take() {
            self.print(place, shown)?;
        }
        Ok(())
    }

    /// The line of a recording: JSON for every one; text only for one that was classified, and
    /// where no table is written.
    fn line(&self, path: &Path, result: &Result<Classification, String>) -> Result<Option<String>> {
        let Arguments { json, output, .. } = self.arguments;
        match result {
            _ if output.is_some() || self.arguments.takes_stdout() => Ok(None),
            _ if *json => self.view.json(path, result.as_ref().map_err(String::as_str)).map(Some),
            Ok(answer) => Ok(Some(self.view.text(path, answer))),
            Err(_) => Ok(None),
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

/// Begins the CSV of every second.
fn csv(path: &Path, labels: &[String]) -> Result<TimelineCsv> {
    if is_stdout(path) {
        TimelineCsv::to(Box::new(io::stdout()), "standard output", labels)
    } else {
        TimelineCsv::new(path, labels)
    }
}
