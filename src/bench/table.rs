//! The report as text for a terminal and as Markdown.

use std::fmt::Write;
use std::path::Path;

use super::{RUN_MODEL, Report, Row};

/// A column: its name, its unit, and its value in a row that ran.
struct Column {
    name: &'static str,
    unit: &'static str,
    value: fn(&Row) -> Option<f64>,
}

const COLUMNS: [Column; 11] = [
    Column { name: "accur.", unit: "%", value: |row| Some(row.accuracy? * 100.0) },
    Column { name: "agree", unit: "%", value: |row| Some(row.agreement? * 100.0) },
    Column { name: "differ", unit: "max", value: |row| row.max_difference },
    Column { name: "load", unit: "ms", value: |row| row.load_ms },
    Column { name: "first", unit: "ms", value: |row| row.first_run_ms },
    Column { name: "p50", unit: "ms", value: |row| Some(row.latency?.p50_ms) },
    Column { name: "p90", unit: "ms", value: |row| Some(row.latency?.p90_ms) },
    Column { name: "p99", unit: "ms", value: |row| Some(row.latency?.p99_ms) },
    Column { name: "patch", unit: "/s", value: |row| row.patches_per_second },
    Column { name: "audio", unit: "s/s", value: |row| row.audio_seconds_per_second },
    Column {
        name: "peak",
        unit: "MiB",
        value: |row| Some(row.peak_memory_bytes? as f64 / 1048576.0),
    },
];

/// What the columns mean, for whoever has only the table.
const LEGEND: &str = "\
accur.: evaluation tracks whose genre was found. agree: patches whose top class is the first \
runtime's. differ: largest difference of any output from the first runtime's. load, first: opening \
the model, and the first run. p50, p90, p99: time of the runs after that. audio: seconds of audio \
per second. peak: most memory of the process. -: not known.";

/// A short name of a model: the file's stem, or the run folder's name.
pub(super) fn model_name(model: &Path) -> String {
    let named = match (model.is_dir(), model.file_name(), model.parent()) {
        (false, Some(name), Some(run)) if name == RUN_MODEL && run.file_name().is_some() => run,
        _ => model,
    };
    let name = if named.is_dir() { named.file_name() } else { named.file_stem() };
    name.unwrap_or(named.as_os_str()).to_string_lossy().into_owned()
}

/// Three significant digits without an exponent where that is short, as a table wants it.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 0.001 => format!("{value:.0e}"),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn cells(row: &Row) -> [String; 11] {
    COLUMNS.map(|column| (column.value)(row).map_or("-".into(), short))
}

fn case(row: &Row) -> String {
    format!("{:<5} {:<4} {:>3} {:>5}", row.runtime, row.device, row.threads, row.batch)
}

/// Rows of consecutive equal models, with the model's name.
fn by_model(report: &Report) -> impl Iterator<Item = (String, &[Row])> {
    let groups = report.rows.chunk_by(|a, b| a.model == b.model);
    groups.map(|rows| (model_name(&rows[0].model), rows))
}

pub(super) fn text(report: &Report) -> String {
    let mut text = report.machine.lines().join("\n") + "\n";
    for (model, rows) in by_model(report) {
        let line = |values: [&str; 11]| values.map(|value| format!("{value:>6}")).join(" ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{model}");
        let names = line(COLUMNS.map(|column| column.name));
        let _ = writeln!(text, "            thr batch {names}",);
        let _ = writeln!(text, "                      {}", line(COLUMNS.map(|column| column.unit)));
        for row in rows {
            let values = match (&row.reason, &row.latency) {
                (Some(reason), None) => reason.clone(),
                _ => line(cells(row).each_ref().map(String::as_str)),
            };
            let _ = writeln!(text, "{:<21} {values}", case(row));
            if let (Some(reason), Some(_)) = (&row.reason, &row.latency) {
                let _ = writeln!(text, "{:<21} stopped early: {reason}", "");
            }
        }
    }
    text + "\n" + &wrapped(LEGEND, 100)
}

/// `text` broken into lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > width {
            lines.push(word.to_string());
        } else {
            let space = if lines[last].is_empty() { "" } else { " " };
            lines[last] += &format!("{space}{word}");
        }
    }
    lines.join("\n") + "\n"
}

pub(super) fn markdown(report: &Report) -> String {
    let mut text = String::from("# Benchmark\n\n");
    for line in report.machine.lines() {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "- Up to {} s of timed runs for each case; seed {}",
        report.seconds_per_case, report.seed
    );
    text += "\n![p50 latency by batch](bench.svg)\n";
    for (model, rows) in by_model(report) {
        let heads = COLUMNS.map(|column| format!("{} {}", column.name, column.unit));
        let _ = writeln!(text, "\n## {model}\n");
        let _ = writeln!(text, "| runtime | device | threads | batch | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|---|--:|--:|{}", "--:|".repeat(heads.len()));
        for row in rows {
            let case =
                format!("{} | {} | {} | {}", row.runtime, row.device, row.threads, row.batch);
            let _ = writeln!(text, "| {case} | {} |", cells(row).join(" | "));
        }
        for row in rows.iter().filter(|row| row.reason.is_some()) {
            let reason = row.reason.as_deref().unwrap_or_default();
            let case = format!(
                "{} on {}, {} threads, batch {}",
                row.runtime, row.device, row.threads, row.batch
            );
            let _ = writeln!(text, "\n{case}: {reason}");
        }
    }
    text + "\n" + LEGEND + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        let values = [0.0, 2.4e-6, 0.0123, 1.0, 9.999, 12.34, 123_456.7];
        assert_eq!(values.map(short), ["0", "2e-6", "0.012", "1.00", "10.0", "12.3", "123457"]);
    }

    #[test]
    fn a_run_folder_gives_its_model_the_name() {
        assert_eq!(model_name(Path::new("models/yamnet.onnx")), "yamnet");
        assert_eq!(model_name(Path::new("runs/first/model.onnx")), "first");
        assert_eq!(model_name(Path::new("model.onnx")), "model");
    }
}
