//! The genre head: from embeddings to one logit a genre.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{relu, sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dataset::Task;
use crate::run::HeadSpec;

/// A linear classifier, or one with a hidden ReLU layer.
#[derive(Module, Debug)]
pub struct Head {
    hidden: Option<Linear>,
    output: Linear,
    #[module(skip)]
    task: Task,
}

/// Probabilities of logits `[batch, classes]`: of genres that exclude each other by a softmax, of
/// several labels a track each by a sigmoid.
pub fn probabilities(task: Task, logits: Tensor<2>) -> Tensor<2> {
    match task {
        Task::SingleLabel => softmax(logits, 1),
        Task::MultiLabel => sigmoid(logits),
    }
}

/// The mean and standard deviation that embeddings are standardized with.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardization {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Standardization {
    /// The statistics of `rows` of `features` values each.
    ///
    /// A feature that hardly varies keeps a deviation of one, so that it becomes about
    /// zero. Divided by less than a thousandth of its mean, it would be rounding errors as
    /// much as signal, and a head that has the division folded in would lose more digits
    /// than f32 has to spare.
    pub fn of<'a, R>(rows: impl Iterator<Item = R> + Clone, features: usize) -> Self
    where
        R: IntoIterator<Item = &'a f32>,
    {
        let mut mean = vec![0f64; features];
        let mut count = 0usize;
        for row in rows.clone() {
            count += 1;
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
        }
        let count = count.max(1) as f64;
        mean.iter_mut().for_each(|m| *m /= count);
        let mut variance = vec![0f64; features];
        for row in rows {
            for ((v, m), value) in variance.iter_mut().zip(&mean).zip(row) {
                *v += (f64::from(*value) - m).powi(2);
            }
        }
        let deviation = |(v, mean): (&f64, &f64)| {
            let deviation = (v / count).sqrt();
            if deviation > (1e-3 * mean.abs()).max(1e-6) { deviation as f32 } else { 1.0 }
        };
        Self {
            deviation: variance.iter().zip(&mean).map(deviation).collect(),
            mean: mean.into_iter().map(|m| m as f32).collect(),
        }
    }

    /// The one that changes nothing.
    pub fn none(features: usize) -> Self {
        Self { mean: vec![0.0; features], deviation: vec![1.0; features] }
    }

    /// The number of features.
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// What to subtract from each feature, and what to multiply the rest with.
    pub fn shift_and_scale(&self) -> (Vec<f32>, Vec<f32>) {
        (self.mean.clone(), self.deviation.iter().map(|deviation| 1.0 / deviation).collect())
    }

    /// Mean and standard deviation, each averaged over the features.
    pub fn level(&self) -> [f32; 2] {
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
        [mean(&self.mean), mean(&self.deviation)]
    }

    /// The mean of each feature.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation of each feature, one for those that never vary.
    pub fn deviation(&self) -> &[f32] {
        &self.deviation
    }

    /// Standardizes one row in place.
    pub fn apply(&self, row: &mut [f32]) {
        for ((value, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
            *value = (*value - mean) / deviation;
        }
    }

    /// Standardizes embeddings `[batch, features]`.
    pub fn forward(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let device = embeddings.device().inner();
        let row = |values: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, values.len()]), &device)
        };
        let device = embeddings.device();
        let lift = |tensor: Tensor<2>| tensor.to_device(&device);
        (embeddings - lift(row(&self.mean))) / lift(row(&self.deviation))
    }
}

impl HeadSpec {
    /// A head with seeded weights: zero for a linear one (its loss is convex), He's
    /// uniform initialization (2015) in front of a ReLU.
    pub fn init(&self, seed: u64, device: &Device) -> Head {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (task, classes) = (self.task, self.classes);
        let Some(units) = self.hidden else {
            let zeros = vec![0.0; self.features * classes];
            return Head { hidden: None, output: linear(zeros, vec![0.0; classes], device), task };
        };
        Head {
            hidden: Some(he_uniform([self.features, units], &mut random, device)),
            output: he_uniform([units, classes], &mut random, device),
            task,
        }
    }
}

/// A layer with He's uniform initialization (2015), for inputs or outputs of a ReLU.
pub(super) fn he_uniform(
    [from, to]: [usize; 2],
    random: &mut ChaCha8Rng,
    device: &Device,
) -> Linear {
    let bound = (6.0 / from as f32).sqrt();
    let weights = (0..from * to).map(|_| random.random_range(-bound..bound)).collect();
    linear(weights, vec![0.0; to], device)
}

fn linear(weights: Vec<f32>, bias: Vec<f32>, device: &Device) -> Linear {
    let (from, to) = (weights.len() / bias.len(), bias.len());
    Linear {
        weight: Param::from_data(TensorData::new(weights, [from, to]), device),
        bias: Some(Param::from_data(TensorData::new(bias, [to]), device)),
    }
}

