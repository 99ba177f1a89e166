//! A split of tracks with several labels each: iterative stratification.
//!
//! Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011:
//! the rarest label is divided first, each of its tracks going where most of it is still missing.

use std::cmp::Reverse;

use super::collection::Dataset;
use super::groups::{Group, by_genre, shuffled};
use super::task::label_counts;

/// What a part is still to be given.
struct Missing {
    tracks: f64,
    /// Of each label.
    labels: Vec<f64>,
}

/// The tracks of `dataset` in parts of these `shares`, of which the largest stands last. Groups
/// stay whole.
pub(super) fn divide<'a, const N: usize>(
    dataset: &'a Dataset,
    shares: [f64; N],
    seed: u64,
    purpose: &str,
) -> [Vec<Group<'a>>; N] {
    let groups = by_genre(dataset).into_iter().flatten().collect();
    let groups = shuffled(groups, seed, purpose);
    let classes = dataset.genres.len();
    let of_group =
        |group: &Group| label_counts(group.iter().flat_map(|track| &track.labels), classes);
    let counts: Vec<Vec<usize>> = groups.iter().map(of_group).collect();
    let total = |label: usize| counts.iter().map(|counts| counts[label]).sum::<usize>() as f64;
    let mut missing = shares.map(|share| Missing {
        tracks: share * dataset.tracks.len() as f64,
        labels: (0..classes).map(|label| share * total(label)).collect(),
    });
    let mut parts: [Vec<Group>; N] = std::array::from_fn(|_| vec![]);
    let mut left: Vec<usize> = (0..groups.len()).collect();
    while let Some(label) = rarest(&left, &counts, classes) {
        let (mut of_label, others): (Vec<usize>, Vec<usize>) =
            left.into_iter().partition(|at| counts[*at][label] > 0);
        // The largest first, for which there must be room.
        of_label.sort_by_key(|at| Reverse(counts[*at][label]));
        for at in of_label {
            let part = neediest(&missing, Some(label));
            missing[part].take(groups[at].len(), &counts[at]);
            parts[part].push(groups[at].clone());
        }
        left = others;
    }
    for at in left {
        let part = neediest(&missing, None);
        missing[part].take(groups[at].len(), &counts[at]);
        parts[part].push(groups[at].clone());
    }
    parts
}

impl Missing {
    fn take(&mut self, tracks: usize, counts: &[usize]) {
        self.tracks -= tracks as f64;
        self.labels.iter_mut().zip(counts).for_each(|(missing, count)| *missing -= *count as f64);
    }
}

/// The label that the fewest tracks of the groups `left` have, of several the one that is rarest
/// in all; none if no track has one.
fn rarest(left: &[usize], counts: &[Vec<usize>], classes: usize) -> Option<usize> {
    let here = |label: usize| left.iter().map(|at| counts[*at][label]).sum::<usize>();
    let in_all = |label: usize| counts.iter().map(|counts| counts[label]).sum::<usize>();
    let there = (0..classes).map(|label| (here(label), in_all(label), label));
    there.filter(|(here, ..)| *here > 0).min().map(|(.., label)| label)
}

/// The part that lacks most of the label, and of those that lack equally much most tracks; of
/// equals the last, which is the largest.
fn neediest(missing: &[Missing], label: Option<usize>) -> usize {
    let need = |part: &usize| {
        let of_label = label.map_or(0.0, |label| missing[*part].labels[label]);
        (of_label, missing[*part].tracks)
    };
    let order = |a: &usize, b: &usize| {
        let (a, b) = (need(a), need(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    (0..missing.len()).max_by(order).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::collection::Track;
    use super::super::split::Split;
    use super::super::task::Task;
    use super::super::testing::plain;
    use super::*;

    /// Tracks of which every second has label 0, every third label 1, and every tenth label 2.
    fn several(count: usize) -> Dataset {
        let mut set = plain(3, count.div_ceil(3));
        set.task = Task::MultiLabel;
        for (at, track) in set.tracks.iter_mut().enumerate() {
            let labels = [2, 3, 10].into_iter().enumerate();
            track.labels = labels.filter(|(_, step)| at % step == 0).map(|(l, _)| l).collect();
        }
        set
    }

    fn shares(set: &Dataset, ids: &[String], label: usize) -> usize {
        let has = |track: &&Track| track.labels.contains(&label) && ids.contains(&track.id);
        set.tracks.iter().filter(has).count()
    }

    #[test]
    fn every_label_is_divided_alike_and_a_seed_repeats_itself() {
        let set = several(300);
        let split = Split::stratified(&set, 4, 0.2, 0.25).unwrap();
        assert_eq!([split.train.len(), split.validation.len(), split.test.len()], [180, 60, 60]);
        for (label, total) in [(0, 150.0), (1, 100.0), (2, 30.0)] {
            for (ids, share) in [(&split.train, 0.6), (&split.validation, 0.2), (&split.test, 0.2)]
            {
                let count = shares(&set, ids, label) as f64;
                assert!((count - share * total).abs() <= 1.0, "{label}: {count} of {total}");
            }
        }
        let mut turned = set.clone();
        turned.tracks.reverse();
        assert_eq!(Split::stratified(&turned, 4, 0.2, 0.25).unwrap(), split);
        assert_ne!(Split::stratified(&set, 5, 0.2, 0.25).unwrap().test, split.test);
        split.assign(&set).unwrap();
    }

    /// Of ten genres in two kinds, each is in every part, the last of a kind too.
    #[test]
    fn a_genre_is_not_divided_by_its_kind() {
        let mut set = plain(10, 10);
        (set.task, set.genres) = (Task::MultiLabel, (0..12).map(|at| format!("{at:02}")).collect());
        for track in &mut set.tracks {
            track.labels = vec![usize::from(track.labels[0] >= 4), track.labels[0] + 2];
        }
        let split = Split::stratified(&set, 0, 0.2, 0.2).unwrap();
        for label in 0..12 {
            let of = |ids: &Vec<String>| shares(&set, ids, label);
            let found = [of(&split.train), of(&split.validation), of(&split.test)];
            assert!(found.iter().all(|count| *count > 0), "{label}: {found:?}");
        }
    }

    #[test]
    fn artists_stay_together() {
        let mut set = several(90);
        for (at, track) in set.tracks.iter_mut().enumerate() {
            track.group = Some(format!("{}", at / 5));
        }
        let split = Split::stratified(&set, 0, 0.2, 0.2).unwrap();
        for ids in [&split.train, &split.validation, &split.test] {
            let inside = |track: &&Track| ids.contains(&track.id);
            let mut sizes = std::collections::BTreeMap::new();
            for track in set.tracks.iter().filter(inside) {
                *sizes.entry(track.group.clone()).or_insert(0) += 1;
            }
            assert!(!sizes.is_empty() && sizes.values().all(|size| *size == 5), "{sizes:?}");
        }
    }

    #[test]
    fn a_split_is_of_its_task() {
        let set = several(30);
        let split = Split::stratified(&set, 0, 0.2, 0.2).unwrap();
        let other = Dataset { task: Task::SingleLabel, ..set.clone() };
        let error = split.assign(&other).unwrap_err().to_string();
        assert!(error.contains("‹task› multi-label"), "{error}");
        let error = Split::folds(&set, 3, 0, 0.2).unwrap_err().to_string();
        assert!(error.contains("leave ‹folds› out"), "{error}");
    }
}
