//! Which model is the best, and whether it is better than the others.

use crate::report::entry::Entry;
use crate::report::group::Group;
use crate::report::significance::{Comparison, compare};
use crate::report::text::{capital, certainty, counted, listed, p_equals, percent, points};
use crate::report::titles::Titles;

/// The best of a group, in one sentence.
pub(crate) fn headline(group: &Group, titles: &Titles) -> String {
    let Some(best) = group.entries.first() else { return String::new() };
    let tracks = &best.test.tracks;
    let equals: Vec<String> = group
        .entries
        .iter()
        .filter(|entry| entry.test.tracks.accuracy == tracks.accuracy)
        .map(|entry| titles.of(entry))
        .collect();
    let all = counted(group.entries.len(), "model");
    let same = counted(tracks.count, "track");
    let who = match equals.len() {
        _ if group.entries.len() == 1 => {
            format!("{} was tested on {same} alone and recognizes", capital(&equals[0]))
        }
        count if count == group.entries.len() => {
            let all = if count == 2 { "Both models".to_owned() } else { format!("All {all}") };
            format!("{all} tested on the same {same} recognize equally many:")
        }
        1 => format!("Of {all} tested on the same {same}, {} recognizes most:", equals[0]),
        _ => {
            format!("Of {all} tested on the same {same}, {} recognize most, each", listed(&equals))
        }
    };
    format!("{who} {} ({}).", percent(tracks.accuracy), certainty(tracks.interval))
}

/// Whether the best models of a group differ, pair by pair.
pub(crate) fn significance(group: &Group, titles: &Titles) -> Vec<String> {
    let contenders = group.contenders();
    let comparisons = compare(&contenders);
    let with_best = comparisons.iter().filter(|comparison| comparison.first == 0);
    let mut sentences: Vec<String> =
        with_best.map(|c| difference(c, &contenders, titles)).collect();
    sentences.extend(correction(&comparisons));
    let best = contenders.first().map_or(0.0, |entry| entry.test.tracks.accuracy);
    // Among equals there was nothing to pick.
    if group.entries.iter().any(|entry| entry.test.tracks.accuracy < best) {
        sentences.push(
            "The best model was picked by these same tracks, so its own figure is rather too high \
             than too low."
                .to_owned(),
        );
    }
    sentences
}

/// What p-values have been corrected for, if any but the first two models were compared.
pub(super) fn correction(comparisons: &[Comparison]) -> Option<String> {
    let has_value = comparisons.iter().any(|c| c.only_first + c.only_second > 0);
    let count = counted(comparisons.len(), "comparison");
    (has_value && comparisons.len() > 1)
        .then(|| format!("p-values are corrected for {count} (Holm)."))
}

/// One comparison in a sentence; of a difference only where there is one.
fn difference(comparison: &Comparison, entries: &[&Entry], titles: &Titles) -> String {
    let Comparison { first, second, only_first, only_second, p_holm, .. } = comparison;
    let (a, b) = (entries[*first], entries[*second]);
    let (first, second) = (titles.of(a), titles.of(b));
    let gap = a.test.tracks.accuracy - b.test.tracks.accuracy;
    let differ = only_first + only_second;
    if differ == 0 {
        return format!("{} and {second} are right on exactly the same tracks.", capital(&first));
    }
    let counts = format!(
        "of the {} that only one of the two gets right, {first} gets {only_first} and {second} \
         {only_second}",
        counted(differ, "track").replace("one track", "1 track")
    );
    if comparison.is_significant() {
        format!(
            "{} beats {second} by {}: {counts}; that is significant ({}).",
            capital(&first),
            points(gap),
            p_equals(*p_holm)
        )
    } else {
        format!(
            "These tracks do not show that {first} and {second} differ: {counts}, which may be \
             chance ({}).",
            p_equals(*p_holm)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{entry, given, said};
    use crate::report::group::groups;
    use crate::report::significance::LEVEL;
    use crate::run::Kind;
    use proptest::prelude::*;

    #[test]
    fn a_difference_is_claimed_where_there_is_one() {
        let good = entry("good", Kind::FineTuned, &given(60, 2));
        let bad = entry("bad", Kind::Baseline, &given(60, 20));
        let text = said(&[good, bad], significance);
        assert!(text.contains("Good beats bad by 30.0 points: of the 18 tracks"), "{text}");
        assert!(text.contains("good gets 18 and bad 0; that is significant"), "{text}");
    }

    #[test]
    fn no_difference_is_claimed_where_there_is_none() {
        let a = entry("a", Kind::FineTuned, &given(60, 2));
        let b = entry("b", Kind::Baseline, &given(60, 6));
        let text = said(&[a.clone(), b], significance);
        assert!(text.contains("do not show that a and b differ"), "{text}");
        assert!(!text.contains("beats") && !text.contains("that is significant"), "{text}");
        let same = entry("same", Kind::Baseline, &given(60, 2));
        let text = said(&[a, same], significance);
        assert!(text.contains("right on exactly the same tracks"), "{text}");
    }

    #[test]
    fn a_tie_names_all_and_a_single_model_beats_nobody() {
        let a = entry("a", Kind::FineTuned, &given(60, 2));
        let b = entry("b", Kind::Baseline, &given(60, 2));
        let titles = Titles::new(&[a.clone(), b.clone()]);
        let all = [a.clone(), b];
        let text = headline(&groups(&all)[0], &titles);
        assert!(text.starts_with("Both models tested on the same 60 tracks"), "{text}");
        let one = [a];
        let text = headline(&groups(&one)[0], &titles);
        assert!(
            text.starts_with("A was tested on 60 tracks alone and recognizes 96.7 %"),
            "{text}"
        );
    }

    #[test]
    fn a_faultless_model_has_an_interval_too() {
        let faultless = [entry("a", Kind::FineTuned, &given(60, 0))];
        let text = headline(&groups(&faultless)[0], &Titles::new(&faultless));
        assert!(text.ends_with("100.0 % (95 % interval 94.0 to 100.0 %)."), "{text}");
    }

    #[test]
    fn nothing_is_said_of_what_did_not_happen() {
        let perfect = || entry("perfect", Kind::Cnn, &given(60, 0));
        let mut other = perfect();
        (other.run, other.label, other.folder) = ("other".into(), "other".into(), "other".into());
        let mut third = other.clone();
        (third.run, third.label, third.folder) = ("third".into(), "third".into(), "third".into());
        let all = [perfect(), other, third];
        let text = said(&all, significance);
        assert!(!text.contains("p-values"), "no p-value was given: {text}");
        assert!(!text.contains("was picked"), "equals were not picked from: {text}");
        assert_eq!(said(&all, crate::report::discussion::confusions), "");
    }

    proptest! {
        /// Whatever the predictions, a model is said to beat another only below 0.05.
        #[test]
        fn no_claim_without_significance(
            a in prop::collection::vec(0usize..3, 40),
            b in prop::collection::vec(0usize..3, 40),
        ) {
            let entries = [entry("a", Kind::Cnn, &a), entry("b", Kind::Baseline, &b)];
            let groups = groups(&entries);
            let contenders = groups[0].contenders();
            let p = compare(&contenders)[0].p_holm;
            let text = significance(&groups[0], &Titles::new(&entries)).join(" ");
            prop_assert_eq!(text.contains(" beats "), p < LEVEL);
            prop_assert_eq!(text.contains("do not show") || text.contains("exactly"), p >= LEVEL);
        }
    }
}
