//! Tracks that no split may tear apart: copies of one recording, and those of one artist where a
//! split is to be by artist.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::collection::{Dataset, Track};

/// Tracks that stay together, sorted by id.
pub(super) type Group<'a> = Vec<&'a Track>;

/// For every genre its groups, in the order of their first ids; a group counts for the genre of
/// the first of its tracks.
pub(super) fn by_genre(dataset: &Dataset) -> Vec<Vec<Group<'_>>> {
    let mut tracks: Vec<&Track> = dataset.tracks.iter().collect();
    tracks.sort_by(|a, b| a.id.cmp(&b.id));
    let leaders = leaders(&tracks);
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (at, track) in tracks.into_iter().enumerate() {
        groups.entry(leaders[at]).or_default().push(track);
    }
    let mut genres = vec![vec![]; dataset.genres.len()];
    for group in groups.into_values() {
        genres[group[0].label()].push(group);
    }
    genres
}

/// Things that belong together, by way of others too.
pub(super) struct Together(Vec<usize>);

impl Together {
    /// So many things, each alone.
    pub fn alone(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// Puts two things together, and all that either belongs to.
    pub fn join(&mut self, one: usize, other: usize) {
        let (a, b) = (self.first(one), self.first(other));
        self.0[a.max(b)] = a.min(b);
    }

    /// The first of those that a thing belongs to.
    pub fn first(&mut self, mut at: usize) -> usize {
        let of = &mut self.0;
        while of[at] != at {
            of[at] = of[of[at]];
            at = of[at];
        }
        at
    }
}

/// For each track the first of those that it belongs to: by its content, its sound, its group, or
/// by way of others.
fn leaders(tracks: &[&Track]) -> Vec<usize> {
    let mut together = Together::alone(tracks.len());
    let (mut by_bytes, mut by_content) = (HashMap::new(), HashMap::new());
    let (mut by_sound, mut by_group) = (HashMap::new(), HashMap::new());
    for (at, track) in tracks.iter().enumerate() {
        let same = *by_bytes.entry(track.sha256.as_str()).or_insert(at);
        let first = *by_content.entry(track.content.as_str()).or_insert(at);
        let sound = track.alike.as_deref().map(|sound| *by_sound.entry(sound).or_insert(at));
        let group = track.group.as_deref().map(|group| *by_group.entry(group).or_insert(at));
        for other in [Some(same), Some(first), sound, group].into_iter().flatten() {
            together.join(at, other);
        }
    }
    (0..tracks.len()).map(|at| together.first(at)).collect()
}

/// The groups in an order that `seed` and `purpose` draw: by a digest of each one's first id, so
/// that a group more or less leaves the others in their order.
pub(super) fn shuffled<'a>(groups: Vec<Group<'a>>, seed: u64, purpose: &str) -> Vec<Group<'a>> {
    let place = |group: &Group| {
        let id = group.first().map_or("", |track| without_ending(&track.id));
        Sha256::digest(format!("{purpose}\n{seed}\n{id}"))
    };
    let mut groups = groups;
    groups.sort_by_cached_key(place);
    groups
}

/// A track's id without its file's ending, which differs between a recording and its picture.
fn without_ending(id: &str) -> &str {
    match id.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !ending.contains('/') => stem,
        _ => id,
    }
}

/// Takes groups from the front until `fraction` of the tracks is reached as nearly as
/// whole groups allow; returns those and the rest. At least `keep` groups stay, and if
/// there are more than that, at least one is taken.
pub(super) fn take(
    groups: Vec<Group<'_>>,
    fraction: f64,
    keep: usize,
) -> (Vec<Group<'_>>, Vec<Group<'_>>) {
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

/// Deals the groups of every genre to `k` folds so that each has as many tracks of a genre as
/// the others, and as many in all.
pub(super) fn deal<'a>(genres: &[Vec<Group<'a>>], k: usize) -> Vec<Vec<Group<'a>>> {
    let mut folds: Vec<Vec<Group>> = vec![vec![]; k];
    let mut totals = vec![0; k];
    for groups in genres {
        let mut of_genre = vec![0; k];
        let mut largest_first: Vec<_> = groups.iter().collect();
        largest_first.sort_by_key(|group| Reverse(group.len()));
        for group in largest_first {
            let Some(fold) = (0..k).min_by_key(|&fold| (of_genre[fold], totals[fold])) else {
                continue;
            };
            of_genre[fold] += group.len();
            totals[fold] += group.len();
            folds[fold].push(group.clone());
        }
    }
    folds
}

/// The ids of the groups' tracks, sorted.
pub(super) fn ids(groups: Vec<Group<'_>>) -> Vec<String> {
    let mut ids: Vec<_> = groups.into_iter().flatten().map(|track| track.id.clone()).collect();
    ids.sort();
    ids
}

#[cfg(test)]
mod tests {
    use super::super::testing::plain;
    use super::*;
    use crate::dataset::Split;

    #[test]
    fn copies_and_groups_stay_together_by_whatever_way() {
        let mut set = plain(2, 6);
        // 0 and 3 are copies, 3 and 5 of one artist, 5 and the other genre's 1 copies again,
        // which sounds like the 3 there.
        set.tracks[3].content = set.tracks[0].content.clone();
        (set.tracks[3].group, set.tracks[5].group) = (Some("A".into()), Some("A".into()));
        set.tracks[7].content = set.tracks[5].content.clone();
        (set.tracks[7].alike, set.tracks[9].alike) = (Some("x".into()), Some("x".into()));
        let ids = |groups: &[Group]| -> Vec<Vec<String>> {
            groups.iter().map(|g| g.iter().map(|track| track.id.clone()).collect()).collect()
        };
        let groups = by_genre(&set);
        assert_eq!(
            ids(&groups[0])[0],
            ["g00/000.wav", "g00/003.wav", "g00/005.wav", "g01/001.wav", "g01/003.wav"]
        );
        assert_eq!((groups[0].len(), groups[1].len()), (4, 4));
        for seed in 0..20 {
            let split = Split::stratified(&set, seed, 0.3, 0.3).unwrap();
            for part in [&split.train, &split.validation, &split.test] {
                let count = ids(&groups[0])[0].iter().filter(|id| part.contains(id)).count();
                assert!(count == 0 || count == 5, "{split:?}");
            }
        }
    }

    #[test]
    fn what_can_be_grouped_by_is_said() {
        let mut set = plain(2, 3);
        let error = set.group_by("artist").unwrap_err().to_string();
        assert!(error.contains("nothing is known of the tracks"), "{error}");
        set.tracks[1].facts.insert("artist".into(), "A".into());
        let error = set.group_by("label").unwrap_err().to_string();
        assert!(error.contains("there are artist"), "{error}");
        set.group_by("Artist").unwrap();
        let groups: Vec<Option<&str>> = set.tracks.iter().map(|t| t.group.as_deref()).collect();
        assert_eq!(groups, [None, Some("A"), None, None, None, None]);
    }

    #[test]
    fn equal_values_are_one_recording() {
        let mut set = plain(2, 2);
        let values: [Vec<f32>; 4] = [vec![1.0], vec![2.0, 3.0], vec![1.0], vec![2.0, -3.0]];
        set.find_copies(values.iter());
        let names = set.copies().into_iter().map(|pair| pair.map(|at| set.tracks[at].id.as_str()));
        assert_eq!(names.collect::<Vec<_>>(), [["g00/000.wav", "g01/000.wav"]]);
    }
}
