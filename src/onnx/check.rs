//! What a file says of its tensors, compared with the bytes that are there.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto};

use super::{bounds, scalars, tensors};
use crate::error::{Error, Result};

/// The widest padding on one side of one axis: four seconds at 16 kHz, for networks of samples.
const WIDEST_PADDING: u64 = 1 << 16;

/// Walks every tensor of a model; `path` is the model file, for messages and as the
/// place that external data must not leave.
pub(super) struct Checker<'a> {
    pub path: &'a Path,
}

/// The files besides itself that hold weights of `model`, read from `path`, wherever in it they
/// are named.
///
/// # Errors
/// [`Error::Onnx`] for one that is not safe, which reading has ruled out.
pub(crate) fn external_files(model: &ModelProto, path: &Path) -> Result<BTreeSet<PathBuf>> {
    let tensors = tensors::of_model(model).into_iter();
    let outside = Some(DataLocation::External as i32);
    let file = |tensor: &TensorProto| Ok(Checker { path }.external(tensor, &tensor.name)?.0);
    tensors.filter(|tensor| tensor.data_location == outside).map(file).collect()
}

impl Checker<'_> {
    fn fail<T>(&self, reason: impl ToString) -> Result<T> {
        Err(Error::onnx(self.path, reason.to_string()))
    }

    pub fn model(&self, model: &ModelProto) -> Result<()> {
        let Some(graph) = &model.graph else {
            return self.fail("there is no graph inside; this is not an ONNX model");
        };
        if graph.node.is_empty() {
            return self.fail("the graph has no nodes");
        }
        self.graph(graph)?;
        self.outputs_exist(graph)?;
        bounds::check(graph).map_err(|excess| Error::onnx(self.path, excess))?;
        scalars::check(graph).map_err(|wrong| Error::onnx(self.path, wrong))?;
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
            self.padding(node, name)?;
            self.kernel(node, name)?;
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

    /// A padding that a file can afford to write and no machine to compute: runtimes abort the
    /// process when there is no memory for it.
    fn padding(&self, node: &NodeProto, name: &str) -> Result<()> {
        let named = |name| node.attribute.iter().find(|a| a.name == name);
        let values = ["pads", "output_padding"].into_iter().filter_map(named).flat_map(|a| &a.ints);
        match values.copied().find(|value| value.unsigned_abs() > WIDEST_PADDING) {
            Some(value) => self.fail(format!(
                "{} \"{name}\" pads by {value}, and no network by more than {WIDEST_PADDING}",
                node.op_type
            )),
            None => Ok(()),
        }
    }

    /// A pooling along no axis, of which tract reads what is not its own memory.
    fn kernel(&self, node: &NodeProto, name: &str) -> Result<()> {
        let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape");
        match (&*node.op_type, kernel) {
            (pool @ ("MaxPool" | "AveragePool" | "LpPool"), Some(kernel))
                if kernel.ints.is_empty() =>
            {
                self.fail(format!("{pool} \"{name}\" pools along no axis (kernel_shape is empty)"))
            }
            _ => Ok(()),
        }
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
    pub fn external(&self, tensor: &TensorProto, label: &str) -> Result<(PathBuf, u64, u64)> {
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

/// The size of the model's weights, in bytes, wherever they are stored.
pub(crate) fn weight_bytes(model: &ModelProto) -> usize {
    let bytes = |tensor: &TensorProto| {
        let element = DataType::try_from(tensor.data_type).ok().and_then(Element::of)?;
        usize::try_from(element.bytes(elements(&tensor.dims)?)).ok()
    };
    model.graph.iter().flat_map(|graph| &graph.initializer).filter_map(bytes).sum()
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

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, StringStringEntryProto};

    use super::*;

    /// A tensor that is all of the file of this name.
    fn outside(file: &str) -> TensorProto {
        let location = StringStringEntryProto { key: "location".into(), value: file.into() };
        TensorProto {
            external_data: vec![location],
            data_location: Some(DataLocation::External as i32),
            ..Default::default()
        }
    }

    fn node(attribute: AttributeProto) -> NodeProto {
        NodeProto { attribute: vec![attribute], ..Default::default() }
    }

    #[test]
    fn a_padding_that_takes_all_memory_is_refused_by_its_name() {
        let checked = |pads: &[i64]| {
            let pads =
                AttributeProto { name: "pads".into(), ints: pads.into(), ..Default::default() };
            let node = NodeProto { name: "c".into(), op_type: "Conv".into(), ..node(pads) };
            Checker { path: Path::new("m.onnx") }.nodes(&[node])
        };
        assert!(checked(&[32_768, 0, 32_768, 0]).is_ok());
        for pads in [[1_000_000, 0, 0, 0], [0, 0, 0, i64::MIN]] {
            let error = checked(&pads).unwrap_err().to_string();
            assert!(error.contains("Conv \"c\" pads by") && error.contains("65536"), "{error}");
        }
    }

    #[test]
    fn a_pooling_along_no_axis_is_refused_by_its_name() {
        let checked = |operator: &str, kernel: &[i64]| {
            let kernel = AttributeProto {
                name: "kernel_shape".into(),
                ints: kernel.into(),
                ..Default::default()
            };
            let node = NodeProto { name: "p".into(), op_type: operator.into(), ..node(kernel) };
            Checker { path: Path::new("m.onnx") }.nodes(&[node])
        };
        // A convolution's kernel may be left to its weights.
        assert!(checked("MaxPool", &[3]).is_ok() && checked("Conv", &[]).is_ok());
        let error = checked("AveragePool", &[]).unwrap_err().to_string();
        assert!(error.contains("AveragePool \"p\" pools along no axis"), "{error}");
    }

    #[test]
    fn files_are_found_wherever_a_model_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["branch", "constant", "weight"];
        for name in names {
            fs::write(folder.path().join(name), [0u8; 4]).unwrap();
        }
        let inner = GraphProto { initializer: vec![outside("branch")], ..Default::default() };
        let constant = AttributeProto { t: Some(outside("constant")), ..Default::default() };
        let branch = AttributeProto { g: Some(inner), ..Default::default() };
        let graph = GraphProto {
            initializer: vec![outside("weight"), outside("weight"), TensorProto::default()],
            node: vec![node(constant), node(branch)],
            ..Default::default()
        };
        let model = ModelProto { graph: Some(graph), ..Default::default() };
        let found = external_files(&model, &folder.path().join("m.onnx")).unwrap();
        let found: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(found, names);
    }
}
