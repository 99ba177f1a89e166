//! Spectrograms that exist only as pictures: GTZAN's `images_original`, and others' plots.
//!
//! What is around the spectrogram (margins, frame, axes, colour bar) is cut off, and every colour is
//! mapped back to its place in its colour map (of GTZAN's *magma* 256, all different), so that one
//! intensity channel remains; of what JPEG and smoothing have not touched nothing is lost. The
//! rows are then averaged down to the mel bands.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::colour_maps::ColourMap;
use super::extractor::LogMel;
use super::invalid::InvalidFrontEnd;
use super::plot::{Plot, Seen};
use super::rgb::LARGEST_SIDE;
use crate::error::{Error, Result};

/// How many mel bands or frames of a picture are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// So many; fewer are refused.
    Exactly(usize),
    /// So many, or as many as there are.
    AtMost(usize),
}

impl Wanted {
    fn of(self, there: usize) -> usize {
        match self {
            Self::Exactly(count) => count,
            Self::AtMost(count) => count.min(there),
        }
    }
}

/// How a picture becomes a map of `[frames, mels]`: what
/// [`FrontEnd`](super::front_end::FrontEnd) is for audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureFrontEnd {
    /// Always `picture`: tells this description from an audio front end.
    pub kind: PictureKind,
    /// Colour map that intensities are read from, by matplotlib's name: that of the pictures learned
    /// from. A picture in another that is recognized is read from that one.
    pub colormap: String,
    /// Columns of the plot inside its frame, one frame each. A plot of as many rows may have others;
    /// any other is resized.
    pub frames: usize,
    /// Rows of the plot inside its frame.
    pub rows: usize,
    /// Bands that the rows are averaged down to, lowest first.
    pub mels: usize,
    /// Frames of a patch.
    pub patch_frames: usize,
    /// Frames from one patch to the next when a track is scored.
    pub patch_hop: usize,
}

/// The one kind of [`PictureFrontEnd`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureKind {
    /// A picture.
    #[default]
    Picture,
}

impl PictureFrontEnd {
    /// The front end for pictures like the one at `path`, whose rows are averaged down to `mels`
    /// bands; its colours are in `colour_map`, or that is found out.
    ///
    /// # Errors
    /// Those of [`PictureFrontEnd::read`]; [`Error::Unknown`] for an unknown colour map;
    /// [`Error::Format`] if the picture is in another.
    pub(crate) fn like(
        path: &Path,
        mels: Wanted,
        patch_frames: Wanted,
        colour_map: Option<&str>,
    ) -> Result<Self> {
        let wanted = colour_map.map(ColourMap::named).transpose()?;
        let plot = Plot::read(path, wanted)?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != plot.map) {
            let reason = format!(
                "its colours are {}'s, not those of ‹colour-map› {}",
                plot.map.name(),
                wanted.name()
            );
            return Err(Error::format(path, reason));
        }
        let (mels, patch_frames) = (mels.of(plot.rows), patch_frames.of(plot.columns));
        if !(1..=plot.rows).contains(&mels) {
            let reason =
                format!("the plot has {} rows; {mels} mel bands are not possible", plot.rows);
            return Err(Error::format(path, reason));
        }
        if !(1..=plot.columns).contains(&patch_frames) {
            let reason = format!(
                "the plot has {} columns; patches of {patch_frames} do not fit",
                plot.columns
            );
            return Err(Error::format(path, reason));
        }
        Ok(Self {
            kind: PictureKind::Picture,
            colormap: plot.map.name(),
            frames: plot.columns,
            rows: plot.rows,
            mels,
            patch_frames,
            patch_hop: even_hop(plot.columns, patch_frames),
        })
    }

    /// Whether such pictures can be read.
    ///
    /// # Errors
    /// [`InvalidFrontEnd`] naming the field and its value.
    pub(crate) fn validate(&self) -> Result<(), InvalidFrontEnd> {
        let side = LARGEST_SIDE as usize;
        for (field, value, most) in [
            ("frames", self.frames, side),
            ("rows", self.rows, side),
            ("mels", self.mels, self.rows),
            ("patch_frames", self.patch_frames, self.frames),
            ("patch_hop", self.patch_hop, usize::MAX),
        ] {
            if !(1..=most).contains(&value) {
                let expected = match value {
                    0 => "at least 1 is needed".to_owned(),
                    _ => format!("at most {most} are possible"),
                };
                return Err(InvalidFrontEnd::field(field, value, expected));
            }
        }
        ColourMap::named(&self.colormap).map(drop).map_err(|unknown| {
            let value = format!("\"{}\"", self.colormap);
            InvalidFrontEnd::field("colormap", value, unknown.to_string())
        })
    }

    /// Intensities from 0 to 1, `[frames, mels]`, lowest band first.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if the file is no PNG or JPEG, is of one colour, or no
    /// spectrogram in a colour map that is known.
    #[doc(hidden)]
    pub fn read(&self, path: &Path) -> Result<LogMel> {
        self.look(path).map(|(intensities, _)| intensities)
    }

    /// The same, and how it was seen.
    ///
    /// # Errors
    /// Those of [`PictureFrontEnd::read`].
    pub(crate) fn look(&self, path: &Path) -> Result<(LogMel, Seen)> {
        let plot = Plot::read(path, ColourMap::named(&self.colormap).ok())?;
        let fits = plot.rows == self.rows && plot.columns >= self.patch_frames;
        let plot = if fits { plot } else { plot.resized(self.frames, self.rows) };
        Ok((plot.bands(self.mels), plot.seen))
    }
}

