//! What was found, for a person to read.

use std::fmt::Display;

use super::commands::Use;
use crate::inspect::{Fed, Fit, Inspection, Layer, Tried, TypedPort};
use crate::text::{counted, thousands};

/// Layers that are shown; of more, the first and last half of these.
const SHOWN: usize = 80;
/// Columns that a name may take.
const WIDEST: usize = 44;

/// All of it in lines.
pub(super) fn text(found: &Inspection, uses: &[Use]) -> String {
    let mut lines = head(found);
    lines.push(String::new());
    lines.extend(ports(found));
    lines.extend(sizes(found));
    lines.push(String::new());
    lines.extend(layers(found));
    lines.push(String::new());
    lines.extend(operators(found));
    lines.push(String::new());
    lines.extend(runtimes(found));
    lines.push(String::new());
    lines.extend(fits(found));
    lines.push(String::new());
    lines.extend(how(uses));
    lines.extend(found.notes.iter().map(|note| format!("note: {note}")));
    lines.into_iter().map(|line| plain(line.trim_end()) + "\n").collect()
}

/// A stranger's names may hold anything, a terminal's commands among it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn head(found: &Inspection) -> Vec<String> {
    let set = |set: &crate::inspect::OperatorSet| match set.domain.as_str() {
        "" | "ai.onnx" => format!("opset {}", set.version),
        domain => format!("{domain} {}", set.version),
    };
    let opsets: Vec<String> = found.opsets.iter().map(set).collect();
    let producer = found.producer.as_deref().unwrap_or("unknown producer");
    let size = format!("{:.1} MB", found.bytes as f64 / 1e6);
    let mut lines = vec![
        format!("{}: {size}, {}, {producer}", found.path.display(), opsets.join(", ")),
        format!("sha256 {}", found.sha256),
    ];
    lines.extend(found.documentation.iter().map(|text| format!("says: {text}")));
    let silent = "the file says nothing; look at its source before you pass anything on";
    lines.push(format!("licence: {}", found.licence.as_deref().unwrap_or(silent)));
    lines.extend(exported(found));
    lines
}

fn exported(found: &Inspection) -> Vec<String> {
    let Some(own) = &found.exported else { return vec![] };
    let mut line = format!(
        "exported by {}: {}, input {}, {}",
        own.software.as_deref().unwrap_or("genre-transfer"),
        counted(own.genres.len(), "genre"),
        own.input,
        own.precision
    );
    let mut add = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            line += &format!(", {what} {value}");
        }
    };
    add("front end", own.front_end.clone());
    add("at", own.sample_rate.map(|rate| format!("{rate} Hz")));
    add("from", own.backbone.clone());
    add("trained on", own.training_data.clone());
    add("test accuracy", own.test_accuracy.map(|accuracy| format!("{accuracy:.3}")));
    add(
        "test macro AP",
        own.test_average_precision.map(|value| format!("{value:.3}, multi-label")),
    );
    vec![line, format!("genres: {}", own.genres.join(", "))]
}

fn ports(found: &Inspection) -> Vec<String> {
    let all = |kind: &'static str, ports: &[TypedPort]| -> Vec<[String; 4]> {
        let row = |port: &TypedPort| {
            let axes = port.axes.as_ref().map_or("no shape".to_owned(), |axes| shape(axes));
            let embeddings = kind == "output" && found.embeddings.as_ref() == Some(&port.name);
            let remark = if embeddings { "<- embeddings" } else { "" };
            [kind.to_owned(), port.name.clone(), format!("{} {axes}", port.element), remark.into()]
        };
        ports.iter().map(row).collect()
    };
    table(&[all("input", &found.inputs), all("output", &found.outputs)].concat(), &[])
}

fn grouped(value: u64) -> String {
    thousands(usize::try_from(value).unwrap_or(usize::MAX))
}

fn shape(axes: &[impl Display]) -> String {
    let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
    format!("[{}]", axes.join(", "))
}

fn sizes(found: &Inspection) -> Vec<String> {
    let fit = found.fits.iter().find(|fit| fit.runs == Some(true)).or(found.fits.first());
    let work = match (found.multiply_adds, fit) {
        (Some(work), Some(fit)) => {
            format!("{} for one patch of {}", grouped(work), shape(&fit.input))
        }
        (Some(work), None) => grouped(work),
        (None, _) => "unknown".to_owned(),
    };
    let mut lines = vec![
        format!("parameters     {}", grouped(found.parameters)),
        format!("multiply-adds  {work}"),
    ];
    if found.uncounted > 0 {
        let what = counted(found.uncounted, "operator");
        lines.push(format!("               and those of {what} whose shapes are not known"));
    }
    lines
}

