//! Recordings to a table of hand-made features.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::collection::{Dataset, Skipped, Track};
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::features::descriptors::{self, Descriptors};
use crate::files;
use crate::progress;

/// A recording to describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What the table is to call it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its genre, if it is known.
    pub genre: Option<String>,
}

/// What [`extract_features`] has written.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// Rows of the table.
    pub rows: usize,
    /// Seconds of audio described.
    pub seconds: f64,
    /// Recordings that cannot be described.
    pub skipped: Vec<Skipped>,
}

/// Rows of one recording and the seconds of audio in it.
type Described = Result<(Vec<Row>, f64), Skipped>;

struct Row {
    name: String,
    genre: Option<String>,
    samples: usize,
    values: Vec<f64>,
}

impl Dataset {
    /// The collection's tracks as recordings of known genres, named by their ids.
    #[must_use]
    #[doc(hidden)]
    pub fn recordings(&self) -> Vec<Recording> {
        let recording = |track: &Track| Recording {
            name: track.id.clone(),
            path: track.path.clone(),
            // A table has room for one.
            genre: self.genres.get(track.label()).filter(|_| self.task.is_single()).cloned(),
        };
        self.tracks.iter().map(recording).collect()
    }
}

/// Writes the descriptors of `recordings` to `output`, a CSV file like Kaggle's: a row a
/// recording, or with `window`, in seconds, a row for each window. There is a column `label`
/// if every genre is known.
///
/// A recording that cannot be read, is silent or shorter than a frame is skipped, unless `strict`.
///
/// # Errors
/// [`Error::OutOfRange`] for a window too short, [`Error::TooFew`] if no recording can be
/// described, [`Error::Audio`] if one cannot and `strict` is set; [`Error::Io`] if `output`
/// cannot be written.
pub fn extract_features(
    recordings: &[Recording],
    window: Option<f64>,
    strict: bool,
    output: &Path,
) -> Result<Extracted> {
    let window = window.map(window_samples).transpose()?;
    let descriptors = Descriptors::default();
    let bar = progress::begin(recordings.len(), "Describing", "files");
    let described: Vec<Described> = recordings
        .par_iter()
        .map(|recording| describe(recording, &descriptors, window, strict))
        .inspect(|_| bar.advance(1))
        .collect();
    let mut extracted = Extracted { rows: 0, seconds: 0.0, skipped: vec![] };
    let mut rows = vec![];
    for result in described {
        match result {
            Ok((more, seconds)) => {
                rows.extend(more);
                extracted.seconds += seconds;
            }
            Err(skipped) if strict => {
                let Skipped { path, reason } = skipped;
                let refused = format!("{reason} (‹strict›); leave out ‹strict› to skip it");
                return Err(Error::audio(path, refused));
            }
            Err(skipped) => extracted.skipped.push(skipped),
        }
    }
    extracted.rows = rows.len();
    match (rows.is_empty(), extracted.skipped.first()) {
        (true, Some(first)) => Err(Error::TooFew(format!(
            "none of {} recordings can be described; the first, {}: {}",
            recordings.len(),
            first.path.display(),
            first.reason
        ))),
        (true, None) => Err(Error::TooFew("there are no recordings to describe".to_owned())),
        (false, _) => {
            let text = table(&rows).map_err(|e| Error::format(output, e))?;
            files::write(output, &text)?;
            Ok(extracted)
        }
    }
}

fn window_samples(seconds: f64) -> Result<usize> {
    let samples = (seconds * f64::from(descriptors::RATE)).round();
    let least = descriptors::MIN_SAMPLES as f64 / f64::from(descriptors::RATE);
    if samples >= descriptors::MIN_SAMPLES as f64 && samples < 1e12 {
        Ok(samples as usize)
    } else {
        let expected = format!("give a number of seconds, at least {least:.3}");
        Err(Error::out_of_range("window", seconds, expected))
    }
}

fn describe(
    recording: &Recording,
    descriptors: &Descriptors,
    window: Option<usize>,
    strict: bool,
) -> Described {
    let skip = |reason: String| Skipped { path: recording.path.clone(), reason };
    let (audio, notes) = Audio::open_to_learn(&recording.path, descriptors::RATE, strict)
        .map_err(|error| skip(error.reason_at(&recording.path)))?;
    notes.iter().for_each(|note| tracing::warn!("{}: {note}", recording.path.display()));
    let row = |name: String, samples: &[f32]| {
        let values = descriptors.describe(samples).ok_or_else(|| {
            skip(format!(
                "{} samples at 22,050 Hz; at least {} are needed",
                samples.len(),
                descriptors::MIN_SAMPLES
            ))
        })?;
        let genre = recording.genre.clone();
        Ok(Row { name, genre, samples: samples.len(), values })
    };
    let rows = match window {
        Some(window) if audio.samples.len() >= window => {
            let windows = audio.samples.chunks_exact(window).enumerate();
            windows
                .map(|(number, samples)| row(window_name(&recording.name, number), samples))
                .collect::<Result<_, Skipped>>()?
        }
        Some(_) => vec![row(window_name(&recording.name, 0), &audio.samples)?],
        None => vec![row(recording.name.clone(), &audio.samples)?],
    };
    Ok((rows, audio.seconds()))
}

/// `blues/blues.00000.wav` and 3 to `blues/blues.00000.3.wav`.
fn window_name(name: &str, number: usize) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}.{number}.{extension}"),
        None => format!("{name}.{number}.wav"),
    }
}

fn table(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(vec![]);
    let labelled = rows.iter().all(|row| row.genre.is_some());
    let mut header = vec!["filename".to_owned(), "length".to_owned()];
    header.extend(descriptors::names());
    header.extend(labelled.then(|| "label".to_owned()));
    writer.write_record(&header)?;
    for row in rows {
        let mut cells = vec![row.name.clone(), row.samples.to_string()];
        cells.extend(row.values.iter().map(f64::to_string));
        cells.extend(row.genre.clone().filter(|_| labelled));
        writer.write_record(&cells)?;
    }
    writer.into_inner().map_err(|e| e.into_error().into())
}
