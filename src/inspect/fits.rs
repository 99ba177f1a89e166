//! What an input can be fed with, judged by its shape: log-mels behind a front end, pictures,
//! samples.

use ndarray::{Array3, ArrayD};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::about::Own;
use crate::features::{FrontEnd, PatchKind, Preprocessor};
use crate::onnx::Port;
use crate::onnx::names::{CLIP, WAVEFORM};
use crate::runtime::{PatchInput, check_batch};

/// Nobody's patch has more values than this; a file may claim any.
const MAX_VALUES: usize = 1 << 24;
/// The least samples, or pixels a side, that are believed to be some.
const FEWEST: [usize; 2] = [400, 16];
/// Samples that are given where any number will do: 3 seconds at the rate of most networks.
const SAMPLES: usize = 48_000;
/// Pixels a side that are given where any number will do.
const SIDE: usize = 224;

/// What an input is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fed {
    /// A patch of log-mels behind the front end called `name`.
    FrontEnd {
        /// A preset, or what the file's own description is called.
        name: String,
        /// Frames of a patch.
        frames: usize,
        /// Its mel bands.
        mels: usize,
    },
    /// A patch of log-mels of these two sizes, in which order is not known; no preset has them.
    Spectrogram {
        /// The earlier axis.
        first: usize,
        /// The later axis.
        second: usize,
    },
    /// A picture.
    Picture {
        /// 3 for colours, 1 for grey.
        channels: usize,
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
    },
    /// Samples of sound.
    Samples {
        /// How many were given.
        count: usize,
        /// Whether that is the only number that will do.
        fixed: bool,
    },
    /// A row of hand-made features, as our baselines take it, or something unknown.
    Values,
}

/// Something that has the shape of a file's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// What it is.
    #[serde(flatten)]
    pub fed: Fed,
    /// The shape of the input for one patch, or for as many as the file always takes.
    pub input: Vec<usize>,
    /// Whether the file ran with it in some runtime; none if it could not be tried.
    pub runs: Option<bool>,
    /// What the runtime said instead.
    pub reason: Option<String>,
    /// How its patches become the input; none if it has none.
    arranged: Option<Arranged>,
}

/// Patches, and how they become an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Arranged {
    patch: PatchKind,
    input: PatchInput,
}

impl Fit {
    /// What its patches are, where it has any.
    #[cfg(any(feature = "train", test))]
    pub(super) fn patch(&self) -> Option<PatchKind> {
        self.arranged.as_ref().map(|arranged| arranged.patch)
    }

    /// Whether it is log-mels of a known front end.
    fn is_known_log_mel(&self) -> bool {
        matches!(self.fed, Fed::FrontEnd { .. })
    }

    /// Patches that the input takes at a time, 1 or more.
    pub(super) fn batch(&self) -> usize {
        let axis = match &self.arranged {
            Some(arranged) => arranged.input.batch_axis,
            None => (self.input.len() > 1).then_some(0),
        };
        axis.and_then(|axis| self.input.get(axis)).map_or(1, |size| (*size).max(1))
    }

    /// Seeded values of this shape, about as large as such ones are.
    pub(super) fn values(&self) -> ArrayD<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let range = self.range();
        match (&self.arranged, self.patches()) {
            (Some(arranged), Some(patches)) => arranged.input.arrange(patches.view()).into_owned(),
            _ => {
                let value = || random.random_range(range.clone());
                ArrayD::from_shape_simple_fn(self.input.clone(), value)
            }
        }
    }

    fn range(&self) -> std::ops::Range<f32> {
        match self.fed {
            Fed::FrontEnd { .. } | Fed::Spectrogram { .. } => -4.0..3.0,
            Fed::Picture { .. } => -2.0..2.0,
            Fed::Samples { .. } | Fed::Values => -0.5..0.5,
        }
    }

    /// The same values as patches `[count, frames, features]`, for a runtime that arranges them
    /// itself.
    pub(super) fn patches(&self) -> Option<Array3<f32>> {
        let [frames, features] = self.arranged.as_ref()?.patch.shape();
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let range = self.range();
        let value = || random.random_range(range.clone());
        Some(Array3::from_shape_simple_fn([self.batch(), frames, features], value))
    }
}

