//! How charts look, and the one chart that a training and the report both draw.
//!
//! Colours are Okabe and Ito's, which colour-blind readers tell apart; shape or dash says
//! the same once more, so that every chart can be read in black and white.

mod curves;
mod style;

pub(crate) use curves::curves;
#[cfg(feature = "train")]
pub(crate) use style::CAPTION;
pub(crate) use style::{
    Area, BLUE, Drawn, FONT, GREEN, GREY, Mark, SMALL, VERMILION, as_percent, log_ticks, polygon,
    svg,
};
