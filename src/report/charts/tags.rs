//! How well a model ranks the tracks of each label, one line each.

use plotters::prelude::*;

use crate::charts::{Area, BLUE, Drawn, FONT, GREY, SMALL, Shape, VERMILION, mark, svg};
use crate::error::Result;

const WIDTH: u32 = 480;
const LINE: u32 = 22;
const AXIS: u32 = 52;
const LEGEND: u32 = 66;
/// Room for the labels' names.
const NAMES: u32 = 170;
/// Letters that have room there.
const LETTERS: usize = 22;

/// A label, a line of the chart.
#[derive(Clone, Debug)]
pub(crate) struct TagRow {
    /// Its name.
    pub(crate) name: String,
    /// The share of tracks that have it: the average precision of chance.
    pub(crate) share: f64,
    /// Average precision, where some track has it.
    pub(crate) average_precision: Option<f64>,
    /// Area under the ROC curve, where some track has it and some has not.
    pub(crate) roc_auc: Option<f64>,
}

/// Average precision and ROC-AUC of labels, from top to bottom as given.
///
/// # Errors
/// [`Error::Drawing`](crate::error::Error::Drawing) if it cannot be drawn.
pub(crate) fn tags(rows: &[TagRow]) -> Result<String> {
    let height = LEGEND + AXIS + LINE * rows.len() as u32 + 6;
    svg("the chart of labels", (WIDTH, height), |area| draw(area, rows))
}

fn draw(area: &Area, rows: &[TagRow]) -> Drawn<()> {
    let (legend, body) = area.split_vertically(LEGEND);
    for (line, text) in
        ["average precision", "ROC-AUC", "average precision of chance"].into_iter().enumerate()
    {
        let y = 14 + 20 * line as i32;
        match line {
            0 => legend.draw(&mark((20, y), Shape::Circle, BLUE, BLUE))?,
            1 => legend.draw(&mark((20, y), Shape::Square, WHITE, VERMILION))?,
            _ => {
                legend.draw(&PathElement::new([(20, y - 6), (20, y + 6)], GREY.stroke_width(3)))?
            }
        }
        legend.draw(&Text::new(text, (34, y - 8), (FONT, SMALL)))?;
    }
    let count = rows.len() as f64;
    let mut chart = ChartBuilder::on(&body)
        .margin_left(NAMES)
        .margin_right(24)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(0.0..1.0, 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .light_line_style(WHITE)
        .x_labels(6)
        .x_desc("on test tracks")
        .label_style((FONT, SMALL))
        .draw()?;
    let (_, above) = body.get_base_pixel();
    for (place, row) in rows.iter().enumerate() {
        let y = count - place as f64 - 0.5;
        let (_, height) = chart.backend_coord(&(0.0, y));
        body.draw(&Text::new(shortened(&row.name), (8, height - above - 8), (FONT, SMALL)))?;
        chart.draw_series([PathElement::new([(0.0, y), (1.0, y)], GREY.mix(0.3))])?;
        let chance = PathElement::new([(0, -6), (0, 6)], GREY.stroke_width(3));
        chart.draw_series([EmptyElement::at((row.share, y)) + chance])?;
        let roc_auc = row.roc_auc.map(|x| mark((x, y), Shape::Square, WHITE, VERMILION));
        chart.draw_series(roc_auc)?;
        let precision = row.average_precision.map(|x| mark((x, y), Shape::Circle, BLUE, BLUE));
        chart.draw_series(precision)?;
    }
    Ok(())
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(LETTERS) {
        Some(_) => name.chars().take(LETTERS - 1).chain(['…']).collect(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_a_line_whatever_is_known_of_it() {
        let row = |name: &str, value| TagRow {
            name: name.to_owned(),
            share: 0.25,
            average_precision: value,
            roc_auc: value,
        };
        let svg = tags(&[row("rock", Some(0.5)), row("a label with a very long name", None)]);
        let svg = svg.unwrap();
        assert!(svg.contains("rock") && svg.contains("a label with a very l…"), "{svg}");
    }
}
