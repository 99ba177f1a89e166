//! Spectrograms that exist only as pictures: GTZAN's `images_original`.
//!
//! Each is a plot by matplotlib: a mel spectrogram in decibels in the colour map
//! *magma*, inside a dark frame one pixel wide, inside white margins. Both are cut off
//! exactly, and every colour is mapped back to its place in the map (256 of them, all
//! different), so that one intensity channel remains and nothing is lost. The rows are
//! then averaged down to the mel bands.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::extractor::LogMel;
use super::invalid::InvalidFrontEnd;
use super::magma::magma;
use crate::error::{Error, Result};

/// Extensions of such plots, whose colours no JPEG keeps.
pub(crate) const PLOT_EXTENSIONS: &[&str] = &["png"];

/// The colour map that is read.
const COLORMAP: &str = "magma";
/// A picture with a longer side is refused before its pixels are decoded.
pub(super) const LARGEST_SIDE: u32 = 8192;
/// Mel bands that rows are averaged down to, where nothing else is asked for, and frames of a
/// patch: what did best on the validation part of GTZAN's pictures.
const MELS: usize = 192;
const PATCH_FRAMES: usize = 64;

/// How a picture becomes a map of `[frames, mels]`: what
/// [`FrontEnd`](super::front_end::FrontEnd) is for audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureFrontEnd {
    /// Always `picture`: tells this description from an audio front end.
    pub kind: PictureKind,
    /// Colour map that intensities are read from.
    pub colormap: String,
    /// Columns of the plot inside its frame, one frame each.
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
    /// The front end for pictures like the one at `path`; without numbers 192 mel bands and
    /// patches of 64 frames, or as many as there are.
    ///
    /// # Errors
    /// Those of [`PictureFrontEnd::read`].
    pub(crate) fn like(
        path: &Path,
        mels: Option<usize>,
        patch_frames: Option<usize>,
    ) -> Result<Self> {
        let plot = Plot::read(path)?;
        let mels = mels.unwrap_or(MELS.min(plot.rows));
        let patch_frames = patch_frames.unwrap_or(PATCH_FRAMES.min(plot.columns));
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
            colormap: COLORMAP.to_owned(),
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
        if self.colormap != COLORMAP {
            let expected = format!("only \"{COLORMAP}\" can be read");
            return Err(InvalidFrontEnd::field(
                "colormap",
                format!("\"{}\"", self.colormap),
                expected,
            ));
        }
        Ok(())
    }

    /// Intensities from 0 to 1, `[frames, mels]`, lowest band first.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if the file is no PNG, has nothing inside its
    /// margins, another size than the collection's, or colours that are not magma's.
    #[doc(hidden)]
    pub fn read(&self, path: &Path) -> Result<LogMel> {
        let plot = Plot::read(path)?;
        if [plot.columns, plot.rows] != [self.frames, self.rows] {
            let reason = format!(
                "the plot inside the margins is {} x {}, the other pictures' {} x {}",
                plot.columns, plot.rows, self.frames, self.rows
            );
            return Err(Error::format(path, reason));
        }
        Ok(plot.bands(self.mels))
    }
}

/// The largest hop, at most `patch` (1 or more), at which patches cover all frames evenly.
fn even_hop(frames: usize, patch: usize) -> usize {
    let rest = frames.saturating_sub(patch);
    rest.checked_div(rest.div_ceil(patch)).unwrap_or(patch)
}

/// The intensities inside the frame of a plot, row-major from the top, 0 to 255.
struct Plot {
    intensities: Vec<u8>,
    columns: usize,
    rows: usize,
}

impl Plot {
    fn read(path: &Path) -> Result<Self> {
        let picture = Picture::read(path)?;
        let refuse = |reason: &str| Error::format(path, reason);
        let (top, bottom) = picture
            .extent(Picture::is_row_blank, picture.height)
            .ok_or_else(|| refuse("the picture is all white"))?;
        let (left, right) = picture
            .extent(Picture::is_column_blank, picture.width)
            .ok_or_else(|| refuse("the picture is all white"))?;
        // The frame is one pixel wide on every side.
        if right - left < 4 || bottom - top < 4 {
            return Err(refuse("there is no plot inside the white margins"));
        }
        let (columns, rows) = (right - left - 1, bottom - top - 1);
        let mut intensities = Vec::with_capacity(columns * rows);
        for y in top + 1..bottom {
            for x in left + 1..right {
                let colour = picture.pixel(x, y);
                let intensity = intensity(colour).ok_or_else(|| {
                    refuse(&format!(
                        "the colour {colour:?} at column {x}, row {y} is not in the colour map magma"
                    ))
                })?;
                intensities.push(intensity);
            }
        }
        Ok(Self { intensities, columns, rows })
    }

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
                    bands[[column, mel]] += covered * f32::from(*intensity) / 255.0;
                }
            }
        }
        bands
    }
}

/// A decoded PNG.
struct Picture {
    data: Vec<u8>,
    channels: usize,
    width: usize,
    height: usize,
}

impl Picture {
    fn read(path: &Path) -> Result<Self> {
        let wrong = |error: png::DecodingError| Error::format(path, error);
        let file = File::open(path).map_err(Error::io(path))?;
        let mut decoder = png::Decoder::new(BufReader::new(file));
        // Palettes and 16-bit samples become 8-bit ones.
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(wrong)?;
        let (width, height) = reader.info().size();
        if width.max(height) > LARGEST_SIDE {
            let reason = format!("{width} x {height} pixels; at most {LARGEST_SIDE} a side");
            return Err(Error::format(path, reason));
        }
        let size = reader.output_buffer_size();
        let mut data = vec![0; size.ok_or_else(|| Error::format(path, "too large"))?];
        let info = reader.next_frame(&mut data).map_err(wrong)?;
        data.truncate(info.buffer_size());
        let channels = info.color_type.samples();
        if channels < 3 {
            let reason = "a grey picture; a plot in the colour map magma is needed";
            return Err(Error::format(path, reason));
        }
        Ok(Self { data, channels, width: width as usize, height: height as usize })
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * self.channels;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    fn is_row_blank(&self, y: usize) -> bool {
        (0..self.width).all(|x| self.pixel(x, y) == [255; 3])
    }

    fn is_column_blank(&self, x: usize) -> bool {
        (0..self.height).all(|y| self.pixel(x, y) == [255; 3])
    }

    /// The first and last line that is not blank.
    fn extent(&self, is_blank: fn(&Self, usize) -> bool, lines: usize) -> Option<(usize, usize)> {
        let first = (0..lines).find(|line| !is_blank(self, *line))?;
        let last = (0..lines).rev().find(|line| !is_blank(self, *line))?;
        Some((first, last))
    }
}

/// Place of `colour` in the colour map magma.
fn intensity(colour: [u8; 3]) -> Option<u8> {
    static MAP: LazyLock<Vec<([u8; 3], u8)>> = LazyLock::new(|| {
        let one = |at: u8| (magma(at), at);
        let mut map: Vec<_> = (0..=255).map(one).collect();
        map.sort_unstable();
        map
    });
    let at = MAP.binary_search_by_key(&colour, |(colour, _)| *colour).ok()?;
    Some(MAP[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let front_end = PictureFrontEnd::like(&path, Some(16), Some(8)).unwrap();
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
        let good = PictureFrontEnd::like(&path, Some(16), Some(8)).unwrap();
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
        assert!(changed(|f| f.colormap = "viridis".into()).contains("\"viridis\""));
    }

    #[test]
    fn bands_are_means_over_the_rows_they_cover() {
        let plot = Plot { intensities: vec![255, 0, 51], columns: 1, rows: 3 };
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
