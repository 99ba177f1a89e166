//! A spectrogram read from its picture: found, its colour map recognized and undone.
//!
//! What proves a map is the residual: how far the picture's colours are from it, in levels of 255.
//! JPEG and smoothing mix colours where these change, so only calm places count: of every grade of
//! light the tenth of the pixels that differ least from their neighbours.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::colour_maps::ColourMap;
use super::plot_area::{self, Lie};
use super::rgb::Rgb;
use crate::error::{Error, Result};

/// Grades of light that pixels are sampled from, and pixels of each.
const GRADES: usize = 16;
const SAMPLED: usize = 64;
/// A map that explains a picture so well is its map if no other does.
const CLEAR: f32 = 6.0;
/// One that explains it worse is its map only if all others do so much worse, and none is beyond
/// the second bound: GTZAN's pictures in the colours of magma have 5 to 10 as JPEG of quality 75,
/// lines one pixel wide 14 once resized; photographs have 12 and more, and many maps alike.
const MUCH_BETTER: f32 = 0.68;
const MOST: f32 = 16.0;
/// Residuals that differ by no more tell no map from another.
const ALIKE: f32 = 0.5;
/// The mean difference from which two readings are two spectrograms.
const SAME: f32 = 0.03;

/// How a spectrogram lay in its picture and was drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// `whole picture`, `plot`, `plot with axes` or `plot with axes and colour bar`: what around
    /// the spectrogram was cut off.
    pub form: String,
    /// The colour map, by matplotlib's name; none where colours are not looked at.
    pub colour_map: Option<String>,
    /// How far the colours are from that map's, in levels of 255: below 1 for what has lost
    /// nothing.
    pub residual: Option<f32>,
    /// Its columns and rows, where it was resized to those of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized_from: Option<[usize; 2]>,
    /// How much stronger its lower half is than its upper one, from -1 to 1.
    #[serde(skip)]
    pub(super) lean: Option<f32>,
}

impl Seen {
    /// Of a picture whose colours are kept as they are, `inside` its margins.
    pub(super) fn of_colours(inside: &Rgb, lie: Lie) -> Self {
        let found = recognize(inside, None).ok();
        Self {
            form: form(lie).to_owned(),
            colour_map: found.map(|found| found.map.name()),
            residual: found.map(|found| found.residual),
            resized_from: None,
            lean: None,
        }
    }
}

/// The lower half of a spectrogram is stronger than the upper one by more than the opposite of
/// this: else it is upside down, or its colours are read from their end.
const UPSIDE_DOWN: f32 = -0.05;

/// What is said of such a picture.
pub(crate) const UPSIDE_DOWN_TEXT: &str =
    "high tones stronger than low ones: upside down, or its colours reversed?";

impl Seen {
    /// Whether high tones are stronger than low ones, which music hardly has.
    pub(crate) fn is_upside_down(&self) -> bool {
        self.lean.is_some_and(|lean| lean < UPSIDE_DOWN)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.colour_map, self.residual) {
            (Some(map), Some(residual)) => {
                write!(f, "{}, colour map {map} (residual {residual:.1} of 255)", self.form)?;
            }
            _ => write!(f, "{}, in no known colour map", self.form)?,
        }
        if let Some([columns, rows]) = self.resized_from {
            write!(f, ", resized from {columns} x {rows}")?;
        }
        if self.is_upside_down() { write!(f, ", {UPSIDE_DOWN_TEXT}") } else { Ok(()) }
    }
}

/// What a form is called.
fn form(lie: Lie) -> &'static str {
    match lie {
        Lie::Whole => "whole picture",
        Lie::Plot => "plot",
        Lie::Axes => "plot with axes",
        Lie::ColourBar => "plot with axes and colour bar",
    }
}

/// A spectrogram as its picture shows it.
pub(super) struct Plot {
    /// Intensities from 0 to 255, row by row from the top.
    pub intensities: Vec<f32>,
    pub columns: usize,
    pub rows: usize,
    pub map: ColourMap,
    pub seen: Seen,
}

impl Plot {
    /// Reads the picture at `path`, which is expected to be in the map `expected`.
    ///
    /// # Errors
    /// Those of [`Rgb::read`]; [`Error::Format`] if it is of one colour, or no spectrogram in a map
    /// that is known.
    pub fn read(path: &Path, expected: Option<ColourMap>) -> Result<Self> {
        let picture = Rgb::read(path)?;
        let area = plot_area::find(&picture).ok_or_else(|| Error::format(path, blank(&picture)))?;
        let (columns, rows) = (area.columns.len(), area.rows.len());
        let inside = picture.part(area.columns, area.rows);
        let found = recognize(&inside, expected).map_err(|reason| Error::format(path, reason))?;
        let intensities = intensities(&inside, found.map);
        let seen = Seen {
            form: form(area.lie).to_owned(),
            colour_map: Some(found.map.name()),
            residual: Some(found.residual),
            resized_from: None,
            lean: None,
        };
        let mut plot = Self { intensities, columns, rows, map: found.map, seen };
        plot.seen.lean = Some(plot.lean());
        Ok(plot)
    }

