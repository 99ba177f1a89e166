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

use super::convolution::{Convolution, How, Order};
use super::ending::{self, Ending};
use super::{depthwise, normalization, pointwise, pooling};

/// The layers as operations that a backend has.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Layers: Backend {
    /// See [`super::ops::convolve`].
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: How,
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
    /// The gradient of a convolution before its bounds, given its answer and the gradient of it.
    fn bounded_gradient(
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        how: How,
    ) -> FloatTensor<Self>;

    /// The gradient of the bias, given the gradient of the output.
    fn bias_gradient(gradient: FloatTensor<Self>, how: How) -> FloatTensor<Self>;

    /// The gradient of the weights, given the input and the gradient of the output.
    fn weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        convolution: Convolution,
        how: How,
    ) -> FloatTensor<Self>;

    /// The gradient of the input, given the weights and the gradient of the output.
    fn input_gradient(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        convolution: Convolution,
        how: How,
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

fn convolution(x: &impl TensorMetadata, weight: &impl TensorMetadata, how: How) -> Convolution {
    Convolution::new(x.shape().dims(), weight.shape().dims(), how.geometry)
}

/// A tensor `[batch, channels, height, width]` with its values one after the other as `order`
/// wants them.
fn arranged(tensor: FlexTensor, order: Order) -> FlexTensor {
    match order {
        Order::Planes => tensor.to_contiguous(),
        Order::Places => tensor.permute(&[0, 2, 3, 1]).to_contiguous(),
    }
}

/// The tensor `[batch, channels, height, width]` whose values lie one after the other as `order`
/// says.
fn from_order(values: Vec<f32>, shape: [usize; 4], order: Order) -> FlexTensor {
    let [batch, channels, height, width] = shape;
    let lying = match order {
        Order::Planes => shape,
        Order::Places => [batch, height, width, channels],
    };
    by_channel(tensor(values, lying), order)
}

/// What [`arranged`] gave, as `[batch, channels, height, width]` again.
fn by_channel(arranged: FlexTensor, order: Order) -> FlexTensor {
    match order {
        Order::Planes => arranged,
        Order::Places => arranged.permute(&[0, 3, 1, 2]),
    }
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
    fn convolve(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, how: How) -> FlexTensor {
        let convolution = convolution(&x, &weight, how);
        let x = arranged(x, how.order);
        let [weight, bias] = [weight, bias].map(|tensor| tensor.to_contiguous());
        let ending = Ending::new(values(&bias), how.bounds);
        let mut out = vec![0f32; convolution.output().iter().product()];
        let (x, weight) = (values(&x), values(&weight));
        match how.order {
            Order::Planes => convolution.forward(x, weight, ending, &mut out),
            Order::Places if convolution.is_pointwise() => {
                pointwise::forward(&convolution, x, weight, ending, &mut out);
            }
            Order::Places => depthwise::forward(&convolution, x, weight, ending, &mut out),
        }
        from_order(out, convolution.output(), how.order)
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
    fn bounded_gradient(y: FlexTensor, gradient: FlexTensor, how: How) -> FlexTensor {
        let y = arranged(y, how.order);
        let mut gradient = arranged(gradient, how.order);
        ending::bounded_gradient(values(&y), how.bounds, gradient.storage_mut());
        by_channel(gradient, how.order)
    }

    fn bias_gradient(gradient: FlexTensor, how: How) -> FlexTensor {
        let [_, channels, height, width] = gradient.shape().dims();
        let gradient = arranged(gradient, how.order);
        let sums = match how.order {
            Order::Planes => ending::plane_sums(values(&gradient), channels, height * width),
            Order::Places => ending::row_sums(values(&gradient), channels),
        };
        tensor(sums, [channels])
    }

    fn weight_gradient(
        x: FlexTensor,
        gradient: FlexTensor,
        convolution: Convolution,
        how: How,
    ) -> FlexTensor {
        let [x, gradient] = [x, gradient].map(|tensor| arranged(tensor, how.order));
        let (x, gradient) = (values(&x), values(&gradient));
        let mut out = vec![0f32; convolution.weight().iter().product()];
        match how.order {
            Order::Planes => convolution.weight_gradient(x, gradient, &mut out),
            Order::Places if convolution.is_pointwise() => {
                pointwise::weight_gradient(&convolution, x, gradient, &mut out);
            }
            Order::Places => depthwise::weight_gradient(&convolution, x, gradient, &mut out),
        }
        tensor(out, convolution.weight())
    }

    fn input_gradient(
        weight: FlexTensor,
        gradient: FlexTensor,
        convolution: Convolution,
        how: How,
    ) -> FlexTensor {
        let (weight, gradient) = (weight.to_contiguous(), arranged(gradient, how.order));
        let (weight, gradient) = (values(&weight), values(&gradient));
        let mut out = vec![0f32; convolution.input().iter().product()];
        match how.order {
            Order::Planes => convolution.input_gradient(weight, gradient, &mut out),
            Order::Places if convolution.is_pointwise() => {
                pointwise::input_gradient(&convolution, weight, gradient, &mut out);
            }
            Order::Places => depthwise::input_gradient(&convolution, weight, gradient, &mut out),
        }
        from_order(out, convolution.input(), how.order)
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

impl<B: LayerGradients> Backward<B, 3> for Convolved {
    /// Input, weights, the answer where it has bounds, and what was done.
    type State = ([NodeId; 2], Option<FloatTensor<B>>, Convolution, How);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [x_node, weight_node, bias_node] = ops.parents;
        let ([x, weight], y, convolution, how) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(y) = y {
            gradient = B::bounded_gradient(y, gradient, how);
        }
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let weight = checkpointer.retrieve_node_output::<FloatTensor<B>>(weight);
        if let Some(node) = bias_node {
            gradients.register::<B>(node.id, B::bias_gradient(gradient.clone(), how));
        }
        if let Some(node) = x_node {
            let of_input = B::input_gradient(weight, gradient.clone(), convolution, how);
            gradients.register::<B>(node.id, of_input);
        }
        if let Some(node) = weight_node {
            gradients.register::<B>(node.id, B::weight_gradient(x, gradient, convolution, how));
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
        bias: FloatTensor<Self>,
        how: How,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        match Convolved.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let states = [prep.checkpoint(&x), prep.checkpoint(&weight)];
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                let convolution = convolution(&x, &weight, how);
                let y = B::convolve(x, weight, bias, how);
                let kept = how.bounds.bind().then(|| y.clone());
                prep.finish((states, kept, convolution, how), y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prep.finish(B::convolve(x, weight, bias, how))
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
