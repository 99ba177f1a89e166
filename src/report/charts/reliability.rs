//! Whether probabilities mean what they say.

use plotters::prelude::*;

use crate::charts::{Area, BLUE as AFTER, Drawn, FONT, GREY, SMALL, as_percent, svg};
use crate::error::Result;
use crate::metrics::Reliability;
use crate::run::CalibrationMetrics;

const SIZE: (u32, u32) = (320, 320);

/// The share of right answers against their confidence, before and after the calibration; a mark is
/// as large as the share of answers that it stands for.
///
/// # Errors
/// [`Error::Drawing`](crate::error::Error::Drawing) if it cannot be drawn.
pub(crate) fn reliability(metrics: &CalibrationMetrics) -> Result<String> {
    svg("the chart of reliability", SIZE, |area| draw(area, metrics))
}

fn draw(area: &Area, metrics: &CalibrationMetrics) -> Drawn<()> {
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(24)
        .x_label_area_size(48)
        .y_label_area_size(74)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&as_percent)
        .y_label_formatter(&as_percent)
        .x_desc("confidence")
        .y_desc("right")
        .label_style((FONT, SMALL))
        .draw()?;
    let honest = [(0.0, 0.0), (1.0, 1.0)];
    chart.draw_series(DashedLineSeries::new(honest, 5, 4, GREY.stroke_width(1)))?;
    for (at, size) in marks(&metrics.before) {
        let sign = TriangleMarker::new(at, size, GREY.stroke_width(2));
        chart.draw_series([sign])?;
    }
    for (at, size) in marks(&metrics.after) {
        chart.draw_series([Circle::new(at, size, AFTER.filled())])?;
    }
    Ok(())
}

/// Places and sizes of the bins that have answers.
fn marks(reliability: &Reliability) -> Vec<((f64, f64), i32)> {
    let total: usize = reliability.bins.iter().map(|bin| bin.count).sum();
    let bins = reliability.bins.iter().filter(|bin| bin.count > 0);
    let size = |count: usize| 3 + (9.0 * (count as f64 / total.max(1) as f64).sqrt()) as i32;
    bins.map(|bin| ((bin.confidence, bin.accuracy), size(bin.count))).collect()
}
