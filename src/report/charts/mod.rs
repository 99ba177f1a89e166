//! The report's charts, as SVG; the learning curves are in [`crate::charts`].

mod confusion;
mod intervals;
mod kinds;
mod labels;
mod reliability;
mod scatter;
mod tags;

pub(super) use confusion::confusion;
pub(super) use intervals::{Estimate, intervals};
pub(super) use reliability::reliability;
pub(super) use scatter::{Axis, Point, Scatter};
pub(super) use tags::{TagRow, tags};
