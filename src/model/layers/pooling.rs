//! The largest of every 2 x 2 values.

use rayon::prelude::*;

/// The shape that a map is pooled to.
pub(super) fn output([batch, channels, height, width]: [usize; 4]) -> [usize; 4] {
    [batch, channels, height / 2, width / 2]
}

/// The two rows that row `row` of the result comes from, cut to an even width.
fn rows(plane: &[f32], width: usize, row: usize) -> (&[f32], &[f32]) {
    let even = width / 2 * 2;
    let (upper, lower) = (&plane[2 * row * width..], &plane[(2 * row + 1) * width..]);
    (&upper[..even], &lower[..even])
}

/// Fills `out` with the largest of every 2 x 2 values of `x`.
pub(super) fn forward(x: &[f32], shape: [usize; 4], out: &mut [f32]) {
    let [.., height, width] = shape;
    let [.., down, across] = output(shape);
    if down * across == 0 {
        return;
    }
    let planes = out.par_chunks_mut(down * across).zip(x.par_chunks(height * width));
    planes.for_each(|(out, x)| {
        for (row, out) in out.chunks_exact_mut(across).enumerate() {
            let (upper, lower) = rows(x, width, row);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            for (out, (upper, lower)) in out.iter_mut().zip(pairs) {
                *out = upper[0].max(upper[1]).max(lower[0].max(lower[1]));
            }
        }
    });
}

/// Gives the gradient of every result to the first of its largest values; `out` is zero.
pub(super) fn backward(x: &[f32], shape: [usize; 4], gradient: &[f32], out: &mut [f32]) {
    let [.., height, width] = shape;
    let [.., down, across] = output(shape);
    if down * across == 0 {
        return;
    }
    let planes = out.par_chunks_mut(height * width).zip(x.par_chunks(height * width));
    planes.zip(gradient.par_chunks(down * across)).for_each(|((out, x), gradient)| {
        for (row, gradient) in gradient.chunks_exact(across).enumerate() {
            let (upper, lower) = rows(x, width, row);
            let (out_upper, out_lower) = out[2 * row * width..].split_at_mut(width);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            let outs = out_upper.chunks_exact_mut(2).zip(out_lower.chunks_exact_mut(2));
            // Without branches: which value is the largest cannot be foretold.
            for (((upper, lower), (out_upper, out_lower)), gradient) in
                pairs.zip(outs).zip(gradient)
            {
                let right = [upper[1] > upper[0], lower[1] > lower[0]];
                let below = lower[0].max(lower[1]) > upper[0].max(upper[1]);
                let given = |to: bool| if to { *gradient } else { 0.0 };
                out_upper[0] = given(!below & !right[0]);
                out_upper[1] = given(!below & right[0]);
                out_lower[0] = given(below & !right[1]);
                out_lower[1] = given(below & right[1]);
            }
        }
    });
}
