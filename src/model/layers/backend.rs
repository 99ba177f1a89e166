//! The layers as operations of burn's backends, and their derivatives.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::convolution::{Convolution, Geometry};
use super::{normalization, pooling};

/// The layers as operations that a backend has.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Layers: Backend {
    /// See [`super::ops::convolve`].
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;

    /// The normalized map, and mean and variance of each channel.
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        rectify: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`super::ops::max_pool_2x2`].
    fn max_pool_2x2(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The derivatives of [`Layers`], without being differentiable themselves.
pub(super) trait LayerGradients: Backend {
    /// The gradient of the weights, given the input and the gradient of the output.
    fn weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self>;

    /// The gradient of the input, given the weights and the gradient of the output.
    fn input_gradient(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self>;

    /// Gradients of input, gamma and beta, given input, gamma, beta, mean and variance.
    fn normalize_gradient(
        inputs: [FloatTensor<Self>; 5],
        gradient: FloatTensor<Self>,
        epsilon: f32,
        rectify: bool,
    ) -> [FloatTensor<Self>; 3];

    fn max_pool_2x2_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

fn convolution(
    x: &impl TensorMetadata,
    weight: &impl TensorMetadata,
    geometry: Geometry,
) -> Convolution {
    Convolution::new(x.shape().dims(), weight.shape().dims(), geometry)
}

/// The values of a tensor laid out in order. It is f32: nothing else comes here.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().unwrap_or_default()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// `shape` filled by `compute` from the values of some tensors.
fn compute<const N: usize, const D: usize>(
    inputs: [FlexTensor; N],
    shape: [usize; D],
    compute: impl FnOnce([&[f32]; N], &mut [f32]),
) -> FlexTensor {
    let inputs = inputs.map(|tensor| tensor.to_contiguous());
    let mut result = vec![0f32; shape.iter().product()];
    compute(inputs.each_ref().map(values), &mut result);
    tensor(result, shape)
}

impl Layers for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, stride: usize, padding: usize) -> FlexTensor {
        let convolution = convolution(&x, &weight, Geometry { stride, padding });
        compute([x, weight], convolution.output(), |[x, weight], out| {
            convolution.forward(x, weight, out)
        })
    }

    fn normalize(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f32,
        rectify: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let shape: [usize; 4] = x.shape().dims();
        let x = x.to_contiguous();
        let [gamma, beta] = [gamma, beta].map(|tensor| tensor.to_contiguous());
        let statistics = normalization::statistics(values(&x), shape);
        let affine = normalization::affine(&statistics, values(&gamma), values(&beta), epsilon);
        let y = compute([x], shape, |[x], out| {
            normalization::forward(x, shape, &affine, rectify, out);
        });
        let (mean, variance) = statistics.into_iter().unzip();
        (y, tensor(mean, [shape[1]]), tensor(variance, [shape[1]]))
    }

    fn max_pool_2x2(x: FlexTensor) -> FlexTensor {
        let shape: [usize; 4] = x.shape().dims();
        compute([x], pooling::output(shape), |[x], out| pooling::forward(x, shape, out))
    }
}

impl LayerGradients for Flex {
    fn weight_gradient(
        x: FlexTensor,
        gradient: FlexTensor,
        convolution: Convolution,
    ) -> FlexTensor {
        compute([x, gradient], convolution.weight(), |[x, gradient], out| {
            convolution.weight_gradient(x, gradient, out);
        })
    }

    fn input_gradient(
        weight: FlexTensor,
        gradient: FlexTensor,
        convolution: Convolution,
    ) -> FlexTensor {
        compute([weight, gradient], convolution.input(), |[weight, gradient], out| {
            convolution.input_gradient(weight, gradient, out);
        })
    }

    fn normalize_gradient(
        inputs: [FlexTensor; 5],
        gradient: FlexTensor,
        epsilon: f32,
        rectify: bool,
    ) -> [FlexTensor; 3] {
        let shape: [usize; 4] = inputs[0].shape().dims();
        let inputs = inputs.map(|tensor| tensor.to_contiguous());
        let gradient = gradient.to_contiguous();
        let [x, gamma, beta, mean, variance] = inputs.each_ref().map(values);
        let statistics: Vec<(f32, f32)> =
            mean.iter().copied().zip(variance.iter().copied()).collect();
        let backward =
            normalization::Backward::new(x, shape, &statistics, [gamma, beta], epsilon, rectify);
        let sums = backward.sums(values(&gradient));
        let mut of_x = vec![0f32; shape.iter().product()];
        backward.input(values(&gradient), &sums, &mut of_x);
        let (of_beta, of_gamma) = sums.into_iter().unzip();
        [tensor(of_x, shape), tensor(of_gamma, [shape[1]]), tensor(of_beta, [shape[1]])]
    }

    fn max_pool_2x2_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let shape: [usize; 4] = x.shape().dims();
        compute([x, gradient], shape, |[x, gradient], out| {
            pooling::backward(x, shape, gradient, out);
        })
    }
}

