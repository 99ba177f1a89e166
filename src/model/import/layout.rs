//! Which axes of the ONNX tensor are which axes of ours, so that Transpose,
//! Reshape and their kin cost nothing: they are followed here and folded into
//! the next layer's weights.
//!
//! Our tensor is always `[batch, channels, height, width]` (or `[batch,
//! features]`, where features are called channels). The ONNX tensor holds the
//! same numbers under some order and grouping of those axes: each of its axes is
//! a list of ours, and axes of size one are left out, since they can stand anywhere.

use crate::error::Cause;
use crate::runtime::PatchInput;

/// An axis of our own tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Batch,
    Channel,
    Height,
    Width,
}

use Axis::{Batch, Channel, Height, Width};

/// The size of the batch axis in a shape, where it is not a fixed number.
///
/// Shape arithmetic in exported graphs only moves sizes about, so one impossible
/// value can follow the batch through Shape, Gather and Concat.
pub(super) const BATCH: i64 = i64::MIN;

/// The order of an image's last two axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageAxes {
    /// Our own.
    HeightWidth,
    /// Exchanged.
    WidthHeight,
}

/// Why a layout cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutError {
    /// An input that takes no patches.
    #[error("{0}")]
    Input(#[source] Cause),
    /// An axis that the tensor does not have.
    #[error("axis {axis} of a tensor of rank {rank}")]
    Axis { axis: i64, rank: usize },
    /// A permutation with an axis in two places.
    #[error("perm {0:?} names an axis twice")]
    AxisTwice(Vec<i64>),
    /// A permutation of more or fewer axes than there are.
    #[error("perm {perm:?} for a tensor of rank {rank}")]
    Permutation { perm: Vec<i64>, rank: usize },
    /// A squeeze of an axis that is not one.
    #[error("it squeezes axis {axis} of the shape {}", show(.shape))]
    Squeeze { axis: usize, shape: Vec<i64> },
    /// A reshape that parts or mixes our axes.
    #[error("it reshapes {} to {}", show(.from), show(.to))]
    Reshape { from: Vec<i64>, to: Vec<i64> },
}

type Result<T> = std::result::Result<T, LayoutError>;

/// How an ONNX tensor's axes are made of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    axes: Vec<Vec<Axis>>,
    /// Sizes of channel, height and width.
    sizes: [usize; 3],
    /// The batch's size where the file fixes it.
    batch: Option<usize>,
}

impl Layout {
    /// `[batch, channels, height, width]`, or with height and width exchanged.
    pub fn image(sizes: [usize; 3], axes: ImageAxes, batch: Option<usize>) -> Self {
        let (second, last) = match axes {
            ImageAxes::HeightWidth => (Height, Width),
            ImageAxes::WidthHeight => (Width, Height),
        };
        let axes = vec![vec![Batch], vec![Channel], vec![second], vec![last]];
        Self { axes, sizes, batch }.without_ones()
    }

    /// `[batch, features]`.
    pub fn vector(features: usize, batch: Option<usize>) -> Self {
        let axes = vec![vec![Batch], vec![Channel]];
        Self { axes, sizes: [features, 1, 1], batch }.without_ones()
    }

    /// The layout of a graph input with these axes (`None` for a dynamic size)
    /// when it holds patches of `frames` by `mels`.
    pub fn input(dims: &[Option<usize>], frames: usize, mels: usize) -> Result<Self> {
        let arrangement = PatchInput::new(dims, frames, mels)
            .map_err(|reason| LayoutError::Input(reason.into()))?;
        let axes =
            if arrangement.is_turned() { ImageAxes::WidthHeight } else { ImageAxes::HeightWidth };
        let mut layout = Self::image([1, frames, mels], axes, arrangement.batch);
        // The image's axes in order, but with ones where the file has them.
        let mut patch = layout.axes.concat().into_iter().skip(1);
        let axis = |size: &usize| match size {
            1 => vec![],
            _ => patch.next().into_iter().collect(),
        };
        let patch_axes: Vec<Vec<Axis>> = arrangement.shape.iter().map(axis).collect();
        layout.axes = [vec![vec![Batch]], patch_axes].concat();
        Ok(layout)
    }

