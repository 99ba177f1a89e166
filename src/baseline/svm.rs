//! Support vector machine with a Gaussian kernel, one against one, as LIBSVM has it
//! (Chang & Lin, "LIBSVM: a library for support vector machines", 2011).

use libsvm_rs::predict::{predict, predict_probability, predict_values};
use libsvm_rs::probability::sigmoid_train;
use libsvm_rs::train::svm_train;
use libsvm_rs::{
    KernelType, SvmModel, SvmNode, SvmParameter, SvmProblem, SvmType, check_parameter, set_quiet,
};

use super::fitted::FittedModel;
use super::graph::Graph;
use super::problem::FoldRows;
use super::samples::{Samples, failed};
use crate::error::Result;
use crate::model::Standardization;

/// A fitted machine.
pub(super) struct Svm {
    pub(super) model: SvmModel,
    features: usize,
    classes: usize,
    standardization: Standardization,
}

/// Fits to `samples`; its probabilities are 1 for the winner of the vote and 0 otherwise.
pub(super) fn fit(samples: &Samples, c: f64, gamma: f64) -> Result<Svm> {
    set_quiet(true);
    let standardization = samples.standardization();
    // LIBSVM numbers classes in the order in which it meets them.
    let mut order: Vec<usize> = (0..samples.labels.len()).collect();
    order.sort_by_key(|&row| samples.labels[row]);
    let sorted = samples.select(&order).standardized(&standardization);
    let problem = SvmProblem {
        labels: sorted.labels.iter().map(|&label| label as f64).collect(),
        instances: sorted.rows().map(nodes).collect(),
    };
    let parameter = SvmParameter {
        svm_type: SvmType::CSvc,
        kernel_type: KernelType::Rbf,
        gamma,
        c,
        ..SvmParameter::default()
    };
    check_parameter(&problem, &parameter).map_err(failed)?;
    let Samples { features, classes, .. } = *samples;
    let model = svm_train(&problem, &parameter);
    if model.label.iter().map(|&label| label as usize).eq(0..classes) {
        Ok(Svm { model, features, classes, standardization })
    } else {
        Err(failed("a genre has no rows to train on"))
    }
}

fn nodes(row: &[f32]) -> Vec<SvmNode> {
    let node = |(index, value): (usize, &f32)| SvmNode {
        index: index as i32 + 1,
        value: f64::from(*value),
    };
    row.iter().enumerate().map(node).collect()
}

/// Fits to `samples`, with probabilities by Platt's method (1999) coupled as in Wu, Lin &
/// Weng (2004). The sigmoids are fitted to what machines of the `folds` say of rows they
/// have not seen, so that windows of one song do not vouch for each other.
pub(super) fn fit_calibrated(
    samples: &Samples,
    folds: &[FoldRows],
    c: f64,
    gamma: f64,
) -> Result<Svm> {
    let mut svm = fit(samples, c, gamma)?;
    let pairs = svm.model.rho.len();
    let mut decisions = vec![(vec![], vec![]); pairs];
    for fold in folds {
        let machine = fit(&samples.select(&fold.train), c, gamma)?;
        for &row in &fold.held_out {
            let values = machine.decisions(samples.row(row));
            let pairs_of_classes = (0..svm.classes)
                .flat_map(|first| (first + 1..svm.classes).map(move |second| (first, second)));
            for (pair, (first, second)) in pairs_of_classes.enumerate() {
                if [first, second].contains(&samples.labels[row]) {
                    let sign = if samples.labels[row] == first { 1.0 } else { -1.0 };
                    decisions[pair].0.push(values[pair]);
                    decisions[pair].1.push(sign);
                }
            }
        }
    }
    let sigmoids = decisions.iter().map(|(values, signs)| sigmoid_train(values, signs));
    (svm.model.prob_a, svm.model.prob_b) = sigmoids.unzip();
    svm.model.param.probability = true;
    Ok(svm)
}

impl Svm {
    fn standardized(&self, row: &[f32]) -> Vec<SvmNode> {
        let mut row = row.to_vec();
        self.standardization.apply(&mut row);
        nodes(&row)
    }

    fn decisions(&self, row: &[f32]) -> Vec<f64> {
        let mut values = vec![0.0; self.model.rho.len()];
        predict_values(&self.model, &self.standardized(row), &mut values);
        values
    }
}

impl FittedModel for Svm {
    fn probabilities(&self, rows: &[f32]) -> Vec<f32> {
        let one = |row: &[f32]| -> Vec<f32> {
            let row = self.standardized(row);
            if let Some((_, probabilities)) = predict_probability(&self.model, &row) {
                return probabilities.into_iter().map(|p| p as f32).collect();
            }
            let winner = predict(&self.model, &row) as usize;
            (0..self.classes).map(|class| f32::from(u8::from(class == winner))).collect()
        };
        rows.chunks_exact(self.features).flat_map(one).collect()
    }

    fn parameters(&self) -> usize {
        let SvmModel { sv, sv_coef, rho, prob_a, prob_b, .. } = &self.model;
        let coefficients: usize = sv_coef.iter().map(Vec::len).sum();
        sv.len() * self.features + coefficients + rho.len() + prob_a.len() + prob_b.len()
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.features, self.classes);
        let x = graph.standardize(&self.standardization);
        graph.svm(&x, &self.model);
        graph
    }

    /// The iteration that couples pairwise probabilities stops once no condition is off by
    /// more than 0.005 over the number of classes. Runtimes may stop a step earlier or
    /// later, and iterate for two classes, where LIBSVM has the answer.
    fn tolerance(&self) -> f32 {
        0.005 / self.classes as f32
    }
}
