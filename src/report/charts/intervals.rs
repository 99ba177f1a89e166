//! Every model's accuracy with its interval, one line each.

use plotters::prelude::*;

use super::{Area, LEGEND_LINE, svg};
use super::{Drawn, FONT, GREY, SMALL, as_percent, colour, legend, mark, occurring, share_range};
use crate::Result;
use crate::report::Kind;

const WIDTH: u32 = 560;
const LINE: u32 = 25;
const AXIS: u32 = 52;

/// Accuracies with 95 % intervals, from top to bottom as given: `(name, kind, accuracy,
/// interval)`.
///
/// # Errors
/// [`crate::Error::Data`] if it cannot be drawn.
pub fn intervals(rows: &[(String, Kind, f64, [f64; 2])]) -> Result<String> {
    let height = legend_height(rows) + AXIS + LINE * rows.len() as u32 + 6;
    svg("accuracies", (WIDTH, height), |area| draw(area, rows))
}

fn legend_height(rows: &[(String, Kind, f64, [f64; 2])]) -> u32 {
    10 + LEGEND_LINE as u32 * occurring(rows.iter().map(|row| row.1)).len() as u32
}

fn draw(area: &Area, rows: &[(String, Kind, f64, [f64; 2])]) -> Drawn<()> {
    let (top, body) = area.split_vertically(legend_height(rows));
    legend(&top, (20, 16), &occurring(rows.iter().map(|row| row.1)))?;
    let longest = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
    let names = (longest as u32 * 7 + 16).clamp(60, WIDTH / 2);
    let count = rows.len() as f64;
    let range = share_range(rows.iter().flat_map(|row| row.3));
    let mut chart = ChartBuilder::on(&body)
        .margin_right(24)
        .x_label_area_size(AXIS)
        .y_label_area_size(names)
        .build_cartesian_2d(range.clone(), 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .light_line_style(WHITE)
        .x_label_formatter(&as_percent)
        .x_desc("accuracy on test tracks, with 95 % interval")
        .label_style((FONT, SMALL))
        .draw()?;
    for (place, (name, kind, accuracy, [low, high])) in rows.iter().enumerate() {
        let y = count - 0.5 - place as f64;
        let (left, height) = chart.backend_coord(&(range.start, y));
        let style =
            (FONT, SMALL).into_text_style(&body).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Right,
                plotters::style::text_anchor::VPos::Center,
            ));
        let (_, above) = body.get_base_pixel();
        body.draw(&Text::new(name.as_str(), (left - 10, height - above), style))?;
        let line = colour(*kind).stroke_width(2);
        chart.draw_series([PathElement::new([(*low, y), (*high, y)], line)])?;
        for end in [*low, *high] {
            let cap = EmptyElement::at((end, y)) + PathElement::new([(0, -5), (0, 5)], line);
            chart.draw_series([cap])?;
        }
        chart.draw_series([mark((*accuracy, y), *kind)])?;
        if place > 0 {
            let rule = [(range.start, count - place as f64), (range.end, count - place as f64)];
            chart.draw_series([PathElement::new(rule, GREY.mix(0.15))])?;
        }
    }
    Ok(())
}
