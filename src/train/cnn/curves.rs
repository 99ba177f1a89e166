//! Loss and accuracy over the epochs, drawn while a network learns.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::search::{Leaderboard, Rung, Trial};
use crate::train::fit::Epoch;
use crate::{Error, Result};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Name, colour and points of a curve.
type Line<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

/// Okabe and Ito's blue and vermilion, which colour-blind readers tell apart; the dashes
/// do the same in black and white.
const TRAINING: RGBColor = RGBColor(0, 114, 178);
const VALIDATION: RGBColor = RGBColor(213, 94, 0);

/// The curves of all `epochs`, one after another where there are several stages, as SVG.
///
/// # Errors
/// [`Error::Data`] if plotters cannot draw them.
pub(super) fn draw(epochs: &[Epoch]) -> Result<String> {
    let mut svg = String::new();
    draw_into(epochs, &mut svg).map_err(|e| Error::Data(format!("curves.svg: {e}")))?;
    Ok(svg)
}

fn draw_into(epochs: &[Epoch], svg: &mut String) -> Drawn<()> {
    let area = SVGBackend::with_string(svg, (860, 330)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(430);
    let at = |value: fn(&Epoch) -> Option<f64>| -> Vec<(f64, f64)> {
        let one = |(n, epoch): (usize, &Epoch)| Some((n as f64 + 1.0, value(epoch)?));
        epochs.iter().enumerate().filter_map(one).collect()
    };
    let training = at(|epoch| Some(epoch.train_loss));
    panel(
        &left,
        "cross-entropy",
        &[
            ("training", TRAINING, training),
            ("validation", VALIDATION, at(|epoch| epoch.validation_loss)),
        ],
    )?;
    let accuracy = at(|epoch| epoch.validation_accuracy);
    panel(&right, "accuracy on validation tracks", &[("validation", VALIDATION, accuracy)])?;
    area.present()?;
    Ok(())
}

/// Accuracy of a search's trials against their parameters and their training time, as SVG;
/// the further a trial came, the larger its mark.
///
/// # Errors
/// [`Error::Data`] if plotters cannot draw it.
pub(super) fn leaderboard(board: &Leaderboard) -> Result<String> {
    let mut svg = String::new();
    draw_leaderboard(board, &mut svg).map_err(|e| Error::Data(format!("search.svg: {e}")))?;
    Ok(svg)
}

fn draw_leaderboard(board: &Leaderboard, svg: &mut String) -> Drawn<()> {
    let area = SVGBackend::with_string(svg, (860, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(430);
    let parameters = |trial: &Trial, _: &Rung| trial.parameters as f64 / 1000.0;
    scatter(&left, board, "thousand parameters (log scale)", parameters)?;
    // By the epoch, since the trials that came further were trained longer.
    let seconds = |_: &Trial, rung: &Rung| rung.seconds / rung.epochs as f64;
    scatter(&right, board, "seconds an epoch (log scale)", seconds)?;
    area.present()?;
    Ok(())
}

fn scatter(
    area: &Area,
    board: &Leaderboard,
    what: &str,
    x: impl Fn(&Trial, &Rung) -> f64,
) -> Drawn<()> {
    let point = |trial: &Trial| {
        let rung = *trial.last()?;
        Some((x(trial, &rung).max(1e-3), rung.validation.accuracy, trial.rungs.len(), trial.number))
    };
    let points: Vec<_> = board.trials.iter().filter_map(point).collect();
    let low = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.0).fold(1e-3, f64::max);
    if points.is_empty() {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .caption("accuracy on validation tracks", ("sans-serif", 16))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((low / 1.3..high * 1.3).log_scale(), 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(what)
        .label_style(("sans-serif", 13))
        .draw()?;
    chart.draw_series(points.iter().map(|(x, y, rungs, _)| {
        Circle::new((*x, *y), 2 + 2 * *rungs as i32, TRAINING.stroke_width(2))
    }))?;
    let best = points.iter().filter(|point| Some(point.3) == board.winner);
    chart.draw_series(best.map(|(x, y, rungs, _)| {
        Circle::new((*x, *y), 2 + 2 * *rungs as i32, VALIDATION.filled())
    }))?;
    Ok(())
}

fn panel(area: &Area, title: &str, lines: &[Line]) -> Drawn<()> {
    let points = || lines.iter().flat_map(|(_, _, points)| points);
    let last = points().map(|(x, _)| *x).fold(2.0, f64::max);
    let highest = points().map(|(_, y)| *y).filter(|y| y.is_finite()).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(1.0..last, 0.0..(highest * 1.05).max(1e-3))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("epoch")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (name, colour, points) in lines {
        let style = colour.stroke_width(2);
        let drawn = match *name {
            "training" => {
                chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, style))?
            }
            _ => chart.draw_series(LineSeries::new(points.iter().copied(), style))?,
        };
        let colour = *colour;
        drawn
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    if lines.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .border_style(BLACK.mix(0.3))
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 13))
            .draw()?;
    }
    Ok(())
}
