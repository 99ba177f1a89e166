//! The timeline as a picture: a row for each genre, time to the right, darker for likelier.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::answer::Classification;
use super::canvas::Canvas;
use super::render::{View, clock, columns};
use crate::error::{Cause, Error, Result};
use crate::files;

const WIDTH: u32 = 960;
const TOP: i32 = 40;
const ROW: i32 = 26;
const BOTTOM: i32 = 30;
/// Room for the genres' names, and for their probabilities on the other side.
const LEFT: i32 = 170;
const RIGHT: i32 = 80;
const COLUMNS: usize = 240;

/// Draws the timeline of the recording `name` to `path`: PNG or SVG, by the ending of `path`.
///
/// # Errors
/// [`Error::Unsupported`] for another ending; [`Error::Io`] if the file cannot be written.
pub fn picture(path: &Path, name: &str, answer: &Classification, view: &View) -> Result<()> {
    let shown = view.shown(answer);
    let size = (WIDTH, (TOP + BOTTOM) as u32 + ROW as u32 * shown.len() as u32);
    if is_png(path)? {
        let mut canvas = Canvas::new(size);
        let area = (&mut canvas).into_drawing_area();
        draw(&area, name, answer, view, &shown).map_err(|e| undrawn(path, e))?;
        drop(area);
        files::write(path, &canvas.png().map_err(|e| undrawn(path, e))?)
    } else {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area, name, answer, view, &shown).map_err(|e| undrawn(path, e))?;
        drop(area);
        files::write(path, svg.as_bytes())
    }
}

fn undrawn(path: &Path, reason: impl Into<Cause>) -> Error {
    Error::drawing(format!("{}: cannot be drawn", path.display()), reason)
}

/// Whether a picture of this name is PNG, and not SVG.
///
/// # Errors
/// [`Error::Unsupported`] if it is neither.
pub fn is_png(path: &Path) -> Result<bool> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("png") => Ok(true),
        Some("svg") => Ok(false),
        _ => {
            let advice = "pictures are .svg or .png files; give the name one of these endings";
            Err(Error::unsupported(path, advice))
        }
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
        write(&shorten(label, 18), (LEFT - 8, middle), HPos::Right)?;
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
    for second in ticks(answer.seconds) {
        let share = if answer.seconds > 0.0 { second / answer.seconds } else { 0.0 };
        let at = LEFT + (f64::from(right - LEFT) * share) as i32;
        area.draw(&PathElement::new([(at, below), (at, below + 5)], BLACK.stroke_width(1)))?;
        write(&clock(second.floor()), (at, below + 17), HPos::Center)?;
    }
    area.present()
}

/// Where times are written: at round ones, six at most, and at the end.
fn ticks(seconds: f64) -> Vec<f64> {
    let steps = [1, 2, 5, 10, 15, 30].into_iter().flat_map(|step| [step, 60 * step, 3600 * step]);
    let mut steps: Vec<f64> = steps.map(f64::from).collect();
    steps.sort_by(f64::total_cmp);
    let step = steps.into_iter().find(|step| seconds / step <= 6.0).unwrap_or(seconds / 4.0);
    let round = (0..6).map(|tick| f64::from(tick) * step);
    // Beside the end there must be room for its own.
    round.take_while(|tick| *tick == 0.0 || seconds - tick >= step / 2.0).chain([seconds]).collect()
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

#[cfg(test)]
mod tests {
    use super::super::answer::Timeline;
    use super::*;

    fn answer(seconds: f64) -> Classification {
        let rows: Vec<f32> = (0..seconds.ceil() as usize).flat_map(|_| [0.25, 0.75]).collect();
        let timeline = Timeline::of(1.0, 1.0, 2, &rows);
        Classification {
            seconds,
            padded: false,
            silent: false,
            notes: vec![],
            probabilities: vec![0.25, 0.75],
            timeline,
            picture: None,
            ..Classification::default()
        }
    }

    #[test]
    fn both_kinds_show_every_genre_and_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let labels = vec!["jazz".to_owned(), "música & <pop>".to_owned()];
        let view = View { labels: &labels, thresholds: None, top: 2, timeline: true };
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
    fn times_are_written_where_they_are() {
        assert_eq!(ticks(30.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(ticks(754.0), [0.0, 300.0, 600.0, 754.0]);
        assert_eq!(ticks(0.5), [0.0, 0.5]);
        assert_eq!(ticks(37_000.0), [0.0, 7200.0, 14_400.0, 21_600.0, 28_800.0, 37_000.0]);
        assert_eq!(ticks(1e6), [0.0, 250_000.0, 500_000.0, 750_000.0, 1e6]);
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let text = is_png(Path::new("a.jpg")).unwrap_err().to_string();
        assert!(text.contains("a.jpg: pictures are .svg or .png"), "{text}");
    }
}
