//! Fits what tells embeddings that are unlike all that were learned from.
//!
//! Mahalanobis's distance from the nearest genre's middle, with one covariance for all genres (Lee et
//! al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"), of a
//! projection to the directions in which standardized patches vary most, so that it fits into an
//! exported file as a small matrix.

use nalgebra::{Cholesky, DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fit::Example;
use crate::run::Outsider;

/// Directions, at most.
const DIRECTIONS: usize = 64;
/// Patches that are looked at, about: each track gives as many.
const PATCHES: usize = 4096;
/// Rounds of the search for the directions; it need not be exact.
const ROUNDS: usize = 6;
/// The share of the covariance that is taken as the same in all directions.
const SHRINKAGE: f64 = 0.1;

/// Sums over patches from which a distance is fitted: those of parts can be taken from those of the
/// whole.
#[derive(Clone)]
pub(super) struct Moments {
    /// Patches of each class.
    counts: Vec<f64>,
    /// Their sums, `[features, classes]`.
    sums: DMatrix<f64>,
    /// The sum of their products, `[features, features]`.
    products: DMatrix<f64>,
}

impl Moments {
    /// Of tracks of `features` values a patch, about [`PATCHES`] patches if these were `tracks`
    /// tracks. Values are taken from `origin`, so that no digits are lost.
    pub fn of(examples: &[Example], classes: usize, origin: &[f64], tracks: usize) -> Self {
        let features = origin.len();
        let each = (PATCHES / tracks.max(1)).max(1);
        let (mut rows, mut counts) = (vec![], vec![0.0; classes]);
        let mut sums = DMatrix::zeros(features, classes);
        for example in examples {
            let label = example.labels[0];
            for row in spread(example, each) {
                let from_origin = row.iter().zip(origin).map(|(value, at)| f64::from(*value) - at);
                let column = DVector::from_iterator(features, from_origin);
                let mut sum = sums.column_mut(label);
                sum += &column;
                counts[label] += 1.0;
                rows.push(column);
            }
        }
        let products = if rows.is_empty() {
            DMatrix::zeros(features, features)
        } else {
            let table = DMatrix::from_columns(&rows);
            &table * table.transpose()
        };
        Self { counts, sums, products }
    }

    /// These without those of a part of them.
    pub fn without(&self, part: &Self) -> Self {
        Self {
            counts: self.counts.iter().zip(&part.counts).map(|(a, b)| a - b).collect(),
            sums: &self.sums - &part.sums,
            products: &self.products - &part.products,
        }
    }

    /// All together.
    pub fn total<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut total = parts.next()?.clone();
        for part in parts {
            total.counts.iter_mut().zip(&part.counts).for_each(|(sum, count)| *sum += count);
            total.sums += &part.sums;
            total.products += &part.products;
        }
        Some(total)
    }

    /// The distance that they make, without distances to compare it with; none if there are too few
    /// patches, or they do not vary.
    pub fn fit(&self, origin: &[f64]) -> Option<Outsider> {
        let count: f64 = self.counts.iter().sum();
        if self.counts.iter().any(|count| *count < 1.0) || count < 16.0 {
            return None;
        }
        let features = origin.len();
        let mean = self.sums.column_sum() / count;
        let scatter = &self.products / count - &mean * mean.transpose();
        let scale = DVector::from_iterator(
            features,
            (0..features).map(|at| inverse_deviation(&scatter, at)),
        );
        let mut middles = self.sums.clone();
        for (class, of_class) in self.counts.iter().enumerate() {
            middles.column_mut(class).unscale_mut(*of_class);
        }
        let mut within = self.products.clone() / count;
        for (class, of_class) in self.counts.iter().enumerate() {
            let middle = middles.column(class);
            within.ger(-of_class / count, &middle, &middle, 1.0);
        }
        let directions = DIRECTIONS.min(features).min((count / 8.0) as usize);
        let basis = largest(&standardized(scatter, &scale), directions);
        let spread = basis.transpose() * standardized(within, &scale) * &basis;
        let level = spread.trace() / directions as f64;
        let even = DMatrix::identity(directions, directions) * (level * SHRINKAGE);
        let lower = Cholesky::new(spread * (1.0 - SHRINKAGE) + even)?.l();
        // Rows of `inverse(lower) * basis'`, of standardized values: the covariance becomes that of
        // noise.
        let mut projection = lower.solve_lower_triangular(&basis.transpose())?;
        scale_columns(&mut projection, &scale);
        let origin = DVector::from_column_slice(origin);
        let bias = -(&projection * (&origin + &mean));
        let centers =
            &projection * (middles - &mean * DMatrix::from_element(1, self.counts.len(), 1.0));
        let floats = |values: &mut dyn Iterator<Item = &f64>| {
            values.map(|v| *v as f32).collect::<Vec<f32>>()
        };
        let found = Outsider {
            // Columns of the projection are rows of its transpose, one after the other.
            projection: floats(&mut projection.iter()),
            bias: floats(&mut bias.iter()),
            centers: centers.column_iter().map(|center| floats(&mut center.iter())).collect(),
            ..Outsider::default()
        };
        let all = found.projection.iter().chain(&found.bias).chain(found.centers.iter().flatten());
        let is_finite = all.copied().all(f32::is_finite);
        is_finite.then_some(found)
    }
}