#[derive(Debug)]
struct Convolved;

impl<B: LayerGradients> Backward<B, 2> for Convolved {
    type State = (NodeId, NodeId, Convolution);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [x_node, weight_node] = ops.parents;
        let (x, weight, convolution) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let weight = checkpointer.retrieve_node_output::<FloatTensor<B>>(weight);
        if let Some(node) = x_node {
            let of_input = B::input_gradient(weight, gradient.clone(), convolution);
            gradients.register::<B>(node.id, of_input);
        }
        if let Some(node) = weight_node {
            gradients.register::<B>(node.id, B::weight_gradient(x, gradient, convolution));
        }
    }
}

#[derive(Debug)]
struct Normalized;

impl<B: LayerGradients> Backward<B, 3> for Normalized {
    type State = ([NodeId; 3], FloatTensor<B>, FloatTensor<B>, f32, bool);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (inputs, mean, variance, epsilon, rectify) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [x, gamma, beta] =
            inputs.map(|input| checkpointer.retrieve_node_output::<FloatTensor<B>>(input));
        let inputs = [x, gamma, beta, mean, variance];
        let found = B::normalize_gradient(inputs, gradient, epsilon, rectify);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct MaxPooled;

impl<B: LayerGradients> Backward<B, 1> for MaxPooled {
    type State = NodeId;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(ops.state);
        if let Some(node) = node {
            gradients.register::<B>(node.id, B::max_pool_2x2_gradient(x, gradient));
        }
    }
}

impl<B: Layers + LayerGradients, C: CheckpointStrategy> Layers for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        match Convolved.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let states = (prep.checkpoint(&x), prep.checkpoint(&weight));
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                let convolution = convolution(&x, &weight, Geometry { stride, padding });
                let y = B::convolve(x, weight, stride, padding);
                prep.finish((states.0, states.1, convolution), y)
            }
            OpsKind::UnTracked(prep) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                prep.finish(B::convolve(x, weight, stride, padding))
            }
        }
    }

    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        rectify: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let inputs = [x, gamma, beta];
        let nodes = inputs.each_ref().map(|input| input.node());
        let run = |inputs: [FloatTensor<Self>; 3]| {
            let [x, gamma, beta] = inputs.map(|input| input.into_primitive());
            B::normalize(x, gamma, beta, epsilon, rectify)
        };
        let (y, mean, variance) = match Normalized.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let states = inputs.each_ref().map(|input| prep.checkpoint(input));
                let (y, mean, variance) = run(inputs);
                let state = (states, mean.clone(), variance.clone(), epsilon, rectify);
                (prep.finish(state, y), mean, variance)
            }
            OpsKind::UnTracked(prep) => {
                let (y, mean, variance) = run(inputs);
                (prep.finish(y), mean, variance)
            }
        };
        (y, <FloatTensor<Self>>::new(mean), <FloatTensor<Self>>::new(variance))
    }

    fn max_pool_2x2(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match MaxPooled.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&x);
                prep.finish(state, B::max_pool_2x2(x.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::max_pool_2x2(x.into_primitive())),
        }
    }
}
