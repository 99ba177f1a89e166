//! The layers' derivatives, for burn's backend that keeps account of what to derive.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

use super::backend::{LayerGradients, Layers, convolution};
use super::convolution::{Convolution, How};
use crate::kernels::Window;

/// Gives each node that asks for one its gradient.
fn register<B: Backend, const N: usize>(
    gradients: &mut Gradients,
    nodes: [Option<NodeId>; N],
    found: [Option<FloatTensor<B>>; N],
) {
    for (node, gradient) in nodes.into_iter().zip(found) {
        if let (Some(node), Some(gradient)) = (node, gradient) {
            gradients.register::<B>(node, gradient);
        }
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
        let ([x, weight], y, convolution, how) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let inputs =
            [x, weight].map(|input| checkpointer.retrieve_node_output::<FloatTensor<B>>(input));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = B::convolve_gradients(inputs, y, gradient, convolution, how, wanted);
        register::<B, _>(gradients, ops.parents.map(|node| node.map(|node| node.id)), found);
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
        register::<B, _>(
            gradients,
            ops.parents.map(|node| node.map(|node| node.id)),
            found.map(Some),
        );
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

#[derive(Debug)]
struct FewTimes;

impl<B: LayerGradients> Backward<B, 2> for FewTimes {
    type State = [NodeId; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<B>(&ops.node);
        let factors =
            ops.state.map(|factor| checkpointer.retrieve_node_output::<FloatTensor<B>>(factor));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = B::few_times_gradients(factors, gradient, wanted);
        register::<B, _>(gradients, ops.parents.map(|node| node.map(|node| node.id)), found);
    }
}

#[derive(Debug)]
struct MaxPooledByPlace;

impl<B: LayerGradients> Backward<B, 1> for MaxPooledByPlace {
    type State = (NodeId, FloatTensor<B>, Window);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let ([node], (x, y, window)) = (ops.parents, ops.state);
        let gradient = gradients.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        if let Some(node) = node {
            gradients.register::<B>(node.id, B::max_pool_gradient(x, y, gradient, window));
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
                let y = B::convolve_learning(x, weight, bias, how);
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

    fn few_times(x: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self> {
        match FewTimes.prepare::<C>([x.node(), matrix.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&x), prep.checkpoint(&matrix)];
                let y = B::few_times(x.into_primitive(), matrix.into_primitive());
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::few_times(x.into_primitive(), matrix.into_primitive()))
            }
        }
    }

    fn max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        match MaxPooledByPlace.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&x);
                let y = B::max_pool(x.into_primitive(), window);
                prep.finish((state, y.clone(), window), y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::max_pool(x.into_primitive(), window)),
        }
    }
}
