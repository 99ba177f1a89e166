//! How a window moves over a map.

use std::ops::Range;

/// A window over a map; everything down and across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Places that it sees.
    pub kernel: [usize; 2],
    /// Places from one position to the next.
    pub stride: [usize; 2],
    /// Places from one that it sees to the next: 1 unless it is spread.
    pub dilation: [usize; 2],
    /// Places beyond the map, before and after it.
    pub padding: [(usize, usize); 2],
}

impl Window {
    /// Positions along an axis of a map of `size` places; 0 where it does not fit.
    pub fn positions(&self, axis: usize, size: usize) -> usize {
        let (before, after) = self.padding[axis];
        let span = self.dilation[axis] * (self.kernel[axis].max(1) - 1) + 1;
        (size + before + after + 1).saturating_sub(span).div_ceil(self.stride[axis].max(1))
    }

    /// The shape of the answer for maps `[batch, height, width, _]`, each place with `channels`.
    pub fn output(&self, shape: [usize; 4], channels: usize) -> [usize; 4] {
        [shape[0], self.positions(0, shape[1]), self.positions(1, shape[2]), channels]
    }

    /// Whether some of its places lie in a map of `size` places at every position.
    pub fn always_sees(&self, axis: usize, size: usize) -> bool {
        (0..self.positions(axis, size)).all(|at| !self.inside(axis, size, at).is_empty())
    }

    /// Whether it sees one place, the position itself.
    pub(super) fn is_still(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [(0, 0); 2]
    }

    /// Which of its places lie in a map of `size` places when it is at position `at`.
    pub fn inside(&self, axis: usize, size: usize, at: usize) -> Range<usize> {
        let (begin, step) = (at * self.stride[axis], self.dilation[axis].max(1));
        let (before, _) = self.padding[axis];
        let first = before.saturating_sub(begin).div_ceil(step).min(self.kernel[axis]);
        let end = (size + before).saturating_sub(begin).div_ceil(step).min(self.kernel[axis]);
        first..end.max(first)
    }

    /// The place of the map that its `place`th is at, at position `at`; it must lie in the map.
    pub fn seen(&self, axis: usize, at: usize, place: usize) -> usize {
        at * self.stride[axis] + place * self.dilation[axis] - self.padding[axis].0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Counted place by place.
        #[test]
        fn positions_and_places_are_those_of_the_definition(
            kernel in 1usize..6, stride in 1usize..4, dilation in 1usize..4,
            padding in (0usize..5, 0usize..5), size in 0usize..20,
        ) {
            let window = Window {
                kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2],
                padding: [padding; 2],
            };
            let padded = size + padding.0 + padding.1;
            let fits = |at: usize| at * stride + (kernel - 1) * dilation < padded;
            let positions = (0..).take_while(|at| fits(*at)).count();
            prop_assert_eq!(window.positions(0, size), positions);
            for at in 0..positions {
                let in_map = |place: &usize| {
                    let padded = at * stride + place * dilation;
                    (padding.0..padding.0 + size).contains(&padded)
                };
                let wanted: Vec<usize> = (0..kernel).filter(in_map).collect();
                let inside = window.inside(0, size, at);
                prop_assert_eq!(inside.clone().collect::<Vec<_>>(), wanted);
                for place in inside {
                    prop_assert!(window.seen(0, at, place) < size);
                }
            }
        }
    }
}
