//! Layers of known networks, one thread: `cargo bench --bench kernels`. Elements are
//! multiplications, of pooling comparisons.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use genre_transfer::kernels::{Alone, Bounds, Dense, Depthwise, Ending, MaxPool, Vectors, Window};

/// Height, width and channels of the map, filters, kernel and stride.
type Layer = ([usize; 3], usize, usize, usize);

const DENSE: [(&str, Layer); 8] = [
    ("yamnet first", ([96, 64, 1], 32, 3, 2)),
    ("yamnet 32 to 64", ([48, 32, 32], 64, 1, 1)),
    ("yamnet 128 to 128", ([24, 16, 128], 128, 1, 1)),
    ("yamnet 512 to 512", ([6, 4, 512], 512, 1, 1)),
    ("yamnet 1024 to 1024", ([3, 2, 1024], 1024, 1, 1)),
    ("musicnn second", ([92, 48, 128], 128, 3, 1)),
    ("vggish last", ([12, 8, 512], 512, 3, 1)),
    ("efficientnet 144 to 24", ([56, 56, 144], 24, 1, 1)),
];

const DEPTHWISE: [(&str, Layer); 4] = [
    ("yamnet 128", ([24, 16, 128], 128, 3, 1)),
    ("yamnet 128 by 2", ([24, 16, 128], 128, 3, 2)),
    ("yamnet 512", ([6, 4, 512], 512, 3, 1)),
    ("efficientnet 240", ([28, 28, 240], 240, 5, 1)),
];

fn window(kernel: usize, stride: usize) -> Window {
    let (before, after) = ((kernel - 1) / 2, kernel / 2);
    Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        padding: [(before, after); 2],
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at * 7 % 13) as f32 - 6.0).collect()
}

/// Times `run` on a map of the layer's size.
fn time(
    c: &mut Criterion,
    kind: &str,
    (name, ([height, width, channels], filters, kernel, stride)): (&str, Layer),
    each: usize,
    run: impl Fn(&Window, (&[f32], [usize; 4]), &mut [f32]),
) {
    let window = window(kernel, stride);
    let shape = [1, height, width, channels];
    let x = numbers(shape.iter().product());
    let mut out = vec![0f32; window.output(shape, filters).iter().product()];
    let mut group = c.benchmark_group(kind);
    group.throughput(Throughput::Elements((out.len() * each * kernel * kernel) as u64));
    group.bench_function(name, |bench| bench.iter(|| run(&window, (&x, shape), &mut out)));
}

fn kernels(c: &mut Criterion) {
    let ending = Ending { bounds: Bounds { low: 0.0, high: f32::INFINITY }, affine: None };
    let vectors = Vectors::widest();
    for layer in DENSE {
        let (_, ([_, _, channels], filters, kernel, _)) = layer;
        let weights = numbers(filters * channels * kernel * kernel);
        let (sizes, bias) = ([filters, channels], vec![0.5; filters]);
        let dense = Dense::new(vectors, [kernel; 2], &weights, sizes, &bias);
        time(c, "dense", layer, channels, |window, maps, out| {
            dense.run(window, maps, &ending, out, &Alone);
        });
    }
    for layer in DEPTHWISE {
        let (_, (_, channels, kernel, _)) = layer;
        let weights = numbers(channels * kernel * kernel);
        let depthwise = Depthwise::new(vectors, [kernel; 2], &weights, &vec![0.5; channels]);
        time(c, "depthwise", layer, 1, |window, maps, out| {
            depthwise.run(window, maps, &ending, out, &Alone);
        });
    }
    let layer = ("musicnn second", ([92, 48, 128], 128, 2, 2));
    time(c, "max-pool", layer, 1, |window, (x, shape), out| {
        MaxPool { window: *window, vectors }.run(x, shape, out, &Alone);
    });
}

criterion_group!(benches, kernels);
criterion_main!(benches);
