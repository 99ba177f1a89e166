//! Pictures in red, green and blue: read, cut and resized.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;

use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::error::{Error, Result};
use crate::panics::caught;

/// A picture with a longer side is refused before its pixels are decoded.
pub(super) const LARGEST_SIDE: u32 = 8192;
/// The first bytes of a JPEG.
const JPEG: &[u8] = &[0xff, 0xd8];
/// The first bytes of other pictures, and what these are called.
const OTHERS: [(&[u8], &str); 7] = [
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"%PDF", "PDF"),
    (b"<svg", "SVG"),
];
/// A 16-bit picture in grey that goes to fewer of 256 levels than these was not scaled to them.
const FEWEST_LEVELS: u8 = 32;

/// What a picture is called that begins so and is none that is read here; none for PNG and JPEG.
fn other_kind(start: &[u8]) -> Option<&'static str> {
    let is_webp = start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP");
    let is_heif = start.get(4..8) == Some(b"ftyp")
        && matches!(start.get(8..11), Some(b"hei" | b"avi" | b"mif"));
    let other = || OTHERS.iter().find(|(bytes, _)| start.starts_with(bytes)).map(|(_, name)| *name);
    if is_webp {
        Some("WebP")
    } else if is_heif {
        Some("HEIF or AVIF")
    } else {
        other()
    }
}

/// Whether the file at `path` begins as a picture does, of whatever kind.
pub(crate) fn is_picture(path: &Path) -> bool {
    let start = File::open(path)
        .map(BufReader::new)
        .and_then(|mut file| file.fill_buf().map(<[u8]>::to_vec));
    start.is_ok_and(|start| {
        start.starts_with(b"\x89PNG") || start.starts_with(JPEG) || other_kind(&start).is_some()
    })
}

/// A picture in red, green and blue, eight bits each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rgb {
    /// Row by row from the top.
    pixels: Vec<[u8; 3]>,
    width: usize,
    height: usize,
}

