//! From a file to the pixels of patches.

use std::path::Path;

use ndarray::ArrayView2;

use super::extractor::LogMel;
use super::image::ImageFrontEnd;
use super::magma::magma;
use super::plot::{Seen, blank};
use super::plot_area;
use super::rgb::Rgb;
use crate::error::{Error, Result};

/// Extensions of pictures: those that are read, and those that are refused by name.
pub(crate) const PICTURE_EXTENSIONS: &[&str] =
    &["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"];

/// The most values that all patches of a picture may have together, a gigabyte.
const MOST_VALUES: usize = 1 << 28;
/// A picture as a backbone will see it.
#[derive(Debug)]
pub(super) struct Pixels {
    /// `[columns, height * channels]`: each column from the top, the channels of a pixel
    /// together. At least a patch wide.
    pub values: LogMel,
    /// Whether the picture was narrower than a patch and has been stretched.
    pub stretched: bool,
    /// What it was recognized as.
    pub seen: Seen,
}

impl ImageFrontEnd {
    /// The picture at `path`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is no PNG or JPEG, all white, or too large.
    pub(super) fn read(&self, path: &Path) -> Result<Pixels> {
        let picture = Rgb::read(path)?;
        let blank = || Error::format(path, blank(&picture));
        let area = plot_area::find(&picture).ok_or_else(blank)?;
        let plot = picture.part(area.columns, area.rows);
        let natural = self.natural_width(plot.size());
        let columns = self.columns(natural);
        let patches = 1 + (columns - self.width) / self.patch_hop;
        let values = patches.checked_mul(self.width * self.height * self.channels);
        if values.is_none_or(|values| values > MOST_VALUES) {
            let (width, height) = plot.size();
            let reason = format!(
                "{width} x {height} pixels would become {patches} patches; cut the picture into \
                 shorter ones, or raise patch_hop"
            );
            return Err(Error::format(path, reason));
        }
        Ok(Pixels {
            values: self.normalized(&plot.resized(columns, self.height)),
            stretched: natural < self.width,
            seen: Seen::of_colours(&plot, area.lie),
        })
    }

    /// The picture that intensities `[rows, columns]` from 0 to 1, the lowest row first, make in
    /// the colour map magma, as this front end shows it: what stands in for a file.
    pub(crate) fn drawn(&self, intensities: ArrayView2<'_, f32>) -> LogMel {
        let (rows, columns) = intensities.dim();
        let picture = Rgb::from_fn(columns, rows, |x, y| {
            magma((intensities[[rows - 1 - y, x]] * 255.0) as u8)
        });
        self.normalized(&picture.resized(self.width, self.height))
    }

    /// The width at which a picture of this size keeps its proportions, `height` pixels high.
    fn natural_width(&self, (width, height): (usize, usize)) -> usize {
        (width as f64 * self.height as f64 / height as f64).round() as usize
    }

    /// The width nearest to `natural` that patches cover to both ends.
    fn columns(&self, natural: usize) -> usize {
        let beyond = natural.saturating_sub(self.width);
        self.width + (beyond + self.patch_hop / 2) / self.patch_hop * self.patch_hop
    }

    /// `[columns, height * channels]`.
    fn normalized(&self, picture: &Rgb) -> LogMel {
        let tables: Vec<Vec<f32>> =
            self.mean.iter().zip(&self.deviation).map(|numbers| self.table(numbers)).collect();
        let (width, height) = picture.size();
        LogMel::from_shape_fn((width, height * self.channels), |(x, at)| {
            let channel = at % self.channels;
            let pixel = picture.pixel(x, at / self.channels);
            let level = if self.channels == 1 { grey(pixel) } else { pixel[channel] };
            tables[channel][usize::from(level)]
        })
    }

    /// What every level of a channel becomes.
    fn table(&self, (mean, deviation): (&f32, &f32)) -> Vec<f32> {
        let level = |level: u8| f32::from(level) / 255.0 * self.white;
        (0..=255).map(|at| (level(at) - mean) / deviation).collect()
    }
}

