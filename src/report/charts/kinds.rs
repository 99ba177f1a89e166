//! How charts tell kinds of models apart.

use plotters::prelude::*;

use crate::charts::{self, Area, BLUE, Drawn, FONT, GREEN, Mark, SMALL, Shape, VERMILION};
use crate::run::Kind;

/// Height of a line of the [`legend`], in pixels.
pub(super) const LEGEND_LINE: i32 = 20;

pub(super) fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Baseline => VERMILION,
        Kind::Cnn => GREEN,
        Kind::FineTuned => BLUE,
    }
}

fn shape(kind: Kind) -> Shape {
    match kind {
        Kind::Baseline => Shape::Square,
        Kind::Cnn => Shape::Triangle,
        Kind::FineTuned => Shape::Circle,
    }
}

/// The mark of a kind of model.
pub(super) fn mark<DB: DrawingBackend, C>(at: C, kind: Kind) -> Mark<DB, C> {
    charts::mark(at, shape(kind), colour(kind), colour(kind))
}

/// The mark of a kind of model, hollow.
pub(super) fn hollow<DB: DrawingBackend, C>(at: C, kind: Kind) -> Mark<DB, C> {
    charts::mark(at, shape(kind), WHITE, colour(kind))
}

/// Marks with what they stand for, one below the other; `at` is the middle of the first.
pub(super) fn legend(area: &Area, at: (i32, i32), kinds: &[Kind]) -> Drawn<()> {
    for (line, kind) in kinds.iter().enumerate() {
        let (x, y) = (at.0, at.1 + LEGEND_LINE * line as i32);
        area.draw(&mark((x, y), *kind))?;
        area.draw(&Text::new(kind.name(), (x + 14, y - 8), (FONT, SMALL)))?;
    }
    Ok(())
}

/// Kinds that occur, in the order of the report.
pub(super) fn occurring(kinds: impl Iterator<Item = Kind> + Clone) -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| kinds.clone().any(|other| other == *kind)).collect()
}
