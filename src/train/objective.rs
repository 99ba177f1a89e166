//! What a network learns from: the loss of its logits, one genre a track or any number of labels.

use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::prediction::TrackPrediction;
use super::variation::smoothed;
use crate::dataset::Task;
use crate::metrics::macro_average_precision;
use crate::run::{Quality, Score};

/// The most that a label's positives count more than its negatives, or less: of very rare labels
/// a few tracks would be all that is learned from.
pub const MOST_WEIGHT: f32 = 10.0;

/// What the network should say of patches.
pub enum Targets {
    /// One class a patch.
    Classes(Vec<i64>),
    /// Probabilities `[count, classes]`.
    Probabilities(Vec<f32>),
}

impl Targets {
    /// Of patches that have these labels, for certain.
    pub fn of<'l>(task: Task, labels: impl Iterator<Item = &'l [usize]>, classes: usize) -> Self {
        match task {
            Task::SingleLabel => Self::Classes(labels.map(|labels| labels[0] as i64).collect()),
            Task::MultiLabel => Self::Probabilities(
                labels.flat_map(|labels| smoothed(task, labels, classes, 0.0)).collect(),
            ),
        }
    }
}

/// The cross-entropy, for either kind of targets.
#[derive(Debug)]
pub struct CrossEntropy {
    hard: CrossEntropyLoss,
    soft: SoftLoss,
}

/// The loss of a task, for either kind of targets.
#[derive(Debug)]
pub enum Objective {
    /// Cross-entropy, against one class or probabilities.
    SingleLabel(Box<CrossEntropy>),
    /// Binary cross-entropy.
    MultiLabel(BinaryLoss),
}

impl Objective {
    /// For classes that so many of `total` patches have.
    pub fn new(task: Task, counts: &[usize], total: usize, device: &Device) -> Self {
        match task {
            Task::SingleLabel => {
                let config = CrossEntropyLossConfig::new().with_weights(class_weights(counts));
                let (hard, soft) = (config.init(device), SoftLoss::new(counts, device));
                Self::SingleLabel(Box::new(CrossEntropy { hard, soft }))
            }
            Task::MultiLabel => Self::MultiLabel(BinaryLoss::new(counts, total)),
        }
    }

    /// The mean over patches, given `logits` `[patches, classes]`.
    pub fn of(&self, logits: Tensor<2>, targets: Targets, device: &Device) -> Tensor<1> {
        let [count, classes] = logits.dims();
        match (self, targets) {
            (Self::SingleLabel(loss), Targets::Classes(labels)) => {
                let labels = TensorData::new(labels, [count]);
                loss.hard.forward(logits, Tensor::<1, Int>::from_data(labels, device))
            }
            (Self::SingleLabel(loss), Targets::Probabilities(targets)) => {
                loss.soft.forward(logits, rows(targets, [count, classes], device))
            }
            (Self::MultiLabel(binary), Targets::Probabilities(targets)) => {
                binary.forward(logits, rows(targets, [count, classes], device))
            }
            (Self::MultiLabel(binary), Targets::Classes(labels)) => {
                let labels = labels.iter().map(|label| *label as usize);
                let one = |label| smoothed(Task::MultiLabel, &[label], classes, 0.0);
                let targets = labels.flat_map(one).collect();
                binary.forward(logits, rows(targets, [count, classes], device))
            }
        }
    }

    /// The score of `predictions` against the `labels` of their tracks; none if there are no
    /// tracks.
    pub fn score(&self, predictions: &[TrackPrediction], labels: &[&[usize]]) -> Option<Score> {
        match self {
            Self::SingleLabel(_) => Score::of(predictions, labels),
            Self::MultiLabel(binary) => binary.score(predictions, labels),
        }
    }
}

fn rows(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The cross-entropy against probabilities instead of one class.
#[derive(Debug)]
pub struct SoftLoss {
    /// One a class, `[1, classes]`, where they differ.
    weights: Option<Tensor<2>>,
}

impl SoftLoss {
    /// For classes that have so many patches.
    pub fn new(counts: &[usize], device: &Device) -> Self {
        let weights = class_weights(counts).map(|weights| {
            let shape = [1, weights.len()];
            Tensor::from_data(TensorData::new(weights, shape), device)
        });
        Self { weights }
    }

    /// The weighted mean over patches, given `logits` and `targets` `[patches, classes]`.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let targets = match &self.weights {
            Some(weights) => targets * weights.clone(),
            None => targets,
        };
        let total = targets.clone().sum();
        -(log_softmax(logits, 1) * targets).sum() / total
    }
}

/// Weights that make every genre count the same, or none where they already do:
/// the mean class size over the class's own, over patches.
fn class_weights(counts: &[usize]) -> Option<Vec<f32>> {
    let present = counts.iter().filter(|count| **count > 0);
    let (least, most) = (present.clone().min()?, present.clone().max()?);
    // A tenth more or less is what padding and stratification leave behind.
    if *most as f64 <= 1.1 * *least as f64 {
        return None;
    }
    let mean = counts.iter().sum::<usize>() as f32 / present.count() as f32;
    Some(counts.iter().map(|count| mean / (*count).max(1) as f32).collect())
}

/// The binary cross-entropy of every label, the mean over labels and patches.
#[derive(Clone, Debug)]
pub struct BinaryLoss {
    /// What a positive counts where a negative counts 1, by label.
    weights: Vec<f32>,
}

