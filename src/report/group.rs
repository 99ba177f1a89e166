//! Which runs may stand in one table: those tested on the same tracks.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::entry::Entry;
use crate::files;
use crate::metrics::evaluate;
use crate::run::Kind;

/// Fewer tracks than these say nothing when runs of different tables are compared.
const FEWEST_SHARED: usize = 10;

/// The most models that are compared pair by pair.
const CONTENDERS: usize = 4;

/// Runs tested on the same tracks, the best first.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    /// Digest of the tracks and their genres, in hexadecimal.
    pub(super) digest: String,
    /// The runs.
    pub(super) entries: Vec<&'a Entry>,
}

/// Runs of one split that were tested on different parts of it, on the tracks they share.
#[derive(Clone, Debug)]
pub(super) struct Shared<'a> {
    /// Tracks that all were tested on.
    pub(super) tracks: BTreeSet<&'a str>,
    /// How the runs did on those tracks, the best first.
    pub(super) scored: Vec<Scored<'a>>,
}

/// A run on some of its test tracks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored<'a> {
    /// The run.
    pub(super) entry: &'a Entry,
    /// Its accuracy on those tracks.
    pub(super) accuracy: f64,
    /// The 95 % interval of that.
    pub(super) interval: [f64; 2],
}

/// Runs that differ in chance only.
#[derive(Clone, Debug)]
pub(super) struct Seeds<'a> {
    /// The runs, by seed.
    pub(super) entries: Vec<&'a Entry>,
    /// How many different test parts they have.
    pub(super) splits: usize,
}

/// Honest runs by the tracks they were tested on, the largest test first.
pub(super) fn groups(entries: &[Entry]) -> Vec<Group<'_>> {
    let mut by_tracks: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.is_leaky()) {
        by_tracks.entry(tested_digest(entry)).or_default().push(entry);
    }
    let mut groups: Vec<Group> =
        by_tracks.into_iter().map(|(digest, entries)| Group { digest, entries }).collect();
    groups.iter_mut().for_each(|group| sort(&mut group.entries));
    groups.sort_by_key(|group| (std::cmp::Reverse(group.tracks()), group.digest.clone()));
    groups
}

/// By accuracy, then macro-F1; equals by name, so that the order is always the same.
fn sort(entries: &mut [&Entry]) {
    entries.sort_by(|a, b| {
        let (x, y) = (&a.test.tracks, &b.test.tracks);
        let by_accuracy = y.accuracy.total_cmp(&x.accuracy);
        by_accuracy.then(y.macro_f1.total_cmp(&x.macro_f1)).then_with(|| a.run.cmp(&b.run))
    });
}

fn tested_digest(entry: &Entry) -> String {
    let mut hash = Sha256::new();
    entry.predictions.iter().for_each(|p| hash.update(format!("{}\0{}\n", p.track, p.genre)));
    files::hex(&hash.finalize())
}

/// Digest of the test part as the split lists it, of files at hand or not.
fn listed_digest(entry: &Entry) -> String {
    let mut hash = Sha256::new();
    let mut ids: Vec<&String> = entry.split.test.iter().collect();
    ids.sort_unstable();
    ids.into_iter().for_each(|id| hash.update(format!("{id}\n")));
    files::hex(&hash.finalize())
}

impl<'a> Group<'a> {
    /// How many tracks were tested.
    pub(super) fn tracks(&self) -> usize {
        self.entries.first().map_or(0, |entry| entry.test.tracks.count)
    }

    /// The models that are compared pair by pair: the best of each kind, then the next best,
    /// the best first.
    pub(super) fn contenders(&self) -> Vec<&'a Entry> {
        let first = |kind| self.entries.iter().position(|entry| entry.kind == kind);
        let mut chosen: BTreeSet<usize> = Kind::ALL.into_iter().filter_map(first).collect();
        for next in 0..self.entries.len() {
            if chosen.len() < CONTENDERS {
                chosen.insert(next);
            }
        }
        chosen.into_iter().map(|index| self.entries[index]).collect()
    }
}

/// For every split whose runs were tested on different parts of it, all of them on the
/// tracks they share; `seed` is for the intervals.
pub(super) fn shared<'a>(groups: &[Group<'a>], seed: u64) -> Vec<Shared<'a>> {
    let mut by_split: BTreeMap<String, Vec<&Group<'a>>> = BTreeMap::new();
    for group in groups {
        let listed: BTreeSet<String> = group.entries.iter().map(|e| listed_digest(e)).collect();
        for digest in listed {
            by_split.entry(digest).or_default().push(group);
        }
    }
    let several = by_split.into_iter().filter(|(_, groups)| groups.len() > 1);
    let shared = several.filter_map(|(digest, groups)| {
        let entries = groups.iter().flat_map(|group| &group.entries).copied();
        let entries: Vec<&'a Entry> = entries.filter(|e| listed_digest(e) == digest).collect();
        let tracks = entries
            .iter()
            .map(|entry| entry.tested())
            .reduce(|a, b| a.intersection(&b).copied().collect())
            .unwrap_or_default();
        if tracks.len() < FEWEST_SHARED {
            return None;
        }
        let mut scored: Vec<Scored> =
            entries.into_iter().map(|entry| score_on(entry, &tracks, seed)).collect();
        scored.sort_by(|a, b| {
            b.accuracy.total_cmp(&a.accuracy).then_with(|| a.entry.run.cmp(&b.entry.run))
        });
        Some(Shared { tracks, scored })
    });
    shared.collect()
}