/// What fits the input `port`: what the file's own description says, or the front end `chosen`,
/// or else all that has such a shape, the likeliest first.
///
/// # Errors
/// Why nothing is tried: the front end `chosen` does not fit, or the shape is beyond reason.
pub(super) fn fits(
    port: &Port,
    chosen: Option<&Preprocessor>,
    own: Option<&Own>,
) -> Result<Vec<Fit>, String> {
    let found = match (chosen, own.and_then(|own| Some((own, own.preprocessor.as_ref()?)))) {
        (Some(front_end), _) => vec![of_kind(port, front_end.name(), front_end.patch_kind())?],
        (None, Some((own, preprocessor))) => vec![exported(port, own, preprocessor)?],
        (None, None) => by_shape(port)?,
    };
    let sane = |fit: &Fit| {
        let count = fit.input.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        count.is_some_and(|count| (1..=MAX_VALUES).contains(&count))
    };
    let count = found.len();
    let found: Vec<Fit> = found.into_iter().filter(sane).collect();
    if found.is_empty() && count > 0 {
        return Err(format!("an input of more than {MAX_VALUES} values, or none, is not tried"));
    }
    Ok(found)
}

/// Patches of this kind, as the front end called `name` makes them.
fn of_kind(port: &Port, name: &str, patch: PatchKind) -> Result<Fit, String> {
    let input = PatchInput::of(port, patch).map_err(|reason| reason.to_string())?;
    let name = name.to_owned();
    let fed = match patch {
        PatchKind::LogMel { frames, mels, .. } => Fed::FrontEnd { name, frames, mels },
        PatchKind::Picture { columns, rows, channels } => {
            Fed::Picture { channels, height: rows, width: columns }
        }
        PatchKind::Samples(count) => {
            Fed::Samples { count, fixed: port.dims.contains(&Some(count)) }
        }
    };
    let shape = input.axes(input.batch.unwrap_or(1));
    let arranged = Some(Arranged { patch, input });
    Ok(Fit { fed, input: shape, runs: None, reason: None, arranged })
}

/// What a file takes that this program has exported.
fn exported(port: &Port, own: &Own, preprocessor: &Preprocessor) -> Result<Fit, String> {
    let patch = match (own.input.as_str(), preprocessor.windows()) {
        (WAVEFORM, Some(windows)) => PatchKind::Samples(windows.size),
        // Two patches: enough for one whose beginning lies before the recording's.
        (CLIP, Some(windows)) => PatchKind::Samples(windows.size + windows.hop),
        _ => preprocessor.patch_kind(),
    };
    of_kind(port, own.front_end.as_deref().unwrap_or("own"), patch)
}

/// All that has the shape of `port`.
///
/// # Errors
/// Why nothing is tried: it takes more patches at a time than can be meant.
fn by_shape(port: &Port) -> Result<Vec<Fit>, String> {
    let presets = FrontEnd::PRESETS.into_iter().filter_map(FrontEnd::preset);
    let presets = presets.filter_map(|p| of_kind(port, &p.name, p.patch_kind()).ok());
    let mut found: Vec<Fit> = presets.collect();
    // One channel of a preset's size is hardly a grey picture.
    let is_other = |fit: &Fit| !matches!(fit.fed, Fed::Picture { channels: 1, .. });
    let is_unknown = found.is_empty();
    found.extend(picture(port).filter(|fit| is_unknown || is_other(fit)));
    found.extend(samples(port));
    if !found.iter().any(Fit::is_known_log_mel) {
        found.extend(spectrogram(port));
    }
    if found.is_empty() {
        found.extend(values(port)?);
    }
    Ok(found)
}

