//! Ensembles of decision trees, however they were grown.

use serde::{Deserialize, Serialize};

use super::samples::failed;
use crate::error::Result;

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

/// The version of smartcore whose trees are read, as Cargo.toml pins it.
const SMARTCORE: &str = "0.7.0";

/// The fields of smartcore's trees that are read. They are private: all that shows them is
/// that a model can be serialized.
#[derive(Deserialize)]
pub(super) struct SmartcoreTree {
    nodes: Vec<SmartcoreNode>,
}

#[derive(Deserialize)]
struct SmartcoreNode {
    /// A regression tree's value; a classification tree's index into the labels there are.
    output: f64,
    split_feature: usize,
    split_value: Option<f64>,
    /// The child of rows whose value is at most `split_value`.
    true_child: Option<usize>,
    false_child: Option<usize>,
}

/// A model whose fields are others than those that are read.
#[derive(Debug, thiserror::Error)]
#[error("smartcore's trees are not those of version {SMARTCORE}, which are read here: {0}")]
struct UnknownFields(#[source] serde_json::Error);

/// `T`, which holds [`SmartcoreTree`]s, out of one of smartcore's models.
///
/// # Errors
/// [`Error::Fit`](crate::Error::Fit) if the model has not the fields that are read.
pub(super) fn read_smartcore<T: for<'de> Deserialize<'de>>(model: &impl Serialize) -> Result<T> {
    let json = serde_json::to_string(model).map_err(failed)?;
    serde_json::from_str(&json).map_err(|error| failed(UnknownFields(error)))
}

impl SmartcoreTree {
    /// The tree, `leaf` telling what a leaf with this output adds to which class.
    pub(super) fn tree(&self, leaf: impl Fn(f64) -> (usize, f32)) -> Tree {
        let node =
            |node: &SmartcoreNode| match (node.true_child, node.false_child, node.split_value) {
                (Some(below), Some(above), Some(value)) => Node::Split {
                    feature: node.split_feature,
                    threshold: at_most(value),
                    below,
                    above,
                },
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
    use smartcore::ensemble::random_forest_classifier::{
        RandomForestClassifier, RandomForestClassifierParameters,
    };
    use smartcore::linalg::basic::matrix::DenseMatrix;
    use smartcore::tree::decision_tree_regressor::{
        DecisionTreeRegressor, DecisionTreeRegressorParameters,
    };

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

    const ADVICE: &str = "smartcore's private fields have changed: adapt SmartcoreTree";

    /// Rows of two features, of which the second decides.
    fn rows() -> (Vec<[f32; 2]>, DenseMatrix<f64>) {
        let rows: Vec<[f32; 2]> = (0..8).map(|row| [(row % 3) as f32, row as f32]).collect();
        let values = rows.iter().flatten().copied().map(f64::from).collect();
        (rows, DenseMatrix::new(8, 2, values, false).unwrap())
    }

    #[test]
    fn smartcores_regression_trees_are_read() {
        #[derive(Deserialize)]
        struct Regressor {
            tree_regressor: SmartcoreTree,
        }
        let (rows, matrix) = rows();
        let wanted: Vec<f64> = vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 3.0, 3.0];
        let parameters = DecisionTreeRegressorParameters::default().with_max_depth(9);
        let fitted = DecisionTreeRegressor::fit(&matrix, &wanted, parameters).unwrap();
        let read: Regressor = read_smartcore(&fitted).expect(ADVICE);
        let tree = read.tree_regressor.tree(|output| (0, output as f32));
        let ensemble = Ensemble { features: 2, base: vec![0.0], trees: vec![tree] };
        let given: Vec<f64> = rows.iter().map(|row| ensemble.scores(row)[0]).collect();
        assert_eq!(given, fitted.predict(&matrix).unwrap(), "{ADVICE}");
        assert_eq!(given, wanted, "{ADVICE}");
    }

    #[test]
    fn smartcores_forests_are_read() {
        #[derive(Deserialize)]
        struct Forest {
            trees: Vec<SmartcoreTree>,
        }
        let (rows, matrix) = rows();
        let labels: Vec<u32> = vec![4, 4, 4, 4, 7, 7, 7, 7];
        let parameters = RandomForestClassifierParameters::default().with_n_trees(1).with_m(2);
        let fitted = RandomForestClassifier::fit(&matrix, &labels, parameters).unwrap();
        let read: Forest = read_smartcore(&fitted).expect(ADVICE);
        let tree = read.trees[0].tree(|output| (output as usize, 1.0));
        let ensemble = Ensemble { features: 2, base: vec![0.0; 2], trees: vec![tree] };
        let label = |row: &[f32; 2]| if ensemble.scores(row) == [1.0, 0.0] { 4 } else { 7 };
        let given: Vec<u32> = rows.iter().map(label).collect();
        assert_eq!(given, fitted.predict(&matrix).unwrap(), "{ADVICE}");
    }

    #[test]
    fn other_fields_are_an_error_that_names_smartcore() {
        let other = serde_json::json!({ "nodes": [{ "value": 1.0 }] });
        let error = read_smartcore::<SmartcoreTree>(&other).err().unwrap();
        let wanted = "the model cannot be fitted: smartcore's trees are not those of version 0.7.0, \
                      which are read here: missing field `output`";
        assert!(error.to_string().starts_with(wanted), "{error}");
    }

    #[test]
    fn the_version_is_the_pinned_one() {
        let manifest: toml::Value = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
        let pinned = manifest["dependencies"]["smartcore"]["version"].as_str();
        assert_eq!(pinned, Some(format!("={SMARTCORE}").as_str()));
    }
}
