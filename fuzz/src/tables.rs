//! Tables: catalogues of results and their journals, and collections in Parquet files.

use genre_transfer::audio::EXTENSIONS;
use genre_transfer::classify::{Catalogue, Teller};
use genre_transfer::dataset::Dataset;

use crate::scratch;

/// Whose journal the seeds are.
const MODEL: &str = "0123456789abcdef";
/// Its labels.
const LABELS: [&str; 3] = ["blues", "jazz", "rock"];

/// The formats of tables that are read here; of SQLite's the reader is C, which counts no memory.
const ENDINGS: [&str; 3] = ["parquet", "csv", "jsonl"];

/// A table that an earlier run left, or the journal of one that was killed, taken up and finished.
/// The first byte says which, and by what model.
pub fn journal(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    scratch::clear("journal");
    let ending = ENDINGS[usize::from(kind % 3)];
    let part = if kind & 4 > 0 { ".part" } else { "" };
    scratch::file(&format!("journal/results.{ending}{part}"), data);
    let output = scratch::folder().join(format!("journal/results.{ending}"));
    let teller = Teller {
        sha256: MODEL.to_owned(),
        labels: LABELS.map(str::to_owned).to_vec(),
        thresholds: (kind & 8 > 0).then(|| vec![0.5, 0.25, 0.75]),
        min_confidence: (kind & 32 > 0).then_some(0.25),
    };
    let recording = scratch::folder().join("journal/a.wav");
    let recordings = [recording.clone()];
    let opened = Catalogue::open(&output, teller, &recordings, kind & 16 > 0);
    let Ok(mut catalogue) = opened else { return };
    let _ = catalogue.need(&recording);
    let _ = catalogue.line(&recording);
    let _ = catalogue.add(&recording, Err("broken"));
    let _ = catalogue.gone(&recordings);
    let _ = catalogue.finish(&recordings);
}

/// A collection of Hugging Face: what is inside is written out.
pub fn parquet(data: &[u8]) {
    scratch::clear("data");
    let path = scratch::file("parquet/train.parquet", data);
    let _ = Dataset::scan(&path, EXTENSIONS);
}
