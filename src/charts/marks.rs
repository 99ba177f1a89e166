//! Marks of points, which shape tells apart where colour does not.

use plotters::element::ComposedElement;
use plotters::prelude::*;

/// A filled outline, in pixels around a point of the chart.
pub(crate) type Mark<DB, C> = ComposedElement<C, DB, Polygon<(i32, i32)>, PathElement<(i32, i32)>>;

/// The shapes of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Standing on a side.
    Square,
    /// Standing on a side.
    Triangle,
    Circle,
}

impl Shape {
    /// The corners, in pixels around the middle. The radii differ so that no shape looks larger
    /// than another.
    fn corners(self) -> Vec<(i32, i32)> {
        match self {
            Self::Square => polygon(4, 7.0, 0.125),
            Self::Triangle => polygon(3, 7.5, 0.75),
            Self::Circle => polygon(24, 5.5, 0.0),
        }
    }
}

/// A mark at a point of the chart, filled with `fill` inside a line of `colour`.
pub(crate) fn mark<DB: DrawingBackend, C>(
    at: C,
    shape: Shape,
    fill: RGBColor,
    colour: RGBColor,
) -> Mark<DB, C> {
    let corners = shape.corners();
    let outline = [&corners[..], &corners[..1]].concat();
    let line = PathElement::new(outline, colour.stroke_width(2));
    EmptyElement::at(at) + Polygon::new(corners, fill) + line
}

/// Corners of a regular polygon, in pixels around its middle; `start` in turns.
fn polygon(corners: i32, radius: f64, start: f64) -> Vec<(i32, i32)> {
    let corner = |i: i32| {
        let angle = std::f64::consts::TAU * (start + f64::from(i) / f64::from(corners));
        ((radius * angle.cos()).round() as i32, (radius * angle.sin()).round() as i32)
    };
    (0..corners).map(corner).collect()
}
