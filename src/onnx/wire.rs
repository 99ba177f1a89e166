//! The bytes of a model, as onnx itself writes them.
//!
//! onnx's schema (`onnx.proto`, of the second kind of protobuf) packs the values of tensors and
//! no other list of numbers, and an attribute always has its value, be it zero. Our types come
//! from a schema of the third kind, whose encoder packs every list and leaves zeros out. Readers
//! that hold to the first (rten) refuse that, so what was encoded is taken apart again here: the
//! lists in question become one field a number, and zeros come back. All else, weights above
//! all, is not copied.

use std::borrow::Cow;
use std::io::{self, Write};

use prost::{Message, decode_length_delimiter, encode_length_delimiter};
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::attribute_proto::AttributeType;

/// Writes `model` to `out`; the number of bytes.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(model: &ModelProto, out: &mut impl Write) -> io::Result<usize> {
    let encoded = model.encode_to_vec();
    let pieces = Pieces::of(Kind::Model, &encoded).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the encoded model is damaged")
    })?;
    pieces.parts.iter().try_for_each(|part| out.write_all(part))?;
    Ok(pieces.length)
}

/// Messages with fields that are to be written otherwise, somewhere inside.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Training,
    Function,
}

/// What to do with a field of a message.
enum Treatment {
    /// Nothing.
    Keep,
    /// It is a message with such a field.
    Enter(Kind),
    /// It is a packed list, of numbers of four bytes or of varints.
    Unpack { fixed: bool },
}

/// The fields' numbers in `onnx.proto`.
fn treatment(kind: Kind, field: usize) -> Treatment {
    use Treatment::{Enter, Keep, Unpack};
    match (kind, field) {
        (Kind::Model, 7) => Enter(Kind::Graph),
        (Kind::Model, 20) => Enter(Kind::Training),
        (Kind::Model, 25) => Enter(Kind::Function),
        (Kind::Training, 1 | 2) => Enter(Kind::Graph),
        (Kind::Function, 7) => Enter(Kind::Node),
        (Kind::Graph, 1) => Enter(Kind::Node),
        (Kind::Graph, 5) => Enter(Kind::Tensor),
        (Kind::Graph, 15) => Enter(Kind::SparseTensor),
        (Kind::Node, 5) => Enter(Kind::Attribute),
        (Kind::Attribute, 5 | 10) => Enter(Kind::Tensor),
        (Kind::Attribute, 6 | 11) => Enter(Kind::Graph),
        (Kind::Attribute, 22 | 23) => Enter(Kind::SparseTensor),
        (Kind::Attribute, 7) => Unpack { fixed: true },
        (Kind::Attribute, 8) => Unpack { fixed: false },
        (Kind::Tensor, 1) => Unpack { fixed: false },
        (Kind::SparseTensor, 1 | 2) => Enter(Kind::Tensor),
        (Kind::SparseTensor, 3) => Unpack { fixed: false },
        _ => Keep,
    }
}

const VARINT: usize = 0;
const EIGHT_BYTES: usize = 1;
const DELIMITED: usize = 2;
const FOUR_BYTES: usize = 5;

/// A message in pieces, most of which lie in another.
#[derive(Default)]
struct Pieces<'a> {
    parts: Vec<Cow<'a, [u8]>>,
    length: usize,
}

impl<'a> Pieces<'a> {
    /// The message that is encoded in `bytes`.
    fn of(kind: Kind, bytes: &'a [u8]) -> Option<Self> {
        let mut pieces = Self::default();
        let mut zero = if kind == Kind::Attribute { Zero::of(bytes)? } else { None };
        // What is kept as it is, up to `rest`.
        let (mut kept, mut rest) = (bytes, bytes);
        while !rest.is_empty() {
            let before = rest;
            let field = Field::take(&mut rest)?;
            if let Some(missing) = zero.take_if(|zero| zero.number < field.number) {
                pieces.keep(&kept[..kept.len() - before.len()]);
                kept = before;
                pieces.add(Cow::Owned(missing.bytes()));
            }
            let treatment = match field.wire {
                DELIMITED => treatment(kind, field.number),
                _ => Treatment::Keep,
            };
            if let Treatment::Keep = treatment {
                continue;
            }
            pieces.keep(&kept[..kept.len() - before.len()]);
            kept = rest;
            match treatment {
                Treatment::Enter(kind) => pieces.enter(field.number, Self::of(kind, field.value)?),
                Treatment::Unpack { fixed } => {
                    pieces.add(Cow::Owned(unpacked(field.number, field.value, fixed)?));
                }
                Treatment::Keep => {}
            }
        }
        pieces.keep(kept);
        if let Some(missing) = zero {
            pieces.add(Cow::Owned(missing.bytes()));
        }
        Some(pieces)
    }

