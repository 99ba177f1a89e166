//! What the tracks that runs of different tables share tell of them.

use super::differences::correction;
use crate::report::entry::Entry;
use crate::report::group::{Scored, Shared};
use crate::report::significance::{Comparison, compare_on};
use crate::report::text::{capital, counted, listed, p_equals, percent};
use crate::report::titles::Titles;

/// The best of each kind on the tracks that runs of different tables share.
pub(crate) fn shared(shared: &Shared, titles: &Titles) -> Vec<String> {
    let best = best_of_each_kind(&shared.scored);
    let each: Vec<String> = best
        .iter()
        .map(|run| format!("{} {}", titles.of(run.entry), percent(run.accuracy)))
        .collect();
    let mut sentences = vec![format!(
        "On the {} that all of them were tested on, the best of each kind: {}.",
        counted(shared.tracks.len(), "track"),
        listed(&each)
    )];
    let best: Vec<&Entry> = best.iter().map(|run| run.entry).collect();
    let comparisons = compare_on(&best, |track| shared.tracks.contains(track));
    sentences.extend(comparisons.iter().map(|comparison| difference(comparison, &best, titles)));
    sentences.extend(correction(&comparisons));
    sentences
}

/// The first of `scored` of each kind.
fn best_of_each_kind<'a>(scored: &'a [Scored<'a>]) -> Vec<&'a Scored<'a>> {
    let mut best: Vec<&Scored> = vec![];
    for run in scored {
        if best.iter().all(|other| other.entry.kind != run.entry.kind) {
            best.push(run);
        }
    }
    best
}

fn difference(comparison: &Comparison, entries: &[&Entry], titles: &Titles) -> String {
    let &Comparison { first, second, only_first, only_second, p_holm, .. } = comparison;
    let (a, b) = (titles.of(entries[first]), titles.of(entries[second]));
    let p = p_equals(p_holm);
    if comparison.is_significant() {
        format!(
            "{} is better than {b} on them: {only_first} tracks against {only_second} that only \
             one gets right ({p}).",
            capital(&a)
        )
    } else {
        format!(
            "They do not show that {a} and {b} differ ({only_first} tracks against {only_second}, \
             {p})."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{entry, given};
    use crate::report::group::{self, groups};
    use crate::run::Kind;

    /// On all their tracks `a` and `b` differ in 28; on the 12 they share with `c` they do not.
    #[test]
    fn shared_tracks_are_compared_on_those_alone() {
        let a = entry("a", Kind::FineTuned, &given(60, 0));
        let wrong_later: Vec<usize> =
            (0..60).map(|track| (track + usize::from(track >= 32)) % 3).collect();
        let b = entry("b", Kind::Baseline, &wrong_later);
        let mut c = entry("c", Kind::Cnn, &given(12, 1));
        c.split.test = a.split.test.clone();
        let entries = [a, b, c];
        let groups = groups(&entries);
        let found = group::shared(&groups, 0);
        let text = shared(&found[0], &Titles::new(&entries)).join(" ");
        assert!(text.contains("do not show that a and b differ (0 tracks against 0"), "{text}");
        assert!(!text.contains("is better"), "{text}");
    }
}
