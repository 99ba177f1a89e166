//! The report as text for a terminal and as Markdown.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

use super::records::{Report, Row};
use super::variants::{Comparison, comparisons};
use crate::run::{Run, names};

/// A column: its name, its unit, and its value in a row that ran.
struct Column {
    name: &'static str,
    unit: &'static str,
    value: fn(&Row) -> Option<f64>,
}

const COLUMNS: [Column; 11] = [
    Column { name: "accur.", unit: "%", value: |row| Some(row.quality()? * 100.0) },
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

/// The same, with what the first column is of models that tell several labels a track.
fn legend(report: &Report) -> String {
    let tags = "mAP: macro average precision on the evaluation tracks, of models that tell \
                several labels a track.";
    if has_tags(&report.rows) { format!("{LEGEND} {tags}") } else { LEGEND.to_owned() }
}

/// Whether a model tells several labels a track.
fn has_tags(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.average_precision.is_some())
}

/// What the columns are called in the table of one model.
fn names_of(rows: &[Row]) -> [&'static str; 11] {
    let mut names = COLUMNS.map(|column| column.name);
    if has_tags(rows) {
        names[0] = "mAP";
    }
    names
}

/// A short name of a model: the folder's, or the file's stem, with the run's name before it if
/// it lies in one.
pub(super) fn model_name(model: &Path) -> String {
    let text = |name: Option<&OsStr>| name.map(|name| name.to_string_lossy().into_owned());
    let folder = text(model.parent().and_then(Path::file_name));
    let is_variant = || model.parent().is_some_and(|folder| Run::at(folder).is_run());
    let name = match (model.is_dir(), model.file_name(), folder) {
        (true, name, _) => text(name),
        (false, Some(name), Some(folder)) if name == names::MODEL => Some(folder),
        (false, _, Some(folder)) if is_variant() => {
            text(model.file_stem()).map(|stem| format!("{folder}/{stem}"))
        }
        _ => text(model.file_stem()),
    };
    name.unwrap_or_else(|| model.to_string_lossy().into_owned())
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
        let names = line(names_of(rows));
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
    text += &variants_text(report);
    text + "\n" + &wrapped(&legend(report), 100)
}

/// The columns of the table of variants.
const VARIANT_COLUMNS: [&str; 6] = ["MB", "of fp32", "accur. %", "points", "p50 ms", "speed"];

fn variant_cells(comparison: &Comparison) -> [String; 6] {
    let Comparison { variant, .. } = comparison;
    [
        variant.model_bytes.map(|bytes| format!("{:.2}", bytes as f64 / 1e6)),
        comparison.size().map(|size| format!("{size:.2}")),
        variant.quality().map(|quality| short(quality * 100.0)),
        comparison.points().map(|points| format!("{points:+.1}")),
        variant.latency.map(|latency| short(latency.p50_ms)),
        comparison.speed().map(|speed| format!("{speed:.2}x")),
    ]
    .map(|value| value.unwrap_or("-".into()))
}

fn variants_text(report: &Report) -> String {
    let comparisons = comparisons(report);
    if comparisons.is_empty() {
        return String::new();
    }
    let names = comparisons.iter().map(|c| model_name(&c.variant.model));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(8);
    let line = |name: &str, case: &str, values: [&str; 6]| {
        let values = values.map(|value| format!("{value:>8}")).join(" ");
        format!("{name:<width$}  {case:<21} {values}\n")
    };
    let mut text = String::from("\nvariants beside the model in 32-bit floats\n");
    text += &line("", "            thr batch", VARIANT_COLUMNS);
    for comparison in &comparisons {
        let cells = variant_cells(comparison);
        let name = model_name(&comparison.variant.model);
        text += &line(&name, &case(comparison.variant), cells.each_ref().map(String::as_str));
    }
    text
}

fn variants_markdown(report: &Report) -> String {
    let comparisons = comparisons(report);
    if comparisons.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n## Variants beside the model in 32-bit floats\n\n");
    let heads = VARIANT_COLUMNS.join(" | ");
    text += &format!("| model | runtime | device | threads | batch | {heads} |\n");
    text += &format!("|---|---|---|--:|--:|{}\n", "--:|".repeat(VARIANT_COLUMNS.len()));
    for comparison in &comparisons {
        let Row { model, runtime, device, threads, batch, .. } = comparison.variant;
        let (name, cells) = (model_name(model), variant_cells(comparison).join(" | "));
        text += &format!("| {name} | {runtime} | {device} | {threads} | {batch} | {cells} |\n");
    }
    text
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
        let units = COLUMNS.map(|column| column.unit);
        let heads: Vec<String> =
            names_of(rows).iter().zip(units).map(|(name, unit)| format!("{name} {unit}")).collect();
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
    text += &variants_markdown(report);
    text + "\n" + &legend(report) + "\n"
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