/// Colours where `finetune ‹front-end› imagenet` would feed them, or grey.
fn picture(port: &Port) -> Option<Fit> {
    let colour = Preprocessor::resolve("imagenet", || Ok(port.dims.clone()));
    let patch = match (colour, &port.dims[..]) {
        (Ok(front_end), _) => front_end.patch_kind(),
        (_, [_, Some(1), height, width] | [_, height, width, Some(1)]) => {
            let [rows, columns] = [height, width].map(|side| side.unwrap_or(SIDE));
            PatchKind::Picture { columns, rows, channels: 1 }
        }
        _ => return None,
    };
    let fit = of_kind(port, "picture", patch).ok()?;
    let [columns, rows, _] = patch.parts();
    (columns.min(rows) >= FEWEST[1]).then_some(fit)
}

fn samples(port: &Port) -> Option<Fit> {
    let ([count] | [_, count] | [_, Some(1), count]) = port.dims[..] else { return None };
    let count = count.unwrap_or(SAMPLES);
    let fit = of_kind(port, "samples", PatchKind::Samples(count)).ok()?;
    (count >= FEWEST[0]).then_some(fit)
}

/// Log-mels that no preset makes: two axes of fixed sizes beside ones. Either may be the frames;
/// the earlier one is taken for them, which leaves the values in place.
fn spectrogram(port: &Port) -> Option<Fit> {
    let rest = port.dims.get(1..)?.iter().copied().collect::<Option<Vec<usize>>>()?;
    let long: Vec<usize> = rest.into_iter().filter(|size| *size > 1).collect();
    let [first, second] = long[..] else { return None };
    let fit = of_kind(port, "spectrogram", [first, second].into()).ok()?;
    Some(Fit { fed: Fed::Spectrogram { first, second }, ..fit })
}

