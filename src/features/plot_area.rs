//! Where the plot is in a picture: inside margins, axes, labels and colour bars.
//!
//! The margin's colour is that of most of the picture's outermost pixels. A plot is a rectangle
//! that begins and ends at that colour on all four sides; of several, such as a plot and its colour
//! bar, the largest is the plot.

use std::ops::Range;

use super::rgb::Rgb;

/// A pixel is of the margin up to this difference in any channel: what JPEG and smoothing do.
const TOLERANCE: u8 = 24;
/// The share of a picture's outermost pixels that a margin has: labels may be cut off there.
const MARGIN: f64 = 0.6;
/// The share of a side of a plot along which the margin begins: ticks interrupt it.
const SIDE: f64 = 0.8;
/// Margins around a plot without a frame are more than this part of the picture.
const MARGINS_OF_SIDE: usize = 33;
/// A side is at least this share of the picture's.
const LEAST: f64 = 0.25;
/// Lines looked at as a plot's left, right, upper and lower side: those with the longest edges.
const CANDIDATES: usize = 16;
/// Lines that a frame has at most, with its smoothed edges.
const FRAME: usize = 6;
/// How far JPEG smears a plot into its margin, in pixels.
const SMEARED: usize = 8;
/// Levels of a dark frame and a light one: matplotlib lets a fifth of what is below shine through.
const DARK: u8 = 51;
const LIGHT: u8 = 204;

/// How a spectrogram lies in its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lie {
    /// It is the whole picture.
    Whole,
    /// Inside margins.
    Plot,
    /// Inside margins with axes, labels or a title.
    Axes,
    /// The same, and a colour bar beside it.
    ColourBar,
}

/// The plot's place in a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub columns: Range<usize>,
    pub rows: Range<usize>,
    pub lie: Lie,
}

/// First and last column, first and last row.
#[derive(Clone, Copy, PartialEq)]
struct Rect {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Rect {
    fn size(self) -> usize {
        (self.right - self.left + 1) * (self.bottom - self.top + 1)
    }

    /// Whether another is as large but for a few pixels that JPEG has smeared.
    fn is_near(self, other: Self) -> bool {
        let sides = |Self { left, right, top, bottom }: Self| [left, right, top, bottom];
        sides(self).into_iter().zip(sides(other)).all(|(a, b)| a.abs_diff(b) <= SMEARED)
    }

    fn is_beside(self, other: Self) -> bool {
        self.left > other.right
            || other.left > self.right
            || self.top > other.bottom
            || other.top > self.bottom
    }

    /// Without the outermost pixels.
    fn inside(self) -> Option<Self> {
        let Self { left, right, top, bottom } = self;
        (right >= left + 2 && bottom >= top + 2).then(|| Self {
            left: left + 1,
            right: right - 1,
            top: top + 1,
            bottom: bottom - 1,
        })
    }

