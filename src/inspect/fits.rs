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
pub enum Feed {
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
    pub feed: Feed,
    /// The shape of the input for one patch, or for as many as the file always takes.
    pub input: Vec<usize>,
    /// Whether the file ran with it in some runtime; none if it could not be tried.
    pub runs: Option<bool>,
    /// What the runtime said instead.
    pub reason: Option<String>,
}

impl Fit {
    fn new(feed: Feed, input: Vec<usize>) -> Self {
        Self { feed, input, runs: None, reason: None }
    }

    /// What its patches are, where that is known.
    pub(super) fn patch(&self) -> Option<PatchKind> {
        match self.feed {
            Feed::FrontEnd { frames, mels, .. } => Some([frames, mels].into()),
            Feed::Picture { channels, height, width } => {
                Some(PatchKind::Picture { columns: width, rows: height, channels })
            }
            Feed::Samples { count, .. } => Some(PatchKind::Samples(count)),
            Feed::Spectrogram { .. } | Feed::Values => None,
        }
    }

    /// Whether it is log-mels of a known front end.
    fn is_known_log_mel(&self) -> bool {
        matches!(self.feed, Feed::FrontEnd { .. })
    }

    /// How its patches become the input.
    fn arrangement(&self) -> Option<(PatchInput, PatchKind)> {
        let dims = self.input.iter().copied().map(Some).collect();
        let kind = self.patch()?;
        Some((PatchInput::of(&Port { dims, ..Port::default() }, kind).ok()?, kind))
    }

    /// Patches that the input takes at a time.
    pub(super) fn batch(&self) -> usize {
        if self.input.len() > 1 { self.input[0].max(1) } else { 1 }
    }

    /// Seeded values of this shape, about as large as such ones are.
    pub(super) fn values(&self) -> ArrayD<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let range = self.range();
        match (self.arrangement(), self.patches()) {
            (Some((input, _)), Some(patches)) => input.arrange(patches.view()).into_owned(),
            _ => {
                let value = || random.random_range(range.clone());
                ArrayD::from_shape_simple_fn(self.input.clone(), value)
            }
        }
    }

    fn range(&self) -> std::ops::Range<f32> {
        match self.feed {
            Feed::FrontEnd { .. } | Feed::Spectrogram { .. } => -4.0..3.0,
            Feed::Picture { .. } => -2.0..2.0,
            Feed::Samples { .. } | Feed::Values => -0.5..0.5,
        }
    }

    /// The same values as patches `[count, frames, features]`, for a runtime that arranges them
    /// itself.
    pub(super) fn patches(&self) -> Option<Array3<f32>> {
        let (input, kind) = self.arrangement()?;
        let [frames, features] = kind.shape();
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let range = self.range();
        let count = if input.batch_axis.is_some() { self.batch() } else { 1 };
        let value = || random.random_range(range.clone());
        Some(Array3::from_shape_simple_fn([count, frames, features], value))
    }
}