impl Rgb {
    /// The PNG or JPEG at `path`: what is transparent lies on white, grey is repeated.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is neither (naming what it is), damaged, or a side is
    /// longer than [`LARGEST_SIDE`], which is seen before its pixels are decoded.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
        let start = file.fill_buf().map_err(Error::io(path))?;
        if let Some(kind) = other_kind(start) {
            let reason = format!("a {kind} file; PNG and JPEG are read: convert it");
            return Err(Error::format(path, reason));
        }
        let is_jpeg = start.starts_with(JPEG);
        if !is_jpeg && !start.starts_with(b"\x89PNG") {
            return Err(Error::format(path, "not a picture: neither PNG nor JPEG"));
        }
        // The crates that decode may panic over a damaged picture.
        caught(|| if is_jpeg { Self::jpeg(path, file) } else { Self::png(path, file) })
            .unwrap_or_else(|panic| {
                let reason = format!("its decoder panicked over it ({panic}); save it again");
                Err(Error::format(path, reason))
            })
    }

    fn png(path: &Path, file: BufReader<File>) -> Result<Self> {
        let wrong = |error: png::DecodingError| Error::format(path, error);
        let mut decoder = png::Decoder::new(file);
        // Palettes and 16-bit samples become 8-bit ones.
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(wrong)?;
        let (width, height) = reader.info().size();
        check_sides(path, width as usize, height as usize)?;
        let size = reader.output_buffer_size();
        let mut data = vec![0; size.ok_or_else(|| Error::format(path, "too large"))?];
        let info = reader.next_frame(&mut data).map_err(wrong)?;
        data.truncate(info.buffer_size());
        let is_deep = reader.info().bit_depth == png::BitDepth::Sixteen;
        let most = data.iter().copied().max().unwrap_or_default();
        if is_deep && info.color_type == png::ColorType::Grayscale && most < FEWEST_LEVELS {
            let reason = format!(
                "a 16-bit picture whose levels end at {} of 65535; scale them to all of these",
                u32::from(most) * 257
            );
            return Err(Error::format(path, reason));
        }
        Self::of_samples(path, [width as usize, height as usize], &data)
    }

    fn jpeg(path: &Path, file: BufReader<File>) -> Result<Self> {
        let side = LARGEST_SIDE as usize;
        let options = DecoderOptions::default()
            .set_max_width(side)
            .set_max_height(side)
            .set_strict_mode(true)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(file, options);
        let data = decoder.decode().map_err(|error| Error::format(path, error.to_string()))?;
        let (width, height) =
            decoder.dimensions().ok_or_else(|| Error::format(path, "a JPEG without a size"))?;
        Self::of_samples(path, [width, height], &data)
    }

    /// Of samples pixel by pixel: one or two channels are grey, three or four colours.
    fn of_samples(path: &Path, [width, height]: [usize; 2], samples: &[u8]) -> Result<Self> {
        check_sides(path, width, height)?;
        let channels = samples.len() / (width * height);
        let pixels: Vec<[u8; 3]> = match channels {
            1 => samples.iter().map(|level| [*level; 3]).collect(),
            2 => samples.chunks_exact(2).map(|pixel| [on_white(pixel[0], pixel[1]); 3]).collect(),
            3 => samples.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
            4 => {
                let colour = |pixel: &[u8]| [0, 1, 2].map(|at| on_white(pixel[at], pixel[3]));
                samples.chunks_exact(4).map(colour).collect()
            }
            _ => return Err(Error::format(path, "its pixels are not all there")),
        };
        Ok(Self { pixels, width, height })
    }

    /// With the colour that `colour` gives for each column and row.
    pub fn from_fn(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Self { pixels: places.map(|(x, y)| colour(x, y)).collect(), width, height }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        self.pixels[y * self.width + x]
    }

    /// Some of its columns and rows.
    pub fn part(&self, columns: Range<usize>, rows: Range<usize>) -> Self {
        let (left, top) = (columns.start, rows.start);
        Self::from_fn(columns.len(), rows.len(), |x, y| self.pixel(left + x, top + y))
    }

    /// Each new pixel is the mean of those around its place, weighted by a triangle that covers
    /// at least what it stands for: bilinear with antialiasing, as Pillow and torchvision
    /// resize pictures.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        // Rows first: there are never more than the front end's, while columns may be many.
        self.turned().across(height).turned().across(width)
    }

    /// Columns become rows.
    fn turned(&self) -> Self {
        Self::from_fn(self.height, self.width, |x, y| self.pixel(y, x))
    }

    /// Resized to `width` columns.
    fn across(&self, width: usize) -> Self {
        if width == self.width {
            return self.clone();
        }
        let places: Vec<(usize, Vec<f32>)> =
            (0..width).map(|place| triangle(place, self.width, width)).collect();
        Self::from_fn(width, self.height, |x, y| {
            let (from, weights) = &places[x];
            let covered = &self.pixels[y * self.width + from..][..weights.len()];
            let mean = |channel: usize| {
                let levels = covered.iter().map(|pixel| f32::from(pixel[channel]));
                levels.zip(weights).map(|(level, weight)| level * weight).sum::<f32>()
            };
            // A float becomes the nearest level that there is.
            [0, 1, 2].map(|channel| mean(channel).round() as u8)
        })
    }
}

/// The first of `from` pixels that pixel `place` of `to` is made of, and the weights of that
/// one and those behind it.
fn triangle(place: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let centre = (place as f64 + 0.5) * scale;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let end = ((centre + reach + 0.5) as usize).clamp(first + 1, from.max(first + 1));
    let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - centre) / reach).abs()).max(0.0);
    let sum: f64 = (first..end).map(weight).sum();
    (first, (first..end).map(|at| (weight(at) / sum) as f32).collect())
}

