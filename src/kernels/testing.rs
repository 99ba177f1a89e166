//! What the kernels are held to: the definitions, computed value by value.

use proptest::prelude::*;

use super::ending::{Bounds, Ending};
use super::lanes::Vectors;
use super::share::{Alone, Fill, Share};
use super::window::Window;

/// Several threads, as far as a kernel sees: each row by itself, the last one first.
pub(super) struct Apart;

impl Share for Apart {
    fn rows(&self, out: &mut [f32], row: usize, _: usize, fill: Fill) {
        for (at, out) in out.chunks_mut(row).enumerate().collect::<Vec<_>>().into_iter().rev() {
            fill(at, out);
        }
    }

    fn threads(&self) -> usize {
        3
    }
}

pub(super) fn vectors() -> Vec<Vectors> {
    [Some(Vectors::widest()), Vectors::of_eight(), Some(Vectors::of_one())]
        .into_iter()
        .flatten()
        .collect()
}

/// Numbers that look random, some of them alike and some zero.
pub(super) fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7 + seed * 13) % 23) as f32 / 4.0 - 2.75).collect()
}

/// A window, the maps' shape and the number of filters.
pub(super) fn cases() -> impl Strategy<Value = (Window, [usize; 4], usize)> {
    let axis = || (1usize..5, 1usize..4, 1usize..3, (0usize..3, 0usize..3), 0usize..14);
    (axis(), axis(), 1usize..3, 0usize..70, 1usize..70).prop_map(
        |(down, across, batch, channels, filters)| {
            let window = Window {
                kernel: [down.0, across.0],
                stride: [down.1, across.1],
                dilation: [down.2, across.2],
                padding: [down.3, across.3],
            };
            // So large that the window fits.
            let size = |axis: (usize, usize, usize, (usize, usize), usize)| {
                axis.4.max(((axis.0 - 1) * axis.2 + 1).saturating_sub(axis.3.0 + axis.3.1))
            };
            (window, [batch, size(down), size(across), channels], filters)
        },
    )
}

/// The value that place `kernel` of the window sees at `position`, if it lies in the map.
pub(super) fn seen(
    window: &Window,
    (x, shape): (&[f32], [usize; 4]),
    image: usize,
    position: [usize; 2],
    kernel: [usize; 2],
    channel: usize,
) -> Option<f32> {
    let mut place = [0; 2];
    for axis in 0..2 {
        let padded = position[axis] * window.stride[axis] + kernel[axis] * window.dilation[axis];
        place[axis] = padded.checked_sub(window.padding[axis].0)?;
        if place[axis] >= shape[axis + 1] {
            return None;
        }
    }
    let [_, height, width, channels] = shape;
    Some(x[((image * height + place[0]) * width + place[1]) * channels + channel])
}

/// Every value of the answer: image, position, channel.
pub(super) fn answers(shape: [usize; 4]) -> impl Iterator<Item = (usize, [usize; 2], usize)> {
    let [_, rows, columns, channels] = shape;
    (0..shape.iter().product()).map(move |at: usize| {
        let (place, channel) = (at / channels, at % channels);
        let (row, column) = (place / columns, place % columns);
        (row / rows, [row % rows, column], channel)
    })
}

pub(super) fn places(window: &Window) -> impl Iterator<Item = [usize; 2]> {
    let [down, across] = window.kernel;
    (0..down * across).map(move |at| [at / across, at % across])
}

pub(super) fn ending(channels: usize, kind: usize) -> Ending {
    let bounds =
        [Bounds::NONE, Bounds { low: 0.0, high: f32::INFINITY }, Bounds { low: 0.0, high: 6.0 }];
    let affine = (kind >= 3).then(|| [numbers(channels, 5), numbers(channels, 6)]);
    Ending { bounds: bounds[kind % 3], affine }
}

pub(super) fn ended(ending: &Ending, channel: usize, value: f32) -> f32 {
    let value = ending.bounds.keep(value);
    match &ending.affine {
        Some([scale, shift]) => value * scale[channel] + shift[channel],
        None => value,
    }
}

/// Holds a convolution to the answer that is `wanted`, by one thread and, bit for bit as then, by
/// several.
pub(super) fn holds(
    wanted: &[f32],
    run: impl Fn(&mut [f32], &dyn Share),
) -> Result<(), TestCaseError> {
    let mut alone = vec![f32::NAN; wanted.len()];
    run(&mut alone, &Alone);
    near(&alone, wanted)?;
    let mut apart = vec![f32::NAN; wanted.len()];
    run(&mut apart, &Apart);
    prop_assert_eq!(alone, apart, "threads change the answer");
    Ok(())
}

fn near(given: &[f32], wanted: &[f32]) -> Result<(), TestCaseError> {
    let largest = wanted.iter().fold(1f32, |largest, value| largest.max(value.abs()));
    for (at, (given, wanted)) in given.iter().zip(wanted).enumerate() {
        prop_assert!(
            (given - wanted).abs() <= 1e-5 * largest,
            "{at}: {given} in place of {wanted}"
        );
    }
    Ok(())
}

/// So many cases, fewer under Miri, where each takes seconds.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 128 })
    }
}
