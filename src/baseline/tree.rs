//! Ensembles of decision trees, however they were grown.

use serde::Deserialize;

use crate::error::Result;

use super::samples::failed;

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Node {
    /// Rows whose `feature` is at most `threshold` go to the node `below`, the others to
    /// `above`.
    Split { feature: usize, threshold: f32, below: usize, above: usize },
    /// Adds `weight` to the score of `class`.
    Leaf { class: usize, weight: f32 },
}

/// A tree: its nodes, the root first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree(pub(super) Vec<Node>);

/// Trees whose leaves add up to scores.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ensemble {
    pub(super) features: usize,
    /// The scores before any tree.
    pub(super) base: Vec<f32>,
    pub(super) trees: Vec<Tree>,
}

impl Tree {
    /// The index of the leaf that a row falls into.
    pub(super) fn leaf(&self, row: &[f32]) -> usize {
        let mut at = 0;
        while let Node::Split { feature, threshold, below, above } = self.0[at] {
            at = if row[feature] <= threshold { below } else { above };
        }
        at
    }
}

impl Ensemble {
    /// The scores of a row.
    pub(super) fn scores(&self, row: &[f32]) -> Vec<f64> {
        let mut scores: Vec<f64> = self.base.iter().copied().map(f64::from).collect();
        for tree in &self.trees {
            if let Node::Leaf { class, weight } = tree.0[tree.leaf(row)] {
                scores[class] += f64::from(weight);
            }
        }
        scores
    }

    /// Numbers that make up the trees: two a split, one a leaf.
    pub(super) fn parameters(&self) -> usize {
        let numbers = |node: &Node| if matches!(node, Node::Split { .. }) { 2 } else { 1 };
        self.trees.iter().flat_map(|tree| &tree.0).map(numbers).sum::<usize>() + self.base.len()
    }
}

/// What smartcore's trees consist of, which it shows to serde only.
#[derive(Deserialize)]
pub(super) struct Grown {
    nodes: Vec<GrownNode>,
}

#[derive(Deserialize)]
struct GrownNode {
    output: f64,
    split_feature: usize,
    split_value: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

impl Grown {
    /// Takes `T`, which holds a `Grown` somewhere, out of one of smartcore's models.
    pub(super) fn read<T: for<'de> Deserialize<'de>>(model: &impl serde::Serialize) -> Result<T> {
        let json = serde_json::to_string(model).map_err(failed)?;
        serde_json::from_str(&json).map_err(failed)
    }

    /// The tree, `leaf` telling what a leaf with this output adds to which class.
    pub(super) fn tree(&self, leaf: impl Fn(f64) -> (usize, f32)) -> Tree {
        let node = |node: &GrownNode| match (node.true_child, node.false_child, node.split_value) {
            (Some(below), Some(above), Some(value)) => {
                Node::Split { feature: node.split_feature, threshold: at_most(value), below, above }
            }
            _ => {
                let (class, weight) = leaf(node.output);
                Node::Leaf { class, weight }
            }
        };
        Tree(self.nodes.iter().map(node).collect())
    }
}

/// The largest f32 that is not above `value`: for any f32, to be at most one is to be at
/// most the other.
fn at_most(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_threshold_in_single_precision_parts_the_same_values(
            threshold in -1e6f64..1e6, steps in -3i32..4,
        ) {
            let mut x = threshold as f32;
            for _ in 0..steps.abs() {
                x = if steps > 0 { x.next_up() } else { x.next_down() };
            }
            prop_assert_eq!(f64::from(x) <= threshold, x <= at_most(threshold));
        }
    }

    #[test]
    fn scores_are_sums_over_leaves() {
        let split = Node::Split { feature: 1, threshold: 2.0, below: 1, above: 2 };
        let leaf = |class, weight| Node::Leaf { class, weight };
        let ensemble = Ensemble {
            features: 2,
            base: vec![0.5, 0.0],
            trees: vec![Tree(vec![split, leaf(0, 1.0), leaf(1, 2.0)]), Tree(vec![leaf(1, 0.25)])],
        };
        assert_eq!(ensemble.scores(&[9.0, 2.0]), [1.5, 0.25]);
        assert_eq!(ensemble.scores(&[0.0, 2.1]), [0.5, 2.25]);
        assert_eq!(ensemble.parameters(), 7);
    }
}
