//! k nearest neighbours.

use smartcore::algorithm::neighbour::linear_search::LinearKNNSearch;
use smartcore::metrics::distance::euclidian::Euclidian;

use super::fitted::FittedModel;
use super::graph::Graph;
use super::samples::{Samples, failed};
use crate::error::Result;
use crate::model::Standardization;

/// Neighbours whose distances differ by less than this share may change places in
/// single precision.
const TIE: f64 = 1e-5;

/// The training rows, to be searched.
pub(super) struct Knn {
    samples: Samples,
    standardization: Standardization,
    neighbors: usize,
    search: LinearKNNSearch<Vec<f64>, Euclidian<f64>>,
}

/// Keeps `samples`; with fewer rows than `neighbors`, all of them vote.
pub(super) fn fit(samples: &Samples, neighbors: usize) -> Result<Knn> {
    let standardization = samples.standardization();
    let samples = samples.clone().standardized(&standardization);
    let rows = samples.rows().map(double).collect();
    let search = LinearKNNSearch::new(rows, Euclidian::new()).map_err(failed)?;
    let neighbors = neighbors.min(samples.labels.len());
    Ok(Knn { samples, standardization, neighbors, search })
}

fn double(row: &[f32]) -> Vec<f64> {
    row.iter().copied().map(f64::from).collect()
}

impl Knn {
    /// Training rows and their distances from a raw row, the `count` nearest.
    fn nearest(&self, row: &[f32], count: usize) -> Vec<(usize, f64)> {
        let mut row = row.to_vec();
        self.standardization.apply(&mut row);
        let found = self.search.find(&double(&row), count).unwrap_or_default();
        let mut found: Vec<(usize, f64)> = found.into_iter().map(|(i, d, _)| (i, d)).collect();
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        found
    }
}

impl FittedModel for Knn {
    fn probabilities(&self, rows: &[f32]) -> Vec<f32> {
        let vote = |row| {
            let mut votes = vec![0f32; self.samples.classes];
            for (neighbor, _) in self.nearest(row, self.neighbors) {
                votes[self.samples.labels[neighbor]] += 1.0 / self.neighbors as f32;
            }
            votes
        };
        rows.chunks_exact(self.samples.features).flat_map(vote).collect()
    }

    fn parameters(&self) -> usize {
        self.samples.values.len()
    }

    /// `|x - m|² = |x|² - 2 x·m + |m|²`, of which `|x|²` is the same for all rows `m`.
    fn graph(&self) -> Graph {
        let Samples { features, classes, .. } = self.samples;
        let count = self.samples.labels.len();
        let norm = |row: &[f32]| -double(row).iter().map(|v| v * v).sum::<f64>() as f32;
        let norms: Vec<f32> = self.samples.rows().map(norm).collect();
        let at = |i: usize| 2.0 * self.samples.values[i % count * features + i / count];
        let doubled: Vec<f32> = (0..features * count).map(at).collect();
        let mut votes = vec![0.0; count * classes];
        for (row, label) in self.samples.labels.iter().enumerate() {
            votes[row * classes + label] = 1.0;
        }
        let mut graph = Graph::new(features, classes);
        let x = graph.standardize(&self.standardization);
        let nearness = graph.dense("nearness", &x, [features, count], &doubled, &norms);
        let nearest = graph.top(&nearness, self.neighbors);
        graph.mean_of_rows(&nearest, [count, classes], &votes);
        graph
    }

    fn is_decided(&self, row: &[f32]) -> bool {
        let found = self.nearest(row, (self.neighbors + 1).min(self.samples.labels.len()));
        match found[..] {
            [.., (_, last), (_, next)] if found.len() > self.neighbors => next - last > TIE * next,
            _ => true,
        }
    }
}
