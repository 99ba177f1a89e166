//! Log-mels against independent implementations.

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use genre_transfer::audio::Audio;
use genre_transfer::features::{Extractor, FrontEnd};
use npyz::npz::NpzArchive;

fn extractor(preset: &str) -> Extractor {
    Extractor::new(&FrontEnd::preset(preset).unwrap()).unwrap()
}

/// An array of an `.npz`, whose element type is `T`, row-major.
fn array<T: npyz::Deserialize + Copy>(path: &Path, name: &str) -> Vec<T> {
    let mut archive = NpzArchive::open(path).unwrap();
    let array = archive.by_name(name).unwrap().expect(name);
    let (order, shape) = (array.order(), array.shape().to_vec());
    let data: Vec<T> = array.into_vec().unwrap();
    match order {
        npyz::Order::C => data,
        // What numpy makes of a transposed matrix.
        npyz::Order::Fortran => {
            let [rows, columns] = shape[..] else { panic!("{name}: {shape:?}") };
            let at = |i| data[(i / columns + i % columns * rows) as usize];
            (0..rows * columns).map(at).collect()
        }
    }
}

/// The greatest absolute difference, after the lengths were found equal.
#[track_caller]
fn worst(ours: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len());
    ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn presets_match_the_definitions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/front_ends.npz");
    let samples: Vec<f32> =
        array::<i16>(&path, "signal").iter().map(|&x| f32::from(x) / 32_768.0).collect();
    for preset in FrontEnd::PRESETS {
        let log_mel = extractor(preset).log_mel(&samples);
        let worst = worst(&log_mel.data, &array(&path, preset));
        println!("{preset}: max difference {worst:.2e}");
        assert!(worst < 2e-4, "{preset}: {worst}");
    }
}

/// The folder of test data that cannot be shipped, if there is one.
fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("GENRE_TRANSFER_TEST_DATA");
    if folder.is_none() {
        eprintln!("skipped: GENRE_TRANSFER_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

#[test]
fn presets_match_the_reference_log_mels() {
    let Some(data) = test_data() else { return };
    let fixtures = data.join("frontend_fixtures");
    let expected = fixtures.join("log_mel.npz");
    for song in ["blues", "metal"] {
        let audio = Audio::open(&fixtures.join(format!("{song}_16k_5s.wav"))).unwrap();
        for preset in FrontEnd::PRESETS {
            let extractor = extractor(preset);
            let ours = match preset {
                "musicnn" => extractor.log_mel(&audio.samples).data,
                _ => extractor.patches(&audio.samples).data,
            };
            let worst = worst(&ours, &array(&expected, &format!("{song}_{preset}")));
            println!("{song}, {preset}: max difference {worst:.2e}");
            assert!(worst < 1e-3, "{song}, {preset}: {worst}");
        }
    }
    let sine: Vec<f32> =
        (0..48_000).map(|i| (TAU * 1_000.0 * f64::from(i) / 16_000.0).sin() as f32).collect();
    let ours = extractor("vggish").patches(&sine);
    let worst = worst(&ours.data, &array(&expected, "sine1k_16k_vggish"));
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
        assert_eq!(ours.frames, theirs.frames);
        let bands: Vec<f32> = (0..64)
            .map(|band| {
                let column = |x: &[f32], i: usize| x[i * 64 + band];
                let sum: f32 = (0..ours.frames)
                    .map(|i| (column(&ours.data, i) - column(&theirs.data, i)).abs())
                    .sum();
                sum / ours.frames as f32
            })
            .collect();
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
