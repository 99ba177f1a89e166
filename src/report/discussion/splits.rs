//! What splits hide: known faults of a collection, and leaks.

use crate::dataset::Method;
use crate::report::entry::Entry;
use crate::report::group::Group;
use crate::report::leaks::Leak;
use crate::report::text::percent;
use crate::report::titles::Titles;

/// What the page says of GTZAN. Texts for readers who work with the programs: they name flags as
/// those do.
const SHUFFLED: &str = include_str!("../templates/gtzan-shuffled.txt");
const FILTERED: &str = include_str!("../templates/gtzan-fault-filtered.txt");

/// What is known of the faults of GTZAN, where there are tables of it.
pub(crate) fn known_faults(groups: &[Group]) -> Vec<String> {
    let gtzan = "blues classical country disco hiphop jazz metal pop reggae rock";
    let of_gtzan = groups.iter().flat_map(|group| &group.entries);
    let of_gtzan = of_gtzan.filter(|entry| entry.genres().join(" ") == gtzan);
    let is_filtered = |entry: &&&Entry| entry.split.method == Method::FaultFiltered;
    let (filtered, shuffled): (Vec<&Entry>, Vec<&Entry>) = of_gtzan.partition(is_filtered);
    let mut sentences = vec![];
    if !shuffled.is_empty() {
        sentences.push(unwrapped(SHUFFLED));
    }
    if !filtered.is_empty() {
        sentences.push(unwrapped(FILTERED));
    }
    sentences
}

/// The lines of `text` as one.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a leaky split does, for every leaky run with an honest one beside it.
pub(crate) fn leaks(leaks: &[Leak], titles: &Titles) -> Vec<String> {
    let one = |leak: &Leak| {
        let honest = leak.honest?;
        if leak.leaky.data.copies_allowed {
            return Some(copies(leak.leaky, honest, titles));
        }
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

/// What copies on both sides do.
fn copies(leaky: &Entry, honest: &Entry, titles: &Titles) -> String {
    let [wrong, right] = [leaky, honest].map(|entry| entry.test.tracks.accuracy);
    format!(
        "Allowing copies of recordings on both sides of the split, which {} of the tested tracks \
         then have, takes {} from {} to {} of tracks. That is no skill at songs never heard.",
        leaky.data.leaks,
        titles.of(honest),
        percent(right),
        percent(wrong)
    )
}
