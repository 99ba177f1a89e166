//! Letters, colours, axes and marks of all charts.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::element::ComposedElement;
use plotters::prelude::*;

use crate::error::{Cause, Error, Result};

/// A sheet, or a part of one.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The result of drawing; [`svg`] makes an [`Error::Drawing`] of its cause.
pub(crate) type Drawn<T> = Result<T, Cause>;

/// A filled outline, in pixels around a point of the chart.
pub(crate) type Mark<DB, C> = ComposedElement<C, DB, Polygon<(i32, i32)>, PathElement<(i32, i32)>>;

pub(crate) const FONT: &str = "sans-serif";
/// Sizes of letters; plotters' SVG makes them a fifth smaller.
pub(crate) const SMALL: i32 = 16;
pub(crate) const CAPTION: i32 = 18;

pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(crate) const GREY: RGBColor = RGBColor(110, 110, 110);

/// What `draw` draws on a white sheet of this size in pixels, as SVG. `chart` is what it is
/// called if it cannot be drawn: `the chart of my-run`.
///
/// # Errors
/// [`Error::Drawing`] if `draw` fails.
pub(crate) fn svg(
    chart: &str,
    size: (u32, u32),
    draw: impl FnOnce(&Area) -> Drawn<()>,
) -> Result<String> {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let filled = area.fill(&WHITE).map_err(Into::into);
        filled.and_then(|()| draw(&area)).and_then(|()| area.present().map_err(Into::into))
    };
    drawn.map_err(|e| Error::drawing(format!("{chart} cannot be drawn"), e))?;
    Ok(text)
}

/// A share between 0 and 1 as a label of an axis: `83 %`.
pub(crate) fn as_percent(share: &f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Ticks of a logarithmic axis: 1, 2, 5, 10, 20, 50 and so on within the range; only powers
/// of ten where its ends are more than `dense` times apart.
pub(crate) fn log_ticks(range: &Range<f64>, dense: f64) -> Vec<f64> {
    let decades = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let steps: &[i32] = if range.end / range.start > dense { &[1] } else { &[1, 2, 5] };
    let values = decades.flat_map(|decade| {
        // Parsed, because 10^-3 times 2 is not what 0.002 reads as.
        steps.iter().filter_map(move |step| format!("{step}e{decade}").parse::<f64>().ok())
    });
    values.filter(|value| range.contains(value)).collect()
}

/// Corners of a regular polygon, in pixels around its middle; `start` in turns.
pub(crate) fn polygon(corners: i32, radius: f64, start: f64) -> Vec<(i32, i32)> {
    let corner = |i: i32| {
        let angle = std::f64::consts::TAU * (start + f64::from(i) / f64::from(corners));
        ((radius * angle.cos()).round() as i32, (radius * angle.sin()).round() as i32)
    };
    (0..corners).map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(log_ticks(&(0.0015..0.03), 300.0), [0.002, 0.005, 0.01, 0.02]);
        assert_eq!(log_ticks(&(0.5..6_000.0), 300.0), [1.0, 10.0, 100.0, 1000.0]);
        let wide = log_ticks(&(0.0015..0.3), 1e4);
        assert_eq!(wide, [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]);
        assert_eq!(log_ticks(&(0.5..60_000.0), 1e4), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
    }
}
