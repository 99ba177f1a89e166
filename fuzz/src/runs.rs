//! Folders of runs, a stranger's or damaged.

use std::path::{Path, PathBuf};

use genre_transfer::report::Report;
use genre_transfer::run::Run;

use crate::scratch;

/// Between two files of an input: a line that begins so and goes on with the name.
const MARK: &str = "=== ";

/// The files of a run, one after the other; the readers of a run, and of a report.
pub fn read(data: &[u8]) {
    let folder = unfold(data);
    let run = Run::at(&folder);
    let (_, _, _) = (run.options(), run.kind(), run.model_spec());
    let (_, _, _) = (run.labels(), run.split(), run.preprocessor());
    let (_, _, _) = (run.metrics(), run.baseline_metrics(), run.history());
    let (_, _) = (run.predictions(), run.tag_predictions());
    let (_, _) = (run.config(), run.cnn_config());
    if let Ok(report) = Report::read(&[folder], &[]) {
        let _ = report.summary();
        let _ = report.document(Some(Path::new("nothing")));
    }
}

/// Writes the files of an input into a folder.
fn unfold(data: &[u8]) -> PathBuf {
    scratch::clear("run");
    let folder = scratch::folder().join("run");
    std::fs::create_dir_all(&folder).expect("a folder to work in");
    let text = String::from_utf8_lossy(data);
    for part in text.split(MARK).skip(1) {
        let Some((name, body)) = part.split_once('\n') else { continue };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if !name.is_empty() && name.chars().all(plain) && name.len() < 40 && !name.starts_with('.')
        {
            scratch::file(&format!("run/{name}"), body.as_bytes());
        }
    }
    folder
}