    /// Resized by the mean over what a new pixel covers.
    pub fn resized(self, columns: usize, rows: usize) -> Self {
        let across = covered(&self.intensities, self.columns, columns);
        let turned = turned(&across, columns);
        let down = covered(&turned, self.rows, rows);
        let resized_from = Some([self.columns, self.rows]);
        let seen = Seen { resized_from, ..self.seen };
        Self { intensities: self::turned(&down, rows), columns, rows, seen, ..self }
    }

    /// How much stronger the lower half is than the upper one, from -1 to 1.
    fn lean(&self) -> f32 {
        let middle = self.rows / 2 * self.columns;
        let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len().max(1) as f32 / 255.0;
        mean(&self.intensities[self.intensities.len() - middle..])
            - mean(&self.intensities[..middle])
    }
}

/// Rows of `from` values as rows of `to`, each the mean of what it covers.
fn covered(values: &[f32], from: usize, to: usize) -> Vec<f32> {
    let size = from as f64 / to as f64;
    let cell = |row: &[f32], at: usize| {
        let (start, end) = (at as f64 * size, (at + 1) as f64 * size);
        let last = (end.ceil() as usize).min(from);
        let part = |place: usize| end.min((place + 1) as f64) - start.max(place as f64);
        let sum: f64 =
            (start as usize..last).map(|place| part(place) * f64::from(row[place])).sum();
        (sum / size) as f32
    };
    values.chunks_exact(from).flat_map(|row| (0..to).map(move |at| cell(row, at))).collect()
}

/// Columns become rows, of which each had `width` values.
fn turned(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|x| values.iter().skip(x).step_by(width).copied()).collect()
}

/// What is to be said of a picture without anything in it.
pub(super) fn blank(picture: &Rgb) -> String {
    match picture.pixel(0, 0) {
        [255, 255, 255] => "the picture is all white".to_owned(),
        colour => format!("the picture is all of one colour, {colour:?}"),
    }
}

/// A map and how far a picture is from it.
#[derive(Clone, Copy)]
struct Match {
    map: ColourMap,
    residual: f32,
}

/// The map of a spectrogram; says why if there is none. Of a map and its reverse, which have the
/// same colours, the one that is not reversed, unless the other is expected.
fn recognize(picture: &Rgb, expected: Option<ColourMap>) -> Result<Match, String> {
    let sample = Sample::of(picture);
    let of = |map| Match { map, residual: sample.residual(map) };
    let wanted = expected.map(of);
    if let Some(found) = wanted.filter(|found| found.residual <= ALIKE) {
        return Ok(found);
    }
    let mut matches: Vec<Match> = ColourMap::all().map(of).collect();
    // A stable order: of equals the first of the list.
    matches.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    // Grey is gray, unless it is on Greys alone.
    let alike = |found: &&Match| {
        found.map.has_colours_of(matches[0].map) && found.residual <= matches[0].residual + ALIKE
    };
    let best = matches.iter().filter(alike).min_by_key(|found| found.map.place());
    let best = best.copied().unwrap_or(matches[0]);
    if let Some(found) = wanted
        .filter(|found| found.residual <= MOST && found.residual <= best.residual * 1.1 + ALIKE)
    {
        return Ok(found);
    }
    let other = matches.iter().find(|found| !found.map.has_colours_of(best.map));
    match other {
        _ if best.residual > MOST => Err(no_spectrogram(best, expected)),
        Some(other) if best.residual > CLEAR && best.residual > other.residual * MUCH_BETTER => {
            Err(no_spectrogram(best, expected))
        }
        Some(other)
            if other.residual <= best.residual + ALIKE
                && sample.difference(best.map, other.map) > SAME =>
        {
            Err(format!(
                "its colours are in {} and in {} alike (residual {:.1} and {:.1} of 255), at other \
                 places; say with ‹colour-map› which it is",
                best.map.name(),
                other.map.name(),
                best.residual,
                other.residual
            ))
        }
        _ => Ok(best),
    }
}

fn no_spectrogram(best: Match, expected: Option<ColourMap>) -> String {
    let expected = expected.map_or_else(
        || "one of matplotlib's sequential maps, or grey".to_owned(),
        |map| format!("{}, or another of matplotlib's sequential maps", map.name()),
    );
    format!(
        "no spectrogram in a known colour map: the nearest is {}, with a residual of {:.1} of 255, \
         and no clear one; expected the colours of {expected}",
        best.map.name(),
        best.residual
    )
}

/// Calm pixels of every grade of light, and how much each counts.
struct Sample(Vec<([u8; 3], f32)>);