/// Some of a track's patches, evenly spread.
fn spread<'a>(example: &'a Example, most: usize) -> impl Iterator<Item = &'a [f32]> {
    let rows = example.embeddings.rows();
    let step = rows.len().div_ceil(most).max(1);
    rows.step_by(step)
}

/// One over the standard deviation; of a feature that hardly varies 0, so that it counts for
/// nothing.
fn inverse_deviation(scatter: &DMatrix<f64>, at: usize) -> f64 {
    let deviation = scatter[(at, at)].max(0.0).sqrt();
    if deviation > 1e-6 { 1.0 / deviation } else { 0.0 }
}

/// The covariance of features that are multiplied by `scale`, from that of the features.
fn standardized(mut covariance: DMatrix<f64>, scale: &DVector<f64>) -> DMatrix<f64> {
    scale_columns(&mut covariance, scale);
    for mut column in covariance.column_iter_mut() {
        column.component_mul_assign(scale);
    }
    covariance
}

fn scale_columns(matrix: &mut DMatrix<f64>, scale: &DVector<f64>) {
    for (mut column, factor) in matrix.column_iter_mut().zip(scale) {
        column *= *factor;
    }
}

/// An orthonormal basis `[features, count]` of about the directions in which a symmetric matrix is
/// largest: orthogonal iteration.
fn largest(matrix: &DMatrix<f64>, count: usize) -> DMatrix<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let start = DMatrix::from_fn(matrix.nrows(), count, |_, _| random.random_range(-1.0..1.0));
    (0..ROUNDS).fold(start.qr().q(), |basis, _| (matrix * basis).qr().q())
}

#[cfg(test)]
mod tests {
    use super::super::embeddings::Embeddings;
    use super::*;
    use crate::run::nearest;

    /// Tracks of two genres that lie apart along one of 20 features, the last of which is constant.
    fn tracks(count: usize) -> Vec<(usize, Embeddings)> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut track = |number: usize| {
            let label = number % 2;
            let mut data: Vec<f32> = (0..20 * 20).map(|_| random.random_range(-1.0..1.0)).collect();
            for row in data.chunks_exact_mut(20) {
                row[0] += 100.0 + 6.0 * label as f32;
                row[19] = 7.0;
            }
            (label, Embeddings { data, features: 20, padded: false })
        };
        (0..count).map(&mut track).collect()
    }

    fn examples(tracks: &[(usize, Embeddings)]) -> Vec<Example<'_>> {
        tracks.iter().map(|(label, embeddings)| Example::single(label, embeddings)).collect()
    }

    #[test]
    fn what_lies_elsewhere_is_farther_and_known_ones_have_as_many_squares_as_directions() {
        let (tracks, origin) = (tracks(20), vec![50.0; 20]);
        let moments = Moments::of(&examples(&tracks), 2, &origin, 20);
        let found = moments.fit(&origin).unwrap();
        assert!(found.fits(20, 2));
        let mean: f32 = tracks
            .iter()
            .flat_map(|(_, embeddings)| embeddings.rows())
            .map(|row| nearest(&found.project(row), &found.centers))
            .sum::<f32>()
            / 400.0;
        let directions = found.directions() as f32;
        assert!((0.6 * directions..1.2 * directions).contains(&mean), "{mean} of {directions}");
        let mut between = [0.0f32; 20];
        (between[0], between[19]) = (103.0, 7.0);
        let mut at = between;
        at[0] = 100.0;
        let [far, near] = [between, at].map(|row| nearest(&found.project(&row), &found.centers));
        // Their distance is three, of a deviation of 3.05; the covariance is shrunk.
        assert!(far > 5.0 && near < 1.0, "{far} {near}");
    }

    #[test]
    fn a_whole_without_a_part_is_the_rest() {
        let (tracks, origin) = (tracks(20), vec![99.0; 20]);
        let all = examples(&tracks);
        let of = |examples: &[Example]| Moments::of(examples, 2, &origin, 20);
        let whole = Moments::total([&of(&all[..8]), &of(&all[8..])]).unwrap();
        let [a, b] = [whole.without(&of(&all[..8])), of(&all[8..])];
        let [a, b] = [a.fit(&origin).unwrap(), b.fit(&origin).unwrap()];
        for (a, b) in a.centers.iter().flatten().zip(b.centers.iter().flatten()) {
            assert!((a.abs() - b.abs()).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn too_little_makes_no_distance() {
        let (tracks, origin) = (tracks(2), vec![0.0; 20]);
        let all = examples(&tracks);
        assert!(Moments::of(&all[..1], 2, &origin, 20).fit(&origin).is_none(), "one genre");
        assert!(Moments::of(&[], 2, &origin, 20).fit(&origin).is_none());
    }
}