    pub fn sizes(&self) -> [usize; 3] {
        self.sizes
    }

    pub fn batch(&self) -> Option<usize> {
        self.batch
    }

    fn size(&self, axis: Axis) -> usize {
        match axis {
            Batch => self.batch.unwrap_or(usize::MAX),
            Channel => self.sizes[0],
            Height => self.sizes[1],
            Width => self.sizes[2],
        }
    }

    fn without_ones(mut self) -> Self {
        let sizes = self.sizes;
        let keeps = |axis: &Axis| match axis {
            Batch => true,
            Channel => sizes[0] != 1,
            Height => sizes[1] != 1,
            Width => sizes[2] != 1,
        };
        self.axes.iter_mut().for_each(|axis| axis.retain(keeps));
        self
    }

    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The ONNX shape, with [`BATCH`] for a batch of any size.
    pub fn dims(&self) -> Vec<i64> {
        let size = |axis: &Axis| match (axis, self.batch) {
            (Batch, None) => BATCH,
            (axis, _) => self.size(*axis) as i64,
        };
        self.axes
            .iter()
            .map(|axis| match axis.as_slice() {
                [Batch] => size(&Batch),
                parts => parts.iter().map(size).product(),
            })
            .collect()
    }

    /// An axis number as ONNX counts it, negative from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let index = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(index)
            .ok()
            .filter(|index| *index < rank)
            .ok_or(LayoutError::Axis { axis, rank })
    }

    pub fn transpose(&self, perm: &[i64]) -> Result<Self> {
        let mut seen = vec![false; self.rank()];
        let mut axes = Vec::with_capacity(perm.len());
        for &axis in perm {
            let index = self.axis(axis, self.rank())?;
            if std::mem::replace(&mut seen[index], true) {
                return Err(LayoutError::AxisTwice(perm.to_vec()));
            }
            axes.push(self.axes[index].clone());
        }
        if axes.len() == self.rank() {
            Ok(Self { axes, ..self.clone() })
        } else {
            Err(LayoutError::Permutation { perm: perm.to_vec(), rank: self.rank() })
        }
    }

    pub fn squeeze(&self, axes: &[i64]) -> Result<Self> {
        let dims = self.dims();
        let drop: Vec<usize> = match axes {
            [] => (0..dims.len()).filter(|i| dims[*i] == 1).collect(),
            axes => axes.iter().map(|a| self.axis(*a, dims.len())).collect::<Result<_>>()?,
        };
        if let Some(&axis) = drop.iter().find(|i| dims[**i] != 1) {
            return Err(LayoutError::Squeeze { axis, shape: dims });
        }
        let kept = |(i, axis): (usize, &Vec<Axis>)| (!drop.contains(&i)).then(|| axis.clone());
        Ok(Self { axes: self.axes.iter().enumerate().filter_map(kept).collect(), ..self.clone() })
    }

    pub fn unsqueeze(&self, axes: &[i64]) -> Result<Self> {
        let rank = self.rank() + axes.len();
        let new: Vec<usize> = axes.iter().map(|a| self.axis(*a, rank)).collect::<Result<_>>()?;
        let mut old = self.axes.iter().cloned();
        let axes = (0..rank)
            .map(|i| if new.contains(&i) { vec![] } else { old.next().unwrap_or_default() })
            .collect();
        Ok(Self { axes, ..self.clone() })
    }

    pub fn flatten(&self, axis: i64) -> Result<Self> {
        // `axis` may equal the rank here, unlike elsewhere.
        let at =
            if axis == self.rank() as i64 { self.rank() } else { self.axis(axis, self.rank())? };
        let join = |axes: &[Vec<Axis>]| axes.concat();
        Ok(Self { axes: vec![join(&self.axes[..at]), join(&self.axes[at..])], ..self.clone() })
    }

    /// The layout after an ONNX Reshape to `target` (`-1`: what is left, `0`: as
    /// before unless `allow_zero`, [`BATCH`]: the batch).
    pub fn reshape(&self, target: &[i64], allow_zero: bool) -> Result<Self> {
        let dims = self.dims();
        let refuse = || LayoutError::Reshape { from: dims.clone(), to: target.to_vec() };
        let mut target = target.to_vec();
        for (i, size) in target.iter_mut().enumerate() {
            if *size == 0 && !allow_zero {
                *size = *dims.get(i).ok_or_else(refuse)?;
            }
        }
        self.infer(&mut target).ok_or_else(refuse)?;
        let mut parts = self.axes.concat().into_iter().peekable();
        let mut axes = Vec::with_capacity(target.len());
        for size in target {
            let mut group = vec![];
            if size == BATCH || (parts.peek() == Some(&Batch) && Some(size) == self.fixed_batch()) {
                group.extend(parts.next_if_eq(&Batch));
                if group.is_empty() {
                    return Err(refuse());
                }
            } else {
                let mut left = size;
                while left > 1 {
                    let axis = parts.next().filter(|axis| *axis != Batch).ok_or_else(refuse)?;
                    let part = self.size(axis) as i64;
                    if left % part != 0 {
                        return Err(refuse());
                    }
                    left /= part;
                    group.push(axis);
                }
            }
            axes.push(group);
        }
        match parts.next() {
            None => Ok(Self { axes, ..self.clone() }),
            Some(_) => Err(refuse()),
        }
    }

    fn fixed_batch(&self) -> Option<i64> {
        self.batch.map(|size| size as i64)
    }

    /// Replaces the one `-1` of a reshape's target by the size it stands for.
    fn infer(&self, target: &mut [i64]) -> Option<()> {
        let Some(unknown) = target.iter().position(|size| *size == -1) else { return Some(()) };
        let patch: i64 = self.sizes.iter().map(|size| *size as i64).product();
        let known = |size: &&i64| **size != BATCH && **size != -1;
        let product = target.iter().filter(known).try_fold(1i64, |p, size| p.checked_mul(*size))?;
        if product <= 0 {
            return None;
        }
        let batch_named = target.contains(&BATCH);
        target[unknown] = match self.batch {
            Some(batch) => (patch * batch as i64) / product,
            None if !batch_named && product == patch => BATCH,
            None if batch_named && patch % product == 0 => patch / product,
            None => return None,
        };
        Some(())
    }

    /// The order of the axes, if this is an image a convolution can work on.
    pub fn as_image(&self) -> Option<ImageAxes> {
        if self.rank() != 4 {
            return None;
        }
        [ImageAxes::HeightWidth, ImageAxes::WidthHeight]
            .into_iter()
            .find(|axes| Self::image(self.sizes, *axes, self.batch).axes == self.axes)
    }

    /// The order of our axes in a `[batch, ..1.., features]` tensor, slowest first.
    pub fn as_vector(&self) -> Option<&[Axis]> {
        match self.axes.as_slice() {
            [batch, ones @ .., last] if batch == &[Batch] && ones.iter().all(Vec::is_empty) => {
                Some(last)
            }
            _ => None,
        }
    }

    /// Whether the features stand in our own order, so that the output needs no reordering.
    pub fn is_plain(&self) -> bool {
        let parts = self.axes.concat();
        parts == Self::image(self.sizes, ImageAxes::HeightWidth, self.batch).axes.concat()
    }

    /// For each of our flat feature indices, the flat index in the ONNX order `order`.
    pub fn permutation(&self, order: &[Axis]) -> Vec<usize> {
        let [channels, height, width] = self.sizes;
        let stride = |axis: Axis| match order.iter().position(|a| *a == axis) {
            Some(at) => order[at + 1..].iter().map(|a| self.size(*a)).product(),
            None => 0, // an axis of size one
        };
        let (c, h, w): (usize, usize, usize) = (stride(Channel), stride(Height), stride(Width));
        let mut indices = Vec::with_capacity(channels * height * width);
        for channel in 0..channels {
            for row in 0..height {
                indices.extend((0..width).map(|column| channel * c + row * h + column * w));
            }
        }
        indices
    }
}

