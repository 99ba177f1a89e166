//! Rows that belong together: the windows of a song.

use std::collections::BTreeMap;

use crate::metrics::mean_probabilities;

/// The rows of `width` values of each group, by group.
pub(super) fn rows_of<G: Ord + Copy>(
    values: &[f32],
    groups: &[G],
    width: usize,
) -> Vec<(G, Vec<f32>)> {
    let mut of_group: BTreeMap<G, Vec<f32>> = BTreeMap::new();
    for (row, &group) in values.chunks_exact(width).zip(groups) {
        of_group.entry(group).or_default().extend(row);
    }
    of_group.into_iter().collect()
}

/// The mean of the probabilities `[rows, classes]` of each group's rows, by group.
pub(super) fn by_group<G: Ord + Copy>(
    probabilities: &[f32],
    groups: &[G],
    classes: usize,
) -> Vec<(G, Vec<f32>)> {
    let mean = |(group, rows): (G, Vec<f32>)| (group, mean_probabilities(&rows, classes));
    rows_of(probabilities, groups, classes).into_iter().map(mean).collect()
}
