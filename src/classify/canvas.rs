//! Pixels to draw on with plotters, saved as PNG.
//!
//! Letters are 8 by 8 dots of the crate `font8x8`, so that a picture looks the same on every
//! machine, with fonts or without. `resvg`, which would turn the SVG into pixels, takes the
//! letters from the machine's fonts and is 31 crates more to build; plotters' own bitmap back end
//! needs those fonts too.

use std::convert::Infallible;

use font8x8::UnicodeFonts;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

/// Pixels of a dot: letters are twice as high as wide.
const DOT: (i32, i32) = (1, 2);
/// Pixels of a letter.
const LETTER: (i32, i32) = (8 * DOT.0, 8 * DOT.1);

/// White RGB pixels, row by row.
pub(super) struct Canvas {
    pixels: Vec<u8>,
    size: (u32, u32),
}

impl Canvas {
    /// A canvas of this width and height.
    pub fn new(size: (u32, u32)) -> Self {
        Self { pixels: vec![255; size.0 as usize * size.1 as usize * 3], size }
    }

    /// The pixels as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = vec![];
        let mut encoder = png::Encoder::new(&mut bytes, self.size.0, self.size.1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }

    /// Mixes a colour into a pixel, if there is such a pixel.
    fn mix(&mut self, (x, y): BackendCoord, color: BackendColor) {
        let (width, height) = (self.size.0 as i32, self.size.1 as i32);
        if !((0..width).contains(&x) && (0..height).contains(&y)) {
            return;
        }
        let at = (y as usize * width as usize + x as usize) * 3;
        let (r, g, b) = color.rgb;
        for (pixel, new) in self.pixels[at..at + 3].iter_mut().zip([r, g, b]) {
            let mixed = f64::from(*pixel) * (1.0 - color.alpha) + f64::from(new) * color.alpha;
            *pixel = mixed.round() as u8;
        }
    }

    fn draw_letter(&mut self, letter: char, (left, top): BackendCoord, color: BackendColor) {
        let rows = font8x8::BASIC_FONTS
            .get(letter)
            .or_else(|| font8x8::LATIN_FONTS.get(letter))
            .or_else(|| font8x8::BASIC_FONTS.get('.'))
            .unwrap_or_default();
        for (row, bits) in (0..).zip(rows) {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                let corner = (left + column * DOT.0, top + row * DOT.1);
                for pixel in 0..DOT.0 * DOT.1 {
                    self.mix((corner.0 + pixel % DOT.0, corner.1 + pixel / DOT.0), color);
                }
            }
        }
    }
}

/// plotters draws lines and areas pixel by pixel.
impl DrawingBackend for &mut Canvas {
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
        at: BackendCoord,
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        self.mix(at, color);
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        _: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let letters = text.chars().count() as u32;
        Ok((letters * LETTER.0 as u32, LETTER.1 as u32))
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let width = text.chars().count() as i32 * LETTER.0;
        let left = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        let top = match style.anchor().v_pos {
            VPos::Top => y,
            VPos::Center => y - LETTER.1 / 2,
            VPos::Bottom => y - LETTER.1,
        };
        for (place, letter) in (0..).zip(text.chars()) {
            self.draw_letter(letter, (left + place * LETTER.0, top), style.color());
        }
        Ok(())
    }
}
