//! How a model wants its patches: `[N, frames, mels]` in one file, `[N, 1, frames, mels]` or
//! `[N, mels, frames]` in the next; pictures as `[N, channels, rows, columns]`, samples as `[N,
//! samples]` or without a batch at all.

use ndarray::{Array, ArrayView3, Axis, CowArray, IxDyn};
use serde::{Deserialize, Serialize};

use super::axes::{Axis as PatchAxis, Reading};
use crate::features::PatchKind;
use crate::onnx::Port;

/// The largest fixed batch believed: a file may claim any.
const MAX_BATCH: usize = 4096;

/// The most values of all patches of a fixed batch: 256 MB, of which several copies are made.
const MAX_VALUES: usize = 1 << 26;

/// A model whose input cannot be a batch of patches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPatchInput {
    /// It fixes a number of patches that cannot be meant.
    #[error("the model takes {0} patches at a time; from 1 to {MAX_BATCH} are possible")]
    Batch(usize),
    /// It fixes a number of patches that is too much for patches of this size.
    #[error(
        "the model takes {batch} patches of {values} values at a time; at most {MAX_VALUES} values \
         are possible, so export it for one patch, or for any number of them"
    )]
    Values {
        /// Patches at a time.
        batch: usize,
        /// Values of each.
        values: usize,
    },
    /// Its axes are others.
    #[error(
        "the model takes [{dims}], which is no batch of {wanted}; choose the front end it was \
         trained with (‹front-end›)"
    )]
    Axes {
        /// Its axes: sizes or, where any size will do, names.
        dims: String,
        /// The patches of the front end.
        wanted: String,
    },
}

/// Whether the number of patches that a model always takes, if it fixes one, can be believed.
///
/// # Errors
/// [`NoPatchInput::Batch`] if it cannot.
pub(crate) fn check_batch(batch: Option<usize>) -> Result<(), NoPatchInput> {
    match batch {
        None | Some(1..=MAX_BATCH) => Ok(()),
        Some(batch) => Err(NoPatchInput::Batch(batch)),
    }
}

/// As [`check_batch`], for patches of so many `values`.
///
/// # Errors
/// [`NoPatchInput::Batch`], or [`NoPatchInput::Values`] if all of them together are too many.
pub(crate) fn check_patches(batch: Option<usize>, values: usize) -> Result<(), NoPatchInput> {
    check_batch(batch)?;
    match batch {
        Some(batch) if batch.checked_mul(values).is_none_or(|all| all > MAX_VALUES) => {
            Err(NoPatchInput::Values { batch, values })
        }
        _ => Ok(()),
    }
}

/// The arrangement of one model's input: patches `[patches, frames, features]` are parted into
/// `[patches, frames, rows, channels]` ([`Self::parts`]), whose axes are put into another order
/// ([`Self::order`]), and get the axes of one that the file has ([`Self::axes`]). Whoever works
/// on tensors of another kind does the same three steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchInput {
    /// Axes of the input but the batch, ones included.
    pub shape: Vec<usize>,
    /// Where the batch stands among them; none for a file that takes one patch and has no axis
    /// for more.
    pub batch_axis: Option<usize>,
    /// The batch size where the file fixes it: 1 where there is no axis for it.
    pub batch: Option<usize>,
    /// Frames (columns, samples), rows (mel bands) and channels of a patch.
    pub parts: [usize; 3],
    /// Which axis of `[patches, frames, rows, channels]` comes first, second, third and last.
    pub order: [usize; 4],
    /// Whether another order would fit as well, so that this one is only what is usual.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
}

impl PatchInput {
    /// The arrangement of an input with axes `dims` (`None`: any size) for log-mels of `frames`
    /// by `mels`, frames first where sizes do not say otherwise.
    ///
    /// # Errors
    /// [`NoPatchInput`] if the axes are not a batch of `frames` by `mels`.
    pub fn new(dims: &[Option<usize>], frames: usize, mels: usize) -> Result<Self, NoPatchInput> {
        let port = Port { dims: dims.to_vec(), ..Port::default() };
        Self::of(&port, [frames, mels].into())
    }

