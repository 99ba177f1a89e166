//! The numbers inside an ONNX tensor.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::prelude::f16;

use super::check::Checker;
use crate::error::{Error, Result};

/// The bytes of a tensor whose data lies in a file of its own.
///
/// # Errors
/// [`Error::Onnx`] if that file is missing, too short or outside the model's folder.
pub(super) fn external_data(path: &Path, tensor: &TensorProto) -> Result<Vec<u8>> {
    let (file, offset, length) = Checker { path }.external(tensor, &tensor.name)?;
    let mut source = File::open(&file).map_err(Error::io(&file))?;
    source.seek(SeekFrom::Start(offset)).map_err(Error::io(&file))?;
    let mut bytes = Vec::new();
    source.take(length).read_to_end(&mut bytes).map_err(Error::io(&file))?;
    Ok(bytes)
}

/// The dimensions of a tensor and the number of elements that they promise.
fn count(path: &Path, tensor: &TensorProto) -> Result<(Vec<usize>, usize)> {
    let dims = tensor.dims.iter().map(|d| usize::try_from(*d).ok()).collect::<Option<Vec<_>>>();
    let total = |dims: &Vec<usize>| dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    match dims.as_ref().and_then(|dims| Some((dims.clone(), total(dims)?))) {
        Some(found) => Ok(found),
        None => Err(wrong(path, tensor, format!("has the dimensions {:?}", tensor.dims))),
    }
}

fn wrong(path: &Path, tensor: &TensorProto, what: String) -> Error {
    Error::onnx(path, format!("tensor \"{}\" {what}", tensor.name))
}

/// The tensor's bytes, from the file itself or from the file it points to.
fn bytes<'a>(path: &Path, tensor: &'a TensorProto) -> Result<Cow<'a, [u8]>> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        external_data(path, tensor).map(Into::into)
    } else {
        Ok(tensor.raw_data.as_slice().into())
    }
}

fn check_length(path: &Path, tensor: &TensorProto, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(wrong(
            path,
            tensor,
            format!("promises {expected} elements ({:?}) and holds {found}", tensor.dims),
        ))
    }
}

/// Dimensions and values of a float32 tensor.
///
/// # Errors
/// [`Error::Onnx`] if it holds another type, or not as many values as it promises.
pub(crate) fn floats(path: &Path, tensor: &TensorProto) -> Result<(Vec<usize>, Vec<f32>)> {
    if tensor.data_type != DataType::Float as i32 {
        let kind = DataType::try_from(tensor.data_type)
            .map_or("an unknown type".to_owned(), |kind| format!("{kind:?}"));
        return Err(wrong(
            path,
            tensor,
            format!("holds {kind}; only float32 weights are imported"),
        ));
    }
    let (dims, expected) = count(path, tensor)?;
    let values = if tensor.float_data.is_empty() {
        bytes(path, tensor)?.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    } else {
        tensor.float_data.clone()
    };
    check_length(path, tensor, values.len(), expected)?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(wrong(path, tensor, format!("holds {} at index {at}", values[at])));
    }
    Ok((dims, values))
}

/// The values of an int64 or int32 tensor.
///
/// # Errors
/// As [`floats`].
pub(crate) fn ints(path: &Path, tensor: &TensorProto) -> Result<Vec<i64>> {
    let (_, expected) = count(path, tensor)?;
    let raw = bytes(path, tensor)?;
    let values: Vec<i64> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int64) if !raw.is_empty() => {
            raw.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
        }
        Ok(DataType::Int64) => tensor.int64_data.clone(),
        Ok(DataType::Int32) if !raw.is_empty() => {
            raw.as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect()
        }
        Ok(DataType::Int32) => tensor.int32_data.iter().map(|v| i64::from(*v)).collect(),
        _ => return Err(wrong(path, tensor, "is not a list of integers".to_owned())),
    };
    check_length(path, tensor, values.len(), expected)?;
    Ok(values)
}

