//! A head appended to a backbone's own ONNX graph, for backbones that the importer
//! cannot bring into burn.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto, tensor_shape_proto, type_proto,
};

use super::{INPUT, OUTPUTS, rename};
use crate::error::{Error, Result};
use crate::model::Head;
use crate::model::import::{data_input, output_name};
use crate::onnx;
use crate::runtime::PatchInput;

/// Gemm broadcasts its bias, and initializers need not be inputs, since these versions.
const OLDEST: (i64, i64) = (7, 4);

/// The graph at `path` up to `output`, fed from `log_mel` and followed by `head`.
pub(super) fn append_head(
    path: &Path,
    output: Option<&str>,
    head: &Head,
    [frames, mels]: [usize; 2],
) -> Result<ModelProto> {
    let mut model = onnx::read(path)?;
    if model.opset_import.iter().any(|set| set.domain.is_empty() && set.version < OLDEST.0) {
        let reason = format!("its opset is older than {}; convert it to a newer one", OLDEST.0);
        return Err(Error::onnx(path, reason));
    }
    model.ir_version = model.ir_version.max(OLDEST.1);
    let input = data_input(path, &model, frames, mels)?;
    let output = output_name(path, &model, output)?.to_owned();
    let source = onnx::input(&model, path)?.name;
    // Our names must be free, and two of the backbone's tensors are known by ours.
    let ours =
        [INPUT, OUTPUTS[0], OUTPUTS[1]].map(|name| (name.to_owned(), format!("backbone.{name}")));
    let mut names = BTreeMap::from(ours);
    for name in tensors(&model) {
        // Those of the layers we add.
        if name.starts_with("head.") || name.starts_with("feed.") {
            names.insert(name.clone(), format!("backbone.{name}"));
        }
    }
    names.insert(source, "backbone.input".to_owned());
    names.insert(output, "backbone.output".to_owned());
    rename(&mut model, &names);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    keep_what_leads_to(graph, HashSet::from(["backbone.output".to_owned()]));
    for tensor in &mut graph.initializer {
        inline(path, tensor)?;
    }
    let backbone = std::mem::take(&mut graph.node);
    let feed = feed(graph, &input);
    let tail = tail(graph, head);
    graph.node = feed.into_iter().chain(backbone).chain(tail).collect();
    graph.input = vec![port(INPUT, input.batch, &[frames, mels])];
    graph.output = vec![
        port(OUTPUTS[0], input.batch, &[head.classes()]),
        port(OUTPUTS[1], input.batch, &[head.features()]),
    ];
    graph.value_info.clear();
    Ok(model)
}

/// The names of all tensors of the main graph that a node makes or a weight has.
fn tensors(model: &ModelProto) -> Vec<String> {
    let graph = model.graph.iter();
    let made = graph.clone().flat_map(|graph| &graph.node).flat_map(|node| &node.output);
    made.chain(graph.flat_map(|g| &g.initializer).map(|tensor| &tensor.name)).cloned().collect()
}

/// Removes the nodes and weights that no output comes from.
pub(super) fn keep_what_outputs_need(graph: &mut GraphProto) {
    let outputs = graph.output.iter().map(|port| port.name.clone()).collect();
    keep_what_leads_to(graph, outputs);
}

/// Removes the nodes and weights that none of the tensors `needed` comes from.
fn keep_what_leads_to(graph: &mut GraphProto, mut needed: HashSet<String>) {
    let mut nodes = vec![];
    for node in graph.node.drain(..).rev() {
        // A node with a subgraph may read tensors it does not list; keep all before it.
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned());
            for attribute in &node.attribute {
                let graphs = attribute.g.iter().chain(&attribute.graphs);
                needed.extend(graphs.flat_map(|g| &g.node).flat_map(|n| n.input.iter().cloned()));
            }
            nodes.push(node);
        }
    }
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
}

/// Brings external data into the file: what we export is one file.
fn inline(path: &Path, tensor: &mut TensorProto) -> Result<()> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        tensor.raw_data = onnx::external_data(path, tensor)?;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(())
}

/// Nodes from `log_mel` to the arrangement the backbone wants.
fn feed(graph: &mut GraphProto, input: &PatchInput) -> Vec<NodeProto> {
    let mut shape = vec![input.batch.map_or(-1, |batch| batch as i64)];
    shape.extend(input.shape.iter().map(|size| *size as i64));
    graph.initializer.push(int64s("feed.shape", shape));
    let reshape = |from| node("Reshape", &[from, "feed.shape"], "backbone.input", vec![]);
    if input.transposed {
        vec![
            node("Transpose", &[INPUT], "feed.transposed", vec![ints("perm", &[0, 2, 1])]),
            reshape("feed.transposed"),
        ]
    } else {
        vec![reshape(INPUT)]
    }
}

/// Nodes from the backbone's output to ours.
fn tail(graph: &mut GraphProto, head: &Head) -> Vec<NodeProto> {
    let [probabilities, embeddings] = OUTPUTS;
    let mut nodes = vec![node("Flatten", &["backbone.output"], embeddings, vec![int("axis", 1)])];
    let mut last = embeddings.to_owned();
    for (index, (shape, weights, bias)) in head.layers().into_iter().enumerate() {
        let [weight_name, bias_name] =
            ["weight", "bias"].map(|part| format!("head.{index}.{part}"));
        graph.initializer.push(floats(&weight_name, &shape, &weights));
        graph.initializer.push(floats(&bias_name, &shape[1..], &bias));
        if index > 0 {
            let activated = format!("head.{index}.relu");
            nodes.push(node("Relu", &[&last], &activated, vec![]));
            last = activated;
        }
        let logits = format!("head.{index}");
        nodes.push(node("Gemm", &[&last, &weight_name, &bias_name], &logits, vec![]));
        last = logits;
    }
    nodes.push(node("Softmax", &[&last], probabilities, vec![int("axis", 1)]));
    nodes
}

pub(crate) fn node(
    operator: &str,
    input: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        name: format!("{output}.node"),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..Default::default()
    }
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), r#type, i: value, ..Default::default() }
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Ints as i32;
    AttributeProto { name: name.to_owned(), r#type, ints: values.to_vec(), ..Default::default() }
}

pub(super) fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Tensor as i32;
    AttributeProto { name: name.to_owned(), r#type, t: Some(value), ..Default::default() }
}

pub(super) fn int64s(name: &str, values: Vec<i64>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values,
        ..Default::default()
    }
}

pub(crate) fn floats(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|size| *size as i64).collect(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

pub(crate) fn port(name: &str, batch: Option<usize>, shape: &[usize]) -> ValueInfoProto {
    let batch = batch.map_or(Size::Free("batch"), Size::Fixed);
    let sizes = shape.iter().map(|size| Size::Fixed(*size));
    sized_port(name, std::iter::once(batch).chain(sizes))
}

/// The size of an axis.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Fixed(usize),
    /// Any, called this.
    Free(&'static str),
}

/// An input or output of floats.
pub(super) fn sized_port(name: &str, sizes: impl IntoIterator<Item = Size>) -> ValueInfoProto {
    use tensor_shape_proto::dimension::Value::{DimParam, DimValue};
    let dim = |size| {
        let value = match size {
            Size::Fixed(size) => DimValue(size as i64),
            Size::Free(name) => DimParam(name.to_owned()),
        };
        tensor_shape_proto::Dimension { value: Some(value), ..Default::default() }
    };
    let shape = TensorShapeProto { dim: sizes.into_iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    let r#type = Some(TypeProto { value, ..Default::default() });
    ValueInfoProto { name: name.to_owned(), r#type, ..Default::default() }
}
