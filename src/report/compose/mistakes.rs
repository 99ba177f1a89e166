//! The tracks that the best model is most sure of and wrong about.

use super::context::Context;
use crate::progress;
use crate::report::document::{Document, Figure};
use crate::report::entry::Entry;
use crate::report::group::Group;
use crate::report::spectrogram;
use crate::report::text::probability;
use crate::run::Prediction;

/// Mistakes that are shown of a group's best model.
const MISTAKES: usize = 6;

/// The most confident mistakes of the best of `group`, with what the others say and with their
/// spectrograms where the collection is at hand.
pub(super) fn add(document: &mut Document, context: &Context, group: &Group) {
    let Some((best, others)) = group.entries.split_first() else { return };
    let wrong = most_confident(best);
    if wrong.is_empty() {
        return;
    }
    document.heading(3, format!("The most confident mistakes of {}", context.titles.of(best)));
    let bar = progress::begin(wrong.len(), "mistakes", "clips");
    let mut figures = vec![];
    for (place, mistake) in wrong.into_iter().enumerate() {
        let name = format!("mistake-{}-{}.png", context.number(best), place + 1);
        figures.push(figure(name, context, mistake, others));
        bar.advance(1);
    }
    drop(bar);
    document.figures(2, figures);
}

/// The most confident mistakes of `entry`, the most confident first.
fn most_confident(entry: &Entry) -> Vec<&Prediction> {
    let mut wrong: Vec<&Prediction> = entry.predictions.iter().filter(|p| !p.is_right()).collect();
    wrong.sort_by(|a, b| {
        b.confidence().total_cmp(&a.confidence()).then_with(|| a.track.cmp(&b.track))
    });
    wrong.truncate(MISTAKES);
    wrong
}

fn figure(file: String, context: &Context, mistake: &Prediction, others: &[&Entry]) -> Figure {
    let Prediction { track, genre, predicted, .. } = mistake;
    let image = spectrogram::picture(track, &context.folders);
    Figure {
        file: if image.is_some() { file } else { String::new() },
        caption: format!(
            "{track}: {genre}, taken for {predicted} with {}{}",
            probability(f64::from(mistake.confidence())),
            agreement(track, others)
        ),
        alt: format!("Log-mel spectrogram of {track}"),
        image: image.unwrap_or_default(),
    }
}

/// How many of the `others` are wrong about `track` too.
fn agreement(track: &str, others: &[&Entry]) -> String {
    let is_wrong = |entry: &&&Entry| {
        entry.predictions.iter().any(|other| other.track == track && !other.is_right())
    };
    match (others.len(), others.iter().filter(is_wrong).count()) {
        (0, _) => String::new(),
        (1, 0) => "; the other model is right".to_owned(),
        (1, _) => "; the other model is wrong too".to_owned(),
        (all, wrong) => format!("; {wrong} of the {all} other models are wrong too"),
    }
}
