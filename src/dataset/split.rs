//! Which tracks to train on, validate on and test on.
//!
//! A split is by track, never by piece of a track, and files with the same bytes
//! go to the same side: otherwise a model would be tested on what it has seen.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::collection::Dataset;
use super::task::Task;
use crate::error::{Error, Result};
use crate::files;
use crate::text::composed;

/// How a split was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Shuffled, with the same share of every genre in each part.
    Stratified,
    /// A stratified one whose test part is left out; its validation part is tested in its place.
    Rehearsal,
    /// GTZAN without its faults: Kereliuk, Sturm & Larsen, "Deep Learning and Music
    /// Adversaries", IEEE Transactions on Multimedia 17(11), 2015.
    FaultFiltered,
    /// The collection's own: its folders or its list say which track is in which part.
    Given,
    /// One of the folds of a cross-validation, stratified.
    Fold,
    /// Windows of songs shuffled as if they were songs: a common mistake, made on purpose
    /// to show what it does to the figures.
    LeakyWindows,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stratified => "stratified",
            Self::Rehearsal => "rehearsal",
            Self::FaultFiltered => "fault-filtered",
            Self::Given => "given",
            Self::Fold => "fold",
            Self::LeakyWindows => "leaky-windows",
        })
    }
}

/// Which fold of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// From 0.
    pub index: usize,
    /// The number of folds.
    pub of: usize,
}

/// A division of track ids into three parts, kept as `split.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// How it was made.
    pub method: Method,
    /// Seed of the shuffle; 0 where nothing was shuffled.
    pub seed: u64,
    /// Share of the tracks meant for the test part.
    pub test_fraction: f64,
    /// Share of the rest meant for the validation part.
    pub validation_fraction: f64,
    /// Which fold it is, for [`Method::Fold`] only.
    pub fold: Option<Fold>,
    /// What is told of the tracks; files of single labels do not say it.
    #[serde(default, skip_serializing_if = "Task::is_single")]
    pub task: Task,
    /// Genre names, sorted, as in [`Dataset::genres`].
    pub genres: Vec<String>,
    /// Ids of the tracks to fit on, sorted.
    pub train: Vec<String>,
    /// Ids of the tracks that choose the best epoch, sorted.
    pub validation: Vec<String>,
    /// Ids of the tracks that are only ever tested on, sorted.
    pub test: Vec<String>,
}

/// A split applied to a collection: indices into [`Dataset::tracks`], ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Tracks to fit on.
    pub train: Vec<usize>,
    /// Tracks that choose the best epoch.
    pub validation: Vec<usize>,
    /// Tracks to test on.
    pub test: Vec<usize>,
    /// How many ids of the split are not in the collection.
    pub missing: usize,
    /// How many tracks of the collection are not in the split.
    pub unlisted: usize,
}

impl Split {
    /// Reads a split that [`Split::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] naming the line, the field
    /// or the id if it is not a split.
    pub fn load(path: &Path) -> Result<Self> {
        let mut split: Self = files::read_json(path)?;
        let ids = [&mut split.train, &mut split.validation, &mut split.test];
        for name in ids.into_iter().chain([&mut split.genres]).flatten() {
            *name = composed(name);
        }
        split.validate().map_err(|wrong| Error::format(path, wrong))?;
        Ok(split)
    }

    /// Writes the split as JSON, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }

