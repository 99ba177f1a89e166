//! Safe reading of ONNX files: nothing a file says is believed before it is checked.
//!
//! A model file is often a stranger's. [`read`] therefore refuses, before any runtime
//! sees them, files that are truncated or not ONNX at all, tensors whose declared shape
//! does not match the bytes that are there (a claim of 2^40 elements costs nothing to
//! write and a machine to believe), and external data outside the model's own folder.
//!
//! Format: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use prost::Message;
use prost::bytes::Buf;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto};
use tract_onnx::pb::{ValueInfoProto, type_proto};

use crate::error::{Error, Result};
use crate::runtime::Port;

/// Reads and checks the ONNX file at `path`.
///
/// The file is decoded as it is read, so that it is never in memory twice. External
/// data stays where it is; only that it is safe and large enough is checked.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Onnx`] if it is empty, truncated
/// or not ONNX, has no graph, has a tensor whose dimensions do not match its data, or
/// refers to external data that is missing, too short or outside the model's folder.
pub fn read(path: &Path) -> Result<ModelProto> {
    let file = File::open(path).map_err(Error::io(path))?;
    let metadata = file.metadata().map_err(Error::io(path))?;
    if !metadata.is_file() {
        return Err(Error::onnx(path, "not a file; give the .onnx file itself"));
    }
    if metadata.len() == 0 {
        return Err(Error::onnx(path, "the file is empty"));
    }
    let mut source = FileBuf::new(file, metadata.len());
    let decoded = ModelProto::decode(&mut source);
    if let Some(error) = source.failure {
        return Err(Error::io(path)(error));
    }
    let model = decoded.map_err(|e| {
        Error::onnx(path, format!("not an ONNX model, or a truncated or damaged one ({e})"))
    })?;
    Checker { path }.model(&model)?;
    Ok(model)
}

/// The model's `metadata_props`, by key.
pub fn metadata(model: &ModelProto) -> BTreeMap<String, String> {
    model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

/// The model's one input, which must be a float tensor. Initializers that are listed as
/// inputs as well, as old exporters do, are not counted.
///
/// # Errors
/// [`Error::Onnx`] if there is none, more than one, or it is of another type.
pub fn input(model: &ModelProto, path: &Path) -> Result<Port> {
    let graph = model.graph.as_ref();
    let weights: HashSet<&str> =
        graph.into_iter().flat_map(|g| &g.initializer).map(|t| t.name.as_str()).collect();
    let inputs: Vec<&ValueInfoProto> = graph
        .into_iter()
        .flat_map(|g| &g.input)
        .filter(|input| !weights.contains(input.name.as_str()))
        .collect();
    match inputs[..] {
        [input] => port(input, path),
        _ => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            Err(Error::onnx(path, format!("needs exactly one input but has {names:?}")))
        }
    }
}

/// The model's outputs, which must be float tensors, in its order.
///
/// # Errors
/// [`Error::Onnx`] if one is of another type.
pub fn outputs(model: &ModelProto, path: &Path) -> Result<Vec<Port>> {
    model.graph.iter().flat_map(|g| &g.output).map(|output| port(output, path)).collect()
}

/// The size of the model's weights, in bytes, wherever they are stored.
pub(crate) fn weight_bytes(model: &ModelProto) -> usize {
    let bytes = |tensor: &TensorProto| {
        let element = DataType::try_from(tensor.data_type).ok().and_then(Element::of)?;
        usize::try_from(element.bytes(elements(&tensor.dims)?)).ok()
    };
    model.graph.iter().flat_map(|graph| &graph.initializer).filter_map(bytes).sum()
}

fn port(value: &ValueInfoProto, path: &Path) -> Result<Port> {
    let Some(type_proto::Value::TensorType(tensor)) =
        value.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(Error::onnx(path, format!("\"{}\" is not a tensor", value.name)));
    };
    if tensor.elem_type != DataType::Float as i32 {
        let name =
            DataType::try_from(tensor.elem_type).map_or("of an unknown type", |t| t.as_str_name());
        return Err(Error::onnx(path, format!("\"{}\" is {name}, not FLOAT", value.name)));
    }
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let size = |dim: &Dimension| match dim.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    Ok(Port { name: value.name.clone(), dims: dims.map(size).collect() })
}

