//! Which tracks to train on, validate on and test on.
//!
//! A split is by track, never by piece of a track, and files with the same bytes
//! go to the same side: otherwise a model would be tested on what it has seen.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Dataset, Track};
use crate::error::{Error, Result};
use crate::files;

/// How a split was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Shuffled, with the same share of every genre in each part.
    Stratified,
    /// GTZAN without its faults: Kereliuk, Sturm & Larsen, "Deep Learning and Music
    /// Adversaries", IEEE Transactions on Multimedia 17(11), 2015.
    FaultFiltered,
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
            Self::FaultFiltered => "fault-filtered",
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

/// Tracks with the same bytes, sorted by id.
type Group<'a> = Vec<&'a Track>;

impl Split {
    /// Shuffles the tracks and divides every genre alike: `test_fraction` to the test
    /// part, `validation_fraction` of the rest to the validation part.
    ///
    /// Tracks with the same bytes stay together and count for the genre of the first
    /// of them (by id). A genre with two different recordings has one in training and
    /// one in test; with three or more it is in all parts. The same ids, bytes and
    /// seed give the same split on every platform, in whatever order they come.
    ///
    /// # Errors
    /// [`Error::Config`] if a fraction is not between 0 and 1, [`Error::Data`] if the
    /// collection does not pass [`Dataset::check`].
    pub fn stratified(
        dataset: &Dataset,
        seed: u64,
        test_fraction: f64,
        validation_fraction: f64,
    ) -> Result<Self> {
        check_fraction("test", test_fraction)?;
        check_fraction("validation", validation_fraction)?;
        dataset.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut train, mut validation, mut test) = (vec![], vec![], vec![]);
        for mut groups in groups_by_genre(dataset) {
            groups.shuffle(&mut rng);
            let keep = if groups.len() > 2 { 2 } else { 1 };
            let (taken, rest) = take(groups, test_fraction, keep);
            test.extend(taken);
            let (taken, rest) = take(rest, validation_fraction, 1);
            validation.extend(taken);
            train.extend(rest);
        }
        Ok(Self {
            method: Method::Stratified,
            seed,
            test_fraction,
            validation_fraction,
            fold: None,
            genres: dataset.genres.clone(),
            train: ids(train),
            validation: ids(validation),
            test: ids(test),
        })
    }

    /// A cross-validation: `k` stratified splits whose test parts together hold every
    /// track once. Tracks with the same bytes stay together, as in [`Split::stratified`].
    ///
    /// # Errors
    /// [`Error::Config`] if `k` is below 2 or above the number of different recordings
    /// of a genre, or the fraction is not between 0 and 1; [`Error::Data`] if the
    /// collection does not pass [`Dataset::check`].
    pub fn folds(
        dataset: &Dataset,
        k: usize,
        seed: u64,
        validation_fraction: f64,
    ) -> Result<Vec<Self>> {
        check_fraction("validation", validation_fraction)?;
        dataset.check()?;
        let genres = groups_by_genre(dataset);
        for (name, groups) in dataset.genres.iter().zip(&genres) {
            if k < 2 || k > groups.len() {
                return Err(Error::Config(format!(
                    "{k} folds are not possible: from 2 up to the number of different \
                     recordings of a genre, and \"{name}\" has {}",
                    groups.len()
                )));
            }
        }
        Ok(Self::cross_validation(dataset, genres, seed, validation_fraction, |genres| {
            deal(genres, k)
        }))
    }

    /// The lists of ids in a JSON file, for [`Split::given_folds`]: an array of folds, each
    /// an array of ids or, as in a run's `folds.json`, of objects with a `track`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it holds something else.
    pub fn load_folds(path: &Path) -> Result<Vec<Vec<String>>> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a track's id, or an object with a \"track\"")]
        enum Listed {
            Id(String),
            Tested { track: String },
        }
        let folds: Vec<Vec<Listed>> = files::read_json(path)?;
        let id = |listed| match listed {
            Listed::Id(id) | Listed::Tested { track: id } => id,
        };
        Ok(folds.into_iter().map(|fold| fold.into_iter().map(id).collect()).collect())
    }

    /// A cross-validation over folds drawn elsewhere: each a list of track ids, tested in
    /// turn. Lists and `seed` of [`Split::folds`] give its splits again. Ids that are not in
    /// the collection, and tracks that are in no list, are left out.
    ///
    /// # Errors
    /// [`Error::Config`] if there are fewer than two lists, or the fraction is not between
    /// 0 and 1; [`Error::Data`] if the collection does not pass [`Dataset::check`], an id is
    /// listed twice, a list has no track of the collection, or two files with the same bytes
    /// are in different lists.
    pub fn given_folds(
        dataset: &Dataset,
        folds: &[Vec<String>],
        seed: u64,
        validation_fraction: f64,
    ) -> Result<Vec<Self>> {
        check_fraction("validation", validation_fraction)?;
        dataset.check()?;
        if folds.len() < 2 {
            let count = folds.len();
            return Err(Error::Config(format!("{count} of the 2 folds or more that are needed")));
        }
        let fold_of = fold_of_ids(folds)?;
        let genres = listed_groups(dataset, &fold_of)?;
        let splits = Self::cross_validation(dataset, genres, seed, validation_fraction, |genres| {
            let mut hands = vec![vec![]; folds.len()];
            for group in genres.iter().flatten() {
                hands[fold_of[&*group[0].id]].push(group.clone());
            }
            hands
        });
        for (index, split) in splits.iter().enumerate() {
            let fold = format!("fold {index}, counted from 0,");
            let (train, validation) = (split.train.len(), split.validation.len());
            if split.test.is_empty() {
                return Err(Error::Data(format!(
                    "{fold} has none of the tracks in {}, which are named like \"{}\"",
                    dataset.root.display(),
                    dataset.tracks[0].id
                )));
            }
            if train == 0 || validation == 0 {
                return Err(Error::Data(format!(
                    "{fold} leaves {train} tracks to learn from and {validation} to validate; make \
                     smaller folds"
                )));
            }
        }
        Ok(splits)
    }

    /// Splits with the test parts that `hands` makes of the shuffled groups, and a
    /// validation part of each one's rest.
    fn cross_validation<'a>(
        dataset: &'a Dataset,
        mut genres: Vec<Vec<Group<'a>>>,
        seed: u64,
        validation_fraction: f64,
        hands: impl FnOnce(&[Vec<Group<'a>>]) -> Vec<Vec<Group<'a>>>,
    ) -> Vec<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        genres.iter_mut().for_each(|groups| groups.shuffle(&mut rng));
        let tests = hands(&genres);
        let of = tests.len();
        let mut split = |(index, test): (usize, Vec<Group>)| {
            let (mut train, mut validation) = (vec![], vec![]);
            for groups in &genres {
                let mut rest: Vec<_> =
                    groups.iter().filter(|g| !test.contains(g)).cloned().collect();
                rest.shuffle(&mut rng);
                let (taken, rest) = take(rest, validation_fraction, 1);
                validation.extend(taken);
                train.extend(rest);
            }
            Self {
                method: Method::Fold,
                seed,
                test_fraction: 1.0 / of as f64,
                validation_fraction,
                fold: Some(Fold { index, of }),
                genres: dataset.genres.clone(),
                train: ids(train),
                validation: ids(validation),
                test: ids(test),
            }
        };
        tests.into_iter().enumerate().map(&mut split).collect()
    }

    /// The published split of GTZAN without repeated, mislabelled and distorted clips
    /// (443 / 197 / 290 tracks; see [`Method::FaultFiltered`]), read from
    /// `train_filtered.txt`, `valid_filtered.txt` and `test_filtered.txt` in the folder
    /// `lists`: one id a line, such as `blues/blues.00029.wav`.
    ///
    /// The split holds all listed ids of the collection's genres, also of files that
    /// are not there; [`Split::assign`] counts those as [`Parts::missing`].
    ///
    /// # Errors
    /// [`Error::Data`] if a list is missing, saying where it belongs;
    /// [`Error::Format`] if a list holds something else than ids, or an id twice.
    pub fn fault_filtered(dataset: &Dataset, lists: &Path) -> Result<Self> {
        let read = |name: &str| read_list(dataset, lists, name);
        let train = read("train_filtered.txt")?;
        let validation = read("valid_filtered.txt")?;
        let test = read("test_filtered.txt")?;
        let rest = train.len() + validation.len();
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let split = Self {
            method: Method::FaultFiltered,
            seed: 0,
            test_fraction: share(test.len(), rest + test.len()),
            validation_fraction: share(validation.len(), rest),
            fold: None,
            genres: dataset.genres.clone(),
            train,
            validation,
            test,
        };
        split.validate().map_err(|reason| Error::format(lists, reason))?;
        Ok(split)
    }

    /// Reads a split that [`Split::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] naming the line, the field
    /// or the id if it is not a split.
    pub fn load(path: &Path) -> Result<Self> {
        let split: Self = files::read_json(path)?;
        split.validate().map_err(|reason| Error::format(path, reason))?;
        Ok(split)
    }

    /// Writes the split as JSON, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::write_json(path, self)
    }

    /// Finds the split's tracks in `dataset`.
    ///
    /// # Errors
    /// [`Error::Data`] if the genres differ, an id is listed twice, a part has no track
    /// in the collection, or two files with the same bytes are in different parts.
    pub fn assign(&self, dataset: &Dataset) -> Result<Parts> {
        self.validate().map_err(|reason| Error::Data(format!("split: {reason}")))?;
        if self.genres != dataset.genres {
            return Err(Error::Data(format!(
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
        let missing = part_of.len() - parts.iter().map(Vec::len).sum::<usize>();
        let [train, validation, test] = parts;
        Ok(Parts { train, validation, test, missing, unlisted })
    }

    /// No part empty, and no recording in two of them.
    fn check_parts(&self, dataset: &Dataset, parts: &[Vec<usize>; 3]) -> Result<()> {
        let mut seen: HashMap<&str, (&str, &str)> = HashMap::new();
        for (indices, (name, listed)) in parts.iter().zip(self.parts()) {
            if indices.is_empty() {
                return Err(Error::Data(format!(
                    "the split's {name} part has no track: it lists {}, and none of them is in \
                     {}; at least one genre must have three different recordings",
                    listed.len(),
                    dataset.root.display(),
                )));
            }
            for track in indices.iter().map(|&index| &dataset.tracks[index]) {
                let (other, part) = *seen.entry(&track.sha256).or_insert((&track.id, name));
                if part != name {
                    return Err(Error::Data(format!(
                        "{other} and {} are the same recording, but the split has one in its \
                         {part} and the other in its {name} part; make a new split",
                        track.id
                    )));
                }
            }
        }
        Ok(())
    }

    fn parts(&self) -> [(&'static str, &[String]); 3] {
        [("train", &self.train), ("validation", &self.validation), ("test", &self.test)]
    }

    /// What no split may be, whoever wrote it.
    fn validate(&self) -> Result<(), String> {
        if !self.genres.is_sorted_by(|a, b| a < b) {
            return Err("the genres are not sorted, or one is there twice".into());
        }
        for (name, value) in
            [("test", self.test_fraction), ("validation", self.validation_fraction)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name}_fraction is {value}, not between 0 and 1"));
            }
        }
        match (self.method, self.fold) {
            (Method::Fold, Some(Fold { index, of })) if index < of => {}
            (Method::Stratified | Method::FaultFiltered | Method::LeakyWindows, None) => {}
            _ => return Err("\"method\" and \"fold\" contradict each other".into()),
        }
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for (part, ids) in self.parts() {
            for id in ids {
                if let Some(other) = seen.insert(id, part) {
                    return Err(format!("\"{id}\" is twice in the split ({other} and {part})"));
                }
                let genre = genre_of(id).ok_or_else(|| format!("\"{id}\" is not a track id"))?;
                if self.genres.binary_search_by(|g| g.as_str().cmp(genre)).is_err() {
                    return Err(format!(
                        "\"{id}\" is of the genre \"{genre}\", which is not listed"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The fold that lists each id.
fn fold_of_ids(folds: &[Vec<String>]) -> Result<HashMap<&str, usize>> {
    let mut fold_of = HashMap::new();
    for (index, fold) in folds.iter().enumerate() {
        for id in fold {
            if let Some(other) = fold_of.insert(id.as_str(), index) {
                return Err(Error::Data(format!(
                    "\"{id}\" is twice in the folds ({other} and {index}, counted from 0)"
                )));
            }
        }
    }
    Ok(fold_of)
}

/// [`groups_by_genre`] of the tracks that are in a fold, refused where a group is in two.
fn listed_groups<'a>(
    dataset: &'a Dataset,
    fold_of: &HashMap<&str, usize>,
) -> Result<Vec<Vec<Group<'a>>>> {
    let mut genres = groups_by_genre(dataset);
    for groups in &mut genres {
        groups.iter_mut().for_each(|group| group.retain(|t| fold_of.contains_key(&*t.id)));
        groups.retain(|group| !group.is_empty());
    }
    for group in genres.iter().flatten() {
        if let Some(other) = group.iter().find(|t| fold_of[&*t.id] != fold_of[&*group[0].id]) {
            return Err(Error::Data(format!(
                "{} and {} are the same recording, but in different folds",
                group[0].id, other.id
            )));
        }
    }
    Ok(genres)
}

fn check_fraction(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::Config(format!("the {name} fraction is {value}; it must lie between 0 and 1")))
}

/// The genre folder in an id such as `blues/blues.00000.wav`.
fn genre_of(id: &str) -> Option<&str> {
    let (genre, file) = id.split_once('/')?;
    (!genre.is_empty() && !file.is_empty()).then_some(genre)
}

/// For every genre its groups of identical tracks, in the order of their first ids.
fn groups_by_genre(dataset: &Dataset) -> Vec<Vec<Group<'_>>> {
    let mut tracks: Vec<&Track> = dataset.tracks.iter().collect();
    tracks.sort_by(|a, b| a.id.cmp(&b.id));
    let mut by_bytes: BTreeMap<&str, Group> = BTreeMap::new();
    for track in tracks {
        by_bytes.entry(&track.sha256).or_default().push(track);
    }
    let mut groups: Vec<Group> = by_bytes.into_values().collect();
    groups.sort_by(|a, b| a[0].id.cmp(&b[0].id));
    let mut genres = vec![vec![]; dataset.genres.len()];
    for group in groups {
        genres[group[0].label].push(group);
    }
    genres
}

/// Takes groups from the front until `fraction` of the tracks is reached as nearly as
/// whole groups allow; returns those and the rest. At least `keep` groups stay, and if
/// there are more than that, at least one is taken.
fn take(groups: Vec<Group<'_>>, fraction: f64, keep: usize) -> (Vec<Group<'_>>, Vec<Group<'_>>) {
    let most = groups.len().saturating_sub(keep);
    let target = fraction * groups.iter().map(Vec::len).sum::<usize>() as f64;
    let (mut taken, mut rest) = (vec![], vec![]);
    let mut missing = target;
    for group in groups {
        let size = group.len() as f64;
        if taken.len() < most && size <= missing {
            missing -= size;
            taken.push(group);
        } else {
            rest.push(group);
        }
    }
    // One more may bring it nearer; the smallest does so best.
    let smallest = (0..rest.len()).min_by_key(|&index| rest[index].len());
    if let Some(index) = smallest.filter(|_| taken.len() < most)
        && (taken.is_empty() || (rest[index].len() as f64) < 2.0 * missing)
    {
        taken.push(rest.remove(index));
    }
    (taken, rest)
}

/// Deals the groups of every genre to `k` hands so that each hand has as many tracks of
/// a genre as the others, and as many in all.
fn deal<'a>(genres: &[Vec<Group<'a>>], k: usize) -> Vec<Vec<Group<'a>>> {
    let mut hands: Vec<Vec<Group>> = vec![vec![]; k];
    let mut totals = vec![0; k];
    for groups in genres {
        let mut of_genre = vec![0; k];
        let mut largest_first: Vec<_> = groups.iter().collect();
        largest_first.sort_by_key(|group| Reverse(group.len()));
        for group in largest_first {
            let Some(hand) = (0..k).min_by_key(|&hand| (of_genre[hand], totals[hand])) else {
                continue;
            };
            of_genre[hand] += group.len();
            totals[hand] += group.len();
            hands[hand].push(group.clone());
        }
    }
    hands
}

fn ids(groups: Vec<Group<'_>>) -> Vec<String> {
    let mut ids: Vec<_> = groups.into_iter().flatten().map(|track| track.id.clone()).collect();
    ids.sort();
    ids
}

/// The ids in one of the published lists, as far as they are of the collection's genres.
fn read_list(dataset: &Dataset, lists: &Path, name: &str) -> Result<Vec<String>> {
    let path = lists.join(name);
    if !path.is_file() {
        return Err(Error::Data(format!(
            "{}: no such file; the fault-filtered split of GTZAN needs the lists \
             train_filtered.txt, valid_filtered.txt and test_filtered.txt of Kereliuk, Sturm & \
             Larsen (2015), one \"blues/blues.00029.wav\" a line, in the folder \"splits\" \
             beside the genres",
            path.display()
        )));
    }
    let text = fs::read(&path).map_err(Error::io(&path))?;
    let text = String::from_utf8(text).map_err(|e| Error::format(&path, e))?;
    let mut ids = vec![];
    for (number, line) in text.lines().enumerate() {
        let id = line.trim();
        if id.is_empty() {
            continue;
        }
        let genre = genre_of(id).ok_or_else(|| {
            let reason = format!("line {}: \"{id}\" is not of the form genre/file", number + 1);
            Error::format(&path, reason)
        })?;
        if dataset.genres.iter().any(|g| g == genre) {
            ids.push(id.to_string());
        }
    }
    ids.sort();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::tests::dataset;
    use super::*;

    /// `genres` folders of `tracks` different recordings each.
    fn plain(genres: usize, tracks: usize) -> Dataset {
        dataset((0..genres).flat_map(|g| {
            (0..tracks).map(move |t| (format!("g{g:02}/{t:03}.wav"), format!("{g}-{t}")))
        }))
    }

    /// Any sizes, with some bytes repeated within and across genres, two clean tracks each.
    fn any_dataset() -> impl Strategy<Value = Dataset> {
        let genre = prop::collection::vec(0u32..40, 0..40);
        prop::collection::vec(genre, 2..6).prop_map(|genres| {
            dataset(genres.into_iter().enumerate().flat_map(|(g, digests)| {
                let clean = (0..2).map(move |t| format!("{g}:{t}"));
                clean
                    .chain(digests.into_iter().map(|d| d.to_string()))
                    .enumerate()
                    .map(move |(t, digest)| (format!("g{g}/{t:02}.wav"), digest))
            }))
        })
    }

    fn all_ids(split: &Split) -> Vec<&str> {
        let mut ids: Vec<_> =
            split.parts().into_iter().flat_map(|(_, ids)| ids).map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }

    fn sizes(split: &Split) -> [usize; 3] {
        split.parts().map(|(_, ids)| ids.len())
    }

    /// Every track in exactly one part, and no bytes in two.
    fn check_partition(dataset: &Dataset, split: &Split) {
        assert_eq!(all_ids(split), dataset.tracks.iter().map(|t| &t.id).collect::<Vec<_>>());
        let part_of = |id: &String| split.parts().iter().position(|(_, ids)| ids.contains(id));
        let mut side = HashMap::new();
        for track in &dataset.tracks {
            let part = part_of(&track.id);
            assert_eq!(*side.entry(&track.sha256).or_insert(part), part, "{}", track.id);
        }
        split.validate().unwrap();
    }

    /// How many tracks of the groups that belong to a genre are in `ids`.
    fn share(groups: &[Group], ids: &[String]) -> usize {
        groups.iter().flatten().filter(|track| ids.contains(&track.id)).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

        #[test]
        fn stratified_splits_are_even_partitions(
            set in any_dataset(), seed: u64, test in 0.05..0.6f64, validation in 0.05..0.6f64,
        ) {
            let split = Split::stratified(&set, seed, test, validation).unwrap();
            check_partition(&set, &split);
            for groups in groups_by_genre(&set) {
                let all: usize = groups.iter().map(Vec::len).sum();
                let largest = groups.iter().map(Vec::len).max().unwrap() as f64;
                let tested = share(&groups, &split.test);
                prop_assert!((tested as f64 - test * all as f64).abs() < largest);
                let (trained, validated) =
                    (share(&groups, &split.train), share(&groups, &split.validation));
                prop_assert!(trained > 0 && tested > 0);
                prop_assert_eq!(validated > 0, groups.len() > 2);
                if groups.len() > 2 {
                    let off = validated as f64 - validation * (all - tested) as f64;
                    prop_assert!(off.abs() < largest);
                }
            }
        }

        #[test]
        fn order_of_tracks_does_not_matter(set in any_dataset(), seed: u64, order: u64) {
            let mut shuffled = set.clone();
            shuffled.tracks.shuffle(&mut ChaCha8Rng::seed_from_u64(order));
            prop_assert_eq!(
                Split::stratified(&set, seed, 0.2, 0.1).unwrap(),
                Split::stratified(&shuffled, seed, 0.2, 0.1).unwrap()
            );
            prop_assert_eq!(
                Split::folds(&set, 2, seed, 0.1).unwrap(),
                Split::folds(&shuffled, 2, seed, 0.1).unwrap()
            );
        }

        #[test]
        fn test_parts_of_folds_partition_the_tracks(set in any_dataset(), seed: u64, k in 2..5usize) {
            let fewest = groups_by_genre(&set).iter().map(Vec::len).min().unwrap();
            let result = Split::folds(&set, k, seed, 0.2);
            prop_assert_eq!(result.is_ok(), k <= fewest);
            let Ok(folds) = result else { return Ok(()) };
            let mut tested: Vec<_> = folds.iter().flat_map(|f| &f.test).collect();
            tested.sort();
            prop_assert_eq!(tested, set.tracks.iter().map(|t| &t.id).collect::<Vec<_>>());
            for fold in &folds {
                check_partition(&set, fold);
            }
            for groups in groups_by_genre(&set) {
                let largest = groups.iter().map(Vec::len).max().unwrap();
                let shares: Vec<_> = folds.iter().map(|f| share(&groups, &f.test)).collect();
                let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
                prop_assert!(*least > 0 && most - least <= largest, "{:?}", shares);
            }
        }

        #[test]
        fn folds_given_as_lists_are_those_that_were_drawn(
            set in any_dataset(), seed: u64, omitted: prop::sample::Index,
        ) {
            let folds = Split::folds(&set, 2, seed, 0.2).unwrap();
            let mut lists: Vec<_> = folds.iter().map(|fold| fold.test.clone()).collect();
            prop_assert_eq!(&Split::given_folds(&set, &lists, seed, 0.2).unwrap(), &folds);
            let index = omitted.index(lists[0].len());
            let left_out = lists[0].remove(index);
            for fold in Split::given_folds(&set, &lists, seed, 0.2).unwrap() {
                let mut ids = all_ids(&fold);
                prop_assert!(!ids.contains(&&*left_out));
                ids.push(&left_out);
                ids.sort_unstable();
                prop_assert_eq!(ids, set.tracks.iter().map(|t| &t.id).collect::<Vec<_>>());
                fold.validate().unwrap();
            }
        }

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
    fn gtzan_sized_splits_are_exact_and_depend_on_the_seed() {
        let set = plain(10, 100);
        let split = Split::stratified(&set, 1, 0.2, 0.125).unwrap();
        assert_eq!(sizes(&split), [700, 100, 200]);
        for genre in &set.genres {
            let of_genre = |ids: &[String]| ids.iter().filter(|id| id.starts_with(genre)).count();
            assert_eq!(split.parts().map(|(_, ids)| of_genre(ids)), [70, 10, 20]);
        }
        assert_ne!(split.test, Split::stratified(&set, 2, 0.2, 0.125).unwrap().test);
        for fold in Split::folds(&set, 5, 1, 0.125).unwrap() {
            assert_eq!(sizes(&fold), [700, 100, 200]);
        }
    }

    /// Pinned, so that a change of generator or algorithm cannot go unnoticed: a split
    /// named by its seed must stay the same.
    #[test]
    fn a_seed_names_a_split_for_good() {
        let split = Split::stratified(&plain(2, 5), 42, 0.2, 0.25).unwrap();
        assert_eq!(split.test, ["g00/002.wav", "g01/000.wav"]);
        assert_eq!(split.validation, ["g00/001.wav", "g01/004.wav"]);
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let set = plain(2, 4);
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(matches!(Split::stratified(&set, 0, bad, 0.1), Err(Error::Config(_))));
            assert!(matches!(Split::stratified(&set, 0, 0.2, bad), Err(Error::Config(_))));
        }
        for k in [0, 1, 5] {
            let error = Split::folds(&set, k, 0, 0.2).unwrap_err().to_string();
            assert!(error.contains("\"g00\" has 4"), "{error}");
        }
        assert!(matches!(Split::stratified(&plain(2, 1), 0, 0.2, 0.1), Err(Error::Data(_))));
    }

    #[test]
    fn folds_that_leak_or_are_no_folds_are_refused() {
        let mut set = plain(2, 4);
        let half = |of: usize| -> Vec<String> {
            set.tracks.iter().skip(of).step_by(2).map(|t| t.id.clone()).collect()
        };
        let (even, odd) = (half(0), half(1));
        let refusal = |set: &Dataset, folds: &[&[String]]| {
            let folds: Vec<_> = folds.iter().map(|fold| fold.to_vec()).collect();
            Split::given_folds(set, &folds, 0, 0.2).unwrap_err().to_string()
        };
        assert!(refusal(&set, &[&even]).contains("1 of the 2 folds or more"));
        let text = refusal(&set, &[&even, &odd, &odd[1..2]]);
        assert!(text.contains(&format!("\"{}\" is twice in the folds (1 and 2", odd[1])), "{text}");
        let text = refusal(&set, &[&even, &odd, &["g00/nine.wav".to_owned()]]);
        assert!(
            text.contains("fold 2, counted from 0, has none") && text.contains("g00/000.wav"),
            "{text}"
        );
        set.tracks[1].sha256 = set.tracks[0].sha256.clone();
        let text = refusal(&set, &[&even, &odd]);
        assert!(text.contains("g00/000.wav and g00/001.wav are the same recording"), "{text}");
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
            Err(Error::Data(text)) => text,
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