impl Sample {
    fn of(picture: &Rgb) -> Self {
        let (width, height) = picture.size();
        let mut grades: [Vec<(u8, [u8; 3])>; GRADES] = Default::default();
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let pixel = picture.pixel(x, y);
            let [r, g, b] = pixel.map(u32::from);
            let light = (299 * r + 587 * g + 114 * b) / 1000;
            grades[light as usize * GRADES / 256].push((unrest(picture, x, y), pixel));
        }
        let mut sample = vec![];
        for mut grade in grades {
            grade.sort_unstable();
            let kept = grade.len().div_ceil(10);
            let step = kept.div_ceil(SAMPLED).max(1);
            let weight = (grade.len() as f32).sqrt();
            let calm: Vec<[u8; 3]> =
                grade[..kept].iter().step_by(step).map(|(_, pixel)| *pixel).collect();
            let count = calm.len() as f32;
            sample.extend(calm.into_iter().map(|pixel| (pixel, weight / count)));
        }
        Self(sample)
    }

    fn mean(&self, value: impl Fn([u8; 3]) -> f32) -> f32 {
        let sum: f32 = self.0.iter().map(|(pixel, weight)| weight * value(*pixel)).sum();
        sum / self.0.iter().map(|(_, weight)| weight).sum::<f32>().max(f32::MIN_POSITIVE)
    }

    fn residual(&self, map: ColourMap) -> f32 {
        self.mean(|pixel| map.nearest(pixel).1)
    }

    /// The mean difference between the intensities of two maps, from 0 to 1.
    fn difference(&self, one: ColourMap, other: ColourMap) -> f32 {
        self.mean(|pixel| f32::from(one.nearest(pixel).0.abs_diff(other.nearest(pixel).0)) / 255.0)
    }
}

/// The largest difference, in any channel, from the four pixels around.
fn unrest(picture: &Rgb, x: usize, y: usize) -> u8 {
    let (width, height) = picture.size();
    let here = picture.pixel(x, y);
    let around = [
        (x.saturating_sub(1), y),
        ((x + 1).min(width - 1), y),
        (x, y.saturating_sub(1)),
        (x, (y + 1).min(height - 1)),
    ];
    let differences = around.into_iter().flat_map(|(x, y)| {
        let there = picture.pixel(x, y);
        [0, 1, 2].map(|channel| here[channel].abs_diff(there[channel]))
    });
    differences.max().unwrap_or(0)
}

/// Place of every pixel in the map; equal colours are looked up once.
fn intensities(picture: &Rgb, map: ColourMap) -> Vec<f32> {
    let (width, height) = picture.size();
    let mut known = std::collections::HashMap::new();
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let place = |(x, y): (usize, usize)| {
        let pixel = picture.pixel(x, y);
        f32::from(*known.entry(pixel).or_insert_with(|| map.nearest(pixel).0))
    };
    places.map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_keeps_means_and_order() {
        let plot = |intensities: &[f32], columns, rows| Plot {
            intensities: intensities.to_vec(),
            columns,
            rows,
            map: ColourMap::named("gray").unwrap(),
            seen: Seen {
                form: "plot".into(),
                colour_map: None,
                residual: None,
                resized_from: None,
                lean: None,
            },
        };
        let values = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0];
        let same = plot(&values, 3, 2).resized(3, 2);
        assert_eq!(same.intensities, values);
        let one = plot(&values, 3, 2).resized(1, 1);
        assert_eq!(one.intensities, [25.0]);
        let halves = plot(&values, 3, 2).resized(2, 2);
        assert_eq!(
            halves.intensities,
            [10.0 / 3.0, 50.0 / 3.0, 100.0 / 3.0, 140.0 / 3.0].map(|v: f64| v as f32)
        );
        assert!(plot(&values, 3, 2).lean() > 0.1);
    }

    #[test]
    fn a_map_is_recognized_by_its_colours_and_two_that_explain_alike_are_refused() {
        let gray = ColourMap::named("gray").unwrap();
        let grey = Rgb::from_fn(16, 16, |x, y| [(y * 16 + x) as u8; 3]);
        assert_eq!(recognize(&grey, None).unwrap().map, gray);
        let reversed = ColourMap::named("gray_r").ok();
        assert_eq!(recognize(&grey, reversed).unwrap().map.name(), "gray_r");
        // Dark reds: the beginning of afmhot and of gist_heat, at other places.
        let red = Rgb::from_fn(16, 4, |x, _| [(100 + x) as u8, 0, 0]);
        let reason = recognize(&red, None).err().unwrap();
        assert!(reason.contains("alike") && reason.contains("‹colour-map›"), "{reason}");
        let hot = ColourMap::named("gist_heat").ok();
        assert_eq!(recognize(&red, hot).unwrap().map.name(), "gist_heat");
        let rainbow =
            Rgb::from_fn(64, 64, |x, y| [(x * 4) as u8, (y * 4) as u8, (x * 4) as u8 ^ 99]);
        let reason = recognize(&rainbow, None).err().unwrap();
        assert!(reason.contains("residual of") && reason.contains("expected"), "{reason}");
    }
}
