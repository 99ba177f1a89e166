//! The values of a table.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What a column holds. In any of them a value may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Double,
    Float,
    Bool,
}

/// A column: its name and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    pub kind: Kind,
}

/// A value. No format tells an empty text from none or NaN from none, so neither is a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    None,
    Text(String),
    Integer(i64),
    Double(f64),
    Float(f32),
    Bool(bool),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::None } else { Self::Text(text) }
    }

    pub fn integer(value: impl TryInto<i64>) -> Self {
        value.try_into().map_or(Self::None, Self::Integer)
    }

    pub fn double(value: f64) -> Self {
        if value.is_nan() { Self::None } else { Self::Double(value) }
    }

    pub fn float(value: f32) -> Self {
        if value.is_nan() { Self::None } else { Self::Float(value) }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    /// The float, if it is one.
    pub fn as_float(&self) -> Option<f32> {
        if let Self::Float(value) = self { Some(*value) } else { None }
    }

    /// As it stands between two commas.
    pub fn written(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text) => text.clone(),
            Self::Integer(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }

    /// What [`written`](Self::written) has written of this kind; none if it is not such a text.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        match kind {
            Kind::Text => Some(Self::text(text)),
            Kind::Integer => text.parse().ok().map(Self::Integer),
            Kind::Double => text.parse().ok().map(Self::double),
            Kind::Float => text.parse().ok().map(Self::float),
            Kind::Bool => text.parse().ok().map(Self::Bool),
        }
    }

    /// The value of this kind in JSON; none if it is of another.
    pub fn from_json(kind: Kind, value: &Value) -> Option<Self> {
        match (kind, value) {
            (_, Value::Null) => Some(Self::None),
            (Kind::Text, Value::String(text)) => Some(Self::text(text)),
            (Kind::Integer, value) => value.as_i64().map(Self::Integer),
            (Kind::Double, value) => value.as_f64().map(Self::double),
            (Kind::Float, value) => value.as_f64().map(|value| Self::float(value as f32)),
            (Kind::Bool, value) => value.as_bool().map(Self::Bool),
            _ => None,
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::Float(value) => serializer.serialize_f32(*value),
            Self::Bool(value) => serializer.serialize_bool(*value),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(bits in any::<u32>(), more in any::<u64>(), text in ".*") {
            let (float, double) = (f32::from_bits(bits), f64::from_bits(more));
            prop_assume!(float.is_finite() && double.is_finite());
            for (kind, cell) in [
                (Kind::Float, Cell::float(float)),
                (Kind::Double, Cell::double(double)),
                (Kind::Integer, Cell::integer(more as i64)),
                (Kind::Text, Cell::text(text)),
                (Kind::Bool, Cell::Bool(bits % 2 == 0)),
            ] {
                let json = serde_json::from_str(&serde_json::to_string(&cell).unwrap()).unwrap();
                prop_assert_eq!(&Cell::parse(kind, &cell.written()).unwrap(), &cell);
                prop_assert_eq!(&Cell::from_json(kind, &json).unwrap(), &cell);
            }
        }
    }
}
