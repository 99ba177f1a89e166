//! Loss and accuracy over the epochs of a run.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::axes::as_percent;
use super::style::{Area, BLUE, CAPTION, Drawn, FONT, GREY, SMALL, VERMILION, svg};
use crate::error::Result;
use crate::metrics::Epoch;

/// Width and height in pixels: so low that three rows of two fit on a sheet of paper.
const SIZE: (u32, u32) = (480, 380);
const LEGEND: u32 = 26;

const TRAINING: RGBColor = VERMILION;
const VALIDATION: RGBColor = BLUE;

/// The learning curves of the run `name`: losses above, accuracy (or macro average precision) on
/// validation tracks below;
/// the stages of a training one after the other.
///
/// # Errors
/// [`Error::Drawing`](crate::Error::Drawing) if they cannot be drawn.
pub(crate) fn curves(name: &str, history: &[Epoch]) -> Result<String> {
    svg(&format!("the chart of {name}"), SIZE, |area| {
        let (legend, charts) = area.split_vertically(LEGEND);
        let (losses, accuracy) = charts.split_vertically((SIZE.1 - LEGEND) / 2);
        draw_legend(&legend)?;
        draw_losses(&losses, history)?;
        draw_accuracy(&accuracy, history)
    })
}

/// A line over the epochs of one stage.
type Line = Vec<(f64, f64)>;

/// Values over the epochs, a line for every stage; epochs are counted from one and through all
/// stages.
fn lines(history: &[Epoch], value: fn(&Epoch) -> Option<f64>) -> Vec<Line> {
    let mut first = 1;
    let stages = history.chunk_by(|a, b| a.stage == b.stage).map(|stage| {
        let place = first;
        first += stage.len();
        let at = |(n, epoch): (usize, &Epoch)| Some(((place + n) as f64, value(epoch)?));
        stage.iter().enumerate().filter_map(at).filter(|(_, y)| y.is_finite()).collect()
    });
    stages.filter(|line: &Line| !line.is_empty()).collect()
}

/// Where a stage begins, but for the first.
fn boundaries(history: &[Epoch]) -> Vec<f64> {
    let starts = history.windows(2).enumerate();
    starts.filter(|(_, two)| two[0].stage != two[1].stage).map(|(n, _)| n as f64 + 1.5).collect()
}

fn draw_losses(area: &Area, history: &[Epoch]) -> Drawn<()> {
    let training = lines(history, |epoch| Some(epoch.train_loss));
    let validation = lines(history, |epoch| epoch.validation_loss);
    let highest = training.iter().chain(&validation).flatten().map(|at| at.1).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("cross-entropy", (FONT, CAPTION))
        .margin(6)
        .margin_right(18)
        .x_label_area_size(26)
        .y_label_area_size(52)
        .build_cartesian_2d(epochs(history), 0.0..(highest * 1.05).max(1e-3))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(6)
        .x_label_formatter(&whole)
        .y_labels(6)
        .label_style((FONT, SMALL))
        .draw()?;
    let top = highest * 1.05;
    for x in boundaries(history) {
        chart.draw_series([PathElement::new([(x, 0.0), (x, top)], GREY.mix(0.5))])?;
    }
    for line in training {
        chart.draw_series(DashedLineSeries::new(line, 6, 4, TRAINING.stroke_width(2)))?;
    }
    for line in validation {
        chart.draw_series(LineSeries::new(line, VALIDATION.stroke_width(2)))?;
    }
    Ok(())
}

fn draw_legend(area: &Area) -> Drawn<()> {
    let y = LEGEND as i32 / 2;
    let dashed = TRAINING.stroke_width(2);
    area.draw(&DashedPathElement::new([(58, y), (92, y)], 6, 4, dashed))?;
    area.draw(&Text::new("training", (100, y - 8), (FONT, SMALL)))?;
    area.draw(&PathElement::new([(200, y), (234, y)], VALIDATION.stroke_width(2)))?;
    area.draw(&Text::new("validation", (242, y - 8), (FONT, SMALL)))?;
    Ok(())
}

fn draw_accuracy(area: &Area, history: &[Epoch]) -> Drawn<()> {
    let name = history.iter().find_map(Epoch::quality).map_or("accuracy", |(name, _)| name);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{name} on validation tracks"), (FONT, CAPTION))
        .margin(6)
        .margin_right(18)
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d(epochs(history), 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(6)
        .x_label_formatter(&whole)
        .x_desc("epoch")
        .y_labels(6)
        .y_label_formatter(&as_percent)
        .label_style((FONT, SMALL))
        .draw()?;
    for x in boundaries(history) {
        chart.draw_series([PathElement::new([(x, 0.0), (x, 1.0)], GREY.mix(0.5))])?;
    }
    for line in lines(history, |epoch| Some(epoch.quality()?.1)) {
        chart.draw_series(LineSeries::new(line, VALIDATION.stroke_width(2)))?;
    }
    Ok(())
}

/// The axis of epochs, which needs two ends even where there is one epoch.
fn epochs(history: &[Epoch]) -> std::ops::Range<f64> {
    1.0..(history.len() as f64).max(2.0)
}

/// The label of an epoch; none between two of them.
fn whole(epoch: &f64) -> String {
    if epoch.fract().abs() < 1e-6 { format!("{epoch:.0}") } else { String::new() }
}
