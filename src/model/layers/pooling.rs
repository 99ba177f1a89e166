//! The largest of every 2 x 2 values, and of other windows.

use pulp::Arch;
use rayon::prelude::*;

use crate::kernels::Window;

/// The shape that a map is pooled to.
pub(super) fn output([batch, channels, height, width]: [usize; 4]) -> [usize; 4] {
    [batch, channels, height / 2, width / 2]
}

/// The larger; what is no number stays none.
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
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
                *out = larger(larger(upper[0], upper[1]), larger(lower[0], lower[1]));
            }
        }
    });
}

/// Whether each place of a map is in a window of 2 x 2.
pub(super) fn reaches_all([.., height, width]: [usize; 4]) -> bool {
    height % 2 == 0 && width % 2 == 0
}

/// Gives the gradient of every result to the first of its largest values; `out` is zero unless the
/// windows of the map are [all of it](reaches_all).
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

/// The window of every 2 x 2 values.
pub(super) const BY_TWO: Window =
    Window { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], padding: [(0, 0); 2] };

/// Like [`backward`], of maps that lie place by place.
pub(super) fn backward_by_place_of_two(
    x: &[f32],
    shape: [usize; 4],
    gradient: &[f32],
    out: &mut [f32],
) {
    let [_, channels, height, width] = shape;
    let [.., down, across] = output(shape);
    if down * across * channels == 0 {
        return;
    }
    let (row, arch) = (width * channels, Arch::new());
    let images = out.par_chunks_mut(height * row).zip(x.par_chunks(height * row));
    images.zip(gradient.par_chunks(down * across * channels)).for_each(|((out, x), gradient)| {
        let pairs = x.chunks_exact(2 * row).zip(out.chunks_exact_mut(2 * row));
        for ((x, out), gradient) in pairs.zip(gradient.chunks_exact(across * channels)) {
            arch.dispatch(|| give_of_two(x, gradient, channels, out));
        }
    });
}

/// Gives a row of gradients to the two rows of places that it comes from.
#[inline(always)]
fn give_of_two(x: &[f32], gradient: &[f32], channels: usize, out: &mut [f32]) {
    let ((x, x_below), (out, out_below)) =
        (x.split_at(x.len() / 2), out.split_at_mut(out.len() / 2));
    let pair = 2 * channels;
    let xs = x.chunks_exact(pair).zip(x_below.chunks_exact(pair));
    let outs = out.chunks_exact_mut(pair).zip(out_below.chunks_exact_mut(pair));
    for ((xs, outs), gradient) in xs.zip(outs).zip(gradient.chunks_exact(channels)) {
        let ([a, b], [c, d]) = (halves(xs.0), halves(xs.1));
        let (out_a, out_b) = outs.0.split_at_mut(channels);
        let (out_c, out_d) = outs.1.split_at_mut(channels);
        let all = gradient.len();
        let (a, b, c, d) = (&a[..all], &b[..all], &c[..all], &d[..all]);
        let (out_a, out_b) = (&mut out_a[..all], &mut out_b[..all]);
        let (out_c, out_d) = (&mut out_c[..all], &mut out_d[..all]);
        for at in 0..all {
            // As bits: a choice would become a branch.
            let right = [u32::from(b[at] > a[at]), u32::from(d[at] > c[at])];
            let below = u32::from(c[at].max(d[at]) > a[at].max(b[at]));
            let given = |to: u32| f32::from_bits(gradient[at].to_bits() & to.wrapping_neg());
            out_a[at] = given((1 ^ below) & (1 ^ right[0]));
            out_b[at] = given((1 ^ below) & right[0]);
            out_c[at] = given(below & (1 ^ right[1]));
            out_d[at] = given(below & right[1]);
        }
    }
}

fn halves(x: &[f32]) -> [&[f32]; 2] {
    let (first, second) = x.split_at(x.len() / 2);
    [first, second]
}

/// Gives the gradient of every result to the first of its largest values: maps that lie place by
/// place, `[x, y, gradient]`, `x` of `shape` `[batch, channels, height, width]`.
pub(super) fn backward_by_place(
    window: &Window,
    [x, y, gradient]: [&[f32]; 3],
    [_, channels, height, width]: [usize; 4],
    out: &mut [f32],
) {
    let [rows, columns] = [window.positions(0, height), window.positions(1, width)];
    let (image, answer) = ((height * width * channels).max(1), (rows * columns * channels).max(1));
    let arch = Arch::new();
    let answers = y.par_chunks(answer).zip(gradient.par_chunks(answer));
    let images = out.par_chunks_mut(image).zip(x.par_chunks(image)).zip(answers);
    images.for_each(|((out, x), (y, gradient))| {
        out.fill(0.0);
        let mut left = vec![0f32; channels];
        for position in 0..rows * columns {
            let [row, column] = [position / columns, position % columns];
            left.copy_from_slice(&gradient[position * channels..][..channels]);
            let y = &y[position * channels..][..channels];
            for down in window.inside(0, height, row) {
                for across in window.inside(1, width, column) {
                    let place = window.seen(0, row, down) * width + window.seen(1, column, across);
                    let (x, out) = (
                        &x[place * channels..][..channels],
                        &mut out[place * channels..][..channels],
                    );
                    arch.dispatch(|| give([x, y], &mut left, out));
                }
            }
        }
    });
}

/// Moves what is `left` to `out` where the value is the largest.
#[inline(always)]
fn give([x, y]: [&[f32]; 2], left: &mut [f32], out: &mut [f32]) {
    for ((x, y), (left, out)) in x.iter().zip(y).zip(left.iter_mut().zip(out)) {
        // As bits: a choice would become a branch.
        let takes = u32::from(x == y).wrapping_neg();
        *out += f32::from_bits(left.to_bits() & takes);
        *left = f32::from_bits(left.to_bits() & !takes);
    }
}
