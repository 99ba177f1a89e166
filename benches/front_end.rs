//! Speed of resampling and of the front ends, per core.
//!
//! Throughput is in samples of 30 s of input: divide by the input's rate for
//! the multiple of real time.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use genre_transfer::audio::Audio;
use genre_transfer::features::{Extractor, FrontEnd};

/// 30 s of noise; a linear congruential generator is noise enough for timing.
fn noise(rate: u32) -> Audio {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    Audio { samples: (0..30 * rate).map(|_| next()).collect(), rate }
}

fn front_ends(c: &mut Criterion) {
    let mut group = c.benchmark_group("front_end");
    for preset in FrontEnd::PRESETS.into_iter().filter_map(FrontEnd::preset) {
        let audio = noise(preset.sample_rate);
        let extractor = Extractor::new(&preset).expect("presets are valid");
        group.throughput(Throughput::Elements(audio.samples.len() as u64));
        group.bench_function(&preset.name, |b| {
            b.iter(|| extractor.patches(black_box(&audio.samples)));
        });
    }
    group.finish();
}

fn resampling(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample_to_16k");
    for rate in [22_050, 44_100] {
        let audio = noise(rate);
        group.throughput(Throughput::Elements(audio.samples.len() as u64));
        group.bench_function(rate.to_string(), |b| {
            b.iter(|| black_box(audio.clone()).resampled(16_000).expect("sane rates"));
        });
    }
    group.finish();
}

criterion_group!(benches, front_ends, resampling);
criterion_main!(benches);
