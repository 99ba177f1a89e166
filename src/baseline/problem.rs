//! A table of features, split.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::config::Config;
use super::samples::Samples;
use crate::dataset::{Dataset, FeatureTable, Method, Split};
use crate::error::{Error, Result};
use crate::features::descriptors;
use crate::train::config::SPLITS;

/// Folds of the cross-validation, where there are songs enough.
const FOLDS: usize = 5;

/// The validation part that `finetune` keeps, so that both split the same songs alike.
/// Here it is trained on.
const VALIDATION: f64 = 0.2;

/// Rows to fit on and rows to judge the fit by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FoldRows {
    /// Rows to fit on.
    pub train: Vec<usize>,
    /// The other rows.
    pub held_out: Vec<usize>,
}

/// A table of features, split, with the folds of the part to train on.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The table.
    pub table: FeatureTable,
    /// What was split: songs, or windows for the leaky split.
    pub units: Dataset,
    /// How.
    pub split: Split,
    /// Rows to train on: those of the split's training and validation parts.
    pub(super) train: Samples,
    /// Rows to test on, as indices into the table.
    pub test_rows: Vec<usize>,
    /// Folds of `train`, none of which parts a unit.
    pub(super) folds: Vec<FoldRows>,
    /// Rows of songs that the split does not list.
    pub skipped_rows: usize,
    /// A short name of table and split, for run folders: `30s`, `3s-leaky`.
    pub name: String,
}

impl Problem {
    /// Reads the table and splits it.
    ///
    /// # Errors
    /// Errors of the table and the split; [`Error::InvalidInput`] if there is nothing to leak,
    /// [`Error::TooFew`] if there are too few songs.
    pub(super) fn read(config: &Config) -> Result<Self> {
        let given = if SPLITS.contains(&&*config.split) {
            None
        } else {
            Some(Split::load(Path::new(&config.split))?)
        };
        let genres = given.as_ref().map(|split| split.genres.as_slice());
        let table = FeatureTable::read(&config.table()?, genres)?;
        if config.leaky && !table.windows {
            return Err(Error::InvalidInput(format!(
                "‹leaky›: {} has a row a song, and so nothing to leak; take ‹features› 3",
                table.path.display()
            )));
        }
        let split = match given {
            Some(split) => split,
            None => make_split(config, &table)?,
        };
        let problem = Self::new(table, split, config)?;
        problem.report();
        Ok(problem)
    }

    /// The problem that `split` makes of `table`.
    pub(super) fn new(table: FeatureTable, split: Split, config: &Config) -> Result<Self> {
        let leaky = split.method == Method::LeakyWindows;
        let units = if leaky { table.rows_as_tracks() } else { table.songs() };
        let parts = split.assign(&units)?;
        let by_id: HashMap<&str, usize> =
            units.tracks.iter().enumerate().map(|(i, track)| (track.id.as_str(), i)).collect();
        let unit = |row: usize| {
            let row = &table.rows[row];
            by_id.get(if leaky { row.id.as_str() } else { row.song.as_str() }).copied()
        };
        let rows_of = |units: &HashSet<usize>| -> Vec<usize> {
            let within = |row: &usize| unit(*row).is_some_and(|unit| units.contains(&unit));
            (0..table.rows.len()).filter(within).collect()
        };
        let train_units: HashSet<usize> =
            parts.train.iter().chain(&parts.validation).copied().collect();
        let train_rows = rows_of(&train_units);
        let test_rows = rows_of(&parts.test.iter().copied().collect());
        let train = Samples {
            values: train_rows.iter().flat_map(|&row| &table.rows[row].values).copied().collect(),
            labels: train_rows.iter().map(|&row| table.rows[row].label).collect(),
            units: train_rows.iter().filter_map(|&row| unit(row)).collect(),
            features: descriptors::COUNT,
            classes: table.genres.len(),
        };
        let folds = folds(&train, &units, config.seed)?;
        let suffix = if leaky { "-leaky" } else { "" };
        let name = format!("{}{suffix}", config.features_name());
        let skipped_rows = table.rows.len() - train_rows.len() - test_rows.len();
        Ok(Self { table, units, split, train, test_rows, folds, skipped_rows, name })
    }

    /// Whether windows of one song are on both sides.
    pub fn is_leaky(&self) -> bool {
        self.split.method == Method::LeakyWindows
    }

    /// What a row is called: a song or a window.
    fn row_name(&self) -> &'static str {
        if self.table.windows { "windows" } else { "songs" }
    }

    fn report(&self) {
        let what = self.row_name();
        tracing::info!(
            "{}: {} {what}, {} genres; {} to train and {} to test",
            self.table.path.display(),
            self.table.rows.len(),
            self.table.genres.len(),
            self.train.labels.len(),
            self.test_rows.len(),
        );
        if self.skipped_rows > 0 {
            tracing::info!(
                "skipped: {} rows of songs that the split does not list",
                self.skipped_rows
            );
        }
        if self.is_leaky() {
            tracing::info!(
                "LEAKY: windows of one song are in training and test; do not trust the figures"
            );
        }
    }
}

fn make_split(config: &Config, table: &FeatureTable) -> Result<Split> {
    let (seed, share) = (config.seed, config.test_fraction);
    if config.leaky {
        let split = Split::stratified(&table.rows_as_tracks(), seed, share, VALIDATION)?;
        return Ok(Split { method: Method::LeakyWindows, ..split });
    }
    match config.split.as_str() {
        "fault-filtered" => {
            Split::fault_filtered(&table.songs(), &config.data_folder().join("splits"))
        }
        "rehearsal" => {
            let songs = table.songs();
            Split::stratified(&songs, seed, share, VALIDATION)?.rehearsal(&songs)
        }
        _ => Split::stratified(&table.songs(), seed, share, VALIDATION),
    }
}

/// Stratified folds of the units in `train`.
fn folds(train: &Samples, units: &Dataset, seed: u64) -> Result<Vec<FoldRows>> {
    let present: HashSet<usize> = train.units.iter().copied().collect();
    let tracks = units.tracks.iter().enumerate();
    let mut part = Dataset { tracks: vec![], ..units.clone() };
    part.tracks = tracks.filter(|(i, _)| present.contains(i)).map(|(_, t)| t.clone()).collect();
    let different = |label: usize| {
        let of_genre = part.tracks.iter().filter(|track| track.label() == label);
        of_genre.map(|track| &track.sha256).collect::<HashSet<_>>().len()
    };
    let fewest = (0..part.genres.len()).map(different).min().unwrap_or(0);
    if fewest < 2 {
        return Err(Error::TooFew(format!(
            "{}: a genre has {fewest} song(s) to train on; cross-validation needs 2, so give each \
             genre at least 3 songs",
            units.root.display()
        )));
    }
    let place: HashMap<&str, usize> =
        units.tracks.iter().enumerate().map(|(i, track)| (track.id.as_str(), i)).collect();
    let fold = |split: Split| {
        let held_out: HashSet<usize> =
            split.test.iter().filter_map(|id| place.get(id.as_str()).copied()).collect();
        let (held_out, train) =
            (0..train.units.len()).partition(|&row| held_out.contains(&train.units[row]));
        FoldRows { train, held_out }
    };
    let splits = Split::folds(&part, FOLDS.min(fewest), seed, VALIDATION)?;
    Ok(splits.into_iter().map(fold).collect())
}
