//! The colour maps that spectrograms are drawn in, and the way back from a colour to its place.
//!
//! `colour_maps.png` has a row of 256 colours for each, written from matplotlib 3.11 by
//! `scripts/make-colour-maps.py`, rounded to eight bits. Crates with colour maps (colorous,
//! colorgrad) have not all of them, and cividis in an approximation of their own.
//!
//! Where they come from: viridis, plasma, inferno, magma (van der Walt & Smith) and cividis
//! (Nunez et al.) are CC0; those from Greys to YlGn are ColorBrewer's (Cynthia Brewer, Apache-2.0);
//! turbo is Google's (Apache-2.0); coolwarm is Moreland's; the others are matplotlib's own, under
//! its licence, which is that of Python in kind.

use std::io::Cursor;
use std::sync::LazyLock;

use crate::error::{Error, Result};

/// The maps by matplotlib's names, a row of the table each. Of maps with the same colours the first
/// is the one that is recognized.
const NAMES: [&str; 39] = [
    "viridis",
    "plasma",
    "inferno",
    "magma",
    "cividis",
    "gray",
    "Greys",
    "Purples",
    "Blues",
    "Greens",
    "Oranges",
    "Reds",
    "YlOrBr",
    "YlOrRd",
    "OrRd",
    "PuRd",
    "RdPu",
    "BuPu",
    "GnBu",
    "PuBu",
    "YlGnBu",
    "PuBuGn",
    "BuGn",
    "YlGn",
    "bone",
    "pink",
    "spring",
    "summer",
    "autumn",
    "winter",
    "cool",
    "Wistia",
    "hot",
    "afmhot",
    "gist_heat",
    "copper",
    "jet",
    "turbo",
    "coolwarm",
];
/// Other names of such maps.
const ALIASES: [(&str, &str); 6] = [
    ("grey", "gray"),
    ("gist_gray", "gray"),
    ("gist_grey", "gray"),
    ("binary", "gray_r"),
    ("gist_yarg", "gray_r"),
    ("gist_yerg", "gray_r"),
];
/// Colours of a map.
const LENGTH: usize = 256;
/// What a difference of hue counts beside one of light: JPEG keeps a quarter of the hues.
const HUE: f32 = 0.3;

/// The colours of every map.
static TABLES: LazyLock<Vec<[[u8; 3]; LENGTH]>> = LazyLock::new(tables);

fn tables() -> Vec<[[u8; 3]; LENGTH]> {
    let png = png::Decoder::new(Cursor::new(include_bytes!("colour_maps.png")));
    let mut samples = vec![0; NAMES.len() * LENGTH * 3];
    let read = png.read_info().and_then(|mut reader| reader.next_frame(&mut samples));
    assert!(read.is_ok(), "the table of colour maps is part of the program");
    let row =
        |row: &[u8]| std::array::from_fn(|at| [row[at * 3], row[at * 3 + 1], row[at * 3 + 2]]);
    samples.chunks_exact(LENGTH * 3).map(row).collect()
}

/// A colour map, perhaps from its end to its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColourMap {
    row: usize,
    reversed: bool,
}

impl ColourMap {
    /// All maps from their beginning to their end: a reversed one has the same colours.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..NAMES.len()).map(|row| Self { row, reversed: false })
    }

    /// The map that matplotlib calls so; `_r` behind a name reverses it.
    ///
    /// # Errors
    /// [`Error::Unknown`] with the names there are.
    pub fn named(name: &str) -> Result<Self> {
        let unknown = || Error::Unknown {
            what: "colour map",
            name: name.to_owned(),
            choices: format!("{}, or one of these with _r behind it", NAMES.join(", ")),
        };
        let plain = |name: &str| {
            let found = ALIASES.iter().find(|(alias, _)| *alias == name);
            let name = found.map_or(name, |(_, name)| name);
            let (name, reversed) =
                name.strip_suffix("_r").map_or((name, false), |start| (start, true));
            let row = NAMES.iter().position(|known| *known == name)?;
            Some(Self { row, reversed })
        };
        let reversed = || {
            let map = plain(name.strip_suffix("_r")?)?;
            Some(Self { reversed: !map.reversed, ..map })
        };
        plain(name).or_else(reversed).ok_or_else(unknown)
    }

    /// Its name.
    pub fn name(self) -> String {
        format!("{}{}", NAMES[self.row], if self.reversed { "_r" } else { "" })
    }

    /// Its place in the list.
    pub fn place(self) -> usize {
        self.row
    }

    /// Whether it has the colours of another, in whatever order.
    pub fn has_colours_of(self, other: Self) -> bool {
        let is_grey = |map: Self| matches!(NAMES[map.row], "gray" | "Greys");
        self.row == other.row || is_grey(self) && is_grey(other)
    }

    /// The intensity of a colour, from 0 to 255, and how far the colour is from the nearest of the
    /// map: the root of the mean square of its three differences, in levels of 255.
    pub fn nearest(self, colour: [u8; 3]) -> (u8, f32) {
        let table = &TABLES[self.row];
        let (mut best, mut least) = (0, f32::MAX);
        for (at, other) in table.iter().enumerate() {
            let apart = apart(colour, *other);
            if apart < least {
                (best, least) = (at, apart);
            }
        }
        let square = |(a, b): (u8, u8)| f32::from(a.abs_diff(b)).powi(2);
        let sum: f32 = colour.into_iter().zip(table[best]).map(square).sum();
        let place = if self.reversed { LENGTH - 1 - best } else { best };
        (place as u8, (sum / 3.0).sqrt())
    }
}

/// How different two colours are: the square of their distance in light (ITU-R 601) and, for
/// less, in hue.
fn apart(one: [u8; 3], other: [u8; 3]) -> f32 {
    let [r, g, b] = [0, 1, 2].map(|at| f32::from(one[at]) - f32::from(other[at]));
    let light = 0.299 * r + 0.587 * g + 0.114 * b;
    let (blue, red) = (HUE * 0.564 * (b - light), HUE * 0.713 * (r - light));
    light * light + blue * blue + red * red
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::magma;

    #[test]
    fn the_table_is_whole_and_its_magma_is_that_of_gtzans_pictures() {
        assert_eq!(TABLES.len(), NAMES.len());
        let magma_map = ColourMap::named("magma").unwrap();
        for level in 0..=255 {
            assert_eq!(magma_map.nearest(magma(level)), (level, 0.0));
        }
    }

    #[test]
    fn every_colour_has_its_own_place_as_far_as_colours_differ() {
        for map in ColourMap::all() {
            for (at, colour) in TABLES[map.row].iter().enumerate() {
                let (place, residual) = map.nearest(*colour);
                assert_eq!(residual, 0.0, "{}", map.name());
                assert_eq!(TABLES[map.row][usize::from(place)], *colour, "{} {at}", map.name());
            }
        }
    }

    #[test]
    fn maps_have_their_names_and_reversed_ones_the_other_order() {
        for (name, known) in [
            ("viridis", "viridis"),
            ("viridis_r", "viridis_r"),
            ("binary", "gray_r"),
            ("binary_r", "gray"),
            ("gist_gray", "gray"),
        ] {
            assert_eq!(ColourMap::named(name).unwrap().name(), known);
        }
        let reversed = ColourMap::named("gray_r").unwrap();
        assert_eq!(reversed.nearest([255; 3]).0, 0);
        let unknown = ColourMap::named("magna").unwrap_err().to_string();
        assert!(unknown.contains("\"magna\"") && unknown.contains("viridis, plasma"), "{unknown}");
    }
}