/// The bytes of a tensor whose data lies in a file of its own.
///
/// # Errors
/// [`Error::Onnx`] if that file is missing, too short or outside the model's folder.
pub fn external_data(path: &Path, tensor: &TensorProto) -> Result<Vec<u8>> {
    let (file, offset, length) = Checker { path }.external(tensor, &tensor.name)?;
    let mut source = File::open(&file).map_err(Error::io(&file))?;
    source.seek(SeekFrom::Start(offset)).map_err(Error::io(&file))?;
    let mut bytes = Vec::new();
    source.take(length).read_to_end(&mut bytes).map_err(Error::io(&file))?;
    Ok(bytes)
}

/// The model's graph.
///
/// # Errors
/// [`Error::Onnx`] if there is none, which [`read`] has already ruled out.
pub fn graph<'a>(path: &Path, model: &'a ModelProto) -> Result<&'a GraphProto> {
    model.graph.as_ref().ok_or_else(|| Error::onnx(path, "there is no graph inside"))
}

/// The same, to be changed.
///
/// # Errors
/// Those of [`graph`].
pub fn graph_mut<'a>(path: &Path, model: &'a mut ModelProto) -> Result<&'a mut GraphProto> {
    model.graph.as_mut().ok_or_else(|| Error::onnx(path, "there is no graph inside"))
}

/// A file as protobuf input, read in pieces as the decoder asks for them.
///
/// A read that fails cannot be reported through [`Buf`]: the rest then reads as zeros,
/// and the failure waits in `failure` for whoever called the decoder.
struct FileBuf {
    file: File,
    remaining: usize,
    block: Vec<u8>,
    start: usize,
    end: usize,
    failure: Option<io::Error>,
}

impl FileBuf {
    const BLOCK: usize = 1 << 18;

    fn new(file: File, length: u64) -> Self {
        let remaining = usize::try_from(length).unwrap_or(usize::MAX);
        let block = vec![0; Self::BLOCK];
        let mut buf = Self { file, remaining, block, start: 0, end: 0, failure: None };
        buf.refill();
        buf
    }

    fn refill(&mut self) {
        (self.start, self.end) = (0, self.remaining.min(Self::BLOCK));
        let wanted = &mut self.block[..self.end];
        if self.failure.is_some() {
            wanted.fill(0);
        } else if let Err(error) = self.file.read_exact(wanted) {
            wanted.fill(0);
            self.failure = Some(error);
        }
    }
}

impl Buf for FileBuf {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end of the file");
        while count > 0 {
            let step = count.min(self.end - self.start);
            self.start += step;
            self.remaining -= step;
            count -= step;
            if self.start == self.end {
                self.refill();
            }
        }
    }
}

/// Walks every tensor of a model; `path` is the model file, for messages and as the
/// place that external data must not leave.
struct Checker<'a> {
    path: &'a Path,
}

