//! Front ends of backbones that take pictures.

use serde::{Deserialize, Serialize};

use super::front_end::within;
use super::invalid::InvalidFrontEnd;

/// The longest side of a patch, in pixels.
const MAX_SIDE: usize = 1024;
/// Height and width of a patch where neither the description nor the backbone's file says.
const DEFAULT_SIDE: usize = 224;
/// Patches that one column may be in.
const MAX_OVERLAP: usize = 16;
/// The patch's width over the hop, where that is left out: GTZAN's pictures become three patches.
const DEFAULT_OVERLAP: usize = 4;

/// What turns a picture into patches of normalized pixels, for backbones that take these:
/// `[N, channels, height, width]`. In JSON:
///
/// ```
/// # use genre_transfer::features::Preprocessor;
/// # let lite = r#"
/// {
///   "kind": "image", "name": "my-network",
///   "channels": 3, "height": 224, "width": 224,
///   "white": 255, "mean": [127, 127, 127], "deviation": [128, 128, 128],
///   "patch_hop": 56
/// }
/// # "#;
/// # Preprocessor::parse(lite).unwrap();
/// ```
///
/// A pixel's value goes from 0 to `white`, which is 1 (torchvision's way) or 255, and then
/// becomes `(value - mean) / deviation`, channel by channel: red, green, blue, or the grey of
/// ITU-R 601 where there is one.
///
/// What is around a plot (margins, axes, a colour bar, the frame) is cut off; what has no margins
/// is taken whole. The
/// picture is resized to `height`, and to the width nearest to its own proportions that patches
/// `width` wide, one every `patch_hop` columns, cover to both ends. `height` and `width` may
/// be left out where a backbone's file fixes them, or for 224; `patch_hop` for a quarter of the
/// width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFrontEnd {
    /// Always `image`: tells this description from others.
    pub kind: ImageKind,
    /// What it is called in reports.
    pub name: String,
    /// 3 for red, green and blue; 1 for grey.
    pub channels: usize,
    /// Height of a patch in pixels, that of the resized picture; 0 until a backbone's file has
    /// been asked.
    #[serde(default)]
    pub height: usize,
    /// Width of a patch in pixels; 0 until a backbone's file has been asked.
    #[serde(default)]
    pub width: usize,
    /// The value of a channel that is fully lit, before `mean` and `deviation`: 1 or 255.
    #[serde(default = "one")]
    pub white: f32,
    /// Taken from each channel.
    pub mean: Vec<f32>,
    /// What each channel is then divided by.
    pub deviation: Vec<f32>,
    /// Columns from one patch to the next; 0 until `width` is known.
    #[serde(default)]
    pub patch_hop: usize,
}

/// The one kind of [`ImageFrontEnd`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// A picture for a vision network.
    #[default]
    Image,
}

fn one() -> f32 {
    1.0
}

