//! What models cost beside what they can do.

use crate::report::entry::Entry;
use crate::report::group::Group;
use crate::report::significance::compare;
use crate::report::text::{capital, three_digits};
use crate::report::titles::Titles;

/// What a model costs beside what it can do.
pub(crate) fn costs(group: &Group, titles: &Titles) -> Vec<String> {
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
