//! 2-D convolution that trains fast on the CPU.
//!
//! burn's CPU backend (flex 0.22) has a good forward pass, but takes the gradient of the
//! weights by way of a convolution whose kernel is as large as the map, and that of the
//! input by a transposed convolution: of a training step of one of our networks, three
//! quarters went there (`cargo bench --bench convolution`). On flex this module computes
//! all three as matrix products over columns of the image, as cuDNN's paper has it
//! (Chetlur et al. 2014); on every other device it is burn's own convolution.

mod kernels;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_flex::FlexTensor;

use kernels::Problem;

/// Stride and padding, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step of the kernel.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
}

/// Cross-correlation of `x` `[batch, in, height, width]` with the square kernels `weight`
/// `[out, in, kernel, kernel]`: `[batch, out, height', width']`.
pub fn convolution(x: Tensor<4>, weight: Tensor<4>, geometry: Geometry) -> Tensor<4> {
    let Geometry { stride, padding } = geometry;
    let is_single = |tensor: &Tensor<4>| tensor.dtype() == DType::F32;
    if x.device().inner() == Device::flex() && is_single(&x) && is_single(&weight) {
        let [x, weight] = [x, weight].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::convolve(x, weight, stride, padding));
    }
    conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1))
}

/// The operation as an extension of burn's backends.
#[backend_extension(Flex, Autodiff)]
trait Convolution: Backend {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
}

/// Its derivatives.
trait ConvolutionGradients: Backend {
    fn weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        problem: Problem,
    ) -> FloatTensor<Self>;

    fn input_gradient(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        problem: Problem,
    ) -> FloatTensor<Self>;
}

fn problem(x: &impl TensorMetadata, weight: &impl TensorMetadata, geometry: Geometry) -> Problem {
    Problem::new(x.shape().dims(), weight.shape().dims(), geometry)
}

/// `shape` filled by `compute` from the values of two tensors.
fn compute<const D: usize>(
    [a, b]: [FlexTensor; 2],
    shape: [usize; D],
    compute: impl FnOnce(&[f32], &[f32], &mut [f32]),
) -> FlexTensor {
    let [a, b] = [a, b].map(|tensor| tensor.to_contiguous());
    let mut result = vec![0f32; shape.iter().product()];
    // Both are contiguous and f32: `convolution` lets nothing else through.
    compute(a.as_slice().unwrap_or_default(), b.as_slice().unwrap_or_default(), &mut result);
    FlexTensor::from_data(TensorData::new(result, shape))
}

impl Convolution for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, stride: usize, padding: usize) -> FlexTensor {
        let problem = problem(&x, &weight, Geometry { stride, padding });
        compute([x, weight], problem.output(), |x, weight, out| problem.forward(x, weight, out))
    }
}

impl ConvolutionGradients for Flex {
    fn weight_gradient(x: FlexTensor, gradient: FlexTensor, problem: Problem) -> FlexTensor {
        compute([x, gradient], problem.weight(), |x, gradient, out| {
            problem.weight_gradient(x, gradient, out);
        })
    }

    fn input_gradient(weight: FlexTensor, gradient: FlexTensor, problem: Problem) -> FlexTensor {
        compute([weight, gradient], problem.input(), |weight, gradient, out| {
            problem.input_gradient(weight, gradient, out);
        })
    }
}

#[derive(Debug)]
struct Differentiated;

impl<B: ConvolutionGradients> Backward<B, 2> for Differentiated {
    type State = (NodeId, NodeId, Problem);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [x_node, weight_node] = ops.parents;
        let (x, weight, problem) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let weight = checkpointer.retrieve_node_output::<FloatTensor<B>>(weight);
        if let Some(node) = x_node {
            let of_input = B::input_gradient(weight, gradient.clone(), problem);
            gradients.register::<B>(node.id, of_input);
        }
        if let Some(node) = weight_node {
            gradients.register::<B>(node.id, B::weight_gradient(x, gradient, problem));
        }
    }
}

impl<B: Convolution + ConvolutionGradients, C: CheckpointStrategy> Convolution for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        match Differentiated.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let states = (prep.checkpoint(&x), prep.checkpoint(&weight));
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                let problem = problem(&x, &weight, Geometry { stride, padding });
                prep.finish((states.0, states.1, problem), B::convolve(x, weight, stride, padding))
            }
            OpsKind::UnTracked(prep) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                prep.finish(B::convolve(x, weight, stride, padding))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use proptest::prelude::*;

    use super::*;

    fn largest(a: &Tensor<4>, b: &Tensor<4>) -> (f32, f32) {
        let difference = (a.clone() - b.clone()).abs().max().into_scalar::<f32>();
        (difference, b.clone().abs().max().into_scalar::<f32>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// burn's own convolution and its gradients are the reference.
        #[test]
        fn values_and_gradients_are_those_of_burns_convolution(
            batch in 1usize..6,
            from in 1usize..5,
            to in 1usize..5,
            height in 1usize..12,
            width in 1usize..12,
            kernel in prop::sample::select(vec![1usize, 3, 5]),
            stride in 1usize..3,
            seed in 0u64..1000,
        ) {
            let device = Device::flex().autodiff();
            device.seed(seed);
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
            };
            let geometry = Geometry { stride, padding: kernel / 2 };
            let x = random([batch, from, height, width]);
            let weight = random([to, from, kernel, kernel]);
            let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1, 1], 1);
            let wanted = conv2d(x.clone(), weight.clone(), None, options);
            let given = convolution(x.clone(), weight.clone(), geometry);
            let probe = random(wanted.dims()).detach();
            prop_assert_eq!(given.dims(), wanted.dims());
            let gradients = |y: Tensor<4>| {
                let gradients = (y * probe.clone()).sum().backward();
                (x.grad(&gradients).unwrap(), weight.grad(&gradients).unwrap())
            };
            let (wanted_x, wanted_w) = gradients(wanted.clone());
            let (given_x, given_w) = gradients(given.clone());
            for (given, wanted) in [
                (given.inner(), wanted.inner()),
                (given_x, wanted_x),
                (given_w, wanted_w),
            ] {
                let (difference, size) = largest(&given, &wanted);
                prop_assert!(difference <= 1e-5 * size.max(1.0), "{difference} of {size}");
            }
        }
    }
}