fn layers(found: &Inspection) -> Vec<String> {
    let mut rows = vec![
        ["unfreeze", "operator", "name", "output", "parameters", "multiply-adds"].map(String::from),
    ];
    let row = |layer: &Layer| {
        let unknown = || "?".to_owned();
        [
            layer.unfreeze.map_or("-".to_owned(), |number| number.to_string()),
            layer.operator.clone(),
            cut(&layer.name),
            layer.output.as_deref().map_or_else(unknown, shape),
            grouped(layer.parameters),
            layer.multiply_adds.map_or_else(unknown, grouped),
        ]
    };
    let count = found.layers.len();
    let hidden = if count > SHOWN { SHOWN / 2..count - SHOWN / 2 } else { 0..0 };
    for (at, layer) in found.layers.iter().enumerate() {
        if at == hidden.start && !hidden.is_empty() {
            let more = format!("({} more; --json shows them)", hidden.len());
            rows.push(["", "...", &more, "", "", ""].map(String::from));
        }
        if !hidden.contains(&at) {
            rows.push(row(layer));
        }
    }
    let mut title = counted(count, "layer");
    match (&found.unnumbered, &found.embeddings) {
        _ if count == 0 => {}
        (Some(reason), _) => {
            title += &format!(", not numbered for finetune --unfreeze: {reason}");
        }
        (None, Some(output)) => {
            title += &format!(
                "; finetune --unfreeze N trains those numbered 1 to N, counted from \"{output}\""
            );
        }
        (None, None) => {}
    }
    let mut lines = vec![title];
    if count > 0 {
        lines.extend(table(&rows, &[0, 4, 5]));
    }
    lines
}

/// The end of a name that is too long: what tells one layer from the next stands there.
fn cut(name: &str) -> String {
    match name.char_indices().rev().nth(WIDEST - 2) {
        Some((at, _)) if at > 0 => format!("…{}", &name[at..]),
        _ => name.to_owned(),
    }
}

fn operators(found: &Inspection) -> Vec<String> {
    let counts = found.operators.iter().map(|(name, count)| format!("{name} {count}"));
    vec![format!("operators: {}", counts.collect::<Vec<_>>().join(", "))]
}

fn runtimes(found: &Inspection) -> Vec<String> {
    let row = |tried: &Tried| {
        let version = tried.version.as_deref().unwrap_or("");
        let mut outcome = match (tried.milliseconds, &tried.reason) {
            (Some(time), _) => format!("yes, {time:.2} ms on one thread"),
            (None, reason) => format!("no: {}", reason.as_deref().unwrap_or("unknown")),
        };
        // One alone stands in the reason.
        if tried.refused_operators.len() > 1 {
            outcome += &format!(" (operators it lacks: {})", tried.refused_operators.join(", "));
        }
        [format!("  {} {version}", tried.runtime), outcome]
    };
    let mut lines = vec!["runs in (tried)".to_owned()];
    lines.extend(table(&found.runtimes.iter().map(row).collect::<Vec<_>>(), &[]));
    if let Some(difference) = &found.difference {
        let [one, other] = difference.runtimes;
        lines.push(match (difference.absolute, difference.relative) {
            (Some(absolute), Some(relative)) => format!(
                "  largest difference: {absolute:.1e}, {relative:.1e} of the largest value ({one} \
                 and {other}, \"{}\")",
                difference.output
            ),
            _ => format!(
                "  {one} and {other} do not agree: \"{}\" has another shape, or values that are \
                 no numbers",
                difference.output
            ),
        });
    }
    lines
}

fn fits(found: &Inspection) -> Vec<String> {
    let row = |fit: &Fit| {
        let what = match &fit.fed {
            Fed::FrontEnd { name, frames, mels } => {
                format!("{name}: log-mels, {frames} frames by {mels} bands")
            }
            Fed::Spectrogram { first, second } => {
                format!("log-mels of {first} by {second}, which no preset makes")
            }
            Fed::Picture { channels: 3, height, width } => {
                format!("pictures in colour, {width} x {height}")
            }
            Fed::Picture { height, width, .. } => format!("grey pictures, {width} x {height}"),
            Fed::Samples { count, fixed: true } => format!("samples, {count} at a time"),
            Fed::Samples { count, fixed: false } => {
                format!("samples, any number (tried: {count})")
            }
            Fed::Values => {
                format!("{}: neither log-mels nor pictures nor samples", shape(&fit.input))
            }
        };
        let outcome = match (fit.runs, &fit.reason) {
            (Some(true), _) => "runs".to_owned(),
            (Some(false), reason) => format!("does not run: {}", reason.as_deref().unwrap_or("?")),
            (None, _) => "not tried".to_owned(),
        };
        [format!("  {what}"), outcome]
    };
    let mut lines = vec!["fits its input, by its shape".to_owned()];
    if found.fits.is_empty() {
        lines.push("  nothing that this program knows".to_owned());
    }
    lines.extend(table(&found.fits.iter().map(row).collect::<Vec<_>>(), &[]));
    lines
}

fn how(uses: &[Use]) -> Vec<String> {
    let mut lines = vec!["to use it".to_owned()];
    for Use { what, command } in uses {
        lines.push(format!("  {what}"));
        lines.extend(command.iter().map(|command| format!("    {command}")));
    }
    lines
}

/// Rows with their columns under one another; those in `right` end at the same place.
fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> Vec<String> {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if right.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Axis;

    #[test]
    fn names_lose_their_beginning_and_a_terminal_its_commands() {
        assert_eq!(cut("short"), "short");
        let long = format!("{}end", "ä".repeat(100));
        assert_eq!((cut(&long).chars().count(), cut(&long).ends_with("end")), (WIDEST, true));
        assert_eq!(plain("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }

    #[test]
    fn axes_show_names_and_what_is_free() {
        let axes = [Axis::Named("batch".into()), Axis::Fixed(96), Axis::Free(())];
        assert_eq!(shape(&axes), "[batch, 96, any]");
    }
}
