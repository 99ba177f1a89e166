//! One embedding a patch, of an output that has several values of each feature for it: a token
//! for each moment, a map of places.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array2, ArrayD, Axis};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How the values of a feature become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Their mean.
    #[default]
    Mean,
    /// The largest of them.
    Max,
    /// The first: of tokens often one that stands for all.
    First,
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::First => "first",
        })
    }
}

impl FromStr for Pool {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "mean" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            "first" => Ok(Self::First),
            _ => {
                let choices = "mean, max or first".to_owned();
                Err(Error::Unknown { what: "pooling", name: text.to_owned(), choices })
            }
        }
    }
}

impl Pool {
    /// One value of several, of which there is at least one; not a number if any is not.
    fn of(self, values: impl Iterator<Item = f32>) -> f32 {
        match self {
            Self::Mean => {
                let (sum, count) =
                    values.fold((0f64, 0f64), |(sum, count), v| (sum + f64::from(v), count + 1.0));
                (sum / count) as f32
            }
            Self::Max => values.fold(f32::NEG_INFINITY, |max, value| {
                if value > max || value.is_nan() { value } else { max }
            }),
            Self::First => values.take(1).fold(f32::NAN, |_, value| value),
        }
    }
}

/// The embeddings `[patches, features]` in `output`, whose axis `axis` holds the features (see
/// [`feature_axis`](super::axes::feature_axis)): the other axes but the first are pooled, and
/// the first as well if `single`, where all of the output is about one patch. None if it has
/// no such axis or no values.
#[must_use]
pub fn pooled(output: ArrayD<f32>, axis: usize, single: bool, pool: Pool) -> Option<Array2<f32>> {
    if output.ndim() == 0 && single {
        return Array2::from_shape_vec((1, 1), output.into_iter().collect()).ok();
    }
    let features = match output.shape().get(axis)? {
        // A score a patch is one feature.
        _ if axis == 0 && !single && output.ndim() == 1 => 1,
        _ if axis == 0 && !single => return None,
        features => *features,
    };
    if output.is_empty() {
        return None;
    }
    let rows = if single { 1 } else { output.len_of(Axis(0)) };
    if output.len() == rows * features {
        // In the order that it has, for the other axes are ones.
        let values = if output.is_standard_layout() {
            output.into_raw_vec_and_offset().0
        } else {
            output.iter().copied().collect()
        };
        return Array2::from_shape_vec((rows, features), values).ok();
    }
    let places = output.len() / rows / features;
    let mut order: Vec<usize> = (0..output.ndim()).filter(|other| *other != axis).collect();
    order.insert(usize::from(!single), axis);
    let turned = output.permuted_axes(order);
    let turned = turned.as_standard_layout();
    let values = turned.as_slice()?;
    let one = |at: usize| pool.of(values[at * places..][..places].iter().copied());
    Array2::from_shape_vec((rows, features), (0..rows * features).map(one).collect()).ok()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, array};

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for pool in [Pool::Mean, Pool::Max, Pool::First] {
            assert_eq!(pool.to_string().parse::<Pool>().unwrap(), pool);
            assert_eq!(serde_json::to_string(&pool).unwrap(), format!("\"{pool}\""));
        }
        assert!("median".parse::<Pool>().unwrap_err().to_string().contains("mean, max or first"));
    }

    #[test]
    fn tokens_and_maps_become_a_row_a_patch() {
        // Two patches of three tokens of two features.
        let tokens = array![[[1f32, 10.], [2., 20.], [6., 0.]], [[-1., 0.], [-2., 0.], [-3., 3.]]];
        for (pool, wanted) in [
            (Pool::Mean, array![[3., 10.], [-2., 1.]]),
            (Pool::Max, array![[6., 20.], [-1., 3.]]),
            (Pool::First, array![[1., 10.], [-1., 0.]]),
        ] {
            assert_eq!(pooled(tokens.clone().into_dyn(), 2, false, pool).unwrap(), wanted);
            // The same as maps [N, C, 1, T].
            let maps = tokens.clone().permuted_axes([0, 2, 1]).insert_axis(Axis(2));
            assert_eq!(pooled(maps.into_dyn(), 1, false, pool).unwrap(), wanted);
        }
    }

    #[test]
    fn the_rows_of_a_single_patch_are_pooled_too() {
        let rows = array![[1f32, 4.], [3., 0.]].into_dyn();
        assert_eq!(pooled(rows.clone(), 1, true, Pool::Mean).unwrap(), array![[2., 2.]]);
        assert_eq!(pooled(rows, 1, false, Pool::Mean).unwrap(), array![[1., 4.], [3., 0.]]);
        let map = Array::from_shape_fn((1, 2, 2, 2), |(_, c, h, w)| (c * 100 + h * 10 + w) as f32);
        assert_eq!(pooled(map.into_dyn(), 1, true, Pool::Max).unwrap(), array![[11., 111.]]);
        let (vector, number) = (array![5f32, 6.].into_dyn(), Array::from_elem((), 7f32).into_dyn());
        assert_eq!(pooled(vector.clone(), 0, true, Pool::Mean).unwrap(), array![[5., 6.]]);
        assert_eq!(pooled(vector, 0, false, Pool::Mean).unwrap(), array![[5.], [6.]]);
        assert_eq!(pooled(number, 0, true, Pool::Mean).unwrap(), array![[7.]]);
    }

    #[test]
    fn what_is_no_number_stays_so_and_what_is_empty_is_no_embedding() {
        let with_nan = array![[[1f32, f32::NAN]], [[0., 2.]]].permuted_axes([0, 2, 1]);
        for pool in [Pool::Mean, Pool::Max] {
            let found = pooled(with_nan.clone().into_dyn(), 2, false, pool).unwrap();
            assert!(found[[0, 0]].is_nan() && !found[[1, 0]].is_nan());
        }
        for shape in [vec![2, 0], vec![2, 0, 3], vec![0, 3]] {
            assert_eq!(pooled(ArrayD::zeros(shape), 1, false, Pool::Mean), None);
        }
        assert_eq!(pooled(ArrayD::zeros(vec![2, 3]), 2, false, Pool::Mean), None);
    }
}
