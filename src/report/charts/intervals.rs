//! Every model's accuracy with its interval, one line each.

use plotters::prelude::*;

use super::kinds::{LEGEND_LINE, colour, legend, mark, occurring};
use crate::charts::{Area, Drawn, FONT, GREY, SMALL, as_percent, share_range, svg};
use crate::error::Result;
use crate::run::Kind;

/// As wide as the other charts, so that letters are of one size and a phone shows them all;
/// a name stands above its line, since beside it a long one would leave no room.
const WIDTH: u32 = 480;
const LINE: u32 = 38;
const AXIS: u32 = 52;
/// Room for half a label of the axis on either side.
const SIDE: u32 = 24;

/// A model's accuracy, a line of the chart.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    /// What the model is called.
    pub(crate) title: String,
    /// Its kind.
    pub(crate) kind: Kind,
    /// The share of tracks given the right genre.
    pub(crate) accuracy: f64,
    /// Its 95 % interval.
    pub(crate) interval: [f64; 2],
}

/// Accuracies with 95 % intervals, from top to bottom as given.
///
/// # Errors
/// [`Error::Drawing`](crate::error::Error::Drawing) if it cannot be drawn.
pub(crate) fn intervals(rows: &[Estimate]) -> Result<String> {
    let height = legend_height(rows) + AXIS + LINE * rows.len() as u32 + 6;
    svg("the chart of accuracies", (WIDTH, height), |area| draw(area, rows))
}

fn kinds(rows: &[Estimate]) -> Vec<Kind> {
    occurring(rows.iter().map(|row| row.kind))
}

fn legend_height(rows: &[Estimate]) -> u32 {
    10 + LEGEND_LINE as u32 * kinds(rows).len() as u32
}

fn draw(area: &Area, rows: &[Estimate]) -> Drawn<()> {
    let (top, body) = area.split_vertically(legend_height(rows));
    legend(&top, (20, 16), &kinds(rows))?;
    let count = rows.len() as f64;
    let range = share_range(rows.iter().flat_map(|row| row.interval));
    let mut chart = ChartBuilder::on(&body)
        .margin_left(SIDE)
        .margin_right(SIDE)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(range.clone(), 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .light_line_style(WHITE)
        .x_labels(8)
        .x_label_formatter(&as_percent)
        .x_desc("accuracy on test tracks, with 95 % interval")
        .label_style((FONT, SMALL))
        .draw()?;
    let (_, above) = body.get_base_pixel();
    for (place, Estimate { title, kind, accuracy, interval: [low, high] }) in
        rows.iter().enumerate()
    {
        let row = count - place as f64;
        let (_, height) = chart.backend_coord(&(range.start, row));
        let at = (SIDE as i32 + 4, height - above + 4);
        body.draw(&Text::new(title.as_str(), at, (FONT, SMALL)))?;
        let y = row - 0.7;
        let line = colour(*kind).stroke_width(2);
        chart.draw_series([PathElement::new([(*low, y), (*high, y)], line)])?;
        for end in [*low, *high] {
            let cap = EmptyElement::at((end, y)) + PathElement::new([(0, -5), (0, 5)], line);
            chart.draw_series([cap])?;
        }
        chart.draw_series([mark((*accuracy, y), *kind)])?;
        if place > 0 {
            let rule = [(range.start, row), (range.end, row)];
            chart.draw_series([PathElement::new(rule, GREY.mix(0.3))])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_axis_have_room_however_wide_the_range() {
        for [low, high] in [[0.33, 0.67], [0.01, 0.98], [0.31, 0.89], [0.93, 0.98], [1.0, 1.0]] {
            let row = Estimate {
                title: "a".to_owned(),
                kind: Kind::Cnn,
                accuracy: (low + high) / 2.0,
                interval: [low, high],
            };
            let svg = intervals(&[row]).unwrap();
            // Letters are 13 pixels high, and `100 %` about 40 wide.
            let labels = svg.matches(" %\n").count();
            assert!((3..=8).contains(&labels), "{low} to {high}: {labels} labels");
        }
    }
}