fn show(dims: &[i64]) -> String {
    let size = |d: &i64| if *d == BATCH { "batch".to_owned() } else { d.to_string() };
    format!("[{}]", dims.iter().map(size).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Layout {
        Layout::image([512, 6, 4], ImageAxes::HeightWidth, None)
    }

    #[test]
    fn torch_flatten_in_nhwc_order_becomes_a_row_permutation() {
        let flat = image().transpose(&[0, 2, 3, 1]).unwrap().reshape(&[BATCH, -1], false).unwrap();
        assert_eq!(flat.dims(), [BATCH, 12_288]);
        assert_eq!(flat.as_vector().unwrap(), [Height, Width, Channel]);
        assert!(!flat.is_plain());
        let rows = flat.permutation(flat.as_vector().unwrap());
        // Our index (channel 3, row 5, column 2) stands at (5, 2, 3) over there.
        assert_eq!(rows[(3 * 6 + 5) * 4 + 2], (5 * 4 + 2) * 512 + 3);
    }

    #[test]
    fn inputs_of_every_exporter_are_the_same_image() {
        let some = |dims: &[usize]| {
            let mut all = vec![None];
            all.extend(dims.iter().map(|d| Some(*d)));
            Layout::input(&all, 96, 64).unwrap()
        };
        assert_eq!(some(&[1, 96, 64]).as_image(), Some(ImageAxes::HeightWidth));
        assert_eq!(
            some(&[96, 64]).unsqueeze(&[1]).unwrap().as_image(),
            Some(ImageAxes::HeightWidth)
        );
        let tf = some(&[64, 96]).transpose(&[0, 2, 1]).unwrap();
        assert_eq!(
            tf.reshape(&[-1, 1, 96, 64], false).unwrap().as_image(),
            Some(ImageAxes::HeightWidth)
        );
        assert_eq!(
            some(&[64, 96]).unsqueeze(&[-3]).unwrap().as_image(),
            Some(ImageAxes::WidthHeight)
        );
        assert!(Layout::input(&[None, Some(32), Some(96)], 96, 64).is_err());
    }

    #[test]
    fn a_fixed_batch_can_be_written_out() {
        let layout = Layout::image([2, 3, 4], ImageAxes::HeightWidth, Some(1));
        assert_eq!(layout.reshape(&[1, 24], false).unwrap().as_vector().unwrap().len(), 3);
        assert_eq!(layout.reshape(&[1, -1], false).unwrap().dims(), [1, 24]);
    }

    #[test]
    fn reshapes_that_mix_axes_are_refused() {
        assert!(image().reshape(&[-1, 512 * 24 / 2, 2], false).is_err());
        assert!(image().reshape(&[-1, 5], false).is_err());
        assert!(image().reshape(&[BATCH, 512, 24], false).is_ok());
        assert!(image().reshape(&[BATCH, 256, 48], false).is_err());
        assert!(image().transpose(&[0, 1, 1, 2]).is_err());
        assert!(image().squeeze(&[1]).is_err());
    }

    #[test]
    fn ones_come_and_go() {
        let pooled = Layout::image([1024, 1, 1], ImageAxes::HeightWidth, None);
        assert_eq!(
            pooled.squeeze(&[2, 3]).unwrap(),
            Layout { axes: vec![vec![Batch], vec![Channel]], ..pooled.clone() }
        );
        assert!(pooled.flatten(1).unwrap().is_plain());
        assert_eq!(
            pooled.squeeze(&[-1, -2]).unwrap().unsqueeze(&[2, 3]).unwrap().dims(),
            [BATCH, 1024, 1, 1]
        );
    }

    #[test]
    fn errors_say_what_does_not_fit() {
        let text = |result: Result<Layout>| result.unwrap_err().to_string();
        let reshaped = text(image().reshape(&[-1, 5], false));
        assert_eq!(reshaped, "it reshapes [batch, 512, 6, 4] to [-1, 5]");
        assert_eq!(text(image().transpose(&[0, 1, 1, 2])), "perm [0, 1, 1, 2] names an axis twice");
        assert_eq!(text(image().transpose(&[0, 1])), "perm [0, 1] for a tensor of rank 4");
        let squeezed = text(image().squeeze(&[1]));
        assert_eq!(squeezed, "it squeezes axis 1 of the shape [batch, 512, 6, 4]");
        assert_eq!(text(image().squeeze(&[7])), "axis 7 of a tensor of rank 4");
    }
}
