//! Tracks with the same bytes, which no split may tear apart.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::collection::{Dataset, Track};

/// Tracks with the same bytes, sorted by id.
pub(super) type Group<'a> = Vec<&'a Track>;

/// For every genre its groups of identical tracks, in the order of their first ids.
pub(super) fn by_genre(dataset: &Dataset) -> Vec<Vec<Group<'_>>> {
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