impl Checker<'_> {
    fn fail<T>(&self, reason: impl ToString) -> Result<T> {
        Err(Error::onnx(self.path, reason))
    }

    fn model(&self, model: &ModelProto) -> Result<()> {
        let Some(graph) = &model.graph else {
            return self.fail("there is no graph inside; this is not an ONNX model");
        };
        if graph.node.is_empty() {
            return self.fail("the graph has no nodes");
        }
        self.graph(graph)?;
        self.outputs_exist(graph)?;
        let training = model.training_info.iter();
        for graph in training.flat_map(|t| t.initialization.iter().chain(&t.algorithm)) {
            self.graph(graph)?;
        }
        model.functions.iter().try_for_each(|function| self.nodes(&function.node))
    }

    /// Every output of the main graph must come from somewhere (tract panics otherwise).
    fn outputs_exist(&self, graph: &GraphProto) -> Result<()> {
        let known: HashSet<&str> = (graph.node.iter().flat_map(|n| &n.output))
            .chain(graph.input.iter().map(|v| &v.name))
            .chain(graph.initializer.iter().map(|t| &t.name))
            .map(String::as_str)
            .collect();
        match graph.output.iter().find(|output| !known.contains(output.name.as_str())) {
            Some(output) => self.fail(format!("no node makes the output \"{}\"", output.name)),
            None => Ok(()),
        }
    }

    // The recursion is bounded: prost refuses messages nested more than 100 deep.
    fn graph(&self, graph: &GraphProto) -> Result<()> {
        graph.initializer.iter().try_for_each(|tensor| self.tensor(tensor, &tensor.name))?;
        graph.sparse_initializer.iter().try_for_each(|tensor| self.sparse(tensor, "sparse"))?;
        self.nodes(&graph.node)
    }

    fn nodes(&self, nodes: &[NodeProto]) -> Result<()> {
        for node in nodes {
            let name = if node.name.is_empty() {
                node.output.first().map_or("?", String::as_str)
            } else {
                &node.name
            };
            for a in &node.attribute {
                let label = format!("{name}.{}", a.name);
                a.t.iter().chain(&a.tensors).try_for_each(|tensor| self.tensor(tensor, &label))?;
                let sparse = a.sparse_tensor.iter().chain(&a.sparse_tensors);
                sparse.into_iter().try_for_each(|tensor| self.sparse(tensor, &label))?;
                a.g.iter().chain(&a.graphs).try_for_each(|graph| self.graph(graph))?;
            }
        }
        Ok(())
    }

    fn sparse(&self, sparse: &SparseTensorProto, label: &str) -> Result<()> {
        // The dense form is what a runtime allocates, and the file holds no bytes to
        // compare its size with; no model this crate handles needs one beyond 1 GiB.
        if elements(&sparse.dims).is_none_or(|n| n > 1 << 28) {
            return self
                .fail(format!("sparse tensor \"{label}\" of {:?} is too large", sparse.dims));
        }
        sparse.values.iter().chain(&sparse.indices).try_for_each(|t| self.tensor(t, label))
    }

    fn tensor(&self, tensor: &TensorProto, label: &str) -> Result<()> {
        let Some(count) = elements(&tensor.dims) else {
            return self
                .fail(format!("tensor \"{label}\" has impossible dimensions {:?}", tensor.dims));
        };
        let Some(element) = DataType::try_from(tensor.data_type).ok().and_then(Element::of) else {
            return self.fail(format!(
                "tensor \"{label}\" has the unknown element type {}",
                tensor.data_type
            ));
        };
        let (wanted, found) = if tensor.data_location == Some(DataLocation::External as i32) {
            (element.bytes(count), self.external(tensor, label)?.2.into())
        } else if !tensor.raw_data.is_empty() {
            (element.bytes(count), tensor.raw_data.len() as u128)
        } else {
            (element.fields(count), element.field_count(tensor))
        };
        if wanted == found {
            return Ok(());
        }
        let unit = if tensor.raw_data.is_empty() && tensor.external_data.is_empty() {
            "values"
        } else {
            "bytes"
        };
        self.fail(format!(
            "tensor \"{label}\" of dimensions {:?} needs {wanted} {unit} of data but has {found}",
            tensor.dims
        ))
    }

    /// Where a tensor's external data is: file, offset and length in bytes.
    fn external(&self, tensor: &TensorProto, label: &str) -> Result<(PathBuf, u64, u64)> {
        let entry = |key| tensor.external_data.iter().find(|e| e.key == key).map(|e| &e.value);
        let number = |key| match entry(key).map(|v| v.parse::<u64>()) {
            Some(Ok(number)) => Ok(Some(number)),
            None => Ok(None),
            Some(Err(e)) => self.fail(format!("tensor \"{label}\": external data {key}: {e}")),
        };
        let Some(location) = entry("location") else {
            return self.fail(format!("tensor \"{label}\" has external data without a location"));
        };
        let file = self.inside(location, label)?;
        let size = fs::metadata(&file).map_err(Error::io(&file))?.len();
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(size.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return self.fail(format!(
                "tensor \"{label}\": external data \"{location}\" has {size} bytes, too few for \
                 {length} from {offset}"
            ));
        }
        Ok((file, offset, length))
    }

    /// The file that `location` names, if it is a file inside the model's folder.
    fn inside(&self, location: &str, label: &str) -> Result<PathBuf> {
        let refuse = |why: &str| {
            self.fail(format!("tensor \"{label}\": external data location \"{location}\" {why}"))
        };
        let plain = |c| matches!(c, Component::Normal(_) | Component::CurDir);
        if !Path::new(location).components().all(plain) {
            return refuse("is not a plain path inside the model's folder");
        }
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = folder.canonicalize().map_err(Error::io(folder))?;
        let Ok(file) = folder.join(location).canonicalize() else {
            return refuse("does not exist");
        };
        if !file.starts_with(&folder) {
            return refuse("leads outside the model's folder through a link");
        }
        if !file.is_file() {
            return refuse("is not a file");
        }
        Ok(file)
    }
}

