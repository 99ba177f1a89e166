//! Searches for an architecture.

use super::context::Context;
use crate::error::Result;
use crate::report::charts::{Axis, Point, Scatter};
use crate::report::document::{Document, Figure, Table};
use crate::report::entry::Entry;
use crate::report::text::{capital, counted, listed, percent_number, thousands, three_digits};
use crate::run::{CnnConfig, GlobalPooling, Leaderboard, Rung, Trial};

/// Trials of a search that are listed.
const TRIALS: usize = 10;

/// What a trial costs.
struct Cost {
    /// What captions and file names call it.
    name: &'static str,
    /// What the axis says.
    axis: &'static str,
    of: fn(&Trial, &Rung) -> f64,
}

const COSTS: [Cost; 4] = [
    Cost { name: "layers", axis: "layers with weights", of: |trial, _| trial.cnn.layers() as f64 },
    Cost {
        name: "filters",
        axis: "filters of all convolutions",
        of: |trial, _| trial.cnn.total_filters() as f64,
    },
    Cost { name: "parameters", axis: "parameters", of: |trial, _| trial.parameters as f64 },
    Cost { name: "time", axis: "training (s)", of: |_, rung| rung.seconds },
];

/// The best trials of every search, and what they cost.
pub(super) fn add(document: &mut Document, context: &Context) -> Result<()> {
    for entry in context.entries {
        let Some(board) = &entry.search else { continue };
        let ranked = board.ranked();
        if ranked.is_empty() {
            continue;
        }
        document.heading(2, format!("Search for an architecture: {}", entry.run));
        document.paragraph(format!(
            "{} trained in {} s, compared on the validation part; the test part was used for the \
             winner only.",
            capital(&counted(ranked.len(), "architecture")),
            thousands(board.seconds.round() as usize)
        ));
        document.table(trials(board, &ranked));
        let charts = COSTS.iter().map(|cost| chart(entry, &ranked, cost));
        document.figures(2, charts.filter_map(Result::transpose).collect::<Result<_>>()?);
    }
    Ok(())
}

fn trials(board: &Leaderboard, ranked: &[(&Trial, Rung)]) -> Table {
    let mut table = Table::new(
        format!("The best of {}", counted(ranked.len(), "trial")),
        &[
            "Trial>",
            "Filters and convolutions",
            "Epochs>",
            "Validation loss>",
            "Validation accuracy %>",
            "Parameters>",
            "Learning rate>",
            "Seconds>",
        ],
    );
    for (trial, rung) in ranked.iter().take(TRIALS) {
        let winner = if board.winner == Some(trial.number) { " (winner)" } else { "" };
        table.row([
            trial.number.to_string(),
            format!("{}{winner}", blocks(&trial.cnn)),
            rung.epochs.to_string(),
            rung.validation.map_or("diverged".into(), |score| format!("{:.3}", score.loss)),
            percent_number(rung.accuracy()),
            thousands(trial.parameters),
            trial.learning_rate.to_string(),
            three_digits(trial.seconds()),
        ]);
    }
    table.note = "The longer trained come first, then by loss. Parameters without those of \
                  the output; seconds of all trainings of a trial."
        .into();
    table
}

/// Accuracy on the validation part against a cost, where it is known of two trials.
fn chart(
    entry: &Entry,
    ranked: &[(&Trial, Rung)],
    Cost { name, axis, of }: &Cost,
) -> Result<Option<Figure>> {
    let longest = ranked.first().map_or(0, |(_, rung)| rung.epochs);
    let point = |(trial, rung): &(&Trial, Rung)| {
        let cost = of(trial, rung);
        (cost > 0.0).then(|| Point {
            label: trial.number.to_string(),
            kind: entry.kind,
            cost,
            accuracy: rung.accuracy(),
            is_partial: rung.epochs < longest,
        })
    };
    let points: Vec<Point> = ranked.iter().filter_map(point).collect();
    if points.len() < 2 {
        return Ok(None);
    }
    let axis = Axis { cost: axis, accuracy: "accuracy on validation tracks" };
    let chart = Scatter { axis, points };
    Ok(Some(Figure {
        file: format!("search-{name}-{}.svg", entry.run.replace('/', "-")),
        caption: format!(
            "Trials by validation accuracy and {name}, at their longest training; hollow ones \
             were stopped early. No other is better than {} in both",
            listed(&chart.front_labels())
        ),
        alt: format!("Scatter chart of {} trials.", chart.points.len()),
        image: chart.draw()?.into_bytes(),
    }))
}

/// The architecture in the few words that fit a table.
fn blocks(cnn: &CnnConfig) -> String {
    let filters: Vec<String> = cnn.filters.iter().map(ToString::to_string).collect();
    let kernel = cnn.kernel;
    let mut text =
        format!("{}, {} of {kernel} × {kernel} each", filters.join("-"), cnn.convolutions);
    for (has, name) in [
        (cnn.pool_size == 4, ", pooled by 4"),
        (cnn.residual, ", residual"),
        (cnn.squeeze_excitation, ", SE"),
        (cnn.global_pooling == GlobalPooling::Flatten, ", flattened"),
    ] {
        if has {
            text += name;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Preset;

    #[test]
    fn blocks_are_named_by_what_they_add() {
        let cnn = CnnConfig {
            filters: vec![8, 16],
            convolutions: 2,
            residual: true,
            ..CnnConfig::default()
        };
        assert_eq!(blocks(&cnn), "8-16, 2 of 3 × 3 each, residual");
        let simple = blocks(&Preset::Simple.config());
        assert_eq!(simple, "32-64, 1 of 3 × 3 each, pooled by 4, flattened");
    }
}
