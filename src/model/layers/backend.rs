//! The layers as operations of burn's backends: what they are, and how its CPU computes them.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;

use super::convolution::{Convolution, How, Order};
use super::ending::{self, Ending};
use super::memory::{give_back, unwritten, zeros};
use super::{dense, depthwise, normalization, normalization_by_place, packed, pointwise, pooling};
use crate::kernels::{MaxPool, Together, Vectors, Window, few};

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

    /// See [`super::ops::max_pool`].
    fn max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;

    /// The product of few rows `[rows, inner]` and a matrix `[inner, columns]`.
    fn few_times(x: FloatTensor<Self>, matrix: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The derivatives of [`Layers`], without being differentiable themselves.
pub(super) trait LayerGradients: Backend {
    /// [`Layers::convolve`] with weights that are others the next time.
    fn convolve_learning(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: How,
    ) -> FloatTensor<Self>;

    /// Gradients of input, weights and bias, those of them that are wanted, given input and
    /// weights, the answer where it has bounds, and the gradient of the answer.
    fn convolve_gradients(
        inputs: [FloatTensor<Self>; 2],
        y: Option<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
        convolution: Convolution,
        how: How,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];

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

    /// Gradients of rows and matrix, those of them that are wanted, given that of their product.
    fn few_times_gradients(
        factors: [FloatTensor<Self>; 2],
        gradient: FloatTensor<Self>,
        wanted: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2];

    /// The gradient of the input, given it, the answer and the gradient of that.
    fn max_pool_gradient(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;
}

pub(super) fn convolution(
    x: &impl TensorMetadata,
    weight: &impl TensorMetadata,
    how: How,
) -> Convolution {
    Convolution::new(x.shape().dims(), weight.shape().dims(), how.geometry)
}

/// A tensor `[batch, channels, height, width]` with its values, and no others, one after the other
/// as `order` wants them: without a copy where they lie so.
fn arranged(tensor: FlexTensor, order: Order) -> FlexTensor {
    whole(match order {
        Order::Planes => tensor,
        Order::Places => tensor.permute(&[0, 2, 3, 1]),
    })
}

/// How the values of a tensor `[batch, channels, height, width]` lie in memory.
fn order(tensor: &FlexTensor) -> Order {
    let by_place = || tensor.clone().permute(&[0, 2, 3, 1]).is_contiguous();
    if !tensor.is_contiguous() && by_place() { Order::Places } else { Order::Planes }
}

/// A tensor with its values, and no others, one after the other: without a copy where they lie so.
pub(crate) fn whole(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() && size_of_val(tensor.bytes()) == tensor_bytes(&tensor) {
        return tensor;
    }
    tensor.to_contiguous()
}

/// Bytes of a tensor's own values.
fn tensor_bytes(tensor: &FlexTensor) -> usize {
    tensor.layout().num_elements() * size_of::<f32>()
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

/// `shape` filled by `compute` from the values of some tensors, the memory of which is given back.
fn compute<const N: usize, const D: usize>(
    inputs: [FlexTensor; N],
    shape: [usize; D],
    compute: impl FnOnce([&[f32]; N], &mut [f32]),
) -> FlexTensor {
    let inputs = inputs.map(|tensor| arranged(tensor, Order::Planes));
    let mut result = unwritten(shape.iter().product());
    compute(inputs.each_ref().map(values), &mut result);
    inputs.into_iter().for_each(give_back);
    tensor(result, shape)
}

impl Layers for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, how: How) -> FlexTensor {
        let convolution = convolution(&x, &weight, how);
        let is_dense = how.order == Order::Places && !convolution.is_depthwise();
        if !is_dense || convolution.is_pointwise() && !dense::is_for(&convolution) {
            return Self::convolve_learning(x, weight, bias, how);
        }
        let x = arranged(x, how.order);
        let [weight, bias] = [weight, bias].map(whole);
        let (weights, bias) = (values(&weight), values(&bias));
        let dense = packed::packed(&weight, bias, || dense::pack(&convolution, weights, bias));
        let mut out = unwritten(convolution.output().iter().product());
        dense::forward(&convolution, values(&x), &dense, how.bounds, &mut out);
        give_back(x);
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
        let order = order(&x);
        let x = arranged(x, order);
        let [gamma, beta] = [gamma, beta].map(|tensor| tensor.to_contiguous());
        let statistics = match order {
            Order::Planes => normalization::statistics(values(&x), shape),
            Order::Places => normalization_by_place::statistics(values(&x), shape[1]),
        };
        let affine = normalization::affine(&statistics, values(&gamma), values(&beta), epsilon);
        let mut out = unwritten(shape.iter().product());
        match order {
            Order::Planes => {
                normalization::forward(values(&x), shape, &affine, rectify, &mut out);
            }
            Order::Places => {
                normalization_by_place::forward(values(&x), &affine, rectify, &mut out);
            }
        }
        give_back(x);
        let (mean, variance) = statistics.into_iter().unzip();
        let y = from_order(out, shape, order);
        (y, tensor(mean, [shape[1]]), tensor(variance, [shape[1]]))
    }

    fn max_pool_2x2(x: FlexTensor) -> FlexTensor {
        let shape: [usize; 4] = x.shape().dims();
        if order(&x) == Order::Places {
            return Self::max_pool(x, pooling::BY_TWO);
        }
        compute([x], pooling::output(shape), |[x], out| pooling::forward(x, shape, out))
    }

    fn max_pool(x: FlexTensor, window: Window) -> FlexTensor {
        let [batch, channels, height, width] = x.shape().dims();
        let x = arranged(x, Order::Places);
        let shape = [batch, height, width, channels];
        let [_, rows, columns, _] = window.output(shape, channels);
        let mut out = unwritten(batch * rows * columns * channels);
        let pool = MaxPool { window, vectors: Vectors::widest() };
        pool.run(values(&x), shape, &mut out, &Together);
        give_back(x);
        from_order(out, [batch, channels, rows, columns], Order::Places)
    }

    fn few_times(x: FlexTensor, matrix: FlexTensor) -> FlexTensor {
        let [rows, inner] = x.shape().dims();
        let [_, columns] = matrix.shape().dims();
        let x = whole(x);
        let mut out = unwritten(rows * columns);
        let (matrix, is_turned) = lying(matrix);
        let product = if is_turned { few::times_turned } else { few::times };
        product(values(&x), values(&matrix), [rows, inner, columns], &mut out);
        tensor(out, [rows, columns])
    }
}

/// A matrix or, if that is how it lies in memory, the transposed one, and whether it is that.
fn lying(matrix: FlexTensor) -> (FlexTensor, bool) {
    let turned = matrix.transpose(0, 1);
    if !matrix.is_contiguous() && turned.is_contiguous() {
        return (whole(turned), true);
    }
    (whole(matrix), false)
}

impl LayerGradients for Flex {
    fn convolve_learning(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        how: How,
    ) -> FlexTensor {
        packed::forget_dead();
        let convolution = convolution(&x, &weight, how);
        let x = arranged(x, how.order);
        let [weight, bias] = [weight, bias].map(whole);
        let ending = Ending::new(values(&bias), how.bounds);
        let mut out = unwritten(convolution.output().iter().product());
        {
            let (x, weight, out) = (values(&x), values(&weight), &mut out[..]);
            match how.order {
                Order::Planes => convolution.forward(x, weight, ending, out),
                Order::Places if convolution.is_depthwise() => {
                    depthwise::forward(&convolution, x, weight, ending, out);
                }
                Order::Places if convolution.is_pointwise() && !dense::is_for(&convolution) => {
                    pointwise::forward(&convolution, x, weight, ending, out);
                }
                Order::Places => {
                    let dense = dense::pack(&convolution, weight, ending.bias());
                    dense::forward(&convolution, x, &dense, how.bounds, out);
                }
            }
        }
        give_back(x);
        from_order(out, convolution.output(), how.order)
    }

    fn convolve_gradients(
        [x, weight]: [FlexTensor; 2],
        y: Option<FlexTensor>,
        gradient: FlexTensor,
        convolution: Convolution,
        how: How,
        [of_input, of_weight, of_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let mut gradient = arranged(gradient, how.order);
        if let Some(y) = y {
            let y = arranged(y, how.order);
            ending::bounded_gradient(values(&y), how.bounds, gradient.storage_mut());
            give_back(y);
        }
        let [filters, height, width] = convolution.to;
        let bias = of_bias.then(|| {
            let sums = match how.order {
                Order::Planes => ending::plane_sums(values(&gradient), filters, height * width),
                Order::Places => ending::row_sums(values(&gradient), filters),
            };
            tensor(sums, [filters])
        });
        let input = of_input.then(|| input_gradient(&weight, &gradient, &convolution, how));
        let x = arranged(x, how.order);
        let weight = of_weight.then(|| weight_gradient(&x, &gradient, &convolution, how));
        give_back(x);
        give_back(gradient);
        [input, weight, bias]
    }

    fn normalize_gradient(
        inputs: [FlexTensor; 5],
        gradient: FlexTensor,
        epsilon: f32,
        rectify: bool,
    ) -> [FlexTensor; 3] {
        let [x, gamma, beta, mean, variance] = inputs;
        let shape: [usize; 4] = x.shape().dims();
        let order = order(&x);
        let [mut gradient, x] = [gradient, x].map(|tensor| arranged(tensor, order));
        let numbers = [gamma, beta, mean, variance].map(|tensor| tensor.to_contiguous());
        let [gamma, beta, mean, variance] = numbers.each_ref().map(values);
        let statistics: Vec<(f32, f32)> =
            mean.iter().copied().zip(variance.iter().copied()).collect();
        let affine = normalization::affine(&statistics, gamma, beta, epsilon);
        let sums = match order {
            Order::Planes => {
                let (x, gradient) = (values(&x), gradient.storage_mut());
                normalization::Backward::new(x, shape, &statistics, affine, epsilon, rectify)
                    .gradients(gradient)
            }
            Order::Places => {
                let (x, gradient) = (values(&x), gradient.storage_mut());
                normalization_by_place::Backward::new(x, &statistics, &affine, epsilon, rectify)
                    .gradients(gradient)
            }
        };
        give_back(x);
        let (of_beta, of_gamma) = sums.into_iter().unzip();
        let of_x = by_channel(gradient, order);
        [of_x, tensor(of_gamma, [shape[1]]), tensor(of_beta, [shape[1]])]
    }

    fn max_pool_2x2_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let shape: [usize; 4] = x.shape().dims();
        let order = order(&x);
        let inputs = [x, gradient].map(|tensor| arranged(tensor, order));
        let [x, gradient] = inputs.each_ref().map(values);
        let count = shape.iter().product();
        let mut out = if pooling::reaches_all(shape) { unwritten(count) } else { zeros(count) };
        match order {
            Order::Planes => pooling::backward(x, shape, gradient, &mut out),
            Order::Places => pooling::backward_by_place_of_two(x, shape, gradient, &mut out),
        }
        inputs.into_iter().for_each(give_back);
        from_order(out, shape, order)
    }

    fn few_times_gradients(
        [x, matrix]: [FlexTensor; 2],
        gradient: FlexTensor,
        [of_x, of_matrix]: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [rows, inner] = x.shape().dims();
        let [_, columns] = matrix.shape().dims();
        let [x, gradient] = [x, gradient].map(whole);
        let (matrix, is_turned) = lying(matrix);
        let of_x = of_x.then(|| {
            let mut out = unwritten(rows * inner);
            let product = if is_turned { few::times } else { few::times_turned };
            product(values(&gradient), values(&matrix), [rows, columns, inner], &mut out);
            tensor(out, [rows, inner])
        });
        // In the order of the matrix itself.
        let of_matrix = of_matrix.then(|| {
            let mut out = unwritten(inner * columns);
            let (x, gradient) = (values(&x), values(&gradient));
            if is_turned {
                few::turned_times(gradient, x, [columns, rows, inner], &mut out);
                return tensor(out, [columns, inner]).transpose(0, 1);
            }
            few::turned_times(x, gradient, [inner, rows, columns], &mut out);
            tensor(out, [inner, columns])
        });
        [of_x, of_matrix]
    }

    fn max_pool_gradient(
        x: FlexTensor,
        y: FlexTensor,
        gradient: FlexTensor,
        window: Window,
    ) -> FlexTensor {
        let shape: [usize; 4] = x.shape().dims();
        let [x, y, gradient] = [x, y, gradient].map(|tensor| arranged(tensor, Order::Places));
        let mut out = unwritten(shape.iter().product());
        let maps = [&x, &y, &gradient].map(values);
        pooling::backward_by_place(&window, maps, shape, &mut out);
        [x, y, gradient].into_iter().for_each(give_back);
        from_order(out, shape, Order::Places)
    }
}

fn weight_gradient(
    x: &FlexTensor,
    gradient: &FlexTensor,
    convolution: &Convolution,
    how: How,
) -> FlexTensor {
    let (x, gradient) = (values(x), values(gradient));
    let mut out = zeros(convolution.weight().iter().product());
    match how.order {
        Order::Planes => convolution.weight_gradient(x, gradient, &mut out),
        Order::Places if convolution.is_pointwise() => {
            pointwise::weight_gradient(convolution, x, gradient, &mut out);
        }
        Order::Places if convolution.is_depthwise() => {
            depthwise::weight_gradient(convolution, x, gradient, &mut out);
        }
        Order::Places => dense::weight_gradient(convolution, x, gradient, &mut out),
    }
    tensor(out, convolution.weight())
}

fn input_gradient(
    weight: &FlexTensor,
    gradient: &FlexTensor,
    convolution: &Convolution,
    how: How,
) -> FlexTensor {
    let weight = weight.to_contiguous();
    let (weight, gradient) = (values(&weight), values(gradient));
    let mut out = unwritten(convolution.input().iter().product());
    match how.order {
        Order::Planes => {
            out.fill(0.0);
            convolution.input_gradient(weight, gradient, &mut out);
        }
        Order::Places if convolution.is_depthwise() => {
            depthwise::input_gradient(convolution, weight, gradient, &mut out);
        }
        Order::Places if convolution.is_pointwise() && !dense::is_for(convolution) => {
            pointwise::input_gradient(convolution, weight, gradient, &mut out);
        }
        Order::Places => dense::input_gradient(convolution, weight, gradient, &mut out),
    }
    from_order(out, convolution.input(), how.order)
}