/// A level of which `alpha` of 255 covers white.
fn on_white(level: u8, alpha: u8) -> u8 {
    let (level, alpha) = (u32::from(level), u32::from(alpha));
    ((level * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn check_sides(path: &Path, width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::format(path, "the picture has no pixels"));
    }
    if width.max(height) > LARGEST_SIDE as usize {
        let reason = format!("{width} x {height} pixels; at most {LARGEST_SIDE} a side");
        return Err(Error::format(path, reason));
    }
    Ok(())
}

/// Writes a picture with channels of this kind; all is opaque.
#[cfg(test)]
pub(super) fn write_png(path: &Path, picture: &Rgb, kind: png::ColorType) {
    let (width, height) = picture.size();
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(kind);
    let samples: Vec<u8> = (picture.pixels.iter())
        .flat_map(|[r, g, b]| match kind {
            png::ColorType::Grayscale => vec![*r],
            png::ColorType::Rgba => vec![*r, *g, *b, 255],
            _ => vec![*r, *g, *b],
        })
        .collect();
    encoder.write_header().unwrap().write_image_data(&samples).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against Pillow 13: `Image.resize(…, BILINEAR)` of the same pixels.
    #[test]
    fn pixels_are_means_of_what_they_cover() {
        let row = Rgb::from_fn(4, 1, |x, _| [[0, 100, 200, 40][x]; 3]);
        let levels = |width| {
            let found = row.resized(width, 1);
            found.pixels.iter().map(|pixel| pixel[0]).collect::<Vec<_>>()
        };
        // Halved, a pixel reaches two pixels far: weights 3, 3, 1 of 7 at the edges.
        assert_eq!(levels(2), [71, 117]);
        // Doubled, it is a straight line between two.
        assert_eq!(levels(8), [0, 25, 75, 125, 175, 160, 80, 40]);
        assert_eq!(levels(3), [30, 150, 88]);
        let column = row.turned().resized(1, 3);
        assert_eq!(column, row.resized(3, 1).turned());
    }

    #[test]
    fn grey_and_colour_are_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture = Rgb::from_fn(5, 3, |x, y| [(x * 40 + y) as u8; 3]);
        for kind in [png::ColorType::Grayscale, png::ColorType::Rgb, png::ColorType::Rgba] {
            write_png(&path, &picture, kind);
            assert_eq!(Rgb::read(&path).unwrap(), picture, "{kind:?}");
        }
    }

    /// A JPEG of 8 x 8 pixels, all of the colour (120, 40, 90), by Pillow 13 with quality 95.
    const PLAIN_JPEG: &[u8] = include_bytes!("testdata/plain.jpg");

    #[test]
    fn a_jpeg_is_read_by_what_it_is_not_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, PLAIN_JPEG).unwrap();
        let picture = Rgb::read(&path).unwrap();
        assert_eq!(picture.size(), (8, 8));
        let near = |(level, wanted): (u8, u8)| level.abs_diff(wanted) <= 2;
        assert!(picture.pixel(3, 5).into_iter().zip([120, 40, 90]).all(near), "{picture:?}");
    }

    #[test]
    fn what_is_no_picture_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let refused = || {
            let error = Rgb::read(&path).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{error}");
            error.to_string()
        };
        for bytes in [&b""[..], b"no picture", &PLAIN_JPEG[..40], &PLAIN_JPEG[..2]] {
            std::fs::write(&path, bytes).unwrap();
            refused();
        }
        // A header that promises 65500 x 65500 pixels.
        let mut huge = PLAIN_JPEG.to_vec();
        let at = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap() + 5;
        huge[at..at + 4].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        std::fs::write(&path, &huge).unwrap();
        refused();
        write_png(&path, &Rgb::from_fn(8193, 1, |_, _| [9; 3]), png::ColorType::Rgb);
        assert!(refused().contains("8193 x 1 pixels; at most 8192 a side"));
    }
}
