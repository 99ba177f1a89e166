//! A head appended to a backbone's own ONNX graph, for backbones that the importer
//! cannot bring into burn.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::pooled;
use crate::error::{Error, Result};
use crate::features::PatchKind;
use crate::model::{Feed, Head};
use crate::onnx;
use crate::onnx::names::{LOG_MEL, OUTPUTS};
use crate::onnx::nodes::{float_tensor, int, int64_tensor, ints, node, port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::onnx::prune::rename;
use crate::onnx::prune::{inline, keep_what_leads_to};
use crate::runtime::PatchInput;

/// Gemm broadcasts its bias, and initializers need not be inputs, since these versions.
const OLDEST: (i64, i64) = (7, 4);

/// The graph at `path`, fed as `feed` says from `log_mel`, patches of this kind as trainings keep
/// them, up to its embeddings and followed by `head`.
pub(super) fn append_head(
    path: &Path,
    feed: &Feed,
    head: &Head,
    kind: PatchKind,
) -> Result<ModelProto> {
    let mut model = onnx::read(path)?;
    if model.opset_import.iter().any(|set| set.domain.is_empty() && set.version < OLDEST.0) {
        let reason = format!("its opset is older than {}; convert it to a newer one", OLDEST.0);
        return Err(Error::onnx(path, reason));
    }
    model.ir_version = model.ir_version.max(OLDEST.1);
    let Feed { input, output, .. } = feed;
    let rank = onnx::output(&model, path, Some(output))?.dims.len();
    let opset = opset::of(&model);
    let source = onnx::input(&model, path)?.name;
    // Our names must be free, and two of the backbone's tensors are known by ours.
    let ours =
        [LOG_MEL, OUTPUTS[0], OUTPUTS[1]].map(|name| (name.to_owned(), format!("backbone.{name}")));
    let mut names = BTreeMap::from(ours);
    for name in tensors(&model) {
        // Those of the layers we add.
        if name.starts_with("head.") || name.starts_with("feed.") {
            names.insert(name.clone(), format!("backbone.{name}"));
        }
    }
    names.insert(source, "backbone.input".to_owned());
    names.insert(output.clone(), "backbone.output".to_owned());
    rename(&mut model, &names);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    keep_what_leads_to(graph, HashSet::from(["backbone.output".to_owned()]));
    for tensor in &mut graph.initializer {
        inline(path, tensor)?;
    }
    let backbone = std::mem::take(&mut graph.node);
    let given = given(graph, input);
    graph.node = given.into_iter().chain(backbone).collect();
    let mut row = Builder::new("head", opset);
    pooled::embeddings(&mut row, opset, feed, rank, "backbone.output");
    row.append_to(graph);
    let tail = tail(graph, head);
    graph.node.extend(tail);
    graph.input = vec![port(LOG_MEL, input.batch, &kind.shape())];
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

/// Nodes from `log_mel` to the arrangement the backbone wants.
fn given(graph: &mut GraphProto, input: &PatchInput) -> Vec<NodeProto> {
    let count = input.batch.map_or(-1, |batch| batch as i64);
    let mut shape: Vec<i64> = input.shape.iter().map(|size| *size as i64).collect();
    if let Some(axis) = input.batch_axis {
        shape.insert(axis.min(shape.len()), count);
    }
    graph.initializer.push(int64_tensor("feed.shape", shape));
    let reshape = |from| node("Reshape", &[from, "feed.shape"], "backbone.input", vec![]);
    if !input.is_turned() {
        return vec![reshape(LOG_MEL)];
    }
    let parts = input.parts.iter().map(|size| *size as i64);
    let parts: Vec<i64> = std::iter::once(count).chain(parts).collect();
    graph.initializer.push(int64_tensor("feed.parts", parts));
    let order = input.order.map(|axis| axis as i64);
    vec![
        node("Reshape", &[LOG_MEL, "feed.parts"], "feed.parted", vec![]),
        node("Transpose", &["feed.parted"], "feed.turned", vec![ints("perm", &order)]),
        reshape("feed.turned"),
    ]
}

/// Nodes from the embeddings to the probabilities.
fn tail(graph: &mut GraphProto, head: &Head) -> Vec<NodeProto> {
    let [probabilities, embeddings] = OUTPUTS;
    let mut nodes = vec![];
    let mut last = embeddings.to_owned();
    for (index, (shape, weights, bias)) in head.layers().into_iter().enumerate() {
        let [weight_name, bias_name] =
            ["weight", "bias"].map(|part| format!("head.{index}.{part}"));
        graph.initializer.push(float_tensor(&weight_name, &shape, &weights));
        graph.initializer.push(float_tensor(&bias_name, &shape[1..], &bias));
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