    fn add(&mut self, part: Cow<'a, [u8]>) {
        self.length += part.len();
        self.parts.push(part);
    }

    fn keep(&mut self, part: &'a [u8]) {
        if !part.is_empty() {
            self.add(Cow::Borrowed(part));
        }
    }

    /// Adds a field that is a message.
    fn enter(&mut self, number: usize, message: Self) {
        let mut head = vec![];
        put(number << 3 | DELIMITED, &mut head);
        put(message.length, &mut head);
        self.add(Cow::Owned(head));
        self.length += message.length;
        self.parts.extend(message.parts);
    }
}

/// A field of a message.
struct Field<'a> {
    number: usize,
    wire: usize,
    /// Its bytes, without key and length.
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The first field of `rest`, which is what is left then.
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let key = decode_length_delimiter(&mut *rest).ok()?;
        let (number, wire) = (key >> 3, key & 7);
        let length = match wire {
            VARINT => varint_length(rest),
            EIGHT_BYTES => 8,
            FOUR_BYTES => 4,
            _ => decode_length_delimiter(&mut *rest).ok()?,
        };
        let (value, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(Self { number, wire, value })
    }
}

/// The value zero of an attribute that has none.
struct Zero {
    number: usize,
    wire: usize,
}

impl Zero {
    /// That of the attribute that is encoded in `bytes`, if its type wants a value that is not
    /// there.
    fn of(bytes: &[u8]) -> Option<Option<Self>> {
        let (mut kind, mut numbers, mut rest) = (0, vec![], bytes);
        while !rest.is_empty() {
            let field = Field::take(&mut rest)?;
            numbers.push(field.number);
            if (field.number, field.wire) == (20, VARINT) {
                kind = field.value.first().copied().unwrap_or_default().into();
            }
        }
        let (number, wire) = match AttributeType::try_from(kind) {
            Ok(AttributeType::Float) => (2, FOUR_BYTES),
            Ok(AttributeType::Int) => (3, VARINT),
            Ok(AttributeType::String) => (4, DELIMITED),
            _ => return Some(None),
        };
        // In a function, an attribute may stand for one of its own.
        const REFERENCE: usize = 21;
        let there = numbers.contains(&number) || numbers.contains(&REFERENCE);
        Some((!there).then_some(Self { number, wire }))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![];
        put(self.number << 3 | self.wire, &mut bytes);
        bytes.resize(bytes.len() + if self.wire == FOUR_BYTES { 4 } else { 1 }, 0);
        bytes
    }
}

/// One field for each number of a packed list.
fn unpacked(number: usize, mut list: &[u8], fixed: bool) -> Option<Vec<u8>> {
    let (mut bytes, wire) = (vec![], if fixed { FOUR_BYTES } else { VARINT });
    while !list.is_empty() {
        let length = if fixed { 4 } else { varint_length(list) };
        let (value, after) = list.split_at_checked(length)?;
        put(number << 3 | wire, &mut bytes);
        bytes.extend_from_slice(value);
        list = after;
    }
    Some(bytes)
}

/// The length of the varint that `bytes` begin with: all but its last byte have the highest bit.
fn varint_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
}

