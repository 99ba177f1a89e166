//! The matrix product that convolutions are made of.

/// A matrix in memory: values, and the steps from row to row and from column to column.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub values: &'a [f32],
    pub steps: [usize; 2],
}

/// What a product does to the values that are there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// It takes their place.
    Replace,
    /// It is added to them.
    Accumulate,
}

/// Stores the product of `left` `[rows, inner]` and `right` `[inner, columns]` in `result`
/// `[rows, columns]`, whose rows are `stride` values apart.
pub(super) fn multiply(
    [rows, inner, columns]: [usize; 3],
    left: Matrix,
    right: Matrix,
    result: &mut [f32],
    stride: usize,
    store: Store,
) {
    // Saturated, it lies in no slice.
    let last = |[rows, columns]: [usize; 2], [row, column]: [usize; 2]| {
        let down = (rows - 1).saturating_mul(row);
        down.saturating_add((columns - 1).saturating_mul(column))
    };
    if rows == 0 || columns == 0 || inner == 0 {
        return;
    }
    assert!(last([rows, inner], left.steps) < left.values.len());
    assert!(last([inner, columns], right.steps) < right.values.len());
    assert!(last([rows, columns], [stride, 1]) < result.len() && stride >= columns);
    let [left_steps, right_steps] = [left.steps, right.steps].map(|s| s.map(|s| s as isize));
    // SAFETY: the assertions keep every element that the sizes and steps reach inside the
    // slices; the result is borrowed mutably, so it overlaps with neither factor.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            result.as_mut_ptr(),
            1,
            stride as isize,
            store == Store::Accumulate,
            left.values.as_ptr(),
            left_steps[1],
            left_steps[0],
            right.values.as_ptr(),
            right_steps[1],
            right_steps[0],
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A matrix of these sizes, in rows or in columns, with values between; and each of its elements.
    fn matrix(rows: usize, columns: usize, turned: bool, gap: usize) -> (Vec<f32>, [usize; 2]) {
        let steps = if turned { [1, rows + gap] } else { [columns + gap, 1] };
        let length = (rows - 1) * steps[0] + (columns - 1) * steps[1] + 1;
        ((0..length).map(|i| (i * 7 % 11) as f32 - 5.0).collect(), steps)
    }

    proptest! {
        // Under Miri each takes seconds.
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 })
        })]

        /// In slices that end with the last element: nothing is read or written elsewhere.
        #[test]
        fn a_product_is_that_of_arithmetic_in_slices_without_a_value_to_spare(
            [rows, inner, columns] in prop::array::uniform3(1usize..if cfg!(miri) { 5 } else { 40 }),
            turned: [bool; 2],
            gaps in prop::array::uniform3(0usize..3),
            accumulates: bool,
        ) {
            let (left, left_steps) = matrix(rows, inner, turned[0], gaps[0]);
            let (right, right_steps) = matrix(inner, columns, turned[1], gaps[1]);
            let stride = columns + gaps[2];
            let before = vec![3.0f32; (rows - 1) * stride + columns];
            let mut result = before.clone();
            let store = if accumulates { Store::Accumulate } else { Store::Replace };
            multiply(
                [rows, inner, columns],
                Matrix { values: &left, steps: left_steps },
                Matrix { values: &right, steps: right_steps },
                &mut result,
                stride,
                store,
            );
            for (at, (given, before)) in result.iter().zip(before).enumerate() {
                let (row, column) = (at / stride, at % stride);
                let one = |i: usize| {
                    left[row * left_steps[0] + i * left_steps[1]]
                        * right[i * right_steps[0] + column * right_steps[1]]
                };
                let wanted = match (column < columns, accumulates) {
                    (false, _) => before,
                    (true, true) => before + (0..inner).map(one).sum::<f32>(),
                    (true, false) => (0..inner).map(one).sum(),
                };
                prop_assert!((given - wanted).abs() < 1e-3, "{row} {column}: {given} {wanted}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "left.values.len()")]
    fn a_slice_that_is_too_short_is_no_product() {
        let steps = [usize::MAX / 2, 1];
        let short = Matrix { values: &[1.0; 4], steps };
        let fits = Matrix { values: &[1.0; 4], steps: [2, 1] };
        multiply([3, 2, 2], short, fits, &mut [0.0; 8], 2, Store::Replace);
    }
}
