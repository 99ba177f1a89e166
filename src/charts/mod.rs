//! How charts look, and the one chart that a training and the report both draw.
//!
//! Colours are Okabe and Ito's, which colour-blind readers tell apart; shape or dash says
//! the same once more, so that every chart can be read in black and white.

mod axes;
mod curves;
mod marks;
mod style;

pub(crate) use axes::{as_percent, log_ticks, share_range, tick_label};
pub(crate) use curves::curves;
pub(crate) use marks::{Mark, Shape, mark};
#[cfg(feature = "train")]
pub(crate) use style::CAPTION;
pub(crate) use style::{
    Area, BLUE, DARK_BLUE, Drawn, FONT, GREEN, GREY, LIGHT_GREY, SMALL, VERMILION, svg,
};
