//! Charts of runs that were tested on the same tracks.

use super::context::Context;
use crate::error::Result;
use crate::report::charts::{self, Axis, Estimate, Point, Scatter};
use crate::report::document::Figure;
use crate::report::entry::Entry;
use crate::report::group::Group;
use crate::report::text::{capital, counted, listed, percent};

/// A cost that models are compared by.
struct Cost {
    /// What captions and file names call it.
    name: &'static str,
    /// What the axis says.
    axis: &'static str,
    /// The cost of a run's model, where it is known.
    of: fn(&Entry) -> Option<f64>,
}

const COSTS: [Cost; 2] = [
    Cost { name: "latency", axis: "inference for a track (ms, one thread)", of: Entry::track_ms },
    Cost { name: "size", axis: "ONNX file (MB)", of: |entry| Some(entry.onnx_bytes? as f64 / 1e6) },
];

/// The accuracies of a group with their intervals.
pub(super) fn accuracies(context: &Context, group: &Group, number: usize) -> Result<Figure> {
    let estimate = |entry: &&Entry| Estimate {
        title: context.titles.of(entry),
        kind: entry.kind,
        accuracy: entry.test.tracks.accuracy,
        interval: entry.test.tracks.interval,
    };
    let estimates: Vec<Estimate> = group.entries.iter().map(estimate).collect();
    let caption =
        format!("Accuracy on {}, with 95 % intervals", counted(group.tracks(), "test track"));
    intervals(format!("accuracy-{number}.svg"), caption, &estimates)
}

/// A chart of `estimates`, and the same in words.
pub(super) fn intervals(file: String, caption: String, estimates: &[Estimate]) -> Result<Figure> {
    let words: Vec<String> =
        estimates.iter().map(|row| format!("{} {}", row.title, percent(row.accuracy))).collect();
    Ok(Figure {
        file,
        caption,
        alt: format!("Accuracies: {}.", words.join("; ")),
        image: charts::intervals(estimates)?.into_bytes(),
    })
}

/// Accuracy against latency and against size, each where it is known of two models.
pub(super) fn trade_offs(context: &Context, group: &Group, number: usize) -> Result<Vec<Figure>> {
    let figures = COSTS.iter().map(|cost| trade_off(context, group, number, cost));
    figures.filter_map(Result::transpose).collect()
}

fn trade_off(
    context: &Context,
    group: &Group,
    number: usize,
    Cost { name, axis, of }: &Cost,
) -> Result<Option<Figure>> {
    let point = |entry: &&Entry| {
        Some(Point {
            label: context.number(entry).to_string(),
            kind: entry.kind,
            cost: of(entry).filter(|cost| *cost > 0.0)?,
            accuracy: entry.test.tracks.accuracy,
            is_partial: false,
        })
    };
    let points: Vec<Point> = group.entries.iter().filter_map(point).collect();
    if points.len() < 2 {
        return Ok(None);
    }
    let axis = Axis { cost: axis, accuracy: "accuracy on test tracks" };
    let chart = Scatter { axis, points };
    let front = listed(&chart.front_labels());
    Ok(Some(Figure {
        file: format!("pareto-{name}-{number}.svg"),
        caption: format!(
            "Accuracy against {name}; the numbers are those of the table, the dashed line \
             joins models that no other is better than in both: {front}"
        ),
        alt: format!(
            "Scatter chart of {} models; from cheap to dear, the numbers {front} are beaten by \
             none.",
            chart.points.len()
        ),
        image: chart.draw()?.into_bytes(),
    }))
}

/// The confusion matrix of a run.
pub(super) fn confusion(context: &Context, entry: &Entry) -> Result<Figure> {
    let title = context.titles.of(entry);
    let tracks = &entry.test.tracks;
    Ok(Figure {
        file: format!("confusion-{}.svg", context.number(entry)),
        caption: format!("{}: {}", capital(&title), percent(tracks.accuracy)),
        alt: format!(
            "Confusion matrix of {title}: {} of {} tracks are on the diagonal.",
            (0..tracks.confusion.len()).map(|i| tracks.confusion[i][i]).sum::<usize>(),
            tracks.count
        ),
        image: charts::confusion(entry)?.into_bytes(),
    })
}
