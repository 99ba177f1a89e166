//! Splits drawn by a seed: stratified ones, and those of a cross-validation.

use std::collections::{HashMap, HashSet};

use super::collection::Dataset;
use super::groups::{Group, by_genre, deal, ids, shuffled, take};
use super::iterative;
use super::split::{Fold, Method, Split};
use super::task::Task;
use crate::error::{Error, Result};

impl Split {
    /// Shuffles the tracks and divides every genre alike: `test_fraction` to the test
    /// part, `validation_fraction` of the rest to the validation part.
    ///
    /// Tracks with the same bytes stay together and count for the genre of the first
    /// of them (by id). A genre with two different recordings has one in training and
    /// one in test; with three or more it is in all parts. The same ids, bytes and
    /// seed give the same split on every platform, in whatever order they come, and whether they
    /// are of recordings, of pictures or of rows of a table: their endings do not count. With a
    /// track more or less, hardly another one changes its part.
    ///
    /// Of several labels a track, every label is divided as nearly alike as the others allow:
    /// iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a fraction is not between 0 and 1, [`Error::TooFew`] if the
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
        let fractions = [test_fraction, validation_fraction];
        let [train, validation, test] = match dataset.task {
            Task::SingleLabel => divided(dataset, seed, fractions),
            Task::MultiLabel => {
                let rest = 1.0 - test_fraction;
                let held_out = rest * validation_fraction;
                let shares = [test_fraction, held_out, rest - held_out];
                let [test, validation, train] = iterative::divide(dataset, shares, seed, "split");
                [train, validation, test]
            }
        };
        Ok(Self {
            method: Method::Stratified,
            seed,
            test_fraction,
            validation_fraction,
            fold: None,
            task: dataset.task,
            genres: dataset.genres.clone(),
            train: ids(train),
            validation: ids(validation),
            test: ids(test),
        })
    }

    /// A rehearsal of this split of `dataset`: nobody looks at its test part, which is left out; its
    /// validation part is tested in its place, and as large a share of its training part validates.
    ///
    /// # Errors
    /// [`Error::TooFew`] if the training part alone cannot be divided.
    pub fn rehearsal(self, dataset: &Dataset) -> Result<Self> {
        let (seed, whole) = (self.seed, self);
        let learned: HashSet<&str> = whole.train.iter().map(String::as_str).collect();
        let mut part = Dataset { tracks: vec![], ..dataset.clone() };
        let tracks = dataset.tracks.iter().filter(|track| learned.contains(track.id.as_str()));
        part.tracks = tracks.cloned().collect();
        let share = whole.validation_fraction;
        let drawn = Self::stratified(&part, seed, share, share).map_err(|_| {
            Error::TooFew(format!(
                "{}: a rehearsal leaves the test part alone and divides what is left once more; it \
                 needs a validation part and four or more different recordings a genre",
                dataset.root.display()
            ))
        })?;
        let mut train = [drawn.train, drawn.validation].concat();
        train.sort();
        let parts = [train, drawn.test, whole.validation];
        Ok(Self::of_parts(Method::Rehearsal, seed, dataset, parts))
    }

    /// A cross-validation: `k` stratified splits whose test parts together hold every
    /// track once. Tracks with the same bytes stay together, as in [`Split::stratified`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for several labels a track, or if the fraction is not between 0 and
    /// 1; [`Error::TooFew`] if `k` is below 2 or above the number of different recordings of a
    /// genre, or the collection does not pass [`Dataset::check`].
    pub fn folds(
        dataset: &Dataset,
        k: usize,
        seed: u64,
        validation_fraction: f64,
    ) -> Result<Vec<Self>> {
        check_fraction("validation", validation_fraction)?;
        dataset.check()?;
        check_single(dataset)?;
        let genres = by_genre(dataset);
        for (name, groups) in dataset.genres.iter().zip(&genres) {
            if k < 2 || k > groups.len() {
                return Err(Error::TooFew(format!(
                    "{k} folds are not possible: from 2 up to the number of different \
                     recordings of a genre, and \"{name}\" has {}",
                    groups.len()
                )));
            }
        }
        Ok(cross_validation(dataset, genres, seed, validation_fraction, |genres| deal(genres, k)))
    }

    /// A cross-validation over folds drawn elsewhere: each a list of track ids, tested in
    /// turn. With the test parts and the seed of [`Split::folds`] it gives the same splits. Ids
    /// that are not in the collection, and tracks that are in no list, are left out.
    ///
    /// # Errors
    /// [`Error::TooFew`] if there are fewer than two lists, one leaves too few tracks to train
    /// and validate on, or the collection does not pass [`Dataset::check`];
    /// [`Error::InvalidInput`] if the fraction is not between 0 and 1 or an id is listed twice;
    /// [`Error::Mismatch`] if a list has no track of the collection, or two files with the same
    /// bytes are in different lists.
    pub(crate) fn given_folds(
        dataset: &Dataset,
        folds: &[Vec<String>],
        seed: u64,
        validation_fraction: f64,
    ) -> Result<Vec<Self>> {
        check_fraction("validation", validation_fraction)?;
        dataset.check()?;
        check_single(dataset)?;
        if folds.len() < 2 {
            return Err(Error::TooFew(format!(
                "a cross-validation needs at least 2 folds, not {}",
                folds.len()
            )));
        }
        let fold_of = fold_of_ids(folds)?;
        let genres = listed_groups(dataset, &fold_of)?;
        let splits = cross_validation(dataset, genres, seed, validation_fraction, |genres| {
            let mut tests = vec![vec![]; folds.len()];
            for group in genres.iter().flatten() {
                tests[fold_of[&*group[0].id]].push(group.clone());
            }
            tests
        });
        for (index, split) in splits.iter().enumerate() {
            check_fold(dataset, index, split)?;
        }
        Ok(splits)
    }
}

