//! Weights in a file beside the model: `NAME.onnx.data`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, ModelProto, StringStringEntryProto, TensorProto};

use super::tensors;
use crate::error::{Error, Result};

/// The most bytes of a protobuf message.
pub(crate) const LIMIT: usize = i32::MAX as usize;

/// A tensor of fewer bytes stays in the model, as onnx itself leaves it there.
const FEWEST_BYTES: usize = 1024;
/// Weights begin at multiples of this, so that a runtime can map the file.
const ALIGNMENT: u64 = 4096;

/// The file beside the one at `path`.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".data");
    name.into()
}

/// Whether a model needs a second file to keep to `limit`.
pub(super) fn is_large(model: &ModelProto, limit: usize) -> bool {
    // What is written has a byte more for some numbers.
    model.encoded_len() > limit - limit / 1000
}

/// Whether some of a graph's tensors lie in other files.
pub(super) fn is_outside(graph: &GraphProto) -> bool {
    let there = |tensor: &TensorProto| tensor.data_location == Some(DataLocation::External as i32);
    tensors::of_graph(graph).into_iter().any(there)
}

/// What `then` makes of `model` while its larger weights lie in the file `data`, which is
/// written; afterwards they are in the model again. Errors of the file name `destination`.
///
/// # Errors
/// [`Error::Io`], [`Error::Unsupported`] for a name that is not Unicode, and those of `then`.
pub(super) fn without_weights<T>(
    model: &mut ModelProto,
    data: &Path,
    destination: &Path,
    then: impl FnOnce(&ModelProto) -> Result<T>,
) -> Result<T> {
    let Some(name) = data.file_name().and_then(|name| name.to_str()) else {
        return Err(Error::unsupported(
            destination,
            "the name is not valid Unicode; choose another",
        ));
    };
    let mut file = BufWriter::new(File::create(data).map_err(Error::io(destination))?);
    let mut offset = 0;
    let mut aside = vec![];
    for (at, tensor) in model.graph.iter_mut().flat_map(|g| &mut g.initializer).enumerate() {
        make_raw(tensor);
        if tensor.raw_data.len() >= FEWEST_BYTES {
            let start = pad(&mut file, offset).and_then(|start| {
                file.write_all(&tensor.raw_data)?;
                Ok(start)
            });
            let start = start.map_err(Error::io(destination))?;
            offset = start + tensor.raw_data.len() as u64;
            tensor.external_data = location(name, start, tensor.raw_data.len());
            tensor.data_location = Some(DataLocation::External as i32);
            aside.push((at, std::mem::take(&mut tensor.raw_data)));
        }
    }
    file.flush().map_err(Error::io(destination))?;
    let result = then(model);
    if let Some(graph) = &mut model.graph {
        for (at, bytes) in aside {
            let tensor = &mut graph.initializer[at];
            tensor.raw_data = bytes;
            tensor.external_data.clear();
            tensor.data_location = None;
        }
    }
    result
}

/// Fills the file up to where the next tensor begins; that place.
fn pad(file: &mut impl Write, offset: u64) -> io::Result<u64> {
    let start = offset.next_multiple_of(ALIGNMENT);
    io::copy(&mut io::Read::take(io::repeat(0), start - offset), file)?;
    Ok(start)
}

fn location(name: &str, offset: u64, length: usize) -> Vec<StringStringEntryProto> {
    let entries = [
        ("location", name.to_owned()),
        ("offset", offset.to_string()),
        ("length", length.to_string()),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
    entries.map(entry).into()
}

/// Values in a typed list as the bytes that they are, which is what another file can hold.
fn make_raw(tensor: &mut TensorProto) {
    let bytes: Vec<u8> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => tensor.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Double) => tensor.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Int64) => tensor.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Int32) => tensor.int32_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(DataType::Float16 | DataType::Bfloat16) => {
            tensor.int32_data.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect()
        }
        _ => return,
    };
    if !bytes.is_empty() {
        tensor.raw_data = bytes;
        tensor.float_data = vec![];
        tensor.double_data = vec![];
        tensor.int64_data = vec![];
        tensor.int32_data = vec![];
    }
}
