//! Timelines as CSV.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::answer::Classification;
use crate::error::{Error, Result};
use crate::files;

/// The timelines of many recordings as CSV: a row for every second of each, with columns
/// `file`, `second` and a probability for every label. Of a silent recording these are empty.
/// A picture has one row, without a second.
pub struct TimelineCsv {
    writer: csv::Writer<Target>,
    path: PathBuf,
}

/// Where the rows go.
enum Target {
    /// A file that appears when it is whole.
    File(BufWriter<NamedTempFile>),
    /// Whatever takes them at once.
    Open(Box<dyn Write>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Open(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Open(output) => output.flush(),
        }
    }
}

impl TimelineCsv {
    /// Begins the file, which appears at `path` when it is finished.
    ///
    /// # Errors
    /// [`Error::Io`] if nothing can be written there.
    pub fn new(path: &Path, labels: &[String]) -> Result<Self> {
        let part = files::part_beside(path, ".csv")?;
        Self::begin(Target::File(BufWriter::new(part)), path, labels)
    }

    /// Begins rows that `output`, called `name`, takes as they come.
    ///
    /// # Errors
    /// [`Error::Io`] if nothing can be written there.
    pub fn to(output: Box<dyn Write>, name: &str, labels: &[String]) -> Result<Self> {
        Self::begin(Target::Open(output), name.as_ref(), labels)
    }

    fn begin(target: Target, path: &Path, labels: &[String]) -> Result<Self> {
        let mut csv = Self { writer: csv::Writer::from_writer(target), path: path.to_owned() };
        let header = ["file", "second"].into_iter().chain(labels.iter().map(String::as_str));
        csv.writer.write_record(header).map_err(|e| csv.failed(e))?;
        Ok(csv)
    }

    /// Adds a recording.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn add(&mut self, file: &Path, answer: &Classification) -> Result<()> {
        for (second, probabilities) in answer.by_second().iter().enumerate() {
            let second = answer.picture.is_none().then(|| second.to_string());
            let cells = [files::shown(file).into_owned(), second.unwrap_or_default()];
            let value = |p: &f32| if answer.silent { String::new() } else { p.to_string() };
            let values = probabilities.iter().map(value);
            let row = cells.into_iter().chain(values);
            self.writer.write_record(row).map_err(|e| self.failed(e))?;
        }
        // Who reads along sees a recording when it is finished.
        self.writer.flush().map_err(Error::io(&self.path))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn finish(self) -> Result<()> {
        let Self { writer, path } = self;
        let io = |error| Error::io(&path)(error);
        let target = writer.into_inner().map_err(|e| io(e.into_error()))?;
        let Target::File(buffer) = target else { return Ok(()) };
        let part = buffer.into_inner().map_err(|e| io(e.into_error()))?;
        part.as_file().sync_all().map_err(io)?;
        part.persist(&path).map_err(|e| io(e.error))?;
        Ok(())
    }

    fn failed(&self, error: csv::Error) -> Error {
        Error::io(&self.path)(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Timeline;
    use super::*;

    #[test]
    fn csv_has_a_row_a_second_and_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeline.csv");
        let rows = [[0.9, 0.1], [0.6, 0.4], [0.0, 1.0]];
        let answer = Classification {
            seconds: 2.5,
            padded: false,
            silent: false,
            notes: vec![],
            probabilities: vec![0.5, 0.5],
            timeline: Timeline::of(1.0, 1.0, 2, &rows.concat()),
            picture: None,
            ..Classification::default()
        };
        let labels = ["jazz", "hip-hop"].map(str::to_owned);
        let mut csv = TimelineCsv::new(&path, &labels).unwrap();
        csv.add(Path::new("a,b.wav"), &answer).unwrap();
        assert!(!path.exists());
        csv.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "file,second,jazz,hip-hop\n\"a,b.wav\",0,0.9,0.1\n\"a,b.wav\",1,0.6,0.4\n\"a,b.wav\",2,0,1\n"
        );
    }
}