/// The number of elements of a shape; `None` if a dimension is negative or the product
/// does not fit in 64 bits.
fn elements(dims: &[i64]) -> Option<u64> {
    dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(u64::try_from(dim).ok()?))
}

/// How an element type is stored.
#[derive(Clone, Copy)]
struct Element {
    /// Bits per element in raw data; 0 for strings, which have no raw form.
    bits: u32,
    /// The typed field that holds the values when there is no raw data.
    field: Field,
    /// Values of that field per element (2 for complex numbers).
    per_element: u32,
}

#[derive(Clone, Copy)]
enum Field {
    Float,
    Double,
    Int32,
    Int64,
    Uint64,
    String,
}

impl Element {
    fn of(data_type: DataType) -> Option<Self> {
        use DataType as T;
        let (bits, field, per_element) = match data_type {
            T::Undefined => return None,
            T::Float => (32, Field::Float, 1),
            T::Complex64 => (64, Field::Float, 2),
            T::Double => (64, Field::Double, 1),
            T::Complex128 => (128, Field::Double, 2),
            T::Int64 => (64, Field::Int64, 1),
            T::Uint32 => (32, Field::Uint64, 1),
            T::Uint64 => (64, Field::Uint64, 1),
            T::Int32 => (32, Field::Int32, 1),
            T::Int16 | T::Uint16 | T::Float16 | T::Bfloat16 => (16, Field::Int32, 1),
            T::String => (0, Field::String, 1),
            // The four-bit types pack two elements to a byte, in either form.
            T::Int4 | T::Uint4 | T::Float4e2m1 => (4, Field::Int32, 1),
            // What is left is one byte wide: int8, uint8, bool and the float8 family.
            _ => (8, Field::Int32, 1),
        };
        Some(Self { bits, field, per_element })
    }

    fn bytes(self, count: u64) -> u128 {
        (u128::from(count) * u128::from(self.bits)).div_ceil(8)
    }

    fn fields(self, count: u64) -> u128 {
        if self.bits == 4 {
            return self.bytes(count);
        }
        u128::from(count) * u128::from(self.per_element)
    }

    fn field_count(self, tensor: &TensorProto) -> u128 {
        let count = match self.field {
            Field::Float => tensor.float_data.len(),
            Field::Double => tensor.double_data.len(),
            Field::Int32 => tensor.int32_data.len(),
            Field::Int64 => tensor.int64_data.len(),
            Field::Uint64 => tensor.uint64_data.len(),
            Field::String => tensor.string_data.len(),
        };
        count as u128
    }
}
