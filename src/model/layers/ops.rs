//! Convolution, normalization and pooling: by kernels of our own on burn's CPU backend, by burn's
//! layers on every other device.

use burn::backend::Dispatch;
use burn::nn::BatchNorm;
use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor};

use super::backend::Layers;
use super::convolution::{Convolution, Geometry, How, Order};
use super::dense;
use crate::kernels::{Bounds, Window, few};

/// Whether our kernels compute on `device`.
pub fn are_for(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}

/// Whether our kernels can compute with `x`: they know 32-bit floats in flex's memory only.
fn runs_on_flex<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && are_for(&x.device())
}

/// Whether filters `[out, in, down, across]` that see all channels of maps
/// `[batch, in, height, width]` are computed fast where these lie place by place.
pub fn fits_places(maps: [usize; 4], weight: [usize; 4], geometry: Geometry) -> bool {
    dense::is_for(&Convolution::new(maps, weight, geometry))
}

/// Cross-correlation of `x` `[batch, in, height, width]` with the kernels `weight`
/// `[out, in, down, across]`, plus `bias`, kept between bounds: `[batch, out, height', width']`.
/// With [`Order::Places`] the kernels have one place, or each sees one channel of its own,
/// `[channels, 1, down, across]`, or they are such as [`fits_places`] knows.
///
/// At a bound the gradient is nothing.
pub fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, how: How) -> Tensor<4> {
    let [filters, seen, ..] = weight.dims();
    if runs_on_flex(&x) && runs_on_flex(&weight) && bias.as_ref().is_none_or(runs_on_flex) {
        let bias = bias.unwrap_or_else(|| Tensor::zeros([filters], &x.device()));
        let [x, weight] = [x, weight].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::convolve(x, weight, bias.into_dispatch(), how));
    }
    let Geometry { stride, padding } = how.geometry;
    let groups = x.dims()[1] / seen.max(1);
    let options = ConvOptions::new_with_padding(stride, padding, [1, 1], groups);
    bounded(conv2d(x, weight, bias, options), how.bounds)
}

/// What of `x` the bounds let through.
pub fn bounded<const D: usize>(x: Tensor<D>, bounds: Bounds) -> Tensor<D> {
    let Bounds { low, high } = bounds;
    match (low > f32::NEG_INFINITY, high < f32::INFINITY) {
        (true, true) if low > high => x.full_like(high),
        (true, true) => x.clamp(low, high),
        // burn's exporter knows ReLU, and no clamp.
        (true, false) if low == 0.0 => relu(x),
        (true, false) => x.clamp_min(low),
        (false, true) => x.clamp_max(high),
        (false, false) => x,
    }
}

/// The cross-correlation of `x` with `weight`, plus `bias`, followed by ReLU if `rectify`; in the
/// order of the values in which it is fast.
pub fn correlate(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: Geometry,
    rectify: bool,
) -> Tensor<4> {
    let by_place = fits_places(x.dims(), weight.dims(), geometry);
    let order = if by_place { Order::Places } else { Order::Planes };
    let bounds = if rectify { Bounds::RELU } else { Bounds::NONE };
    convolve(x, weight, bias, How { geometry, order, bounds })
}

/// [`correlate`] with [`normalize`] behind it, which is a part of the weights once `norm` has
/// learned.
pub fn correlate_normalized(
    norm: &BatchNorm,
    x: Tensor<4>,
    weight: Tensor<4>,
    geometry: Geometry,
    rectify: bool,
) -> Tensor<4> {
    if x.device().is_autodiff() || !runs_on_flex(&x) {
        return normalize(norm, correlate(x, weight, None, geometry, false), rectify);
    }
    // Made and packed anew for each batch: for one patch of `searched` that takes what it saves.
    let device = x.device();
    let learned = [&norm.running_mean, &norm.running_var];
    let [mean, variance] = learned.map(|running| running.value().to_device(&device));
    let slope = norm.gamma.val() / (variance + norm.epsilon).sqrt();
    let bias = norm.beta.val() - mean * slope.clone();
    let [filters, ..] = weight.dims();
    let weight = weight * slope.reshape([filters, 1, 1, 1]);
    correlate(x, weight, Some(bias), geometry, rectify)
}