/// Appends a number as a varint, which is what the length of a delimited field is.
fn put(number: usize, bytes: &mut Vec<u8>) {
    // A `Vec` never lacks room.
    let _ = encode_length_delimiter(number, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::{GraphProto, ModelProto, SparseTensorProto, TensorProto};

    use crate::onnx::nodes::{float_tensor, floats, int, ints, node, tensor};

    /// Lists in every place that has one, and values of zero.
    fn model() -> ModelProto {
        let mut inner = vec![int("axis", 0), int("group", -2), floats("f", vec![0.5, -1.0, 0.0])];
        inner.push(tensor("value", float_tensor("v", &[2, 1, 300], &[0.25; 600])));
        let body = GraphProto {
            node: vec![node("Cast", &["a"], "b", vec![ints("axes", &[0, -1, 1 << 40])])],
            ..Default::default()
        };
        inner.push(tract_onnx::pb::AttributeProto {
            name: "body".into(),
            r#type: AttributeType::Graph as i32,
            g: Some(body),
            ..Default::default()
        });
        let sparse = SparseTensorProto {
            values: Some(float_tensor("s", &[1], &[1.0])),
            indices: None,
            dims: vec![5, 6],
        };
        let graph = GraphProto {
            name: "g".into(),
            node: vec![node("Op", &["x"], "y", inner)],
            initializer: vec![
                float_tensor("w", &[3, 4], &[1.0; 12]),
                TensorProto { dims: vec![], float_data: vec![1.0, 2.0], ..Default::default() },
            ],
            sparse_initializer: vec![sparse],
            ..Default::default()
        };
        ModelProto { ir_version: 8, graph: Some(graph), ..Default::default() }
    }

    fn written(model: &ModelProto) -> Vec<u8> {
        let mut bytes = vec![];
        let length = write(model, &mut bytes).unwrap();
        assert_eq!(length, bytes.len());
        bytes
    }

    /// The numbers and wire types of the fields of a message that are called so.
    fn wires(bytes: &[u8], number: usize) -> Vec<usize> {
        let (mut rest, mut found) = (bytes, vec![]);
        while !rest.is_empty() {
            let field = Field::take(&mut rest).unwrap();
            found.extend((field.number == number).then_some(field.wire));
        }
        found
    }

    fn inside(bytes: &[u8], number: usize, at: usize) -> &[u8] {
        let (mut rest, mut found) = (bytes, vec![]);
        while !rest.is_empty() {
            let field = Field::take(&mut rest).unwrap();
            found.extend((field.number == number).then_some(field.value));
        }
        found[at]
    }

    #[test]
    fn only_the_values_of_tensors_are_packed() {
        let bytes = written(&model());
        let graph = inside(&bytes, 7, 0);
        let attribute = |at| inside(inside(graph, 1, 0), 5, at);
        assert_eq!(wires(attribute(2), 7), [FOUR_BYTES; 3]);
        assert_eq!(wires(inside(attribute(3), 5, 0), 1), [VARINT; 3]);
        let body = inside(attribute(4), 6, 0);
        assert_eq!(wires(inside(inside(body, 1, 0), 5, 0), 8), [VARINT; 3]);
        assert_eq!(wires(inside(graph, 5, 0), 1), [VARINT; 2]);
        assert_eq!(wires(inside(graph, 5, 1), 4), [DELIMITED], "values stay packed");
        assert_eq!(wires(inside(graph, 15, 0), 3), [VARINT; 2]);
        // An attribute of zero says so, in the order of the numbers.
        assert_eq!(wires(attribute(0), 3), [VARINT]);
        assert_eq!(attribute(0), b"\x0a\x04axis\x18\x00\xa0\x01\x02");
        assert_eq!(wires(attribute(1), 3), [VARINT]);
    }

    #[test]
    fn what_is_written_is_read_as_the_same_model() {
        let model = model();
        assert_eq!(ModelProto::decode(&*written(&model)).unwrap(), model);
    }

    #[test]
    fn bytes_that_are_no_message_are_no_panic() {
        let bytes = model().encode_to_vec();
        for end in 0..bytes.len() {
            let _ = Pieces::of(Kind::Model, &bytes[..end]);
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] = 0xff;
            let _ = Pieces::of(Kind::Model, &bytes);
        }
    }
}