/// What fits an input with axes `dims` (`None`: any size): what the file's own description says,
/// or the front end `chosen`, or else all that has such a shape, the likeliest first.
///
/// # Errors
/// Why nothing is tried: the front end `chosen` does not fit, or the shape is beyond reason.
pub(super) fn fits(
    dims: &[Option<usize>],
    chosen: Option<&Preprocessor>,
    own: Option<&Own>,
) -> Result<Vec<Fit>, String> {
    let batch = dims.first().copied().flatten();
    if dims.len() > 1 {
        check_batch(batch).map_err(|reason| reason.to_string())?;
    }
    let found = match (chosen, own.and_then(|own| Some((own, own.preprocessor.as_ref()?)))) {
        (Some(front_end), _) => vec![of_kind(dims, front_end.name(), front_end.patch_kind())?],
        (None, Some((own, preprocessor))) => vec![exported(dims, own, preprocessor)?],
        (None, None) => by_shape(dims),
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
fn of_kind(dims: &[Option<usize>], name: &str, kind: PatchKind) -> Result<Fit, String> {
    let port = Port { dims: dims.to_vec(), ..Port::default() };
    let input = PatchInput::of(&port, kind).map_err(|reason| reason.to_string())?;
    let name = name.to_owned();
    let feed = match kind {
        PatchKind::LogMel { frames, mels, .. } => Feed::FrontEnd { name, frames, mels },
        PatchKind::Picture { columns, rows, channels } => {
            Feed::Picture { channels, height: rows, width: columns }
        }
        PatchKind::Samples(count) => Feed::Samples { count, fixed: dims.contains(&Some(count)) },
    };
    Ok(Fit::new(feed, input.axes(input.batch.unwrap_or(1))))
}

/// What a file takes that this program has exported.
fn exported(dims: &[Option<usize>], own: &Own, preprocessor: &Preprocessor) -> Result<Fit, String> {
    let samples = |count: usize| {
        let fixed = dims.last().copied().flatten().is_some();
        let batch = dims.first().copied().flatten().unwrap_or(1);
        Fit::new(Feed::Samples { count, fixed }, vec![batch, count])
    };
    match (own.input.as_str(), preprocessor.windows()) {
        (WAVEFORM, Some(windows)) => Ok(samples(windows.size)),
        // Two patches: enough for one whose beginning lies before the recording's.
        (CLIP, Some(windows)) => Ok(samples(windows.size + windows.hop)),
        _ => of_kind(dims, own.front_end.as_deref().unwrap_or("own"), preprocessor.patch_kind()),
    }
}

fn by_shape(dims: &[Option<usize>]) -> Vec<Fit> {
    let presets = FrontEnd::PRESETS.into_iter().filter_map(FrontEnd::preset);
    let presets =
        presets.filter_map(|p| of_kind(dims, &p.name, [p.patch_frames, p.mels].into()).ok());
    let mut found: Vec<Fit> = presets.collect();
    // One channel of a preset's size is hardly a grey picture.
    let is_other = |fit: &Fit| !matches!(fit.feed, Feed::Picture { channels: 1, .. });
    let is_unknown = found.is_empty();
    found.extend(picture(dims).filter(|fit| is_unknown || is_other(fit)));
    found.extend(samples(dims));
    if !found.iter().any(Fit::is_known_log_mel) {
        found.extend(spectrogram(dims));
    }
    // Anything whose sizes are all said can at least be run.
    let sizes = dims.iter().enumerate().map(|(axis, size)| size.or((axis == 0).then_some(1)));
    if let (true, Some(sizes)) = (found.is_empty(), sizes.collect::<Option<Vec<_>>>()) {
        found.push(Fit::new(Feed::Values, sizes));
    }
    found
}

fn picture(dims: &[Option<usize>]) -> Option<Fit> {
    let [batch, channels, height, width] = *dims else { return None };
    let channels = channels.unwrap_or(3);
    let sides = [height, width].map(|side| side.unwrap_or(SIDE));
    let [height, width] = sides;
    let fits = [1, 3].contains(&channels) && sides.iter().all(|side| *side >= FEWEST[1]);
    let feed = Feed::Picture { channels, height, width };
    fits.then(|| Fit::new(feed, vec![batch.unwrap_or(1), channels, height, width]))
}

fn samples(dims: &[Option<usize>]) -> Option<Fit> {
    let (last, before) = dims.split_last()?;
    let count = last.unwrap_or(SAMPLES);
    let before: Vec<usize> = match *before {
        [] => vec![],
        [batch] => vec![batch.unwrap_or(1)],
        [batch, Some(1)] => vec![batch.unwrap_or(1), 1],
        _ => return None,
    };
    let shape = before.into_iter().chain([count]).collect();
    let feed = Feed::Samples { count, fixed: last.is_some() };
    (count >= FEWEST[0]).then(|| Fit::new(feed, shape))
}

/// Log-mels that no preset makes: two axes of fixed sizes beside ones.
fn spectrogram(dims: &[Option<usize>]) -> Option<Fit> {
    let (batch, rest) = dims.split_first()?;
    let rest = rest.iter().copied().collect::<Option<Vec<usize>>>()?;
    let long: Vec<usize> = rest.iter().copied().filter(|size| *size > 1).collect();
    let [first, second] = long[..] else { return None };
    let shape = std::iter::once(batch.unwrap_or(1)).chain(rest).collect();
    Some(Fit::new(Feed::Spectrogram { first, second }, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(dims: &[Option<usize>]) -> Vec<String> {
        let name = |fit: &Fit| match &fit.feed {
            Feed::FrontEnd { name, .. } => name.clone(),
            Feed::Spectrogram { .. } => "spectrogram?".to_owned(),
            Feed::Picture { channels, .. } => format!("picture {channels}"),
            Feed::Samples { count, .. } => format!("samples {count}"),
            Feed::Values => "values".to_owned(),
        };
        fits(dims, None, None).unwrap().iter().map(name).collect()
    }

    #[test]
    fn shapes_tell_what_they_can_be_fed_with() {
        assert_eq!(kinds(&[None, Some(96), Some(64)]), ["vggish", "yamnet"]);
        assert_eq!(kinds(&[None, Some(187), Some(96)]), ["musicnn"]);
        assert_eq!(kinds(&[Some(1), Some(1), Some(64), Some(96)]), ["vggish", "yamnet"]);
        assert_eq!(kinds(&[None, Some(3), Some(224), Some(224)]), ["picture 3"]);
        assert_eq!(kinds(&[None, Some(3), None, None]), ["picture 3"]);
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
            assert!(fits(dims, None, None).is_err(), "{dims:?}");
        }
        let musicnn = Preprocessor::Audio(FrontEnd::musicnn());
        let error = fits(&[None, Some(96), Some(64)], Some(&musicnn), None).unwrap_err();
        assert!(error.contains("187 frames"), "{error}");
    }

    #[test]
    fn patches_are_the_same_values_as_the_input() {
        let fit = &fits(&[None, Some(1), Some(64), Some(96)], None, None).unwrap()[0];
        let (patches, values) = (fit.patches().unwrap(), fit.values());
        assert_eq!(patches.dim(), (1, 96, 64));
        assert_eq!(patches[[0, 3, 5]], values[[0, 0, 5, 3]]);
    }
}
