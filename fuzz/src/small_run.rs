//! A run whose backbone is what an input makes of it: trained by `finetune` on the collection
//! that is made here, with a backbone as `build` ends them all.

use std::f32::consts::TAU;
use std::path::PathBuf;

use crate::scratch;

/// The files of the run that are text.
pub const TEXTS: [(&str, &[u8]); 7] = [
    ("config.json", include_bytes!("../small-run/config.json")),
    ("split.json", include_bytes!("../small-run/split.json")),
    ("labels.txt", include_bytes!("../small-run/labels.txt")),
    ("preprocessor.json", include_bytes!("../small-run/preprocessor.json")),
    ("model.json", include_bytes!("../small-run/model.json")),
    ("metrics.json", include_bytes!("../small-run/metrics.json")),
    ("predictions.json", include_bytes!("../small-run/predictions.json")),
];
const HEAD: (&str, &[u8]) = ("head.bpk", include_bytes!("../small-run/head.bpk"));

/// The run's folder.
pub fn folder() -> PathBuf {
    let folder = scratch::folder().join("run-to-export");
    if !folder.join("head.bpk").exists() {
        for (name, bytes) in TEXTS.into_iter().chain([HEAD]) {
            scratch::file(&format!("run-to-export/{name}"), bytes);
        }
    }
    folder
}

/// The collection it was trained on: three tones, six clips of a quarter of a second each.
pub fn collection() -> PathBuf {
    let root = scratch::folder().join("music");
    if root.exists() {
        return root;
    }
    for (genre, tone) in [("high", 2000.0), ("low", 200.0), ("mid", 700.0)] {
        for number in 0..6u8 {
            let pitch = tone * (1.0 + f32::from(number) / 20.0);
            let sample = |at: u16| 0.3 * (TAU * pitch * f32::from(at) / 8000.0).sin();
            let samples: Vec<u8> =
                (0..2000).flat_map(|at| ((sample(at) * 32767.0) as i16).to_le_bytes()).collect();
            scratch::file(
                &format!("music/{genre}/{number}.wav"),
                &crate::seeds::wav(1, 16, 8000, &samples),
            );
        }
    }
    root
}
