//! The timeline as a picture: a row for each genre, time to the right, darker for likelier.

use std::convert::Infallible;
use std::path::Path;

use font8x8::UnicodeFonts;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, DrawingErrorKind};

use super::answer::Classification;
use super::render::{View, clock, columns};
use crate::error::{Error, Result};
use crate::files;

const WIDTH: u32 = 960;
const TOP: i32 = 40;
const ROW: i32 = 26;
const BOTTOM: i32 = 30;
/// Room for the genres' names, and for their probabilities on the other side.
const LEFT: i32 = 170;
const RIGHT: i32 = 80;
const COLUMNS: usize = 240;

/// Draws the timeline of the recording `name` to `path`: PNG or SVG, by the name's ending.
///
/// # Errors
/// [`Error::Config`] for another ending; [`Error::Io`] if the file cannot be written.
pub fn picture(path: &Path, name: &str, answer: &Classification, view: &View) -> Result<()> {
    let cannot = |e: &dyn std::fmt::Display| Error::format(path, format!("cannot be drawn: {e}"));
    let shown = view.shown(answer);
    let size = (WIDTH, (TOP + BOTTOM) as u32 + ROW as u32 * shown.len() as u32);
    if is_png(path)? {
        let mut pixels = vec![255; size.0 as usize * size.1 as usize * 3];
        let area = Canvas { pixels: &mut pixels, size }.into_drawing_area();
        draw(&area, name, answer, view, &shown).map_err(|e| cannot(&e))?;
        drop(area);
        files::write(path, &png(&pixels, size).map_err(|e| cannot(&e))?)
    } else {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area, name, answer, view, &shown).map_err(|e| cannot(&e))?;
        drop(area);
        files::write(path, svg.as_bytes())
    }
}

/// Whether a picture of this name is PNG, and not SVG.
///
/// # Errors
/// [`Error::Config`] if it is neither.
pub fn is_png(path: &Path) -> Result<bool> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("png") => Ok(true),
        Some("svg") => Ok(false),
        _ => Err(Error::Config(format!(
            "{}: pictures are .svg or .png files; give the name one of these endings",
            path.display()
        ))),
    }
}

fn draw<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    name: &str,
    answer: &Classification,
    view: &View,
    shown: &[usize],
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    let columns = columns(&answer.by_second(), COLUMNS);
    let right = WIDTH as i32 - RIGHT;
    let write = |text: &str, at: (i32, i32), across: HPos| {
        let style =
            ("sans-serif", 15).into_font().color(&BLACK).pos(Pos::new(across, VPos::Center));
        area.draw(&Text::new(text.to_owned(), at, style))
    };
    area.fill(&WHITE)?;
    write(&shorten(name, 56), (LEFT, TOP / 2), HPos::Left)?;
    let x = |column: usize| LEFT + (right - LEFT) * column as i32 / columns.len().max(1) as i32;
    for (row, &place) in shown.iter().enumerate() {
        let top = TOP + ROW * row as i32;
        let middle = top + ROW / 2;
        let label = view.labels.get(place).map_or("?", String::as_str);
        write(&shorten(label, 10), (LEFT - 8, middle), HPos::Right)?;
        for (column, probabilities) in columns.iter().enumerate() {
            let corners = [(x(column), top + 1), (x(column + 1), top + ROW - 1)];
            area.draw(&Rectangle::new(corners, shade(probabilities[place]).filled()))?;
        }
        let probability = format!("{:.2}", answer.probabilities[place]);
        write(&probability, (right + 8, middle), HPos::Left)?;
    }
    let below = TOP + ROW * shown.len() as i32;
    let frame = Rectangle::new([(LEFT, TOP), (right, below)], BLACK.stroke_width(1));
    area.draw(&frame)?;
    for quarter in 0..=4 {
        let at = LEFT + (right - LEFT) * quarter / 4;
        area.draw(&PathElement::new([(at, below), (at, below + 5)], BLACK.stroke_width(1)))?;
        let time = clock((answer.seconds * f64::from(quarter) / 4.0).floor());
        write(&time, (at, below + 17), HPos::Center)?;
    }
    area.present()
}

/// From white to a dark blue: lightness alone tells.
fn shade(probability: f32) -> RGBColor {
    let mix = |from: f32, to: f32| (from + (to - from) * probability.clamp(0.0, 1.0)) as u8;
    RGBColor(mix(255.0, 8.0), mix(255.0, 48.0), mix(255.0, 107.0))
}

fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

fn png(pixels: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// RGB pixels to draw on, with letters of 8 by 8 dots, so that no font is needed.
struct Canvas<'a> {
    pixels: &'a mut [u8],
    size: (u32, u32),
}

/// Dots between the beginnings of two letters, and pixels of a dot.
const LETTER: i32 = 8;
const DOT: (i32, i32) = (1, 2);

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn draw_pixel(
        &mut self,
        (x, y): BackendCoord,
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let inside = (0..self.size.0 as i32).contains(&x) && (0..self.size.1 as i32).contains(&y);
        let at = (y as usize * self.size.0 as usize + x as usize) * 3;
        if inside {
            let (r, g, b) = color.rgb;
            for (pixel, new) in self.pixels[at..at + 3].iter_mut().zip([r, g, b]) {
                let mixed = f64::from(*pixel) * (1.0 - color.alpha) + f64::from(new) * color.alpha;
                *pixel = mixed.round() as u8;
            }
        }
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        _: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let letters = text.chars().count() as i32;
        Ok(((letters * LETTER * DOT.0) as u32, (LETTER * DOT.1) as u32))
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let (width, height) = self.estimate_text_size(text, style)?;
        let (width, height) = (width as i32, height as i32);
        let left = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        let top = match style.anchor().v_pos {
            VPos::Top => y,
            VPos::Center => y - height / 2,
            VPos::Bottom => y - height,
        };
        for (place, letter) in text.chars().enumerate() {
            let corner = (left + place as i32 * LETTER * DOT.0, top);
            self.draw_letter(letter, corner, style.color())?;
        }
        Ok(())
    }
}

impl Canvas<'_> {
    fn draw_letter(
        &mut self,
        letter: char,
        (left, top): (i32, i32),
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let rows = font8x8::BASIC_FONTS
            .get(letter)
            .or_else(|| font8x8::LATIN_FONTS.get(letter))
            .or_else(|| font8x8::BASIC_FONTS.get('.'))
            .unwrap_or_default();
        for (row, bits) in (0..).zip(rows) {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                let corner = (left + column * DOT.0, top + row * DOT.1);
                for pixel in 0..DOT.0 * DOT.1 {
                    let at = (corner.0 + pixel % DOT.0, corner.1 + pixel / DOT.0);
                    self.draw_pixel(at, color)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::answer::Timeline;

    fn answer(seconds: f64) -> Classification {
        let rows: Vec<f32> = (0..seconds.ceil() as usize).flat_map(|_| [0.25, 0.75]).collect();
        let timeline = Timeline::of(1.0, 1.0, 2, &rows);
        Classification {
            seconds,
            padded: false,
            silent: false,
            probabilities: vec![0.25, 0.75],
            timeline,
        }
    }

    #[test]
    fn both_kinds_show_every_genre_and_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let labels = vec!["jazz".to_owned(), "música & <pop>".to_owned()];
        let view = View { labels: &labels, top: 2, timeline: true };
        let at = |name: &str| folder.path().join(name);
        for seconds in [0.5, 754.0] {
            picture(&at("a.svg"), "song & dance.wav", &answer(seconds), &view).unwrap();
            picture(&at("a.PNG"), "song & dance.wav", &answer(seconds), &view).unwrap();
        }
        let svg = std::fs::read_to_string(at("a.svg")).unwrap();
        for text in ["jazz", "0.75", "12:34", "song &amp; dance.wav", "0:00"] {
            assert!(svg.contains(text), "{text}");
        }
        let decoder =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(at("a.PNG")).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        // The likelier genre is the upper row, and darker.
        let red =
            |row: i32| pixels[((TOP + ROW * row + ROW / 2) as usize * WIDTH as usize + 500) * 3];
        assert_eq!((red(0), red(1)), (shade(0.75).0, shade(0.25).0));
        let black = pixels.chunks(3).filter(|pixel| **pixel == [0, 0, 0]).count();
        assert!(black > 500, "letters and the frame: {black}");
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let text = is_png(Path::new("a.jpg")).unwrap_err().to_string();
        assert!(text.contains("a.jpg: pictures are .svg or .png"), "{text}");
    }
}
