//! What charts have in common, and the one chart that a training and the report both draw.
//!
//! Colours are Okabe and Ito's, which colour-blind readers tell apart; shape or dash says
//! the same once more, so that every chart can be read in black and white.

mod curves;

use plotters::coord::Shift;
use plotters::prelude::*;

pub use curves::curves;

use crate::error::{Error, Result};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) const FONT: &str = "sans-serif";
/// Sizes of letters; plotters' SVG makes them a fifth smaller.
pub(crate) const SMALL: i32 = 16;
pub(crate) const CAPTION: i32 = 18;

pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(crate) const GREY: RGBColor = RGBColor(110, 110, 110);

/// What `draw` draws on a white sheet of this size in pixels, as SVG.
pub(crate) fn svg(
    name: &str,
    size: (u32, u32),
    draw: impl FnOnce(&Area) -> Drawn<()>,
) -> Result<String> {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let filled = area.fill(&WHITE).map_err(Into::into);
        filled.and_then(|()| draw(&area)).and_then(|()| area.present().map_err(Into::into))
    };
    drawn.map_err(|e| Error::Data(format!("the chart of {name} cannot be drawn: {e}")))?;
    Ok(text)
}

pub(crate) fn as_percent(share: &f64) -> String {
    format!("{:.0} %", share * 100.0)
}