/// The largest hop, at most `patch` (1 or more), at which patches cover all frames evenly.
fn even_hop(frames: usize, patch: usize) -> usize {
    let rest = frames.saturating_sub(patch);
    rest.checked_div(rest.div_ceil(patch)).unwrap_or(patch)
}

impl Plot {
    /// `[columns, mels]`: each band the mean of the rows it covers, the lowest row first.
    fn bands(&self, mels: usize) -> LogMel {
        let mut bands = LogMel::zeros((self.columns, mels));
        let height = self.rows as f32 / mels as f32;
        for mel in 0..mels {
            let (from, to) = (mel as f32 * height, (mel + 1) as f32 * height);
            for row in from as usize..(to.ceil() as usize).min(self.rows) {
                let covered = (to.min((row + 1) as f32) - from.max(row as f32)) / height;
                let line =
                    &self.intensities[(self.rows - 1 - row) * self.columns..][..self.columns];
                for (column, intensity) in line.iter().enumerate() {
                    bands[[column, mel]] += covered * intensity / 255.0;
                }
            }
        }
        bands
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::features::magma;

    /// A plot as matplotlib draws it: margins, a frame, `intensities` inside.
    fn draw(path: &Path, columns: usize, rows: usize, intensity: impl Fn(usize, usize) -> u8) {
        let (width, height) = (columns + 8, rows + 10);
        let mut pixels = vec![255u8; width * height * 4];
        let mut set = |x: usize, y: usize, [r, g, b]: [u8; 3]| {
            pixels[(y * width + x) * 4..][..4].copy_from_slice(&[r, g, b, 255]);
        };
        for y in 0..rows + 2 {
            for x in 0..columns + 2 {
                set(x + 3, y + 4, [51; 3]);
            }
        }
        for y in 0..rows {
            for x in 0..columns {
                set(x + 4, y + 5, magma(intensity(x, y)));
            }
        }
        let file = File::create(path).unwrap();
        let mut encoder = png::Encoder::new(file, width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgba);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }

    #[test]
    fn every_intensity_comes_back_and_the_lowest_row_is_the_first_band() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        draw(&path, 16, 16, |x, y| (y * 16 + x) as u8);
        let front_end =
            PictureFrontEnd::like(&path, Wanted::Exactly(16), Wanted::AtMost(8), None).unwrap();
        assert_eq!((front_end.frames, front_end.rows, front_end.patch_hop), (16, 16, 8));
        let log_mel = front_end.read(&path).unwrap();
        assert_eq!(log_mel.dim(), (16, 16));
        for x in 0..16 {
            for y in 0..16 {
                assert_eq!(log_mel[[x, 15 - y]], (y * 16 + x) as f32 / 255.0);
            }
        }
    }

    #[test]
    fn what_is_no_front_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        draw(&path, 16, 16, |x, y| (y * 16 + x) as u8);
        let good =
            PictureFrontEnd::like(&path, Wanted::Exactly(16), Wanted::AtMost(8), None).unwrap();
        good.validate().unwrap();
        let changed = |change: fn(&mut PictureFrontEnd)| {
            let mut front_end = good.clone();
            change(&mut front_end);
            front_end.validate().unwrap_err().to_string()
        };
        assert_eq!(changed(|f| f.patch_hop = 0), "patch_hop is 0; at least 1 is needed");
        assert_eq!(
            changed(|f| f.mels = 1 << 60),
            format!("mels is {}; at most 16 are possible", 1u64 << 60)
        );
        assert!(changed(|f| f.patch_frames = 17).contains("patch_frames is 17"));
        assert!(changed(|f| f.colormap = "magna".into()).contains("\"magna\""));
    }

    #[test]
    fn bands_are_means_over_the_rows_they_cover() {
        let seen = Seen {
            form: "plot".into(),
            colour_map: None,
            residual: None,
            resized_from: None,
            lean: None,
        };
        let map = ColourMap::named("gray").unwrap();
        let intensities = vec![255.0, 0.0, 51.0];
        let plot = Plot { intensities, columns: 1, rows: 3, map, seen };
        // From below: 51, 0, 255; the middle row belongs to both bands by half.
        let bands = plot.bands(2);
        let wanted = [(0.2 + 0.0) / 1.5, (0.0 + 1.0) / 1.5];
        assert!(bands.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{bands:?}");
    }

    #[test]
    fn patches_cover_the_frames_evenly() {
        assert_eq!(even_hop(334, 128), 103);
        assert_eq!(even_hop(128, 128), 128);
        assert_eq!(even_hop(256, 128), 128);
    }
}