    /// Its four outermost lines.
    fn sides(self, picture: &Rgb) -> [Vec<[u8; 3]>; 4] {
        let Self { left, right, top, bottom } = self;
        let row = |y| (left..=right).map(|x| picture.pixel(x, y)).collect();
        let column = |x| (top..=bottom).map(|y| picture.pixel(x, y)).collect();
        [column(left), column(right), row(top), row(bottom)]
    }
}

/// Where the plot is; none if all of the picture has the colour of its edge.
pub(super) fn find(picture: &Rgb) -> Option<Area> {
    let (width, height) = picture.size();
    let whole = Area { columns: 0..width, rows: 0..height, lie: Lie::Whole };
    let colour = margin_colour(picture);
    let mask = Mask::new(picture, colour);
    let around = mask.extent()?;
    if mask.share_of_edge() < MARGIN {
        return Some(whole);
    }
    let found = mask.boxes(picture);
    let plot = match found.iter().copied().max_by_key(|found| found.size()) {
        Some(plot) => plot,
        // Its own quiet places have the margin's colour, or it has no straight sides: what a white
        // margin leaves.
        None if colour == [255; 3] && mask.is_plot(picture, around) => around,
        None => return Some(whole),
    };
    let has_bar = found.iter().any(|other| other.is_beside(plot));
    let lie = match (has_bar, plot.is_near(around)) {
        (true, _) => Lie::ColourBar,
        (_, true) => Lie::Plot,
        (_, false) => Lie::Axes,
    };
    let inside = without_frame(picture, plot);
    Some(Area { columns: inside.left..inside.right + 1, rows: inside.top..inside.bottom + 1, lie })
}

/// The colour of most of the outermost pixels.
fn margin_colour(picture: &Rgb) -> [u8; 3] {
    let mut colours = edge(picture);
    colours.sort_unstable();
    let runs = colours.chunk_by(|a, b| a == b);
    runs.max_by_key(|run| run.len()).map_or([255; 3], |run| run[0])
}

fn edge(picture: &Rgb) -> Vec<[u8; 3]> {
    let (width, height) = picture.size();
    Rect { left: 0, right: width - 1, top: 0, bottom: height - 1 }.sides(picture).concat()
}

/// Which pixels are not of the margin.
struct Mask {
    filled: Vec<bool>,
    width: usize,
    height: usize,
    /// Whether the margin is white or black.
    is_plain: bool,
}

impl Mask {
    fn new(picture: &Rgb, margin: [u8; 3]) -> Self {
        let (width, height) = picture.size();
        let is_filled =
            |pixel: [u8; 3]| pixel.into_iter().zip(margin).any(|(a, b)| a.abs_diff(b) > TOLERANCE);
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let filled = places.map(|(x, y)| is_filled(picture.pixel(x, y))).collect();
        let is_plain = margin.iter().all(|level| *level >= 250) || margin == [0; 3];
        Self { filled, width, height, is_plain }
    }

    fn at(&self, x: usize, y: usize) -> bool {
        self.filled[y * self.width + x]
    }

    /// Beyond the picture's ends is margin.
    fn beside(&self, x: Option<usize>, y: Option<usize>) -> bool {
        match (x, y) {
            (Some(x), Some(y)) if x < self.width && y < self.height => self.at(x, y),
            _ => false,
        }
    }

    fn share_of_edge(&self) -> f64 {
        let (width, height) = (self.width, self.height);
        let rows = (0..width).flat_map(|x| [(x, 0), (x, height - 1)]);
        let columns = (0..height).flat_map(|y| [(0, y), (width - 1, y)]);
        let of_margin = rows.chain(columns).filter(|&(x, y)| !self.at(x, y)).count();
        of_margin as f64 / (2 * (width + height)) as f64
    }

    /// What is inside the margins, whatever it is.
    fn extent(&self) -> Option<Rect> {
        let row = |y: &usize| (0..self.width).any(|x| self.at(x, *y));
        let column = |x: &usize| (0..self.height).any(|y| self.at(*x, y));
        Some(Rect {
            left: (0..self.width).find(column)?,
            right: (0..self.width).rfind(column)?,
            top: (0..self.height).find(row)?,
            bottom: (0..self.height).rfind(row)?,
        })
    }

    /// All boxes with four straight sides and no strip of margin through them.
    fn boxes(&self, picture: &Rgb) -> Vec<Rect> {
        let sides = Sides::new(self);
        let mut found = vec![];
        for &left in &sides.lefts.lines {
            for &right in sides.rights.lines.iter().filter(|right| **right >= left + 2) {
                for &top in &sides.tops.lines {
                    if !sides.tops.is_straight(top, left, right) {
                        continue;
                    }
                    for &bottom in sides.bottoms.lines.iter().filter(|b| **b >= top + 2) {
                        let one = Rect { left, right, top, bottom };
                        let is_straight = sides.bottoms.is_straight(bottom, left, right)
                            && sides.lefts.is_straight(left, top, bottom)
                            && sides.rights.is_straight(right, top, bottom);
                        if is_straight && self.is_one(one) && self.is_plot(picture, one) {
                            found.push(one);
                        }
                    }
                }
            }
        }
        found
    }

    /// Whether no column and no row of a box is all margin: a plot and its colour bar are two.
    fn is_one(&self, Rect { left, right, top, bottom }: Rect) -> bool {
        (left..=right).all(|x| (top..=bottom).any(|y| self.at(x, y)))
            && (top..=bottom).all(|y| (left..=right).any(|x| self.at(x, y)))
    }