/// Batch normalization of `x` `[batch, channels, height, width]`, followed by ReLU if
/// `rectify`; it updates the running statistics while `norm` learns.
pub fn normalize(norm: &BatchNorm, x: Tensor<4>, rectify: bool) -> Tensor<4> {
    let learns = x.device().is_autodiff() && norm.training.is_enabled();
    if !learns || !runs_on_flex(&x) {
        let x = norm.forward(x);
        return if rectify { relu(x) } else { x };
    }
    let (gamma, beta) = (norm.gamma.val().into_dispatch(), norm.beta.val().into_dispatch());
    let (y, mean, variance) =
        Dispatch::normalize(x.into_dispatch(), gamma, beta, norm.epsilon as f32, rectify);
    for (running, now) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
        let now = Tensor::<1>::from_dispatch(now).detach();
        let old = running.value_sync().to_device(&now.device());
        let moved = old * (1.0 - norm.momentum) + now * norm.momentum;
        running.update(moved.detach());
        // An update waits until the value is asked for; a checkpoint must not miss it.
        running.value_sync();
    }
    Tensor::from_dispatch(y)
}

/// The largest of every 2 x 2 values: `[batch, channels, height / 2, width / 2]`. A last
/// row or column without a neighbour is left out.
pub fn max_pool_2x2(x: Tensor<4>) -> Tensor<4> {
    if runs_on_flex(&x) {
        return Tensor::from_dispatch(Dispatch::max_pool_2x2(x.into_dispatch()));
    }
    MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(x)
}

/// Whether [`max_pool`] knows these maps and this window.
pub fn can_pool(x: &Tensor<4>, window: &Window) -> bool {
    let [_, _, height, width] = x.dims();
    runs_on_flex(x) && window.always_sees(0, height) && window.always_sees(1, width)
}

/// The largest values of maps that lie place by place, `[batch, channels, height', width']`, which
/// lie so, too; of such as [`can_pool`] knows.
pub fn max_pool(x: Tensor<4>, window: Window) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::max_pool(x.into_dispatch(), window))
}

/// Values of a matrix from which on reading it takes longer than the product of few rows with it.
const LARGE: usize = if cfg!(test) { 1 } else { 1 << 16 };

/// The fewest values on either side of such a matrix: what is narrower is filled up with zeros.
const NARROWEST: usize = if cfg!(test) { 1 } else { 16 };