/// Every genre's groups in three: to train, to validate and to test; of `fractions` the first is
/// the test part's, the second the validation part's share of the rest.
fn divided(dataset: &Dataset, seed: u64, fractions: [f64; 2]) -> [Vec<Group<'_>>; 3] {
    let [test_fraction, validation_fraction] = fractions;
    let (mut train, mut validation, mut test) = (vec![], vec![], vec![]);
    for groups in by_genre(dataset) {
        let keep = if groups.len() > 2 { 2 } else { 1 };
        let (taken, rest) = take(shuffled(groups, seed, "split"), test_fraction, keep);
        test.extend(taken);
        let (taken, rest) = take(rest, validation_fraction, 1);
        validation.extend(taken);
        train.extend(rest);
    }
    [train, validation, test]
}

/// One split per test part that `test_parts` makes of the shuffled groups, each with a
/// validation part drawn from the rest.
fn cross_validation<'a>(
    dataset: &'a Dataset,
    genres: Vec<Vec<Group<'a>>>,
    seed: u64,
    validation_fraction: f64,
    test_parts: impl FnOnce(&[Vec<Group<'a>>]) -> Vec<Vec<Group<'a>>>,
) -> Vec<Split> {
    let genres: Vec<_> = genres.into_iter().map(|groups| shuffled(groups, seed, "folds")).collect();
    let tests = test_parts(&genres);
    let of = tests.len();
    let split = |(index, test): (usize, Vec<Group>)| {
        let (mut train, mut validation) = (vec![], vec![]);
        for groups in &genres {
            let rest = groups.iter().filter(|g| !test.contains(g)).cloned().collect();
            let rest = shuffled(rest, seed, &format!("validation {index}"));
            let (taken, rest) = take(rest, validation_fraction, 1);
            validation.extend(taken);
            train.extend(rest);
        }
        Split {
            method: Method::Fold,
            seed,
            test_fraction: 1.0 / of as f64,
            validation_fraction,
            fold: Some(Fold { index, of }),
            task: dataset.task,
            genres: dataset.genres.clone(),
            train: ids(train),
            validation: ids(validation),
            test: ids(test),
        }
    };
    tests.into_iter().enumerate().map(split).collect()
}

/// Refuses a fold of given lists that leaves a part of its split without a track.
fn check_fold(dataset: &Dataset, index: usize, split: &Split) -> Result<()> {
    let fold = format!("fold {index}, counted from 0,");
    let (train, validation) = (split.train.len(), split.validation.len());
    if split.test.is_empty() {
        Err(Error::Mismatch(format!(
            "{fold} has none of the tracks in {}, which are named like \"{}\"",
            dataset.root.display(),
            dataset.tracks[0].id
        )))
    } else if train == 0 || validation == 0 {
        Err(Error::TooFew(format!(
            "{fold} leaves {train} tracks to learn from and {validation} to validate; make \
             smaller folds"
        )))
    } else {
        Ok(())
    }
}

/// The fold that lists each id.
fn fold_of_ids(folds: &[Vec<String>]) -> Result<HashMap<&str, usize>> {
    let mut fold_of = HashMap::new();
    for (index, fold) in folds.iter().enumerate() {
        for id in fold {
            if let Some(other) = fold_of.insert(id.as_str(), index) {
                return Err(Error::InvalidInput(format!(
                    "\"{id}\" is twice in the folds ({other} and {index}, counted from 0)"
                )));
            }
        }
    }
    Ok(fold_of)
}

/// The groups of the tracks that are in a fold, genre by genre; refuses a group that is in two
/// folds.
fn listed_groups<'a>(
    dataset: &'a Dataset,
    fold_of: &HashMap<&str, usize>,
) -> Result<Vec<Vec<Group<'a>>>> {
    let mut genres = by_genre(dataset);
    for groups in &mut genres {
        groups.iter_mut().for_each(|group| group.retain(|t| fold_of.contains_key(&*t.id)));
        groups.retain(|group| !group.is_empty());
    }
    for group in genres.iter().flatten() {
        if let Some(other) = group.iter().find(|t| fold_of[&*t.id] != fold_of[&*group[0].id]) {
            let (are, advice) = if other.sha256 == group[0].sha256 {
                ("are the same recording", "")
            } else if other.content == group[0].content
                || other.alike.is_some() && other.alike == group[0].alike
            {
                ("are copies of one recording", "; ‹allow-copies› lets them be")
            } else {
                ("belong together", "")
            };
            return Err(Error::Mismatch(format!(
                "{} and {} {are}, but are in different folds{advice}",
                group[0].id, other.id
            )));
        }
    }
    Ok(genres)
}

