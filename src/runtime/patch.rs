//! How a model wants its log-mel patches: `[N, frames, mels]` in one file,
//! `[N, 1, frames, mels]` or `[N, mels, frames]` in the next.

#[cfg(feature = "train")]
use ndarray::ArrayD;
use ndarray::{Array, ArrayView, ArrayView3, ArrayViewD, Axis, CowArray, Dimension, Slice};

/// The largest fixed batch believed: a file may claim any.
const MAX_BATCH: usize = 4096;

/// A model whose input cannot be a batch of patches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPatchInput {
    /// It fixes a number of patches that cannot be meant.
    #[error("the model takes {0} patches at a time; from 1 to {MAX_BATCH} are possible")]
    Batch(usize),
    /// Its axes are others.
    #[error(
        "the model takes [{dims}], which is no batch of patches of {frames} frames by {mels} mel \
         bands; choose the front end it was trained with (‹front-end›)"
    )]
    Axes {
        /// Its axes, `any` where any size will do.
        dims: String,
        /// Frames of a patch.
        frames: usize,
        /// Mel bands of a patch.
        mels: usize,
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

/// The arrangement of one model input for patches of frames by mels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchInput {
    /// Axes after the batch, ones included.
    pub shape: Vec<usize>,
    /// Whether mels come before frames.
    pub transposed: bool,
    /// The batch size where the file fixes it.
    pub batch: Option<usize>,
}

impl PatchInput {
    /// The arrangement of an input with axes `dims` (`None`: any size), batch first.
    ///
    /// # Errors
    /// [`NoPatchInput`] if the axes are not a batch of `frames` by `mels`.
    pub fn new(dims: &[Option<usize>], frames: usize, mels: usize) -> Result<Self, NoPatchInput> {
        let refuse = || {
            let size = |d: &Option<usize>| d.map_or("any".to_owned(), |d| d.to_string());
            let dims = dims.iter().map(size).collect::<Vec<_>>().join(", ");
            NoPatchInput::Axes { dims, frames, mels }
        };
        let (batch, rest) = dims.split_first().ok_or_else(refuse)?;
        check_batch(*batch)?;
        let ones = rest.iter().filter(|d| **d == Some(1)).count();
        let arranged = |order: [usize; 2]| {
            // Sizes of one can stand anywhere, so frames or mels of one are not told apart from them.
            let mut wanted = order.into_iter().filter(|size| *size != 1).peekable();
            let shape: Option<Vec<usize>> = rest
                .iter()
                .map(|dim| match dim {
                    Some(1) => Some(1),
                    Some(size) => wanted.next_if_eq(size),
                    None => wanted.next(),
                })
                .collect();
            shape.filter(|_| wanted.peek().is_none())
        };
        if rest.len() > ones + 2 {
            return Err(refuse());
        }
        let (shape, transposed) = match arranged([frames, mels]) {
            Some(shape) => (shape, false),
            None => (arranged([mels, frames]).ok_or_else(refuse)?, true),
        };
        Ok(Self { shape, transposed, batch: *batch })
    }

    /// Patches `[count, frames, mels]` with the axes that the model wants; nothing is copied.
    pub fn arrange<'a>(&self, patches: ArrayView3<'a, f32>) -> ArrayViewD<'a, f32> {
        let turned = if self.transposed { patches.permuted_axes([0, 2, 1]) } else { patches };
        let mut view = turned.into_dyn();
        // Axes of one stand where the file has them.
        for axis in (1..view.ndim()).rev().map(Axis) {
            if view.len_of(axis) == 1 {
                view = view.index_axis_move(axis, 0);
            }
        }
        for (place, _) in self.shape.iter().enumerate().filter(|(_, size)| **size == 1) {
            view = view.insert_axis(Axis(1 + place));
        }
        view
    }
}

/// Rows for one run of a model: where it takes more of them than there are, zeros (silence)
/// fill up the rest.
#[derive(Clone, Debug)]
pub struct Batch<'a, D: Dimension> {
    rows: CowArray<'a, f32, D>,
    /// Without training nobody asks for the answers.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    count: usize,
}

impl<'a, D: Dimension> Batch<'a, D> {
    /// `rows` along the first axis, for a model that takes `size` of them at a time, or any
    /// number. They are copied only if there are fewer.
    pub fn new(rows: ArrayView<'a, f32, D>, size: Option<usize>) -> Self {
        let count = rows.shape().first().copied().unwrap_or(0);
        let mut shape = rows.raw_dim();
        match size {
            Some(size) if size > count && shape.ndim() > 0 => shape[0] = size,
            _ => return Self { rows: rows.into(), count },
        }
        let mut filled = Array::zeros(shape);
        filled.slice_axis_mut(Axis(0), Slice::from(..count)).assign(&rows);
        Self { rows: filled.into(), count }
    }

    /// All rows, filling included.
    pub fn rows(&self) -> ArrayView<'_, f32, D> {
        self.rows.view()
    }

    /// What of a model's output is about the rows that were given, row-major: the filling's
    /// answers come last.
    #[cfg(feature = "train")]
    pub fn answers<'o>(&self, output: &'o ArrayD<f32>) -> &'o [f32] {
        let values = output.as_slice().unwrap_or_default();
        let rows = self.rows.shape().first().copied().unwrap_or(0).max(1);
        &values[..values.len() / rows * self.count.min(rows)]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{array, s};

    use super::*;

    #[test]
    fn every_order_of_axes_is_recognized() {
        let of = |dims: &[Option<usize>]| PatchInput::new(dims, 96, 64);
        assert!(!of(&[None, Some(96), Some(64)]).unwrap().transposed);
        assert!(of(&[None, Some(64), Some(96)]).unwrap().transposed);
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

    #[test]
    fn a_fixed_batch_is_filled_up_and_its_answers_are_cut() {
        let rows = array![[1., 2.], [3., 4.]];
        let output = array![[1.], [2.], [0.]].into_dyn();
        let batch = Batch::new(rows.view(), Some(3));
        assert_eq!(batch.rows(), array![[1., 2.], [3., 4.], [0., 0.]]);
        assert_eq!(batch.answers(&output), [1., 2.]);
        for size in [None, Some(2)] {
            let batch = Batch::new(rows.view(), size);
            assert_eq!((batch.rows(), batch.rows.is_view()), (rows.view(), true));
        }
    }
}
