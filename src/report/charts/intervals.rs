//! Every model's accuracy with its interval, one line each.

use plotters::prelude::*;

use super::{Area, LEGEND_LINE, svg};
use super::{Drawn, FONT, GREY, SMALL, as_percent, colour, legend, mark, occurring, share_range};
use crate::error::Result;
use crate::run::Kind;

/// As wide as the other charts, so that letters are of one size and a phone shows them all;
/// a name stands above its line, since beside it a long one would leave no room.
const WIDTH: u32 = 480;
const LINE: u32 = 38;
const AXIS: u32 = 52;
/// Room for half a label of the axis on either side.
const SIDE: u32 = 24;

/// Accuracies with 95 % intervals, from top to bottom as given: `(name, kind, accuracy,
/// interval)`.
///
/// # Errors
/// [`Error::Drawing`](crate::Error::Drawing) if it cannot be drawn.
pub fn intervals(rows: &[(String, Kind, f64, [f64; 2])]) -> Result<String> {
    let height = legend_height(rows) + AXIS + LINE * rows.len() as u32 + 6;
    svg("the chart of accuracies", (WIDTH, height), |area| draw(area, rows))
}

fn legend_height(rows: &[(String, Kind, f64, [f64; 2])]) -> u32 {
    10 + LEGEND_LINE as u32 * occurring(rows.iter().map(|row| row.1)).len() as u32
}

fn draw(area: &Area, rows: &[(String, Kind, f64, [f64; 2])]) -> Drawn<()> {
    let (top, body) = area.split_vertically(legend_height(rows));
    legend(&top, (20, 16), &occurring(rows.iter().map(|row| row.1)))?;
    let count = rows.len() as f64;
    let range = share_range(rows.iter().flat_map(|row| row.3));
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
    for (place, (name, kind, accuracy, [low, high])) in rows.iter().enumerate() {
        let row = count - place as f64;
        let (_, height) = chart.backend_coord(&(range.start, row));
        let at = (SIDE as i32 + 4, height - above + 4);
        body.draw(&Text::new(name.as_str(), at, (FONT, SMALL)))?;
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
            let rows = [("a".to_owned(), Kind::Cnn, (low + high) / 2.0, [low, high])];
            let svg = intervals(&rows).unwrap();
            // Letters are 13 pixels high, and `100 %` about 40 wide.
            let labels = svg.matches(" %\n").count();
            assert!((3..=8).contains(&labels), "{low} to {high}: {labels} labels");
        }
    }
}
