//! How a model's input is made from a file: from audio or from a picture.

use std::fs;
use std::path::Path;

#[cfg(feature = "train")]
use ndarray::ArrayViewD;
use ndarray::{Array3, ArrayD, Axis, IxDyn};
use serde::Serialize;

use super::front_end::FrontEnd;
use super::image::ImageFrontEnd;
use super::invalid::InvalidFrontEnd;
use super::patch_kind::PatchKind;
use super::picture::PictureFrontEnd;
use super::samples::SamplesFrontEnd;
use super::windows::Windows;
use crate::error::{Error, Result};

/// What `preprocessor.json` holds: a front end of any kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Preprocessor {
    /// Intensities from pictures of spectrograms, for CNNs of our own.
    Picture(PictureFrontEnd),
    /// Pixels of pictures, for vision networks.
    Image(ImageFrontEnd),
    /// Samples of recordings as they are.
    Samples(SamplesFrontEnd),
    /// Log-mels of recordings.
    Audio(FrontEnd),
}

impl Preprocessor {
    /// Names that [`Preprocessor::resolve`] knows.
    pub const PRESETS: [&'static str; 6] = [
        FrontEnd::PRESETS[0],
        FrontEnd::PRESETS[1],
        FrontEnd::PRESETS[2],
        FrontEnd::PRESETS[3],
        ImageFrontEnd::PRESETS[0],
        ImageFrontEnd::PRESETS[1],
    ];

