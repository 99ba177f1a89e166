//! A multi-layer perceptron: the genre head of the fine-tuned models, on hand-made
//! features instead of embeddings.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::fitted::FittedModel;
use super::graph::Graph;
use super::samples::Samples;
use crate::dataset::Task;
use crate::error::Result;
use crate::model::Head;
use crate::run::HeadSpec;
use crate::train::{Embeddings, Example, Fitted, HeadOptions, HeadTask};

/// The most passes over the rows.
pub(super) const EPOCHS: usize = 200;

/// A fitted perceptron for raw features.
pub(super) struct Mlp(Head);

/// Rows of the same unit together, as the head's training wants them.
struct Units(Vec<(usize, Embeddings)>);

impl Units {
    fn of(samples: &Samples) -> Self {
        let mut order: Vec<usize> = (0..samples.labels.len()).collect();
        order.sort_by_key(|&row| samples.units[row]);
        let unit = |rows: &[usize]| {
            let data = rows.iter().flat_map(|&row| samples.row(row)).copied().collect();
            (
                samples.labels[rows[0]],
                Embeddings { data, features: samples.features, padded: false },
            )
        };
        Self(order.chunk_by(|&a, &b| samples.units[a] == samples.units[b]).map(unit).collect())
    }

    fn examples(&self) -> Vec<Example<'_>> {
        let each = self.0.iter();
        each.map(|(label, embeddings)| Example { labels: std::slice::from_ref(label), embeddings })
            .collect()
    }
}

/// Trains for exactly so many epochs.
pub(super) fn fit(
    samples: &Samples,
    hidden: usize,
    weight_decay: f64,
    epochs: usize,
    seed: u64,
) -> Result<Mlp> {
    let fitted = fitted(samples, &Samples::default(), hidden, weight_decay, epochs, seed)?;
    Ok(Mlp(fitted.folded()))
}

/// Trains on `train` until `held_out` gets no better; the model and its epoch.
pub(super) fn fit_until_best(
    train: &Samples,
    held_out: &Samples,
    hidden: usize,
    weight_decay: f64,
    seed: u64,
) -> Result<(Mlp, usize)> {
    let fitted = fitted(train, held_out, hidden, weight_decay, EPOCHS, seed)?;
    Ok((Mlp(fitted.folded()), fitted.epoch))
}

fn fitted(
    train: &Samples,
    held_out: &Samples,
    hidden: usize,
    weight_decay: f64,
    epochs: usize,
    seed: u64,
) -> Result<Fitted> {
    let spec = HeadSpec {
        features: train.features,
        hidden: Some(hidden),
        classes: train.classes,
        task: Task::SingleLabel,
    };
    let options = HeadOptions { epochs, weight_decay, batch: 64, ..HeadOptions::default() };
    let (train, held_out) = (Units::of(train), Units::of(held_out));
    let (train, held_out) = (train.examples(), held_out.examples());
    let (validation, device) = (&held_out[..], &Device::flex());
    let task = HeadTask { spec, train: &train, validation, options: &options, seed, device };
    task.fit("mlp", &mut vec![])
}

impl FittedModel for Mlp {
    fn probabilities(&self, rows: &[f32]) -> Vec<f32> {
        let shape = [rows.len() / self.0.features(), self.0.features()];
        let rows = Tensor::from_data(TensorData::new(rows.to_vec(), shape), &Device::flex());
        self.0.probabilities(rows).into_data().iter().collect()
    }

    fn parameters(&self) -> usize {
        self.0.num_params()
    }

    fn graph(&self) -> Graph {
        Graph::network(&self.0.layers())
    }
}
