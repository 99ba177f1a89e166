//! Where in a table the labels of its tracks are: in one column, with those to the right of it, or in
//! a column a label.

use std::path::Path;

use csv::StringRecord;

use crate::error::{Error, Result};

/// What the column of genres is called. The last is MTG-Jamendo's.
pub(super) const LABELS: [&str; 7] =
    ["genre", "label", "class", "genre_top", "genres", "labels", "tags"];

/// Labels that a note lists.
const LISTED: usize = 5;

/// Where in a table the labels are.
pub(super) enum Columns {
    /// In this column, and those to its right that have no name.
    Named(usize),
    /// In columns of 0 and 1, one a label.
    OfOneLabel(Vec<usize>),
}

impl Columns {
    pub fn has(&self, column: usize) -> bool {
        match self {
            Self::Named(label) => column == *label,
            Self::OfOneLabel(columns) => columns.contains(&column),
        }
    }

    /// The labels in a row of a table whose columns are called `names`.
    pub fn labels(&self, record: &StringRecord, names: &[String]) -> Vec<String> {
        match self {
            Self::Named(label) => {
                let further = record.iter().skip(names.len());
                record.get(*label).into_iter().chain(further).flat_map(parted).collect()
            }
            Self::OfOneLabel(columns) => {
                let is_set = |at: &&usize| record.get(**at).and_then(flag) == Some(true);
                columns.iter().filter(is_set).map(|at| names[*at].clone()).collect()
            }
        }
    }

    /// Says which columns are read.
    pub fn tell(&self, path: &Path, names: &[String], file: usize) {
        let from = match self {
            Self::Named(label) => format!("genres from \"{}\"", names[*label]),
            Self::OfOneLabel(columns) => {
                let some = columns.iter().take(LISTED).map(|at| names[*at].as_str());
                let more = if columns.len() > LISTED { ", ..." } else { "" };
                let some = some.collect::<Vec<_>>().join(", ");
                format!("labels from {} columns of 0 and 1 ({some}{more})", columns.len())
            }
        };
        tracing::info!(
            "note: {}: files from the column \"{}\", {from}",
            path.display(),
            names[file]
        );
    }
}

/// Whether a cell says that a label is there.
fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "0" | "0.0" | "false" => Some(false),
        "1" | "1.0" | "true" => Some(true),
        _ => None,
    }
}

/// The columns of a table of `width` that hold 0 and 1 alone, but for `others`.
pub(super) fn flags(
    path: &Path,
    rows: &[(u64, StringRecord)],
    width: usize,
    others: [Option<usize>; 2],
) -> Result<Vec<usize>> {
    let is_flag = |at: &usize| {
        let mut cells = rows.iter().map(|(_, record)| record.get(*at).and_then(flag));
        !others.contains(&Some(*at)) && cells.all(|cell| cell.is_some())
    };
    let found: Vec<usize> = (0..width).filter(is_flag).collect();
    if found.len() < 2 || rows.is_empty() {
        let more = ", or two and more columns of 0 and 1, one a label";
        return Err(missing(path, "genres", &LABELS, more));
    }
    Ok(found)
}

/// What is wrong with a table without a column that it needs.
pub(super) fn missing(path: &Path, what: &str, wanted: &[&str], more: &str) -> Error {
    let wanted = wanted.join(", ");
    let reason = format!(
        "line 1: no column of {what}; expected one of {wanted}{more}; if it is no list of \
         recordings, give it another name"
    );
    Error::format(path, reason)
}

/// The labels in one value: a genre's name has neither of the signs between several, and no
/// brackets around quoted texts or numbers.
pub(super) fn parted(text: &str) -> Vec<String> {
    let plain = |label: &str| label.trim().trim_start_matches("genre---").to_owned();
    let parts: Vec<String> = match listed(text) {
        Some(list) => list.into_iter().map(plain).collect(),
        None => text.split(['|', ';']).map(plain).collect(),
    };
    parts.into_iter().filter(|label| !label.is_empty()).collect()
}

/// The elements of a list in brackets, as JSON and Python write it.
fn listed(text: &str) -> Option<Vec<&str>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    inside.split(',').map(|element| plain_element(element.trim())).collect()
}

/// A quoted text or a number without what stands around it; nothing of an empty list.
fn plain_element(element: &str) -> Option<&str> {
    let quoted = |quote| element.strip_prefix(quote)?.strip_suffix(quote);
    let is_number = element.bytes().all(|byte| byte.is_ascii_digit());
    quoted('"').or_else(|| quoted('\'')).or(is_number.then_some(element))
}