/// What a tensor holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// Floats of any width, in single precision.
    Floats(Vec<f32>),
    /// Integers of any width.
    Ints(Vec<i64>),
    /// Truth values.
    Bools(Vec<bool>),
}

/// Dimensions and values of a tensor of floats, integers or truth values of any width, infinite
/// ones included.
///
/// # Errors
/// [`Error::Onnx`] if it holds another type, or not as many values as it promises.
pub(crate) fn numbers(path: &Path, tensor: &TensorProto) -> Result<(Vec<usize>, Numbers)> {
    use DataType as T;
    let (dims, expected) = count(path, tensor)?;
    let raw = bytes(path, tensor)?;
    let kind = T::try_from(tensor.data_type).unwrap_or(T::Undefined);
    // What is narrower than 32 bits has that field in common.
    let narrow = || tensor.int32_data.iter().copied();
    let unpacked = raw.is_empty();
    let halves = || raw.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
    let half_bits = || -> Vec<u16> {
        if unpacked { narrow().map(|bits| bits as u16).collect() } else { halves().collect() }
    };
    let numbers = match kind {
        T::Float if unpacked => Numbers::Floats(tensor.float_data.clone()),
        T::Float => Numbers::Floats(each(&raw, f32::from_le_bytes)),
        T::Double if unpacked => {
            Numbers::Floats(tensor.double_data.iter().map(|v| *v as f32).collect())
        }
        T::Double => Numbers::Floats(each(&raw, |b: [u8; 8]| f64::from_le_bytes(b) as f32)),
        T::Float16 => {
            let float = |bits: u16| f16::from_bits(bits).to_f32();
            Numbers::Floats(half_bits().into_iter().map(float).collect())
        }
        T::Bfloat16 => {
            let float = |bits: u16| f32::from_bits(u32::from(bits) << 16);
            Numbers::Floats(half_bits().into_iter().map(float).collect())
        }
        T::Int64 if unpacked => Numbers::Ints(tensor.int64_data.clone()),
        T::Int64 => Numbers::Ints(each(&raw, i64::from_le_bytes)),
        T::Uint64 | T::Uint32 if unpacked => {
            Numbers::Ints(tensor.uint64_data.iter().map(|v| *v as i64).collect())
        }
        T::Uint64 => Numbers::Ints(each(&raw, |b: [u8; 8]| u64::from_le_bytes(b) as i64)),
        T::Uint32 => Numbers::Ints(each(&raw, |b| i64::from(u32::from_le_bytes(b)))),
        T::Int32 | T::Int16 | T::Int8 | T::Uint16 | T::Uint8 if unpacked => {
            Numbers::Ints(narrow().map(i64::from).collect())
        }
        T::Int32 => Numbers::Ints(each(&raw, |b| i64::from(i32::from_le_bytes(b)))),
        T::Int16 => Numbers::Ints(each(&raw, |b| i64::from(i16::from_le_bytes(b)))),
        T::Uint16 => Numbers::Ints(each(&raw, |b| i64::from(u16::from_le_bytes(b)))),
        T::Int8 => Numbers::Ints(each(&raw, |b| i64::from(i8::from_le_bytes(b)))),
        T::Uint8 => Numbers::Ints(each(&raw, |b: [u8; 1]| i64::from(b[0]))),
        T::Bool if unpacked => Numbers::Bools(narrow().map(|v| v != 0).collect()),
        T::Bool => Numbers::Bools(raw.iter().map(|byte| *byte != 0).collect()),
        other => return Err(wrong(path, tensor, format!("holds {other:?}, which is not read"))),
    };
    let found = match &numbers {
        Numbers::Floats(values) => values.len(),
        Numbers::Ints(values) => values.len(),
        Numbers::Bools(values) => values.len(),
    };
    check_length(path, tensor, found, expected)?;
    Ok((dims, numbers))
}

fn each<const N: usize, T>(raw: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|bytes| value(*bytes)).collect()
}