    /// What has no frame is a plot only inside margins that are white or black and wide on all
    /// sides: else it may be a spectrogram without margins that ends in silence.
    fn is_plot(&self, picture: &Rgb, one: Rect) -> bool {
        let Rect { left, right, top, bottom } = one;
        let least = |margin: usize, side: usize| margin * MARGINS_OF_SIDE > side;
        let is_inside = least(left, self.width)
            && least(self.width - 1 - right, self.width)
            && least(top, self.height)
            && least(self.height - 1 - bottom, self.height);
        let sides = one.sides(picture);
        is_inside && self.is_plain || is_framed(&sides) || is_grey(&sides)
    }
}

/// Lines at which something begins or ends.
struct Edges {
    /// The lines with the longest edges.
    lines: Vec<usize>,
    /// For each line the number of edges before every place along it.
    before: Vec<Vec<u32>>,
}

impl Edges {
    /// `is_edge` of a line and a place along it.
    fn new(lines: usize, along: usize, is_edge: impl Fn(usize, usize) -> bool) -> Self {
        let count = |line: usize| {
            let mut sum = 0;
            let places = (0..along).map(|place| {
                sum += u32::from(is_edge(line, place));
                sum
            });
            std::iter::once(0).chain(places).collect::<Vec<u32>>()
        };
        let before: Vec<Vec<u32>> = (0..lines).map(count).collect();
        let least = (along as f64 * LEAST) as u32;
        let long = |line: &usize| before[*line][along] > 0 && before[*line][along] >= least;
        let mut found: Vec<usize> = (0..lines).filter(long).collect();
        found.sort_by_key(|line| std::cmp::Reverse(before[*line][along]));
        found.truncate(CANDIDATES);
        found.sort_unstable();
        Self { lines: found, before }
    }