    /// Reads a description from a JSON file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is no kind of front end.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|invalid| Error::format(path, invalid))
    }

    /// Reads a description from JSON.
    ///
    /// # Errors
    /// [`InvalidFrontEnd`], with line and column where the JSON is at fault.
    pub fn parse(json: &str) -> Result<Self, InvalidFrontEnd> {
        let front_end = Self::parse_in_part(json)?;
        front_end.check()?;
        Ok(front_end)
    }

    /// A backbone's front end: a preset by name, or else the JSON file at that path. What it
    /// leaves out is what the backbone's file says, whose input has `axes` (`None`: any size);
    /// they are asked for only where pictures or samples are to be taken.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is neither, or a preset that does not go with the file;
    /// [`Error::Io`] and [`Error::Format`] of the JSON file; those of `axes`.
    pub fn resolve(
        name_or_path: &str,
        axes: impl FnOnce() -> Result<Vec<Option<usize>>>,
    ) -> Result<Self> {
        let preset = FrontEnd::preset(name_or_path).map(Self::Audio);
        let preset = preset.or_else(|| ImageFrontEnd::preset(name_or_path).map(Self::Image));
        let path = Path::new(name_or_path);
        if let Some(preset) = preset {
            let axes = preset.axes_of_interest(axes)?;
            return preset.completed(&axes).map_err(|invalid| {
                Error::InvalidInput(format!("‹front-end› {name_or_path}: {invalid}"))
            });
        }
        if !path.exists() {
            return Err(Error::InvalidInput(format!(
                "front end \"{name_or_path}\" is neither a preset ({}) nor a JSON file",
                Self::PRESETS.join(", ")
            )));
        }
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let wrong = |invalid| Error::format(path, invalid);
        let front_end = Self::parse_in_part(&text).map_err(wrong)?;
        let axes = front_end.axes_of_interest(axes)?;
        front_end.completed(&axes).map_err(wrong)
    }

    /// The axes of a backbone's input; none where nothing depends on them.
    fn axes_of_interest(
        &self,
        axes: impl FnOnce() -> Result<Vec<Option<usize>>>,
    ) -> Result<Vec<Option<usize>>> {
        match self {
            Self::Image(_) | Self::Samples(_) => axes(),
            Self::Picture(_) | Self::Audio(_) => Ok(vec![]),
        }
    }

    /// Not left to serde's `untagged`, which would not say what is wrong.
    fn parse_in_part(json: &str) -> Result<Self, InvalidFrontEnd> {
        let value: serde_json::Value = serde_json::from_str(json)?;
        match value.get("kind").map(|kind| kind.as_str().unwrap_or_default()) {
            None => Ok(Self::Audio(serde_json::from_str(json)?)),
            Some("picture") => Ok(Self::Picture(serde_json::from_str(json)?)),
            Some("image") => Ok(Self::Image(serde_json::from_str(json)?)),
            Some("samples") => Ok(Self::Samples(serde_json::from_str(json)?)),
            Some(_) => {
                let expected = "expected image, samples or picture; a front end of log-mels has \
                                no kind";
                Err(InvalidFrontEnd::field("kind", &value["kind"], expected))
            }
        }
    }

    /// With what was left out, and checked.
    fn completed(self, axes: &[Option<usize>]) -> Result<Self, InvalidFrontEnd> {
        let completed = match self {
            Self::Image(front_end) => Self::Image(front_end.completed(axes)?),
            Self::Samples(front_end) => Self::Samples(front_end.completed(axes)?),
            other => other,
        };
        completed.check()?;
        Ok(completed)
    }

    fn check(&self) -> Result<(), InvalidFrontEnd> {
        let named = |name: &str| {
            let name = name.to_owned();
            |invalid| InvalidFrontEnd::Named { name, source: Box::new(invalid) }
        };
        match self {
            Self::Picture(front_end) => front_end.validate(),
            Self::Image(front_end) => front_end.check().map_err(named(&front_end.name)),
            Self::Samples(front_end) => front_end.check().map_err(named(&front_end.name)),
            Self::Audio(front_end) => front_end.check_named(),
        }
    }

    /// What it is called in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Picture(_) => "picture",
            Self::Image(front_end) => &front_end.name,
            Self::Samples(front_end) => &front_end.name,
            Self::Audio(front_end) => &front_end.name,
        }
    }

    /// Frames and features of a patch: frames by mel bands, columns by the pixels of one, samples
    /// by 1.
    pub fn patch(&self) -> [usize; 2] {
        match self {
            Self::Picture(front_end) => [front_end.patch_frames, front_end.mels],
            Self::Image(front_end) => [front_end.width, front_end.height * front_end.channels],
            Self::Samples(front_end) => [front_end.patch_samples, 1],
            Self::Audio(front_end) => [front_end.patch_frames, front_end.mels],
        }
    }

    /// What a patch is.
    #[doc(hidden)]
    pub fn patch_kind(&self) -> PatchKind {
        match self {
            Self::Picture(_) => self.patch().into(),
            &Self::Image(ImageFrontEnd { channels, height, width, .. }) => {
                PatchKind::Picture { columns: width, rows: height, channels }
            }
            Self::Samples(front_end) => PatchKind::Samples(front_end.patch_samples),
            Self::Audio(front_end) => front_end.patch_kind(),
        }
    }

    /// Frames from one patch to the next when a track is scored.
    pub(crate) fn hop(&self) -> usize {
        match self {
            Self::Picture(front_end) => front_end.patch_hop,
            Self::Image(front_end) => front_end.patch_hop,
            Self::Samples(front_end) => front_end.patch_hop_samples,
            Self::Audio(front_end) => front_end.patch_hop,
        }
    }

    /// Whether it looks at pictures; else it hears recordings.
    pub fn is_of_pictures(&self) -> bool {
        matches!(self, Self::Picture(_) | Self::Image(_))
    }

    /// Where patches lie in a recording; none for pictures, which do not say.
    pub(crate) fn windows(&self) -> Option<Windows> {
        match self {
            Self::Picture(_) | Self::Image(_) => None,
            Self::Samples(front_end) => Some(front_end.windows()),
            Self::Audio(front_end) => Some(front_end.windows()),
        }
    }

    /// Seconds from one patch to the next; none for pictures, which do not say.
    pub(crate) fn hop_seconds(&self) -> Option<f64> {
        self.windows().map(|windows| windows.hop_seconds())
    }

    /// The axes of one patch as a network takes it: `[frames, mels]`, `[channels, height,
    /// width]` or `[samples]`.
    pub(crate) fn natural_axes(&self) -> Vec<usize> {
        match self {
            Self::Picture(_) | Self::Audio(_) => self.patch().to_vec(),
            Self::Image(ImageFrontEnd { channels, height, width, .. }) => {
                vec![*channels, *height, *width]
            }
            Self::Samples(front_end) => vec![front_end.patch_samples],
        }
    }

    /// Patches `[count, frames, features]` with the axes of [`Preprocessor::natural_axes`].
    pub(crate) fn natural(&self, patches: Array3<f32>) -> ArrayD<f32> {
        match self {
            Self::Picture(_) | Self::Audio(_) => patches.into_dyn(),
            Self::Samples(_) => patches.index_axis_move(Axis(2), 0).into_dyn(),
            Self::Image(ImageFrontEnd { channels, height, width, .. }) => {
                let shape = IxDyn(&[patches.len_of(Axis(0)), *channels, *height, *width]);
                // Columns from the top, the channels of a pixel together.
                ArrayD::from_shape_fn(shape, |at| patches[[at[0], at[3], at[2] * channels + at[1]]])
            }
        }
    }
}