/// Refuses folds of tracks with several labels.
fn check_single(dataset: &Dataset) -> Result<()> {
    if dataset.task.is_single() {
        return Ok(());
    }
    let reason = "folds are drawn for one label a track; leave ‹folds› out".to_owned();
    Err(Error::InvalidInput(reason))
}

pub(super) fn check_fraction(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::InvalidInput(format!("the {name} fraction is {value}; it must lie between 0 and 1")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    use rand_chacha::ChaCha8Rng;

    use super::super::testing::{any_dataset, plain};
    use super::*;

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
            for groups in by_genre(&set) {
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
        fn a_rehearsal_never_sees_the_test_part(set in any_dataset(), seed: u64) {
            let whole = Split::stratified(&set, seed, 0.2, 0.2).unwrap();
            // Too few tracks for three parts of the rest are refused.
            let enough = by_genre(&set).iter().all(|groups| groups.len() > 4);
            let rehearsal = whole.clone().rehearsal(&set);
            prop_assert!(rehearsal.is_ok() || !enough, "{:?}", rehearsal);
            if let Ok(split) = rehearsal {
                prop_assert_eq!(&split.test, &whole.validation);
                let mut learned = [split.train.clone(), split.validation.clone()].concat();
                learned.sort();
                prop_assert_eq!(learned, whole.train);
                prop_assert!(!split.train.is_empty() && split.validate().is_ok());
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
            let fewest = by_genre(&set).iter().map(Vec::len).min().unwrap();
            let result = Split::folds(&set, k, seed, 0.2);
            prop_assert_eq!(result.is_ok(), k <= fewest);
            let Ok(folds) = result else { return Ok(()) };
            let mut tested: Vec<_> = folds.iter().flat_map(|f| &f.test).collect();
            tested.sort();
            prop_assert_eq!(tested, set.tracks.iter().map(|t| &t.id).collect::<Vec<_>>());
            for fold in &folds {
                check_partition(&set, fold);
            }
            for groups in by_genre(&set) {
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
            // Of very few tracks none may be left to validate, which is refused.
            let given = Split::given_folds(&set, &lists, seed, 0.2);
            prop_assume!(!matches!(given, Err(Error::TooFew(_))));
            prop_assert_eq!(&given.unwrap(), &folds);
            let index = omitted.index(lists[0].len());
            let left_out = lists[0].remove(index);
            let splits = Split::given_folds(&set, &lists, seed, 0.2);
            prop_assume!(!matches!(splits, Err(Error::TooFew(_))));
            for fold in splits.unwrap() {
                let mut ids = all_ids(&fold);
                prop_assert!(!ids.contains(&&*left_out));
                ids.push(&left_out);
                ids.sort_unstable();
                prop_assert_eq!(ids, set.tracks.iter().map(|t| &t.id).collect::<Vec<_>>());
                fold.validate().unwrap();
            }
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
    /// named by its seed must stay the same. (It changed once, on 28 November 2026, so that
    /// tables, pictures and recordings of the same tracks are split alike.)
    #[test]
    fn a_seed_names_a_split_for_good() {
        let split = Split::stratified(&plain(2, 5), 42, 0.2, 0.25).unwrap();
        assert_eq!(split.test, ["g00/004.wav", "g01/001.wav"]);
        assert_eq!(split.validation, ["g00/000.wav", "g01/002.wav"]);
    }

    #[test]
    fn a_track_more_or_another_ending_leaves_the_others_where_they_are() {
        let (set, mut other) = (plain(3, 50), plain(3, 50));
        other.tracks.remove(60);
        for track in &mut other.tracks {
            track.id = track.id.replace(".wav", ".png");
            track.sha256 = format!("picture {}", track.sha256);
            track.content = track.sha256.clone();
        }
        for seed in 0..10 {
            let [one, two] = [&set, &other].map(|set| {
                let split = Split::stratified(set, seed, 0.2, 0.2).unwrap();
                [split.test, split.validation, split.train]
                    .map(|ids| ids.into_iter().map(|id| id[..7].to_owned()).collect::<Vec<_>>())
            });
            for (one, two) in one.iter().zip(&two) {
                let moved = one.iter().filter(|id| !two.contains(id)).count();
                assert!(moved <= 2, "seed {seed}: {moved} tracks");
            }
        }
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let set = plain(2, 4);
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(matches!(Split::stratified(&set, 0, bad, 0.1), Err(Error::InvalidInput(_))));
            assert!(matches!(Split::stratified(&set, 0, 0.2, bad), Err(Error::InvalidInput(_))));
        }
        for k in [0, 1, 5] {
            let error = Split::folds(&set, k, 0, 0.2).unwrap_err().to_string();
            assert!(error.contains("\"g00\" has 4"), "{error}");
        }
        assert!(matches!(Split::stratified(&plain(2, 1), 0, 0.2, 0.1), Err(Error::TooFew(_))));
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
        assert!(refusal(&set, &[&even]).contains("at least 2 folds, not 1"));
        let text = refusal(&set, &[&even, &odd, &odd[1..2]]);
        assert!(text.contains(&format!("\"{}\" is twice in the folds (1 and 2", odd[1])), "{text}");
        let text = refusal(&set, &[&even, &odd, &["g00/nine.wav".to_owned()]]);
        assert!(
            text.contains("fold 2, counted from 0, has none") && text.contains("g00/000.wav"),
            "{text}"
        );
        set.tracks[1].content = set.tracks[0].content.clone();
        let text = refusal(&set, &[&even, &odd]);
        assert!(text.contains("g00/000.wav and g00/001.wav are copies of one"), "{text}");
        set.tracks[1].sha256 = set.tracks[0].sha256.clone();
        let text = refusal(&set, &[&even, &odd]);
        assert!(text.contains("g00/000.wav and g00/001.wav are the same recording"), "{text}");
    }
}
