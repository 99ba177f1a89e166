//! Accuracy against what it costs, with the line of models that no other beats in both.

use std::ops::Range;

use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::kinds::{LEGEND_LINE, hollow, legend, mark, occurring};
use super::labels::{Place, free_place};
use crate::charts::{
    Area, Drawn, FONT, GREY, SMALL, as_percent, log_ticks, share_range, svg, tick_label,
};
use crate::error::Result;
use crate::run::Kind;

const SIZE: (u32, u32) = (480, 400);

/// A model in the chart.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// Its number in the table.
    pub(crate) label: String,
    /// Its kind.
    pub(crate) kind: Kind,
    /// What it costs, above 0.
    pub(crate) cost: f64,
    /// What it can do, from 0 to 1.
    pub(crate) accuracy: f64,
    /// Drawn hollow: not trained to the end.
    pub(crate) is_partial: bool,
}

/// What the axes say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Name and unit of the cost.
    pub(crate) cost: &'static str,
    /// What the accuracy was measured on.
    pub(crate) accuracy: &'static str,
}

/// A chart of accuracy against a cost on a logarithmic scale.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    /// What the axes say.
    pub(crate) axis: Axis,
    /// The models.
    pub(crate) points: Vec<Point>,
}

impl Scatter {
    /// The labels of the points that no other beats in cost and accuracy, the cheapest first.
    pub(crate) fn front_labels(&self) -> Vec<String> {
        self.front().iter().map(|point| point.label.clone()).collect()
    }

    fn front(&self) -> Vec<&Point> {
        let mut points: Vec<&Point> = self.points.iter().collect();
        points.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(b.accuracy.total_cmp(&a.accuracy)));
        let mut front: Vec<&Point> = vec![];
        for point in points {
            if front.last().is_none_or(|last| point.accuracy > last.accuracy) {
                front.push(point);
            }
        }
        front
    }

    /// The chart as SVG.
    ///
    /// # Errors
    /// [`Error::Drawing`](crate::error::Error::Drawing) if it cannot be drawn.
    pub(crate) fn draw(&self) -> Result<String> {
        svg(&format!("the chart of {}", self.axis.cost), SIZE, |area| self.draw_on(area))
    }

    fn draw_on(&self, area: &Area) -> Drawn<()> {
        let kinds = occurring(self.points.iter().map(|point| point.kind));
        let (top, body) = area.split_vertically(LEGEND_LINE as u32 * kinds.len() as u32 + 14);
        legend(&top, (20, 16), &kinds)?;
        let costs = self.cost_range();
        let shares = share_range(self.points.iter().map(|point| point.accuracy));
        let ticks = log_ticks(&costs, 300.0);
        let mut chart = ChartBuilder::on(&body)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(48)
            .y_label_area_size(74)
            .build_cartesian_2d(costs.clone().log_scale().with_key_points(ticks), shares.clone())?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_label_formatter(&tick_label)
            .x_desc(format!("{}, log scale", self.axis.cost))
            .y_labels(8)
            .y_label_formatter(&as_percent)
            .y_desc(self.axis.accuracy)
            .label_style((FONT, SMALL))
            .draw()?;
        let steps = steps(&self.front(), costs.end);
        chart.draw_series(DashedLineSeries::new(steps, 5, 4, GREY.stroke_width(1)))?;
        let mut taken = Vec::new();
        for point in &self.points {
            let at = (point.cost, point.accuracy);
            let mark = if point.is_partial { hollow } else { mark };
            chart.draw_series([mark(at, point.kind)])?;
            taken.push(Place::around(chart.backend_coord(&at), (14, 14)));
        }
        let marks = taken.iter().map(Place::middle).collect::<Vec<_>>();
        self.draw_labels(&body, &marks, taken)
    }

    /// The points' labels beside their marks, which stand at `marks`, and clear of what is
    /// `taken`.
    fn draw_labels(&self, body: &Area, marks: &[(i32, i32)], mut taken: Vec<Place>) -> Drawn<()> {
        let (left, above) = body.get_base_pixel();
        let (width, height) = body.dim_in_pixel();
        let sheet = Place { from: (left, above), to: (left + width as i32, above + height as i32) };
        for (point, at) in self.points.iter().zip(marks) {
            let place = free_place(*at, &point.label, &taken, &sheet);
            taken.push(place);
            let middle = place.middle();
            let pos = Pos::new(HPos::Center, VPos::Center);
            let style = (FONT, SMALL).into_text_style(body).pos(pos);
            let at = (middle.0 - left, middle.1 - above);
            body.draw(&Text::new(point.label.as_str(), at, style))?;
        }
        Ok(())
    }

    fn cost_range(&self) -> Range<f64> {
        let costs = || self.points.iter().map(|point| point.cost);
        let (low, high) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
        if low > high { 1.0..10.0 } else { low / 1.8..high * 1.8 }
    }
}

/// The front as a staircase: at each cost, the best accuracy that can be had for it.
fn steps(front: &[&Point], end: f64) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = vec![];
    for point in front {
        if let Some(&(_, accuracy)) = steps.last() {
            steps.push((point.cost, accuracy));
        }
        steps.push((point.cost, point.accuracy));
    }
    steps.extend(front.last().map(|point| (end, point.accuracy)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scatter(points: &[(f64, f64)]) -> Scatter {
        let point = |(n, (cost, accuracy)): (usize, &(f64, f64))| Point {
            label: n.to_string(),
            kind: Kind::ALL[n % 3],
            cost: *cost,
            accuracy: *accuracy,
            is_partial: n % 2 == 1,
        };
        Scatter {
            axis: Axis { cost: "size (MB)", accuracy: "accuracy" },
            points: points.iter().enumerate().map(point).collect(),
        }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let chart = scatter(&[(1.0, 0.5), (2.0, 0.4), (2.0, 0.7), (3.0, 0.7), (4.0, 0.9)]);
        assert_eq!(chart.front_labels(), ["0", "2", "4"]);
        let svg = chart.draw().unwrap();
        assert!(svg.contains("size (MB), log scale"), "{svg}");
    }

    #[test]
    fn equal_and_single_points_can_be_drawn() {
        for points in [&[(1.0, 0.5)][..], &[(1.0, 1.0); 12], &[(1e-4, 0.0), (1e6, 1.0)]] {
            assert!(scatter(points).draw().unwrap().contains("</svg>"));
        }
    }
}
