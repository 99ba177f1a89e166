//! Gradient boosting of regression trees with the multinomial deviance: Friedman, "Greedy
//! function approximation: a gradient boosting machine", 2001, algorithm 6.
//!
//! The trees are smartcore's; it has no boosting for more than one output.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::tree::decision_tree_regressor::{
    DecisionTreeRegressor, DecisionTreeRegressorParameters,
};

use super::fitted::{FittedModel, softmax};
use super::graph::{Graph, Scores};
use super::samples::{Samples, failed};
use super::tree::{Ensemble, Node, SmartcoreTree, Tree, read_smartcore};
use crate::error::Result;

/// Trees whose sums are logits.
pub(super) struct Boosting(Ensemble);

/// smartcore's regression tree, as it is serialized.
#[derive(Deserialize)]
struct SmartcoreRegressor {
    tree_regressor: SmartcoreTree,
}

/// Fits `rounds` trees a class, of `depth` splits from root to leaf.
pub(super) fn fit(
    samples: &Samples,
    rounds: usize,
    depth: usize,
    learning_rate: f64,
    seed: u64,
) -> Result<Boosting> {
    let classes = samples.classes;
    let base = log_shares(samples);
    let mut scores: Vec<Vec<f64>> =
        vec![base.iter().copied().map(f64::from).collect(); samples.labels.len()];
    let mut trees = vec![];
    for round in 0..rounds {
        let probabilities: Vec<Vec<f32>> = scores.iter().map(|row| softmax(row)).collect();
        let one = |class: usize| {
            let truth = |row: usize| f64::from(u8::from(samples.labels[row] == class));
            let residual = |(row, p): (usize, &Vec<f32>)| truth(row) - f64::from(p[class]);
            let residuals = probabilities.iter().enumerate().map(residual).collect();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream((round * classes + class) as u64);
            step(samples, residuals, class, depth, learning_rate, &mut random)
        };
        let round: Vec<Tree> = (0..classes).into_par_iter().map(one).collect::<Result<_>>()?;
        for (scores, row) in scores.iter_mut().zip(samples.rows()) {
            for tree in &round {
                if let Node::Leaf { class, weight } = tree.0[tree.leaf(row)] {
                    scores[class] += f64::from(weight);
                }
            }
        }
        trees.extend(round);
    }
    Ok(Boosting(Ensemble { features: samples.features, base, trees }))
}

/// The logarithm of each class's share of the rows.
fn log_shares(samples: &Samples) -> Vec<f32> {
    let count = |class| samples.labels.iter().filter(|&&label| label == class).count();
    let share = |class| count(class).max(1) as f64 / samples.labels.len() as f64;
    (0..samples.classes).map(|class| share(class).ln() as f32).collect()
}

/// A tree fitted to the residuals of one class; its leaves then take one Newton step.
///
/// Of splits that are equally good smartcore takes that of the first feature. Features
/// come in a random order, so that no feature wins all ties.
fn step(
    samples: &Samples,
    residuals: Vec<f64>,
    class: usize,
    depth: usize,
    learning_rate: f64,
    random: &mut ChaCha8Rng,
) -> Result<Tree> {
    let mut order: Vec<usize> = (0..samples.features).collect();
    order.shuffle(random);
    let shuffled = samples.rows().flat_map(|row| order.iter().map(|&i| f64::from(row[i])));
    let (rows, columns) = (samples.labels.len(), samples.features);
    let matrix = DenseMatrix::new(rows, columns, shuffled.collect(), false).map_err(failed)?;
    // smartcore counts levels of nodes.
    let levels = u16::try_from(depth + 1).unwrap_or(u16::MAX);
    let parameters = DecisionTreeRegressorParameters::default().with_max_depth(levels);
    let fitted = DecisionTreeRegressor::fit(&matrix, &residuals, parameters).map_err(failed)?;
    let SmartcoreRegressor { tree_regressor } = read_smartcore(&fitted)?;
    let mut tree = tree_regressor.tree(|_| (class, 0.0));
    for node in &mut tree.0 {
        if let Node::Split { feature, .. } = node {
            *feature = order[*feature];
        }
    }
    let mut sums = vec![(0.0, 0.0); tree.0.len()];
    for (row, residual) in samples.rows().zip(&residuals) {
        let (gradient, curvature) = &mut sums[tree.leaf(row)];
        *gradient += residual;
        *curvature += residual.abs() * (1.0 - residual.abs());
    }
    let classes = samples.classes as f64;
    for (node, (gradient, curvature)) in tree.0.iter_mut().zip(sums) {
        if let Node::Leaf { weight, .. } = node
            && curvature > 1e-150
        {
            *weight = (learning_rate * (classes - 1.0) / classes * gradient / curvature) as f32;
        }
    }
    Ok(tree)
}

impl FittedModel for Boosting {
    fn probabilities(&self, rows: &[f32]) -> Vec<f32> {
        let rows = rows.chunks_exact(self.0.features);
        rows.flat_map(|row| softmax(&self.0.scores(row))).collect()
    }

    fn parameters(&self) -> usize {
        self.0.parameters()
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.0.features, self.0.base.len());
        graph.trees(&self.0, Scores::Logits);
        graph
    }
}
