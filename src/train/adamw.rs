//! AdamW in one pass over the weights, where they are.
//!
//! burn's AdamW is some fifteen operations, each of which reads and writes all weights, their
//! gradient or their moments; of a network with large layers that is more than half of a step.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::optim::{
    AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, ModuleOptimizer, Optimizer,
};
use burn::tensor::{DType, Device, Tensor};
use burn_flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use crate::model::layers::{give_back, whole};

/// Shares of the last moments that are kept; burn's.
const BETAS: [f32; 2] = [0.9, 0.999];

/// burn's `epsilon`.
pub(super) const EPSILON: f32 = 1e-5;

/// Weights that one thread changes at a time: with gradient and moments they fit into a
/// second-level cache.
const PART: usize = 32 << 10;

/// burn's AdamW with this weight decay, in one pass on the CPU; `epsilon` keeps its division from
/// being one by nothing.
pub(super) fn optimizer(weight_decay: f64, epsilon: f32) -> ModuleOptimizer {
    let weight_decay = weight_decay as f32;
    let config = AdamWConfig::new().with_weight_decay(weight_decay).with_epsilon(epsilon);
    let elsewhere = config.with_beta_1(BETAS[0]).with_beta_2(BETAS[1]).build();
    OnePass { weight_decay, epsilon, elsewhere }.into()
}

/// Whether all are single-precision values of one shape on burn's CPU.
fn is_for<const D: usize>(
    weights: &Tensor<D>,
    gradient: &Tensor<D>,
    state: Option<&AdamWState<D>>,
) -> bool {
    let moments = state.map(|AdamWState { momentum }| [&momentum.moment_1, &momentum.moment_2]);
    let all = [weights, gradient].into_iter().chain(moments.into_iter().flatten());
    weights.device() == Device::flex()
        && all.into_iter().all(|t| t.dtype() == DType::F32 && t.shape() == weights.shape())
}

#[derive(Clone)]
struct OnePass {
    weight_decay: f32,
    epsilon: f32,
    /// On other devices than burn's CPU.
    elsewhere: AdamW,
}

impl Optimizer for OnePass {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        weights: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        if !is_for(&weights, &gradient, state.as_ref()) {
            return self.elsewhere.step(rate, weights, gradient, state);
        }
        let (time, moments) = match state {
            Some(AdamWState { momentum }) => {
                (momentum.time + 1, [momentum.moment_1, momentum.moment_2])
            }
            None => (1, [gradient.zeros_like(), gradient.zeros_like()]),
        };
        let change = Change::new(rate, self.weight_decay, self.epsilon, time);
        let [first, second] = moments.map(Tensor::into_dispatch);
        let (weights, first, second) = Dispatch::change(
            weights.into_dispatch(),
            gradient.into_dispatch(),
            first,
            second,
            change,
        );
        let [first, second] = [first, second].map(Tensor::from_dispatch);
        let momentum = AdaptiveMomentumState::new(time, first, second);
        (Tensor::from_dispatch(weights), Some(AdamWState::new(momentum)))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamW::to_device(state, device)
    }
}

/// The numbers of a step.
#[derive(Clone, Copy, Debug)]
struct Change {
    rate: f32,
    epsilon: f32,
    /// What is left of the weights.
    kept: f32,
    /// What is still missing of the means, as they began with nothing.
    corrections: [f32; 2],
}

impl Change {
    fn new(rate: f64, weight_decay: f32, epsilon: f32, time: usize) -> Self {
        let kept = 1.0 - rate * f64::from(weight_decay);
        let time = i32::try_from(time).unwrap_or(i32::MAX);
        Self {
            rate: rate as f32,
            epsilon,
            kept: kept as f32,
            corrections: BETAS.map(|beta| 1.0 - beta.powi(time)),
        }
    }

    /// Changes weights and moments; in burn's order of operations, so that the numbers are burn's.
    #[inline(always)]
    fn apply(self, weights: &mut [f32], gradient: &[f32], moments: [&mut [f32]; 2]) {
        let [first, second] = moments;
        let all = weights.iter_mut().zip(gradient).zip(first.iter_mut().zip(second));
        for ((weight, gradient), (first, second)) in all {
            *first = *first * BETAS[0] + gradient * (1.0 - BETAS[0]);
            *second = *second * BETAS[1] + gradient * gradient * (1.0 - BETAS[1]);
            let [mean, square] = [*first / self.corrections[0], *second / self.corrections[1]];
            *weight = *weight * self.kept - mean / (square.sqrt() + self.epsilon) * self.rate;
        }
    }
}