impl Head {
    /// Logits `[batch, classes]` of embeddings `[batch, features]`.
    pub fn forward(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let x = match &self.hidden {
            Some(hidden) => relu(hidden.forward(embeddings)),
            None => embeddings,
        };
        self.output.forward(x)
    }

    /// Probabilities `[batch, classes]` of embeddings `[batch, features]`.
    pub fn probabilities(&self, embeddings: Tensor<2>) -> Tensor<2> {
        probabilities(self.task, self.forward(embeddings))
    }

    /// What it tells of a track.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Shape `[from, to]`, weights and bias of every layer, first to last.
    pub fn layers(&self) -> Vec<([usize; 2], Vec<f32>, Vec<f32>)> {
        let values = |data: TensorData| data.iter::<f32>().collect::<Vec<f32>>();
        self.hidden
            .iter()
            .chain([&self.output])
            .map(|layer| {
                let shape = layer.weight.dims();
                let bias = layer.bias.as_ref().map(|bias| values(bias.val().into_data()));
                let weights = values(layer.weight.val().into_data());
                (shape, weights, bias.unwrap_or_else(|| vec![0.0; shape[1]]))
            })
            .collect()
    }

    /// Size of the embeddings it takes.
    pub fn features(&self) -> usize {
        self.hidden.as_ref().unwrap_or(&self.output).weight.dims()[0]
    }

    /// Genres it tells apart.
    pub fn classes(&self) -> usize {
        self.output.weight.dims()[1]
    }

    /// The head that gives for raw embeddings what this one gives for standardized
    /// ones: `w·(x - m)/s + b = (w/s)·x + (b - (w/s)·m)`.
    pub fn fold(self, standardization: &Standardization) -> Self {
        match self.hidden {
            Some(hidden) => Self { hidden: Some(fold(hidden, standardization)), ..self },
            None => Self { output: fold(self.output, standardization), ..self },
        }
    }
}

fn fold(layer: Linear, standardization: &Standardization) -> Linear {
    let device = layer.weight.val().device().inner();
    let [from, to] = layer.weight.dims();
    // In f64: the bias is a sum over thousands of terms that partly cancel.
    let values = |data: TensorData| data.iter::<f64>().collect::<Vec<f64>>();
    let mut weights = values(layer.weight.val().into_data());
    let mut bias = match &layer.bias {
        Some(bias) => values(bias.val().into_data()),
        None => vec![0.0; to],
    };
    for row in 0..from {
        let (mean, deviation) = (standardization.mean[row], standardization.deviation[row]);
        for (weight, bias) in weights[row * to..][..to].iter_mut().zip(&mut bias) {
            *weight /= f64::from(deviation);
            *bias -= *weight * f64::from(mean);
        }
    }
    let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    linear(single(weights), single(bias), &device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_head_takes_raw_embeddings() {
        let device = Device::flex();
        for hidden in [None, Some(5)] {
            let spec = HeadSpec { features: 4, hidden, classes: 3, task: Task::SingleLabel };
            let mut head = spec.init(7, &device);
            if hidden.is_none() {
                let weights = (0..12).map(|i| i as f32 / 7.0 - 0.5).collect();
                head.output = linear(weights, vec![0.1, -0.2, 0.3], &device);
            }
            let rows = [[100.0, -3.0, 0.5, 2.0], [104.0, -3.5, 0.1, 2.0], [90.0, 3.0, 0.2, 2.0]];
            let standardization = Standardization::of(rows.iter().map(|row| row.as_slice()), 4);
            let raw = Tensor::<2>::from_floats(rows, &device);
            let wanted = head.forward(standardization.forward(raw.clone()));
            let given = head.fold(&standardization).forward(raw);
            let difference = (wanted - given).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-4, "{difference}");
        }
    }

    #[test]
    fn a_constant_feature_becomes_zero_and_a_nearly_constant_one_is_not_blown_up() {
        let rows = [[2.0f32, 1.0, 2.0], [2.0, 3.0, 2.0 + 1e-5]];
        let standardization = Standardization::of(rows.iter().map(|row| row.as_slice()), 3);
        let mut row = rows[1];
        standardization.apply(&mut row);
        assert_eq!(row[..2], [0.0, 1.0]);
        assert!(row[2].abs() < 1e-5, "{row:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_head() {
        let device = Device::flex();
        let spec = HeadSpec { features: 4, hidden: Some(3), classes: 2, task: Task::SingleLabel };
        let logits = |seed| {
            let head = spec.init(seed, &device);
            head.forward(Tensor::ones([1, 4], &device))
                .into_data()
                .iter::<f32>()
                .collect::<Vec<_>>()
        };
        assert_eq!(logits(1), logits(1));
        assert_ne!(logits(1), logits(2));
    }
}