/// Anything whose sizes are all said can at least be run.
///
/// # Errors
/// Why it is not tried: it takes more rows at a time than can be meant.
fn values(port: &Port) -> Result<Option<Fit>, String> {
    let sizes = port.dims.iter().enumerate().map(|(axis, size)| size.or((axis == 0).then_some(1)));
    let Some(input) = sizes.collect::<Option<Vec<usize>>>() else { return Ok(None) };
    if let [batch, _, ..] = port.dims[..] {
        check_batch(batch).map_err(|reason| reason.to_string())?;
    }
    Ok(Some(Fit { fed: Fed::Values, input, runs: None, reason: None, arranged: None }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Layout;

    /// An input with these axes: sizes, or names of such that are free.
    fn named(axes: &[&str]) -> Port {
        let dims = axes.iter().map(|name| name.parse().ok()).collect();
        let axes = axes.iter().map(|name| Some((*name).to_owned())).collect();
        Port { dims, axes, ..Port::default() }
    }

    fn port(dims: &[Option<usize>]) -> Port {
        Port { dims: dims.to_vec(), ..Port::default() }
    }

    fn kinds(dims: &[Option<usize>]) -> Vec<String> {
        let name = |fit: &Fit| match &fit.fed {
            Fed::FrontEnd { name, .. } => name.clone(),
            Fed::Spectrogram { .. } => "spectrogram?".to_owned(),
            Fed::Picture { channels, .. } => format!("picture {channels}"),
            Fed::Samples { count, .. } => format!("samples {count}"),
            Fed::Values => "values".to_owned(),
        };
        fits(&port(dims), None, None).unwrap().iter().map(name).collect()
    }

    #[test]
    fn shapes_tell_what_they_can_be_fed_with() {
        assert_eq!(kinds(&[None, Some(96), Some(64)]), ["vggish", "yamnet"]);
        assert_eq!(kinds(&[None, Some(187), Some(96)]), ["musicnn"]);
        assert_eq!(kinds(&[Some(1), Some(1), Some(64), Some(96)]), ["vggish", "yamnet"]);
        assert_eq!(kinds(&[None, Some(3), Some(224), Some(224)]), ["picture 3"]);
        assert_eq!(kinds(&[None, Some(3), None, None]), ["picture 3"]);
        assert_eq!(kinds(&[None, Some(224), Some(224), Some(3)]), ["picture 3"], "Keras");
        assert_eq!(kinds(&[None, Some(128), Some(160), Some(1)]), ["picture 1", "spectrogram?"]);
        assert_eq!(kinds(&[None]), ["samples 48000"]);
        assert_eq!(kinds(&[None, Some(1), None]), ["samples 48000"]);
        assert_eq!(kinds(&[Some(1), Some(48_000)]), ["samples 48000"]);
        assert_eq!(kinds(&[None, Some(57)]), ["values"]);
        assert_eq!(kinds(&[None, Some(100), Some(40)]), ["spectrogram?"]);
        assert!(kinds(&[]).is_empty() || kinds(&[]) == ["values"]);
    }

    #[test]
    fn sizes_beyond_reason_are_not_tried() {
        for dims in [&[None, Some(1 << 40)][..], &[Some(1 << 50), Some(96), Some(64)]] {
            assert!(fits(&port(dims), None, None).is_err(), "{dims:?}");
        }
        let musicnn = Preprocessor::Audio(FrontEnd::musicnn());
        let error = fits(&port(&[None, Some(96), Some(64)]), Some(&musicnn), None).unwrap_err();
        assert!(error.contains("187 frames"), "{error}");
    }

    #[test]
    fn patches_are_the_same_values_as_the_input() {
        let fit = &fits(&port(&[None, Some(1), Some(64), Some(96)]), None, None).unwrap()[0];
        let (patches, values) = (fit.patches().unwrap(), fit.values());
        assert_eq!(patches.dim(), (1, 96, 64));
        assert_eq!(patches[[0, 3, 5]], values[[0, 0, 5, 3]]);
    }

    #[test]
    fn names_and_the_front_end_say_how_values_lie() {
        let fits_of =
            |port: &Port, chosen: Option<&Preprocessor>| fits(port, chosen, None).unwrap();
        // Free sizes have names; without them frames would come first.
        let fit = &fits_of(&named(&["batch", "1", "mels", "time"]), None)[0];
        assert_eq!(fit.input, [1, 1, 64, 96]);
        assert_eq!(fit.patches().unwrap()[[0, 3, 5]], fit.values()[[0, 0, 5, 3]]);
        let square = |layout| {
            let front_end = FrontEnd { patch_frames: 64, layout, ..FrontEnd::yamnet() };
            let chosen = Preprocessor::Audio(front_end);
            let fit = fits_of(&port(&[None, Some(64), Some(64)]), Some(&chosen)).remove(0);
            assert_eq!(fit.patch(), Some(chosen.patch_kind()));
            let (patches, values) = (fit.patches().unwrap(), fit.values());
            [values[[0, 3, 5]], values[[0, 5, 3]]].map(|value| value == patches[[0, 3, 5]])
        };
        assert_eq!(square(Some(Layout::FramesFirst)), [true, false]);
        assert_eq!(square(Some(Layout::MelsFirst)), [false, true]);
        let fit = &fits_of(&named(&["N", "32", "48", "3"]), None)[0];
        assert_eq!(fit.fed, Fed::Picture { channels: 3, height: 32, width: 48 });
        let (patches, values) = (fit.patches().unwrap(), fit.values());
        assert_eq!(values.shape(), [1, 32, 48, 3]);
        assert_eq!(patches[[0, 7, 5 * 3 + 2]], values[[0, 5, 7, 2]]);
    }

    #[test]
    fn a_child_is_told_all_of_a_fit() {
        for axes in [&["N", "32", "48", "3"][..], &["N", "96", "64"], &["n"], &["N", "57"]] {
            let found = fits(&named(axes), None, None).unwrap();
            let json = serde_json::to_string(&found).unwrap();
            assert_eq!(serde_json::from_str::<Vec<Fit>>(&json).unwrap(), found, "{axes:?}");
        }
    }
}