/// The step as an operation of burn's backend on the CPU.
#[backend_extension(Flex)]
trait Update: Backend {
    /// Weights and both moments after the step.
    fn change(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        change: Change,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl Update for Flex {
    fn change(
        weights: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        change: Change,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [mut weights, mut first, mut second] = [weights, first, second].map(whole);
        let gradient = whole(gradient);
        let values = gradient.as_slice::<f32>().unwrap_or_default();
        let arch = Arch::new();
        let moments = first
            .storage_mut::<f32>()
            .par_chunks_mut(PART)
            .zip(second.storage_mut::<f32>().par_chunks_mut(PART));
        let parts = weights.storage_mut::<f32>().par_chunks_mut(PART).zip(values.par_chunks(PART));
        parts.zip(moments).for_each(|((weights, gradient), (first, second))| {
            arch.dispatch(|| change.apply(weights, gradient, [first, second]));
        });
        give_back(gradient);
        (weights, first, second)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::TensorData;

    use super::*;

    /// Weights after some steps, and the optimizer's record.
    fn trained(
        mut optimizer: ModuleOptimizer,
        linear: &Linear,
        transposed: bool,
    ) -> (Vec<f32>, ModuleOptimizer) {
        let device = Device::flex().autodiff();
        let mut linear = linear.clone();
        for step in 0..20 {
            let input: Vec<f32> =
                (0..21).map(|at| ((at * 7 + step * 5) % 11) as f32 - 4.0).collect();
            let x = Tensor::<2>::from_data(TensorData::new(input, [3, 7]), &device);
            let y = if transposed {
                // The gradient comes to the weights the other way round.
                x.matmul(linear.weight.val().transpose().reshape([7, 5]))
            } else {
                linear.forward(x)
            };
            let gradients = y.powf_scalar(2.0).sum().backward();
            let gradients = GradientsParams::from_grads(gradients, &linear);
            linear = optimizer.step(1e-2 / (1.0 + step as f64), linear, gradients);
        }
        (linear.weight.val().into_data().iter::<f32>().collect(), optimizer)
    }

    /// burn's numbers, bit by bit; so what was measured with one is true of the other.
    #[test]
    fn a_step_is_burns() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let linear = LinearConfig::new(7, 5).init(&device);
        for decay in [0.0, 0.05] {
            let theirs = AdamWConfig::new().with_weight_decay(decay as f32).init();
            for transposed in [false, true] {
                let (wanted, theirs) = trained(theirs.clone(), &linear, transposed);
                let (given, ours) = trained(optimizer(decay, EPSILON), &linear, transposed);
                assert_eq!(given, wanted);
                // Either goes on from what the other has kept.
                let (swapped, _) = trained(
                    optimizer(decay, EPSILON).load_record(theirs.to_record()),
                    &linear,
                    transposed,
                );
                let (wanted, _) = trained(theirs, &linear, transposed);
                let (given, _) = trained(ours, &linear, transposed);
                assert_eq!((&given, &swapped), (&wanted, &wanted));
            }
        }
    }

    /// In place, in several parts, and not by burn's operations.
    #[test]
    fn weights_stay_where_they_are() {
        let length = 2 * PART + 5;
        let tensor =
            |value: f32| FlexTensor::from_data(TensorData::new(vec![value; length], [length]));
        let [weights, first, second] = [tensor(1.0), tensor(0.0), tensor(0.0)];
        let places = [&weights, &first, &second].map(|tensor| tensor.bytes().as_ptr());
        let change = Change::new(0.1, 0.5, EPSILON, 1);
        let (weights, first, second) = Flex::change(weights, tensor(2.0), first, second, change);
        assert_eq!(places, [&weights, &first, &second].map(|tensor| tensor.bytes().as_ptr()));
        // A first step is as long as the rate.
        let values = weights.as_slice::<f32>().unwrap();
        assert!(values.iter().all(|value| (value - (0.95 - 0.1)).abs() < 1e-5), "{}", values[0]);
    }

    /// A copy of the weights, such as the best epoch's, stays as it was.
    #[test]
    fn a_copy_of_the_weights_stays() {
        let device = Device::flex().autodiff();
        let linear = LinearConfig::new(7, 5).init(&device);
        let copy = linear.clone().valid();
        let before: Vec<f32> = copy.weight.val().into_data().iter::<f32>().collect();
        let (after, _) = trained(optimizer(0.01, EPSILON), &linear, false);
        let kept: Vec<f32> = copy.weight.val().into_data().iter::<f32>().collect();
        assert_eq!(before, kept);
        assert_ne!(before, after);
    }
}
