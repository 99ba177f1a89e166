//! The chart of a search, drawn while it goes on.

use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::prelude::*;

use crate::charts::{
    Area, BLUE, CAPTION, Drawn, FONT, SMALL, VERMILION, as_percent, log_ticks, svg, tick_label,
};
use crate::error::Result;
use crate::run::{Leaderboard, Rung, Trial};

/// Accuracy of a search's trials against their layers, filters, parameters and training time, as
/// SVG; the further a trial came, the larger its mark, and the winner's is filled.
///
/// # Errors
/// [`Error::Drawing`](crate::Error::Drawing) if it cannot be drawn.
pub(super) fn leaderboard(board: &Leaderboard) -> Result<String> {
    svg("the chart of the search", (860, 720), |area| {
        let (upper, lower) = area.split_vertically(360);
        let (left, right) = upper.split_horizontally(430);
        let layers = |trial: &Trial, _: &Rung| trial.cnn.layers() as f64;
        scatter(&left, board, "layers with weights (log scale)", layers)?;
        let filters = |trial: &Trial, _: &Rung| trial.cnn.total_filters() as f64;
        scatter(&right, board, "filters of all convolutions (log scale)", filters)?;
        let (left, right) = lower.split_horizontally(430);
        let parameters = |trial: &Trial, _: &Rung| trial.parameters as f64;
        scatter(&left, board, "parameters (log scale)", parameters)?;
        // By the epoch, since the trials that came further were trained longer.
        let seconds = |_: &Trial, rung: &Rung| rung.seconds / rung.epochs as f64;
        scatter(&right, board, "seconds an epoch (log scale)", seconds)
    })
}

fn scatter(
    area: &Area,
    board: &Leaderboard,
    what: &str,
    x: impl Fn(&Trial, &Rung) -> f64,
) -> Drawn<()> {
    let point = |trial: &Trial| {
        let rung = trial.last()?;
        Some((x(trial, &rung).max(1e-3), rung.accuracy(), trial.rungs.len(), trial.number))
    };
    let points: Vec<_> = board.trials.iter().filter_map(point).collect();
    let low = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.0).fold(1e-3, f64::max);
    if points.is_empty() {
        return Ok(());
    }
    let range = low / 1.6..high * 1.6;
    let ticks = log_ticks(&range, 300.0);
    let mut chart = ChartBuilder::on(area)
        .caption("accuracy on validation tracks", (FONT, CAPTION))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(46)
        .y_label_area_size(58)
        .build_cartesian_2d(range.log_scale().with_key_points(ticks), 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&tick_label)
        .x_desc(what)
        .y_label_formatter(&as_percent)
        .label_style((FONT, SMALL))
        .draw()?;
    chart.draw_series(points.iter().map(|(x, y, rungs, _)| {
        Circle::new((*x, *y), 2 + 2 * *rungs as i32, BLUE.stroke_width(2))
    }))?;
    let best = points.iter().filter(|point| Some(point.3) == board.winner);
    chart.draw_series(best.map(|(x, y, rungs, _)| {
        Circle::new((*x, *y), 2 + 2 * *rungs as i32, VERMILION.filled())
    }))?;
    Ok(())
}
