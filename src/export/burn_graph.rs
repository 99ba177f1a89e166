//! A burn model's graph, through burn-onnx's exporter.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimensionValue;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::model::{ChainModel, CnnEnsemble};
use crate::onnx::names::{LOG_MEL, OUTPUTS};
use crate::onnx::nodes::{int, int64_tensor, node};
use crate::onnx::prune::keep_what_outputs_need;
use crate::onnx::prune::rename;
use crate::onnx::values;

const LOGITS: &str = "logits";

/// The model as ONNX, with our names for its input and outputs.
pub(super) fn of<M: Exportable>(
    model: &M,
    [frames, mels]: [usize; 2],
    path: &Path,
) -> Result<ModelProto> {
    let device = Device::flex();
    let patches = |count| Tensor::<3>::zeros([count, frames, mels], &device);
    let specs = [InputSpec::new([AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static])];
    let exported = OnnxExporter::new()
        .export_dynamic(model, patches(2), patches(3), &specs, M::logits_and_embeddings)
        .map_err(|e| Error::onnx(path, format!("burn-onnx cannot export the model: {e}")))?;
    let proto = ModelProto::decode(exported.as_bytes());
    let mut proto = proto.map_err(|e| Error::onnx(path, e))?;
    make_shapes_constant(path, &mut proto);
    name_ports(&mut proto);
    append_probabilities(&mut proto, model.members(), model.task());
    proto.metadata_props.clear();
    Ok(proto)
}

/// A model whose graph ends in logits: burn-onnx cannot lower a softmax, so it gets one of
/// ONNX's own.
pub(super) trait Exportable: Module {
    /// Networks whose logits stand side by side, and whose probabilities are averaged.
    fn members(&self) -> usize;

    /// What it tells of a track.
    fn task(&self) -> Task;

    /// Logits `[batch, members * classes]` and embeddings of patches `[batch, frames, mels]`.
    fn logits_and_embeddings(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>);
}

impl Exportable for ChainModel {
    fn members(&self) -> usize {
        1
    }

    fn task(&self) -> Task {
        self.head.task()
    }

    fn logits_and_embeddings(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let embeddings = self.backbone.forward(log_mel);
        (self.head.forward(embeddings.clone()), embeddings)
    }
}

impl Exportable for CnnEnsemble {
    fn members(&self) -> usize {
        self.members.len()
    }

    fn task(&self) -> Task {
        self.task
    }

    fn logits_and_embeddings(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        self.forward(log_mel)
    }
}

/// Makes the shape of every reshape a constant with a free batch. burn-onnx computes it
/// from the input by Shape, Gather and Concat, which GPUs leave to the processor.
fn make_shapes_constant(path: &Path, proto: &mut ModelProto) {
    let Some(graph) = &mut proto.graph else { return };
    let shapes = constant_shapes(path, graph);
    graph.node.retain(|node| !shapes.iter().any(|shape| node.output.contains(&shape.name)));
    graph.initializer.extend(shapes);
    keep_what_outputs_need(graph);
}

/// What the graph's Concat nodes of one gathered size and constants come to.
fn constant_shapes(path: &Path, graph: &GraphProto) -> Vec<TensorProto> {
    let gathers = graph.node.iter().filter(|node| node.op_type == "Gather");
    let gathered: HashSet<&String> = gathers.flat_map(|node| &node.output).collect();
    let constants: HashMap<&String, i64> = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.dims == [1])
        .filter_map(|tensor| Some((&tensor.name, *values::ints(path, tensor).ok()?.first()?)))
        .collect();
    let shape = |node: &NodeProto| {
        let free: Vec<usize> =
            (0..node.input.len()).filter(|at| gathered.contains(&node.input[*at])).collect();
        let [free] = free[..] else { return None };
        let sizes = node.input.iter().enumerate();
        let mut sizes = sizes
            .map(|(at, name)| if at == free { Some(-1) } else { constants.get(name).copied() })
            .collect::<Option<Vec<i64>>>()?;
        // One size may be left to be inferred; the first may be copied from the input instead.
        match (sizes.iter().filter(|size| **size < 0).count(), free) {
            (1, _) => {}
            (2, 0) => sizes[0] = 0,
            _ => return None,
        }
        Some(int64_tensor(node.output.first()?, sizes))
    };
    graph.node.iter().filter(|node| node.op_type == "Concat").filter_map(shape).collect()
}

