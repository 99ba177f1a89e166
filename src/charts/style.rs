//! Letters, colours and the sheet of all charts.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::error::{Cause, Error, Result};

/// A sheet, or a part of one.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The result of drawing; [`svg`] makes an [`Error::Drawing`] of its cause.
pub(crate) type Drawn<T> = Result<T, Cause>;

pub(crate) const FONT: &str = "sans-serif";
/// Sizes of letters; plotters' SVG makes them a fifth smaller.
pub(crate) const SMALL: i32 = 16;
pub(crate) const CAPTION: i32 = 18;

pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(crate) const GREY: RGBColor = RGBColor(110, 110, 110);
pub(crate) const LIGHT_GREY: RGBColor = RGBColor(205, 205, 205);
/// The dark end of a scale that begins with white.
pub(crate) const DARK_BLUE: RGBColor = RGBColor(0, 76, 120);

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