    /// The lists of ids in a JSON file, for [`Split::given_folds`]: an array of folds, each
    /// an array of ids or, as in a run's `folds.json`, of objects with a `track`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it holds something else.
    pub(crate) fn load_folds(path: &Path) -> Result<Vec<Vec<String>>> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a track's id, or an object with a \"track\"")]
        enum Listed {
            Id(String),
            Tested { track: String },
        }
        let folds: Vec<Vec<Listed>> = files::read_json(path)?;
        let id = |listed| match listed {
            Listed::Id(id) | Listed::Tested { track: id } => composed(&id),
        };
        Ok(folds.into_iter().map(|fold| fold.into_iter().map(id).collect()).collect())
    }

    /// Finds the split's tracks in `dataset`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the genres differ, an id is listed twice or two files with the
    /// same bytes are in different parts; [`Error::TooFew`] if a part has no track in the
    /// collection.
    pub fn assign(&self, dataset: &Dataset) -> Result<Parts> {
        self.validate().map_err(|wrong| Error::Mismatch(format!("split: {wrong}")))?;
        if self.task != dataset.task {
            return Err(Error::Mismatch(format!(
                "the split is of a {} collection, and {} is read as a {} one; make a new split, or \
                 take ‹task› {}",
                self.task,
                dataset.root.display(),
                dataset.task,
                self.task
            )));
        }
        if self.genres != dataset.genres {
            return Err(Error::Mismatch(format!(
                "the split is for the genres {}, but {} holds {}; make a new split",
                self.genres.join(", "),
                dataset.root.display(),
                dataset.genres.join(", "),
            )));
        }
        let part_of: HashMap<&str, usize> = self
            .parts()
            .into_iter()
            .enumerate()
            .flat_map(|(part, (_, ids))| ids.iter().map(move |id| (id.as_str(), part)))
            .collect();
        let mut parts = [vec![], vec![], vec![]];
        let mut unlisted = 0;
        for (index, track) in dataset.tracks.iter().enumerate() {
            match part_of.get(track.id.as_str()) {
                Some(&part) => parts[part].push(index),
                None => unlisted += 1,
            }
        }
        self.check_parts(dataset, &parts)?;
        let found = parts.iter().map(Vec::len).sum::<usize>();
        let missing = part_of.len().saturating_sub(found);
        let [train, validation, test] = parts;
        Ok(Parts { train, validation, test, missing, unlisted })
    }

    /// Refuses an empty part, and a recording in two parts.
    fn check_parts(&self, dataset: &Dataset, parts: &[Vec<usize>; 3]) -> Result<()> {
        let mut seen: HashMap<&str, (&str, &str)> = HashMap::new();
        for (indices, (name, listed)) in parts.iter().zip(self.parts()) {
            if indices.is_empty() {
                return Err(Error::TooFew(format!(
                    "the split's {name} part has no track: it lists {}, and none of them is in \
                     {}; at least one genre must have three different recordings or groups of them",
                    listed.len(),
                    dataset.root.display(),
                )));
            }
            for track in indices.iter().map(|&index| &dataset.tracks[index]) {
                let (other, part) = *seen.entry(&track.sha256).or_insert((&track.id, name));
                if part != name {
                    return Err(Error::Mismatch(format!(
                        "{other} and {} are the same recording, but the split has one in its \
                         {part} and the other in its {name} part; make a new split",
                        track.id
                    )));
                }
            }
        }
        Ok(())
    }

    /// One that was not drawn, of these ids to train, to validate and to test: its fractions are
    /// those of its parts.
    pub(super) fn of_parts(
        method: Method,
        seed: u64,
        dataset: &Dataset,
        [train, validation, test]: [Vec<String>; 3],
    ) -> Self {
        let learned = train.len() + validation.len();
        let share = |part: &[String], whole: usize| part.len() as f64 / whole.max(1) as f64;
        Self {
            method,
            seed,
            test_fraction: share(&test, learned + test.len()),
            validation_fraction: share(&validation, learned),
            fold: None,
            task: dataset.task,
            genres: dataset.genres.clone(),
            train,
            validation,
            test,
        }
    }

    pub(super) fn parts(&self) -> [(&'static str, &[String]); 3] {
        [("train", &self.train), ("validation", &self.validation), ("test", &self.test)]
    }

    /// Refuses what no split may be, whoever wrote it.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if !self.genres.is_sorted_by(|a, b| a < b) {
            return Err(Invalid::Genres);
        }
        for (part, value) in
            [("test", self.test_fraction), ("validation", self.validation_fraction)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Err(Invalid::Fraction { part, value });
            }
        }
        match (self.method, self.fold) {
            (Method::Fold, Some(Fold { index, of })) if index < of => {}
            (
                Method::Stratified
                | Method::Rehearsal
                | Method::FaultFiltered
                | Method::Given
                | Method::LeakyWindows,
                None,
            ) => {}
            _ => return Err(Invalid::Fold),
        }
        let mut seen: HashMap<&str, &'static str> = HashMap::new();
        for (part, ids) in self.parts() {
            for id in ids {
                if let Some(first) = seen.insert(id, part) {
                    return Err(Invalid::Twice { id: id.clone(), first, second: part });
                }
                // Of several labels the id says none.
                if self.task == Task::MultiLabel {
                    continue;
                }
                let genre = genre_of(id).ok_or_else(|| Invalid::Id(id.clone()))?;
                if self.genres.binary_search_by(|g| g.as_str().cmp(genre)).is_err() {
                    return Err(Invalid::Genre { id: id.clone(), genre: genre.to_owned() });
                }
            }
        }
        Ok(())
    }
}

