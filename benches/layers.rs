//! The layers of our CNNs beside burn's own, forward and backward, on the maps of a batch
//! of 16 patches of 128 x 128.

use std::hint::black_box;

use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use genre_transfer::model::layers::{
    Bounds, Geometry, How, Order, convolve, correlate, max_pool_2x2, normalize,
};

const BATCH: usize = 16;

/// Input and output channels, and the side of the map.
const MAPS: [[usize; 3]; 4] = [[1, 16, 128], [16, 32, 64], [32, 64, 32], [64, 128, 16]];

fn layers(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    for [from, to, side] in MAPS {
        let random = |shape| {
            Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
        };
        let x = random([BATCH, from, side, side]);
        let weight = random([to, from, 3, 3]);
        let map = random([BATCH, to, side, side]);
        let norm: BatchNorm = BatchNormConfig::new(to).init(&device);
        let geometry = Geometry::even(1, 1);
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        let mut group = criterion.benchmark_group(format!("{from}-{to} channels, {side} x {side}"));
        group.sample_size(10);
        let mut time = |name: &str, layer: &dyn Fn() -> Tensor<4>| {
            group.bench_function(name, |bencher| {
                bencher.iter(|| black_box(layer().sum().backward()));
            });
        };
        time("convolution, ours", &|| correlate(x.clone(), weight.clone(), None, geometry, false));
        time("convolution, burn's", &|| conv2d(x.clone(), weight.clone(), None, options()));
        time("normalization and ReLU, ours", &|| normalize(&norm, map.clone(), true));
        time("normalization and ReLU, burn's", &|| relu(norm.forward(map.clone())));
        time("pooling, ours", &|| max_pool_2x2(map.clone()));
        time("pooling, burn's", &|| pool.forward(map.clone()));
        let by_place = map.clone().permute([0, 2, 3, 1]).mul_scalar(1.0).permute([0, 3, 1, 2]);
        time("normalization and ReLU, ours, place by place", &|| {
            normalize(&norm, by_place.clone(), true)
        });
        time("pooling, ours, place by place", &|| max_pool_2x2(by_place.clone()));
        group.finish();
    }
}

/// Channels and the side of the map of depthwise convolutions, as EfficientNet has them.
const DEEP_MAPS: [[usize; 2]; 3] = [[96, 56], [240, 28], [672, 14]];

/// A depthwise and a pointwise convolution with ReLU6, as imported networks have them.
fn places(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    for [channels, side] in DEEP_MAPS {
        let random = |shape| {
            Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device).require_grad()
        };
        let (x, deep) = (random([BATCH, channels, side, side]), random([channels, 1, 3, 3]));
        let point = random([channels, channels, 1, 1]);
        let bounds = Bounds { low: 0.0, high: 6.0 };
        let ours = |padding: usize, x: Tensor<4>, weight: &Tensor<4>| {
            let how = How { geometry: Geometry::even(1, padding), order: Order::Places, bounds };
            convolve(x, weight.clone(), None, how)
        };
        let theirs = |padding: usize, x: Tensor<4>, weight: &Tensor<4>, groups: usize| {
            let options = ConvOptions::new([1, 1], [padding; 2], [1, 1], groups);
            conv2d(x, weight.clone(), None, options).clamp(0.0, 6.0)
        };
        let mut group =
            criterion.benchmark_group(format!("{channels} channels apart, {side} x {side}"));
        group.sample_size(10);
        let mut time = |name: &str, layer: &dyn Fn() -> Tensor<4>| {
            group.bench_function(name, |bencher| {
                bencher.iter(|| black_box(layer().sum().backward()));
            });
        };
        time("depthwise and pointwise, ours", &|| ours(0, ours(1, x.clone(), &deep), &point));
        time("depthwise and pointwise, burn's", &|| {
            theirs(0, theirs(1, x.clone(), &deep, channels), &point, 1)
        });
        group.finish();
    }
}

criterion_group!(benches, layers, places);
criterion_main!(benches);
