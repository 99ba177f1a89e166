//! A confusion matrix as a map of counts.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::charts::{Area, DARK_BLUE, Drawn, FONT, LIGHT_GREY, SMALL, svg};
use crate::error::Result;
use crate::report::entry::Entry;

const CELL: i32 = 34;
const TOP: i32 = 32;
/// Room for the line above the matrix.
const NARROWEST: i32 = 330;

/// The confusion matrix of `entry`, true genres from top to bottom.
///
/// # Errors
/// [`Error::Drawing`](crate::error::Error::Drawing) if it cannot be drawn.
pub(crate) fn confusion(entry: &Entry) -> Result<String> {
    let classes = entry.genres().len() as i32;
    let names = width_of_names(entry.genres());
    let side = names + CELL * classes;
    let size = ((side + 10).max(NARROWEST) as u32, (side + TOP) as u32);
    svg(&format!("the chart of {}", entry.run), size, |area| {
        draw(area, entry, names.max(size.0 as i32 - 10 - CELL * classes))
    })
}

/// Pixels that the longest name takes.
fn width_of_names(genres: &[String]) -> i32 {
    let longest = genres.iter().map(|genre| genre.chars().count()).max().unwrap_or(0);
    (longest as i32 * 13 / 2 + 12).clamp(40, 160)
}

fn draw(area: &Area, entry: &Entry, left: i32) -> Drawn<()> {
    let confusion = &entry.test.tracks.confusion;
    let write = |text: &str, at: (i32, i32), h: HPos, turned: bool, colour: RGBColor| {
        let style = (FONT, SMALL).into_text_style(area).pos(Pos::new(h, VPos::Center));
        let style = style.color(&colour);
        let turn = if turned { FontTransform::Rotate270 } else { FontTransform::None };
        area.draw(&Text::new(text.to_owned(), at, style.transform(turn)))
    };
    let bottom = TOP + CELL * confusion.len() as i32;
    for (row, counts) in confusion.iter().enumerate() {
        let y = TOP + CELL * row as i32;
        let middle = y + CELL / 2;
        let support = counts.iter().sum::<usize>().max(1);
        write(&entry.genres()[row], (left - 8, middle), HPos::Right, false, BLACK)?;
        for (column, count) in counts.iter().enumerate() {
            let x = left + CELL * column as i32;
            let share = *count as f64 / support as f64;
            let corners = [(x, y), (x + CELL, y + CELL)];
            area.draw(&Rectangle::new(corners, shade(share).filled()))?;
            area.draw(&Rectangle::new(corners, LIGHT_GREY.stroke_width(1)))?;
            if *count > 0 {
                let ink = if share > 0.45 { WHITE } else { BLACK };
                write(&count.to_string(), (x + CELL / 2, middle), HPos::Center, false, ink)?;
            }
        }
        let (genre, x) = (&entry.genres()[row], left + CELL * row as i32 + CELL / 2);
        write(genre, (x, bottom + 8), HPos::Right, true, BLACK)?;
    }
    let right = left + CELL * confusion.len() as i32;
    write("rows: true genre; columns: genre given", (right, 14), HPos::Right, false, BLACK)?;
    Ok(())
}

/// White for none of a genre's tracks to dark blue for all: ever darker, in grey too.
fn shade(share: f64) -> RGBColor {
    // The power shows single mistakes.
    let share = share.clamp(0.0, 1.0).powf(0.7);
    let mix = |to: u8| (255.0 + (f64::from(to) - 255.0) * share).round() as u8;
    RGBColor(mix(DARK_BLUE.0), mix(DARK_BLUE.1), mix(DARK_BLUE.2))
}