    fn is_straight(&self, line: usize, from: usize, to: usize) -> bool {
        let edges = self.before[line][to + 1] - self.before[line][from];
        f64::from(edges) >= (to + 1 - from) as f64 * SIDE
    }
}

/// The possible sides of a plot.
struct Sides {
    lefts: Edges,
    rights: Edges,
    tops: Edges,
    bottoms: Edges,
}

impl Sides {
    fn new(mask: &Mask) -> Self {
        let (width, height) = (mask.width, mask.height);
        let column = |step: fn(usize) -> Option<usize>| {
            Edges::new(width, height, |x, y| mask.at(x, y) && !mask.beside(step(x), Some(y)))
        };
        let row = |step: fn(usize) -> Option<usize>| {
            Edges::new(height, width, |y, x| mask.at(x, y) && !mask.beside(Some(x), step(y)))
        };
        let (back, on) = (|at: usize| at.checked_sub(1), |at: usize| at.checked_add(1));
        Self { lefts: column(back), rights: column(on), tops: row(back), bottoms: row(on) }
    }
}

/// Cuts off the frame: dark or light lines on all four sides, and those into which smoothing
/// made them.
fn without_frame(picture: &Rgb, plot: Rect) -> Rect {
    let mut plot = plot;
    let mut is_through = false;
    for _ in 0..FRAME {
        let sides = plot.sides(picture);
        let is_line =
            if is_through { is_pure(&sides) } else { is_framed(&sides) || is_grey(&sides) };
        match plot.inside() {
            Some(inside) if is_line => plot = inside,
            _ => break,
        }
        is_through |= is_framed(&sides);
    }
    plot
}

/// Nineteen of twenty pixels of a side, for ticks and corners.
fn nearly_all(side: &[[u8; 3]], is: impl Fn(&[u8; 3]) -> bool) -> bool {
    side.iter().filter(|pixel| is(pixel)).count() * 20 >= side.len() * 19
}

fn all_within(sides: &[Vec<[u8; 3]>; 4], levels: std::ops::RangeInclusive<u8>) -> bool {
    let is = |pixel: &[u8; 3]| pixel.iter().all(|level| levels.contains(level));
    sides.iter().all(|side| nearly_all(side, is))
}

/// All four sides are dark, or all are light.
fn is_framed(sides: &[Vec<[u8; 3]>; 4]) -> bool {
    all_within(sides, 0..=DARK) || all_within(sides, LIGHT..=255)
}

/// All four sides are black, or all are white: a second line of a wide frame, while the
/// quietest places of a spectrogram in colour are not quite.
fn is_pure(sides: &[Vec<[u8; 3]>; 4]) -> bool {
    all_within(sides, 0..=2) || all_within(sides, 253..=255)
}

/// Every side is of one grey: a frame that was smoothed into what is outside.
fn is_grey(sides: &[Vec<[u8; 3]>; 4]) -> bool {
    sides.iter().all(|side| {
        let median = [0, 1, 2].map(|channel| {
            let mut levels: Vec<u8> = side.iter().map(|pixel| pixel[channel]).collect();
            levels.sort_unstable();
            levels[levels.len() / 2]
        });
        let grey = median.iter().max().zip(median.iter().min());
        let near = |pixel: &&[u8; 3]| {
            pixel.iter().zip(median).all(|(level, median)| level.abs_diff(median) <= TOLERANCE)
        };
        grey.is_some_and(|(most, least)| most - least <= TOLERANCE)
            && side.iter().filter(near).count() * 10 >= side.len() * 9
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plot of 30 x 20 pixels at (12, 8) of 60 x 40, in a frame one pixel wide.
    fn drawn(more: impl Fn(usize, usize) -> Option<[u8; 3]>) -> Rgb {
        Rgb::from_fn(60, 40, |x, y| {
            let (in_x, in_y) = ((12..42).contains(&x), (8..28).contains(&y));
            let framed = (11..43).contains(&x) && (7..29).contains(&y);
            match more(x, y) {
                Some(colour) => colour,
                None if in_x && in_y => [(x * 5) as u8, (y * 9) as u8, 90],
                None if framed => [19, 0, 51],
                None => [255; 3],
            }
        })
    }

    fn assert_plot(picture: &Rgb, lie: Lie) {
        let found = find(picture).unwrap();
        assert_eq!(found, Area { columns: 12..42, rows: 8..28, lie });
    }

    #[test]
    fn a_plot_is_cut_to_the_inside_of_its_frame() {
        assert_plot(&drawn(|_, _| None), Lie::Plot);
    }

    #[test]
    fn labels_ticks_and_a_colour_bar_are_no_part_of_it() {
        let labels = |x: usize, y: usize| {
            let tick = (8..11).contains(&x) && y.is_multiple_of(10) && (8..28).contains(&y);
            let text = (1..4).contains(&x) && (10..26).contains(&y) && (x + y).is_multiple_of(3);
            (tick || text).then_some([0; 3])
        };
        assert_plot(&drawn(labels), Lie::Axes);
        let bar = |x: usize, y: usize| {
            ((48..53).contains(&x) && (7..29).contains(&y)).then_some([(y * 8) as u8, 0, 0])
        };
        assert_plot(&drawn(|x, y| labels(x, y).or_else(|| bar(x, y))), Lie::ColourBar);
    }

    #[test]
    fn quiet_places_of_the_margins_colour_stay() {
        let quiet = |x: usize, y: usize| {
            ((20..26).contains(&x) && (8..28).contains(&y)).then_some([255; 3])
        };
        assert_plot(&drawn(quiet), Lie::Plot);
    }

    #[test]
    fn a_picture_without_margins_is_the_spectrogram() {
        let picture = Rgb::from_fn(30, 20, |x, y| [(x * 8) as u8, (y * 12) as u8, 7]);
        let whole = Area { columns: 0..30, rows: 0..20, lie: Lie::Whole };
        assert_eq!(find(&picture), Some(whole.clone()));
        // Silence at its ends is no margin.
        let quiet = Rgb::from_fn(30, 20, |x, y| {
            if (5..25).contains(&x) && y > 8 { [200, (y * 12) as u8, 7] } else { [0, 0, 4] }
        });
        assert_eq!(find(&quiet), Some(whole));
        assert_eq!(find(&Rgb::from_fn(30, 20, |_, _| [255; 3])), None);
    }
}