impl Preprocessor {
    /// Patches with the axes of [`Preprocessor::natural_axes`] as `[count, frames, features]`;
    /// none if their axes are others.
    #[cfg(feature = "train")]
    pub(crate) fn kept(&self, natural: &ArrayViewD<'_, f32>) -> Option<Array3<f32>> {
        if natural.shape().get(1..)? != self.natural_axes() {
            return None;
        }
        let turned = match self {
            Self::Image(_) => natural.view().permuted_axes(IxDyn(&[0, 3, 2, 1])),
            _ => natural.view(),
        };
        let [frames, features] = self.patch();
        let values = turned.iter().copied().collect();
        Array3::from_shape_vec((natural.len_of(Axis(0)), frames, features), values).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = r#"{"kind":"image","name":"a","channels":3,"height":8,"width":6,"white":1.0,"mean":[0.485,0.456,0.406],"deviation":[0.229,0.224,0.225],"patch_hop":3}"#;
    const SAMPLES: &str = r#"{"kind":"samples","name":"b","sample_rate":16000,"patch_samples":400,"patch_hop_samples":200}"#;

    #[test]
    fn every_kind_survives_json() {
        for (json, patch, hop) in [(IMAGE, [6, 24], 3), (SAMPLES, [400, 1], 200)] {
            let found = Preprocessor::parse(json).unwrap();
            assert_eq!(serde_json::to_string(&found).unwrap(), json);
            assert_eq!((found.patch(), found.hop()), (patch, hop));
        }
        let yamnet = Preprocessor::Audio(FrontEnd::yamnet());
        let json = serde_json::to_string(&yamnet).unwrap();
        assert_eq!(Preprocessor::parse(&json).unwrap(), yamnet);
    }

    #[test]
    fn what_is_no_front_end_is_refused_by_its_field() {
        let refused = |json: &str| Preprocessor::parse(json).unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"kind": "smell"}"#),
            "kind is \"smell\"; expected image, samples or picture; a front end of log-mels has no \
             kind"
        );
        assert!(refused(r#"{"kind": 3}"#).contains("kind is 3"));
        let huge = IMAGE.replace("\"width\":6", "\"width\":99999999999");
        assert!(refused(&huge).contains("front end \"a\": width is 99999999999"), "{huge}");
        let huge = SAMPLES.replace(":400", ":99999999999");
        assert!(refused(&huge).contains("front end \"b\": patch_samples is 99999999999"));
        assert!(refused(&SAMPLES.replace("name", "nome")).contains("unknown field `nome`"));
        // A finished run says all there is to say.
        assert!(refused(r#"{"kind":"samples","name":"b","sample_rate":16000}"#).contains("is 0"));
    }

    #[test]
    fn a_preset_takes_its_sizes_from_the_file() {
        let axes = [None, Some(3), Some(96), Some(64)];
        let found = Preprocessor::resolve("imagenet", || Ok(axes.to_vec())).unwrap();
        assert_eq!((found.patch(), found.natural_axes()), ([64, 288], vec![3, 96, 64]));
        let axes = [None, Some(96), Some(64)];
        let wrong =
            Preprocessor::resolve("imagenet", || Ok(axes.to_vec())).unwrap_err().to_string();
        assert_eq!(
            wrong,
            "‹front-end› imagenet: the backbone's file takes [any, 96, 64], not pictures, [N, 3, \
             height, width] or [N, 1, height, width]"
        );
        for name in Preprocessor::PRESETS {
            assert!(Preprocessor::resolve(name, || Ok(vec![None; 4])).is_ok(), "{name}");
        }
        let unknown = Preprocessor::resolve("nowhere", || unreachable!()).unwrap_err().to_string();
        assert!(unknown.contains("musicnn") && unknown.contains("imagenet"), "{unknown}");
    }

    #[test]
    fn patches_are_arranged_as_networks_take_them() {
        let image = Preprocessor::parse(IMAGE).unwrap();
        let value = |n: usize, x: usize, y: usize, c: usize| (((n * 6 + x) * 8 + y) * 3 + c) as f32;
        let patches = Array3::from_shape_fn((2, 6, 24), |(n, x, at)| value(n, x, at / 3, at % 3));
        let natural = image.natural(patches.clone());
        assert_eq!(image.kept(&natural.view()).unwrap(), patches);
        let narrow = natural.slice(ndarray::s![.., .., .., ..5]).into_dyn();
        assert_eq!(image.kept(&narrow), None);
        assert_eq!(natural.shape(), [2, 3, 8, 6]);
        assert_eq!(natural[[1, 2, 7, 5]], value(1, 5, 7, 2));
        assert_eq!(natural[[0, 1, 2, 3]], value(0, 3, 2, 1));
        let samples = Preprocessor::parse(SAMPLES).unwrap();
        assert_eq!(samples.natural(Array3::zeros((3, 400, 1))).shape(), [3, 400]);
    }
}