impl ImageFrontEnd {
    /// The names [`ImageFrontEnd::preset`] knows.
    pub const PRESETS: [&'static str; 2] = ["imagenet", "efficientnet-lite"];

    /// The normalization of published networks, by a name of [`ImageFrontEnd::PRESETS`]; sizes
    /// are the backbone's.
    pub(super) fn preset(name: &str) -> Option<Self> {
        let (white, mean, deviation) = match name {
            // torchvision's, and that of most of timm's and Hugging Face's networks.
            "imagenet" => (1.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            // TensorFlow's EfficientNet-Lite.
            "efficientnet-lite" => (255.0, [127.0; 3], [128.0; 3]),
            _ => return None,
        };
        Some(Self {
            kind: ImageKind::Image,
            name: name.to_owned(),
            channels: 3,
            height: 0,
            width: 0,
            white,
            mean: mean.to_vec(),
            deviation: deviation.to_vec(),
            patch_hop: 0,
        })
    }

    /// With what was left out, for a backbone whose file takes `axes` (`None`: any size):
    /// channels before or behind height and width.
    ///
    /// # Errors
    /// [`InvalidFrontEnd`] if the file takes no pictures, or others than described.
    pub(super) fn completed(mut self, axes: &[Option<usize>]) -> Result<Self, InvalidFrontEnd> {
        let is_colour = |axis: &Option<usize>| matches!(axis, Some(1 | 3));
        let (channels, height, width) = match axes {
            [_, first, height, width] if is_colour(first) => (*first, *height, *width),
            [_, height, width, last] if is_colour(last) => (*last, *height, *width),
            [_, None, height, width] => (None, *height, *width),
            _ => {
                let wanted = "pictures, [N, 3, height, width] or [N, 1, height, width]";
                return Err(InvalidFrontEnd::axes(axes, wanted));
            }
        };
        agree("channels", self.channels, channels)?;
        self.height = agree("height", self.height, height)?.unwrap_or(DEFAULT_SIDE);
        self.width = agree("width", self.width, width)?.unwrap_or(DEFAULT_SIDE);
        if self.patch_hop == 0 {
            self.patch_hop = self.width.div_ceil(DEFAULT_OVERLAP);
        }
        Ok(self)
    }

    /// Checks that the numbers define patches of reasonable size.
    ///
    /// # Errors
    /// [`InvalidFrontEnd`] naming the field and its value.
    pub(super) fn check(&self) -> Result<(), InvalidFrontEnd> {
        if !matches!(self.channels, 1 | 3) {
            return Err(InvalidFrontEnd::field("channels", self.channels, "expected 3 or 1"));
        }
        within("height", self.height, 1, MAX_SIDE)?;
        within("width", self.width, 1, MAX_SIDE)?;
        within("patch_hop", self.patch_hop, self.width.div_ceil(MAX_OVERLAP), self.width)?;
        if self.white != 1.0 && self.white != 255.0 {
            return Err(InvalidFrontEnd::field("white", self.white, "expected 1 or 255"));
        }
        for (field, values, least) in
            [("mean", &self.mean, f32::MIN), ("deviation", &self.deviation, f32::MIN_POSITIVE)]
        {
            if values.len() != self.channels {
                let expected = format!("expected {}, one for each channel", self.channels);
                let count = format!("of {} numbers", values.len());
                return Err(InvalidFrontEnd::field(field, count, expected));
            }
            // Written so that NaN fails too.
            if let Some(value) = values.iter().find(|value| !(least..=f32::MAX).contains(*value)) {
                let expected = if least > 0.0 { "a number above 0" } else { "a finite number" };
                return Err(InvalidFrontEnd::field(field, value, format!("expected {expected}")));
            }
        }
        Ok(())
    }
}

/// What is `given`, or else what the file has `fixed`, if that is the same.
fn agree(
    field: &'static str,
    given: usize,
    fixed: Option<usize>,
) -> Result<Option<usize>, InvalidFrontEnd> {
    match (given, fixed) {
        (0, fixed) => Ok(fixed),
        (given, Some(fixed)) if given != fixed => {
            let expected = format!("the backbone's file takes {fixed}");
            Err(InvalidFrontEnd::field(field, given, expected))
        }
        (given, _) => Ok(Some(given)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imagenet() -> ImageFrontEnd {
        ImageFrontEnd::preset("imagenet").unwrap()
    }

    #[test]
    fn what_is_left_out_is_what_the_file_says() {
        let sizes = |axes: &[Option<usize>]| {
            let found = imagenet().completed(axes).map(|f| [f.height, f.width, f.patch_hop]);
            found.map_err(|invalid| invalid.to_string())
        };
        assert_eq!(sizes(&[None, Some(3), Some(96), Some(128)]), Ok([96, 128, 32]));
        assert_eq!(sizes(&[Some(1), Some(3), None, None]), Ok([224, 224, 56]));
        assert_eq!(sizes(&[None, Some(96), Some(128), Some(3)]), Ok([96, 128, 32]), "TensorFlow");
        assert_eq!(sizes(&[None, None, None, Some(3)]), Ok([224, 224, 56]), "TensorFlow");
        assert_eq!(sizes(&[None, Some(3), Some(64), Some(3)]), Ok([64, 3, 1]), "a narrow picture");
        let grey = sizes(&[None, Some(1), Some(96), Some(64)]).unwrap_err();
        assert_eq!(grey, "channels is 3; the backbone's file takes 1");
        for axes in [&[][..], &[None, Some(96), Some(64)], &[None, Some(32), Some(96), Some(64)]] {
            assert!(sizes(axes).unwrap_err().contains("not pictures"), "{axes:?}");
        }
        let other = ImageFrontEnd { height: 100, ..imagenet() };
        let wrong = other.completed(&[None, Some(3), Some(96), None]).unwrap_err().to_string();
        assert_eq!(wrong, "height is 100; the backbone's file takes 96");
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        type Change = fn(&mut ImageFrontEnd);
        let cases: [(Change, &str); 11] = [
            (|f| f.channels = 4, "channels is 4; expected 3 or 1"),
            (|f| f.channels = 1, "mean is of 3 numbers; expected 1, one for each channel"),
            (|f| f.height = 0, "height is 0"),
            (|f| f.height = usize::MAX, "expected 1 to 1024"),
            (|f| f.width = 1 << 40, "width is 1099511627776"),
            (|f| f.patch_hop = 13, "patch_hop is 13; expected 14 to 224"),
            (|f| f.patch_hop = 225, "patch_hop is 225; expected 14 to 224"),
            (|f| f.white = 2.0, "white is 2; expected 1 or 255"),
            (|f| f.mean[1] = f32::NAN, "mean is NaN; expected a finite number"),
            (|f| f.deviation[2] = 0.0, "deviation is 0; expected a number above 0"),
            (|f| f.deviation.push(1.0), "deviation is of 4 numbers"),
        ];
        let good = imagenet().completed(&[None; 4]).unwrap();
        good.check().unwrap();
        for (change, text) in cases {
            let mut front_end = good.clone();
            change(&mut front_end);
            let found = front_end.check().unwrap_err().to_string();
            assert!(found.contains(text), "{found}");
        }
    }
}
