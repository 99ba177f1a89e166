//! Log-mels against independent implementations.

#[path = "common/data.rs"]
mod data;

use std::f64::consts::TAU;
use std::path::Path;

use data::{npz, test_data};
use genre_transfer::audio::Audio;
use genre_transfer::features::{Extractor, FrontEnd};
use ndarray::{Array, Axis, Dimension};

fn extractor(preset: &str) -> Extractor {
    Extractor::new(&FrontEnd::preset(preset).unwrap()).unwrap()
}

/// The greatest absolute difference, after the lengths were found equal.
#[track_caller]
fn worst<D: Dimension>(ours: &Array<f32, D>, expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len());
    ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The front ends that there are references for.
const PUBLISHED: [&str; 3] = ["vggish", "yamnet", "musicnn"];

#[test]
fn presets_match_the_definitions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/front_ends.npz");
    let samples: Vec<f32> =
        npz::<i16>(&path, "signal").1.iter().map(|&x| f32::from(x) / 32_768.0).collect();
    for preset in PUBLISHED {
        let log_mel = extractor(preset).log_mel(&samples);
        let worst = worst(&log_mel, &npz(&path, preset).1);
        println!("{preset}: max difference {worst:.2e}");
        assert!(worst < 2e-4, "{preset}: {worst}");
    }
}

#[test]
fn presets_match_the_reference_log_mels() {
    let Some(data) = test_data() else { return };
    let fixtures = data.join("frontend_fixtures");
    let expected = fixtures.join("log_mel.npz");
    for song in ["blues", "metal"] {
        let audio = Audio::open(&fixtures.join(format!("{song}_16k_5s.wav"))).unwrap();
        for preset in PUBLISHED {
            let extractor = extractor(preset);
            let ours = match preset {
                "musicnn" => extractor.log_mel(&audio.samples).into_dyn(),
                _ => extractor.patches(&audio.samples).values.into_dyn(),
            };
            let worst = worst(&ours, &npz(&expected, &format!("{song}_{preset}")).1);
            println!("{song}, {preset}: max difference {worst:.2e}");
            assert!(worst < 1e-3, "{song}, {preset}: {worst}");
        }
    }
    let sine: Vec<f32> =
        (0..48_000).map(|i| (TAU * 1_000.0 * f64::from(i) / 16_000.0).sin() as f32).collect();
    let ours = extractor("vggish").patches(&sine);
    let worst = worst(&ours.values, &npz(&expected, "sine1k_16k_vggish").1);
    println!("sine: max difference {worst:.2e}");
    assert!(worst < 1e-3, "{worst}");
}

/// The first 5 s of two songs, resampled here and by SoX, differ little to the ear of VGGish.
#[test]
fn resampling_matches_sox_in_the_log_mel_domain() {
    let Some(data) = test_data() else { return };
    let vggish = extractor("vggish");
    for song in ["blues", "metal"] {
        let sox = data.join(format!("frontend_fixtures/{song}_16k_5s.wav"));
        let theirs = vggish.log_mel(&Audio::open(&sox).unwrap().samples);
        let original = data.join(format!("gtzan/genres_original/{song}/{song}.00000.wav"));
        let mut ours = Audio::open(&original).unwrap().resampled(16_000).unwrap();
        ours.samples.truncate(5 * 16_000);
        let ours = vggish.log_mel(&ours.samples);
        assert_eq!(ours.dim(), theirs.dim());
        let bands = (ours - theirs).abs().mean_axis(Axis(0)).unwrap().to_vec();
        // Band 61 is the last to end below 7 kHz.
        let below = &bands[..62];
        let mean = below.iter().sum::<f32>() / below.len() as f32;
        let worst = below.iter().copied().fold(0.0, f32::max);
        println!(
            "{song}: mean {mean:.5}, worst band below 7 kHz {worst:.5}, above {:?}",
            &bands[62..]
        );
        assert!(mean < 0.05 && worst < 0.05, "{song}: mean {mean}, worst band {worst}");
    }
}
