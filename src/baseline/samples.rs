//! Rows of features with their genres.

use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::error::{Cause, Error, Result};
use crate::model::Standardization;

/// Rows of features, each with its genre and the song (or other unit) it belongs to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    /// `[rows, features]`, row by row.
    pub values: Vec<f32>,
    /// The genre of each row.
    pub labels: Vec<usize>,
    /// What each row belongs to and must not be parted from.
    pub units: Vec<usize>,
    /// Values in a row.
    pub features: usize,
    /// Genres.
    pub classes: usize,
}

impl Samples {
    /// One slice a row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.values.chunks_exact(self.features)
    }

    /// The row at `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.features..][..self.features]
    }

    /// The rows at `indices`, in that order.
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            values: indices.iter().flat_map(|&index| self.row(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            units: indices.iter().map(|&index| self.units[index]).collect(),
            ..*self
        }
    }

    /// The statistics to standardize these and other rows with.
    pub fn standardization(&self) -> Standardization {
        Standardization::of(self.rows(), self.features)
    }

    /// The rows standardized.
    pub fn standardized(mut self, standardization: &Standardization) -> Self {
        self.values.chunks_exact_mut(self.features).for_each(|row| standardization.apply(row));
        self
    }

    /// The rows as smartcore wants them.
    pub(super) fn matrix(&self) -> Result<DenseMatrix<f64>> {
        let values = self.values.iter().copied().map(f64::from).collect();
        DenseMatrix::new(self.labels.len(), self.features, values, false).map_err(failed)
    }
}

/// The error that a model cannot be fitted, with what the library that fits it says.
pub(super) fn failed(cause: impl Into<Cause>) -> Error {
    Error::Fit(cause.into())
}
