//! What a test part cannot tell.

use crate::report::group::Group;
use crate::report::text::{certainty, counted, percent, points};
use crate::run::CrossValidation;

/// What the test part cannot tell.
pub(crate) fn limits(group: &Group) -> Vec<String> {
    let Some(best) = group.entries.first() else { return vec![] };
    let tracks = &best.test.tracks;
    let width = tracks.interval[1] - tracks.interval[0];
    let spans = if width > 0.0 {
        format!("; the 95 % interval of the best model is {} wide", points(width))
    } else {
        String::new()
    };
    let mut sentences = vec![format!(
        "With {}, one track is {}{spans}. An interval is about the draw of test tracks only, not \
         about other training tracks or seeds.",
        counted(tracks.count, "test track"),
        points(1.0 / tracks.count.max(1) as f64),
    )];
    if tracks.accuracy == 1.0 && tracks.count > 0 {
        sentences.push(format!(
            "All of them right is not certainty: a model that finds {} would get them all right \
             once in forty times.",
            percent(tracks.interval[0])
        ));
    }
    sentences.extend(best.cross_validation.as_ref().map(cross_validated));
    let at_hand = || group.entries.iter().map(|entry| entry.data.tracks);
    let (fewest, most) = (at_hand().min().unwrap_or(0), at_hand().max().unwrap_or(0));
    // One unreadable file more or less is no difference in what was learned from.
    if (fewest as f64) < 0.95 * most as f64 {
        sentences.push(format!(
            "The models did not learn from equally many tracks: their collections hold from \
             {fewest} to {most}, so that the table compares models with what they were given."
        ));
    }
    let looks = group.entries.iter().filter_map(|entry| entry.test_uses).max();
    if let Some(looks) = looks.filter(|looks| *looks > 1) {
        sentences.push(format!(
            "By the ledger of train-cnn, this test part was looked at {looks} times or more; the best \
             figure of several looks is rather too high."
        ));
    }
    sentences
}

/// What a cross-validation says beside a test part, which has fewer tracks.
fn cross_validated(CrossValidation { folds, pooled, .. }: &CrossValidation) -> String {
    format!(
        "A head on the frozen network of the best model, cross-validated over {} folds so that each \
         of {} is tested once, recognizes {} ({}).",
        folds.len(),
        counted(pooled.tracks.count, "track"),
        percent(pooled.tracks.accuracy),
        certainty(pooled.tracks.interval)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::discussion::known_faults;
    use crate::report::fixtures::{entry, given, said};
    use crate::report::group::groups;
    use crate::run::{Kept, Kind};

    #[test]
    fn all_right_is_not_certainty() {
        let entries = [entry("a", Kind::Cnn, &given(30, 0))];
        let text = limits(&groups(&entries)[0]).join(" ");
        // scipy.stats.binomtest(30, 30).proportion_ci().low
        assert!(text.contains("a model that finds 88.4 % would"), "{text}");
        assert!(text.contains("interval of the best model is 11.6 points wide"), "{text}");
        assert!(known_faults(&groups(&entries)).is_empty(), "this is not GTZAN");
    }

    #[test]
    fn cross_validation_stands_beside_a_small_test_part() {
        let mut small = entry("a", Kind::FineTuned, &given(20, 0));
        let pooled = entry("pooled", Kind::FineTuned, &given(60, 6)).test;
        small.cross_validation =
            Some(CrossValidation { model: Kept::Frozen, folds: vec![0.9, 0.9], pooled });
        let text = said(&[small], |group, _| limits(group));
        assert!(text.contains("over 2 folds so that each of 60 tracks is tested once"), "{text}");
        assert!(text.contains("recognizes 90.0 % (95 % interval"), "{text}");
    }
}
