//! A burn model's graph, through burn-onnx's exporter.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};
use prost::Message;
use tract_onnx::pb::ModelProto;

use super::splice::{int, node};
use super::{INPUT, OUTPUTS, rename};
use crate::features::FrontEnd;
use crate::model::GenreModel;
use crate::{Error, Result};

const LOGITS: &str = "logits";

/// The model as ONNX, with our names for its input and outputs.
pub(super) fn of(model: &GenreModel, front_end: &FrontEnd, path: &Path) -> Result<ModelProto> {
    let device = Device::flex();
    let patches =
        |count| Tensor::<3>::zeros([count, front_end.patch_frames, front_end.mels], &device);
    let specs = [InputSpec::new([AxisSpec::dynamic("batch"), AxisSpec::Static, AxisSpec::Static])];
    let exported = OnnxExporter::new()
        .export_dynamic(model, patches(2), patches(3), &specs, logits_and_embeddings)
        .map_err(|e| Error::onnx(path, format!("burn-onnx cannot export the model: {e}")))?;
    let proto = ModelProto::decode(exported.as_bytes());
    let mut proto = proto.map_err(|e| Error::onnx(path, e))?;
    name_ports(&mut proto);
    append_softmax(&mut proto);
    Ok(proto)
}

/// burn-onnx cannot lower a softmax, so the graph ends in logits and gets one of ONNX's own.
fn logits_and_embeddings(model: &GenreModel, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
    let embeddings = model.backbone.forward(log_mel);
    (model.head.forward(embeddings.clone()), embeddings)
}

fn append_softmax(proto: &mut ModelProto) {
    let Some(graph) = &mut proto.graph else { return };
    graph.node.push(node("Softmax", &[LOGITS], OUTPUTS[0], vec![int("axis", 1)]));
    graph.output[0].name = OUTPUTS[0].to_owned();
}

fn name_ports(proto: &mut ModelProto) {
    let Some(graph) = &proto.graph else { return };
    let inputs = graph.input.iter().map(|value| value.name.clone()).zip([INPUT]);
    let outputs = graph.output.iter().map(|value| value.name.clone()).zip([LOGITS, OUTPUTS[1]]);
    let names: BTreeMap<String, String> =
        inputs.chain(outputs).map(|(old, new)| (old, new.to_owned())).collect();
    rename(proto, &names);
}
