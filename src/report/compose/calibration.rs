//! Whether probabilities mean what they say, and what is promised of sets and outsiders.

use super::context::Context;
use crate::error::Result;
use crate::metrics::share_interval;
use crate::report::charts;
use crate::report::document::{Document, Figure, Table};
use crate::report::entry::Entry;
use crate::report::text::{UNKNOWN, capital, percent, percent_number};
use crate::run::{CalibrationMetrics, REFUSED};

/// The calibration of all runs that have one.
pub(super) fn add(document: &mut Document, context: &Context) -> Result<()> {
    let found: Vec<(&Entry, &CalibrationMetrics)> = context
        .by_number()
        .into_iter()
        .filter_map(|entry| Some((entry, entry.calibration.as_ref()?)))
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    document.heading(2, "How far the models can be trusted");
    document.paragraph(
        "A track's probabilities are the mean over its patches', arithmetic or geometric, divided by a \
         temperature in the logarithm: both as tracks that the model has not learned from are least \
         surprising. The expected calibration error is how far the share of \
         right answers is from their confidence, on average over the test tracks. A set has the genres \
         whose probability reaches their threshold; it is promised that the right one is in it with the \
         coverage named. An outsider is a recording that lies farther from what was learned from \
         than 95 % of known ones do: refused below are known ones, all of them wrongly.",
    );
    let mut table = Table::new(
        "Calibration, sets and outsiders, on the test tracks",
        &[
            "Model",
            "Calibrated on",
            "Mean over patches",
            "Temperature>",
            "Calibration error before, %>",
            "After, %>",
            "Promised %>",
            "In the set %>",
            "Genres in a set>",
            "Refused %>",
        ],
    );
    for (entry, metrics) in &found {
        let tested = &metrics.tested;
        let of_tested = |count: usize| share(count, tested.tracks);
        table.row([
            capital(&context.titles.of(entry)),
            format!("{} tracks, {}", metrics.tracks, metrics.calibrated),
            metrics.average.to_string(),
            format!("{:.2}", metrics.temperature),
            percent_number(metrics.before.error),
            percent_number(metrics.after.error),
            percent_number(metrics.coverage),
            of_tested(tested.covered),
            format!("{:.1}", tested.in_sets as f64 / tested.tracks.max(1) as f64),
            tested.refused.map_or(UNKNOWN.to_owned(), of_tested),
        ]);
    }
    table.note = format!(
        "In brackets the 95 % interval of Clopper and Pearson: a few test tracks tell little. Refused \
         should be about {}; {UNKNOWN} where nothing tells outsiders.",
        percent(REFUSED)
    );
    document.table(table);
    let figures = found.iter().map(|(entry, metrics)| figure(context, entry, metrics));
    document.figures(2, figures.collect::<Result<_>>()?);
    Ok(())
}

/// `90.0 (68.3–98.8)`.
fn share(count: usize, all: usize) -> String {
    let [low, high] = share_interval(count, all).map(percent_number);
    format!("{} ({low}–{high})", percent_number(count as f64 / all.max(1) as f64))
}

fn figure(context: &Context, entry: &Entry, metrics: &CalibrationMetrics) -> Result<Figure> {
    let title = context.titles.of(entry);
    let [before, after] = [&metrics.before, &metrics.after].map(|found| percent(found.error));
    Ok(Figure {
        file: format!("reliability-{}.svg", context.number(entry)),
        caption: format!(
            "{}: triangles before the calibration, circles after; on the dashed line answers are as \
             often right as they say",
            capital(&title)
        ),
        alt: format!(
            "Reliability of {title} on {} test tracks: calibration error {before} before, {after} \
             after.",
            metrics.tested.tracks
        ),
        image: charts::reliability(metrics)?.into_bytes(),
    })
}
