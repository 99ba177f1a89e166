//! Which genres are taken for which.

use crate::report::entry::Entry;
use crate::report::group::{Group, mean_and_deviation};
use crate::report::text::{capital, listed, percent};
use crate::report::titles::Titles;

/// A genre taken for another at least so often is worth a sentence.
const WORTH_SAYING: usize = 2;

/// So many pairs of genres are named.
const MOST_CONFUSED: usize = 3;

/// Which genres the best model takes for which, and which are hard for all.
pub(crate) fn confusions(group: &Group, titles: &Titles) -> Vec<String> {
    let Some(best) = group.entries.first() else { return vec![] };
    most_confused(best, &titles.of(best)).into_iter().chain(hardest(group)).collect()
}

/// The pairs of genres that `entry`'s model, called `title`, confuses most often.
fn most_confused(entry: &Entry, title: &str) -> Option<String> {
    let pairs = confused_pairs(entry);
    let (shown, rest) = pairs.split_at(pairs.len().min(MOST_CONFUSED));
    let as_often = rest.iter().filter(|pair| Some(pair.0) == shown.last().map(|p| p.0)).count();
    let genres = entry.genres();
    let said: Vec<String> = shown
        .iter()
        .map(|&(count, truth, given)| {
            let support = entry.test.tracks.per_genre[truth].support;
            format!("{} for {} ({count} of {support} tracks)", genres[truth], genres[given])
        })
        .collect();
    let (who, said) = (capital(title), listed(&said));
    match (shown.len(), as_often) {
        // There is nothing to say of who makes no mistake.
        (0, _) if entry.test.tracks.accuracy == 1.0 => None,
        (0, _) => Some(format!("{who} takes no genre for the same other one more than once.")),
        (_, 0) => Some(format!("{who} most often takes {said}.")),
        (_, 1) => Some(format!(
            "{who} most often takes {said}; one other pair is confused just as often."
        )),
        (_, more) => Some(format!(
            "{who} most often takes {said}; {more} other pairs are confused just as often."
        )),
    }
}

/// How often one genre is taken for another where that is worth saying, the most often first:
/// `(tracks, true genre, genre given)`.
fn confused_pairs(entry: &Entry) -> Vec<(usize, usize, usize)> {
    let mut pairs = vec![];
    for (truth, row) in entry.test.tracks.confusion.iter().enumerate() {
        for (given, &count) in row.iter().enumerate().filter(|(given, _)| *given != truth) {
            if count >= WORTH_SAYING {
                pairs.push((count, truth, given));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    pairs
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{entry, said};
    use crate::run::Kind;

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
    fn confusions_are_those_of_the_matrix() {
        // Tracks 0, 3, 6, ... are dub; every second one is taken for folk.
        let given: Vec<usize> = (0..30).map(|n| if n % 6 == 0 { 1 } else { n % 3 }).collect();
        let text = said(&[entry("a", Kind::Cnn, &given)], confusions);
        assert_eq!(text, "A most often takes dub for folk (5 of 10 tracks).");
    }
}