/// What is wrong with a split, of whatever collection it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error("the genres are not sorted, or one is there twice")]
    Genres,
    #[error("{part}_fraction is {value}, not between 0 and 1")]
    Fraction { part: &'static str, value: f64 },
    #[error("\"method\" and \"fold\" contradict each other")]
    Fold,
    #[error("\"{id}\" is twice in the split ({first} and {second})")]
    Twice { id: String, first: &'static str, second: &'static str },
    #[error("\"{0}\" is not a track id")]
    Id(String),
    #[error("\"{id}\" is of the genre \"{genre}\", which is not listed")]
    Genre { id: String, genre: String },
}

/// The genre folder in an id such as `blues/blues.00000.wav`.
pub(super) fn genre_of(id: &str) -> Option<&str> {
    let (genre, file) = id.split_once('/')?;
    (!genre.is_empty() && !file.is_empty()).then_some(genre)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;

    use proptest::prelude::*;

    use super::super::collection::Track;
    use super::super::testing::{any_dataset, plain};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

        #[test]
        fn splits_survive_json(set in any_dataset(), seed: u64) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("split.json");
            let split = Split::stratified(&set, seed, 0.2, 0.1).unwrap();
            split.save(&path).unwrap();
            prop_assert_eq!(Split::load(&path).unwrap(), split);
        }
    }

    #[test]
    fn folds_are_read_as_ids_or_as_a_run_wrote_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folds.json");
        let load = |text: &str| {
            fs::write(&path, text).unwrap();
            Split::load_folds(&path)
        };
        let wanted = vec![vec!["a/1.wav".to_owned()], vec!["b/2.wav".to_owned()]];
        assert_eq!(load(r#"[["a/1.wav"], ["b/2.wav"]]"#).unwrap(), wanted);
        let run = r#"[[{"track": "a/1.wav", "genre": "a"}], [{"track": "b/2.wav"}]]"#;
        assert_eq!(load(run).unwrap(), wanted);
        let error = load(r#"[["a/1.wav"], [2]]"#).unwrap_err().to_string();
        assert!(error.contains("expected a track's id") && error.contains("folds.json"), "{error}");
    }

    #[test]
    fn assigning_counts_what_only_one_side_knows() {
        let set = plain(2, 10);
        let split = Split::stratified(&set, 3, 0.2, 0.25).unwrap();
        let mut other = set.clone();
        let gone =
            other.tracks.remove(set.tracks.iter().position(|t| t.id == split.train[0]).unwrap());
        other.tracks.push(Track { id: "g01/new.wav".into(), sha256: "new".into(), ..gone });
        let parts = split.assign(&other).unwrap();
        assert_eq!((parts.missing, parts.unlisted), (1, 1));
        assert_eq!([parts.train.len(), parts.validation.len(), parts.test.len()], [11, 4, 4]);
        for (indices, ids) in [(&parts.validation, &split.validation), (&parts.test, &split.test)] {
            let found: HashSet<_> = indices.iter().map(|&i| &other.tracks[i].id).collect();
            assert_eq!(found, ids.iter().collect());
        }
    }

    #[test]
    fn assigning_refuses_other_genres_empty_parts_repeats_and_leaks() {
        let set = plain(2, 10);
        let split = Split::stratified(&set, 3, 0.2, 0.25).unwrap();
        let refusal = |split: &Split, set: &Dataset| match split.assign(set) {
            Err(Error::Mismatch(text) | Error::TooFew(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(refusal(&split, &plain(3, 10)).contains("g00, g01, g02"));

        let mut untested = set.clone();
        untested.tracks.retain(|t| !split.test.contains(&t.id));
        assert!(refusal(&split, &untested).contains("test part has no track: it lists 4"));

        let mut twice = split.clone();
        twice.test.push(split.train[0].clone());
        assert!(refusal(&twice, &set).contains(&format!("\"{}\" is twice", split.train[0])));

        let mut leaky = set.clone();
        for track in &mut leaky.tracks {
            if track.id == split.train[0] || track.id == split.test[0] {
                track.sha256 = "same".into();
            }
        }
        let text = refusal(&split, &leaky);
        assert!(text.contains(&split.train[0]) && text.contains(&split.test[0]), "{text}");
    }
}
