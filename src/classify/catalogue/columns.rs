//! What a row of a catalogue has: the one place that says it, for every format.

use super::super::answer::Classification;
use super::cell::{Cell, Field, Kind};
use crate::audio::Note;
use crate::features::Seen;

pub(super) const PATH: &str = "path";
pub(super) const NOTES: &str = "notes";
pub(super) const ERROR: &str = "error";
pub(super) const SECONDS: &str = "seconds";
pub(super) const BYTES: &str = "bytes";
pub(super) const MODIFIED: &str = "modified_ns";
pub(super) const MODEL: &str = "model_sha256";
const MIN_CONFIDENCE: &str = "min_confidence";
const GENRE: &str = "genre";
const GENRES: &str = "genres";
const PROBABILITY: &str = "probability_";

/// The model whose answers the rows are.
#[derive(Clone, Debug, PartialEq)]
pub struct Teller {
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Their thresholds, where it tells any number of them.
    pub thresholds: Option<Vec<f32>>,
    /// The probability below which it says `unknown`; none where it judges as its file says.
    pub min_confidence: Option<f32>,
}

/// A recording and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Answered<'a> {
    /// What the catalogue calls it.
    pub path: &'a str,
    /// Size of its file in bytes, and when that was changed, in nanoseconds since 1970.
    pub state: Option<(u64, u64)>,
    /// The answer, or why there is none.
    pub result: Result<&'a Classification, &'a str>,
}

struct Column<'a> {
    field: Field,
    value: Box<dyn Fn(&Answered) -> Cell + 'a>,
}

/// Every column of the table in its order: a column more is a line more.
fn columns(teller: &Teller) -> Vec<Column<'_>> {
    use Kind::{Bool, Double, Float, Integer, Text};
    let Teller { sha256, labels, thresholds, min_confidence } = teller;
    let label = |place: usize| labels.get(place).map_or("?", String::as_str);
    let listed = move |places: &[usize]| {
        Cell::text(places.iter().map(|place| label(*place)).collect::<Vec<_>>().join("|"))
    };
    let told = match thresholds {
        None => of(GENRE, Text, move |a| a.told(label).map_or(Cell::None, Cell::text)),
        Some(limits) => of(GENRES, Text, move |a| listed(&a.above(limits))),
    };
    let mut columns = vec![
        any(PATH, Text, |row| Cell::text(row.path)),
        told,
        of(SECONDS, Double, |a| match a.picture {
            Some(_) => Cell::None,
            None => Cell::double(a.seconds),
        }),
        of("padded", Bool, |a| Cell::Bool(a.padded)),
        of("silent", Bool, |a| Cell::Bool(a.silent)),
        of(NOTES, Text, |a| Cell::text(notes(a))),
        any(ERROR, Text, |row| row.result.err().map_or(Cell::None, Cell::text)),
    ];
    if thresholds.is_none() {
        columns.extend([
            of("set", Text, move |a| a.set.as_ref().map_or(Cell::None, |set| listed(set))),
            of("outsider", Float, |a| a.outsider.map_or(Cell::None, Cell::float)),
            of(MIN_CONFIDENCE, Float, |_| min_confidence.map_or(Cell::None, Cell::float)),
        ]);
    }
    columns.extend(labels.iter().enumerate().map(|(place, label)| {
        let name = format!("{PROBABILITY}{label}");
        of(&name, Float, move |a| Cell::float(a.probabilities.get(place).map_or(f32::NAN, |p| *p)))
    }));
    columns.extend([
        any(BYTES, Integer, |row| row.state.map_or(Cell::None, |(bytes, _)| Cell::integer(bytes))),
        any(MODIFIED, Integer, |row| row.state.map_or(Cell::None, |(_, at)| Cell::integer(at))),
        any(MODEL, Text, move |_| Cell::text(sha256)),
    ]);
    columns
}

/// A column that every row may have.
fn any<'a>(name: &str, kind: Kind, value: impl Fn(&Answered) -> Cell + 'a) -> Column<'a> {
    Column { field: Field { name: name.to_owned(), kind }, value: Box::new(value) }
}

/// A column of recordings that have an answer.
fn of<'a>(name: &str, kind: Kind, value: impl Fn(&Classification) -> Cell + 'a) -> Column<'a> {
    any(name, kind, move |row| row.result.map_or(Cell::None, &value))
}

/// What is odd about a recording; how a picture was read.
fn notes(answer: &Classification) -> String {
    let odd = answer.notes.iter().map(Note::to_string);
    let seen = answer.picture.iter().map(Seen::to_string);
    odd.chain(seen).collect::<Vec<_>>().join("; ")
}

impl Teller {
    /// The columns of its answers.
    pub(super) fn fields(&self) -> Vec<Field> {
        columns(self).into_iter().map(|column| column.field).collect()
    }

    /// A value for each of its [`fields`](Self::fields).
    pub(super) fn row(&self, answered: &Answered) -> Vec<Cell> {
        columns(self).iter().map(|column| (column.value)(answered)).collect()
    }
}

/// The columns of a table with these `names`, if it is a catalogue, of whatever labels.
pub(super) fn recognized(names: &[String]) -> Option<Vec<Field>> {
    let labels = names.iter().filter_map(|name| name.strip_prefix(PROBABILITY));
    let labels: Vec<String> = labels.map(str::to_owned).collect();
    let thresholds = names.iter().any(|name| name == GENRES).then(Vec::new);
    let teller = Teller { sha256: String::new(), labels, thresholds, min_confidence: None };
    let fields = teller.fields();
    fields.iter().map(|field| &field.name).eq(names).then_some(fields)
}

/// What a row says of its recording's state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub path: String,
    /// Size, and time of change, of the file that the row speaks of.
    pub state: Option<(i64, i64)>,
    pub model: String,
    /// The probability below which it says `unknown`, if that was asked for.
    pub min_confidence: Option<f32>,
    pub failed: bool,
    /// Whether something was odd about the recording.
    pub odd: bool,
}

/// What a row with these columns says.
pub(super) fn known(fields: &[Field], row: &[Cell]) -> Known {
    let cell = |name: &str| {
        let place = fields.iter().position(|field| field.name == name);
        place.and_then(|place| row.get(place)).unwrap_or(&Cell::None)
    };
    let text = |name| cell(name).as_text().unwrap_or_default().to_owned();
    Known {
        path: text(PATH),
        state: cell(BYTES).as_integer().zip(cell(MODIFIED).as_integer()),
        model: text(MODEL),
        min_confidence: cell(MIN_CONFIDENCE).as_float(),
        failed: *cell(ERROR) != Cell::None,
        // A picture has no length, and its notes say how it was read.
        odd: *cell(NOTES) != Cell::None && *cell(SECONDS) != Cell::None,
    }
}