fn append_probabilities(proto: &mut ModelProto, members: usize, task: Task) {
    let Some(graph) = &mut proto.graph else { return };
    let activation = |from: &str, to: &str, axis| match task {
        Task::SingleLabel => node("Softmax", &[from], to, vec![int("axis", axis)]),
        Task::MultiLabel => node("Sigmoid", &[from], to, vec![]),
    };
    if members == 1 {
        graph.node.push(activation(LOGITS, OUTPUTS[0], 1));
    } else {
        // [batch, members * classes] to [batch, members, classes], and the mean over members.
        let shape = int64_tensor("logits.shape", vec![0, members as i64, -1]);
        // burn-onnx writes opset 18, where a mean's axes are an input.
        let axis = int64_tensor("logits.axis", vec![1]);
        let averaged = ["probabilities.members", &axis.name];
        graph.node.extend([
            node("Reshape", &[LOGITS, &shape.name], "logits.members", vec![]),
            activation("logits.members", "probabilities.members", 2),
            node("ReduceMean", &averaged, OUTPUTS[0], vec![int("keepdims", 0)]),
        ]);
        graph.initializer.push(axis);
        graph.initializer.push(shape);
        shrink_last_axis(&mut graph.output[0], members as i64);
    }
    graph.output[0].name = OUTPUTS[0].to_owned();
}

/// The output's shape as burn-onnx wrote it is that of the logits of all members.
fn shrink_last_axis(output: &mut ValueInfoProto, members: i64) {
    let value = output.r#type.as_mut().and_then(|r#type| r#type.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = value else { return };
    let axis = tensor.shape.as_mut().and_then(|shape| shape.dim.last_mut());
    if let Some(Dimension { value: Some(DimensionValue::DimValue(size)), .. }) = axis {
        *size /= members;
    }
}

fn name_ports(proto: &mut ModelProto) {
    let Some(graph) = &proto.graph else { return };
    let inputs = graph.input.iter().map(|value| value.name.clone()).zip([LOG_MEL]);
    let outputs = graph.output.iter().map(|value| value.name.clone()).zip([LOGITS, OUTPUTS[1]]);
    let names: BTreeMap<String, String> =
        inputs.chain(outputs).map(|(old, new)| (old, new.to_owned())).collect();
    rename(proto, &names);
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::run::{BlockPooling, CnnConfig, EnsembleSpec, GlobalPooling, Preset};

    /// What no network is trained for only to fail here.
    #[test]
    fn every_kind_of_network_is_exported() {
        let presets = Preset::value_variants().iter().map(|preset| preset.config());
        let plain = CnnConfig { batch_norm: false, ..Preset::Resnet.config() };
        let others = [
            CnnConfig { batch_norm: false, ..Preset::Vgg.config() },
            CnnConfig { pooling: BlockPooling::Average, dense: Some(5), ..plain.clone() },
            CnnConfig { global_pooling: GlobalPooling::Max, head: Some(8), ..plain },
        ];
        let input = [32, 48];
        for cnn in presets.chain(others) {
            let spec = EnsembleSpec {
                cnn: cnn.clone(),
                members: 2,
                input,
                classes: 3,
                task: Task::SingleLabel,
            };
            let network = spec.init(&Device::flex()).unwrap();
            let exported = of(&network, input, Path::new("cnn.onnx"));
            let nodes =
                exported.unwrap_or_else(|error| panic!("{cnn}: {error}")).graph.unwrap().node;
            // Smaller numbers look for the activation by this name.
            assert!(nodes.iter().any(|node| node.op_type == "Relu"), "{cnn}");
        }
    }
}