/// The grey of a colour after ITU-R 601.
fn grey(colour: [u8; 3]) -> u8 {
    let [red, green, blue] = colour.map(u32::from);
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::rgb::write_png;

    /// Pixels as they are: from 0 to 255, patches of this size.
    fn plain(channels: usize, [height, width, patch_hop]: [usize; 3]) -> ImageFrontEnd {
        ImageFrontEnd {
            height,
            width,
            channels,
            white: 255.0,
            mean: vec![0.0; channels],
            deviation: vec![1.0; channels],
            patch_hop,
            ..ImageFrontEnd::preset("imagenet").unwrap()
        }
    }

    /// As matplotlib draws: margins, a dark frame, through which the plot's edge shines.
    fn draw(columns: usize, rows: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Rgb {
        let frame_x = 4..columns + 6;
        let frame_y = 2..rows + 4;
        Rgb::from_fn(columns + 9, rows + 7, |x, y| {
            let inside = (5..columns + 5).contains(&x) && (3..rows + 3).contains(&y);
            match (inside, frame_x.contains(&x) && frame_y.contains(&y)) {
                (true, _) => colour(x - 5, y - 3),
                (false, true) => [(x % 52) as u8, 51, 0],
                (false, false) => [255; 3],
            }
        })
    }

    fn read(front_end: &ImageFrontEnd, picture: &Rgb) -> Result<Pixels> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write_png(&path, picture, png::ColorType::Rgb);
        front_end.read(&path)
    }

    #[test]
    fn the_inside_of_a_plot_comes_back_to_the_pixel() {
        // The outermost pixels of the plot itself are dark, or white.
        let colour = |x: usize, y: usize| match (x, y) {
            (0, _) => magma(y as u8),
            (15, _) => [255; 3],
            _ => magma((x * 16 + y) as u8),
        };
        let picture = draw(16, 16, colour);
        let front_end = plain(3, [16, 8, 4]);
        let found = read(&front_end, &picture).unwrap();
        assert_eq!((found.values.dim(), found.stretched), ((16, 48), false));
        for (x, y) in (0..16).flat_map(|x| (0..16).map(move |y| (x, y))) {
            let row = found.values.row(x);
            let pixel = colour(x, y).map(f32::from);
            assert_eq!(row.as_slice().unwrap()[y * 3..][..3], pixel, "{x}, {y}");
        }
        // The alpha that matplotlib writes is dropped.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        write_png(&path, &picture, png::ColorType::Rgba);
        assert_eq!(front_end.read(&path).unwrap().values, found.values);
    }

    #[test]
    fn a_picture_without_margins_is_taken_whole_and_one_without_a_frame_too() {
        // White on these sides; the others' edges are content.
        let picture = |left: bool, right: bool| {
            Rgb::from_fn(8, 8, move |x, y| {
                let margin = (y == 0 || y == 7) || (x == 0 && left) || (x == 7 && right);
                if margin { [255; 3] } else { [x as u8 + 60, y as u8, 200] }
            })
        };
        let whole = read(&plain(3, [8, 8, 8]), &picture(true, false)).unwrap().values;
        assert_eq!((whole.dim(), whole[[0, 0]], whole[[7, 3]]), ((8, 24), 255.0, 67.0));
        let inside = read(&plain(3, [6, 6, 6]), &picture(true, true)).unwrap().values;
        assert_eq!((inside.dim(), inside[[0, 0]]), ((6, 18), 61.0), "its edge is no frame");
        let white = Rgb::from_fn(8, 8, |_, _| [255; 3]);
        let error = read(&plain(3, [8, 8, 8]), &white).unwrap_err().to_string();
        assert!(error.ends_with("a.png: the picture is all white"), "{error}");
    }

    #[test]
    fn patches_cover_a_picture_to_both_ends() {
        let columns = |natural| plain(3, [224, 224, 56]).columns(natural);
        for (natural, wanted) in [(1, 224), (224, 224), (251, 224), (252, 280), (346, 336)] {
            assert_eq!(columns(natural), wanted, "{natural}");
        }
        // GTZAN's plots.
        assert_eq!(plain(3, [224, 224, 56]).natural_width((334, 216)), 346);
        let narrow = Rgb::from_fn(10, 20, |x, y| [(x * 20 + y) as u8; 3]);
        let found = read(&plain(3, [20, 16, 4]), &narrow).unwrap();
        assert_eq!((found.values.dim(), found.stretched), ((16, 60), true));
    }

    #[test]
    fn values_are_normalized_channel_by_channel() {
        let front_end = ImageFrontEnd {
            mean: vec![0.5, 0.0, 1.0],
            deviation: vec![0.5, 2.0, 4.0],
            white: 1.0,
            ..plain(3, [1, 1, 1])
        };
        let pixel = Rgb::from_fn(1, 1, |_, _| [255, 255, 51]);
        let values = front_end.normalized(&pixel);
        assert_eq!(values.as_slice().unwrap(), [1.0, 0.5, -0.2]);
        let colour = Rgb::from_fn(1, 1, |_, _| [200, 100, 50]);
        let grey = plain(1, [1, 1, 1]).normalized(&colour);
        // Pillow's convert("L").
        assert_eq!(grey.as_slice().unwrap(), [124.0]);
    }

    #[test]
    fn a_picture_that_would_fill_the_memory_is_refused() {
        // 8000 x 1 pixels, 224 high, would be 1.8 million columns.
        let long = Rgb::from_fn(8000, 1, |x, _| [(x % 200) as u8; 3]);
        let error = read(&plain(3, [224, 224, 56]), &long).unwrap_err().to_string();
        assert!(error.contains("8000 x 1 pixels would become") && error.contains("patches"));
    }
}
