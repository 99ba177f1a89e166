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
    let last = |[rows, columns]: [usize; 2], [row, column]: [usize; 2]| {
        (rows - 1) * row + (columns - 1) * column
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
