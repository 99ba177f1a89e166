//! The largest value of each channel in a window.

use pulp::{Simd, WithSimd};

use super::lanes::{Vectors, load_some, store};
use super::share::Share;
use super::window::Window;

/// The largest values of maps `[batch, height, width, channels]`. Places beyond the map do not
/// count; what is no number stays none.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// Where it looks.
    pub window: Window,
    /// What it compares with.
    pub vectors: Vectors,
}

impl MaxPool {
    /// Fills `out`, of the window's output shape, with the largest values of `x`, of `shape`.
    pub fn run(&self, x: &[f32], shape: [usize; 4], out: &mut [f32], share: &dyn Share) {
        assert_eq!(x.len(), shape.iter().product::<usize>(), "values of {shape:?}");
        let [_, rows, columns, channels] = self.window.output(shape, shape[3]);
        let row = (columns * channels).max(1);
        let compared = out.len() * self.window.kernel[0] * self.window.kernel[1];
        share.rows(out, row, compared, &|first, out| {
            for (at, out) in out.chunks_exact_mut(row).enumerate() {
                let (image, position) = ((first + at) / rows, (first + at) % rows);
                let window = self.window;
                self.vectors.dispatch(Row { window, x, shape, image, position, out });
            }
        });
    }
}

/// A row of positions.
struct Row<'a> {
    window: Window,
    x: &'a [f32],
    shape: [usize; 4],
    image: usize,
    position: usize,
    out: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [_, height, width, channels] = self.shape;
        let window = self.window;
        let down = window.inside(0, height, self.position);
        let least = simd.splat_f32s(f32::NEG_INFINITY);
        for (position, out) in self.out.chunks_exact_mut(channels).enumerate() {
            let across = window.inside(1, width, position);
            for channel in (0..channels).step_by(S::F32_LANES) {
                let count = S::F32_LANES.min(channels - channel);
                let mut largest = least;
                for y in down.clone() {
                    let row = self.image * height + window.seen(0, self.position, y);
                    for x in across.clone() {
                        let at = (row * width + window.seen(1, position, x)) * channels + channel;
                        let values = load_some(simd, &self.x[at..][..count]);
                        let larger = simd.greater_than_f32s(values, largest);
                        let is_none = simd.not_m32s(simd.equal_f32s(values, values));
                        let larger = simd.or_m32s(larger, is_none);
                        largest = simd.select_f32s(larger, values, largest);
                    }
                }
                store(simd, &mut out[channel..][..count], largest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::share::Alone;
    use super::super::testing::{Apart, answers, cases, config, numbers, places, seen, vectors};
    use super::*;

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn pooling_finds_the_largest_of_what_lies_in_the_map((window, shape, _) in cases()) {
            let x = numbers(shape.iter().product(), 1);
            let output = window.output(shape, shape[3]);
            let wanted: Vec<f32> = answers(output)
                .map(|(image, position, channel)| {
                    places(&window)
                        .filter_map(|place| seen(&window, (&x, shape), image, position, place, channel))
                        .fold(f32::NEG_INFINITY, f32::max)
                })
                .collect();
            for vectors in vectors() {
                let mut out = vec![f32::NAN; wanted.len()];
                MaxPool { window, vectors }.run(&x, shape, &mut out, &Alone);
                prop_assert_eq!(&out, &wanted);
                MaxPool { window, vectors }.run(&x, shape, &mut out, &Apart);
                prop_assert_eq!(&out, &wanted);
            }
        }

        #[test]
        fn what_is_no_number_stays_none(at in 0usize..6) {
            let mut x = vec![1.0f32; 2 * 3 * 20];
            x[at * 20 + 3] = f32::NAN;
            let window = Window {
                kernel: [2, 3], stride: [1, 1], dilation: [1, 1], padding: [(0, 0); 2],
            };
            for vectors in vectors() {
                let mut out = vec![0.0; 20];
                MaxPool { window, vectors }.run(&x, [1, 2, 3, 20], &mut out, &Alone);
                let wanted = |channel| channel == 3;
                prop_assert!((0..20).all(|channel| out[channel].is_nan() == wanted(channel)));
            }
        }
    }
}