    /// The arrangement of the input `port` for patches of this `kind`.
    ///
    /// # Errors
    /// [`NoPatchInput`] if its axes are not a batch of such patches.
    pub fn of(port: &Port, kind: PatchKind) -> Result<Self, NoPatchInput> {
        let reading = Reading::of(port, kind).ok_or_else(|| refusal(port, kind))?;
        let parts = kind.parts();
        let batch_axis = reading.axes.iter().position(|axis| *axis == Some(PatchAxis::Batch));
        let inside = reading.axes.iter().filter(|axis| **axis != Some(PatchAxis::Batch));
        let shape = inside.map(|axis| axis.map_or(1, |axis| parts[axis.place() - 1])).collect();
        let batch = batch_axis.map_or(Some(1), |axis| port.dims[axis]);
        // Saturated, it is too many as well.
        check_patches(batch, parts.into_iter().fold(1, usize::saturating_mul))?;
        let order = order(&reading.axes);
        Ok(Self { shape, batch_axis, batch, parts, order, assumed: reading.assumed })
    }

    /// All axes of the input for `count` patches.
    #[must_use]
    pub fn axes(&self, count: usize) -> Vec<usize> {
        let mut axes = self.shape.clone();
        if let Some(axis) = self.batch_axis {
            axes.insert(axis.min(axes.len()), count);
        }
        axes
    }

    /// Whether the values of a patch change their order on the way to the model.
    #[must_use]
    pub fn is_turned(&self) -> bool {
        self.order != [0, 1, 2, 3]
    }

    /// Patches `[count, frames, features]` with the axes that the model wants. Nothing is copied
    /// but pictures that overlap in memory. Without an axis for the batch one patch must be
    /// given; more keep the axis, which the model then refuses.
    #[must_use]
    pub fn arrange<'a>(&self, patches: ArrayView3<'a, f32>) -> CowArray<'a, f32, IxDyn> {
        let mut view = self.parted(patches).permuted_axes(&self.order[..]);
        // Axes of one stand where the file has them.
        let mut axes = self.order.to_vec();
        for place in (0..axes.len()).rev() {
            let is_batch = axes[place] == 0;
            let goes = if is_batch { self.batch_axis.is_none() } else { true };
            if goes && view.len_of(Axis(place)) == 1 {
                view = view.index_axis_move(Axis(place), 0);
                axes.remove(place);
            }
        }
        for (place, size) in self.axes(0).iter().enumerate() {
            if *size == 1 {
                let place = place.min(view.ndim());
                view = view.insert_axis(Axis(place));
            }
        }
        view
    }

    /// `[count, frames, rows, channels]`; patches of another shape are left as they are, for the
    /// model to refuse.
    fn parted<'a>(&self, patches: ArrayView3<'a, f32>) -> CowArray<'a, f32, IxDyn> {
        let [_, rows, channels] = self.parts;
        let (count, frames, features) = patches.dim();
        if channels == 1 || features != rows * channels {
            return patches.insert_axis(Axis(3)).into_dyn().into();
        }
        let shape = IxDyn(&[count, frames, rows, channels]);
        if let Ok(parted) = patches.into_dyn().into_shape_with_order(shape.clone()) {
            return parted.into();
        }
        let values = patches.iter().copied().collect();
        // Only a wrong count could fail, and it was looked at.
        Array::from_shape_vec(shape, values)
            .map_or_else(|_| patches.insert_axis(Axis(3)).into_dyn().into(), CowArray::from)
    }
}

/// The order of `[patches, frames, rows, channels]` in a file with these axes: as it is if it
/// is so but for axes of one, which then need not move.
fn order(axes: &[Option<PatchAxis>]) -> [usize; 4] {
    let mut places: Vec<usize> = axes.iter().flatten().map(|axis| axis.place()).collect();
    if places.is_sorted() {
        return [0, 1, 2, 3];
    }
    if !places.contains(&0) {
        places.insert(0, 0);
    }
    places.extend((0..4).filter(|place| !places.contains(place)).collect::<Vec<_>>());
    let mut order = [0; 4];
    order.iter_mut().zip(places).for_each(|(to, from)| *to = from);
    order
}

