//! Where in a table the labels of its tracks are: in one column, with those to the right of it, or in
//! a column a label.

use std::path::Path;

use csv::StringRecord;
use serde_json::Value;

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

    /// The labels in a row of a table whose columns are called `names`; none if a cell begins like
    /// a list and is none.
    pub fn labels(&self, record: &StringRecord, names: &[String]) -> Option<Vec<String>> {
        match self {
            Self::Named(label) => {
                let further = record.iter().skip(names.len());
                let cells = record.get(*label).into_iter().chain(further);
                let parts: Vec<Vec<String>> = cells.map(parted).collect::<Option<_>>()?;
                Some(parts.concat())
            }
            Self::OfOneLabel(columns) => {
                let is_set = |at: &&usize| record.get(**at).and_then(flag) == Some(true);
                Some(columns.iter().filter(is_set).map(|at| names[*at].clone()).collect())
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

/// Of this share of 0 and 1 a column is one of a label, and what else it holds is a mistake.
const MOSTLY: f64 = 0.8;

/// The columns of a table that hold 0 and 1 alone, but for `others`.
///
/// # Errors
/// [`Error::Format`] if there are not two, one holds something else besides, or has no name of
/// its own.
pub(super) fn flags(
    path: &Path,
    rows: &[(u64, StringRecord)],
    names: &[String],
    others: [Option<usize>; 2],
) -> Result<Vec<usize>> {
    let mut found = vec![];
    for at in (0..names.len()).filter(|at| !others.contains(&Some(*at))) {
        let is_flag = |row: &&(u64, StringRecord)| row.1.get(at).and_then(flag).is_some();
        let count = rows.iter().filter(is_flag).count();
        match rows.iter().find(|row| !is_flag(row)) {
            None => found.push(at),
            Some((line, record)) if count as f64 >= MOSTLY * rows.len() as f64 => {
                let reason = format!(
                    "line {line}, column \"{}\": {:?} is neither 0 nor 1, as all but {} of its \
                     values are; mend it, or leave the column out if it is no label",
                    names[at],
                    record.get(at).unwrap_or_default(),
                    rows.len() - count
                );
                return Err(Error::format(path, reason));
            }
            Some(_) => {}
        }
    }
    if found.len() < 2 || rows.is_empty() {
        let more = ", or two and more columns of 0 and 1, one a label";
        return Err(missing(path, "genres", &LABELS, more));
    }
    for (place, at) in found.iter().enumerate() {
        let name = &names[*at];
        if name.is_empty() || found[..place].iter().any(|other| names[*other] == *name) {
            let reason = format!(
                "line 1: the label of column {}, {name:?}, has no name of its own; give it one",
                at + 1
            );
            return Err(Error::format(path, reason));
        }
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
/// brackets around quoted texts or numbers. None of what begins like a list and is none.
pub(super) fn parted(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let starts = ["[", "{'", "{\"", "('", "(\""];
    let parts: Vec<String> = if starts.iter().any(|start| text.starts_with(start)) {
        listed(text)?
    } else {
        text.split(['|', ';']).map(str::to_owned).collect()
    };
    let plain = |label: &String| label.trim().trim_start_matches("genre---").to_owned();
    Some(parts.iter().map(plain).filter(|label| !label.is_empty()).collect())
}

/// The elements of a list, set or tuple in brackets, as JSON, Python and NumPy write it.
fn listed(text: &str) -> Option<Vec<String>> {
    if let Ok(values) = serde_json::from_str::<Vec<Value>>(text) {
        let element = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        return values.into_iter().map(element).collect();
    }
    let mut characters = text.chars();
    let end = match characters.next()? {
        '[' => ']',
        '{' => '}',
        _ => ')',
    };
    let mut rest = characters.as_str().strip_suffix(end)?.trim_start();
    let mut elements = vec![];
    while !rest.is_empty() {
        let (element, after) = next_element(rest)?;
        elements.push(element);
        // NumPy puts no commas between.
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(elements)
}

/// The quoted text or the number at the beginning, and what follows.
fn next_element(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    if quote.is_ascii_digit() {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    }
    if !['\'', '"'].contains(&quote) {
        return None;
    }
    let (mut element, mut is_escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !is_escaped => is_escaped = true,
            _ if c == quote && !is_escaped => return Some((element, &text[at + 1..])),
            _ => {
                element.push(c);
                is_escaped = false;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_hand_are_read_or_refused() {
        let both = Some(vec!["blues".to_owned(), "R&B, Soul".to_owned()]);
        for text in [
            r#"["blues", "R&B, Soul"]"#,
            "['blues', 'R&B, Soul']",
            "['blues' 'R&B, Soul']",
            "{'blues', 'R&B, Soul'}",
            "('blues', \"R&B, Soul\",)",
            "blues|R&B, Soul",
            r#"["bl\u0075es","genre---R&B, Soul"]"#,
        ] {
            assert_eq!(parted(text), both, "{text}");
        }
        assert_eq!(parted("[21, 7]"), Some(vec!["21".to_owned(), "7".to_owned()]));
        assert_eq!(parted("['it\\'s']"), Some(vec!["it's".to_owned()]));
        assert_eq!(
            (parted("[]"), parted("rock,blues")),
            (Some(vec![]), Some(vec!["rock,blues".into()]))
        );
        assert_eq!(parted("(live) rock"), Some(vec!["(live) rock".to_owned()]));
        for text in ["[blues, rock]", "[\"blues\", null]", "['blues", "['a', [1]]"] {
            assert_eq!(parted(text), None, "{text}");
        }
    }
}