fn score_on<'a>(entry: &'a Entry, tracks: &BTreeSet<&str>, seed: u64) -> Scored<'a> {
    let here = entry.predictions.iter().filter(|p| tracks.contains(p.track.as_str()));
    let right: Vec<usize> = here.map(|p| usize::from(p.is_right())).collect();
    let found = evaluate(&right, &vec![1; right.len()], 2, seed);
    Scored { entry, accuracy: found.accuracy, interval: found.interval }
}

/// Runs with the same options but for the seed, split the same way, where there are at least
/// two seeds.
pub(super) fn seeds(entries: &[Entry]) -> Vec<Seeds<'_>> {
    let mut by_recipe: BTreeMap<(Kind, [&str; 3], String), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let what = [&entry.label, &entry.recipe, &entry.data.fingerprint].map(String::as_str);
        let split = entry.split.method.to_string();
        by_recipe.entry((entry.kind, what, split)).or_default().push(entry);
    }
    let distinct = |entries: &[&Entry], of: fn(&Entry) -> String| {
        entries.iter().map(|entry| of(entry)).collect::<BTreeSet<_>>().len()
    };
    let several = by_recipe.into_values().filter_map(|mut entries| {
        entries.sort_by(|a, b| a.seed.cmp(&b.seed).then_with(|| a.run.cmp(&b.run)));
        entries.dedup_by(|a, b| a.seed == b.seed && a.split.test == b.split.test);
        let splits = distinct(&entries, listed_digest);
        (distinct(&entries, |entry| entry.seed.to_string()) > 1)
            .then_some(Seeds { entries, splits })
    });
    several.collect()
}

/// Mean and sample standard deviation; 0 for the latter where there is but one value.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Method;
    use crate::report::fixtures::{entry, given};

    #[test]
    fn only_runs_tested_on_the_same_tracks_share_a_table() {
        let mut relabelled = entry("relabelled", Kind::Cnn, &given(30, 0));
        relabelled.predictions[0].genre = "ska".into();
        let entries = [
            entry("b", Kind::Cnn, &given(30, 6)),
            entry("a", Kind::FineTuned, &given(30, 3)),
            entry("fewer", Kind::FineTuned, &given(12, 0)),
            relabelled,
        ];
        let groups = groups(&entries);
        let names = |group: &Group| group.entries.iter().map(|e| e.run.clone()).collect::<Vec<_>>();
        let mut found: Vec<Vec<String>> = groups.iter().map(names).collect();
        assert_eq!(found.pop().unwrap(), ["fewer"], "the smallest test is the last");
        found.sort();
        assert_eq!(found, [vec!["a", "b"], vec!["relabelled"]]);
    }

    #[test]
    fn contenders_are_the_best_of_each_kind_and_then_the_next_best() {
        let entries: Vec<Entry> = (0..6)
            .map(|n| {
                let kind = if n == 5 { Kind::Baseline } else { Kind::Cnn };
                entry(&format!("run-{n}"), kind, &given(30, n))
            })
            .collect();
        let groups = groups(&entries);
        let runs: Vec<&str> = groups[0].contenders().iter().map(|e| &*e.run).collect();
        assert_eq!(runs, ["run-0", "run-1", "run-2", "run-5"]);
    }

    #[test]
    fn runs_of_one_split_are_compared_on_the_tracks_they_share() {
        let whole = entry("whole", Kind::Cnn, &given(30, 6));
        let mut part = entry("part", Kind::FineTuned, &given(12, 3));
        part.split.test = whole.split.test.clone();
        let entries = [whole, part];
        let groups = groups(&entries);
        let shared = shared(&groups, 0);
        assert_eq!((shared.len(), shared[0].tracks.len()), (1, 12));
        let found: Vec<(&str, f64)> =
            shared[0].scored.iter().map(|run| (&*run.entry.run, run.accuracy)).collect();
        assert_eq!(found, [("part", 0.75), ("whole", 0.5)]);
        let other = [entries[0].clone(), entry("other", Kind::Cnn, &given(12, 3))];
        assert!(super::shared(&super::groups(&other), 0).is_empty(), "another split");
    }

    #[test]
    fn seeds_are_runs_with_the_same_options() {
        let mut entries: Vec<Entry> =
            (0..5).map(|n| entry(&format!("{n}"), Kind::Cnn, &given(30, n))).collect();
        for (seed, entry) in entries.iter_mut().enumerate() {
            (entry.label, entry.seed) = ("same".into(), seed as u64);
        }
        entries[3].recipe = "other".into();
        entries[4].split.method = Method::FaultFiltered;
        let seeds = seeds(&entries);
        assert_eq!((seeds.len(), seeds[0].entries.len(), seeds[0].splits), (1, 3, 1));
    }

    /// `numpy.mean` and `numpy.std(ddof=1)`.
    #[test]
    fn the_deviation_is_the_samples() {
        let (mean, deviation) = mean_and_deviation(&[1.0, 2.0, 4.0]);
        assert!((mean - 7.0 / 3.0).abs() < 1e-12 && (deviation - 1.5275252316519465).abs() < 1e-12);
        assert_eq!(mean_and_deviation(&[3.0]), (3.0, 0.0));
    }
}
