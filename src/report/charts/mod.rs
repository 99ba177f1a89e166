//! The report's charts, as SVG; the learning curves are in [`crate::charts`].

mod confusion;
mod intervals;
mod scatter;

use std::ops::Range;

use plotters::prelude::*;

pub use confusion::confusion;
pub use intervals::intervals;
pub use scatter::{Axis, Point, Scatter};

use crate::charts::{
    Area, BLUE, Drawn, FONT, GREEN, GREY, Mark, SMALL, VERMILION, as_percent, log_ticks, polygon,
    svg,
};
use crate::run::Kind;

const LEGEND_LINE: i32 = 20;

fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Baseline => VERMILION,
        Kind::Cnn => GREEN,
        Kind::FineTuned => BLUE,
    }
}

/// The mark of a kind of model: square, triangle or circle.
fn mark<DB: DrawingBackend, C: Clone>(at: C, kind: Kind) -> Mark<DB, C> {
    shape(at, kind, colour(kind))
}

/// The mark of a kind of model, hollow.
fn hollow<DB: DrawingBackend, C: Clone>(at: C, kind: Kind) -> Mark<DB, C> {
    shape(at, kind, WHITE)
}

fn shape<DB: DrawingBackend, C: Clone>(at: C, kind: Kind, fill: RGBColor) -> Mark<DB, C> {
    let corners = match kind {
        Kind::Baseline => polygon(4, 7.0, 0.125),
        Kind::Cnn => polygon(3, 7.5, 0.75),
        Kind::FineTuned => polygon(24, 5.5, 0.0),
    };
    let edge = [&corners[..], &corners[..1]].concat();
    let edge = PathElement::new(edge, colour(kind).stroke_width(2));
    EmptyElement::at(at) + Polygon::new(corners, fill) + edge
}

/// A line of marks with what they stand for, from `at` to the right and down.
fn legend(area: &Area, at: (i32, i32), kinds: &[Kind]) -> Drawn<()> {
    for (line, kind) in kinds.iter().enumerate() {
        let (x, y) = (at.0, at.1 + LEGEND_LINE * line as i32);
        area.draw(&mark((x, y), *kind))?;
        area.draw(&Text::new(kind.name(), (x + 14, y - 8), (FONT, SMALL)))?;
    }
    Ok(())
}

/// Kinds that occur, in the order of the report.
fn occurring(kinds: impl Iterator<Item = Kind> + Clone) -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| kinds.clone().any(|other| other == *kind)).collect()
}

/// A range of shares around `values` with some air, on tenths, within 0 and 1.
fn share_range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let low = values.clone().fold(1.0, f64::min);
    let high = values.fold(0.0, f64::max);
    let low = ((low - 0.02) * 10.0).floor().clamp(0.0, 9.0) / 10.0;
    let high = ((high + 0.02) * 10.0).ceil().clamp(low * 10.0 + 1.0, 10.0) / 10.0;
    low..high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_round() {
        assert_eq!(share_range([0.71, 0.83].into_iter()), 0.6..0.9);
        assert_eq!(share_range([0.0, 1.0].into_iter()), 0.0..1.0);
        assert_eq!(share_range([1.0].into_iter()), 0.9..1.0);
    }
}