impl BinaryLoss {
    /// For labels that so many of `total` examples have: positives of a label count together as
    /// much as its negatives, within [`MOST_WEIGHT`].
    pub fn new(counts: &[usize], total: usize) -> Self {
        let weight = |count: &usize| {
            let ratio = (total - count) as f32 / (*count).max(1) as f32;
            ratio.clamp(1.0 / MOST_WEIGHT, MOST_WEIGHT)
        };
        Self { weights: counts.iter().map(weight).collect() }
    }

    /// How many weights are the largest that there may be.
    pub fn capped(&self) -> usize {
        self.weights.iter().filter(|weight| **weight >= MOST_WEIGHT).count()
    }

    /// The mean, given `logits` and `targets` `[patches, labels]`.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let device = logits.device();
        let weights = rows(self.weights.clone(), [1, self.weights.len()], &device);
        // log(1 + exp(-x)), without an overflow for whatever x.
        let negative = relu(-logits.clone()) + (-logits.clone().abs()).exp().log1p();
        let positives = targets.clone() * weights * negative.clone();
        (positives + (-targets + 1.0) * (negative + logits)).mean()
    }

    /// The same of tracks by their mean probabilities, and their macro average precision; none
    /// if there are no tracks.
    pub fn score(&self, predictions: &[TrackPrediction], labels: &[&[usize]]) -> Option<Score> {
        if labels.is_empty() {
            return None;
        }
        let of_label = |(label, (p, weight)): (usize, (&f32, &f32)), has: &[usize]| {
            let p = f64::from(*p);
            let [yes, no] = [p, 1.0 - p].map(|p| -p.max(1e-12).ln());
            if has.contains(&label) { f64::from(*weight) * yes } else { no }
        };
        let of_track = |(prediction, has): (&TrackPrediction, &&[usize])| -> f64 {
            let pairs = prediction.mean.iter().zip(&self.weights).enumerate();
            pairs.map(|pair| of_label(pair, has)).sum()
        };
        let total: f64 = predictions.iter().zip(labels).map(of_track).sum();
        let rows: Vec<&[f32]> = predictions.iter().map(|p| p.mean.as_slice()).collect();
        let quality = macro_average_precision(labels, &rows, self.weights.len());
        Some(Score {
            loss: total / (labels.len() * self.weights.len()) as f64,
            quality: Quality::AveragePrecision(quality.unwrap_or_default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_only_where_classes_differ() {
        assert_eq!(class_weights(&[100, 105, 99]), None);
        assert_eq!(class_weights(&[10, 30]), Some(vec![2.0, 2.0 / 3.0]));
    }

    /// Where every target is one class, both losses are one.
    #[test]
    fn a_soft_loss_of_hard_targets_is_the_hard_one() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0]], &device);
        for counts in [[10, 10], [10, 30]] {
            let objective = Objective::new(Task::SingleLabel, &counts, 40, &device);
            let of = |targets| objective.of(logits.clone(), targets, &device);
            let hard = of(Targets::Classes(vec![0, 1, 1]));
            let soft = of(Targets::Probabilities(vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0]));
            let difference = (hard - soft).abs().into_scalar::<f32>();
            assert!(difference < 1e-6, "{counts:?}: {difference}");
        }
    }

    /// The formula of `torch.nn.BCEWithLogitsLoss(pos_weight=[3, 1/3])`, and no overflow.
    #[test]
    fn the_binary_loss_counts_rare_positives_more() {
        let device = Device::flex();
        let loss = BinaryLoss::new(&[25, 75], 100);
        assert_eq!(loss.weights, [3.0, 1.0 / 3.0]);
        let logits = Tensor::<2>::from_floats([[2.0, -1.0], [0.5, 0.25], [-90.0, 90.0]], &device);
        let targets = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [0.5, 1.0]], &device);
        let value = loss.forward(logits, targets).into_scalar::<f32>();
        let soft = |x: f64| (1.0 + (-x).exp()).ln();
        let sum = 3.0 * soft(2.0) + soft(1.0) + soft(-0.5) + soft(0.25) / 3.0 + 0.5 * 3.0 * 90.0;
        assert!((f64::from(value) - sum / 6.0).abs() < 1e-5, "{value} is not {}", sum / 6.0);
        assert_eq!(BinaryLoss::new(&[0, 1, 99, 100], 100).weights, [10.0, 10.0, 0.1, 0.1]);
        assert_eq!(BinaryLoss::new(&[0, 1, 99, 100], 100).capped(), 2);
    }

    #[test]
    fn a_score_is_the_loss_of_the_means_and_the_average_precision() {
        let loss = BinaryLoss::new(&[1, 1], 2);
        let of = |rows: &[[f32; 2]]| -> Vec<TrackPrediction> {
            rows.iter().map(|row| TrackPrediction::new(row.to_vec(), 2)).collect()
        };
        let labels: [&[usize]; 2] = [&[0, 1], &[]];
        let good = loss.score(&of(&[[0.8, 0.9], [0.1, 0.2]]), &labels).unwrap();
        assert_eq!(good.quality, Quality::AveragePrecision(1.0));
        let wanted = -(0.8f64.ln() + 0.9f64.ln() + 0.9f64.ln() + 0.8f64.ln()) / 4.0;
        assert!((good.loss - wanted).abs() < 1e-6, "{}", good.loss);
        let bad = loss.score(&of(&[[0.2, 0.1], [0.9, 0.8]]), &labels).unwrap();
        assert!(bad.loss > good.loss && bad.quality == Quality::AveragePrecision(0.5));
        assert_eq!(loss.score(&[], &[]), None);
    }
}
