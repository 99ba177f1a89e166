//! Rows as lines of JSON: objects whose keys are the columns, in their order.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::cell::{Cell, Field};
use crate::error::{Error, Result};

/// A row as a line, with a newline.
pub(super) fn line(fields: &[Field], row: &[Cell]) -> Result<String> {
    let mut bytes = vec![];
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let written = serializer.serialize_map(Some(row.len())).and_then(|mut map| {
        let mut pairs = fields.iter().zip(row);
        pairs.try_for_each(|(field, cell)| map.serialize_entry(&field.name, cell))?;
        map.end()
    });
    written.map_err(|e| Error::format("a row", e))?;
    let text = String::from_utf8(bytes).map_err(|e| Error::format("a row", e))?;
    Ok(text + "\n")
}

/// The row in a line; an error says what is wrong with it.
pub(super) fn row(fields: &[Field], line: &[u8]) -> std::result::Result<Vec<Cell>, String> {
    let Pairs(pairs) = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if !fields.iter().map(|field| &field.name).eq(pairs.iter().map(|(name, _)| name)) {
        return Err("its keys are not those of the other lines".into());
    }
    let cell = |(field, (name, value)): (&Field, &(String, Value))| {
        Cell::from_json(field.kind, value).ok_or_else(|| format!("\"{name}\" is {value}"))
    };
    fields.iter().zip(&pairs).map(cell).collect()
}

/// The keys of the first line of the file at `path`.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let mut first = vec![];
    let file = File::open(path).map_err(Error::io(path))?;
    BufReader::new(file).read_until(b'\n', &mut first).map_err(Error::io(path))?;
    let Pairs(pairs) =
        serde_json::from_slice(&first).map_err(|e| Error::format(path, format!("line 1: {e}")))?;
    Ok(pairs.into_iter().map(|(name, _)| name).collect())
}

/// Gives every row of the file at `path` to `each`.
pub(super) fn read(
    path: &Path,
    fields: &[Field],
    mut each: impl FnMut(Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(Error::io(path))?;
    for (place, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.map_err(Error::io(path))?;
        let wrong = |reason| Error::format(path, format!("line {}: {reason}", place + 1));
        each(row(fields, &line).map_err(wrong)?)?;
    }
    Ok(())
}

/// Writes rows.
pub(super) fn write(
    mut output: impl Write,
    path: &Path,
    fields: &[Field],
    rows: impl Iterator<Item = Result<Vec<Cell>>>,
) -> Result<()> {
    for row in rows {
        output.write_all(line(fields, &row?)?.as_bytes()).map_err(Error::io(path))?;
    }
    output.flush().map_err(Error::io(path))
}

/// An object whose keys are in their order.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = vec![];
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
