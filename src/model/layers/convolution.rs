//! Convolution and its gradients as matrix products, in parallel over images, after
//! cuDNN's paper (Chetlur et al. 2014).
//!
//! The columns of an image, `[in * kernel * kernel, positions]`, are what each position
//! of the output sees; they are made for a few rows of the output at a time, so that they
//! stay in the cache until the product has used them.

use std::ops::Range;

use rayon::prelude::*;

/// Values that the columns of one tile may have: 256 KiB, half of a usual second-level cache.
const TILE: usize = 64 * 1024;

/// Images whose weight gradients are summed up by one thread. Fixed, so that the order
/// of the sum, and with it the result, does not depend on the number of threads.
const IMAGES_A_SUM: usize = 4;

/// Stride and padding, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step of the kernel.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
}

/// A convolution of these sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Convolution {
    batch: usize,
    /// Input channels, height and width.
    from: [usize; 3],
    /// Output channels, height and width.
    to: [usize; 3],
    kernel: usize,
    geometry: Geometry,
}

/// A matrix in memory: values, and the steps from row to row and from column to column.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    steps: [usize; 2],
}

/// What a product does to the values that are there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    /// It takes their place.
    Replace,
    /// It is added to them.
    Accumulate,
}

/// Stores the product of `left` `[rows, inner]` and `right` `[inner, columns]` in `result`
/// `[rows, columns]`, whose rows are `stride` values apart.
fn multiply(
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

impl Convolution {
    pub(super) fn new(
        [batch, channels, height, width]: [usize; 4],
        [filters, _, kernel, _]: [usize; 4],
        geometry: Geometry,
    ) -> Self {
        let along =
            |size: usize| (size + 2 * geometry.padding - kernel) / geometry.stride.max(1) + 1;
        Self {
            batch,
            from: [channels, height, width],
            to: [filters, along(height), along(width)],
            kernel,
            geometry,
        }
    }

    /// Shape of the input, `[batch, channels, height, width]`.
    pub(super) fn input(&self) -> [usize; 4] {
        let [channels, height, width] = self.from;
        [self.batch, channels, height, width]
    }

    /// Shape of the output, `[batch, channels, height, width]`.
    pub(super) fn output(&self) -> [usize; 4] {
        let [channels, height, width] = self.to;
        [self.batch, channels, height, width]
    }

    /// Shape of the weights, `[out, in, kernel, kernel]`.
    pub(super) fn weight(&self) -> [usize; 4] {
        [self.to[0], self.from[0], self.kernel, self.kernel]
    }

    /// Rows of the columns' matrix.
    fn inner(&self) -> usize {
        self.from[0] * self.kernel * self.kernel
    }

    fn positions(&self) -> usize {
        self.to[1] * self.to[2]
    }

    /// Rows of the output, a tile at a time.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let [_, height, width] = self.to;
        let rows = (TILE / (self.inner() * width).max(1)).clamp(1, height.max(1));
        (0..height).step_by(rows).map(move |first| first..(first + rows).min(height))
    }

    /// Whether an image is its own columns.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.geometry == Geometry { stride: 1, padding: 0 }
    }

    /// Fills `out` with the convolution of `x` with `weight`, all row-major.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let [filters, _, width] = self.to;
        let (inner, positions) = (self.inner(), self.positions());
        let weight = Matrix { values: weight, steps: [inner, 1] };
        let images = out.par_chunks_mut((filters * positions).max(1));
        images.zip(x.par_chunks(self.image())).for_each_init(Vec::new, |columns, (out, x)| {
            if self.is_pointwise() {
                let x = Matrix { values: x, steps: [positions, 1] };
                return multiply(
                    [filters, inner, positions],
                    weight,
                    x,
                    out,
                    positions,
                    Store::Replace,
                );
            }
            for rows in self.tiles() {
                let count = rows.len() * width;
                self.columns(x, &rows, columns);
                let right = Matrix { values: columns, steps: [count, 1] };
                let out = &mut out[rows.start * width..];
                multiply([filters, inner, count], weight, right, out, positions, Store::Replace);
            }
        });
    }

    /// Adds to `out` the gradient of the weights, given that of the output.
    pub(super) fn weight_gradient(&self, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [filters, _, width] = self.to;
        let (inner, positions) = (self.inner(), self.positions());
        let groups = x.par_chunks(IMAGES_A_SUM * self.image());
        let gradients = gradient.par_chunks((IMAGES_A_SUM * filters * positions).max(1));
        let partial = |(x, gradient): (&[f32], &[f32])| {
            let (mut sum, mut columns) = (vec![0f32; filters * inner], vec![]);
            let images = x.chunks(self.image()).zip(gradient.chunks((filters * positions).max(1)));
            for (x, gradient) in images {
                for rows in self.tiles() {
                    let count = rows.len() * width;
                    self.columns(x, &rows, &mut columns);
                    let left =
                        Matrix { values: &gradient[rows.start * width..], steps: [positions, 1] };
                    // The columns, lying on their side.
                    let right = Matrix { values: &columns, steps: [1, count] };
                    multiply(
                        [filters, count, inner],
                        left,
                        right,
                        &mut sum,
                        inner,
                        Store::Accumulate,
                    );
                }
            }
            sum
        };
        let partials: Vec<Vec<f32>> = groups.zip(gradients).map(partial).collect();
        for partial in partials {
            out.iter_mut().zip(partial).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Adds to `out` the gradient of the input, given that of the output.
    pub(super) fn input_gradient(&self, weight: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [filters, _, width] = self.to;
        let (inner, positions) = (self.inner(), self.positions());
        let weight = Matrix { values: weight, steps: [1, inner] };
        let gradients = gradient.par_chunks((filters * positions).max(1));
        let images = out.par_chunks_mut(self.image()).zip(gradients);
        images.for_each_init(Vec::new, |columns: &mut Vec<f32>, (out, gradient)| {
            for rows in self.tiles() {
                let count = rows.len() * width;
                columns.resize(inner * count, 0.0);
                let right =
                    Matrix { values: &gradient[rows.start * width..], steps: [positions, 1] };
                multiply([inner, filters, count], weight, right, columns, count, Store::Replace);
                self.add_columns(columns, &rows, out);
            }
        });
    }

    /// Values of one input image.
    fn image(&self) -> usize {
        self.from.iter().product::<usize>().max(1)
    }

    /// Calls `each` for every row of the output in every line of the columns: where the row
    /// begins in the columns, which of its places lie inside the image,
    /// and where the first of them lies there.
    fn stretches(&self, rows: &Range<usize>, mut each: impl FnMut(usize, Range<usize>, usize)) {
        let ([channels, height, width], [_, _, out_width]) = (self.from, self.to);
        let Geometry { stride, padding } = self.geometry;
        let mut begin = 0;
        for channel in 0..channels {
            for down in 0..self.kernel {
                for right in 0..self.kernel {
                    // Positions whose column lies in 0..width.
                    let first = padding.saturating_sub(right).div_ceil(stride).min(out_width);
                    let end = match (width + padding).checked_sub(right) {
                        Some(room) => room.div_ceil(stride).min(out_width),
                        None => 0,
                    };
                    for row in rows.clone() {
                        let row = row * stride + down;
                        if first < end && (padding..height + padding).contains(&row) {
                            let image = (channel * height + row - padding) * width;
                            each(begin, first..end, image + first * stride + right - padding);
                        } else {
                            each(begin, 0..0, 0);
                        }
                        begin += out_width;
                    }
                }
            }
        }
    }

    /// What the positions in `rows` of the output see of the image `x`.
    fn columns(&self, x: &[f32], rows: &Range<usize>, columns: &mut Vec<f32>) {
        let width = self.to[2];
        // Not cleared first: every value is written below.
        columns.resize(self.inner() * rows.len() * width, 0.0);
        let stride = self.geometry.stride;
        self.stretches(rows, |begin, inside, from| {
            let target = &mut columns[begin..][..width];
            target[..inside.start].fill(0.0);
            target[inside.end..].fill(0.0);
            let target = &mut target[inside];
            match stride {
                1 => target.copy_from_slice(&x[from..][..target.len()]),
                _ => {
                    let source = x[from..].iter().step_by(stride);
                    target.iter_mut().zip(source).for_each(|(target, value)| *target = *value);
                }
            }
        });
    }

    /// Adds to the image `out` what `columns` say of it.
    fn add_columns(&self, columns: &[f32], rows: &Range<usize>, out: &mut [f32]) {
        let stride = self.geometry.stride;
        self.stretches(rows, |begin, inside, to| {
            let source = &columns[begin..][inside];
            match stride {
                1 => {
                    let target = &mut out[to..][..source.len()];
                    target.iter_mut().zip(source).for_each(|(target, value)| *target += value);
                }
                _ => {
                    let target = out[to..].iter_mut().step_by(stride);
                    target.zip(source).for_each(|(target, value)| *target += value);
                }
            }
        });
    }
}