/// The product of `x` `[rows, inner]` and `matrix` `[inner, columns]`.
pub fn product(x: Tensor<2>, matrix: Tensor<2>) -> Tensor<2> {
    let is_large = matrix.shape().num_elements() >= LARGE
        && matrix.dims().into_iter().all(|size| size >= NARROWEST);
    let few = (1..=few::FEW).contains(&x.dims()[0]);
    if few && is_large && runs_on_flex(&x) && runs_on_flex(&matrix) {
        let [x, matrix] = [x, matrix].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::few_times(x, matrix));
    }
    x.matmul(matrix)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use proptest::prelude::*;

    use burn::module::{Param, RunningState};
    use burn::nn::BatchNormConfig;

    use super::*;

    fn largest(a: &Tensor<4>, b: &Tensor<4>) -> (f32, f32) {
        let difference = (a.clone() - b.clone()).abs().max().into_scalar::<f32>();
        (difference, b.clone().abs().max().into_scalar::<f32>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// burn's own convolution and its gradients are the reference, whatever the kernel's sizes,
        /// steps and padding, in both orders of the values, with bias and bounds. The numbers are
        /// quarters, whose products add up exactly in any order; the bias is a little more, so that
        /// no value lies on a bound, where each may take the gradient of either side.
        #[test]
        fn every_geometry_is_burns(
            batch in 1usize..4,
            channels in prop::sample::select(vec![1usize, 2, 3, 8, 16, 17, 40, 70]),
            filters in 1usize..5,
            size in prop::array::uniform2(3usize..9),
            kernel in prop::array::uniform2(1usize..4),
            stride in prop::array::uniform2(1usize..4),
            before in prop::array::uniform2(0usize..3),
            after in prop::array::uniform2(0usize..3),
            kind in 0..4,
            bound in 0..3,
            seed in 0u64..1000,
        ) {
            let (order, seen, filters) = match kind {
                0 => (Order::Planes, channels, filters),
                1 => (Order::Places, 1, channels),
                3 => (Order::Places, channels, filters * 7),
                _ => (Order::Places, channels, filters * 9),
            };
            let pads = |axis: usize| (before[axis], after[axis]);
            let (kernel, geometry) = match kind {
                2 => ([1, 1], Geometry::even(1, 0)),
                3 => {
                    let pads = |axis: usize| {
                        let most = kernel[axis] - 1;
                        (before[axis].min(most), after[axis].min(most))
                    };
                    (kernel, Geometry { stride: [stride[0]; 2], padding: [pads(0), pads(1)] })
                }
                _ => (kernel, Geometry { stride, padding: [pads(0), pads(1)] }),
            };
            let device = Device::flex().autodiff();
            device.seed(seed);
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Uniform(-8.0, 8.0), &device).round() / 4.0
            };
            let x = random([batch, channels, size[0], size[1]]).require_grad();
            let weight = random([filters, seen, kernel[0], kernel[1]]).require_grad();
            let bias = (random([1, filters, 1, 1]) + 1.0 / 32.0).require_grad();
            let groups = channels / seen;
            let Geometry { stride, padding } = geometry;
            let options = ConvOptions::new_with_padding(stride, padding, [1, 1], groups);
            let flat = || bias.clone().reshape([filters]);
            let wanted = conv2d(x.clone(), weight.clone(), Some(flat()), options);
            let (bounds, wanted) = match bound {
                0 => (Bounds::NONE, wanted),
                1 => (Bounds { low: 0.0, ..Bounds::NONE }, relu(wanted)),
                _ => (Bounds { low: -0.5, high: 0.8 }, wanted.clamp(-0.5, 0.8)),
            };
            let how = How { geometry, order, bounds };
            let given = convolve(x.clone(), weight.clone(), Some(flat()), how);
            let probe = random(wanted.dims()).detach();
            prop_assert_eq!(given.dims(), wanted.dims());
            let gradients = |y: Tensor<4>| {
                let gradients = (y * probe.clone()).sum().backward();
                [&x, &weight, &bias].map(|tensor| tensor.grad(&gradients).unwrap())
            };
            let wanted_gradients = gradients(wanted.clone());
            let given_gradients = gradients(given.clone());
            let pairs = given_gradients.into_iter().zip(wanted_gradients);
            for (given, wanted) in pairs.chain([(given.inner(), wanted.inner())]) {
                let (difference, size) = largest(&given, &wanted);
                prop_assert!(difference <= 2e-5 * size.max(1.0), "{difference} of {size}");
            }
        }

        /// burn's own pooling and its gradient are the reference, for windows that overlap or leave
        /// places out, with padding, where maps lie place by place.
        #[test]
        fn pooling_place_by_place_is_burns(
            batch in 1usize..4,
            channels in prop::sample::select(vec![1usize, 3, 16, 40]),
            size in prop::array::uniform2(3usize..9),
            kernel in prop::array::uniform2(1usize..4),
            stride in prop::array::uniform2(1usize..4),
            pads in prop::array::uniform2(0usize..2),
            seed in 0u64..1000,
        ) {
            let pads = [pads[0].min(kernel[0] / 2), pads[1].min(kernel[1] / 2)];
            let device = Device::flex().autodiff();
            device.seed(seed);
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
            };
            let x = random([batch, channels, size[0], size[1]]);
            let options = burn::tensor::ops::MaxPoolOptions::new(kernel)
                .with_stride(stride)
                .with_padding(pads);
            let wanted = burn::tensor::module::max_pool2d(x.clone(), options);
            let padding = pads.map(|pad| (pad, pad));
            let window = Window { kernel, stride, dilation: [1, 1], padding };
            prop_assert!(can_pool(&x, &window));
            let given = max_pool(x.clone(), window);
            prop_assert_eq!(given.dims(), wanted.dims());
            let probe = random(wanted.dims()).detach();
            let gradient =
                |y: Tensor<4>| x.grad(&(y * probe.clone()).sum().backward()).unwrap();
            prop_assert_eq!(largest(&given.clone().inner(), &wanted.clone().inner()).0, 0.0);
            let (difference, size) = largest(&gradient(given), &gradient(wanted));
            prop_assert!(difference <= 1e-5 * size.max(1.0), "{difference} of {size}");
        }

        /// burn's own product and its gradients are the reference, for a matrix as it is and one that
        /// lies transposed.
        #[test]
        fn products_of_few_rows_are_burns(
            rows in 1usize..40,
            inner in 1usize..50,
            columns in 1usize..50,
            is_turned: bool,
            seed in 0u64..1000,
        ) {
            let device = Device::flex().autodiff();
            device.seed(seed);
            let random = |shape: [usize; 2]| {
                Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
            };
            let x = random([rows, inner]);
            let stored = random(if is_turned { [columns, inner] } else { [inner, columns] });
            let matrix = || {
                if is_turned { stored.clone().transpose() } else { stored.clone() }
            };
            let [given, wanted] = [product(x.clone(), matrix()), x.clone().matmul(matrix())];
            let probe = random([rows, columns]).detach();
            let gradients = |y: Tensor<2>| {
                let found = (y * probe.clone()).sum().backward();
                [x.grad(&found).unwrap(), stored.grad(&found).unwrap()]
            };
            let pairs = gradients(given.clone()).into_iter().zip(gradients(wanted.clone()));
            for (given, wanted) in pairs.chain([(given.inner(), wanted.inner())]) {
                prop_assert_eq!(given.dims(), wanted.dims());
                let [a, b] = [given, wanted].map(|t| t.unsqueeze::<4>());
                let (difference, size) = largest(&a, &b);
                prop_assert!(difference <= 2e-5 * size.max(1.0), "{difference} of {size}");
            }
        }

        /// No bound makes a number of what is none.
        #[test]
        fn what_is_no_number_stays_none(order in prop::sample::select(vec![0, 1])) {
            let device = Device::flex();
            let x = Tensor::<4>::full([1, 20, 2, 2], f32::NAN, &device);
            let order = [Order::Planes, Order::Places][order];
            let bounds = Bounds { low: 0.0, high: 6.0 };
            let seen = if order == Order::Planes { 20 } else { 1 };
            let weight = Tensor::<4>::ones([20, seen, 1, 1], &device);
            let how = How { geometry: Geometry::even(1, 0), order, bounds };
            let y = convolve(x, weight, None, how);
            prop_assert!(y.into_data().iter::<f32>().all(f32::is_nan));
        }

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
            let geometry = Geometry::even(stride, kernel / 2);
            let x = random([batch, from, height, width]);
            let weight = random([to, from, kernel, kernel]);
            let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1, 1], 1);
            let wanted = conv2d(x.clone(), weight.clone(), None, options);
            let given = correlate(x.clone(), weight.clone(), None, geometry, false);
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// burn's own layers and their gradients are the reference, statistics included, in both
        /// orders of the values.
        #[test]
        fn normalization_and_pooling_are_burns(
            batch in 1usize..5,
            channels in prop::sample::select(vec![1usize, 2, 3, 16, 20, 300]),
            by_place: bool,
            height in 2usize..9,
            width in 2usize..9,
            rectify in any::<bool>(),
            seed in 0u64..1000,
        ) {
            prop_assume!(batch * height * width > 4);
            let device = Device::flex().autodiff();
            device.seed(seed);
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.5, 2.0), &device).require_grad()
            };
            let x = random([batch, channels, height, width]);
            let lying = || {
                let in_order = |x: Tensor<4>| x.mul_scalar(1.0);
                if by_place {
                    return in_order(x.clone().permute([0, 2, 3, 1])).permute([0, 3, 1, 2]);
                }
                x.clone()
            };
            let [ours, theirs] = [(), ()].map(|()| {
                let mut norm = BatchNormConfig::new(channels).init(&device);
                let row = |from: f32| {
                    let values: Vec<f32> = (0..channels).map(|c| from + 0.3 * c as f32).collect();
                    Param::from_tensor(Tensor::from_floats(&*values, &device))
                };
                (norm.gamma, norm.beta) = (row(0.8), row(-0.2));
                norm
            });
            let wanted = theirs.forward(x.clone());
            let wanted = if rectify { relu(wanted) } else { wanted };
            let wanted = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(wanted);
            let given = max_pool_2x2(normalize(&ours, lying(), rectify));
            prop_assert_eq!(given.dims(), wanted.dims());
            let probe = random(wanted.dims()).detach();
            let gradients = |y: Tensor<4>, norm: &BatchNorm| {
                let found = (y * probe.clone()).sum().backward();
                let shape = [1, channels, 1, 1];
                let row = |p: &Param<Tensor<1>>| {
                    p.val().grad(&found).unwrap().reshape(shape)
                };
                [x.grad(&found).unwrap(), row(&norm.gamma), row(&norm.beta)]
            };
            let statistics = |norm: &BatchNorm| {
                [&norm.running_mean, &norm.running_var]
                    .map(|s| s.value_sync().inner().reshape([1, channels, 1, 1]))
            };
            let given_all = [&gradients(given.clone(), &ours)[..], &statistics(&ours)].concat();
            let wanted_all = [&gradients(wanted.clone(), &theirs)[..], &statistics(&theirs)].concat();
            for (given, wanted) in given_all.iter().zip(&wanted_all).chain([(
                &given.inner(),
                &wanted.inner(),
            )]) {
                let (difference, size) = largest(given, wanted);
                prop_assert!(difference <= 2e-4 * size.max(1.0), "{difference} of {size}");
            }
        }

        /// Once learned, a normalization is a part of the convolution before it.
        #[test]
        fn what_has_learned_to_normalize_is_a_convolution(
            batch in 1usize..3,
            channels in 1usize..5,
            filters in prop::sample::select(vec![1usize, 5, 16, 33]),
            size in prop::array::uniform2(4usize..9),
            kernel in prop::sample::select(vec![1usize, 3]),
            stride in 1usize..3,
            rectify: bool,
            seed in 0u64..1000,
        ) {
            let device = Device::flex();
            device.seed(seed);
            let random = |shape: [usize; 4]| {
                Tensor::<4>::random(shape, Distribution::Normal(0.5, 1.0), &device)
            };
            let row = || random([1, filters, 1, 1]).reshape([filters]);
            let mut norm = BatchNormConfig::new(filters).init(&device);
            (norm.gamma, norm.beta) = (Param::from_tensor(row()), Param::from_tensor(row()));
            norm.running_mean = RunningState::new(row());
            norm.running_var = RunningState::new(row().abs() + 0.1);
            let (x, weight) = (
                random([batch, channels, size[0], size[1]]),
                random([filters, channels, kernel, kernel]),
            );
            let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1, 1], 1);
            let wanted = norm.forward(conv2d(x.clone(), weight.clone(), None, options));
            let wanted = if rectify { relu(wanted) } else { wanted };
            let geometry = Geometry::even(stride, kernel / 2);
            let given = correlate_normalized(&norm, x, weight, geometry, rectify);
            let (difference, size) = largest(&given, &wanted);
            prop_assert!(difference <= 2e-5 * size.max(1.0), "{difference} of {size}");
        }
    }
}
