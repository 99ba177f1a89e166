//! Random forest (Breiman, 2001).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};

use super::fitted::FittedModel;
use super::graph::{Graph, Scores};
use super::samples::{Samples, failed};
use super::tree::{Ensemble, SmartcoreTree, Tree, read_smartcore};
use crate::error::Result;

/// A forest; each tree has one vote.
pub(super) struct Forest(Ensemble);

/// smartcore's forest, as it is serialized.
#[derive(Deserialize)]
struct SmartcoreForest {
    trees: Vec<SmartcoreTree>,
}

/// Grows `count` trees, each on rows drawn with replacement and with a seed of its own,
/// so that the forest is the same however many threads grow it.
pub(super) fn fit(
    samples: &Samples,
    count: usize,
    features_per_split: usize,
    seed: u64,
) -> Result<Forest> {
    let matrix = samples.matrix()?;
    let labels: Vec<u32> = samples.labels.iter().map(|&label| label as u32).collect();
    let mut present = labels.clone();
    present.sort_unstable();
    present.dedup();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let seeds: Vec<u64> = (0..count).map(|_| random.random()).collect();
    let grow = |seed: &u64| -> Result<Tree> {
        let parameters = RandomForestClassifierParameters::default()
            .with_n_trees(1)
            .with_m(features_per_split.min(samples.features))
            .with_seed(*seed);
        let forest = RandomForestClassifier::fit(&matrix, &labels, parameters).map_err(failed)?;
        let SmartcoreForest { trees } = read_smartcore(&forest)?;
        let tree = trees.first().ok_or_else(|| failed("it grew no tree"))?;
        // An output is an index into the classes that there are.
        let class = |output: f64| present.get(output as usize).map_or(0, |&c| c as usize);
        Ok(tree.tree(|output| (class(output), 1.0 / count as f32)))
    };
    let trees = seeds.par_iter().map(grow).collect::<Result<_>>()?;
    let base = vec![0.0; samples.classes];
    Ok(Forest(Ensemble { features: samples.features, base, trees }))
}

impl FittedModel for Forest {
    fn probabilities(&self, rows: &[f32]) -> Vec<f32> {
        let rows = rows.chunks_exact(self.0.features);
        rows.flat_map(|row| self.0.scores(row)).map(|score| score as f32).collect()
    }

    fn parameters(&self) -> usize {
        self.0.parameters()
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.0.features, self.0.base.len());
        graph.trees(&self.0, Scores::Probabilities);
        graph
    }
}