fn refusal(port: &Port, kind: PatchKind) -> NoPatchInput {
    let size = |(axis, size): (usize, &Option<usize>)| match size {
        Some(size) => size.to_string(),
        None => port.axis_name(axis).unwrap_or("any").to_owned(),
    };
    let dims = port.dims.iter().enumerate().map(size).collect::<Vec<_>>().join(", ");
    let wanted = match kind {
        PatchKind::LogMel { frames, mels, .. } => {
            format!("patches of {frames} frames by {mels} mel bands")
        }
        PatchKind::Picture { columns, rows, channels: 1 } => {
            format!("grey pictures of {columns} x {rows}")
        }
        PatchKind::Picture { columns, rows, channels } => {
            format!("pictures of {columns} x {rows} with {channels} channels")
        }
        PatchKind::Samples(samples) => format!("patches of {samples} samples"),
    };
    NoPatchInput::Axes { dims, wanted }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    #[test]
    fn every_order_of_axes_is_recognized() {
        let of = |dims: &[Option<usize>]| PatchInput::new(dims, 96, 64);
        assert!(!of(&[None, Some(96), Some(64)]).unwrap().is_turned());
        assert!(of(&[None, Some(64), Some(96)]).unwrap().is_turned());
        assert_eq!(of(&[Some(1), Some(1), Some(96), Some(64)]).unwrap().batch, Some(1));
        assert_eq!(of(&[None, None, None, Some(1)]).unwrap().shape, [96, 64, 1]);
        for batch in [0, MAX_BATCH + 1] {
            let text = of(&[Some(batch), Some(96), Some(64)]).unwrap_err().to_string();
            assert!(text.contains(&format!("takes {batch} patches")), "{text}");
        }
        for wrong in [&[][..], &[None], &[None, Some(96)], &[None, Some(187), Some(96)]] {
            assert!(of(wrong).unwrap_err().to_string().contains("96 frames"));
        }
    }

    #[test]
    fn a_batch_is_limited_by_what_its_patches_hold() {
        let kind = PatchKind::Picture { columns: 224, rows: 224, channels: 3 };
        let of = |batch| {
            let dims = [batch, 3, 224, 224].map(Some).to_vec();
            PatchInput::of(&Port { dims, ..Port::default() }, kind)
        };
        // 445 of 150528 values are 66984960, of 67108864 that are allowed.
        assert_eq!(of(445).unwrap().batch, Some(445));
        let text = of(446).unwrap_err().to_string();
        assert!(
            text.contains("446 patches of 150528 values") && text.contains("67108864"),
            "{text}"
        );
        assert_eq!(check_patches(None, usize::MAX), Ok(()));
        let error = NoPatchInput::Values { batch: 2, values: usize::MAX };
        assert_eq!(check_patches(Some(2), usize::MAX), Err(error));
    }

    #[test]
    fn transposed_models_get_transposed_patches() {
        let input = PatchInput::new(&[None, Some(3), Some(2)], 2, 3).unwrap();
        let patches = array![[[1., 2., 3.], [4., 5., 6.]]];
        let wanted = array![[[1., 4.], [2., 5.], [3., 6.]]].into_dyn();
        assert_eq!(input.arrange(patches.view()), wanted);
    }

    #[test]
    fn ones_stand_where_the_model_has_them() {
        let patches = array![[[1., 2., 3.], [4., 5., 6.]], [[0.; 3]; 2]];
        for (dims, wanted) in [
            (&[None, Some(1), Some(2), Some(3)][..], &[2, 1, 2, 3][..]),
            (&[None, Some(1), Some(3), Some(1), Some(2)], &[2, 1, 3, 1, 2]),
        ] {
            let input = PatchInput::new(dims, 2, 3).unwrap();
            assert_eq!(input.arrange(patches.view()).shape(), wanted);
        }
        let band = PatchInput::new(&[None, Some(1), Some(2), Some(1)], 2, 1).unwrap();
        assert_eq!(band.arrange(patches.slice(s![.., .., ..1])).shape(), [2, 1, 2, 1]);
    }

    fn named(axes: &[&str]) -> Port {
        let dims = axes.iter().map(|name| name.parse().ok()).collect();
        let name = |name: &&str| name.parse::<usize>().is_err().then(|| (*name).to_owned());
        Port { dims, axes: axes.iter().map(name).collect(), ..Port::default() }
    }

    #[test]
    fn pictures_lie_as_networks_for_them_want() {
        // Two columns of three rows of three channels: 100 column + 10 row + channel.
        let value = |(_, column, rest): (usize, usize, usize)| {
            (100 * column + 10 * (rest / 3) + rest % 3) as f32
        };
        let patches = ndarray::Array3::from_shape_fn((1, 2, 9), value);
        let kind = PatchKind::Picture { columns: 2, rows: 3, channels: 3 };
        for (axes, at) in [
            (&["N", "3", "3", "2"][..], [0, 2, 1, 1]),
            (&["N", "3", "2", "3"], [0, 1, 1, 2]),
            (&["N", "channels", "height", "width"], [0, 2, 1, 1]),
            (&["N", "height", "width", "channels"], [0, 1, 1, 2]),
        ] {
            let input = PatchInput::of(&named(axes), kind).unwrap();
            let view = input.arrange(patches.view());
            assert_eq!(view.shape(), input.axes(1));
            assert_eq!(view[&at[..]], 112., "{axes:?}");
        }
        let text = PatchInput::of(&named(&["N", "1", "3", "2"]), kind).unwrap_err().to_string();
        assert!(text.contains("[N, 1, 3, 2]") && text.contains("2 x 3 with 3 channels"), "{text}");
        let grey = PatchKind::Picture { columns: 2, rows: 2, channels: 1 };
        let input = PatchInput::of(&named(&["N", "1", "2", "2"]), grey).unwrap();
        assert_eq!((input.order, input.assumed), ([0, 2, 1, 3], false));
    }

    #[test]
    fn samples_come_with_or_without_a_batch() {
        let kind = PatchKind::Samples(5);
        let patches = ndarray::Array3::from_shape_fn((1, 5, 1), |(_, at, _)| at as f32);
        for (axes, shape, batch) in [
            (&["batch", "5"][..], &[1, 5][..], None),
            (&["batch", "samples"], &[1, 5], None),
            (&["N", "1", "5"], &[1, 1, 5], None),
            (&["N", "5", "1"], &[1, 5, 1], None),
            (&["1", "n"], &[1, 5], Some(1)),
            (&["5"], &[5], Some(1)),
            (&["n"], &[5], Some(1)),
        ] {
            let input = PatchInput::of(&named(axes), kind).unwrap();
            assert_eq!(input.batch, batch, "{axes:?}");
            let view = input.arrange(patches.view());
            assert!(view.shape() == shape && view.is_view(), "{axes:?}");
        }
        for wrong in [&["N", "4"][..], &["4"], &["N", "2", "5"]] {
            assert!(PatchInput::of(&named(wrong), kind).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_believed_and_what_is_assumed_is_known() {
        use crate::features::Layout;
        let of = |axes: &[&str], layout| {
            let kind = PatchKind::LogMel { frames: 64, mels: 64, layout };
            let input = PatchInput::of(&named(axes), kind).unwrap();
            (input.is_turned(), input.assumed)
        };
        for (axes, turned) in [
            (&["batch", "1", "mels", "frames"][..], true),
            (&["batch", "64", "time_steps"], true),
            (&["batch", "seqLength", "64"], false),
            (&["batch", "n_freq", "x"], true),
            (&["T", "batch", "64"], true),
        ] {
            for layout in [None, Some(Layout::FramesFirst), Some(Layout::MelsFirst)] {
                assert_eq!(of(axes, layout), (turned, false), "{axes:?}");
            }
        }
        for axes in [&["batch", "1", "64", "64"][..], &["N", "a", "b"], &["N", "1", "64", "b"]] {
            assert_eq!(of(axes, None), (false, true));
            assert_eq!(of(axes, Some(Layout::FramesFirst)), (false, false));
            assert_eq!(of(axes, Some(Layout::MelsFirst)), (true, false));
        }
    }
}
