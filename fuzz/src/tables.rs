//! Tables: the journal of a long classification, and collections in Parquet files.

use genre_transfer::audio::EXTENSIONS;
use genre_transfer::classify::Journal;
use genre_transfer::dataset::Dataset;

use crate::scratch;

/// Whose journal the seeds are.
const MODEL: &str = "0123456789abcdef";
/// Its labels.
const LABELS: [&str; 3] = ["blues", "jazz", "rock"];

/// A journal that an earlier run left, taken up and finished; thresholds for every other one.
pub fn journal(data: &[u8]) {
    scratch::clear("journal");
    scratch::file("journal/results.parquet.part", data);
    let output = scratch::folder().join("journal/results.parquet");
    let thresholds = (data.len() % 2 == 1).then_some(&[0.5f32, 0.25, 0.75][..]);
    let labels = LABELS.map(str::to_owned);
    let Ok(mut journal) = Journal::open(&output, MODEL, &labels, thresholds) else { return };
    let _ = journal.get(&scratch::folder().join("journal/a.wav"));
    let _ = journal.finish(&[scratch::folder().join("journal/a.wav")]);
}

/// A collection of Hugging Face: what is inside is written out.
pub fn parquet(data: &[u8]) {
    scratch::clear("data");
    let path = scratch::file("parquet/train.parquet", data);
    let _ = Dataset::scan(&path, EXTENSIONS);
}
