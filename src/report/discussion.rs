//! What the figures say, in sentences that claim no more than they do.

use super::Titles;
use super::entry::Entry;
use super::group::{Common, Group, mean_and_deviation};
use super::leaky::Leak;
use super::significance::{Comparison, LEVEL, compare, compare_on};
use super::text::{capital, certainty, counted, listed, p_equals, percent, points, three_digits};
use crate::dataset::Method;
use crate::run::{CrossValidation, Kind};

/// A genre taken for another at least so often is worth a sentence.
const WORTH_SAYING: usize = 2;

/// So many pairs of genres are named.
const MOST_CONFUSED: usize = 3;

/// The best of a group, in one sentence.
#[must_use]
pub fn headline(group: &Group, titles: &Titles) -> String {
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
#[must_use]
pub fn significance(group: &Group, titles: &Titles) -> Vec<String> {
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
fn correction(comparisons: &[Comparison]) -> Option<String> {
    let has_value = comparisons.iter().any(|c| c.only_first + c.only_second > 0);
    let count = counted(comparisons.len(), "comparison");
    (has_value && comparisons.len() > 1)
        .then(|| format!("p-values are corrected for {count} (Holm)."))
}

/// One comparison in a sentence; of a difference only where there is one.
#[must_use]
pub fn difference(comparison: &Comparison, entries: &[&Entry], titles: &Titles) -> String {
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

/// Which genres the best model takes for which, and which are hard for all.
#[must_use]
pub fn confusions(group: &Group, titles: &Titles) -> Vec<String> {
    let Some(best) = group.entries.first() else { return vec![] };
    let mut pairs: Vec<(usize, usize, usize)> = vec![];
    for (truth, row) in best.test.tracks.confusion.iter().enumerate() {
        for (given, &count) in row.iter().enumerate().filter(|(given, _)| *given != truth) {
            if count >= WORTH_SAYING {
                pairs.push((count, truth, given));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let genres = best.genres();
    let (shown, rest) = pairs.split_at(pairs.len().min(MOST_CONFUSED));
    let as_often = rest.iter().filter(|pair| Some(pair.0) == shown.last().map(|p| p.0)).count();
    let said: Vec<String> = shown
        .iter()
        .map(|&(count, truth, given)| {
            let support = best.test.tracks.per_genre[truth].support;
            format!("{} for {} ({count} of {support} tracks)", genres[truth], genres[given])
        })
        .collect();
    let who = capital(&titles.of(best));
    let most = match (said.is_empty(), as_often) {
        // There is nothing to say of who makes no mistake.
        (true, _) if best.test.tracks.accuracy == 1.0 => None,
        (true, _) => Some(format!("{who} takes no genre for the same other one more than once.")),
        (false, 0) => Some(format!("{who} most often takes {}.", listed(&said))),
        (false, _) => Some(format!(
            "{who} most often takes {}; {} just as often.",
            listed(&said),
            match as_often {
                1 => "one other pair is confused".to_owned(),
                more => format!("{more} other pairs are confused"),
            }
        )),
    };
    most.into_iter().chain(hardest(group)).collect()
}

/// The genres found least and most often, over all models of a group.
fn hardest(group: &Group) -> Option<String> {
    let genres = group.entries.first()?.genres();
    let tested = |genre: &usize| {
        group.entries.iter().all(|entry| entry.test.tracks.per_genre[*genre].support > 0)
    };
    let mean = |genre: usize| {
        let recalls = group.entries.iter().map(|entry| entry.test.tracks.per_genre[genre].recall);
        mean_and_deviation(&recalls.collect::<Vec<_>>()).0
    };
    let recalls: Vec<(usize, f64)> =
        (0..genres.len()).filter(tested).map(|genre| (genre, mean(genre))).collect();
    let low = recalls.iter().map(|(_, recall)| *recall).reduce(f64::min)?;
    let high = recalls.iter().map(|(_, recall)| *recall).reduce(f64::max)?;
    let named = |wanted: f64| {
        let equals = recalls.iter().filter(|(_, recall)| (recall - wanted).abs() < 1e-9);
        listed(&equals.map(|(genre, _)| genres[*genre].clone()).collect::<Vec<_>>())
    };
    (group.entries.len() > 1 && high > low).then(|| {
        format!(
            "Averaged over {}, the lowest recall is that of {} ({}) and the highest that of {} ({}).",
            match group.entries.len() {
                2 => "both models".to_owned(),
                all => format!("all {all} models"),
            },
            named(low),
            percent(low),
            named(high),
            percent(high)
        )
    })
}

/// What a model costs beside what it can do.
#[must_use]
pub fn costs(group: &Group, titles: &Titles) -> Vec<String> {
    let Some(best) = group.entries.first() else { return vec![] };
    let contenders = group.contenders();
    // Only contenders were compared with the best, so only they may be called no worse.
    let comparisons = compare(&contenders);
    let no_worse = comparisons
        .iter()
        .filter(|comparison| comparison.first == 0 && !comparison.is_significant())
        .map(|comparison| contenders[comparison.second]);
    let smaller = no_worse.clone().filter_map(|entry| {
        let (own, bests) = (entry.onnx_bytes? as f64 / 1e6, best.onnx_bytes? as f64 / 1e6);
        (own < bests).then_some((entry, own, bests))
    });
    let faster = no_worse.filter_map(|entry| {
        let (own, bests) = (entry.track_ms()?, best.track_ms()?);
        (own < bests).then_some((entry, own, bests))
    });
    let smallest = smaller.min_by(|a, b| a.1.total_cmp(&b.1));
    let fastest = faster.min_by(|a, b| a.1.total_cmp(&b.1));
    let excused = |entry: &Entry| {
        format!("{}, which these tracks do not show to be worse,", capital(&titles.of(entry)))
    };
    let mut sentences = vec![];
    if let Some((entry, own, bests)) = smallest {
        sentences.push(format!(
            "{} is a file of {} MB where {} is one of {}.",
            excused(entry),
            three_digits(own),
            titles.of(best),
            three_digits(bests)
        ));
    }
    if let Some((entry, own, bests)) = fastest {
        let who = match smallest {
            Some((other, ..)) if other.folder == entry.folder => "It".to_owned(),
            _ => excused(entry),
        };
        sentences.push(format!(
            "{who} needs {} ms of inference for a track on one CPU thread where {} needs {}; what \
             comes before, spectrogram or hand-made features, is in neither figure.",
            three_digits(own),
            titles.of(best),
            three_digits(bests)
        ));
    }
    sentences
}

/// What the test part cannot tell.
#[must_use]
pub fn limits(group: &Group) -> Vec<String> {
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
        // All n right still has a chance of 2.5 % at a true share of the n-th root of that.
        sentences.push(format!(
            "All of them right leaves the bootstrap no width, which is not certainty: a model that \
             finds {} would get them all right once in forty times.",
            percent(0.025f64.powf(1.0 / tracks.count as f64))
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

/// What is known of the faults of GTZAN, where there are tables of it.
#[must_use]
pub fn known_faults(groups: &[Group]) -> Vec<String> {
    let gtzan = "blues classical country disco hiphop jazz metal pop reggae rock";
    let of_gtzan = groups.iter().flat_map(|group| &group.entries);
    let of_gtzan = of_gtzan.filter(|entry| entry.genres().join(" ") == gtzan);
    let is_filtered = |entry: &&&Entry| entry.split.method == Method::FaultFiltered;
    let (filtered, shuffled): (Vec<&Entry>, Vec<&Entry>) = of_gtzan.partition(is_filtered);
    let mut sentences = vec![];
    if !shuffled.is_empty() {
        sentences.push(
            "GTZAN holds several clips of the same artists and even of the same recordings, and \
             some wrong labels (Sturm 2013). A shuffled split keeps only files with the same bytes \
             together, so an artist can be in training and test, and figures on such splits are \
             likely higher than for artists never heard; --split fault-filtered leaves the repeated \
             recordings out."
                .to_owned(),
        );
    }
    if !filtered.is_empty() {
        sentences.push(
            "The fault-filtered split of GTZAN (Kereliuk, Sturm & Larsen 2015) leaves out 70 of its \
             1000 clips, repeated and distorted ones; labels that Sturm doubts are still in it."
                .to_owned(),
        );
    }
    sentences
}

/// What a leaky split does, for every leaky run with an honest one beside it.
#[must_use]
pub fn leaks(leaks: &[Leak], titles: &Titles) -> Vec<String> {
    let one = |leak: &Leak| {
        let honest = leak.honest?;
        let (wrong, right) = (leak.leaky.test.patch_accuracy, honest.test.patch_accuracy);
        Some(if wrong > right {
            format!(
                "Splitting by window instead of by song takes {} from {} to {} of windows. The rise is \
                 no skill at songs never heard: windows of one song were in training and test.",
                titles.of(honest),
                percent(right),
                percent(wrong)
            )
        } else {
            format!(
                "Splitting by window instead of by song does not raise the figure of {} here ({} \
                 against {} of windows).",
                titles.of(honest),
                percent(wrong),
                percent(right)
            )
        })
    };
    leaks.iter().filter_map(one).collect()
}

/// The best on the tracks that runs of different tables share.
#[must_use]
pub fn shared(common: &Common, titles: &Titles) -> Vec<String> {
    let entries: Vec<&Entry> = common.entries.iter().map(|(entry, ..)| *entry).collect();
    let first = |kind: Kind| entries.iter().find(|entry| entry.kind == kind).copied();
    let best: Vec<&Entry> = entries
        .iter()
        .filter(|entry| first(entry.kind).is_some_and(|best| best.folder == entry.folder))
        .copied()
        .collect();
    let accuracy = |entry: &Entry| {
        let found = common.entries.iter().find(|(other, ..)| other.folder == entry.folder);
        found.map_or(0.0, |(_, accuracy, _)| *accuracy)
    };
    let each: Vec<String> = best
        .iter()
        .map(|entry| format!("{} {}", titles.of(entry), percent(accuracy(entry))))
        .collect();
    let mut sentences = vec![format!(
        "On the {} that all of them were tested on, the best of each kind: {}.",
        counted(common.tracks.len(), "track"),
        listed(&each)
    )];
    let comparisons = compare_on(&best, |track| common.tracks.contains(track));
    for c in &comparisons {
        let (a, b) = (titles.of(best[c.first]), titles.of(best[c.second]));
        sentences.push(if c.p_holm < LEVEL { format!(
                "{} is better than {b} on them: {} tracks against {} that only one gets right ({}).",
                capital(&a),
                c.only_first,
                c.only_second,
                p_equals(c.p_holm)
            ) } else { format!(
                "They do not show that {a} and {b} differ ({} tracks against {}, {}).",
                c.only_first,
                c.only_second,
                p_equals(c.p_holm)
            ) });
    }
    sentences.extend(correction(&comparisons));
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::entry::tests::{entry, given};
    use crate::report::group::{self, groups};
    use crate::run::Kept;
    use proptest::prelude::*;

    fn said(entries: &[Entry], say: fn(&Group, &Titles) -> Vec<String>) -> String {
        let groups = groups(entries);
        assert_eq!(groups.len(), 1);
        say(&groups[0], &Titles::new(entries)).join(" ")
    }

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
    fn a_faultless_model_has_no_interval() {
        let faultless = [entry("a", Kind::FineTuned, &given(60, 0))];
        let text = headline(&groups(&faultless)[0], &Titles::new(&faultless));
        assert!(text.ends_with("100.0 % (the bootstrap gives no interval for it)."), "{text}");
    }

    #[test]
    fn all_right_is_not_certainty() {
        let entries = [entry("a", Kind::Cnn, &given(30, 0))];
        let text = limits(&groups(&entries)[0]).join(" ");
        // scipy.stats.binomtest(30, 30).proportion_ci().low
        assert!(text.contains("a model that finds 88.4 % would"), "{text}");
        assert!(!text.contains("wide"), "an interval without a width says nothing: {text}");
        assert!(known_faults(&groups(&entries)).is_empty(), "this is not GTZAN");
    }

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
        let common = group::common(&groups, 0);
        let text = shared(&common[0], &Titles::new(&entries)).join(" ");
        assert!(text.contains("do not show that a and b differ (0 tracks against 0"), "{text}");
        assert!(!text.contains("is better"), "{text}");
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
        assert_eq!(said(&all, confusions), "");
    }

    #[test]
    fn equals_are_named_or_counted() {
        // Of each genre's ten tracks, two are taken for each of the others.
        let given: Vec<usize> = (0..30).map(|n| (n + [1, 1, 2, 2, 0, 0][n / 3 % 6]) % 3).collect();
        let one = entry("a", Kind::Cnn, &given);
        let text = said(std::slice::from_ref(&one), confusions);
        assert!(text.ends_with("; 3 other pairs are confused just as often."), "{text}");
        let mut better = entry("b", Kind::Cnn, &(0..30).map(|n| n % 3).collect::<Vec<_>>());
        better.test.tracks.per_genre[0].recall = 0.9;
        let text = said(&[one, better], confusions);
        assert!(text.contains("and the highest that of folk and ska ("), "{text}");
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

    #[test]
    fn confusions_are_those_of_the_matrix() {
        // Tracks 0, 3, 6, ... are dub; every second one is taken for folk.
        let given: Vec<usize> = (0..30).map(|n| if n % 6 == 0 { 1 } else { n % 3 }).collect();
        let text = said(&[entry("a", Kind::Cnn, &given)], confusions);
        assert_eq!(text, "A most often takes dub for folk (5 of 10 tracks).");
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
