//! Rows for one run of a model, and what it answers to them.

#[cfg(feature = "train")]
use std::borrow::Cow;

#[cfg(feature = "train")]
use ndarray::ArrayD;
use ndarray::{Array, ArrayView, Axis, CowArray, Dimension, Slice};

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
    ///
    /// # Errors
    /// [`WrongRows`] if the output has not one entry a row along its first axis.
    #[cfg(feature = "train")]
    pub fn answers<'o>(&self, output: &'o ArrayD<f32>) -> Result<Cow<'o, [f32]>, WrongRows> {
        let rows = self.rows.shape().first().copied().unwrap_or(0);
        if output.shape().first() != Some(&rows) || self.count > rows {
            return Err(WrongRows { rows, shape: output.shape().to_vec() });
        }
        let wanted = output.slice_axis(Axis(0), Slice::from(..self.count));
        Ok(match wanted.to_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(wanted.iter().copied().collect()),
        })
    }
}

/// An output without a row for each row that was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it answers {shape:?} to {rows} rows; one row for each is needed")]
pub struct WrongRows {
    /// Rows given.
    rows: usize,
    /// The output's shape.
    shape: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_fixed_batch_is_filled_up() {
        let rows = array![[1., 2.], [3., 4.]];
        let batch = Batch::new(rows.view(), Some(3));
        assert_eq!(batch.rows(), array![[1., 2.], [3., 4.], [0., 0.]]);
        for size in [None, Some(2)] {
            let batch = Batch::new(rows.view(), size);
            assert_eq!((batch.rows(), batch.rows.is_view()), (rows.view(), true));
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn the_fillings_answers_are_cut_off_whatever_their_order_in_memory() {
        let rows = array![[1., 2.], [3., 4.]];
        let batch = Batch::new(rows.view(), Some(3));
        let output = array![[1., 5.], [2., 6.], [0., 0.]];
        assert_eq!(*batch.answers(&output.clone().into_dyn()).unwrap(), [1., 5., 2., 6.]);
        let turned = output.t().as_standard_layout().into_owned().reversed_axes();
        assert!(!turned.is_standard_layout());
        assert_eq!(*batch.answers(&turned.into_dyn()).unwrap(), [1., 5., 2., 6.]);
        let merged = array![[1., 5.]].into_dyn();
        let text = batch.answers(&merged).unwrap_err().to_string();
        assert!(text.contains("[1, 2] to 3 rows"), "{text}");
        assert!(batch.answers(&ArrayD::zeros(vec![])).is_err());
    }
}
