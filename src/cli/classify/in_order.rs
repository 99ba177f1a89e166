//! Results that are finished in any order, put into theirs.

use std::collections::BTreeMap;

/// Holds what comes early until all before it has come.
pub(super) struct InOrder<T> {
    waiting: BTreeMap<usize, T>,
    next: usize,
}

impl<T> InOrder<T> {
    /// Nothing has come yet; the first place is 0.
    pub fn new() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }

    /// Takes what belongs at `place`.
    pub fn insert(&mut self, place: usize, item: T) {
        self.waiting.insert(place, item);
    }

    /// The next in order and its place, if it has come.
    pub fn take(&mut self) -> Option<(usize, T)> {
        let item = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some((self.next - 1, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_waits() {
        let mut order = InOrder::new();
        let mut given: Vec<Vec<usize>> = vec![];
        for place in [2, 0, 1, 4, 3] {
            order.insert(place, 'a');
            given.push(std::iter::from_fn(|| order.take()).map(|(place, _)| place).collect());
        }
        let wanted: [Vec<usize>; 5] = [vec![], vec![0], vec![1, 2], vec![], vec![3, 4]];
        assert_eq!(given, wanted);
    }
}
